"""Reader of labelled contact-centre turns (format and guidelines: docs/labelling.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scoring.rubric import BEHAVIOUR_NAMES, STATE_NAMES
from scoring.training.data import DataError
from scoring.types import Channel

FOLDER = Path(__file__).parent / "contact_centre"
PRESENT = 0.5
"""From this strength on a label counts as present."""
PREVIOUS_TURNS = 2
STRENGTHS = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class LabelledTurn:
    scenario: str
    industry: str
    channel: Channel
    text: str
    previous: tuple[str, ...]
    """The same speaker's turns before it, oldest first: what a live call gives the model."""
    states: Mapping[str, float]
    """Customer only."""
    behaviours: Mapping[str, float]
    """Agent only."""
    hard: tuple[str, ...]


def read_turns(folder: Path) -> list[LabelledTurn]:
    """Every turn of every `*.yaml` in a folder, by file name. DataError names file, turn and fault."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise DataError(f"no *.yaml with labelled turns in {folder}; see docs/labelling.md")
    return [turn for file in files for turn in read_scenario(file)]


def read_scenario(path: Path) -> list[LabelledTurn]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if not isinstance(raw, dict) or set(raw) != {"scenario", "industry", "turns"}:
        raise DataError(f"{path}: must have scenario, industry and turns, and nothing else")
    if raw["scenario"] != path.stem:
        raise DataError(f"{path}: is named scenario {raw['scenario']!r}; it must equal the file's name")
    said: dict[Channel, list[str]] = {c: [] for c in Channel}
    turns = []
    for n, entry in enumerate(raw["turns"], start=1):
        turn = _turn(f"{path}, turn {n}", raw, entry, said)
        said[turn.channel].append(turn.text)
        turns.append(turn)
    return turns


def _turn(where: str, raw: Mapping[str, Any], entry: Any, said: Mapping[Channel, list[str]]) -> LabelledTurn:
    if not isinstance(entry, dict) or entry.get("who") not in set(Channel):
        raise DataError(f"{where}: needs who: customer or who: agent")
    channel = Channel(entry["who"])
    field, names = ("states", STATE_NAMES) if channel is Channel.CUSTOMER else ("behaviours", BEHAVIOUR_NAMES)
    if strange := set(entry) - {"who", "text", "hard", field}:
        raise DataError(
            f"{where}: a turn of the {channel} may not have {', '.join(sorted(map(str, strange)))}"
        )
    text, labels = entry.get("text"), entry.get(field)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: text is missing")
    if not isinstance(labels, dict) or any(k not in names or v not in STRENGTHS for k, v in labels.items()):
        raise DataError(
            f"{where}: {field} must map {', '.join(names)} to one of {', '.join(map(str, STRENGTHS))}"
        )
    strengths = {str(k): float(v) for k, v in labels.items()}
    return LabelledTurn(
        scenario=str(raw["scenario"]),
        industry=str(raw["industry"]),
        channel=channel,
        text=text.strip(),
        previous=tuple(said[channel][-PREVIOUS_TURNS:]),
        states=strengths if channel is Channel.CUSTOMER else {},
        behaviours=strengths if channel is Channel.AGENT else {},
        hard=tuple(entry.get("hard", ())),
    )
