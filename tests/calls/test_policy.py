"""Policy, consent and purge: an objection stops the analysis, and a purge leaves no word behind."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.cache import caches
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from calls import (
    consent,
    firewall_kept,
    helping,
    keeping,
    nudging,
    policy,
    record,
    retention,
    reviewing,
    subjects,
    tasks,
    trends,
)
from calls.buffer import StoredPiece, Writer, ledger
from calls.choices import CallStatus, Kept, Region, Said
from calls.models import Appeal, Call, CallFact, ConsentEvent, CoverageBlock, Policy, Purge, Source, User
from scoring.firewall import self_test
from scoring.types import CallHeard, Channel, Cue, Speech, Turn, VoiceState

pytestmark = pytest.mark.django_db
MARKER = "zanzibarquince"


def speak(call: Call, hops: range) -> None:
    """Audio of both sides, as a media session puts it."""
    tone = (np.sin(np.arange(2000) / 3) * 8000).astype("<i2").tobytes()
    size = 8000 * tasks.HOP_SAMPLES // 8000 * 2
    payload = (tone * (size // len(tone) + 1))[:size]
    now = int(timezone.now().timestamp() * 1000)
    pieces = [StoredPiece(str(call.pk), channel, n, now, payload, "s") for n in hops for channel in Channel]

    async def put() -> None:
        from django.conf import settings

        writer = Writer.connect(settings.REDIS_URL)
        await writer.put_many(pieces)
        await writer.close()

    asyncio.run(put())


def letters(call: Call) -> set[str]:
    return set("".join(CoverageBlock.objects.filter(call=call).values_list("hops", flat=True))) - {"."}


def tell(call: Call, close: bool = True) -> Call:
    """The call says the marker in its words, is judged, noted on and written to; then it ends."""
    turns = tuple(
        Turn(
            channel=channel, start_ms=at, end_ms=at + 3000, confidence=0.9, text=f"this {MARKER} is the third time I call",
            states={"frustration": 0.9} if channel is Channel.CUSTOMER else {},
            behaviours={} if channel is Channel.CUSTOMER else {"courtesy": 0.5},
            cues=(Cue("frustration", 0.8, 0.8, f"this {MARKER}", "phrases"),) if channel is Channel.CUSTOMER else (),
        )
        for at, channel in ((0, Channel.CUSTOMER), (4000, Channel.AGENT), (8000, Channel.CUSTOMER), (60_000, Channel.CUSTOMER))
    )  # fmt: skip
    voice = (
        VoiceState(start_ms=0, end_ms=3000, probs={"anger": 0.9}, confidence=0.8, speech_ms=2500, model="m"),
    )
    heard = CallHeard(str(call.pk), (), turns, voice, (Speech(Channel.CUSTOMER, 0, 3000),), {})
    record.record_scores([record.Scored(str(call.pk), heard, {}, {Channel.CUSTOMER: 100})])
    helping.write_note(call, call.agent, f"a note on {MARKER}")
    helping.send(call, User.objects.get(username="alice"), f"mind the {MARKER}")
    if close:
        record.record_scores([record.Scored(str(call.pk), None, {}, {}, close=True)])
        trends.learn(call.pk)
    call.refresh_from_db()
    return call


def age(call: Call, days: float) -> None:
    Call.objects.filter(pk=call.pk).update(ended_at=timezone.now() - timedelta(days=days))


def held(client: Any, key: bytes) -> bytes:
    """All that a key holds, as it is told: a dump would be packed, and hide words that repeat."""
    ways = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"stream": client.xrange,
    }
    return str(ways[client.type(key)](key)).encode() if client.exists(key) else b""


def everywhere(word: str) -> list[str]:
    """Tables of ours with the word in any column of any row, and keys of Redis with it."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s', [f"%{word}%"])
            found += [table] if cursor.fetchone()[0] else []
    client = ledger().client
    for key in client.scan_iter(match="*"):
        if word.encode() in key + held(client, key):
            found.append(key.decode(errors="replace"))
    return found


# --- consent --------------------------------------------------------------------------------------------


