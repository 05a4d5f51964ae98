"""Two lines about a call so far, in its own words: what it is about, and where it stands. Pure; no model.

Extractive on purpose: a supervisor who reads a quote can trust it, and can find it in the transcript.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from .types import Channel, Turn

OPENING_TURNS = 5
"""What a call is about is said in the caller's first turns."""
FEW, MANY = 5, 32
"""Words of a sentence worth quoting; longer ones are cut."""
SENTENCE = re.compile(r"[^.?!]+[.?!]*")
WORD = re.compile(r"[a-z']+")


def any_of(lines: str) -> re.Pattern[str]:
    """One of these, as whole words; alternatives by line and by |."""
    return re.compile(rf"\b(?:{'|'.join(line.strip() for line in lines.strip().splitlines())})\b", re.I)


REASON = any_of(
    """
    call(?:ing)? (?:about|because|to|regarding)|ring(?:ing)? (?:about|because|to)|like to|trying to|how do
    problem|issue|wrong|broken|down|not work(?:ing)?|doesn't|didn't|hasn't|haven't|isn't|won't|can't|cannot
    never|still|charged|bill|refund|cancel|missing|lost|late|stolen|declined|blocked|moved|change|order(?:ed)?
    need|want(?:ed)?|wondering|faster|upgrade|tricked|scam|joined|letter|died|passed away|appointment|delivery
    account|payment
    """
)
STEP = any_of(
    """
    i'll|i will|i've|i have|i'm (?:going to|sending|adding|putting|booking|taking|refunding)
    we'll|we will|we've|you'll|you will|it'll|it will|it's (?:done|on its way|booked|blocked)|is blocked
    by (?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|tomorrow|tonight|the end)
    within|as soon as|engineer|refund|credit
    """
)
GREETING = re.compile(r"^\W*(?:hello|hi|hey|good (?:morning|evening)|thanks?|okay|yes|no|yeah|bye)\b", re.I)
GENERIC = frozenset(
    WORD.findall(
        """
        i you the a an to and of it is that in for my me we so on this was have with but be at are not your
        just do if can what no yes okay oh well um uh like know got get about i'm it's they
        them there would could
        """
    )
)


def summary(turns: Sequence[Turn]) -> tuple[str, str]:
    """(what it is about, where it stands), each a quote or "" while nothing was said that tells it."""
    heard = [turn for turn in turns if turn.text]
    return about(heard), standing(heard)


def about(turns: Sequence[Turn]) -> str:
    """The sentence of the caller's first turns that says most of the reason for the call."""
    said = [turn for turn in turns if turn.channel is Channel.CUSTOMER]
    often = Counter(w for turn in said for w in set(WORD.findall(turn.text.lower())) - GENERIC)
    best, most = "", 0.0
    for place, turn in enumerate(said[:OPENING_TURNS]):
        for sentence in sentences(turn.text):
            words = WORD.findall(sentence.lower())
            if len(words) < FEW:
                continue
            weight = (
                2.0 * len(REASON.findall(sentence)) + sum(min(often[w], 3) for w in set(words) - GENERIC) / 4
            )
            weight *= (0.5 if GREETING.match(sentence) and len(words) < 8 else 1.0) / (1 + 0.35 * place)
            if weight > most:
                best, most = sentence, weight
    return quoted(best)


def standing(turns: Sequence[Turn]) -> str:
    """The agent's last step or promise; before any, what the caller said last."""
    for turn in reversed(turns):
        if turn.channel is Channel.AGENT:
            for sentence in reversed(sentences(turn.text)):
                if told(sentence):
                    return f"Agent: {quoted(sentence)}"
    asked = [t for t in turns if t.channel is Channel.CUSTOMER and len(t.text.split()) >= FEW]
    return f"No step promised yet. Caller: {quoted(sentences(asked[-1].text)[-1])}" if len(asked) > 1 else ""


def told(sentence: str) -> bool:
    """A step or promise, no question."""
    enough = len(WORD.findall(sentence.lower())) >= FEW
    return enough and not sentence.endswith("?") and STEP.search(sentence) is not None


def sentences(text: str) -> list[str]:
    return [s.strip() for s in SENTENCE.findall(text) if s.strip()] or [text.strip()]


def quoted(sentence: str) -> str:
    if not sentence:
        return ""
    words = sentence.split()
    return f"“{' '.join(words[:MANY])}{' …' if len(words) > MANY else ''}”"
