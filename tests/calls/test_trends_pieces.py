"""Whatever way pieces come, late, twice or scored again, roll-ups are those of the pieces that stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls import record, replays, trends
from calls.choices import CallStatus
from calls.models import Call, Policy, RubricVersion, Source, User
from calls.record import OpenCall
from scoring.rubric import RubricSpec
from scoring.types import Turn, VoiceState
from tests.calls.pieces import agent, customer, scored, window
from tests.calls.test_trends import MONDAY, told

HOPS = range(160)
"""Of every call, so that its length and coverage do not depend on the order of its pieces."""
SLOTS = 12
FAST = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Piece:
    """A turn or window in a slot of 6 s; the same slot and kind again replaces it."""

    slot: int
    kind: str
    level: float

    def made(self) -> Turn | VoiceState:
        at = self.slot * 6000
        if self.kind == "customer":
            return customer(at, frustration=self.level)
        if self.kind == "agent":
            return agent(at + 3000, acknowledge=self.level, own=self.level / 2)
        return replace(window(at), confidence=self.level)


PIECES = st.builds(
    Piece,
    st.integers(0, SLOTS - 1),
    st.sampled_from(["customer", "customer", "agent", "window"]),
    st.sampled_from([0.05, 0.3, 0.7, 0.95]),
)
BATCHES = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.lists(PIECES, max_size=4),
        st.sampled_from(["", "", "twice", "close", "learn", "close and learn"]),
    ),
    max_size=10,
)


@pytest.fixture
def no_cues(db: None) -> None:
    """Which cue is shown depends on when it was ready: that is no roll-up of pieces."""
    Policy.objects.create(cues=False)


def opened(source: Source, ref: str) -> str:
    new = OpenCall(
        source.pk, "twilio", ref, f"MZ{ref}", MONDAY - timedelta(minutes=5), {"agent": "bob", "queue": "Fees"}
    )
    return record.open_call(new).call_id


def closed(pk: str) -> None:
    record.record_scores([scored(pk, hops=HOPS, close=True)], "engine/1 x")
    Call.objects.filter(pk=pk).update(ended_at=MONDAY)


@FAST
@given(BATCHES)
@pytest.mark.django_db
def test_late_doubled_and_rescored_pieces(no_cues: None, source: Source, bob: User, batches: Any) -> None:
    Call.objects.all().delete()
    trends.recompute()
    calls = [opened(source, f"CA{n}") for n in range(3)]
    stand: list[dict[tuple[int, str], Piece]] = [{}, {}, {}]
    for which, pieces, then in batches:
        made = scored(calls[which], *(piece.made() for piece in unique(pieces)), hops=HOPS)
        for _ in range(2 if then == "twice" else 1):
            record.record_scores([made], "engine/1 x")
        stand[which] |= {(piece.slot, piece.kind): piece for piece in unique(pieces)}
        if "close" in then:
            closed(calls[which])
        if "learn" in then:
            trends.learn(calls[which])
    for pk in calls:
        closed(pk)
        trends.learn(pk)
    found = told()
    trends.recompute()
    assert found == told(), "from the stored scores, from scratch"

    Call.objects.all().delete()
    trends.recompute()
    assert told() == ([], [], [], [])
    for n, pieces in enumerate(stand):
        pk = opened(source, f"CA{n}")
        record.record_scores(
            [scored(pk, *(piece.made() for piece in pieces.values()), hops=HOPS)], "engine/1 x"
        )
        closed(pk)
        trends.learn(pk)
    assert found[:3] == told()[:3], "from the pieces that stand, each once and in one batch"


def unique(pieces: Sequence[Piece]) -> list[Piece]:
    """One turn a slot in a batch, as the engine hears it."""
    return list({(piece.slot, piece.kind): piece for piece in pieces}.values())


# --- trying a rubric ------------------------------------------------------------------------------


@pytest.fixture
def heard(make_call: Callable[..., Call]) -> list[replays.Heard]:
    calls = []
    for n in range(5):
        pk = str(make_call(f"CA{n}").pk)
        pieces = [Piece(slot, kind, level) for slot in range(n, SLOTS) for kind, level in mixed(slot + n)]
        record.record_scores([scored(pk, *(piece.made() for piece in pieces), hops=HOPS)])
        record.record_scores([scored(pk, hops=HOPS, close=True)])
        calls.append(Call.objects.get(pk=pk))
    assert all(call.status == CallStatus.ENDED for call in calls)
    return replays.heard(calls)


def mixed(n: int) -> list[tuple[str, float]]:
    return [("customer", 0.95 if n % 3 else 0.1), ("agent", 0.9 if n % 2 else 0.05), ("window", 0.7)]


@pytest.fixture
def strict(rubric: RubricVersion) -> RubricSpec:
    spec = rubric.as_spec().to_dict()
    spec["alignment"]["met"] = 0.9
    spec["weights"]["frustration"] = {
        "acknowledge": 0.1,
        "understand": 0.1,
        "explore": 0.1,
        "own": 0.6,
        "reassure": 0.1,
    }
    return RubricSpec.from_dict(spec)


@FAST
@given(st.data())
@pytest.mark.django_db
def test_a_replay_is_the_same_whatever_the_order_and_the_company(
    heard: list[replays.Heard], strict: RubricSpec, rubric: RubricVersion, data: st.DataObject
) -> None:
    base = rubric.as_spec()
    whole = replays.replay(heard, base, strict)
    assert any(row.changed for row in whole.rows), "or there is nothing to compare"
    chosen = data.draw(st.lists(st.sampled_from(heard), unique_by=lambda call: call.call_id))
    mixed_up = [
        replace(
            call,
            turns=data.draw(st.permutations(call.turns)),
            voice=data.draw(st.permutations(call.voice)),
            speech=data.draw(st.permutations(call.speech)),
        )
        for call in chosen
    ]
    found = replays.replay(mixed_up, base, strict)
    rows = {row.call_id: row for row in whole.rows}
    assert list(found.rows) == [rows[call.call_id] for call in chosen]
    assert found == replays.replay(mixed_up, base, strict), "and twice the same"
    assert found.summary == replays.replay(chosen[::-1], base, strict).summary