def test_an_objection_stops_the_analysis_and_is_said_everywhere(
    make_call: Callable[..., Call], bob: User
) -> None:
    call = make_call("CA-object")
    speak(call, range(0, 4))
    tasks.score_due()
    assert letters(call) == {"s"}
    consent.note(call, bob, Said.NO)
    before = call.voice.count(), call.turns.count(), call.speech.count()
    speak(call, range(4, 40))
    tasks.score_due()
    call.refresh_from_db()
    assert letters(call) == {"s", "w"}
    assert (call.voice.count(), call.turns.count(), call.speech.count()) == before
    assert call.tile["consent"] == "no" and "objected" in call.tile["not_scored"]
    assert any("objected at" in words for words in call.notes)
    assert not ledger().client.keys(f"audio:{call.pk}:*")
    ledger().mark_closing(str(call.pk), 0)
    tasks.score_due()
    call.refresh_from_db()
    assert call.status == CallStatus.ENDED and call.turns.count() == before[1]
    assert call.final is not None and call.final["coverage"]["channels"]["customer"]["withheld_ms"] > 0


def test_nothing_is_analysed_before_a_yes_where_one_is_needed(
    make_call: Callable[..., Call], bob: User
) -> None:
    Policy.objects.create(asked="consent")
    call = make_call("CA-ask")
    speak(call, range(0, 4))
    tasks.score_due()
    assert letters(call) == {"w"}
    consent.note(call, bob, Said.YES)
    speak(call, range(4, 8))
    tasks.score_due()
    assert letters(call) == {"w", "s"}
    with pytest.raises(helping.BadRequest, match="one of"):
        consent.note(call, bob, "maybe")


def test_the_phone_system_may_say_it(make_call: Callable[..., Call], bob: User) -> None:
    call = make_call("CA-said", consent="no", notice="yes")
    assert call.is_withheld
    assert sorted(ConsentEvent.objects.filter(call=call).values_list("said", flat=True)) == ["no", "notice"]
    with pytest.raises(helping.BadRequest, match="until the next one"):
        consent.note(call, bob, Said.YES)


def test_voice_switched_off_reads_no_voice(make_call: Callable[..., Call]) -> None:
    Policy.objects.create(voice=False)
    call = make_call("CA-words")
    speak(call, range(0, 40))
    tasks.score_due()
    assert letters(call) == {"s"} and not call.voice.exists()


def test_cues_switched_off_show_none(make_call: Callable[..., Call], alice: User) -> None:
    call = make_call("CA-cues")
    tell(call, close=False)
    rows = list(call.nudges.all())
    assert rows, "the told call must give a candidate"
    Policy.objects.create(cues=False)
    call.media_ms = rows[-1].t_ms
    call.shown_nudges.all().delete()
    spec = call.rubric_version.as_spec()
    assert nudging.show(call, rows, [], (), spec) is None
    Policy.objects.create(cues=True)
    assert nudging.show(call, rows, [], (), spec) is not None


# --- purge ------------------------------------------------------------------------------------------------


def test_a_purge_leaves_no_word_no_key_no_file(
    make_call: Callable[..., Call], alice: User, settings: Any, tmp_path: Path
) -> None:
    settings.AUDIO_DIR, settings.KEEP_AUDIO = tmp_path, True
    call, young = make_call("CA-old"), make_call("CA-young")
    tell(call)
    keeping.write(str(call.pk), Channel.CUSTOMER, {0: np.ones(tasks.HOP_SAMPLES, np.int16)})
    keeping.finish(str(call.pk), {})
    speak(call, range(0, 2))
    assert "calls_turn" in everywhere(MARKER) and keeping.find(call.pk)
    final, fact = dict(call.final or {}), CallFact.objects.filter(pk=call.pk).values().get()

    age(call, 8)
    [row] = retention.purge_due()
    assert (row.kind, row.calls, row.is_proven) == (Kept.AUDIO, 1, True)
    assert (
        not keeping.find(call.pk) and not list(tmp_path.rglob("*.*")) and not ledger().keys_of(str(call.pk))
    )
    assert MARKER in str(list(call.turns.values_list("text", flat=True)))

    age(call, 31)
    [row] = retention.purge_due()
    assert (row.kind, row.is_proven) == (Kept.TRANSCRIPT, True)
    assert everywhere(MARKER) == []
    assert call.turns.exclude(states={}).exists() and call.voice.exists()

    age(call, 91)
    [row] = retention.purge_due()
    assert (row.kind, row.is_proven) == (Kept.FEATURES, True)
    assert not call.turns.exists() and not call.moments.exists() and not call.voice.exists()
    call.refresh_from_db()
    assert call.final is not None and call.final["empathy"] == final["empathy"]
    trends.recompute()
    again = CallFact.objects.filter(pk=call.pk).values().get()
    assert {k: v for k, v in again.items() if k.startswith("time_")} == pytest.approx(
        {k: v for k, v in fact.items() if k.startswith("time_")}
    )

    age(call, 366)
    [row] = retention.purge_due()
    assert (row.kind, row.is_proven) == (Kept.SCORES, True)
    assert everywhere(str(call.pk)) == []
    assert retention.purge_due() == [] and Call.objects.filter(pk=young.pk).exists()


