"""Takes card numbers and the like out of a transcript before anything stores or shows it.

A pure function of the text and of what the turns before carried. What is carried holds no digit: only that
a number was being read out, how many digits of it were let through, and which kind was talked about.
English. Where it must choose, it masks: SCIENCE §8 wants no leak. docs/redaction.md has the policy.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scoring.redaction.emails import emails
from scoring.redaction.kinds import (
    CARRIERS,
    IBAN,
    IS_IT,
    KIND_WORDS,
    LABEL,
    LIST_MARKS,
    LISTED,
    MONEY,
    MONEY_OF,
    MONTH_WORD,
    NAMED,
    NOT_MONEY,
    OF_SUMS,
    PIECES,
    PIECES_OF_NUMBERS,
    READING_ON,
    SECRET_KINDS,
    STREET,
    STRICTEST,
    TOLD,
    YEAR_WORDS,
    Kind,
)
from scoring.redaction.numbers import (
    ONES,
    SCALES,
    TIMES,
    TOKEN,
    Run,
    Token,
    amounts,
    fold,
    numeric,
    runs,
    tokenise,
)

# --- numbers an expert might argue with -----------------------------------------------------
LONG = 9  # any run of so many digits is masked, whatever it is
CARD_DIGITS = range(13, 20)
REFERENCE = 8  # an order's, ticket's or room's number of up to so many digits is kept
LET = 4  # a number said piecemeal over turns: so many digits together are too many
NEAR_WORDS = 14  # a kind's words colour numbers this many words away
NEAR_CHARS = 160  # … and no further than this
CARRY_TURNS = 3  # … and the same speaker's next turns
PENDING_TURNS = 2  # a number being read out may go on in so many later turns
ASKED_EXPIRY_CHARS = 80  # an answer that gives the date is no longer than this
HALO_WORDS = 6  # so near a masked number, loose digits are taken for a piece of it


@dataclass(frozen=True)
class Carry:
    """What a speaker's earlier turns left behind. Holds no digit."""

    pending: int = 0
    """For so many more turns, digits may continue a number that was being read out."""
    kinds: tuple[tuple[Kind, int], ...] = ()
    """Kinds that were talked about, each with the turns it still colours."""
    let: int = 0
    """How many digits were let through at the end of what was said, in case a number goes on."""

    @classmethod
    def load(cls, detail: Mapping[str, Any]) -> Carry:
        kinds = tuple((kind, int(turns)) for kind, turns in detail.get("kinds", ()))
        return cls(int(detail.get("pending", 0)), kinds, int(detail.get("let", 0)))

    def dump(self) -> dict[str, object]:
        return {"pending": self.pending, "kinds": [list(kind) for kind in self.kinds], "let": self.let}


@dataclass(frozen=True)
class Mask:
    """Text [start, end) of the original is replaced by [label]."""

    start: int
    end: int
    label: Kind


@dataclass(frozen=True)
class Redacted:
    text: str
    masks: tuple[Mask, ...]
    carry: Carry


def redact(text: str, carry: Carry | None = None, others: Sequence[Carry] = ()) -> Redacted:
    """Mask what must not be kept.

    `carry` is that of the same speaker's turn before, `others` are those of the other side: what it
    asked for, or was reading out, colours the answer.
    """
    return _Reading.of(text, carry or Carry(), others).redacted()


def apply(text: str, masks: Iterable[Mask]) -> str:
    """The text with each mask written as its label."""
    out, at = [], 0
    for mask in masks:
        out += [text[at : mask.start], f"[{mask.label}]"]
        at = mask.end
    return "".join([*out, text[at:]])


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 check digit."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


