"""Floors and calls made up by the contract (docs/contracts.md), for looking at pages and for tests.

Deterministic for a seed. No Django, no database.
"""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

Doc = dict[str, Any]
PEOPLE = [
    "Bob Okafor", "Mina Sato", "Lucía Fernández", "Tom Brandt", "Aisha Rahman", "Piotr Nowak", "Grace Adeyemi",
    "Jonas Lindqvist", "Priya Iyer", "Hannah O’Sullivan-Whitfield", "Kofi Mensah", "Elena Petrova",
]  # fmt: skip
FIRST = (
    "Amara", "Ben", "Chloé", "Dmitri", "Esra", "Femi", "Gwen", "Hassan", "Ines", "Jack", "Keiko", "Leon", "Mei", "Nils",
    "Olivia", "Pablo", "Rosa", "Samir", "Tilda", "Yusuf",
)  # fmt: skip
LAST = (
    "Abbott", "Baumann", "Castillo", "Dvořák", "Eze", "Farah", "Greene", "Hughes", "Ivanova", "Jansen", "Kowalska", "Lee",
    "Moretti", "Ndiaye", "Oliveira", "Quinn", "Rossi", "Singh", "Tran", "Weber",
)  # fmt: skip
QUEUES = ["Fees", "Cards", "Fraud", "Moving home", "General"]
STALE = timedelta(seconds=5)
ANSWERS = 0.12
"""Share of calls in which an agent has just answered, so that empathy is another, in a given second."""
STATES = ["calm", "frustration", "anxiety", "confusion", "sadness", "satisfaction", "unsure"]
REASONS = {
    "frustration": "Caller frustrated for 40 s and no acknowledgement yet",
    "anxiety": "Caller anxious; no next step offered",
    "sadness": "Caller sounds sad; the last answer was dismissive",
    "confusion": "Caller confused twice in a row",
}
QUOTES = {
    "frustration": "This is the third time I call about the same fee and nobody does anything.",
    "anxiety": "I really need to know today, the rent goes out tomorrow and I can't be late again.",
    "sadness": "It was my mother's account. She passed away in March.",
    "confusion": "I don't understand, what do you mean by pending reversal?",
}
MORE_QUOTES = {
    "frustration": [
        "I have been on hold for forty minutes and now you want to transfer me again?",
        "Your colleague promised me a refund on Monday. It is Thursday.",
        "I already told all of this to the machine.",
    ],
    "anxiety": [
        "My card is blocked and I am standing at the hotel desk with two children.",
        "Somebody took four hundred out of my account, is it still going on?",
    ],
    "sadness": [
        "We have just lost the house, I only want to close it.",
        "He always did the paperwork for us.",
    ],
    "confusion": [
        "So is it the old contract or the new one that counts?",
        "Which number do you mean, the one on the back?",
    ],
}
MIX: list[tuple[float, Doc]] = [
    (0.50, {"state": "calm"}),
    (0.13, {"state": "satisfaction"}),
    (0.08, {"state": "unsure", "intensity": 0.0}),
    (0.06, {"state": "confusion"}),
    (0.05, {"state": "anxiety", "confidence": 0.45}),
    (0.04, {"risk": "watch", "state": "frustration"}),
    (0.03, {"risk": "watch", "state": "anxiety"}),
    (0.03, {"risk": "watch", "state": "confusion"}),
    (0.02, {"risk": "watch", "state": "sadness"}),
    (0.03, {"state": "unsure", "not_scored": "Waiting for the first words", "spark": [], "empathy": None, "courtesy": None, "change_60s": None, "opportunities": 0}),
    (0.02, {"state": "calm", "empathy": None, "empathy_low": None, "empathy_high": None, "change_60s": None, "opportunities": 0}),
    (0.01, {"risk": "help", "state": "frustration"}),
]  # fmt: skip
"""What a busy floor is made of: the share of calls, and what differs in them from any other."""