def test_words_wait_for_an_appeal_but_not_for_ever(
    make_call: Callable[..., Call], alice: User, bob: User
) -> None:
    appealed, other = tell(make_call("CA-appealed")), tell(make_call("CA-other"))
    final = (appealed.final or {}) | {"empathy": 40.0}
    Call.objects.filter(pk=appealed.pk).update(final=final)
    appealed.refresh_from_db()
    made = reviewing.appeal(appealed, None, bob, "she agreed")
    for call in (appealed, other):
        age(call, 31)
    purged = {row.kind: row.calls for row in retention.purge_due()}
    assert purged == {Kept.AUDIO: 2, Kept.TRANSCRIPT: 1}, "audio goes by its days"
    assert appealed.turns.exclude(text="").exists() and not other.turns.exclude(text="").exists()
    reviewing.decide(made, alice, "upheld", "heard again", None)
    assert [row.kind for row in retention.purge_due()] == [Kept.TRANSCRIPT]
    assert not appealed.turns.exclude(text="").exists()

    forgotten = tell(make_call("CA-forgotten"))
    Appeal.objects.create(call=forgotten, agent=bob, reason="x", before=1)
    age(forgotten, policy.LIMITS[Region.EU].transcript + 1)
    assert Kept.TRANSCRIPT in [row.kind for row in retention.purge_due()]
    assert not forgotten.turns.exclude(text="").exists(), "the region's most days hold for everybody"


def test_words_wait_while_a_persons_score_may_be_appealed(
    make_call: Callable[..., Call], alice: User, settings: Any
) -> None:
    call = tell(make_call("CA-reviewed"))
    age(call, 31)
    review = reviewing.start(call, alice)
    reviewing.submit(review, dict.fromkeys(reviewing.BEHAVIOURS, 1), 3, "")
    assert [row.kind for row in retention.purge_due()] == [Kept.AUDIO]
    settings.APPEAL_DAYS = 0
    assert [row.kind for row in retention.purge_due()] == [Kept.TRANSCRIPT]


def test_a_live_call_is_never_purged(make_call: Callable[..., Call]) -> None:
    call = make_call("CA-live")
    age(call, 4000)
    assert retention.purge_due() == []


def test_what_is_left_is_counted_not_assumed(make_call: Callable[..., Call], alice: User) -> None:
    call = tell(make_call("CA-left"))
    assert retention.left(Kept.TRANSCRIPT, [str(call.pk)])["postgresql"] > 0
    assert retention.left(Kept.SCORES, [str(call.pk)])["postgresql"] > 2
    speak(call, range(0, 1))
    assert retention.left(Kept.AUDIO, [str(call.pk)])["redis"] > 0


def test_the_callers_copy_has_all_and_nobody_of_ours(
    make_call: Callable[..., Call], alice: User, bob: User
) -> None:
    call = tell(make_call("CA-copy"))
    helping.look(call, alice)
    with zipfile.ZipFile(io.BytesIO(subjects.copy(call))) as archive:
        text = archive.read("call.json").decode()
    doc = json.loads(text)
    assert (
        len(doc["turns"]) == 4 and doc["voice"] and doc["call"]["final"]["empathy"] == call.final["empathy"]
    )
    assert MARKER in text and str(bob) not in text and str(alice) not in text


# --- the policy itself ---------------------------------------------------------------------------------


def test_without_a_row_the_strict_profile_holds() -> None:
    found = policy.current()
    assert found.region == Region.EU and found.hr_lock and policy.problems(found) == {}


def test_a_policy_never_changes() -> None:
    row = Policy.objects.create()
    with pytest.raises(ValidationError):
        row.save()


