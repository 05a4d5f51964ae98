"""Kept audio: each hop in its place whatever comes twice or late, then one file with silence over what was masked."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from calls import keeping, record, retention, tasks
from calls.buffer import StoredPiece, Writer, ledger
from calls.choices import CallStatus
from calls.keeping import EITHER_SIDE_MS, Told
from calls.models import Call, Source, Turn, User
from scoring import speech
from scoring.audio import read_recording
from scoring.types import HOP_MS, HOP_SAMPLES, RATE_HZ, Channel, Samples
from tests.calls.test_tasks import close, coverage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
MakeCall = Callable[..., Call]
CUSTOMER, AGENT = Channel.CUSTOMER, Channel.AGENT
SECONDS = 12
SPOKEN_HOPS = 8
root_only = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")


@pytest.fixture(autouse=True)
def audio_dir(settings: Any, tmp_path: Path) -> Path:
    settings.KEEP_AUDIO, settings.AUDIO_DIR = True, tmp_path / "audio"
    tasks._not_before.clear()
    return tmp_path / "audio"


@pytest.fixture
def kept_call(make_call: MakeCall, source: Source) -> Call:
    """A call whose source keeps audio."""
    Source.objects.filter(pk=source.pk).update(keep_audio=True)
    return make_call()


def voice(channel: Channel, hops: int = SECONDS * 1000 // HOP_MS) -> Samples:
    """Something like a voice, another one on each side: int16 [hops, HOP_SAMPLES]."""
    t = np.arange(hops * HOP_SAMPLES) / RATE_HZ
    pitch, beat = (140, 2.1) if channel is CUSTOMER else (205, 3.3)
    wave = sum(np.sin(2 * np.pi * pitch * n * t + n) / n for n in range(1, 9))
    loud = 0.55 + 0.45 * np.sin(2 * np.pi * beat * t)
    return (wave * loud * 4000).astype(np.int16).reshape(hops, HOP_SAMPLES)


def put(call: Call, channel: Channel, hops: range, samples: Samples | None = None) -> None:
    """As the media process does."""
    sound = voice(channel) if samples is None else samples

    async def write() -> None:
        writer = Writer.connect(django_settings.REDIS_URL)
        now = int(time.time() * 1000)
        pieces = [StoredPiece(str(call.pk), channel, n, now, sound[n].tobytes(), "s") for n in hops]
        assert await writer.put_many(pieces) == len(hops)
        await writer.close()

    asyncio.run(write())


def raw(call: Call, channel: Channel) -> Samples:
    path = Path(django_settings.AUDIO_DIR) / "running" / str(call.pk) / f"{channel}.s16"
    return np.fromfile(path, dtype="<i2")


def played(call: Call) -> Samples:
    """What a listener hears: int16 [left and right, n] at 8 kHz."""
    found = keeping.find(call.pk)
    assert found
    return read_recording(found).samples


def part(track: Samples, start_ms: int, end_ms: int) -> Samples:
    return track[start_ms * RATE_HZ // 1000 : end_ms * RATE_HZ // 1000]


def alike(one: Samples, other: Samples) -> float:
    n = min(len(one), len(other))
    return float(np.corrcoef(one[:n].astype(float), other[:n].astype(float))[0, 1])


def loudness(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples.astype(float) ** 2)))


def told(call: Call, channel: Channel, start_ms: int, end_ms: int, text: str, redacted: int = 0) -> None:
    Turn.objects.create(
        call=call,
        channel=channel,
        start_ms=start_ms,
        end_ms=end_ms,
        text=text,
        confidence=0.9,
        redacted=redacted,
    )


def written(call: Call) -> None:
    """Both sides, raw, without scoring."""
    for channel in Channel:
        keeping.write(str(call.pk), channel, dict(enumerate(voice(channel))))


def ended(call: Call) -> None:
    Call.objects.filter(pk=call.pk).update(status=CallStatus.ENDED, media_ms=SECONDS * 1000)


# --- while the call runs ---------------------------------------------------------------------------


def test_scored_hops_are_in_their_places(kept_call: Call) -> None:
    for channel in Channel:
        put(kept_call, channel, range(10))
    tasks.score_due()
    for channel in Channel:
        assert np.array_equal(raw(kept_call, channel), voice(channel)[:10].ravel())


@pytest.mark.parametrize(("site", "by_source"), [(False, True), (True, False), (False, False)])
def test_nothing_is_kept_unless_both_say_so(
    make_call: MakeCall, source: Source, settings: Any, site: bool, by_source: bool
) -> None:
    settings.KEEP_AUDIO = site
    Source.objects.filter(pk=source.pk).update(keep_audio=by_source)
    call = make_call()
    put(call, CUSTOMER, range(4))
    tasks.score_due()
    assert coverage(call) == "ssss"
    assert not Path(settings.AUDIO_DIR).exists()


def test_both_are_off_when_nobody_says_anything(source: Source) -> None:
    from empathy_dash import env

    assert not source.keep_audio and not env.flag("KEEP_AUDIO")


def test_only_we_may_read_it(kept_call: Call, audio_dir: Path) -> None:
    before = os.umask(0)
    try:
        put(kept_call, CUSTOMER, range(4))
        tasks.score_due()
        close(kept_call)
        tasks.score_due()
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [audio_dir, *audio_dir.rglob("*")]}
        assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
        assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
        tasks.finish_kept()
    finally:
        os.umask(before)
    found = keeping.find(kept_call.pk)
    assert found and stat.S_IMODE(found.stat().st_mode) == 0o600
    assert stat.S_IMODE(found.parent.stat().st_mode) == 0o700


def test_a_batch_that_comes_again_changes_nothing(kept_call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker dies between the write and the commit; the next one does all of it again."""
    put(kept_call, CUSTOMER, range(6))

    class Died(BaseException):
        """kill -9, as far as the ledger can tell."""

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(record, "record_scores", die)
        with pytest.raises(Died):
            tasks.score_due()
    first = raw(kept_call, CUSTOMER)
    assert len(first) and coverage(kept_call) == ""
    ledger().client.delete("leases")
    tasks.score_due()
    again = raw(kept_call, CUSTOMER)
    assert np.array_equal(again[: len(first)], first)
    assert np.array_equal(again, voice(CUSTOMER)[:6].ravel()) and coverage(kept_call) == "s" * 6


