"""One stream's clocks under loss, doubling and disorder: what arrived is kept byte for byte, what
did not is silence, and the counts add up."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.ingest.session import Hop, Limits, Session
from scoring.types import HOP_MS, HOP_SAMPLES, Channel

ROLES = {"inbound": "customer", "outbound": "agent"}
CUSTOMER, AGENT = Channel.CUSTOMER, Channel.AGENT
FRAME = 160
Frame = tuple[str, int, bytes]


def make() -> Session:
    return Session(ROLES, now_ms=0, limits=Limits(burst_ms=10**6))


def frames(audio: bytes, track: str = "inbound", size: int = FRAME) -> list[Frame]:
    return [(track, at // 8, audio[at : at + size]) for at in range(0, len(audio), size)]


def noise(seconds: float, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(int(seconds * 8000))


def run(session: Session, sent: Iterable[Frame], stop: bool = True) -> list[Hop]:
    hops = [hop for track, at, audio in sent for hop in session.media(track, at, audio, at)]
    return hops + session.stop() if stop else hops


def joined(hops: Iterable[Hop], channel: Channel) -> bytes:
    """The channel's audio; hops that were lost are silence."""
    mine = {hop.index: hop.payload for hop in hops if hop.channel is channel}
    return b"".join(mine.get(n, b"\xff" * HOP_SAMPLES) for n in range(max(mine, default=-1) + 1))


def test_both_legs_come_out_as_they_went_in() -> None:
    one, two = noise(2.2, 1), noise(1.7, 2)
    session = make()
    hops = run(session, [f for pair in zip(frames(one), frames(two, "outbound"), strict=False) for f in pair])
    length = len(two)
    assert joined(hops, CUSTOMER)[:length] == one[:length]
    assert joined(hops, AGENT)[:length] == two
    assert joined(hops, CUSTOMER)[length:] == b"\xff" * (-length % HOP_SAMPLES)  # padded to a whole hop
    assert all(len(hop.payload) == HOP_SAMPLES for hop in hops)
    assert (
        session.counters.channels[AGENT].received_ms == 1700 and not session.counters.channels[AGENT].lost_ms
    )


def test_a_full_hop_is_handed_out_at_once() -> None:
    session = make()
    sent = frames(noise(0.5))
    assert run(session, sent[:-1], stop=False) == []
    assert len(run(session, sent[-1:], stop=False)) == 1


def test_roles_may_be_reversed_and_other_tracks_are_counted() -> None:
    session = Session({"inbound": "agent", "outbound": "customer"}, now_ms=0)
    hops = run(
        session, frames(noise(0.5)) + frames(noise(0.1), "sideways") + frames(noise(0.02), "inbound_track")
    )
    assert {hop.channel for hop in hops} == {AGENT}
    assert session.counters.other_track == 5


def test_a_short_gap_is_silence_and_a_lost_hop_is_left_out() -> None:
    audio = noise(3)
    sent = frames(audio)
    kept = sent[:10] + sent[12:25] + sent[75:]  # 40 ms, then two whole hops
    session = make()
    hops = run(session, kept)
    assert [hop.index for hop in hops] == [0, 3, 4, 5]
    assert joined(hops, CUSTOMER)[1600:1920] == b"\xff" * 320
    assert session.counters.channels[CUSTOMER].lost_ms == 40 + 1000
    assert session.counters.channels[CUSTOMER].received_ms == 3000 - 1040


def test_a_leg_that_joins_later_has_lost_nothing() -> None:
    session = make()
    hops = run(session, frames(noise(4))[100:])
    assert [hop.index for hop in hops] == [4, 5, 6, 7] and session.counters.channels[CUSTOMER].lost_ms == 0


def test_doubles_and_late_frames_are_told_apart() -> None:
    sent = frames(noise(2))
    session = make()
    run(session, sent[:20] + sent[:20] + sent[21:40] + sent[20:21] + sent[0:3], stop=False)
    assert (session.counters.duplicate, session.counters.late) == (23, 1)
    assert session.counters.channels[CUSTOMER].lost_ms == 20


def test_timestamps_that_round_do_not_tear_the_audio() -> None:
    audio = noise(1)
    jittered = [(track, at + (3 if n % 2 else 0), part) for n, (track, at, part) in enumerate(frames(audio))]
    session = make()
    assert joined(run(session, jittered), CUSTOMER) == audio
    assert session.counters.channels[CUSTOMER].lost_ms == 0 == session.counters.duplicate


def test_without_timestamps_audio_simply_follows() -> None:
    session = make()
    hops = [h for _, _, part in frames(noise(1, 3)) for h in session.media("inbound", None, part, 0)]
    assert joined(hops + session.stop(), CUSTOMER) == noise(1, 3)


@pytest.mark.parametrize("size", [8, 80, 800, 4000, 8000, 1000])
def test_frames_of_any_length(size: int) -> None:
    audio = noise(2.5)
    assert joined(run(make(), frames(audio, size=size)), CUSTOMER)[: len(audio)] == audio