def tile(
    index: int, now: datetime, dice: random.Random, risk: str = "calm", state: str = "calm", **changes: Any
) -> Doc:
    age_s = dice.uniform(40, 600)
    media_ms = int(age_s * 1000)
    distress = {"calm": 0.15, "watch": 0.55, "help": 0.82}[risk]
    spark, level = [], dice.uniform(0.05, 0.3)
    times = [
        t
        for t in range(max(0, media_ms - 64_000), media_ms, 1070)
        if not (index % 4 == 1 and 20_000 < media_ms - t < 33_000)
    ]
    for place, t in enumerate(times[-60:]):
        level += (distress * min(1, place / 40) - level) * 0.15 + dice.uniform(-0.05, 0.05)
        spark.append([t, round(min(1, max(0, level)), 3)])
    empathy = round(dice.uniform(35, 88), 1)
    agent = person(index)
    quotes = [QUOTES.get(state, ""), *MORE_QUOTES.get(state, ())]
    return {
        "id": str(uuid.UUID(int=index + 1)),
        "agent": agent,
        "initials": "".join(word[0] for word in agent.split()[:2]),
        "queue": QUEUES[index % len(QUEUES)],
        "source": "Billing line",
        "team": 1 + index % 2,
        "team_name": ("Billing", "Payments")[index % 2],
        "synthetic": False,
        "label": "",
        "status": "live",
        "started_at": (now - timedelta(seconds=age_s)).isoformat(),
        "ended_at": None,
        "media_ms": media_ms,
        "scored_at": (now - timedelta(seconds=dice.uniform(0.2, 1.8))).isoformat(),
        "not_scored": "",
        "risk": risk,
        "reason": REASONS.get(state, "") if risk != "calm" else "",
        "state": state,
        "intensity": round(max(distress, 0.4), 2) if state not in ("calm", "unsure") else 0.0,
        "confidence": round(dice.uniform(0.6, 0.9), 2) if state != "unsure" else 0.3,
        "distress": distress,
        "spark": spark,
        "threshold": 0.7,
        "empathy": empathy,
        "empathy_low": max(0, empathy - 9),
        "empathy_high": min(100, empathy + 8),
        "change_60s": round(dice.uniform(-9, 9), 1),
        "opportunities": dice.randint(1, 4),
        "courtesy": 0.7,
        "quote": quotes[index % len(quotes) if index >= len(PEOPLE) else 0] if risk != "calm" else "",
        "about": "",
        "alerts_open": 0,
        "alert": None,
        "helpers": [],
        "followers": [],
    } | changes


def person(index: int) -> str:
    """The same few first, then everybody once."""
    if index < len(PEOPLE):
        return PEOPLE[index]
    return f"{FIRST[index % len(FIRST)]} {LAST[(index + index // len(FIRST)) % len(LAST)]}"


def mixed(dice: random.Random, now: datetime) -> Doc:
    """One of the many, by their shares; now and then somebody is at it already, or it is stale."""
    shares, kinds = zip(*MIX, strict=True)
    [kind] = dice.choices(kinds, shares)
    changes = dict(kind)
    if changes.get("risk") == "help" or (changes.get("risk") == "watch" and dice.random() < 0.3):
        title = REASONS[changes["state"]]
        changes |= {"alerts_open": 1, "alert": {"cause": "long-distress", "title": title}}
        if dice.random() < 0.5:
            changes |= {"alerts_open": 0, "alert": None, "helpers": ["Dora Ray"]}
    if dice.random() < 0.01:
        changes["scored_at"] = (now - timedelta(seconds=dice.uniform(8, 40))).isoformat()
    return changes


