"""`manage.py explain`: a readable table from stored pieces."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from calls import record
from calls.demo import AUDIO
from calls.models import Call
from tests.calls.pieces import agent, customer, scored, window

pytestmark = pytest.mark.django_db
MakeCall = Callable[..., Call]


def told(*args: object) -> str:
    out = StringIO()
    call_command("explain", *map(str, args), stdout=out)
    return out.getvalue()


@pytest.fixture
def heard_call(make_call: MakeCall) -> Call:
    call = make_call("CA1")
    record.record_scores([scored(str(call.pk), agent(0), customer(4000), window(4000), agent(8000))])
    return call


def test_words_voice_and_fusion_of_the_turn_at_that_time(heard_call: Call) -> None:
    text = told(heard_call.pk, 9000)
    assert "turn at 4.0 s: this is the third time I call" in text
    assert "from stored cues" in text and "“third time”" in text
    assert "stored windows" in text and "4.0–7.0 s" in text
    assert "fusion" in text and "frustration" in text


def test_deep_reading_with_text_and_audio(heard_call: Call, settings: object) -> None:
    settings.STAND_IN_MODELS = True  # type: ignore[attr-defined]
    text = told(heard_call.pk, 4500, "--deep", "--audio", AUDIO / "fraud-fear.opus")
    assert "read again without each" in text
    assert "heard again without each second" in text


def test_what_cannot_be_explained_is_said(heard_call: Call) -> None:
    with pytest.raises(CommandError, match="No such call"):
        told(uuid4(), 0)
    with pytest.raises(CommandError, match="had not spoken"):
        told(heard_call.pk, 100)
    with pytest.raises(CommandError, match="not a file"):
        told(heard_call.pk, 4500, "--audio", "/nowhere.wav")
