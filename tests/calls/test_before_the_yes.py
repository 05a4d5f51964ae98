"""What a caller said before they agreed is analysed never, however late it is looked at."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from calls import consent, tasks, transcripts
from calls.buffer import ledger
from calls.choices import Said
from calls.models import Call, Source, Turn, VoiceWindow
from scoring import given
from scoring.types import HOP_MS, HOP_SAMPLES, Channel
from tests.calls.test_tasks import coverage, put

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def asked(make_call: Callable[..., Call]) -> Call:
    call = make_call()
    Call.objects.update(asks_consent=True)
    call.refresh_from_db()
    return call


def test_a_backlog_of_before_is_withheld_and_no_window_reaches_into_it(
    asked: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(asked, range(40), loud=40, at_ms=int((time.time() - 30) * 1000))  # while workers were away
    consent.from_stream(str(asked.pk), Said.YES)
    for _ in range(5):
        tasks.score_due()
    assert coverage(asked) == "w" * 40 and not Turn.objects.exists()
    reached, hear = [], tasks.engine().hear

    def listening(works: Any) -> Any:
        for work in works:
            stream = work.streams[0]
            before = max(0, 40 - stream.state.keep_from_index) * HOP_SAMPLES
            reached.append(bool(stream.audio[:before].any()))
        return hear(works)

    monkeypatch.setattr(tasks.engine(), "hear", listening)
    put(asked, range(40, 56), loud=50, at_ms=int(time.time() * 1000) + 1000)
    for _ in range(5):
        tasks.score_due()
    assert coverage(asked) == "w" * 40 + "s" * 16 and reached and not any(reached)
    assert all(turn.start_ms > 40 * HOP_MS - 200 for turn in Turn.objects.all()) and Turn.objects.exists()
    assert all(window.start_ms >= 40 * HOP_MS - 3000 for window in VoiceWindow.objects.all())


def test_words_told_of_before_are_not_kept(asked: Call, source: Source) -> None:
    consent.from_stream(str(asked.pk), Said.YES)
    Call.objects.update(given_words=True, opted_in_at=asked.started_at + timedelta(seconds=20))
    words = [
        given.Said(Channel.CUSTOMER, 2000, 6000, "I am so angry about my divorce", 1.0),
        given.Said(Channel.CUSTOMER, 22_000, 26_000, "Yes, that is fine by me", 1.0),
    ]
    transcripts.put(ledger().client, str(asked.pk), words)
    tasks.score_due()
    assert [turn.text for turn in Turn.objects.exclude(text="")] == ["Yes, that is fine by me"]
