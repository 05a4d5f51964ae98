"""Numbers that somebody could misuse, and how people say them as a recogniser prints it."""

from __future__ import annotations

import random

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