def test_order_does_not_matter(kept_call: Call) -> None:
    sound = voice(AGENT)
    for n in (5, 0, 3, 1, 5, 4, 2, 0):
        keeping.write(str(kept_call.pk), AGENT, {n: sound[n]})
    assert np.array_equal(raw(kept_call, AGENT), sound[:6].ravel())


def test_a_hop_that_never_came_is_silence(kept_call: Call) -> None:
    put(kept_call, CUSTOMER, range(3))
    put(kept_call, CUSTOMER, range(5, 8))
    tasks.score_due()
    heard = raw(kept_call, CUSTOMER).reshape(-1, HOP_SAMPLES)
    assert coverage(kept_call) == "sssllsss"
    assert not heard[3:5].any()
    assert np.array_equal(heard[[0, 1, 2, 5, 6, 7]], voice(CUSTOMER)[[0, 1, 2, 5, 6, 7]])


def test_a_late_worker_lays_no_silence_over_what_was_kept(kept_call: Call) -> None:
    """Its hops have left the buffer by then: to it they never came."""
    put(kept_call, CUSTOMER, range(4))
    [slow] = ledger().claim(lease_ms=1, now=1000)
    tasks.score_due()
    before = raw(kept_call, CUSTOMER)
    ledger().client.delete(*ledger().client.keys("audio:*"))
    work, lost = tasks.gather(slow)
    tasks.keep([(work, lost)])
    assert np.array_equal(raw(kept_call, CUSTOMER), before)


# --- what cannot be written ------------------------------------------------------------------------


def test_a_full_disk_stops_no_scoring(kept_call: Call, caplog: pytest.LogCaptureFixture) -> None:
    """/dev/full is a full disk."""
    folder = Path(django_settings.AUDIO_DIR) / "running" / str(kept_call.pk)
    folder.mkdir(parents=True)
    (folder / "customer.s16").symlink_to("/dev/full")
    for start in (0, 4, 8):
        put(kept_call, CUSTOMER, range(start, start + 4))
        tasks.score_due()
    kept_call.refresh_from_db()
    assert coverage(kept_call) == "s" * 12 and ledger().due_count() == 0
    assert kept_call.notes == ["Audio could not be kept: No space left on device."]
    assert caplog.text.count("audio not kept") == 1


