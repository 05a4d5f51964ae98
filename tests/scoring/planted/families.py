"""Families of calls in which a secret is told."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from tests.scoring.planted.call import Call
from tests.scoring.planted.numbers import (
    MONTHS,
    STYLES,
    UNITS,
    card,
    digits,
    misheard,
    one_by_one,
    say,
    split,
    ssn,
    two,
)

CARD_LINES = """my card number is {}
It's {}.
{}
Sure, one second. Okay, it's {}
the long number across the front is {}
Right, so I've got {}, is that correct?
yeah {} and that's a visa
I'd like to pay with {} please
You said {}, did I get that right?
so that would be {}, thank you
Um, my MasterCard, it's {}.
let me read that back to you, {}, okay?
The card is under my husband's name but the number is {}
can you charge it to {}
Hello? Yes, {}. Did you get all of that?
and the number on it is {} I believe
Well the old one was {} but they replaced it
okay here goes {}""".splitlines()


def cards(r: random.Random) -> Iterator[Call]:
    for style in STYLES:
        for _ in range(14):
            number = card(r)
            yield Call(
                "card", [("customer", r.choice(CARD_LINES).format(say(r, number, style)))], [number], "card"
            )
        for _ in range(6):
            number = misheard(r, card(r))
            yield Call(
                "card misheard",
                [("customer", r.choice(CARD_LINES).format(say(r, number, style)))],
                [number],
                "card",
            )
        for _ in range(6):
            number = card(r)
            yield Call(
                "card hesitating",
                [("customer", r.choice(CARD_LINES).format(say(r, number, style, 0.3)))],
                [number],
                "card",
            )


FIXES = ["no wait, {}", "sorry, {}", "no, sorry, that's {}", "I mean {}", "scratch that, {}", "uh, no, {}"]


def corrections(r: random.Random) -> Iterator[Call]:
    for _ in range(40):
        number = card(r)
        at = r.choice([4, 6, 8, 12])
        wrong = UNITS[(int(number[at]) + 1) % 10]
        text = (
            say(r, number[:at], "words")
            + f" {wrong}, "
            + r.choice(FIXES).format(say(r, number[at:], r.choice(["words", "repeats", "singles"])))
        )
        yield Call(
            "card corrected",
            [("customer", r.choice(CARD_LINES).format(text))],
            [number[:at], number[at:]],
            "card",
        )


ASIDES = ["Okay.", "Mm-hm.", "Yep.", "Got it.", "Uh-huh, go on.", "Sure, go ahead.", "Right."]
OPENERS = [
    "Can I take the long card number please?",
    "What's the card number?",
    "And which card would you like to use?",
    "Could you read me the number on the front?",
    "",
]


def over_turns(r: random.Random) -> Iterator[Call]:
    for _ in range(120):
        number = card(r)
        sizes = r.choice([(4,), (4,), (3, 4), (2, 4), (5, 6), (2,), (1, 3), (8,)])
        parts = split(r, number, sizes)
        style = r.choice(STYLES)
        turns = [("agent", opener)] if (opener := r.choice(OPENERS)) else []
        aside = r.random()
        for i, part in enumerate(parts):
            text = say(r, part, style)
            if i == 0:
                text = r.choice(
                    ["{}", "It's {}", "Yeah, so {}", "okay {}", "my card is {}", "um {}", "Sure. {}"]
                ).format(text)
            elif i == len(parts) - 1:
                text = r.choice(["{}", "{}.", "and {}", "{} and that's it", "{} thank you"]).format(text)
            else:
                text = r.choice(["{}", "{}", "then {}", "um {}", "{}, yeah"]).format(text)
            turns.append(("customer", text))
            if aside < 0.5 and i < len(parts) - 1:
                turns.append(("agent", r.choice(ASIDES)))
        yield Call("card over turns", turns, [number], "card")
    for _ in range(30):
        number = card(r)
        turns = []
        for part in split(r, number, (4,)):
            style = r.choice(["words", "singles", "fours", "repeats"])
            turns += [
                ("customer", say(r, part, style)),
                ("agent", r.choice(["{}", "{}, yep", "okay, {}", "{}?"]).format(say(r, part, style))),
            ]
        yield Call("card read back", turns, [number], "card")


def partials(r: random.Random) -> Iterator[Call]:
    for _ in range(60):
        number = card(r)
        text = r.choice(CARD_LINES).format(
            say(r, number, r.choice(["words", "fours", "singles", "repeats", "pairs"]))
        )
        spots = [m.start() for m in re.finditer(r"\s", text)] or [len(text) - 3]
        yield Call(
            "card partial", [("customer", text[: r.choice(spots[len(spots) // 3 :])])], [number], "card"
        )


CVV_WORDS = [
    "CVV",
    "cvs",
    "see vv",
    "c v v",
    "CVC",
    "security code",
    "three digit code on the back",
    "code on the back",
    "three digits on the back",
    "C.V.V.",
    "verification code",
]
CVV_LINES = [
    "the {w} is {n}",
    "{w}? {n}.",
    "and my {w} is uh {n}",
    "{w} {n}",
    "it's {n}, that's the {w}",
    "Okay the {w}, let me turn it over, it's {n}",
    "{n} is the {w}",
]


def cvvs(r: random.Random) -> Iterator[Call]:
    for _ in range(90):
        number = digits(r, r.choice([3, 3, 3, 4]))
        said = say(
            r, number, r.choice(["figures", "singles", "words", "pairs", "repeats", "marks", "misheard"])
        )
        yield Call(
            "cvv", [("customer", r.choice(CVV_LINES).format(w=r.choice(CVV_WORDS), n=said))], [number], "cvv"
        )
    asks = [
        "And the three digits on the back?",
        "What's the security code?",
        "Can I have the CVV please?",
        "and the cvs number",
        "Could you tell me the three numbers on the reverse of the card?",
        "And the code on the signature strip?",
    ]
    for _ in range(50):
        number = digits(r, 3)
        said = say(r, number, r.choice(["figures", "singles", "words", "pairs", "repeats", "misheard"]))
        line = r.choice(
            [
                "{}",
                "It's {}.",
                "Yeah that's {}",
                "uh, {}",
                "I think it says {}",
                "{} I think",
                "Hold on, I need my glasses. {}",
                "The numbers are a bit worn but it looks like {} to me",
            ]
        )
        yield Call(
            "cvv asked for", [("agent", r.choice(asks)), ("customer", line.format(said))], [number], "cvv"
        )
    for _ in range(20):
        number = digits(r, 3)
        turns = [("agent", r.choice(asks))] + [("customer", t) for t in one_by_one(r, number)]
        yield Call("cvv over turns", turns, [number], "cvv")


def expiries(r: random.Random) -> Iterator[Call]:
    for _ in range(70):
        month, year = r.randint(1, 12), r.randint(26, 33)
        mm, yy = f"{month:02d}", str(year)
        said = r.choice(
            [
                f"{mm}/{yy}",
                f"{mm}/20{yy}",
                f"{month}/{yy}",
                f"{mm} {yy}",
                f"{two(r, mm)} {two(r, yy)}",
                f"{two(r, mm)} twenty {two(r, yy)}",
                f"{MONTHS[month - 1]} {two(r, yy)}",
                f"{MONTHS[month - 1]} 20{yy}",
                f"{MONTHS[month - 1]} of twenty {two(r, yy)}",
                f"{mm}-{yy}",
                f"{two(r, mm)} slash {two(r, yy)}",
            ]
        )
        line = r.choice(
            [
                "the expiry date is {}",
                "it expires {}",
                "expiration {}",
                "Expires in {}.",
                "expiry {}, CVV to follow",
                "valid thru {}",
                "exp date {}",
                "good through {}",
                "and it expires on {}",
            ]
        )
        yield Call("expiry", [("customer", line.format(said))], [mm + yy], "expiry")
    for _ in range(20):
        month, year = r.randint(1, 12), r.randint(26, 33)
        mm, yy = f"{month:02d}", str(year)
        said = r.choice(
            [
                f"{mm}/{yy}",
                f"{two(r, mm)} {two(r, yy)}",
                f"{MONTHS[month - 1]} twenty {two(r, yy)}",
                f"{mm}, {yy}",
            ]
        )
        yield Call(
            "expiry asked for",
            [
                (
                    "agent",
                    r.choice(
                        ["And the expiry date?", "When does it expire?", "what's the expiration on that card"]
                    ),
                ),
                ("customer", r.choice(["{}", "It's {}.", "uh {}", "That would be {}"]).format(said)),
            ],
            [mm + yy],
            "expiry",
        )


def socials(r: random.Random) -> Iterator[Call]:
    for _ in range(80):
        number = ssn(r)
        if r.random() < 0.3:
            said = r.choice(["{}-{}-{}", "{} {} {}", "{} dash {} dash {}", "{}. {}. {}"]).format(
                number[:3], number[3:5], number[5:]
            )
        else:
            said = say(r, number, None, r.choice([0, 0, 0.25]))
        line = r.choice(
            [
                "my social is {}",
                "social security number {}",
                "Yes, it's {}",
                "{}",
                "The SSN on file should be {}",
                "so social, {}, and date of birth to follow",
                "for the record that's {}",
            ]
        )
        yield Call("ssn", [("customer", line.format(said))], [number], "ssn")
    for _ in range(25):
        number = ssn(r)
        if r.random() < 0.5:
            turns = [
                ("agent", "What are the last four of your social?"),
                (
                    "customer",
                    r.choice(["{}", "It's {}", "the last four are {}", "um {} I guess"]).format(
                        say(r, number[5:], r.choice(["figures", "words", "pairs", "singles"]))
                    ),
                ),
            ]
            yield Call("ssn last four", turns, [number[5:]], "ssn")
        else:
            parts = [number[:3], number[3:5], number[5:]]
            yield Call(
                "ssn over turns",
                [("agent", "And your social security number?")]
                + [("customer", say(r, p, r.choice(["words", "figures", "singles"]))) for p in parts],
                [number],
                "ssn",
            )


def ibans(r: random.Random) -> Iterator[Call]:
    lands = [
        ("GB", "WEST", 14),
        ("DE", "", 18),
        ("FR", "", 23),
        ("NL", "ABNA", 10),
        ("ES", "", 20),
        ("IE", "AIBK", 14),
    ]
    for _ in range(50):
        land, bank, n = r.choice(lands)
        check, rest = digits(r, 2), digits(r, n)
        how = r.choice(["solid", "fours", "lower", "spoken", "spelt", "mixed"])
        solid = land + check + bank + rest
        if how == "solid":
            said = solid
        elif how in ("fours", "lower"):
            said = " ".join(solid[i : i + 4] for i in range(0, len(solid), 4))
            said = said.lower() if how == "lower" else said
        elif how == "spoken":
            said = f"{' '.join(land)} {say(r, check, 'words')} {' '.join(bank)} {say(r, rest, 'words')}"
        elif how == "spelt":
            said = f"{land[0]} for {r.choice(['George', 'Delta'])}, {land[1]}, {say(r, check, 'pairs')}, {bank.lower()} {say(r, rest, 'singles')}"
        else:
            said = f"{land.lower()} {check} {bank.lower()} {say(r, rest, 'mixed')}"
        line = r.choice(
            ["my IBAN is {}", "transfer it to {}", "{}", "the account is {} thank you", "so that's I-BAN {}"]
        )
        yield Call("iban", [("customer", line.format(said))], [check + rest], "iban")


def phones(r: random.Random) -> Iterator[Call]:
    for _ in range(90):
        how = r.choice(["us", "us", "uk", "int", "local"])
        if how == "us":
            n = f"{r.randint(201, 989)}{r.randint(200, 999)}{r.randint(1000, 9999)}"
            forms = [
                f"({n[:3]}) {n[3:6]}-{n[6:]}",
                f"{n[:3]}-{n[3:6]}-{n[6:]}",
                f"{n[:3]}.{n[3:6]}.{n[6:]}",
                f"+1 {n[:3]} {n[3:6]} {n[6:]}",
                f"1-{n[:3]}-{n[3:6]}-{n[6:]}",
                say(r, n),
                say(r, n, "words", 0.2),
            ]
        elif how == "uk":
            n = "07" + digits(r, 9)
            forms = [
                f"{n[:5]} {n[5:8]} {n[8:]}",
                f"+44 {n[1:5]} {n[5:]}",
                f"oh seven {say(r, n[2:], 'words')}",
                say(r, n, "repeats"),
                say(r, n, "pairs"),
            ]
        elif how == "int":
            n = r.choice(["49", "33", "34", "61", "91"]) + digits(r, r.choice([9, 10]))
            forms = [
                f"+{n[:2]} {n[2:5]} {n[5:]}",
                f"plus {say(r, n, 'words')}",
                f"00{n}",
                f"double oh {say(r, n, 'words')}",
                f"+{n[:2]} (0) {n[2:]}",
            ]
        else:
            n = digits(r, 7)
            forms = [f"{n[:3]}-{n[3:]}", f"{n[:3]} {n[3:]}", say(r, n, "words"), say(r, n, "pairs")]
        line = r.choice(
            [
                "call me at {}",
                "my number is {}",
                "you can reach me on {} after six",
                "Yes, {}",
                "{}",
                "my cell is {} or you can e-mail",
                "text {} when it ships",
                "Is {} still the best number?",
            ]
        )
        yield Call(
            "phone", [("customer", line.format(r.choice(forms)))], [n[2:] if how == "uk" else n], "phone"
        )


NATO = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        [
            "alpha",
            "bravo",
            "charlie",
            "delta",
            "echo",
            "foxtrot",
            "golf",
            "hotel",
            "india",
            "juliet",
            "kilo",
            "lima",
            "mike",
            "november",
            "oscar",
            "papa",
            "quebec",
            "romeo",
            "sierra",
            "tango",
            "uniform",
            "victor",
            "whiskey",
            "xray",
            "yankee",
            "zulu",
        ],
        strict=True,
    )
)
NAMES = [
    "maria",
    "joansson",
    "petrov",
    "kowalski",
    "delgado",
    "bennett",
    "yusuf",
    "annika",
    "tobias",
    "renata",
    "halvorsen",
    "mcgrath",
    "okafor",
    "lindqvist",
]
HOSTS = [
    "g mail dot com",
    "gmail dot com",
    "yahoo dot co dot uk",
    "outlook dot com",
    "hot mail dot com",
    "icloud.com",
    "gmail.com",
    "my company dot org",
    "proton mail dot me",
]


def emails(r: random.Random) -> Iterator[Call]:
    for _ in range(110):
        name, other = r.sample(NAMES, 2)
        tail = r.choice(["", "", "42", "1987", "7"])
        local = r.choice([name, f"{name}.{other}", f"{name}_{other}"])
        how = r.choice(["printed", "spoken", "letters", "nato", "half", "spaced", "hyphen"])
        host = r.choice(HOSTS)
        at = r.choice(["at", "at", "at sign", "@", "AT"])
        if how == "printed":
            said = (
                f"{local}{tail}@{r.choice(['gmail.com', 'yahoo.co.uk', 'acme-corp.io', 'mail.example.org'])}"
            )
        elif how == "spoken":
            said = (
                local.replace(".", " dot ").replace("_", " underscore ")
                + (f" {say(r, tail, 'words')}" if tail else "")
                + f" {at} {host}"
            )
        elif how == "letters":
            local = name
            said = r.choice([" ", "-", ", "]).join(name) + (f" {tail}" if tail else "") + f" {at} {host}"
        elif how == "nato":
            local = name
            said = (
                " ".join(
                    f"{c} {r.choice(['as in', 'for', 'like'])} {NATO[c]}" if r.random() < 0.4 else c
                    for c in name
                )
                + f" {at} {host}"
            )
        elif how == "half":
            local = name
            said = f"{name}, that's {' '.join(name)}, {at} {host}"
        elif how == "spaced":
            said = f"{local}{tail} @ {r.choice(['gmail. com', 'gmail .com', 'gmail.com'])}"
        else:
            local, said = f"{name}-{other}", f"{name} {r.choice(['dash', 'hyphen'])} {other} {at} {host}"
        line = r.choice(
            [
                "my email is {}",
                "It's {}",
                "{}",
                "send it to {} please",
                "could you use {} instead",
                "so that's {}, right?",
                "Email address? {}",
            ]
        )
        secrets = re.split(r"[._-]", local)
        yield Call("email", [("customer", line.format(said))], secrets, "email")


def codes(r: random.Random) -> Iterator[Call]:
    for _ in range(40):
        number = digits(r, r.choice([4, 6, 6]))
        said = say(r, number, r.choice(["figures", "words", "singles", "pairs", "fours"]))
        line = r.choice(
            [
                "my pin is {}",
                "the passcode you sent is {}",
                "one-time code {}",
                "the text says {} is your verification code",
                "PIN number {}",
                "my account number is {}",
                "sort code {}",
            ]
        )
        yield Call("code", [("customer", line.format(said))], [number], "code")


def hostile(r: random.Random) -> Iterator[Call]:
    """Numbers that recognisers print as money, times, dates or decimals, and that somebody dresses up."""
    for _ in range(60):
        number = r.choice([card(r), misheard(r, card(r)), digits(r, 12), digits(r, 10)])
        parts = split(r, number, (2, 3, 4))
        joint = r.choice(
            [
                " dollars ",
                " dollar, ",
                " pounds ",
                "%",
                " percent ",
                " minutes ",
                ":",
                "/",
                " $",
                " hours, ",
                " euros ",
                " days ",
                ", $",
                " am ",
                ".",
            ]
        )
        said = joint.join(p if r.random() < 0.7 else " ".join(one_by_one(r, p)) for p in parts)
        yield Call(
            "hostile",
            [("customer", r.choice(["my card number is {}", "{}", "it's {} okay", "so {}"]).format(said))],
            [number],
            "card",
        )
    for _ in range(30):
        number = card(r)
        a, b, c, d = (number[i : i + 4] for i in (0, 4, 8, 12))
        said = r.choice(
            [
                f"${a}.{b[:2]} {b[2:]}{c} {d}",
                f"{a[:2]}:{a[2:]} {b} {c} {d}",
                f"{a}, {b} and {c}, {d}",
                f"{a} {b[:2]}/{b[2:]}/{c} {d}",
                f"{a},{b},{c},{d}",
                f"({a}) ({b}) ({c}) ({d})",
                f"{a} is first, then {b}, then {c}, last is {d}",
                f"#{a} #{b} #{c} #{d}",
                f"{a}… {b}… {c}… {d}",
                f"'{a}' '{b}' '{c}' '{d}'",
                f"{a}\n{b}\n{c}\n{d}",
                f"{a}_{b}_{c}_{d}",
                f"{a}x{b}x{c}x{d}",
                f"{number[:6]}******{number[-4:]} no it's {number}",
            ]
        )
        yield Call(
            "hostile",
            [("customer", r.choice(["my card number is {}", "{}", "the card says {}"]).format(said))],
            [number],
            "card",
        )
