"""How documents look in a template's first paint: glyphs, words and short texts. Pure; no queries.

static/js/words.js reads LOOK from the page, so glyphs and words are written down here only.
"""

from __future__ import annotations

import re
from datetime import datetime
from statistics import median
from typing import Any

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from calls.views.said import said, sayings
from scoring.rubric import ANY_DISTRESS, default_rubric
from scoring.types import HARMFUL

Doc = dict[str, Any]

LOOK: Doc = {
    "risk": {"calm": ["○", _("Calm")], "watch": ["◐", _("Watch")], "help": ["⬢", _("Help now")]},
    "state": {
        "calm": ["●", _("Calm")],
        "satisfaction": ["▲", _("Satisfied")],
        "sadness": ["▼", _("Sad")],
        "frustration": ["◆", _("Frustrated")],
        "anxiety": ["✚", _("Anxious")],
        "confusion": ["■", _("Confused")],
        "unsure": ["◌", _("Unsure")],
    },
    "behaviour": {
        "acknowledge": ["✓", _("acknowledges")],
        "understand": ["✓", _("understands")],
        "explore": ["✓", _("explores")],
        "own": ["✓", _("owns it")],
        "reassure": ["✓", _("reassures")],
        "courtesy": ["·", _("courtesy")],
        "dismissive": ["✕", _("dismissive")],
        "blaming": ["✕", _("blaming")],
    },
    "cue": {
        "anger": ["›", _("anger")],
        "closing": ["›", _("closing")],
        "closing-thanks": ["›", _("thanks at the end")],
        "escalation": ["›", _("escalation")],
        "gratitude": ["›", _("gratitude")],
        "greeting": ["›", _("greeting")],
        "hold": ["›", _("announces a hold")],
        "loyalty": ["›", _("loyalty")],
        "politeness": ["›", _("politeness")],
        "urgency": ["›", _("urgency")],
    },
    "phrase": {
        "ack-effort": _("acknowledges the effort"),
        "ack-feeling": _("acknowledges the feeling"),
        "ack-light": _("acknowledges in passing"),
        "anger-words": _("angry words"),
        "apology": _("an apology"),
        "ashamed": _("shame"),
        "asks-how": _("asks how"),
        "bare-thanks": _("bare thanks"),
        "bereavement": _("a bereavement"),
        "blame": _("blames the caller"),
        "close": _("words of farewell"),
        "danger": _("danger"),
        "delighted": _("delight"),
        "dismiss": _("brushes it off"),
        "dismiss-policy": _("hides behind the rules"),
        "done": _("says that it is done"),
        "escalation-as-frustration": _("escalates"),
        "escalation-complaint": _("a complaint or legal action"),
        "escalation-leave": _("wants to leave"),
        "escalation-person": _("asks for somebody else"),
        "fed-up": _("fed up"),
        "grateful": _("grateful words"),
        "greet": _("words of greeting"),
        "hardship": _("hardship"),
        "harm-done": _("harm was done"),
        "helpless": _("helplessness"),
        "loyalty-recommend": _("would recommend"),
        "loyalty-stay": _("means to stay"),
        "next-step": _("a next step"),
        "not-solved": _("not solved"),
        "not-understood": _("did not understand"),
        "open-question": _("an open question"),
        "ownership": _("takes it on"),
        "polite": _("polite words"),
        "pressure": _("pressure"),
        "reflect": _("sums up what was said"),
        "repeat-contact": _("calls about it again"),
        "safe": _("says that it is safe"),
        "sarcastic": _("sarcasm"),
        "told-nothing": _("was told nothing"),
        "understand-light": _("understands in passing"),
        "urgency": _("it is urgent"),
        "wait-announced": _("announces a wait"),
        "waiting": _("had to wait"),
        "warm-thanks": _("warm thanks"),
        "worry": _("worries"),
    },
    "loyalty": {
        "at_risk": ["▾", _("At risk")],
        "steady": ["▸", _("Steady")],
        "strengthened": ["▴", _("Strengthened")],
    },
    "target": {"help": 0, "empathy": 60, "lag_ms": 2000},
    "low_confidence": 0.5,
    "met": default_rubric().alignment.met,
    "harm_from": dict.fromkeys(map(str, HARMFUL), default_rubric().penalties.harm_strength),
    "stale_ms": 5000,
    "ended_stays_ms": 8000,
    "gap_ms": 8000,
}