def test_a_folder_that_is_not_ours_stops_no_scoring(
    kept_call: Call, audio_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file where the folder should be: refused to root as well."""
    audio_dir.mkdir()
    (audio_dir / "running").write_text("not a folder")
    for channel in Channel:
        put(kept_call, channel, range(4))
    tasks.score_due()
    close(kept_call)
    tasks.score_due()
    kept_call.refresh_from_db()
    assert kept_call.status == CallStatus.ENDED and coverage(kept_call) == "ssss"
    [note] = kept_call.notes
    assert note.startswith("Audio could not be kept: ") and caplog.text.count("audio not kept") == 1


@root_only
def test_no_permission_stops_no_scoring(kept_call: Call, audio_dir: Path) -> None:
    audio_dir.mkdir(mode=0o500)
    put(kept_call, CUSTOMER, range(4))
    tasks.score_due()
    kept_call.refresh_from_db()
    assert coverage(kept_call) == "ssss"
    assert kept_call.notes == ["Audio could not be kept: Permission denied."]


def test_a_recording_that_cannot_be_finished_is_noted_once_and_tried_again(
    kept_call: Call, audio_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(kept_call)
    told(kept_call, CUSTOMER, 0, SECONDS * 1000, "hello")
    ended(kept_call)
    (audio_dir / str(kept_call.pk)).write_text("in the way")
    for _ in range(3):
        tasks.finish_kept()
        tasks._not_before.clear()
    kept_call.refresh_from_db()
    [note] = kept_call.notes
    assert note.startswith(keeping.TROUBLE) and caplog.text.count("recording not finished") == 1
    assert len(raw(kept_call, CUSTOMER))
    (audio_dir / str(kept_call.pk)).unlink()
    tasks.finish_kept()
    assert keeping.find(kept_call.pk) and not keeping.is_waiting(kept_call.pk)


# --- the finished file -----------------------------------------------------------------------------


def test_caller_left_agent_right_and_masked_turns_are_silent(kept_call: Call) -> None:
    written(kept_call)
    told(kept_call, CUSTOMER, 0, 3900, "I want to pay")
    told(kept_call, CUSTOMER, 4000, 6000, "my card is [card]", redacted=1)
    told(kept_call, CUSTOMER, 6200, 12_000, "and that is all")
    told(kept_call, AGENT, 0, 8000, "I am listening")
    told(kept_call, AGENT, 9000, 10_000, "", redacted=0)  # nobody could read it
    told(kept_call, AGENT, 10_200, 12_000, "goodbye")
    ended(kept_call)
    tasks.finish_kept()
    left, right = played(kept_call)
    assert abs(len(left) - SECONDS * RATE_HZ) <= HOP_SAMPLES
    caller, agent = voice(CUSTOMER).ravel(), voice(AGENT).ravel()
    # What was masked, and a little more on both sides.
    for track, sound, start, end in ((left, caller, 4000, 6000), (right, agent, 9000, 10_000)):
        inside = part(track, start - EITHER_SIDE_MS + 20, end + EITHER_SIDE_MS - 20)
        assert loudness(inside) < loudness(part(sound, start, end)) / 300, "-50 dB at the codec's soft edges"
        middle = part(track, start + 100, end - 100)
        assert loudness(middle) < 2, "and nothing but the last bit inside"
    # Everything else, each side on its own channel and in its own place.
    for start, end in ((0, 3800), (6200, 12_000)):
        assert alike(part(left, start, end), part(caller, start, end)) > 0.99
        assert abs(alike(part(left, start, end), part(agent, start, end))) < 0.1
    for start, end in ((0, 8800), (10_200, 12_000)):
        assert alike(part(right, start, end), part(agent, start, end)) > 0.99
        assert abs(alike(part(right, start, end), part(caller, start, end))) < 0.1
    # While one side is masked, the other is heard.
    assert alike(part(right, 4000, 6000), part(agent, 4000, 6000)) > 0.99
    assert not keeping.is_waiting(kept_call.pk), "the raw audio is gone"


def test_a_long_call_is_finished_piece_by_piece_and_stays_in_step(kept_call: Call) -> None:
    hops = 3 * keeping.CHUNK // HOP_SAMPLES + 7
    noise = np.random.default_rng(1).integers(-6000, 6000, (hops, HOP_SAMPLES)).astype(np.int16)
    keeping.write(str(kept_call.pk), CUSTOMER, dict(enumerate(noise)))
    keeping.finish(str(kept_call.pk), {})
    left, right = played(kept_call)
    for start in (0, hops - 4):
        wanted = noise[start : start + 4].ravel()
        assert alike(left[start * HOP_SAMPLES :], wanted) > 0.85
    assert loudness(right) < 5


def test_a_whole_call_from_its_first_hop_to_its_recording(kept_call: Call) -> None:
    """Through the engine: speech in turns of its own finding is heard, and nothing after the last turn."""
    sound = np.zeros_like(voice(CUSTOMER))
    sound[2:SPOKEN_HOPS] = voice(CUSTOMER)[2:SPOKEN_HOPS]
    put(kept_call, CUSTOMER, range(len(sound)), sound)
    put(kept_call, AGENT, range(len(sound)), np.zeros_like(sound))
    close(kept_call)
    while ledger().due_count() or ledger().closing_ready():
        tasks.score_due()
    tasks.finish_kept()
    kept_call.refresh_from_db()
    assert kept_call.status == CallStatus.ENDED and not kept_call.notes
    turns = list(kept_call.turns.filter(channel=CUSTOMER))
    assert turns
    left, right = played(kept_call)
    for turn in turns:
        wanted, got = (part(track, turn.start_ms, turn.end_ms) for track in (sound.ravel(), left))
        if turn.redacted:
            assert loudness(got) < 5
        else:
            assert alike(got, wanted) > 0.97
    assert loudness(right) < 5


def test_a_card_number_is_neither_read_nor_heard(kept_call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the hop to the file: what the recogniser hears here is always the same card number."""
    monkeypatch.setattr(speech.StandInSpeech, "phrases", (speech.StandInSpeech.phrases[-1],))
    sound = np.zeros_like(voice(CUSTOMER))
    sound[4:10] = voice(CUSTOMER)[4:10]
    put(kept_call, CUSTOMER, range(len(sound)), sound)
    close(kept_call)
    while ledger().due_count() or ledger().closing_ready():
        tasks.score_due()
    [turn] = kept_call.turns.all()
    assert turn.redacted and "[card]" in turn.text
    assert alike(raw(kept_call, CUSTOMER), sound.ravel()) > 0.99, "it is there to be heard until then"
    tasks.finish_kept()
    left, right = played(kept_call)
    assert loudness(left) < 2 and loudness(right) < 2


def test_a_lost_call_is_finished_and_its_unread_end_is_silent(kept_call: Call) -> None:
    long_ago = timezone.now() - timedelta(seconds=django_settings.STALE_CALL_S * 3)
    written(kept_call)
    told(kept_call, CUSTOMER, 0, 5000, "I was saying")
    told(kept_call, AGENT, 0, 5000, "yes")
    Call.objects.filter(pk=kept_call.pk).update(
        media_ms=SECONDS * 1000, scored_at=long_ago, started_at=long_ago
    )
    tasks.finish_kept()
    assert keeping.find(kept_call.pk) is None, "it runs"
    tasks.close_stale()
    tasks.finish_kept()
    left, _ = played(kept_call)
    assert alike(part(left, 0, 4900), part(voice(CUSTOMER).ravel(), 0, 4900)) > 0.99
    assert loudness(part(left, 5050, SECONDS * 1000)) < 5


def test_a_call_that_comes_back_keeps_both_parts(kept_call: Call) -> None:
    sound = voice(CUSTOMER)
    keeping.write(str(kept_call.pk), CUSTOMER, dict(enumerate(sound[:12])))
    told(kept_call, CUSTOMER, 0, 6000, "first")
    Call.objects.filter(pk=kept_call.pk).update(status=CallStatus.ENDED, media_ms=6000)
    tasks.finish_kept()
    Call.objects.filter(pk=kept_call.pk).update(status=CallStatus.LIVE)
    keeping.write(str(kept_call.pk), CUSTOMER, dict(enumerate(sound[14:], 14)))
    told(kept_call, CUSTOMER, 7000, 12_000, "second")
    tasks.finish_kept()
    assert keeping.is_waiting(kept_call.pk)
    ended(kept_call)
    tasks.finish_kept()
    left, _ = played(kept_call)
    for start, end in ((0, 5900), (7000, 12_000)):
        assert alike(part(left, start, end), part(sound.ravel(), start, end)) > 0.98
    assert loudness(part(left, 6200, 6800)) < 50


def test_what_is_written_while_it_is_finished_is_not_lost(
    kept_call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, call_id = voice(CUSTOMER), str(kept_call.pk)
    keeping.write(call_id, CUSTOMER, dict(enumerate(sound[:12])))
    encode = keeping._encode

    def write_then_encode(*args: Any) -> None:
        encode(*args)
        keeping.write(call_id, CUSTOMER, dict(enumerate(sound[12:], 12)))

    with monkeypatch.context() as patch:
        patch.setattr(keeping, "_encode", write_then_encode)
        keeping.finish(call_id, {})
    assert keeping.is_waiting(call_id)
    keeping.finish(call_id, {})
    assert not keeping.is_waiting(call_id)
    assert alike(played(kept_call)[0], sound.ravel()) > 0.99


def test_finishing_twice_is_finishing_once(kept_call: Call) -> None:
    written(kept_call)
    keeping.finish(str(kept_call.pk), {})
    found = keeping.find(kept_call.pk)
    assert found
    before = found.read_bytes()
    keeping.finish(str(kept_call.pk), {})
    assert found.read_bytes() == before


# --- what must be silent -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turns", "speech", "failed", "silent", "heard"),
    [
        ([Told(0, 9000, True)], [(100, 8900)], [], [9500], [0, 8999]),
        ([Told(0, 4000, True), Told(5000, 9000, False)], [], [], [4900, 8999, 9100], [0, 4800]),
        (
            [Told(0, 4000, True), Told(8000, 10_000, True)],
            [(5000, 5100)],
            [],
            [4900, 5200],
            [4800, 5300, 9999],
        ),
        ([Told(0, 4000, True)], [(3900, 4700)], [], [4000, 4700], [3800]),
        ([Told(0, 2000, True), Told(6000, 10_000, True)], [], [8, 9], [2000, 4400], [1999, 5100, 6000]),
        ([], [], [], [0, 9999], []),
    ],
    ids=["tail", "masked", "speech in no turn", "speech past its turn", "failed", "nothing was read"],
)
def test_what_must_be_silent(
    turns: list[Told], speech: list[tuple[int, int]], failed: list[int], silent: list[int], heard: list[int]
) -> None:
    spans = keeping.quiet_spans(turns, speech, failed)
    for at in silent:
        assert any(start <= at < end for start, end in spans), at
    for at in heard:
        assert not any(start <= at < end for start, end in spans), at


# --- it goes with its call ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["row", "queryset", "erased"])
def test_a_deleted_call_leaves_no_audio(
    kept_call: Call, make_call: MakeCall, how: str, audio_dir: Path, alice: User
) -> None:
    other = make_call("CA2")
    for call in (kept_call, other):
        written(call)
        keeping.finish(str(call.pk), {})
        written(call)
    gone = kept_call.pk
    if how == "row":
        kept_call.delete()
    elif how == "queryset":
        Call.objects.filter(pk=gone).delete()
    else:
        retention.erase(kept_call, alice, "asked")
    assert not Call.objects.filter(pk=gone).exists()
    assert keeping.find(gone) is None and not keeping.is_waiting(gone)
    assert keeping.find(other.pk) and keeping.is_waiting(other.pk)


def test_what_a_crash_left_behind_is_found(kept_call: Call) -> None:
    written(kept_call)
    keeping.finish(str(kept_call.pk), {})
    written(kept_call)
    Call.objects.filter(pk=kept_call.pk)._raw_delete("default")
    tasks.finish_kept()
    tasks.forget_strays()
    assert keeping.find(kept_call.pk) is None and not keeping.is_waiting(kept_call.pk)


def test_made_up_calls_are_not_kept_for_days(kept_call: Call, make_call: MakeCall) -> None:
    real, young, old = kept_call, make_call("CA2"), make_call("CA3")
    for call in (real, young, old):
        written(call)
        keeping.finish(str(call.pk), {})
    long_ago = timezone.now() - timedelta(days=1)
    Call.objects.filter(pk__in=[real.pk, old.pk]).update(status=CallStatus.ENDED, ended_at=long_ago)
    Call.objects.filter(pk__in=[young.pk, old.pk]).update(synthetic=True)
    tasks.forget_strays()
    assert keeping.find(real.pk) and keeping.find(young.pk) and not keeping.find(old.pk)
