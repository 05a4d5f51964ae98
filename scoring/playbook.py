"""A team's playbook: which words, and which solution, go with a state and a topic. Pure; knows no calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from urllib.parse import urlsplit

from .phrases import PatternError, compile_pattern, one_of, spoken
from .rubric import ANY_DISTRESS, MAX_PLAYBOOK, PlaybookEntry
from .types import Behaviour, State

LONGEST_PHRASE = 300
LONGEST_SOLUTION = 200
LONGEST_LINK = 300


def entry_for(
    entries: Sequence[PlaybookEntry], state: State, missing: Behaviour, queue: str, said: str
) -> PlaybookEntry | None:
    """The first for this state, for what is missing and for the topic: the queue, the caller's words."""
    return next((e for e in entries if _is_about(e, state, missing) and _is_on_topic(e, queue, said)), None)


def _is_about(entry: PlaybookEntry, state: State, missing: Behaviour) -> bool:
    return entry.state in (state, ANY_DISTRESS) and entry.missing in ("", missing)


def _is_on_topic(entry: PlaybookEntry, queue: str, said: str) -> bool:
    """Where queues are given it must be one of them, and where words are given some must be said."""
    if entry.queues and _plain(queue) not in map(_plain, entry.queues):
        return False
    heard = _heard(entry.words)
    return heard is None or heard.search(spoken(said).plain) is not None


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


@cache
def _heard(words: tuple[str, ...]) -> re.Pattern[str] | None:
    return one_of(words)


def problems_of(entry: PlaybookEntry) -> Iterator[str]:
    """What no single field can tell: "field: what is wrong"; "" as the field where it is the whole entry."""
    if not entry.queues and not entry.words:
        yield ": give queues, words or both: the topic it is for"
    if not entry.phrases and not entry.solution:
        yield ": give phrases, a solution or both"
    if len(entry.phrases) > MAX_PLAYBOOK:
        yield f".phrases: at most {MAX_PLAYBOOK}, not {len(entry.phrases)}"
    for name, texts, longest in (
        ("queues", entry.queues, 80),
        ("phrases", entry.phrases, LONGEST_PHRASE),
        ("solution", (entry.solution,) if entry.solution else (), LONGEST_SOLUTION),
        ("link", (entry.link,) if entry.link else (), LONGEST_LINK),
    ):
        for text in texts:
            if not text.strip() or len(text) > longest:
                yield f".{name}: has {len(text)} characters; 1 to {longest} that are not blank are kept"
    for pattern in entry.words:
        try:
            compile_pattern(pattern)
        except PatternError as error:
            yield f".words: {error}"
    if entry.link and not entry.solution:
        yield ".link: goes with a solution, and there is none"
    if entry.link and not _is_https(entry.link):
        yield f".link: must be a whole address that begins with https://, not {entry.link!r}"


def _is_https(link: str) -> bool:
    try:
        parts = urlsplit(link)
        host, user = parts.hostname, parts.username
    except ValueError:
        return False
    plain = link.isascii() and link.isprintable() and not any(char in link for char in " \"'<>\\`")
    return plain and link.startswith("https://") and bool(host) and user is None