def look_of_rule(state: str) -> list[Any]:
    """Of the state of a cue's rule, which may be any distress."""
    return ["◇", _("Upset")] if state == ANY_DISTRESS else list(LOOK["state"][state])


def look(**more: Any) -> Doc:
    """What a page's scripts read of all this, in the reader's language."""
    return LOOK | {"said": sayings()} | more


RANK = {"help": 0, "watch": 1, "calm": 2}
BAND = 6
SPARK_W, SPARK_H = 120, 32
SPARK_SPAN_MS = 60_000
JUST_NOW_MS = 2000
"""A fresh score's age is not counted by the second: nobody acts on it, and it would write every tile anew."""
LIKELY = 0.35
"""A state or behaviour below this is not named under a turn."""


def clock(ms: float) -> str:
    seconds = max(0, int(ms // 1000))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02d}:{seconds % 60:02d}" if hours else f"{minutes}:{seconds % 60:02d}"


def lasted(ms: float) -> str:
    """How long, for a wall: whole minutes once there is one."""
    return clock(ms) if ms < 60_000 else gettext("%s min") % int(ms // 60_000)


def elapsed_ms(tile: Doc, now: datetime) -> float:
    end = datetime.fromisoformat(tile["ended_at"]) if tile.get("ended_at") else now
    return (end - datetime.fromisoformat(tile["started_at"])).total_seconds() * 1000


def empathy_words(tile: Doc) -> str:
    if tile["empathy"] is not None:
        return str(round(tile["empathy"]))
    return gettext("not yet") if tile.get("courtesy") is None else gettext("courtesy only")


def change_words(tile: Doc) -> str:
    change = tile.get("change_60s")
    if tile["empathy"] is None or change is None:
        return ""
    rounded = round(change)
    arrow = "▴" if rounded > 0 else "▾" if rounded < 0 else "▸"
    return gettext("%s in 60 s") % f"{arrow} {abs(rounded)}" if rounded else f"{arrow} {gettext('steady')}"


def spark_runs(points: list[list[float]], media_ms: float) -> list[str]:
    """Points of SVG polylines, newest at the right; another one after nothing was said for LOOK["gap_ms"]."""
    if not points:
        return []
    end = max(media_ms, points[-1][0])
    span = max(SPARK_SPAN_MS, end - points[0][0])
    runs, before = [], None
    for t_ms, distress in points:
        x = SPARK_W * (1 - (end - t_ms) / span)
        y = SPARK_H - 1 - (SPARK_H - 2) * distress
        if before is not None and t_ms - before <= LOOK["gap_ms"]:
            runs[-1] += f" {x:.1f},{y:.1f}"
        else:
            runs.append(f"{x:.1f},{y:.1f} {x + 0.1:.1f},{y:.1f}")
        before = t_ms
    return runs


def tile_paint(tile: Doc, now: datetime) -> Doc:
    scored_at = tile.get("scored_at")
    age_ms = (now - datetime.fromisoformat(scored_at)).total_seconds() * 1000 if scored_at else None
    live = tile["status"] == "live"
    stale = live and age_ms is not None and age_ms > LOOK["stale_ms"]
    return tile | {
        "risk_look": LOOK["risk"][tile["risk"]],
        "state_look": LOOK["state"][tile["state"]],
        "intensity_words": "" if tile["state"] in ("calm", "unsure") else f"{tile['intensity']:.0%}",
        "low": tile["confidence"] < LOOK["low_confidence"],
        "elapsed": clock(elapsed_ms(tile, now)),
        "lasted": lasted(elapsed_ms(tile, now)),
        "empathy_words": empathy_words(tile),
        "change_words": change_words(tile),
        "spark_runs": spark_runs(tile["spark"], tile["media_ms"]),
        "threshold_y": f"{SPARK_H - 1 - (SPARK_H - 2) * tile['threshold']:.1f}",
        "stale": stale,
        "people_words": people_words(tile.get("helpers", [])),
        "alerts_words": alerts_words(tile.get("alerts_open", 0)),
        "age_words": age_words(tile, age_ms),
        "about_once": ""
        if tile.get("quote") and tile["quote"] in tile.get("about", "")
        else tile.get("about", ""),
    }


def alerts_words(n: int) -> str:
    return ngettext("%s open alert", "%s open alerts", n) % n if n else ""


def people_words(helpers: list[str]) -> str:
    form = ngettext("%s looks after it", "%s look after it", len(helpers))
    return f"✓ {form % ', '.join(helpers)}" if helpers else ""


def age_words(tile: Doc, age_ms: float | None) -> str:
    if tile["status"] != "live":
        return gettext("ended") if tile["status"] == "ended" else gettext("stream lost")
    if age_ms is None:
        return gettext("no score yet")
    seconds = max(0, int(age_ms // 1000))
    if age_ms <= LOOK["stale_ms"]:
        return gettext("scored %s s ago") % seconds if age_ms >= JUST_NOW_MS else gettext("scored just now")
    at = datetime.fromisoformat(tile["scored_at"]).strftime("%H:%M:%S UTC")
    return gettext("stale since %s") % at


def floor_paint(floor: Doc, wanted: dict[str, str]) -> Doc:
    """What /floor/ shows before any script runs: headline, needs-help band, the others."""
    now = datetime.fromisoformat(floor["now"])
    tiles = sorted(
        (tile for tile in floor["calls"].values() if matches(tile, wanted)),
        key=lambda tile: (RANK[tile["risk"]], tile["started_at"], tile["id"]),
    )
    live = [tile for tile in tiles if tile["status"] == "live"]
    help_now = [tile for tile in live if tile["risk"] == "help"]
    painted = [tile_paint(tile, now) for tile in tiles]
    band = [tile for tile in painted if tile["status"] == "live" and tile["risk"] == "help"][:BAND]
    known = [tile["empathy"] for tile in live if tile["empathy"] is not None]
    return {
        "band": band,
        "others": [tile for tile in painted if tile not in band],
        "live": len(live),
        "help": len(help_now),
        "empathy": round(median(known)) if known else None,
        "lag": f"{floor['lag_ms'] / 1000:.1f}",
        "synthetic": any(tile["synthetic"] for tile in floor["calls"].values()),
    }


def matches(tile: Doc, wanted: dict[str, str]) -> bool:
    text = " ".join((said(tile["agent"]), tile["queue"], tile["team_name"], tile["source"])).lower()
    return (
        wanted["team"] in ("", str(tile["team"]))
        and wanted["queue"] in ("", tile["queue"])
        and wanted["q"].lower() in text
    )


def label_look(label: str) -> list[str]:
    """Glyph and word of any cue label: a state, a behaviour or a finer cue."""
    known = LOOK["state"].get(label) or LOOK["behaviour"].get(label) or LOOK["cue"].get(label)
    return known or ["›", label.replace("-", " ")]


def marked(text: str, cues: list[Doc]) -> list[Doc]:
    """The text in pieces, each quote that caused a cue a piece of its own. Overlaps keep the first."""
    spans: list[tuple[int, int, Doc]] = []
    for cue in cues:
        quote = cue["quote"].strip()
        found = re.search(re.escape(quote), text, re.IGNORECASE) if quote else None
        if found and all(found.end() <= start or found.start() >= end for start, end, _ in spans):
            spans.append((found.start(), found.end(), cue))
    pieces: list[Doc] = []
    at = 0
    for start, end, cue in sorted(spans, key=lambda found: found[0]):
        pieces += [
            {"text": text[at:start]},
            {"text": text[start:end], "cue": cue, "look": label_look(cue["label"])},
        ]
        at = end
    return [piece for piece in [*pieces, {"text": text[at:]}] if piece["text"]]


def turn_paint(turn: Doc) -> Doc:
    felt = turn["states"] if turn["channel"] == "customer" else turn["behaviours"]
    likely = [(v, k) for k, v in felt.items() if v >= LOOK["harm_from"].get(k, LIKELY)]
    named = sorted(likely, reverse=True)[:2]
    return turn | {
        "at": clock(turn["start_ms"]),
        "who": gettext("Caller") if turn["channel"] == "customer" else gettext("Agent"),
        "pieces": marked(turn["text"], turn["cues"]),
        "low": turn["confidence"] < LOOK["low_confidence"],
        "marks": [{"label": k, "look": label_look(k), "percent": f"{v:.0%}"} for v, k in named],
    }
