"""Redaction: no number that identifies somebody survives; prices, dates and times do."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.redact import Carry, luhn, redact

CARD = "4111111111111111"
DIGIT_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
PAIR_WORDS = {
    **{
        f"1{i}": w
        for i, w in enumerate(
            [
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
        )
    },
    **{
        f"{t}0": w
        for t, w in enumerate(
            ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2
        )
    },
}


def pair(two: str) -> str:
    """Two digits as people say them."""
    if two in PAIR_WORDS:
        return PAIR_WORDS[two]
    if two[0] == "0":
        return f"oh {DIGIT_WORDS[int(two[1])]}"
    return f"{PAIR_WORDS[two[0] + '0']} {DIGIT_WORDS[int(two[1])]}"


@st.composite
def spellings(draw: st.DrawFn, digits: str) -> str:
    """A number as it may come out of a recogniser: figures, words, doubles, pairs, any grouping."""
    out, at = [], 0
    while at < len(digits):
        left = len(digits) - at
        how = draw(st.sampled_from(["figures", "word", "pair", "double", "one figure"]))
        if how == "double" and left >= 2 and digits[at] == digits[at + 1]:
            triple = left >= 3 and digits[at + 2] == digits[at]
            out.append(f"{'triple' if triple else 'double'} {DIGIT_WORDS[int(digits[at])]}")
            at += 3 if triple else 2
        elif how == "pair" and left >= 2:
            out.append(pair(digits[at : at + 2]))
            at += 2
        elif how == "figures":
            n = draw(st.integers(1, min(left, 6)))
            out.append(digits[at : at + n])
            at += n
        elif how == "word":
            out.append(
                draw(st.sampled_from(["oh", "zero"])) if digits[at] == "0" else DIGIT_WORDS[int(digits[at])]
            )
            at += 1
        else:
            out.append(digits[at])
            at += 1
    gaps = st.sampled_from([" ", " ", " ", ", ", "-", " - ", ". ", " uh ", ", and ", " then "])
    text = out[0]
    for part in out[1:]:
        text += draw(gaps) + part
    return text


def as_digits(text: str) -> str:
    """All digits that a reader could still get out of the text."""
    words = (
        {w: str(i) for i, w in enumerate(DIGIT_WORDS)} | {"oh": "0"} | {w: d for d, w in PAIR_WORDS.items()}
    )
    return "".join(
        words.get(token, token if token.isdigit() else "")
        for token in re.findall(r"[a-z]+|\d+", text.lower())
    )


def with_check_digit(body: str) -> str:
    return next(body + str(d) for d in range(10) if luhn(body + str(d)))


CARRIER = st.sampled_from(
    ["{}", "my card number is {}", "it's {} thanks", "Okay. {}. Did you get that?", "so {} expires soon"]
)


@pytest.mark.parametrize("word", ["is", "it", "me", "at", "no"])
def test_a_word_like_a_country_leaves_no_digit_behind(word: str) -> None:
    for said in ("400000 000000 6", "000000 000000 1 0 1 0 eight", "400000 000000 then double oh, and six"):
        assert as_digits(redact(f"my card number {word} {said}").text) == "", said


@given(data=st.data(), body=st.text("0123456789", min_size=12, max_size=18), carrier=CARRIER)
@settings(max_examples=400, deadline=None)
def test_no_card_survives_in_any_spelling(data: st.DataObject, body: str, carrier: str) -> None:
    text = carrier.format(data.draw(spellings(with_check_digit(body))))
    done = redact(text)
    assert as_digits(done.text) == "", (text, done.text)


@given(data=st.data(), digits=st.text("0123456789", min_size=9, max_size=24), carrier=CARRIER)
@settings(max_examples=300, deadline=None)
def test_no_long_number_survives(data: st.DataObject, digits: str, carrier: str) -> None:
    text = carrier.format(data.draw(spellings(digits)))
    assert as_digits(redact(text).text) == "", (text, redact(text).text)


@given(data=st.data(), body=st.text("123456789", min_size=15, max_size=15), groups=st.integers(2, 5))
@settings(max_examples=200, deadline=None)
def test_a_card_split_over_turns_is_masked_in_all_of_them(
    data: st.DataObject, body: str, groups: int
) -> None:
    card = with_check_digit(body)
    cuts = sorted(data.draw(st.lists(st.sampled_from([4, 8, 12]), min_size=1, max_size=3, unique=True)))
    carry, left = redact("Sure, my card number is").carry, ""
    for start, end in zip([0, *cuts], [*cuts, 16], strict=True):
        done = redact(data.draw(spellings(card[start:end])), carry)
        carry = done.carry
        left += as_digits(done.text)
        if data.draw(st.booleans()):
            carry = redact("Mm-hm.", carry).carry
    assert left == "", left


def test_a_card_split_over_turns_without_any_word_for_it() -> None:
    carry, left = Carry(), ""
    for text in ("four one one one", "one one one one", "1111", "11", "eleven"):
        done = redact(text, carry)
        carry = done.carry
        left += as_digits(done.text)
    assert left == ""


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_is_handled_and_redacting_twice_is_harmless(text: str) -> None:
    done = redact(text)
    assert redact(done.text).text.count("[") >= done.text.count("[")
    assert all(a.end <= b.start for a, b in zip(done.masks, done.masks[1:], strict=False))


def test_carry_holds_no_digit_and_survives_json() -> None:
    carry = redact("my card is 4111").carry
    assert Carry.load(carry.dump()) == carry
    assert not re.search(r"4|1{2}", str(carry.dump()))


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("My card is 4111 1111 1111 1111.", "My card is [card]."),
        ("double four one one double oh seven triple two nine", "[number]"),
        ("4,111,111,111,111,111", "[card]"),
        ("forty one eleven eleven eleven eleven eleven eleven eleven", "[card]"),
        ("the security code is nine one two", "the security code is [code]"),
        ("it expires 04/27", "it expires [code]"),
        ("expires March twenty twenty seven", "expires [code]"),
        ("my social is 123-45-6789", "my social is [number]"),
        ("call me at 415-555-0134 please", "call me at [phone] please"),
        ("write to john dot smith 42 at gmail dot com", "write to [email]"),
        ("it's bob_1@example.co.uk.", "it's [email]."),
        ("IBAN GB82 WEST 1234 5698 7654 32", "IBAN [number]"),
        ("It's 1-2-3.", "It's [number]."),
    ],
)
def test_masks(text: str, want: str) -> None:
    assert redact(text).text == want


@pytest.mark.parametrize(
    "text",
    [
        "I paid $1,500.00 on 03/04/2021 at 10:30",
        "it costs one hundred and fifty dollars",
        "I've called three times since 2019 and waited 45 minutes.",
        "My order number is 45012.",
        "That was on March 3rd, 2024.",
        "between 8 a.m. and 10 a.m., or 3 p.m. and 5 p.m.",
        "My credit card was charged twice for 150 dollars in 2023",
        "we drove 3,000 miles in a 2002 Toyota",
        "8 to 10, the earlier the better.",
        "I need 2 of them for 3 days",
        "we're open from 9 to 5, 7 days a week",
        "your balance is 1250.75",
        "oh no, one of them broke",
        "visit us at company.com",
        "Flat three, twenty-two Orchard Street",
        "five nights for four people at 99.50",
    ],
)
def test_keeps_what_identifies_nobody(text: str) -> None:
    assert redact(text).text == text


def test_a_thousand_planted_cards_leak_nothing() -> None:
    random.seed(7)
    for _ in range(1000):
        card = with_check_digit("".join(random.choices("0123456789", k=15)))
        said = " ".join(DIGIT_WORDS[int(d)] if random.random() < 0.5 else d for d in card)
        assert as_digits(redact(f"so the number is {said}, okay?").text) == ""


@pytest.mark.parametrize(
    "said",
    [
        "my card is $4111 1111 1111 1111",
        "It's 4111 1111 1111 1111 dollars",
        "four one one one dollars one one one one dollars one one one one dollars one one one one",
        "card number 4-1-1-1. 1-1-1-1 1-1-1-1. 1-1-1-1-1",
        "the card, 4111 euros 1111 hours 1111 percent 1112",
        "ssn is 12:34 56 789",
        "cvv 12.5 7",
        "\u2460\u2461\u2462\u2463\u2464\u2465\u2466\u2467\u2468\u2460\u2461",
        "\uff14\uff11\uff11\uff11 1111 1111 1111",
    ],
)
def test_a_number_in_disguise_is_masked_whole(said: str) -> None:
    assert not re.search(r"\d|\b(one|four)\b", redact(said).text)


@pytest.mark.parametrize(
    "said",
    [
        "You charged me a $35 late fee",
        "it's 150 dollars at 12:30 on the 14th",
        "$1,250.75 and then $300",
        "I paid $40.00, $35.00, $20.00 and $25.00 last month",
        "taken $160 on 3/4/2024 and $160 on 4/4/2024",
        "my card was charged $45 on the 3rd and $1,200 on the 14th of May",
    ],
)
def test_money_and_dates_stay_beside_words_of_cards(said: str) -> None:
    assert redact(said).text == said
