"""The planted set of redaction: what callers read out, as a recogniser prints it, and what only looks alike.

Written from the side of who wants the number, without a look at how `scoring.redact` finds it: it
shares no word list with it. `python -m tests.scoring.planted` writes tests/data/redaction/planted.csv
anew; the same seed gives the same file.
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CSV = Path(__file__).parents[1] / "data" / "redaction" / "planted.csv"
COLUMNS = ("call", "turn", "speaker", "text", "secret", "kind", "keep", "family")

UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEENS = [
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
MISHEARD = {
    "1": ["won"],
    "2": ["to", "too"],
    "3": ["tree"],
    "4": ["for", "fore"],
    "8": ["ate"],
    "9": ["niner"],
}
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


@dataclass
class Call:
    family: str
    turns: list[tuple[str, str]]
    """Speaker, text."""
    secrets: list[str] = field(default_factory=list)
    kind: str = ""
    keep: list[str] = field(default_factory=list)


# --- numbers ----------------------------------------------------------------------------------


def check_digit(body: str) -> str:
    total = 0
    for i, c in enumerate(reversed(body)):
        d = int(c) * (2 if i % 2 == 0 else 1)
        total += d - 9 if d > 9 else d
    return str(-total % 10)


def card(r: random.Random) -> str:
    prefix, length = r.choice(
        [
            ("4", 16),
            ("4", 16),
            ("51", 16),
            ("55", 16),
            ("2221", 16),
            ("37", 15),
            ("34", 15),
            ("6011", 16),
            ("3056", 14),
            ("6759", 19),
        ]
    )
    body = prefix + "".join(
        r.choice("0123456789" if r.random() < 0.7 else prefix[-1] + "0011")
        for _ in range(length - len(prefix) - 1)
    )
    return body + check_digit(body)


def misheard(r: random.Random, number: str) -> str:
    """One digit lost, doubled or changed, as recognisers do."""
    i = r.randrange(1, len(number) - 1)
    return r.choice(
        [
            number[:i] + number[i + 1 :],
            number[:i] + number[i] + number[i:],
            number[:i] + str((int(number[i]) + 3) % 10) + number[i + 1 :],
        ]
    )


def digits(r: random.Random, n: int) -> str:
    return r.choice("123456789") + "".join(r.choice("0123456789") for _ in range(n - 1))


def ssn(r: random.Random) -> str:
    return f"{r.randint(101, 665)}{r.randint(10, 99)}{r.randint(1000, 9999)}"


# --- saying them ------------------------------------------------------------------------------


def split(r: random.Random, number: str, sizes: tuple[int, ...] = (4,)) -> list[str]:
    out, at = [], 0
    while at < len(number):
        n = r.choice(sizes)
        out.append(number[at : at + n])
        at += n
    return out


def one_by_one(r: random.Random, part: str, oh: float = 0.4) -> list[str]:
    return [r.choice(["oh", "o"]) if c == "0" and r.random() < oh else UNITS[int(c)] for c in part]


def two(r: random.Random, pair: str) -> str:
    a, b = int(pair[0]), int(pair[1])
    if a == 0:
        return f"{r.choice(['oh', 'zero', 'o'])} {UNITS[b]}"
    if a == 1:
        return TEENS[b]
    return TENS[a] if b == 0 else TENS[a] + r.choice([" ", "-"]) + UNITS[b]


def pairs(r: random.Random, part: str) -> list[str]:
    out = [two(r, part[i : i + 2]) for i in range(0, len(part) - 1, 2)]
    return out + ([UNITS[int(part[-1])]] if len(part) % 2 else [])


def repeats(r: random.Random, part: str) -> list[str]:
    """double four, triple oh, "three sevens"."""
    out, i = [], 0
    while i < len(part):
        n = 1
        while i + n < len(part) and part[i + n] == part[i] and n < 4:
            n += 1
        word = r.choice(["oh", "zero"]) if part[i] == "0" else UNITS[int(part[i])]
        if n == 1:
            out.append(word)
        else:
            name = {2: ["double", "double"], 3: ["triple", "treble"], 4: ["quadruple", "four times"]}[n]
            how = r.choice(
                [
                    f"{r.choice(name)} {word}",
                    f"{name[0]}-{word}",
                    f"{UNITS[n]} {word}s" if word[-1] in "enro" and word != "oh" else f"{name[0]} {word}",
                ]
            )
            if "times" in how:
                how = f"double {word} double {word}"
            out.append(how)
        i += n
    return out


def grouped(r: random.Random, part: str) -> list[str]:
    """hundreds and thousands where the digits allow, as people chunk."""
    out = []
    for p in split(r, part, (3, 4)):
        if len(p) == 4 and p.endswith("000") and p[0] != "0":
            out.append(f"{UNITS[int(p[0])]} thousand")
        elif len(p) == 4 and p.endswith("00") and p[0] != "0" and p[1] != "0":
            out.append(f"{two(r, p[:2])} hundred")
        elif len(p) == 3 and p.endswith("00") and p[0] != "0":
            out.append(f"{UNITS[int(p[0])]} hundred")
        elif len(p) == 3 and p[0] != "0":
            link = r.choice([" ", " hundred ", " hundred and "])
            if link != " " and p[1] == "0":
                out.append(f"{UNITS[int(p[0])]}{link}{UNITS[int(p[2])]}")
            else:
                out.append(f"{UNITS[int(p[0])]}{link}{two(r, p[1:])}")
        elif len(p) == 4 and p[0] != "0" and p[1] not in "0" and r.random() < 0.3:
            link = " thousand " + UNITS[int(p[1])] + " hundred "
            out.append(
                UNITS[int(p[0])]
                + link
                + r.choice(["", "and "])
                + (two(r, p[2:]) if p[2] != "0" else UNITS[int(p[3])])
            )
        else:
            out += pairs(r, p)
    return out


def wrong_words(r: random.Random, part: str) -> list[str]:
    return [
        r.choice(MISHEARD[c]) if c in MISHEARD and r.random() < 0.45 else one_by_one(r, c)[0] for c in part
    ]


PAUSES = [
    "uh",
    "um",
    "um,",
    "then",
    "and then",
    "and",
    "er",
    "sorry, that's",
    "let me see",
    "hang on",
    "okay",
    "so",
    "yeah",
    "hmm",
    "next is",
    "followed by",
    "- uh -",
    "and after that",
]
STYLES = (
    "figures",
    "fours",
    "marks",
    "singles",
    "words",
    "mixed",
    "repeats",
    "pairs",
    "grouped",
    "misheard",
    "odd figures",
    "letters o",
    "alternating",
)


def say(r: random.Random, number: str, style: str | None = None, pauses: float = 0.0) -> str:
    style = style or r.choice(STYLES)
    if style == "figures":
        return number
    if style == "fours":
        parts, sep = (
            split(r, number, (4,)),
            r.choice([" ", "-", " - ", ", ", ". ", ".", " dash ", " dot ", "… ", "; "]),
        )
    elif style == "marks":
        parts, sep = list(number), r.choice(["-", " - ", ", ", ". ", " dash ", ","])
    elif style == "singles":
        parts, sep = list(number), " "
    elif style == "words":
        parts, sep = one_by_one(r, number), r.choice([" ", " ", ", ", ". ", "-", " - "])
    elif style == "mixed":
        parts = [
            w for p in split(r, number, (1, 2, 3, 4)) for w in (one_by_one(r, p) if r.random() < 0.5 else [p])
        ]
        sep = " "
    elif style == "repeats":
        parts, sep = repeats(r, number), r.choice([" ", ", "])
    elif style == "pairs":
        parts, sep = pairs(r, number), r.choice([" ", " ", ", "])
    elif style == "grouped":
        parts, sep = grouped(r, number), r.choice([" ", ", "])
    elif style == "misheard":
        parts, sep = wrong_words(r, number), r.choice([" ", " ", ", "])
    elif style == "odd figures":
        parts, sep = split(r, number, (1, 2, 3, 5)), r.choice([" ", "-", ", ", ". ", " / "])
    elif style == "letters o":
        parts, sep = [p.replace("0", r.choice("oO0")) for p in split(r, number, (4,))], " "
    else:
        parts = [" ".join(one_by_one(r, p)) if i % 2 else p for i, p in enumerate(split(r, number, (2, 4)))]
        sep = " "
    text = parts[0]
    for part in parts[1:]:
        text += f" {r.choice(PAUSES)} {part}" if r.random() < pauses else sep + part
    return text


def dress(r: random.Random, text: str) -> str:
    """Recognisers differ in case and marks."""
    return r.choice(
        [text, text, text, text.lower(), text.upper(), re.sub(r"(?<=\w)[.,?!](?=\s|$)", "", text)]
    )


# --- families of secrets ----------------------------------------------------------------------

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


# --- false friends ----------------------------------------------------------------------------

PLAIN = """I'll be two or three days|two or three days
One moment please, let me check that for you.|One moment
That's great, for you too.|for you too
We're available 24/7, any day of the week.|24/7
we're open from nine to five on weekdays|nine to five
Opening hours are 8:30 to 17:00, Saturdays 10 to 2.|8:30|17:00|10 to 2
My son is 14 and my daughter is nine.|14|nine
She's twenty-three years old.|twenty-three
I'm running version 10.15 on my laptop|10.15
It's Windows 11, version 23H2.|Windows 11
I've waited forty five minutes already!|forty five minutes
I called three times last week, on the 12th and the 14th.|three times|12th|14th
That was back in 2019.|2019
in nineteen ninety eight we moved here|nineteen ninety eight
I bought it in twenty twenty three|twenty twenty three
My order number is 45012.|45012
The ticket is 88213, I opened it Monday.|88213
reference number 771204|771204
Order four five oh one two never arrived.|four five oh one two
your case number is 30417, please keep it|30417
Flight BA 2490 was delayed by two hours.|2490|two hours
I was on flight 1473 to Chicago|1473
We're in room 412 on the fourth floor.|412|fourth
I live at 1600 Pennsylvania Avenue|1600
Flat 3, 22 Orchard Street|22 Orchard Street
house number forty two, the blue door|forty two
it's apartment 12B, second floor|12B
I paid $1,299.99 for the laptop|$1,299.99
It was one hundred and fifty dollars.|one hundred and fifty dollars
They charged me $35 twice, so $70 in total.|$35|$70
The bill went from 40 to 85 dollars|40 to 85 dollars
two thousand five hundred euros is a lot of money|two thousand five hundred euros
I get paid around 3,200 a month|3,200
Twenty percent off, or 15% with the code.|Twenty percent|15%
it's about 99.9 percent done|99.9 percent
My appointment is on March 3rd at 10:30.|March 3rd|10:30
the meeting is at quarter past four on the twenty second|four|twenty second
Between 8 a.m. and 10 a.m., or 3 p.m. and 5 p.m.|8 a.m.|3 p.m.
on 03/04/2025 they took the money|03/04/2025
From 2024-01-05 to 2024-02-05.|2024-01-05|2024-02-05
I have two cards, one visa and one debit.|two cards|one visa
I need 3 of those and 12 of the small ones.|3 of|12 of
We have four bedrooms and two bathrooms|four bedrooms|two bathrooms
it's a 2018 Honda with 60,000 miles|2018|60,000 miles
My internet is 100 megabits but I get 12.|100 megabits
One of the two is broken, I think.|One of the two
No one told me, not once.|No one
I've been a customer for ten years.|ten years
It happens two to three times a day|two to three times
Oh, I see. Oh no.|Oh no
Won't you wait for a second? I ate already.|ate already
We'll ship it in 5 to 7 business days.|5 to 7 business days
Press one for sales, two for support.|Press one|two for support
I was number six in the queue|number six
there were a hundred people ahead of me|a hundred people
A thousand thanks!|A thousand thanks
it's 50 50 really|50 50
The package weighs 2.5 kilos and is 30 by 40 centimetres|2.5 kilos|30 by 40
channel 4 news at ten|channel 4
The error says 404 when I click.|404
I get error code 0x80070005 when I update|error code
error 1603 again|1603
gate 22, seat 14C|22|14C
It's 72 degrees outside and I'm on the 405 freeway.|72 degrees|405
chapter eleven, page two hundred and six|page two hundred and six
My mileage is 48,250.|48,250
Last year it was 1.5 million.|1.5 million
Half past seven or twenty to eight is fine.|Half past seven|twenty to eight
in the first week of October 2025|October 2025
it's been two years, three months and four days|two years|three months|four days
I spoke to three people: two in billing and one in sales.|three people|two in billing|one in sales
Is the one I have too old for the update?|the one I have too old
I'm down to one or two, maybe three.|one or two
the 4 train takes 25 minutes|25 minutes
she rang at 9, then 10, then 11|she rang
My plan is the 60 dollar one.|60 dollar
Your balance is 1250.75.|1250.75
I need it by the 30th at the latest|30th
I've got 512 gigs of storage and 16 gigs of memory|512 gigs|16 gigs
we're a family of five|family of five
The warranty is 24 months.|24 months
the contract ends in December 2027|December 2027
can I get 2 tickets for the 7:45 show|2 tickets|7:45
Visit us at company dot com.|Visit us
look at the website at home, it loads at noon|at noon
I'll meet him at the shop|at the shop
extension 4417 please|4417
invoice 20331 is wrong|20331
the model is an XR 500|500
my zip code is 94110|94110
bus 42 to terminal 3|42|terminal 3
six of one, half a dozen of the other|six of one
I'm five foot eleven and 180 pounds|five foot eleven|180 pounds
You've got to be kidding, for two weeks?|two weeks
it went from nine hundred to twelve hundred dollars|twelve hundred dollars
One, I was never told. Two, nobody called. Three, it still doesn't work.|One, I was|Two, nobody|Three, it
The speed test gave me 93, 88 and 91.|speed test
Three hundred and sixty five days a year|Three hundred and sixty five days
Well, that's one down, two to go.|one down, two to go
I've tried it 5 or 6 times since 8 this morning|5 or 6 times|8 this morning
My last bill was $84.20, the one before $79.95 and in May it was $101.|$84.20|$79.95|$101
We got there at 6:15, ate at 7:00 and left at 9:30.|6:15|7:00|9:30
it was cancelled in 2021, 2022 and again in 2023|2021|2022|2023
The dates are 3/4/2025, 3/11/2025 and 3/18/2025.|3/4/2025|3/11/2025|3/18/2025""".splitlines()

NEAR_CARD = """My credit card was charged twice for {money}.|{money}
I used my debit card on {date} for {money}|{date}|{money}
the card I got in {year} stopped working|{year}
Your card will arrive in {n} to {m} days.|{n} to {m} days
Thanks for the card details, it'll take {n} minutes.|{n} minutes
Is it one card or {n} cards?|{n} cards
we refunded {money} to your card on {date}|{money}|{date}
my phone broke {n} days ago|{n} days
I've had this phone for {n} years, bought it in {year}|{n} years|{year}
call me back in {n} minutes or at {time}|{n} minutes|{time}
you can reach me after {time} on weekdays|{time}
I lost my card on {date} around {time}|{date}|{time}
My account was closed in {year} and they kept {money}.|{year}|{money}
I have {n} accounts with you since {year}|{n} accounts|{year}
The security code never came, I waited {n} minutes|{n} minutes
your email will be answered within {n} hours|{n} hours
My passport took {n} weeks|{n} weeks
That's a {pct} charge on every card payment over {money}.|{pct}|{money}
The credit limit is {money}, at {pct} interest.|{money}|{pct}
Pay {money} now and {money2} in {n} weeks.|{money}|{money2}|{n} weeks""".splitlines()


def friends(r: random.Random) -> Iterator[Call]:
    for line in PLAIN:
        text, *keep = line.split("|")
        for speaker in ("customer", "agent"):
            shape = r.choice([str, str.lower, str.upper]) if speaker == "agent" else str
            yield Call("false friend", [(speaker, shape(text))], keep=[shape(k) for k in keep])
    for _ in range(9):
        for line in NEAR_CARD:
            n = r.randint(2, 9)
            facts = {
                "money": r.choice(
                    [
                        "$45",
                        "$1,250.00",
                        "150 dollars",
                        "€89.99",
                        "forty pounds",
                        "a hundred and twenty dollars",
                        "19.99",
                    ]
                ),
                "money2": r.choice(["$60", "eighty euros"]),
                "date": r.choice(["March 3rd", "the 14th", "03/04/2025", "May 21", "the third of June"]),
                "year": r.choice(["2019", "2023", "twenty twenty two", "1998"]),
                "time": r.choice(["6:30", "5 p.m.", "nine o'clock", "half past two"]),
                "pct": r.choice(["20%", "3.5 percent", "twenty percent"]),
                "n": r.choice([str(n), UNITS[n]]),
                "m": r.choice([str(n + 3), "10"]),
            }
            text, *keep = line.format(**facts).split("|")
            yield Call("false friend near a card", [("customer", text)], keep=keep)
    for _ in range(40):
        number = card(r)
        money, when = r.choice(["$45.99", "$1,200", "150 dollars"]), r.choice(["March 3rd", "10:30", "2019"])
        text = r.choice(
            [
                "You charged {m} at {w}, card number {c}",
                "I paid {m} back at {w} with {c}",
                "It was {w} and {m}. My card is {c}.",
            ]
        )
        yield Call(
            "beside a card",
            [
                (
                    "customer",
                    text.format(
                        m=money, w=when, c=say(r, number, r.choice(["fours", "figures", "words", "repeats"]))
                    ),
                )
            ],
            [number],
            "card",
            [money, when],
        )
    for _ in range(30):
        number = card(r)
        after = r.choice(
            [
                "Great, that's gone through, $45.99 in total.|$45.99",
                "It will take two or three days.|two or three days",
                "That's been taken care of, anything else? We're open till 8.|open till 8",
                "Your order number is 45012.|45012",
                "The delivery is on May 14th at 10:30.|May 14th|10:30",
            ]
        ).split("|")
        yield Call(
            "after a card",
            [
                ("agent", "Can I have your card number?"),
                ("customer", say(r, number, r.choice(["fours", "words"]))),
                ("agent", after[0]),
            ],
            [number],
            "card",
            after[1:],
        )


# --- the file ---------------------------------------------------------------------------------

FAMILIES = (
    cards,
    corrections,
    over_turns,
    partials,
    cvvs,
    expiries,
    socials,
    ibans,
    phones,
    emails,
    codes,
    hostile,
    friends,
)


def calls(seed: int = 8) -> Iterator[Call]:
    for family in FAMILIES:
        r = random.Random(f"{seed} {family.__name__}")
        for call in family(r):
            if call.secrets and not call.keep:
                call.turns = [(who, dress(r, text)) for who, text in call.turns]
            yield call


def rows(seed: int = 8) -> Iterator[dict[str, str]]:
    for number, call in enumerate(calls(seed), 1):
        for turn, (speaker, text) in enumerate(call.turns, 1):
            yield {
                "call": str(number),
                "turn": str(turn),
                "speaker": speaker,
                "text": text,
                "secret": "|".join(call.secrets),
                "kind": call.kind,
                "keep": "|".join(k for k in call.keep if k in text),
                "family": call.family,
            }


def main() -> None:
    CSV.parent.mkdir(parents=True, exist_ok=True)
    with CSV.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows())


if __name__ == "__main__":
    main()
