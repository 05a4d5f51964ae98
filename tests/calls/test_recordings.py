"""Uploaded recordings: any format in, pieces in any order of trouble, scored once and behind live calls."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from calls import intake, live, policy, recordings, tasks
from calls.buffer import ledger
from calls.choices import Asked, CallStatus, Layout, RecordingState
from calls.models import Call, CoverageBlock, Policy, Recording, Team, Turn, User, VoiceWindow
from calls.recordings import Refused, Wanted
from scoring.audio import decode_mulaw
from scoring.types import HOP_MS, Channel
from tests.calls.test_tasks import put

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "nowhere")]
LEFT_HZ, RIGHT_HZ = 300, 700


@pytest.fixture
def nowhere(tmp_path: Any, settings: Any) -> Iterator[None]:
    settings.RECORDINGS_DIR = tmp_path / "recordings"
    yield


def tones(seconds: float, rate: int = 16000, *hz: int) -> np.ndarray:
    """int16 [channels, n], loud and soft by turns, so that there is speech for the stand-in."""
    t = np.arange(int(seconds * rate)) / rate
    loud = np.where((t % 3) < 2, 9000, 40)
    return np.stack([loud * np.sin(2 * np.pi * f * t) for f in hz or (LEFT_HZ, RIGHT_HZ)]).astype(np.int16)


def encoded(samples: np.ndarray, container: str, codec: str, rate: int = 16000, **options: str) -> bytes:
    out, layout = io.BytesIO(), {1: "mono", 2: "stereo", 6: "5.1"}[len(samples)]
    with av.open(out, "w", format=container, options=options) as file:
        stream = file.add_stream(codec, rate=rate)
        stream.codec_context.layout = layout
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout=layout, rate=rate, frame_size=stream.codec_context.frame_size or 1024
        )  # fmt: skip
        for at in range(0, samples.shape[1], 4096):
            part = np.ascontiguousarray(samples[:, at : at + 4096].T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            for packed in resampler.resample(frame):
                file.mux(stream.encode(packed))
        for packed in resampler.resample(None):
            file.mux(stream.encode(packed))
        file.mux(stream.encode(None))
    return out.getvalue()


def wav(seconds: float = 3, *hz: int) -> bytes:
    return encoded(tones(seconds, 8000, *hz), "wav", "pcm_s16le", 8000)


def upload(user: User, team: Team, *files: bytes, layout: str = "caller-left", **said: Any) -> Recording:
    said = {"started_at": timezone.now() - timedelta(hours=1)} | said
    names = [f"{n}.wav" for n in range(len(files))]
    recording, _ = recordings.begin(
        user, Wanted(team, layout, names, [len(file) for file in files], mark=str(hash(files)), **said)
    )
    for part, file in enumerate(files):
        recordings.receive(recording, part, 0, iter([file]))
    recording.refresh_from_db()
    return recording


def work(recording: Recording, rounds: int = 60) -> Recording:
    """As the workers do, turn by turn."""
    for _ in range(rounds):
        tasks.score_recordings()
        tasks.score_due()
        recording.refresh_from_db()
        if recording.state in (RecordingState.DONE, RecordingState.FAILED):
            return recording
    raise AssertionError(f"still {recording.state}, {recording.percent} %")


def main_tone(mulaw: bytes) -> int:
    spectrum = np.abs(np.fft.rfft(decode_mulaw(mulaw[:8000]).astype(float)))
    return int(spectrum.argmax())


def letters(call: Call, channel: Channel) -> str:
    blocks = CoverageBlock.objects.filter(call=call, channel=channel).order_by("block")
    return "".join(block.hops for block in blocks).rstrip(".")


# --- what is taken -----------------------------------------------------------------------------------

FORMATS = [
    ("wav", "pcm_s16le", 8000), ("wav", "pcm_s24le", 48000), ("wav", "pcm_f32le", 44100), ("wav", "pcm_mulaw", 8000),
    ("wav", "pcm_alaw", 8000), ("flac", "flac", 22050), ("mp3", "libmp3lame", 44100), ("ogg", "libopus", 48000),
 ("mp4", "aac", 44100), ("webm", "libopus", 48000), ("aiff", "pcm_s16be", 16000),
]  # fmt: skip


@pytest.mark.parametrize(("container", "codec", "rate"), FORMATS)
def test_any_format_and_each_voice_on_its_side(
    alice: User, billing: Team, container: str, codec: str, rate: int
) -> None:
    file = encoded(tones(2, rate), container, codec, rate)
    recording = upload(alice, billing, file, layout="agent-left")
    assert recordings.prepare_next()
    recording.refresh_from_db()
    assert recording.state == RecordingState.RUNNING, recording.reason
    for channel, hz in ((Channel.AGENT, LEFT_HZ), (Channel.CUSTOMER, RIGHT_HZ)):
        assert abs(recording.samples[channel] - 16000) < 1500
        heard = b"".join(intake.hop(recording.pk, channel, n) for n in range(4))
        assert abs(main_tone(heard[2000:]) - hz) <= 2, channel


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"not audio at all, but long enough to be probed as something" * 40, "not audio we can read"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "read"), (b"\x89PNG\r\n\x1a\n" + b"\0" * 4000, "not audio we can read"),
        (b"PK\x03\x04" + b"\0" * 4000, "not audio we can read"), (b"#EXTM3U\nhttp://127.0.0.1/x.wav\n" * 50, "not audio we can read"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n" * 20, "not audio we can read"),
    ],
)  # fmt: skip
def test_what_is_no_audio_says_so(alice: User, billing: Team, file: bytes, words: str) -> None:
    recording = work(upload(alice, billing, file))
    assert recording.state == RecordingState.FAILED and words in recording.reason, recording.reason
    assert not intake.is_here(recording.pk) and not Call.objects.exists()


def test_too_long_too_short_and_too_many_channels(alice: User, billing: Team, settings: Any) -> None:
    settings.RECORDING_MAX_HOURS = 0.001
    long = work(upload(alice, billing, encoded(np.zeros((2, 8000 * 60), np.int16), "flac", "flac", 8000)))
    assert "longer than" in long.reason and "Split it" in long.reason
    settings.RECORDING_MAX_HOURS = 4
    assert "shorter than a second" in work(upload(alice, billing, wav(0.5))).reason
    six = encoded(tones(2, 16000, *range(200, 800, 100)), "wav", "pcm_s16le")
    assert "6 channels" in work(upload(alice, billing, six)).reason


def test_a_truncated_file_is_scored_as_far_as_it_goes(alice: User, billing: Team) -> None:
    file = encoded(tones(6, 44100), "mp3", "libmp3lame", 44100)
    recording = work(upload(alice, billing, file[: len(file) // 2]))
    assert recording.state == RecordingState.DONE and 2000 < recording.duration_ms < 4000


# --- scored like a call ------------------------------------------------------------------------------


def test_from_the_last_byte_to_the_score(alice: User, bob: User, billing: Team) -> None:
    began = timezone.now() - timedelta(days=2)
    recording = work(upload(alice, billing, wav(30), agent=bob, started_at=began, told=True))
    call = recording.call
    assert call and call.status == CallStatus.ENDED and call.is_recording and call.agent == bob
    assert call.started_at == began and call.ended_at == began + timedelta(milliseconds=call.media_ms)
    assert call.final is not None and call.media_ms == 30_000 and recording.percent == 100
    for channel in Channel:
        assert letters(call, channel) == "s" * (30_000 // HOP_MS)
    assert not intake.is_here(recording.pk), "files go once they are scored"
    assert not ledger().client.zcard("due")
    assert {Channel(turn.channel) for turn in Turn.objects.filter(call=call)} == set(Channel)


def test_two_files_of_unequal_length(alice: User, billing: Team) -> None:
    one = encoded(tones(8, 8000, LEFT_HZ), "wav", "pcm_s16le", 8000)
    two = encoded(tones(5, 44100, RIGHT_HZ), "mp3", "libmp3lame", 44100)
    recording = work(upload(alice, billing, one, two, layout="two-files"))
    assert recording.call and not recording.mixed
    assert (
        "agent's audio ends 3.0 s earlier" in recording.notes[0]
        and recording.notes[0] in recording.call.notes
    )
    assert len(letters(recording.call, Channel.CUSTOMER)) == 16
    assert len(letters(recording.call, Channel.AGENT)) in (10, 11)


@pytest.mark.parametrize("how", ["mono", "twins", "said"])
def test_both_on_one_channel_get_no_feelings_and_it_says_so(alice: User, billing: Team, how: str) -> None:
    samples = tones(20, 8000, LEFT_HZ) if how == "mono" else tones(20, 8000, LEFT_HZ, LEFT_HZ if how == "twins" else RIGHT_HZ)  # fmt: skip
    layout = Layout.ONE_CHANNEL if how == "said" else Layout.CALLER_LEFT
    recording = work(upload(alice, billing, encoded(samples, "wav", "pcm_s16le", 8000), layout=layout))
    call = recording.call
    assert recording.mixed and call and recordings.MIXED_NOTE in call.notes
    assert not VoiceWindow.objects.filter(call=call).exists(), "no voice of nobody knows whom"
    turns = list(Turn.objects.filter(call=call))
    assert turns and not any(turn.states or turn.behaviours or turn.cues for turn in turns)
    assert call.final and call.final["empathy"] is None and call.tile["state"] in ("unsure", "calm")


def test_the_same_bytes_are_one_call(alice: User, carol: User, billing: Team, travel: Team) -> None:
    first = work(upload(alice, billing, wav(3)))
    again = upload(alice, billing, wav(3), layout="agent-left")
    assert again.state == RecordingState.DUPLICATE and again.call == first.call and Call.objects.count() == 1
    assert not intake.is_here(again.pk)
    carol.supervises.add(travel)
    elsewhere = upload(carol, travel, wav(3))
    assert elsewhere.state == RecordingState.QUEUED, "another team's call is nothing to them"
    assert first.call is not None
    first.call.delete()
    assert upload(alice, billing, wav(3)).state == RecordingState.QUEUED, "deleted: it may come again"


def test_no_floor_and_no_agent_hears_of_it_while_it_runs(alice: User, bob: User, billing: Team) -> None:
    recording = upload(alice, billing, wav(5), agent=bob)
    assert recordings.prepare_next()
    recording.refresh_from_db()
    call = Call.objects.get()
    assert call.is_live and not Call.objects.live().exists() and live.floor_snapshot(alice)["calls"] == {}
    assert call.groups() == [f"call.{call.pk}"]


# --- behind live calls -------------------------------------------------------------------------------


def test_live_calls_come_first(alice: User, billing: Team, make_call: Callable[..., Call]) -> None:
    recording = upload(alice, billing, wav(20))
    tasks.score_recordings()
    assert ledger().client.zcard("due") == 80
    phone = make_call("CA-live")
    put(phone, range(4))
    assert {claim.call_id for claim in tasks.next_claims()} == {str(phone.pk)}
    before = int(ledger().client.zcard("due"))
    put(phone, range(4, 8), at_ms=1)  # as if it had waited since 1970: we are far behind
    assert recordings.feed() == 0
    ledger().client.delete("leases")
    tasks.score_due()
    assert work(recording).state == RecordingState.DONE and before


def test_what_waits_long_does_not_run_out(alice: User, billing: Team) -> None:
    upload(alice, billing, wav(20))
    tasks.score_recordings()
    [call] = Call.objects.all()
    name = f"audio:{call.pk}:customer:3"
    ledger().client.expire(name, 5)
    ledger().client.delete(f"audio:{call.pk}:agent:5")
    assert recordings.feed() == 1, "what was lost is put again"
    assert ledger().client.ttl(name) > 600


def test_a_wake_up_that_died_with_its_worker_is_sent_again(alice: User, billing: Team) -> None:
    upload(alice, billing, wav(20))
    tasks.score_recordings()
    assert ledger().client.zcard("due") == 80, "all that may wait there at once"
    ledger().client.delete("score")  # the messages that woke workers, as Celery keeps them
    tasks.score_recordings()
    assert ledger().client.llen("score") == 1


def test_a_worker_that_dies_costs_nothing(alice: User, billing: Team, monkeypatch: Any) -> None:
    recording = upload(alice, billing, wav(20))
    tasks.score_recordings()
    claims = tasks.next_claims()  # taken, and never heard of again
    assert claims
    monkeypatch.setattr(recordings.intake, "forget", lambda pk: None)
    ledger().client.delete("leases")  # as when its lease has run out
    assert work(recording).call is not None
    for channel in Channel:
        assert letters(Call.objects.get(), channel) == "s" * 40


def test_decoded_audio_that_is_gone_is_said(alice: User, billing: Team) -> None:
    recording = upload(alice, billing, wav(60))
    tasks.score_recordings()
    intake.forget(recording.pk)
    for _ in range(10):
        tasks.score_due()
        tasks.score_recordings()
    recording.refresh_from_db()
    assert recording.state == RecordingState.FAILED and "gone from the disk" in recording.reason
    tasks.score_due()
    call = Call.objects.get()
    assert call.status == CallStatus.ENDED and recording.reason in call.notes


def test_a_file_that_kills_its_decoder_stops_after_three(
    alice: User, billing: Team, monkeypatch: Any
) -> None:
    recording = upload(alice, billing, wav(3))

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(intake, "decode", die)
        for _ in range(recordings.MOST_ATTEMPTS):
            with pytest.raises(KeyboardInterrupt):
                tasks.score_recordings()
    tasks.score_recordings()
    recording.refresh_from_db()
    assert recording.state == RecordingState.FAILED and "three times" in recording.reason


# --- uploading ---------------------------------------------------------------------------------------


@given(cuts=st.lists(st.integers(1, 40_000), max_size=12), repeats=st.lists(st.booleans(), max_size=12))
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_goes_on_at_any_offset(alice: User, billing: Team, cuts: list[int], repeats: list[bool]) -> None:
    file = wav(3)
    Recording.objects.all().delete()
    wanted = Wanted(billing, "caller-left", ["a.wav"], [len(file)], timezone.now())
    at = 0
    for n, cut in enumerate([*cuts, len(file)]):
        if at >= len(file):
            break
        recording, new = recordings.begin(alice, wanted)  # the browser was opened anew
        assert new == (n == 0) and recordings.received(recording, 0) == at
        with pytest.raises(intake.WrongOffset) as wrong:
            recordings.receive(recording, 0, at + 1, iter([b"x"]))
        assert wrong.value.expected == at
        at = recordings.receive(recording, 0, at, iter([file[at : at + cut]]))
        if n < len(repeats) and repeats[n] and at < len(file):
            with pytest.raises(intake.WrongOffset):
                recordings.receive(recording, 0, 0, iter([file[:cut]]))
    recording.refresh_from_db()
    assert recording.state == RecordingState.QUEUED
    assert (intake._folder(recording.pk) / "0").read_bytes() == file


def test_more_than_announced_is_refused(alice: User, billing: Team) -> None:
    recording, _ = recordings.begin(alice, Wanted(billing, "caller-left", ["a"], [10], timezone.now()))
    with pytest.raises(intake.TooLong):
        recordings.receive(recording, 0, 0, iter([b"x" * 6, b"x" * 6]))
    assert recordings.received(recording, 0) == 6


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"sizes": [0]}, "is empty"), ({"sizes": [10**12]}, "larger than"), ({"layout": "upside-down"}, "which channel"),
        ({"layout": "two-files"}, "choose one for the caller"), ({"days": 9000}, "older than"), ({"days": -1}, "future"),
        ({"agent": "carol"}, "not in this team"),
    ],
)  # fmt: skip
def test_what_is_refused(alice: User, carol: User, billing: Team, said: dict[str, Any], words: str) -> None:
    began = timezone.now() - timedelta(days=said.get("days", 0))
    agent = carol if "agent" in said else None
    with pytest.raises(Refused, match=words):
        recordings.begin(
            alice, Wanted(billing, said.get("layout", "caller-left"), ["a.wav"], said.get("sizes", [5]), began, agent)
        )  # fmt: skip
    assert not Recording.objects.exists()


def test_where_callers_must_agree(alice: User, billing: Team) -> None:
    Policy.objects.create(region="eu", asked=Asked.CONSENT)
    assert policy.current().asked == Asked.CONSENT
    with pytest.raises(Refused, match="must have agreed"):
        upload(alice, billing, wav(3))
    call = work(upload(alice, billing, wav(3), told=True)).call
    assert call and call.opted_in_at is not None and set(letters(call, Channel.CUSTOMER)) == {"s"}


def test_unfinished_uploads_go_after_a_day_and_strays_too(alice: User, billing: Team, settings: Any) -> None:
    young, _ = recordings.begin(alice, Wanted(billing, "caller-left", ["a"], [10], timezone.now()))
    old, _ = recordings.begin(alice, Wanted(billing, "caller-left", ["b"], [10], timezone.now()))
    for recording in (young, old):
        recordings.receive(recording, 0, 0, iter([b"abc"]))
    Recording.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
    assert recordings.tidy() == 1
    assert intake.is_here(young.pk) and not intake.is_here(old.pk)
    assert list(Recording.objects.all()) == [young]
    (settings.RECORDINGS_DIR / "not-ours").mkdir()
    assert recordings.tidy() == 0 and (settings.RECORDINGS_DIR / "not-ours").exists()


def test_files_are_nobody_elses(alice: User, billing: Team) -> None:
    recording = upload(alice, billing, wav(3))
    folder = intake._folder(recording.pk)
    assert folder.stat().st_mode & 0o777 == 0o700 and (folder / "0").stat().st_mode & 0o777 == 0o600
