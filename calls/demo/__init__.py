"""The scripted demo calls: what they say, how they sound, when each turn is heard.

Everything here is synthetic. Knows only its own YAML, JSON and file names: no Django, no audio
library. `render.py` beside it makes the audio; nothing imports that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import yaml

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE / "scripts"
AUDIO = HERE / "audio"
INDEX = AUDIO / "index.json"

Who = Literal["customer", "agent"]

# The values of scoring.types.State and Behaviour, spelled out because importing them costs numpy;
# tests/demo keeps the two lists together.
STATES = frozenset({"calm", "frustration", "anxiety", "confusion", "sadness", "satisfaction"})
BEHAVIOURS = frozenset(
    {"acknowledge", "understand", "explore", "own", "reassure", "courtesy", "dismissive", "blaming"}
    | {"ignored"}  # an opportunity passed over: a judgement on the exchange, not on the words
)
DEFAULT_PAUSE_MS = 350

_CALL_FIELDS = frozenset(
    ["synthetic", "title", "queue", "summary", "arc", "caller_voice", "agent_voice", "agent_name", "turns"]
)
_TURN_FIELDS = frozenset(["who", "text", "state", "behaviours", "pause_ms", "overlap_ms"])


class DemoError(ValueError):
    """A demo script or its audio is missing or malformed; the message names file and turn."""


@dataclass(frozen=True)
class ScriptTurn:
    who: Who
    text: str
    state: str | None
    """What the caller is meant to feel here: the author's expectation. None for the agent."""
    behaviours: tuple[str, ...]
    """What the agent is meant to do here, same caveat. () for the customer."""
    pause_ms: int
    overlap_ms: int
    """How long this turn talks over the end of the one before."""
    start_ms: int = 0
    end_ms: int = 0
    """As rendered: first and last audible moment in the audio file. 0 before rendering."""


@dataclass(frozen=True)
class DemoCall:
    slug: str
    title: str
    queue: str
    agent_name: str
    turns: tuple[ScriptTurn, ...]
    audio_path: Path
    """Ogg Opus, two channels: left customer, right agent."""
    duration_ms: int
    summary: str
    arc: str
    caller_voice: str
    agent_voice: str


def load_all() -> list[DemoCall]:
    """Every demo call with its audio, by slug. DemoError if anything is missing or malformed."""
    return [load(path.stem) for path in script_paths()]


def load(slug: str) -> DemoCall:
    """One demo call with the timing of its rendered audio."""
    script = load_script(SCRIPTS / f"{slug}.yaml")
    entry = _rendered(slug)
    if entry.get("script_sha256") != script_sha256(slug):
        raise DemoError(f"{slug}: the script changed after its audio was made; run calls/demo/render.py")
    timing = cast(list[Mapping[str, int]], entry["turns"])
    if len(timing) != len(script.turns):
        raise DemoError(f"{slug}: {len(timing)} timed turns for {len(script.turns)} scripted ones")
    if not script.audio_path.is_file():
        raise DemoError(f"{slug}: {script.audio_path} is missing; run calls/demo/render.py")
    turns = tuple(
        ScriptTurn(**{**vars(turn), "start_ms": t["start_ms"], "end_ms": t["end_ms"]})
        for turn, t in zip(script.turns, timing, strict=True)
    )
    return DemoCall(**{**vars(script), "turns": turns, "duration_ms": cast(int, entry["duration_ms"])})


def script_paths() -> list[Path]:
    paths = sorted(SCRIPTS.glob("*.yaml"))
    if not paths:
        raise DemoError(f"no demo scripts in {SCRIPTS}")
    return paths


def script_sha256(slug: str) -> str:
    return hashlib.sha256((SCRIPTS / f"{slug}.yaml").read_bytes()).hexdigest()


def load_script(path: Path) -> DemoCall:
    """The script alone, checked field by field; its times are 0 until `load` adds them."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise DemoError(f"{path.name}: cannot be read: {error}") from error
    if not isinstance(raw, dict) or set(raw) != _CALL_FIELDS:
        got = set(raw) if isinstance(raw, dict) else set()
        raise DemoError(f"{path.name}: fields missing or unknown: {sorted(got ^ _CALL_FIELDS)}")
    if raw["synthetic"] is not True:
        raise DemoError(f"{path.name}: demo calls must be marked synthetic: true")
    names = {key: _text(path, key, raw[key]) for key in _CALL_FIELDS - {"synthetic", "turns"}}
    if not isinstance(raw["turns"], list) or not raw["turns"]:
        raise DemoError(f"{path.name}: turns must be a list")
    return DemoCall(
        slug=path.stem,
        turns=tuple(_turn(path, n, turn) for n, turn in enumerate(raw["turns"], start=1)),
        audio_path=AUDIO / f"{path.stem}.opus",
        duration_ms=0,
        **names,
    )


def _turn(path: Path, n: int, raw: object) -> ScriptTurn:
    where = f"{path.name}, turn {n}"
    if not isinstance(raw, dict) or not set(raw) <= _TURN_FIELDS:
        raise DemoError(f"{where}: must be a mapping of {sorted(_TURN_FIELDS)}")
    who, state, behaviours = raw.get("who"), raw.get("state"), raw.get("behaviours")
    if who == "customer":
        if state not in STATES or behaviours is not None:
            raise DemoError(f"{where}: a customer turn has a state of {sorted(STATES)}, no behaviours")
    elif who == "agent":
        if state is not None or not isinstance(behaviours, list) or not set(behaviours) <= BEHAVIOURS:
            raise DemoError(f"{where}: an agent turn has behaviours of {sorted(BEHAVIOURS)}, no state")
    else:
        raise DemoError(f"{where}: who is {who!r}, must be customer or agent")
    return ScriptTurn(
        who=cast(Who, who),
        text=_text(path, f"turn {n}, text", raw.get("text")),
        state=state,
        behaviours=tuple(behaviours or ()),
        pause_ms=_milliseconds(where, raw.get("pause_ms", DEFAULT_PAUSE_MS)),
        overlap_ms=_milliseconds(where, raw.get("overlap_ms", 0)),
    )


def _text(path: Path, key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise DemoError(f"{path.name}: {key} must be text, not {value!r}")
    return value.strip()


def _milliseconds(where: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 60_000:
        raise DemoError(f"{where}: {value!r} is not a whole number of milliseconds up to a minute")
    return value


def _rendered(slug: str) -> Mapping[str, object]:
    try:
        calls = json.loads(INDEX.read_text(encoding="utf-8"))["calls"]
    except (OSError, ValueError, KeyError) as error:
        raise DemoError(f"{INDEX} cannot be read: {error}; run calls/demo/render.py") from error
    if slug not in calls:
        raise DemoError(f"{slug}: no audio in {INDEX.name}; run calls/demo/render.py")
    return cast(Mapping[str, object], calls[slug])


def agent_username(agent_name: str) -> str:
    """The log-in of a scripted agent: "Priya Shah" → "priya.shah"."""
    return ".".join(agent_name.lower().split())