def floor(count: int = 12, seed: int = 7, now: datetime | None = None) -> Doc:
    """The first twelve show every look a tile can have; the others are mixed as on a busy floor."""
    now = now or datetime.now(UTC)
    dice = random.Random(seed)
    looks: list[Doc] = [
        {"risk": "help", "state": "frustration", "alerts_open": 2, "alert": {"cause": "long-distress", "title": REASONS["frustration"]}},
        {"state": "satisfaction", "followers": [{"id": 1, "name": "Alice Moreau"}]},
        {"risk": "watch", "state": "anxiety"},
        {"state": "calm"},
        {"risk": "help", "state": "anxiety", "confidence": 0.44, "helpers": ["Dora Ray"], "followers": [{"id": 2, "name": "Dora Ray"}]},
        {"state": "calm", "empathy": None, "empathy_low": None, "empathy_high": None, "change_60s": None, "opportunities": 0},
        {"risk": "watch", "state": "confusion", "synthetic": True},
        {"state": "unsure", "not_scored": "Waiting for the first words", "spark": [], "empathy": None, "courtesy": None, "scored_at": None, "change_60s": None},
        {"state": "calm", "scored_at": (now - timedelta(seconds=14)).isoformat()},
        {"risk": "watch", "state": "sadness"},
        {"state": "unsure", "empathy": None, "courtesy": None, "change_60s": None, "not_scored": "Mono audio: no voice emotion"},
        {"state": "calm", "status": "ended", "ended_at": now.isoformat()},
    ]  # fmt: skip
    tiles = [tile(i, now, dice, **(looks[i] if i < len(looks) else mixed(dice, now))) for i in range(count)]
    silent = [
        t["id"] for t in tiles if t["scored_at"] and now - datetime.fromisoformat(t["scored_at"]) > STALE
    ]
    return {"now": now.isoformat(), "lag_ms": 640, "calls": {t["id"]: t for t in tiles}, "silent": silent}


TALK: list[tuple[str, str, list[tuple[str, str]]]] = [
    ("agent", "Thank you for calling, you are speaking with Bob. How can I help you today?", [("courtesy", "Thank you for calling")]),
    ("customer", "Hi, yes. I was charged the same late fee again and this is the third time I call about it.", [("frustration", "third time I call")]),
    ("agent", "Okay. Can I have the account number please?", []),
    ("customer", "It's [account number]. I already gave it to the machine, honestly this is ridiculous.", [("frustration", "this is ridiculous")]),
    ("agent", "I'm sorry you had to call three times, that should not have happened. I can see the fee from the second of November here.", [("own", "I'm sorry you had to call three times"), ("acknowledge", "that should not have happened")]),
    ("customer", "So will it come off? Because the rent goes out tomorrow and I can't be short again.", [("anxiety", "I can't be short again")]),
    ("agent", "I understand, you need that money back before the rent. I am reversing it now and it will show within two hours.", [("understand", "you need that money back before the rent"), ("reassure", "it will show within two hours")]),
    ("customer", "Wait, what do you mean by reversing, is it pending or is it gone?", [("confusion", "what do you mean")]),
    ("agent", "Good question. Which screen are you looking at right now?", [("explore", "Which screen are you looking at")]),
    ("customer", "The app, the payments page. Oh, I see it now. Okay, that is a relief, thank you.", [("satisfaction", "that is a relief")]),
    ("agent", "You will also get a text when it is done.", [("reassure", "You will also get a text")]),
    ("customer", "", []),
]  # fmt: skip