@given(
    region=st.sampled_from(list(Region)),
    days=st.tuples(*[st.integers(0, 5000)] * 4),
    lock=st.booleans(),
)
def test_what_passes_is_within_limits_and_in_order(region: Region, days: tuple[int, ...], lock: bool) -> None:
    made = Policy(
        region=region, hr_lock=lock, **dict(zip([f"{k}_days" for k in policy.LADDER], days, strict=True))
    )
    limits = policy.LIMITS[region]
    fine = (
        list(days) == sorted(days)
        and all(made.days(kind) <= limits.days(kind) for kind in policy.LADDER)
        and (lock or not limits.hr_lock)
        and made.transcript_days >= 14
    )
    assert (policy.problems(made) == {}) == fine


def test_words_are_kept_as_long_as_an_agent_may_appeal(settings: Any) -> None:
    short = Policy(audio_days=0, transcript_days=13)
    assert "At least 14 days" in policy.problems(short)["transcript_days"]
    settings.APPEAL_DAYS = 13
    assert policy.problems(short) == {}


def test_notices_say_what_is_set() -> None:
    made = Policy(asked="consent", voice=False, cues=False, hr_lock=False, scores_days=1)
    caller, agent = " ".join(policy.caller_notice(made)), " ".join(policy.agent_notice(made))
    assert "only if you say yes" in caller and "voice" not in caller and "after 1 day." in caller
    assert "No cues" in agent and "words only" in agent
    on = " ".join(policy.caller_notice(Policy()))
    assert "your voice and words" in on and "say so at any time" in on


@pytest.mark.parametrize("region", Region)
def test_what_a_region_begins_with_is_within_its_limits(region: Region) -> None:
    begun = Policy(**policy.profile(region))
    assert begun.region == region and policy.problems(begun) == {}
    assert policy.profile("mars") == {}
    assert Policy(**policy.profile("eu")).asked == "consent" and Policy(**policy.profile("uk")).hr_lock


def test_callers_and_agents_are_told_of_kept_audio(source: Source, settings: Any) -> None:
    def told() -> tuple[bool, bool]:
        notices = (policy.caller_notice(Policy()), policy.agent_notice(Policy()))
        return tuple(any("recording" in line and "7 days" in line for line in notice) for notice in notices)

    source.keep_audio = True
    source.save()
    settings.KEEP_AUDIO = False
    assert told() == (False, False), "the site keeps none"
    settings.KEEP_AUDIO = True
    assert told() == (True, True) and policy.keeps_audio() == "all"
    other = Source.objects.create(name="Other", slug="other", team=source.team)
    assert told() == (True, True) and policy.keeps_audio() == "some"
    source.enabled = False
    source.save()
    assert told() == (False, False) and other.enabled


def test_the_firewall_refuses_every_attempt_and_takes_a_caller() -> None:
    tried = self_test()
    assert [one.attempt for one in tried if not one.right] == []
    assert [one.refused for one in tried] == [True] * 5 + [False]


def test_a_firewall_with_a_hole_is_seen() -> None:
    class Open:
        version = "open"

        def score(self, windows: Any, baselines: Any = None) -> list[Any]:
            return []

    assert [t.refused for t in self_test(Open())] == [True, True, True, False, False, True]
    assert not any(t.right for t in self_test(Open())[3:])
    assert Purge.objects.count() == 0


def test_a_model_that_breaks_down_has_not_refused() -> None:
    class Broken:
        version = "broken"

        def score(self, windows: Any, baselines: Any = None) -> list[Any]:
            raise RuntimeError("out of memory")

    assert [t.right for t in self_test(Broken())] == [True, True, True, False, False, False]


def test_a_worker_tries_its_own_model_and_the_page_reads_what_it_said(clean_redis: Any) -> None:
    assert firewall_kept.last() is None
    tasks.try_firewall()
    kept = firewall_kept.last()
    assert kept is not None and kept.is_fresh and all(one.right for one in kept.tried)
    assert kept.model == tasks.engine().voice.version
    clean_redis.flushdb()
    assert firewall_kept.last() is None
    caches["shared"].set(firewall_kept.KEY, {"at": "yesterday", "model": "x", "tried": []})
    assert firewall_kept.last() is None


@pytest.mark.models
def test_the_real_voice_model_refuses_an_agent_and_reads_a_caller() -> None:
    """The model a site runs unless it configures another, loaded as workers load it."""
    from scoring.voice import load_voice

    model = load_voice()
    tried = self_test(model)
    assert [one.attempt for one in tried if not one.right] == []
    assert model.version in tried[-1].answer and "stand-in" not in model.version
