"""Words of feeling that are not what the caller feels now: they are set aside before anything reads the turn.

"I'm not terrified or anything", "I'm afraid I don't have it", "I was frightened, but I'm fine now", "my
neighbour got angry, but I don't mind". Sentence encoders hear the feeling and not the "not", and phrases see
three words back. English; pleased words stay, since "not happy" is a complaint.
"""

from __future__ import annotations

import re

_DISTRESS = (
    "(?:afraid|angry|annoyed|anxious|baffled|concerned|confused|cross|depressed|devastated|fed up|frantic"
    "|frightened|frustrated|furious|heartbroken|irritated|livid|mad|nervous|panick(?:ed|ing|y)|petrified"
    "|puzzled|raging|sad|scared|shaken|stressed|terrified|unhappy|upset|worried)\\b"
)
_FILLERS = (
    r"(?:[,\s]*\b(?:like|you know|really|that|so|all that|even|at all|particularly|exactly|overly|too|very"
    r"|super|totally|as if i'm|because i'm|um|uh|er|saying i'm|say i'm|being)\b[,\s]*){0,4}[,\s]*"
)
_FELT = _FILLERS + _DISTRESS
_TAIL = r"(?:\s+(?:or anything|or something|at all|any ?more|with you|about it|about that))*"
_UNTIL_BUT = r"[^.?!]{0,60}?\bbut "
_FINE = (
    r"(?:i'm|i am|i feel|we're|it's|that's|everything's|all)\s+"
    r"(?:(?:all|much|feeling|perfectly|quite)\s+)*"
    r"(?:fine|okay|ok|better|calm|good|over it|past it|al+ ?right)\b"
)

_PATTERNS = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"\bit'?s not (?:that|because|like) (?:i'm|i am|we're)\s+{_FELT}{_TAIL}",
        rf"\bi (?:wouldn't|don't want to|can't|won't) say (?:that )?(?:i'm|i am|it's)?\s*{_FELT}{_TAIL}",
        r"(?:\b(?:i|we)(?:'m| am|'re| are| was| were)\s+)?"
        rf"(?:\b(?:not|never(?! so\b)|hardly|no longer|(?:was|were|is|are|am|ai)n't)\b)\s*{_FELT}{_TAIL}",
        r"\bi(?:'m| am) afraid,?\s+(?=(?:not|so)\b|(?:i|we)'ve\s+(?:lost|mislaid|misplaced|forgotten|only)\b"
        r"|(?:i|we)\s+(?:don't|do not|can't|cannot|haven't|didn't|couldn't|need|must|only|missed|forgot)\b)",
        rf"\b(?:i|we) (?:was|were|got|felt|used to be)\s+{_FELT}{_UNTIL_BUT}(?={_FINE})",
        r"\b(?:my|his|her|our|their|the|some)\s+\w+(?:\s+\w+)?\s+(?:got|gets|was|were|is|are|became)\s+"
        rf"{_FELT}{_UNTIL_BUT}(?=i(?:'m (?:not|fine|okay)| don't (?:mind|care)| couldn't care)\b)",
    )
)


def meant(text: str) -> str:
    """The text without the feelings its speaker does not have now; pieces keep their order."""
    for pattern in _PATTERNS:
        text = pattern.sub(" ", text)
    return " ".join(text.split()).lstrip(" ,.;")