def call(
    seed: int = 3, now: datetime | None = None, ended: bool = False, minutes: float = 4.0, tiles: int = 1
) -> Doc:
    """A call mid-way: about one moment a second, two silences, an uncertain stretch."""
    now = now or datetime.now(UTC)
    dice = random.Random(seed)
    end_ms = int(minutes * 60_000)
    step = end_ms // (len(TALK) + 1)
    turns, moods = [], []
    for place, (channel, text, quotes) in enumerate(TALK):
        start = 1500 + place * step
        labels = {label: round(0.9 - 0.15 * i, 2) for i, (label, _) in enumerate(quotes)}
        turns.append({
            "channel": channel, "start_ms": start, "end_ms": start + int(step * 0.7), "text": text,
            "confidence": 0.38 if place == 7 else 0.86,
            "states": labels if channel == "customer" else {}, "behaviours": labels if channel == "agent" else {},
            "cues": [{"label": label, "strength": 0.8, "confidence": 0.7, "quote": quote, "source": "rule:repeat-contact" if label == "frustration" else "heads"} for label, quote in quotes],
            "redacted": 1 if "[" in text else 0,
        })  # fmt: skip
        if channel == "customer" and quotes:
            moods.append((start, quotes[0][0]))
    moments, empathy = [], 62.0
    for t in range(4000, end_ms, 1100):
        if any(lo < t / end_ms < hi for lo, hi in ((0.18, 0.24), (0.62, 0.68))):
            continue
        since = [(start, state) for start, state in moods if start <= t]
        start, state = since[-1] if since else (0, "calm")
        if state not in ("calm", "satisfaction") and t - start > step * 1.6:
            state = "calm"
        unsure = 0.44 < t / end_ms < 0.5
        empathy += (78 if t > 0.35 * end_ms else 44) * 0.02 - empathy * 0.02 + dice.uniform(-0.6, 0.6)
        wide = max(4.0, 26 - t / end_ms * 24)
        judged = t > 0.1 * end_ms
        distress = {"calm": 0.12, "satisfaction": 0.08}.get(state, 0.7) + dice.uniform(-0.06, 0.06)
        moments.append({
            "t_ms": t, "state": "unsure" if unsure else state, "intensity": round(dice.uniform(0.4, 0.8), 3),
            "confidence": 0.3 if unsure else round(dice.uniform(0.55, 0.9), 3), "distress": round(max(0, distress), 3),
            "empathy": round(empathy, 1) if judged else None,
            "empathy_low": round(empathy - wide, 1) if judged else None,
            "empathy_high": round(min(100, empathy + wide * 0.8), 1) if judged else None,
            "opportunities": sum(start <= t for start, _ in moods),
        })  # fmt: skip
    last = moments[-1]
    of = tile(0, now, dice, risk="watch", state=last["state"])
    of |= {
        "media_ms": end_ms, "started_at": (now - timedelta(milliseconds=end_ms)).isoformat(),
        "empathy": last["empathy"], "empathy_low": last["empathy_low"], "empathy_high": last["empathy_high"],
        "change_60s": 6.2, "confidence": last["confidence"], "intensity": last["intensity"],
        "reason": "Caller was anxious twice within two minutes", "synthetic": True,
    }  # fmt: skip
    timing = {
        "customer_talk_ms": 88_000,
        "agent_talk_ms": 104_000,
        "overlap_ms": 3_400,
        "floor_taking_overlaps": 1,
        "longest_silence_ms": 13_800,
        "caller_floor_takings": 2,
        "agent_share": 0.542,
        "response_ms": 640,
        "dead_air_ms": 13_800,
        "hold_ms": 0,
        "customer_wpm": 181.2,
        "agent_wpm": 168.0,
        "customer_syllables_s": 4.31,
        "agent_syllables_s": 4.02,
    }
    events = [
        {"t_ms": s, "state": state, "affect": 0.7, "fit": (0.21, 0.66, 0.66, None)[i], "latency_ms": (None, 2400, 900, None)[i], "recovery_ms": (None, 31_000, 22_500, None)[i]}
        for i, (s, state) in enumerate(moods[:4])
    ]  # fmt: skip
    alignment = {
        "events": events,
        "median_latency_ms": 1650,
        "met_share": 0.667,
        "recovered_share": 0.667,
        "pace_match": 0.927,
    }
    outlook = {
        "status": "at_risk", "confidence": 0.41, "score": -0.47, "calibrated": False,
        "reasons": [
            {"t_ms": moods[1][0], "target": "outlook", "amount": -0.48, "confidence": 0.5, "source": "words", "text": "said “I will make a complaint”", "turn_start_ms": moods[1][0]},
            {"t_ms": moods[3][0], "target": "outlook", "amount": 0.21, "confidence": 0.5, "source": "words", "text": "at the end: satisfied", "turn_start_ms": moods[3][0]},
        ],
        "features": {"peak": -0.2, "end": 0.4},
    }  # fmt: skip
    coverage = {
        "channels": {
            "customer": {"received_ms": 238_000, "scored_ms": 214_000, "silent_ms": 22_000, "lost_ms": 2_000, "failed_ms": 0, "skipped_ms": 0},
            "agent": {"received_ms": 240_000, "scored_ms": 225_500, "silent_ms": 14_000, "lost_ms": 0, "failed_ms": 500, "skipped_ms": 0},
        },
        "counters": {}, "notes": ["The stream was cut and came back; what was said between is lost."],
    }  # fmt: skip
    components = {"E": 0.72, "C": 0.8, "L": 0.9, "V": 0.64, "P": 0.08}
    document = {
        "tile": of,
        "turns": turns,
        "moments": moments,
        "opportunities": [{"t_ms": s, "state": state, "affect": 0.7, "response": 0.66 if i else 0.21, "met": ["own"], "missing": ["understand"], "latency_ms": 2400} for i, (s, state) in enumerate(moods[:4])],
        "nudges": [{"t_ms": moods[2][0] + 3000, "rule": "anxiety-reassure", "state": "anxiety", "missing": "reassure", "cue": "Caller sounds anxious — tell them what happens next"}],
        "alerts": [{"cause": "distress-high", "episode": 1, "t_ms": moods[1][0] + 5000, "title": "Frustrated for 40 s without acknowledgement", "quote": "honestly this is ridiculous", "severity": "help", "acknowledged_at": None}],
        "why": [
            {"t_ms": moods[1][0], "target": "frustration", "amount": 0.42, "confidence": 0.81, "source": "words", "text": "said “this is ridiculous”", "turn_start_ms": moods[1][0]},
            {"t_ms": turns[4]["start_ms"], "target": "empathy", "amount": 8.4, "confidence": 0.74, "source": "words", "text": "owned it: “I'm sorry you had to call three times”", "turn_start_ms": turns[4]["start_ms"]},
            {"t_ms": moods[2][0], "target": "anxiety", "amount": 0.31, "confidence": 0.41, "source": "voice", "text": "voice sounds fearful (44 %)", "turn_start_ms": None},
            {"t_ms": turns[6]["start_ms"], "target": "empathy", "amount": 5.1, "confidence": 0.69, "source": "words", "text": "reassured: “it will show within two hours”", "turn_start_ms": turns[6]["start_ms"]},
            {"t_ms": turns[7]["start_ms"] + 900, "target": "empathy", "amount": -2.0, "confidence": 0.6, "source": "timing", "text": "took the floor while the caller was confused", "turn_start_ms": None},
        ],
        "timing": timing, "components": components, "alignment": alignment, "outlook": outlook, "coverage": coverage, "final": None,
        "versions": {"engine": "engine/1 voice/lora-16 speech/whisper-base language/heads-3", "rubric": "House rubric v1"},
    }  # fmt: skip
    if ended:
        document["tile"] |= {"status": "ended", "ended_at": now.isoformat(), "risk": "calm", "reason": ""}
        document["final"] = {
            "empathy": 71.6, "empathy_low": 64.2, "empathy_high": 77.9, "courtesy_only": False, "courtesy": 0.8,
            "components": components, "opportunities": 4, "met": 3, "nudges": 1, "alerts": 1, "timing": timing,
            "duration_ms": end_ms, "coverage": coverage, "rubric": "House rubric v1", "engine": "engine/1",
        }  # fmt: skip
    return document


