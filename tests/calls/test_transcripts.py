"""Words that a platform heard: masked in the order of the call, however and whenever they come."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis.asyncio
import websockets
from asgiref.sync import sync_to_async
from django.conf import settings as site
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from calls import record, recordings, tasks, tokens, transcripts
from calls.access import MediaSource
from calls.buffer import ledger
from calls.choices import CallStatus, RecordingState, Scope
from calls.models import Call, Moment, Recording, Source, Speech, Turn, User, VoiceWindow
from scoring.given import Before, Said, in_order, redacted
from scoring.types import Channel
from tests.calls.test_recordings import upload, wav, work
from tests.calls.test_tasks import close, put
from tests.ingest.conftest import door, make_source  # noqa: F401
from tests.servers import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
PATH = "/api/v1/transcripts"
CUSTOMER, AGENT = Channel.CUSTOMER, Channel.AGENT
CALL = [
    Said(AGENT, 0, 1500, "Thank you for calling, how can I help?"),
    Said(CUSTOMER, 2000, 6000, "This is the third time I call about this, it is ridiculous."),
    Said(AGENT, 7000, 8000, "Could you read me the card number?"),
    Said(CUSTOMER, 9000, 11000, "Sure, it is four one one one one one one one"),
    Said(CUSTOMER, 12000, 14000, "one one one one one one one one."),
    Said(AGENT, 15000, 17000, "I am sorry about that, I understand how frustrating this is."),
]


@pytest.fixture
def told_call(source: Source, make_call: Callable[..., Call]) -> Call:
    source.given_words = True
    source.save()
    return make_call("CA-told")


def program_of(user: User) -> Client:
    _, token = tokens.make(user, "asr", [Scope.FEED], 7)
    return Client(headers={"Authorization": f"Bearer {token}"})


def tell(client: Client, turns: list[dict[str, Any]], **said: Any) -> Any:
    body = {"source": "billing-line", "call_ref": "CA-told", "turns": turns} | said
    return client.post(PATH, body, "application/json")


def kept(call: Call) -> list[tuple[Any, ...]]:
    rows = Turn.objects.filter(call=call).order_by("start_ms", "channel")
    return [(r.channel, r.start_ms, r.end_ms, r.text, r.states, r.behaviours, r.redacted) for r in rows]


# --- pure --------------------------------------------------------------------------------------------


def test_a_number_over_two_turns_is_masked_in_both() -> None:
    clean = redacted(Before(), in_order(CALL))
    assert not any(digit in clean[n].text for n in (3, 4) for digit in ("one one", "four one"))
    assert clean[3].masks and clean[4].masks and clean[5].previous == (CALL[0].text, CALL[2].text)
    halves = redacted(Before.load(clean[2].after.dump()), CALL[3:])
    assert [(one.text, one.previous) for one in halves] == [(one.text, one.previous) for one in clean[3:]]


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (5, "no object"), ({}, "channel"), ({"channel": "caller"}, "channel"), ({"start_ms": -1}, "whole milliseconds"),
        ({"start_ms": True}, "whole milliseconds"), ({"end_ms": 10}, "whole milliseconds"), ({"end_ms": 10**9}, "whole"),
        ({"end_ms": 700_000}, "ten minutes"), ({"text": None}, "text"), ({"text": "x" * 2001}, "2000"), ({"confidence": 1.1}, "0 to 1"),
        ({"confidence": float("nan")}, "0 to 1"), ({"confidence": "high"}, "0 to 1"), ({"start_ms": 1.5}, "whole milliseconds"),
    ],
)  # fmt: skip
def test_what_is_no_turn(turn: Any, words: str) -> None:
    good = {"channel": "agent", "start_ms": 10, "end_ms": 20, "text": "yes"}
    said = good | turn if isinstance(turn, dict) and turn else turn
    with pytest.raises(transcripts.NotATurn, match=f"turn 2.*{words}"):
        transcripts.read({"turns": [good, said]})
    with pytest.raises(transcripts.NotATurn, match="list"):
        transcripts.read("hello")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["turns", "channel", "start_ms", "end_ms", "text", "confidence"]), inner)))  # fmt: skip
def test_anything_is_a_list_of_turns_or_says_why_not(said: Any) -> None:
    try:
        for one in transcripts.read(said):
            assert "\0" not in one.text and one.text.encode() is not None
    except transcripts.NotATurn as wrong:
        assert str(wrong)


# --- into the call -----------------------------------------------------------------------------------


def test_words_by_api_while_the_call_runs(told_call: Call, alice: User) -> None:
    client = program_of(alice)
    put(told_call, range(8), loud=4)
    tasks.score_due()
    assert not Turn.objects.exists(), "we transcribe nothing"
    assert Speech.objects.filter(call=told_call).exists(), "and time what is said all the same"
    answer = tell(client, transcripts.as_json(CALL))
    assert answer.status_code == 202 and answer.json() == {"call": str(told_call.pk), "taken": 6}
    tasks.score_due()
    rows = Turn.objects.filter(call=told_call).order_by("start_ms")
    assert [row.channel for row in rows] == [str(one.channel) for one in CALL]
    assert rows[1].states and not rows[1].behaviours and rows[5].behaviours and not rows[5].states
    assert (
        "one one" not in " ".join(row.text for row in rows) and rows[3].redacted and rows[0].model == "given"
    )
    assert Moment.objects.filter(call=told_call).exists()
    told_call.refresh_from_db()
    assert "The words are the phone system's own transcript; we transcribed nothing." in told_call.notes
    assert (
        not ledger().client.zcard("wordy")
        and ledger().client.ttl(f"words:{told_call.pk}") <= transcripts.RAW_S
    )
    stored = json.dumps(list(Turn.objects.values("text", "cues", "words")))
    assert "four one" not in stored


def test_words_come_late_and_no_cue_comes_over_the_callers_voice(told_call: Call) -> None:
    """Who speaks now is heard, whoever tells the words."""
    put(told_call, range(16), loud=16)
    tasks.score_due()
    transcripts.put(ledger().client, str(told_call.pk), CALL[:2])
    tasks.read_given()
    assert told_call.nudges.exists() and not told_call.shown_nudges.exists(), "the caller speaks"
    put(told_call, range(16, 20), loud=16)
    tasks.score_due()
    assert told_call.shown_nudges.exists()


@given(
    order=st.permutations(range(len(CALL))), cuts=st.lists(st.integers(1, 3), max_size=6), again=st.sampled_from(range(6))
)  # fmt: skip
@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_in_any_order_and_told_twice_it_is_the_same_call(
    told_call: Call, order: list[int], cuts: list[int], again: int
) -> None:
    client = ledger().client

    def fresh() -> None:
        transcripts.drop(ledger(), str(told_call.pk))
        Turn.objects.all().delete()

    fresh()
    transcripts.put(client, str(told_call.pk), CALL)
    tasks.read_given()
    meant = kept(told_call)
    assert len(meant) == 6
    fresh()
    rest = [CALL[n] for n in order]
    for cut in [*cuts, len(rest)]:
        part, rest = rest[:cut], rest[cut:]
        if part:
            transcripts.put(client, str(told_call.pk), part)
            tasks.read_given()
    transcripts.put(client, str(told_call.pk), [CALL[again]])
    tasks.read_given()
    assert kept(told_call) == meant and not client.zcard("wordy")


def test_what_comes_after_the_end_changes_the_score(told_call: Call, alice: User) -> None:
    put(told_call, range(40), loud=10)
    put(told_call, range(40), AGENT, loud=10)
    tasks.score_due()
    close(told_call)
    tasks.score_due()
    told_call.refresh_from_db()
    assert told_call.status == CallStatus.ENDED and told_call.final
    assert "No transcript had come when the call ended." in told_call.notes
    before = told_call.final
    assert tell(program_of(alice), transcripts.as_json(CALL)).status_code == 202
    tasks.score_due()
    told_call.refresh_from_db()
    assert told_call.status == CallStatus.ENDED and told_call.final != before and Turn.objects.count() == 6


def test_corrected_and_taken_back(told_call: Call, alice: User) -> None:
    client = program_of(alice)
    tell(client, transcripts.as_json(CALL[:2]))
    tasks.score_due()
    said = transcripts.as_json(CALL[1:2])[0]
    tell(client, [said | {"text": "I am fine, thank you."}, transcripts.as_json(CALL[:1])[0] | {"text": " "}])
    tasks.score_due()
    rows = Turn.objects.filter(call=told_call).order_by("start_ms")
    assert [row.text for row in rows] == ["", "I am fine, thank you."] and not rows[0].behaviours


def test_told_again_while_it_is_read_stays_owed(told_call: Call) -> None:
    client = ledger().client
    transcripts.put(client, str(told_call.pk), CALL[:1])
    [owed] = transcripts.claim(ledger())
    assert not list(transcripts.claim(ledger())), "somebody has it"
    transcripts.put(client, str(told_call.pk), [Said(AGENT, 0, 1500, "Good morning.")])
    transcripts.put(client, str(told_call.pk), CALL[1:2])
    transcripts.settle(ledger(), owed)
    ledger().release(owed.claim)
    assert client.zcard("wordy") == 1
    tasks.read_given()
    assert [row[3] for row in kept(told_call)] == ["Good morning.", CALL[1].text] and not client.zcard(
        "wordy"
    )


def test_raw_words_leave_after_a_while_and_what_they_left_stays(
    told_call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = ledger().client
    transcripts.put(client, str(told_call.pk), CALL[:4])
    monkeypatch.setattr(transcripts, "RAW_S", -1)
    tasks.read_given()
    assert not client.exists(f"words:{told_call.pk}")
    left = client.get(f"words:{told_call.pk}:before").decode()
    assert "four one" not in left
    transcripts.put(client, str(told_call.pk), CALL[4:])
    tasks.read_given()
    assert "one one" not in " ".join(str(row[3]) for row in kept(told_call))


def test_without_consent_nothing_is_read(told_call: Call) -> None:
    Call.objects.update(opted_out_at=timezone.now())
    transcripts.put(ledger().client, str(told_call.pk), CALL)
    tasks.score_due()
    assert not Turn.objects.exists() and not ledger().client.keys("words:*")


def test_of_a_call_that_is_gone(told_call: Call) -> None:
    transcripts.put(ledger().client, str(told_call.pk), CALL)
    told_call.delete()
    tasks.score_due()
    assert not ledger().client.keys("words:*") and not ledger().client.zcard("wordy")


# --- who may, and what cannot be ---------------------------------------------------------------------


def test_who_may_tell(told_call: Call, alice: User, carol: User) -> None:
    turns = transcripts.as_json(CALL)
    assert tell(program_of(carol), turns).status_code == 404
    assert Client().post(PATH, {}, "application/json").status_code == 401
    assert tell(program_of(alice), turns, call_ref="CA-other").status_code == 404
    assert not ledger().client.zcard("wordy")


def test_what_cannot_be_told(
    told_call: Call, alice: User, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    client, turns = program_of(alice), transcripts.as_json(CALL[:1])
    for wrong in ([], turns * 501, [turns[0] | {"channel": "x"}], [turns[0] | {"end_ms": 0}], "hello"):
        assert tell(client, wrong).status_code == 400, wrong  # type: ignore[arg-type]
    monkeypatch.setattr(transcripts, "MOST_TURNS", 0)
    assert "at most 0" in tell(client, turns).json()["detail"]
    monkeypatch.undo()
    Call.objects.update(purged={"transcript": "2026-01-01"})
    assert "deleted under the policy" in tell(client, turns).json()["detail"]
    Call.objects.update(given_words=False, purged={})
    assert "We transcribe this call ourselves" in tell(client, turns).json()["detail"]
    Call.objects.update(given_words=True)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert tell(client, turns).status_code == 503


# --- by our own stream, and with a recording ---------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize("told", [True, False])
async def test_by_our_own_stream(
    door: Server,  # noqa: F811
    make_source: Callable[..., MediaSource],  # noqa: F811
    told: bool,  # noqa: F811
) -> None:
    source = await sync_to_async(make_source)(protocol="stream", given_words=told)
    headers = {"Authorization": f"Bearer {source.secrets[0]}"}
    url = f"{door.ws}/media/stream/{source.slug}/"
    async with websockets.connect(url, additional_headers=headers, subprotocols=["empathy.v1"]) as socket:  # type: ignore[list-item]
        await socket.send(json.dumps({"type": "start", "call_ref": "S1", "format": "pcmu", "rate": 8000}))
        assert json.loads(await socket.recv())["type"] == "started"
        await socket.send(b"\xff" * 16000)
        for one in transcripts.as_json(CALL[:2]):
            await socket.send(json.dumps({"type": "turn", **one}))
        await socket.send(json.dumps({"type": "turn", "channel": "nobody"}))
        assert "channel is customer or agent" in json.loads(await socket.recv())["message"]
        await socket.send(b"\xff" * 16000)
        await socket.send('{"type": "stop"}')
        await socket.wait_closed()
    for _ in range(50):
        if ledger().client.zcard("wordy") or not told:
            break
        await asyncio.sleep(0.1)
    await sync_to_async(tasks.score_due)()
    texts = [row.text async for row in Turn.objects.order_by("start_ms") if row.text]
    assert (texts == [one.text for one in CALL[:2]]) is told
    call = await Call.objects.aget()
    assert call.counters["malformed"] == 1 and call.counters["ignored"] == (0 if told else 2)


@pytest.mark.parametrize("hz", [(300, 700), (300,)])
def test_with_a_recording(
    alice: User, billing: Any, settings: Any, tmp_path: Any, hz: tuple[int, ...]
) -> None:
    settings.RECORDINGS_DIR = tmp_path
    recording = work(upload(alice, billing, wav(20, *hz), turns=CALL))
    call = recording.call
    assert recording.given_words and call and call.given_words and call.final
    assert [row[3] for row in kept(call)][:2] == [CALL[0].text, CALL[1].text] and len(kept(call)) == 6
    assert kept(call)[1][4] and "one one" not in json.dumps(kept(call))
    assert VoiceWindow.objects.filter(call=call).exists() is (len(hz) == 2), "of a mix no voice is read"
    assert (recordings.MIXED_BUT_TOLD in call.notes) is (len(hz) == 1)


def test_with_a_recording_by_hand(alice: User, billing: Any, settings: Any, tmp_path: Any) -> None:
    settings.RECORDINGS_DIR = tmp_path
    client = Client()
    client.force_login(alice)
    began = (timezone.now() - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")

    def send(told: bytes, files: int = 1) -> str:
        said = {
            "team": str(billing.pk), "layout": "caller-left", "started_at": began,
            "files": [SimpleUploadedFile(f"a{n}.wav", wav(3 + n)) for n in range(files)],
            "transcript": SimpleUploadedFile("t.json", told),
        }  # fmt: skip
        return client.post("/recordings/", said, follow=True).content.decode()

    assert "it is no JSON" in send(b"{") and "turn 1 is no object" in send(b"[3]")
    assert "it is no JSON" in send(b"[" * 100_000)
    assert "belongs to one call" in send(b"[]", files=2) and not Recording.objects.exists()
    assert "1 file is here" in send(json.dumps({"turns": transcripts.as_json(CALL)}).encode())
    recording = work(Recording.objects.get())
    assert recording.state == RecordingState.DONE and Turn.objects.count() == 6


# --- pauses ------------------------------------------------------------------------------------------

SECRET = Said(CUSTOMER, 9000, 11000, "It is my dog's name, Rufus")
PAUSE = {"since": 8500, "until": 12_000, "channels": ["agent", "customer"]}


def test_what_overlaps_a_pause() -> None:
    def left(start: int, end: int, *pauses: dict[str, Any]) -> bool:
        return bool(transcripts.outside([Said(AGENT, start, end, "x")], pauses))

    assert left(0, 8500, PAUSE) and left(12_000, 12_500, PAUSE) and left(0, 99_999)
    assert not left(8000, 8501, PAUSE) and not left(11_999, 20_000, PAUSE) and not left(0, 20_000, PAUSE)
    still = PAUSE | {"until": None}
    assert left(0, 8500, still) and not left(99_000, 99_500, still)


@pytest.mark.parametrize("read_before", [True, False])
def test_turns_of_a_pause_leave_nothing(told_call: Call, alice: User, read_before: bool) -> None:
    """Told before the pause is known, or after: not in the call, and not in Redis."""
    client = program_of(alice)
    tell(client, transcripts.as_json([CALL[0], SECRET, CALL[5]]))
    if read_before:
        tasks.score_due()
        assert "Rufus" in str(kept(told_call))
    record.paused(str(told_call.pk), ["agent", "customer"], 8500, None)
    record.paused(str(told_call.pk), ["agent", "customer"], 8500, 12_000)
    told_call.refresh_from_db()
    assert told_call.pauses == [PAUSE]
    asyncio.run(look_again(str(told_call.pk)))
    tasks.score_due()
    stored = str(ledger().client.hgetall(f"words:{told_call.pk}")) + str(kept(told_call))
    assert "Rufus" not in stored and CALL[5].text in stored and CALL[0].text in stored
    answer = tell(client, transcripts.as_json([SECRET, Said(AGENT, 18_000, 19_000, "Bye.")]))
    assert answer.status_code == 202 and answer.json()["taken"] == 1
    assert "Rufus" not in str(ledger().client.hgetall(f"words:{told_call.pk}"))


async def look_again(call_id: str) -> None:
    client = redis.asyncio.Redis.from_url(site.REDIS_URL)
    await transcripts.look_again(client, call_id)
    await client.aclose()


def test_a_pause_goes_on_until_somebody_ends_it(make_call: Callable[..., Call]) -> None:
    call = make_call("CA-paused")
    pk = str(call.pk)
    record.paused(pk, ["customer"], 1000, None)
    record.paused(pk, ["agent"], 1200, None)
    record.paused(pk, ["customer"], 1000, 3000)
    call.refresh_from_db()
    assert [(p["channels"], p["since"], p["until"]) for p in call.pauses] == [
        (["customer"], 1000, 3000), (["agent"], 1200, None),
    ]  # fmt: skip
    for n in range(record.MOST_PAUSES + 5):
        record.paused(pk, ["customer"], 10_000 + n, 10_001 + n)
    call.refresh_from_db()
    assert len(call.pauses) == record.MOST_PAUSES
    assert call.pauses[-1]["until"] == 10_001 + record.MOST_PAUSES + 4


def test_a_stream_cut_off_in_a_pause_ends_it_by_coming_back(make_call: Callable[..., Call]) -> None:
    call = make_call("CA-cut")
    record.paused(str(call.pk), ["agent", "customer"], 1000, None)
    now = call.started_at + timedelta(seconds=20)
    record.open_call(record.OpenCall(call.source_id, "stream", "CA-cut", "S2", now))
    call.refresh_from_db()
    assert [pause["until"] for pause in call.pauses] == [20_000]


def test_a_call_has_so_many_turns_and_no_more(
    told_call: Call, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcripts, "MOST_TURNS", 4)
    pk, client = str(told_call.pk), ledger().client
    assert transcripts.put(client, pk, CALL) == 4 and client.hlen(f"words:{pk}") == 4
    assert transcripts.put(client, pk, [CALL[0]]) == 1 and transcripts.put(client, pk, [CALL[5]]) == 0
    client.delete(f"words:{pk}")  # their raw text is gone by and by; they still count
    assert transcripts.count(client, pk) == 4 and transcripts.put(client, pk, [CALL[5]]) == 0
    assert tell(program_of(alice), transcripts.as_json(CALL[:1])).status_code == 409
    transcripts.drop(ledger(), pk)
    assert not client.keys("words:*") and not client.zcard("wordy")


async def words_of_a_stream(door: Server, source: MediaSource, ref: str, *frames: Any) -> tuple[int, str]:  # noqa: F811
    headers = {"Authorization": f"Bearer {source.secrets[0]}"}
    address = f"{door.ws}/media/stream/{source.slug}/"
    async with websockets.connect(address, additional_headers=headers, compression=None) as socket:
        begin = {"type": "start", "call_ref": ref, "format": "pcmu", "rate": 8000}
        await socket.send(json.dumps(begin))
        await socket.recv()
        reading = asyncio.create_task(_read(socket))
        try:
            for frame in frames:
                if callable(frame):
                    await frame()
                else:
                    await socket.send(frame if isinstance(frame, bytes) else json.dumps(frame))
            await socket.wait_closed()
        except websockets.ConnectionClosed:
            pass
        await reading
        return socket.close_code or 0, socket.close_reason or ""


async def _read(socket: Any) -> None:
    """Whatever is said, so that the line does not fill up."""
    with contextlib.suppress(websockets.ConnectionClosed):
        async for _ in socket:
            pass


@pytest.mark.real
async def test_a_pause_of_a_stream_covers_its_words(door: Server, make_source: Any) -> None:  # noqa: F811
    source = await sync_to_async(make_source)(protocol="stream", given_words=True)
    ref = f"C{source.slug}"

    async def read() -> None:
        await wait_for(lambda: ledger().client.zcard("wordy"))
        await sync_to_async(tasks.score_due)()

    def turn(start: int, end: int, text: str) -> dict[str, Any]:
        return {"type": "turn", "channel": "customer", "start_ms": start, "end_ms": end, "text": text}

    await words_of_a_stream(
        door, source, ref,
        b"\xff" * 2 * 8000,
        turn(0, 400, "Hello there."), turn(600, 1000, "It is Rufus."), read,
        {"type": "pause", "from": 4000}, turn(100, 450, "Good morning."), turn(500, 1500, "Rufus I said."),
        {"type": "resume", "skipped": 8000}, turn(900, 1800, "My dog Rufus."), b"\xff" * 2 * 8000,
        turn(1900, 2100, "Rufus again."), turn(2000, 2400, "Thank you."), {"type": "stop"},
    )  # fmt: skip
    call = await Call.objects.aget(external_ref=ref)
    await wait_for(lambda: Call.objects.get(pk=call.pk).end_reason)
    await sync_to_async(tasks.score_due)()
    await call.arefresh_from_db()
    assert [(p["since"], p["until"]) for p in call.pauses] == [(500, 2000)]
    texts = await sync_to_async(lambda: [row[3] for row in kept(call) if row[3]])()
    assert texts == ["Hello there.", "Good morning.", "Thank you."]
    assert b"Rufus" not in b"".join(ledger().client.hgetall(f"words:{call.pk}").values())


async def wait_for(check: Callable[[], Any]) -> None:
    async with asyncio.timeout(15):
        while not await sync_to_async(check)():
            await asyncio.sleep(0.02)


@pytest.mark.real
@pytest.mark.parametrize("what", ["ping", "nonsense", "turn", "empty"])
async def test_a_stream_that_only_talks_is_shown_out(
    door: Server, make_source: Any, what: str  # noqa: F811
) -> None:  # fmt: skip
    source = await sync_to_async(make_source)(protocol="stream", given_words=True)
    frame: Any = {
        "ping": {"type": "ping"}, "nonsense": {"type": "hum"}, "empty": b"",
        "turn": {"type": "turn", "channel": "agent", "start_ms": 0, "end_ms": 9, "text": "x"},
    }[what]  # fmt: skip
    code, why = await words_of_a_stream(door, source, f"C{source.slug}", *[frame] * 3000)
    assert (code, why) == (1008, "too many messages")