@dataclass
class _Reading:
    """One text on its way: its tokens, its runs of digits and what they are said to be."""

    original: str
    text: str
    """Folded, and blank where a mask already stands: as long as the original."""
    carry: Carry
    others: Sequence[Carry]
    masks: list[Mask]
    tokens: list[Token]
    runs: list[Run]
    said_kinds: list[tuple[int, int, int, Kind]]
    """Start, end, rank and kind of every word that tells one, in order."""
    ibans: list[Mask]

    @classmethod
    def of(cls, original: str, carry: Carry, others: Sequence[Carry]) -> _Reading:
        text = LABEL.sub(lambda m: "¦" * len(m.group()), fold(original))
        masks = [Mask(start, end, "email") for start, end in emails(text)]
        ibans = [
            Mask(found.start(), found.end(), "number")
            for found in IBAN.finditer(text.upper() if len(text.upper()) == len(text) else text)
            if sum(c.isdigit() for c in found.group()) >= LONG
        ]
        masks += ibans
        tokens = tokenise(text, [(mask.start, mask.end) for mask in masks])
        kinds = [
            (m.start(), m.end(), rank, kind)
            for rank, (kind, pattern) in enumerate(KIND_WORDS)
            for m in pattern.finditer(text)
        ]
        done = cls(original, text, carry, others, masks, tokens, runs(tokens), sorted(kinds), ibans)
        if done.reading and all(t.digits or t.pause or t.text in READING_ON or _is_mark(t) for t in tokens):
            done.runs = runs([replace(token, soft=False) for token in tokens])
        return done

    def redacted(self) -> Redacted:
        for run in self.runs:
            label = self.judge(run)
            if label is not None:
                self.mask(run.start, run.end, label)
        self.beyond_ibans()
        self.disguised()
        self.expiries()
        self.halo()
        merged = tuple(_merged(self.masks))
        return Redacted(apply(self.original, merged), merged, self.carried(merged))

    def mask(self, start: int, end: int, label: Kind) -> None:
        self.masks.append(Mask(start, end, "code" if label == "expiry" else label))

    # --- what to mask -----------------------------------------------------------------------

    def judge(self, run: Run) -> Kind | None:
        """The label under which a run of digits is masked, or None to leave it."""
        n, kind, told = len(run.digits), self.kind(run), self.told(run)
        if n in CARD_DIGITS and luhn(run.digits):
            return "card"
        of_code = kind == "code" and IS_IT.match(self.text[run.end : run.end + 20]) is not None
        if (
            not (told or of_code)
            and self.is_years(run)
            and not (self.alone and (self.reading or kind in SECRET_KINDS))
        ):
            return None
        if n >= LONG:
            return kind if kind in ("card", "phone") else "number"
        if told:
            return told if n >= 2 else None
        if n <= REFERENCE and (self.is_named(run) or self.is_sum(run)):
            return None
        if self.goes_on(run, n, kind):
            return kind if kind in ("card", "code", "phone") else "number"
        if self.is_list(run):
            return None
        if n >= LET and self.is_cut_off(run):
            return kind or "number"
        return self.judge_kind(run, n, kind)

    def judge_kind(self, run: Run, n: int, kind: Kind | None) -> Kind | None:
        if kind == "code" and n >= 3:
            return "code"
        if kind == "expiry" and n >= 3:
            return "code"
        if kind == "card" and (n >= 4 or (n == 3 and len(run.groups) > 1)):
            return "card"
        if kind == "number" and n >= 4:
            return "number"
        if n >= 7 or (run.by_digit and n >= 4) or (len(run.groups) > 1 and n >= 6):
            return "phone" if kind == "phone" else "number"
        return None

    def goes_on(self, run: Run, n: int, kind: Kind | None) -> bool:
        """A piece of a number that turns before began, or that answers a question for one."""
        if self.alone:
            wanted = self.reading or (kind in SECRET_KINDS and self.fresh(kind))
            sure = n if wanted or run.softs >= 3 else n - run.softs
            said = sum(len(t.digits) for t in self.tokens)
            return (
                sure >= (1 if wanted else 3) or self.carry.let + max(sure, said * bool(self.carry.let)) >= LET
            )
        if self.carry.pending and n >= 3:
            return True
        leads = self.carry.let and not any(
            _weighs(t) for t in self.tokens if t.start < run.start and t.text not in CARRIERS
        )
        return bool(leads) and self.carry.let + n >= LET

    def beyond_ibans(self) -> None:
        """A word like a country ("is") makes figures look like an IBAN; others may go on after it."""
        for mask in self.ibans:
            for run in self.runs:
                between = (mask.end, run.start) if mask.end <= run.start else (run.end, mask.start)
                if not any(_weighs(t) for t in self.tokens if between[0] <= t.start < between[1]):
                    self.mask(run.start, run.end, mask.label)

    def disguised(self) -> None:
        """Numbers that marks or words of money, time or quantity run through ("$4111 1111 dollars 11 …").

        Amounts as people say them, in a list ("$1,250.75 and then $300"), are left unless they add up
        to a card; digits that belong to no amount give a number away.
        """
        if not any(t.bar or t.text in OF_SUMS for t in self.tokens):
            return
        lifted = [replace(t, bar=False) for t in self.tokens if t.text not in OF_SUMS]
        found = runs(lifted)
        owned = {place for amount in amounts(self.tokens, self.text) for place in amount}
        at = 0
        for run in found:
            while at < len(self.tokens) and self.tokens[at].start < run.start:
                at += 1
            inside = []
            while at < len(self.tokens) and self.tokens[at].start < run.end:
                inside.append(at)
                at += 1
            if self.is_disguised(run, inside, owned):
                kind = self.kind(run)
                self.mask(run.start, run.end, kind if kind in ("card", "code", "phone") else "number")

    def is_disguised(self, run: Run, inside: Sequence[int], owned: set[int]) -> bool:
        """`inside`: places of the run's tokens; `owned`: those of tokens that are part of an amount."""
        n, kind = len(run.digits), self.kind(run)
        crossed = any(self.tokens[i].bar or self.tokens[i].text in OF_SUMS for i in inside)
        if n < 3 or not crossed:
            return False  # nothing disguises it: `judge` has seen it whole
        if n in CARD_DIGITS and luhn(run.digits):
            return True
        told = self.told(run)
        of_code = kind == "code" and IS_IT.match(self.text[run.end : run.end + 20]) is not None
        said_so = (told in ("code", "number") or of_code) and not any(
            self.tokens[i].text in OF_SUMS for i in inside
        )
        if said_so or (told and n >= LONG):
            return True
        if (
            kind == "card"
            and n >= CARD_DIGITS.start
            and any(self.tokens[i].text in NOT_MONEY for i in inside)
        ):
            return True
        loose = sum(len(self.tokens[i].digits) for i in inside if i not in owned and not self.tokens[i].soft)
        if n >= LONG:
            between = [self.tokens[i] for i in inside if i not in owned]
            by_word = any(
                t.soft or (t.text.isalpha() and not t.digits and t.text not in OF_SUMS) for t in between
            )
            listed = by_word or (not loose and any(t.text in LIST_MARKS for t in between))
            return not listed or loose >= LONG or 3 * loose >= n or (kind is not None and loose >= LET)
        if told is not None and loose > 0:
            return True
        if not self.alone_but_for_units:
            return False
        secret = kind in ("card", "code")
        if any(self.tokens[i].text in OF_SUMS for i in inside):
            return secret and loose > 0
        return self.carry.pending > 0 or (secret and (self.reading or self.fresh(kind)))

    def expiries(self) -> None:
        """The date after "expires", or in the answer to a question for it."""
        for _, end, _, kind in self.said_kinds:
            if kind == "expiry":
                self.expiry(end, min(end + 60, len(self.text)))
        asked = any(o.kinds and ("expiry", CARRY_TURNS) in o.kinds for o in self.others)
        if (asked or ("expiry" in dict(self.carry.kinds) and not self.said_kinds)) and len(
            self.text
        ) <= ASKED_EXPIRY_CHARS:
            self.expiry(0, len(self.text))

    def expiry(self, at: int, end: int) -> None:
        rest = self.text[at:end]
        figures = re.search(r"\b\d{1,2}\s*[/.,-]\s*(?:20)?\d{2}\b|\b\d{1,2}\s+(?:20)?\d{2}\b", rest)
        month = MONTH_WORD.search(rest)
        spoken = [run for run in runs(tokenise(rest)) if 2 <= len(run.digits) <= 8]
        if figures:
            self.mask(at + figures.start(), at + figures.end(), "code")
        if spoken:
            self.mask(at + spoken[0].start, at + spoken[0].end, "code")
        if month is not None:
            tail = re.match(r"[\s,]*(?:of\b[\s,]*)?(?:[\w-]+[\s,]*){0,4}", rest[month.end() :])
            said = TOKEN.finditer(rest[month.end() : month.end() + (tail.end() if tail else 0)])
            ends = [m.end() for m in said if numeric(Token(m.group().lower(), 0, 0))]
            if ends:
                self.mask(at + month.start(), at + month.end() + max(ends), "code")

    def halo(self) -> None:
        """Loose digits beside a masked number are taken for a piece of it."""
        numbers = [m for m in self.masks if m.label != "email" and m.end - m.start >= 3]
        if not numbers:
            return
        numbers.sort(key=lambda m: m.start)
        for run in self.runs:
            if len(run.digits) < 2 or self.is_years(run) or self.is_named(run):
                continue
            beside = next((mask for mask in numbers if self.beside(run, mask)), None)
            if beside is not None:
                self.mask(run.start, run.end, beside.label)

    def beside(self, run: Run, mask: Mask) -> bool:
        """Near a mask and in its sentence."""
        if run.end <= mask.start:
            gap = (run.end, mask.start)
        elif mask.end <= run.start:
            gap = (mask.end, run.start)
        else:
            return False
        if gap[1] - gap[0] > NEAR_CHARS:
            return False
        between = self.text[slice(*gap)]
        return len(between.split()) <= HALO_WORDS and not re.search(r"[a-z][.?!]\s", between, re.I)

    # --- what a run is said to be -----------------------------------------------------------

    def kind(self, run: Run) -> Kind | None:
        """Which kind of number is being talked about: the nearest word of a kind, else what the other
        side has just asked for, else the carried."""
        near: list[tuple[int, int, Kind]] = []
        first = bisect_left(self.said_kinds, (run.start - 2 * NEAR_CHARS,))
        for start, end, rank, kind in self.said_kinds[first:]:
            if start > run.end + NEAR_CHARS:
                break
            before = end <= run.start
            between = self.text[end : run.start] if before else self.text[run.end : start]
            if len(between) > NEAR_CHARS or (not before and start < run.end):
                continue
            if not before and re.search(r"[.?!]\s", between):
                continue  # another sentence
            distance = len(between.split())
            if distance <= NEAR_WORDS:
                near.append((distance if before else distance + 4, rank, kind))
        if near:
            return min(near)[2]
        if self.asked:
            return self.asked
        if self.carry.kinds:
            return self.carry.kinds[0][0]
        return next((kind for other in self.others for kind, left in other.kinds if left > 1), None)

    @property
    def asked(self) -> Kind | None:
        """What the other side talked of in its last turn; of several, what is masked soonest."""
        kinds = {kind for other in self.others for kind, left in other.kinds if left == CARRY_TURNS}
        return next((kind for kind in STRICTEST if kind in kinds), None)

    def fresh(self, kind: Kind | None) -> bool:
        """Said in this turn, asked for, or said shortly before."""
        kinds = [*self.carry.kinds, *(k for other in self.others for k in other.kinds)]
        return any(said[3] == kind for said in self.said_kinds) or any(k == kind for k, _ in kinds)

    @property
    def reading(self) -> bool:
        """Whether a number is being read out, by this speaker or, just now, by the other."""
        return self.carry.pending > 0 or any(other.pending == PENDING_TURNS for other in self.others)

    def told(self, run: Run) -> Kind | None:
        found = TOLD.search(self.text[max(0, run.start - 80) : run.start])
        if found is None:
            return None
        return "code" if found["code"] else "number" if found["number"] else "card"

    def is_named(self, run: Run) -> bool:
        """An order's, a room's, a house's number, said as such."""
        if NAMED.search(self.text[max(0, run.start - 60) : run.start]):
            return True
        return len(run.digits) <= 5 and STREET.match(self.text[run.end : run.end + 60]) is not None

    def is_years(self, run: Run) -> bool:
        """Years: each in one group, or one said as "nineteen ninety eight" or after "in" or "since"."""
        if all(len(group) == 4 and group[:2] in ("19", "20") for group in run.groups):
            return True
        digits = run.digits
        if len(digits) != 4 or digits[:2] not in ("19", "20"):
            return False
        before = self.text[max(0, run.start - 30) : run.start].split()
        return run.groups[0] in ("19", "20") or (bool(before) and before[-1].lower() in YEAR_WORDS)

    def is_sum(self, run: Run) -> bool:
        """Money though nobody says of what: "I owe 1200 on that card"."""
        return (
            len(run.groups) == 1
            and MONEY_OF.search(self.text[max(0, run.start - 40) : run.start]) is not None
        )

    def is_cut_off(self, run: Run) -> bool:
        """The text ends in it without a full stop: a number may be cut there. Sums of money apart."""
        rest = self.text[run.end : run.end + NEAR_CHARS]
        after = [t for t in self.tokens[-5:] if t.start >= run.end]
        light = all(t.bridges or t.text in CARRIERS for t in after[:-1])
        ends = len(rest) < NEAR_CHARS and light and all(t.bridges or t.text in PIECES for t in after[-1:])
        if not ends or rest.rstrip().endswith((".", "?", "!")):
            return False
        return MONEY.search(self.text[max(0, run.start - 40) : run.start]) is None

    def is_list(self, run: Run) -> bool:
        return LISTED.fullmatch(self.text[run.start : run.end]) is not None

    @property
    def alone(self) -> bool:
        """The turn says a number and nothing else of weight."""
        *said, last = self.tokens or [Token("", 0, 0)]
        return not any(_weighs(t) for t in said) and (not _weighs(last) or last.text in PIECES_OF_NUMBERS)

    @property
    def alone_but_for_units(self) -> bool:
        return not any(_weighs(replace(t, bar=False)) for t in self.tokens if t.text not in OF_SUMS)

    # --- what is left behind ----------------------------------------------------------------

    def carried(self, masks: Sequence[Mask]) -> Carry:
        spans = {(mask.start, mask.end) for mask in masks if mask.label != "email"}
        reading = bool(spans) or any(len(run.digits) >= LET and not self.is_years(run) for run in self.runs)
        pending = PENDING_TURNS if reading else max(0, self.carry.pending - 1)
        latest: dict[Kind, int] = {}
        for start, _, _, kind in self.said_kinds:
            latest[kind] = start
        fresh = [(kind, CARRY_TURNS) for kind in sorted(latest, key=lambda k: -latest[k])]
        held = reading or self.alone
        kept = [
            (kind, min(left, CARRY_TURNS - 1) if held and left else left - 1)
            for kind, left in self.carry.kinds
            if (left > 1 or held) and left and kind not in latest
        ]
        return Carry(pending, (*fresh, *kept), self.let_through(masks))

    def let_through(self, masks: Sequence[Mask]) -> int:
        """Digits that stand unmasked at the end, with those of turns before that said no more."""
        said = sum(len(t.digits) for t in self.tokens)
        if not self.runs:
            if said and self.alone:
                return self.carry.let + said
            words_said = sum(t.text.isalpha() for t in self.tokens)
            return self.carry.let if words_said <= 3 else 0
        last = self.runs[-1]
        if any(m.start < last.end and last.start < m.end for m in masks):
            return 0
        if self.alone:
            return self.carry.let + said
        after = [t for t in self.tokens if t.start >= last.end]
        return 0 if any(_weighs(t) for t in after) else len(last.digits)


def _is_mark(token: Token) -> bool:
    return not token.text.isalnum() and "'" not in token.text


def _weighs(token: Token) -> bool:
    """Whether a word says more than that a number is being read."""
    if token.bar:
        return True
    if not (token.text.isalnum() or "'" in token.text):
        return False
    light = token.pause or token.lead or token.text in CARRIERS or token.text in TIMES or token.text in SCALES
    return not (token.digits or light or token.text in ONES)


def _merged(masks: Iterable[Mask]) -> Iterable[Mask]:
    """In order; overlapping ones become one under the first's label."""
    kept: list[Mask] = []
    for mask in sorted(masks, key=lambda m: (m.start, -m.end)):
        if kept and mask.start < kept[-1].end:
            kept[-1] = Mask(kept[-1].start, max(kept[-1].end, mask.end), kept[-1].label)
        else:
            kept.append(mask)
    return kept