def helped(document: Doc, now: datetime) -> Doc:
    """What people have done about the made-up call."""
    call_id, at = document["tile"]["id"], lambda s: (now - timedelta(seconds=s)).isoformat()
    [nudge], ended = document["nudges"], document["final"] is not None
    cue = nudge | {
        "id": 1, "call": call_id, "phrases": ["Here is what happens next:", "You will have it within two hours."],
        "solution": "Up to 40 you may refund the fee without asking.", "link": "https://wiki.example/fees",
        "shown_at": at(95), "verdict": "helpful", "taken": True, "recovered_ms": 22_500,
    }  # fmt: skip
    return {
        "cues": [cue],
        "messages": [{"id": 1, "call": call_id, "sender": "Alice Moreau", "text": "You may waive the fee, I approve it.", "sent_at": at(120), "read_at": at(112)}],
        "remarks": [{"id": 1, "author": "Alice Moreau", "t_ms": document["turns"][4]["start_ms"], "text": "Owned it at once. Well done.", "written_at": at(60)}],
        "looks": [{"id": 1, "call": call_id, "who": "Alice Moreau", "began_at": at(140), "open": not ended, "listened_at": None}],
    }  # fmt: skip


def mine(now: datetime | None = None) -> Doc:
    """An agent's own page in the middle of that call, with a cue on it."""
    now = now or datetime.now(UTC)
    document = call(now=now)
    tile = document["tile"] | {"state": "anxiety", "confidence": 0.74, "intensity": 0.7}
    done = helped(document, now)
    [judged] = done["cues"]
    fresh = judged | {
        "id": 2,
        "shown_at": (now - timedelta(seconds=4)).isoformat(),
        "verdict": "",
        "taken": None,
        "recovered_ms": None,
    }
    return {
        "calls": {tile["id"]: tile},
        "cues": [judged | {"cue": "Caller is frustrated — say that you see it", "state": "frustration", "missing": "acknowledge"}, fresh],
        "messages": done["messages"],
        "looks": done["looks"],
        "cues_on": True,
        "choices": {
            "muted": False, "every_s": 45, "per_call": 6, "kinds_off": [],
            "limits": {"every_s": [45, 600], "per_call": [0, 6]},
        },
    }  # fmt: skip