def test_audio_faster_than_allowed_is_counted_and_dropped() -> None:
    session = Session(ROLES, now_ms=0, limits=Limits(speed=2, burst_ms=1000))
    for track, at, part in frames(noise(10)):
        session.media(track, at, part, at // 4)  # four times real time
    received = session.counters.channels[CUSTOMER].received_ms
    assert 1000 < received <= 2 * 2500 + 1000
    assert received / 20 + session.counters.over_rate == 500


def test_a_frame_from_the_far_future_is_not_believed() -> None:
    session = Session(ROLES, now_ms=0)
    session.media("inbound", 0, bytes(160), 20)
    assert session.media("inbound", 3_600_000, bytes(160), 40) == []
    assert session.counters.over_rate == 1 and len(session.stop()) == 1


def test_clocks_that_do_not_start_at_zero() -> None:
    """Plivo's timestamps are epoch milliseconds."""
    audio, begin = noise(1), 1_795_000_000_000
    session = Session(ROLES, now_ms=0)
    hops = [
        h for t, at, part in frames(audio) for h in session.media(t, begin + at, part, at)
    ] + session.stop()
    assert joined(hops, CUSTOMER) == audio


def test_counters_are_json_whose_numbers_add_up() -> None:
    session = make()
    session.lost_before(AGENT, 3)
    run(session, frames(noise(1)))
    found = session.counters.as_dict()
    assert found["customer"] == {"received_ms": 1000, "lost_ms": 0, "dropped_ms": 0}
    assert found["agent"]["lost_ms"] == 3 * HOP_MS and found["frames"] == 50


@st.composite
def impaired(draw: st.DrawFn) -> tuple[bytes, list[Frame], list[int]]:
    """Audio, its frames after loss, doubling and disorder within the limit, and who survived."""
    count, loss, doubling = draw(st.integers(1, 150)), draw(st.floats(0, 0.9)), draw(st.floats(0, 0.5))
    delay, rng = draw(st.integers(0, 4)), random.Random(draw(st.integers(0, 2**32)))
    audio = rng.randbytes(count * FRAME)
    sent = frames(audio)
    kept = [n for n in range(count) if rng.random() >= loss]
    # A frame may come up to 80 ms after its place: within the 100 ms that a hop waits.
    placed = [(n + rng.randint(0, delay), n) for n in kept]
    again = [(n + rng.randint(0, delay), n) for n in kept if rng.random() < doubling]
    order = [n for _, n in sorted(placed + again)]
    return audio, [sent[n] for n in order], kept


@given(impaired())
def test_whatever_the_line_does(case: tuple[bytes, list[Frame], list[int]]) -> None:
    audio, sent, kept = case
    session = make()
    hops = run(session, sent)
    assert [hop.index for hop in hops] == sorted(hop.index for hop in hops)
    expected = bytearray(b"\xff" * (len(audio) + HOP_SAMPLES))
    for n in kept:
        expected[n * FRAME : (n + 1) * FRAME] = audio[n * FRAME : (n + 1) * FRAME]
    found = joined(hops, CUSTOMER)
    assert found == bytes(expected[: len(found)])
    heard, counters = session.counters.channels[CUSTOMER], session.counters
    assert heard.received_ms == 20 * len(kept) and counters.late == 0
    assert counters.duplicate == len(sent) - len(kept) and counters.frames == len(sent)
    span = (max(kept) - min(kept) + 1) if kept else 0
    assert heard.lost_ms == 20 * (span - len(kept))


@given(impaired(), st.randoms(use_true_random=False))
def test_any_order_at_all_loses_nothing_uncounted(
    case: tuple[bytes, list[Frame], list[int]], rng: random.Random
) -> None:
    _, sent, kept = case
    rng.shuffle(sent)
    session = make()
    hops = run(session, sent)
    heard, counters = session.counters.channels[CUSTOMER], session.counters
    assert len({(h.channel, h.index) for h in hops}) == len(hops)
    assert heard.received_ms / 20 + counters.late + counters.duplicate == len(sent)
    assert heard.received_ms <= 20 * len(kept)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["inbound", "outbound", "x"]),
            st.none() | st.integers(0, 9000),
            st.binary(max_size=900),
        )
    )
)
def test_any_frames_at_all(sent: list[tuple[str, int | None, bytes]]) -> None:
    session = make()
    hops = [h for track, at, audio in sent for h in session.media(track, at, audio, 0)] + session.stop()
    for channel in Channel:
        mine = [h.index for h in hops if h.channel is channel]
        assert mine == sorted(set(mine))
        heard = session.counters.channels[channel]
        assert heard.received_ms >= 0 and heard.lost_ms >= 0
    assert all(len(h.payload) == HOP_SAMPLES for h in hops)


def test_whole_hops_of_a_pause_are_named_and_none_before_the_first_sound() -> None:
    session = make()
    assert session.skip(2000, 10_000) == [], "a leg that has not begun has nothing to pause"
    first = [h for t, _, a in frames(noise(1.0)) for h in session.media(t, None, a, 10_000)]
    assert [hop.index for hop in first] == [4, 5]
    session.skip(1700, 10_000)  # from 3.0 s to 4.7 s: three whole hops, and 0.2 s of a fourth
    rest = [h for t, _, a in frames(noise(0.8)) for h in session.media(t, None, a, 10_000)]
    assert [(hop.index, bool(hop.payload)) for hop in rest] == [
        (6, False), (7, False), (8, False), (9, True), (10, True),
    ]  # fmt: skip
    assert session.counters.channels[CUSTOMER].lost_ms == 0 and session.counters.paused_ms == 3700


def test_no_time_passes_faster_than_audio_might_come() -> None:
    """Or a few messages that skip hours would make hops without end."""
    session = Session(ROLES, now_ms=0)
    session.media("inbound", None, noise(0.5), 1000)
    for _ in range(1000):
        session.skip(4 * 3600 * 1000, 1000)
    hops = session.media("inbound", None, noise(0.1), 1200) + session.stop()
    assert len(hops) <= 2 * 1200 // HOP_MS + Limits.burst_ms // HOP_MS + 1
    assert session.counters.paused_ms == 1000 * 2 + Limits.burst_ms - 500
