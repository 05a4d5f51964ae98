"""The demo scripts as perfect pieces: what `view` would get from an engine that recognises everything."""

from __future__ import annotations

from calls import demo
from scoring.language import TurnText, load_language
from scoring.outlook import THANKS
from scoring.rubric import COURTESY_PARTS, CUSTOMER_CUES, RubricSpec, default_rubric
from scoring.types import FELT, CallView, Channel, Cue, Speech, Turn
from scoring.view import view

SURE = 0.9
"""Strength of every state felt and behaviour shown."""
LANGUAGE = load_language(stand_in=True)
"""Only for what the scripts do not label: the parts of courtesy, escalation, thanks."""


def turns_of(call: demo.DemoCall) -> list[Turn]:
    return [turn_of(turn) for turn in call.turns]


def turn_of(line: demo.ScriptTurn) -> Turn:
    channel = Channel(line.who)
    heard = LANGUAGE.read([TurnText(channel, line.text)])[0]
    if channel is Channel.CUSTOMER:
        states = {str(s): SURE if line.state == s else 0.02 for s in FELT}
        cues = tuple(c for c in heard.cues if c.label in CUSTOMER_CUES or c.source in THANKS)
        return Turn(channel, line.start_ms, line.end_ms, line.text, 1.0, (), states, {}, cues)
    behaviours = {b: SURE for b in line.behaviours if b != "ignored"}
    cues = tuple(c for c in heard.cues if c.label in (*COURTESY_PARTS, "hold"))
    if "courtesy" in behaviours and not any(c.label == "politeness" for c in cues):
        cues += (Cue("politeness", SURE, 0.9, line.text[:40], "rule:script"),)
    return Turn(channel, line.start_ms, line.end_ms, line.text, 1.0, (), {}, behaviours, cues)


def seen(slug: str, closed: bool = True, rubric: RubricSpec | None = None) -> CallView:
    call = demo.load(slug)
    turns = turns_of(call)
    speech = [Speech(t.channel, t.start_ms, t.end_ms) for t in turns]
    return view(turns, [], speech, rubric or default_rubric(), now_ms=call.duration_ms, closed=closed)


def report() -> None:
    for path in demo.script_paths():
        got = seen(path.stem)
        parts = " ".join(f"{k}={v if v is None else format(v, '.2f')}" for k, v in got.components.items())
        low, high = got.empathy_low, got.empathy_high
        print(f"{path.stem:30} {got.empathy} [{low},{high}] n={len(got.opportunities)} {parts}")
        for o in got.opportunities:
            print("    ", o.t_ms // 1000, o.state, o.affect, o.response, o.met)
        o = got.outlook
        print("    ", o.status, o.confidence, o.score, [(r.amount, r.text) for r in o.reasons])
        print("    ", got.alignment, got.timing)


if __name__ == "__main__":
    report()