def next_floor_events(doc: Doc, now: datetime, dice: random.Random, share: float = 1.0) -> list[Doc]:
    """One second later: every call (or a share of them) has a new point."""
    events = []
    for old in doc["calls"].values():
        if old["status"] != "live" or not old["spark"] or dice.random() > share or old["id"] in doc["silent"]:
            continue
        media = old["media_ms"] + 1000
        level = min(1, max(0, old["distress"] + dice.uniform(-0.07, 0.07)))
        empathy = old["empathy"]
        if empathy is not None and dice.random() < ANSWERS:
            empathy = round(min(100, max(0, empathy + dice.uniform(-8, 8))), 1)
        new = old | {
            "media_ms": media, "scored_at": now.isoformat(), "distress": round(level, 3), "empathy": empathy,
            "intensity": round(level, 3),
            "spark": [*old["spark"], [media, round(level, 3)]][-60:],
        }  # fmt: skip
        doc["calls"][old["id"]] = new
        events.append({"type": "tile", "tile": new})
    return events


def next_own_events(doc: Doc, now: datetime) -> list[Doc]:
    [(call_id, old)] = doc["calls"].items()
    new = old | {"media_ms": old["media_ms"] + 1000, "scored_at": now.isoformat()}
    doc["calls"][call_id] = new
    return [{"type": "tile", "tile": new}]


def next_call_events(doc: Doc, now: datetime, dice: random.Random) -> list[Doc]:
    last = doc["moments"][-1]
    t_ms = last["t_ms"] + 1000
    step = dice.uniform(-1, 1.2)
    moment = (
        last
        | {"t_ms": t_ms}
        | {key: round(last[key] + step, 1) for key in ("empathy", "empathy_low", "empathy_high")}
    )
    doc["moments"].append(moment)
    doc["tile"] = doc["tile"] | {"media_ms": t_ms, "scored_at": now.isoformat(), "empathy": moment["empathy"]}
    parts = {
        name: doc[name]
        for name in (
            "opportunities",
            "nudges",
            "alerts",
            "why",
            "timing",
            "components",
            "alignment",
            "outlook",
        )
    }
    events: list[Doc] = [
        {"type": "view", "since_ms": t_ms, "moments": [moment], **parts},
        {"type": "tile", "tile": doc["tile"]},
    ]
    if dice.random() < 0.2:
        turn = doc["turns"][dice.randrange(len(doc["turns"]))] | {"start_ms": t_ms, "end_ms": t_ms + 900}
        doc["turns"].append(turn)
        events.append({"type": "turn", "turn": turn})
    return events
