"""A purge leaves no word behind: every text of every model that a call's words can reach is filled, and looked for.

A new model or field that refers to a call fails `test_every_text_is_classified` until it is said here what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import ProgrammingError, models, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls import intake, retention, reviewing, transcripts
from calls.buffer import ledger
from calls.choices import Kept
from calls.models import Alert, Appeal, Call, Message, Note, Purge, Recording, Review, Turn, TurnLabel, User
from scoring.given import Said
from scoring.types import Channel
from tests.calls.test_policy import MARKER, age, everywhere, speak, tell

pytestmark = pytest.mark.django_db

WORDS = {
    Call: ("label", "tile", "view", "final"),
    Turn: ("text", "words", "cues"),
    Alert: ("quote", "resolution"),
    Message: ("text",),
    Note: ("text",),
    TurnLabel: ("behaviours", "state"),
    Recording: ("name", "reason"),
    Review: ("comment", "answer"),
    Appeal: ("reason", "decided_reason"),
}
"""Where words of a call stand: gone with its transcript. (Of a label the whole row goes.)"""
OURS = {
    "call": {
        "external_ref", "stream_ref", "queue", "status", "end_reason", "engine", "caller_gender", "pauses",  # phone system's
        "counters", "notes",  # numbers; sentences of ours without a quote
        "purged",  # when
    },
    "turn": {"channel", "model", "states", "behaviours"},  # numbers by closed names
    "voicewindow": {"model", "probs"},
    "speech": {"channel"},
    "coverageblock": {"channel", "hops"},
    "moment": {"state"},
    "nudge": {"rule", "state", "missing", "cue", "phrases", "solution", "link"},  # the rubric's words
    "shownnudge": {"rule", "state", "missing", "cue", "phrases", "solution", "link", "verdict"},
    "alert": {"cause", "title", "severity"},
    "consentevent": {"said", "how"},
    "turnlabel": {"channel"},
    "recording": {"key", "sizes", "layout", "notes", "digest", "state", "samples"},
    "review": {"ratings", "machine"},  # levels by closed names
    "appeal": {"decision"},
    "calibrationsession": {"name"},  # of a session of several calls
    "callfact": {"topic", "outlook_status", "appeal_decision"},  # the queue; closed lists
    "look": {"kind"},
    "delivery": {"kind", "body", "trouble"},  # ids, times, numbers (test_webhooks), and a stranger's HTTP status
}  # fmt: skip
"""Model: text fields of its that hold nobody's words about a call."""


def reaches_calls() -> set[type[models.Model]]:
    """Call, and every model with a way of foreign keys to it."""
    found: set[type[models.Model]] = {Call}
    known = list(apps.get_app_config("calls").get_models(include_auto_created=True))
    while True:
        more = {
            model
            for model in known
            if model not in found
            and any(
                f.is_relation and f.related_model in found
                for f in model._meta.get_fields()
                if not f.auto_created
            )
        }
        if not more:
            return found
        found |= more


def texts(model: type[models.Model]) -> set[str]:
    kinds = (models.CharField, models.TextField, models.JSONField, models.FileField)
    return {field.name for field in model._meta.concrete_fields if isinstance(field, kinds)}


def test_every_text_is_classified() -> None:
    for model in reaches_calls():
        name = str(model._meta.model_name)
        known = set(WORDS.get(model, ())) | OURS.get(name, set())
        assert texts(model) == known, (
            f"{name}: say in this file which of its texts can hold words of a call; those go in retention.WORDS"
        )


# --- planting -------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _own_folders(settings: Any, tmp_path: Path, clean_redis: Any) -> None:
    settings.AUDIO_DIR, settings.KEEP_AUDIO = tmp_path / "audio", True
    settings.RECORDINGS_DIR = tmp_path / "recordings"


def a_recording(call: Call) -> Recording:
    made = Recording.objects.create(
        team=call.team,
        call=call,
        key="k",
        layout="one-channel",
        started_at=timezone.now(),
        digest=str(call.pk),
    )
    intake.append(made.pk, 0, 0, [f"RIFF {MARKER}".encode()], 1000)
    intake.keep_turns(made.pk, [{"text": f"said {MARKER}"}])
    return made


def a_review(call: Call) -> Review:
    """Not submitted: until then it may be changed."""
    who = User.objects.create_user(f"reviewer-{Review.objects.count()}-{call.pk.hex[:6]}")
    return Review.objects.create(call=call, reviewer=who, rubric_version=call.rubric_version)


ROWS: dict[type[models.Model], Callable[[Call], models.Model]] = {
    Call: lambda call: call,
    Turn: lambda call: Turn.objects.create(call=call, channel="customer", start_ms=9**9, end_ms=9**9 + 1, confidence=1),
    Alert: lambda call: Alert.objects.create(call=call, cause="made", t_ms=1, title="Asks", severity="help"),
    Message: lambda call: Message.objects.create(call=call, text="x"),
    Note: lambda call: Note.objects.create(call=call, text="x"),
    TurnLabel: lambda call: TurnLabel.objects.create(
        call=call, channel="agent", start_ms=4000, user=call.agent, behaviours=[], blind=True
    ),
    Recording: a_recording,
    Review: a_review,
    Appeal: lambda call: Appeal.objects.create(
        call=call, agent=call.agent, reason="x", decided_at=timezone.now(), decision="upheld"
    ),
}  # fmt: skip


def plant(row: models.Model, name: str, document: Any) -> None:
    """The marker in one field; a JSON field gets it where `document` has it. The database's checks hold."""
    field = row._meta.get_field(name)
    value: Any = f"she said {MARKER} twice"
    if isinstance(row, TurnLabel):
        return  # closed lists: nothing else is accepted; that the row goes is what counts
    if isinstance(field, models.JSONField):
        if name == "cues":
            value = [{"label": "frustration", "source": "phrases", "strength": 0.5} | document]
        elif name == "words":
            value = [[MARKER, 0, 100, 0.5]]
        else:
            value = (getattr(row, name) or {}) | document
    type(row)._default_manager.filter(pk=row.pk).update(**{name: value})


KEYS = st.text("abcdefghij_", min_size=1, max_size=8).filter(lambda key: key not in retention.PLAIN) | st.sampled_from(
    ["quote", "text", "about", "standing", "why", "reasons", "label", "what"]
)  # fmt: skip
SAID = st.tuples(st.text(max_size=6), st.text(max_size=6)).map(
    lambda around: f"{around[0]} {MARKER} {around[1]}".replace("\x00", "").encode("utf-8", "ignore").decode()
)
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        SAID,
        lambda inner: st.lists(inner, min_size=1, max_size=2) | st.dictionaries(KEYS, inner, min_size=1, max_size=2),
        max_leaves=4,
    ),
    min_size=1,
    max_size=3,
)  # fmt: skip
"""Documents that no version of ours makes, each with the marker under keys that nobody knows."""


def on_disk(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if MARKER in path.name or (path.is_file() and MARKER.encode() in path.read_bytes()):
            yield str(path)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(document=DOCUMENTS)
def test_nothing_is_left_wherever_it_stood(
    make_call: Callable[..., Call], alice: User, bob: User, tmp_path: Path, document: dict[str, Any]
) -> None:
    call = tell(make_call(f"CA-{Call.objects.count()}"))
    for model, names in WORDS.items():
        row = ROWS[model](call)
        for name in names:
            plant(row, name, document)
    Review.objects.filter(call=call).update(submitted_at=timezone.now() - timedelta(days=60))
    speak(call, range(0, 2))
    transcripts.put(ledger().client, str(call.pk), [Said(Channel.CUSTOMER, 0, 900, f"oh {MARKER}")])
    planted = {model._meta.db_table for model in WORDS if model is not TurnLabel}
    found = set(everywhere(MARKER))
    assert planted <= found and f"words:{call.pk}" in found and list(on_disk(tmp_path))

    age(call, 31)
    kinds = {row.kind: row for row in retention.purge_due()}
    assert kinds[Kept.TRANSCRIPT].is_proven and kinds[Kept.TRANSCRIPT].calls == 1
    assert everywhere(MARKER) == [] and list(on_disk(tmp_path)) == []
    assert (
        not TurnLabel.objects.filter(call=call).exists() and not Recording.objects.exclude(name="").exists()
    )
    call.refresh_from_db()
    assert call.final and call.final["empathy"] is not None and call.tile["state"] and call.tile["started_at"]

    retention.erase(call, alice, "asked")
    last = Purge.objects.latest("pk")
    assert last.is_proven and last.user == alice and everywhere(str(call.pk)) == []


@pytest.mark.parametrize(
    ("model", "name"), [(model, name) for model, names in WORDS.items() for name in names], ids=str
)
def test_the_proof_finds_each_of_them_alone(
    make_call: Callable[..., Call], alice: User, model: type[models.Model], name: str
) -> None:
    """`left` would not print "nothing left" while any one field still holds a word."""
    call = tell(make_call("CA-alone"))
    retention._purge(Kept.TRANSCRIPT, [str(call.pk)])
    call.refresh_from_db()
    assert retention.left(Kept.TRANSCRIPT, [str(call.pk)]) == {"redis": 0, "disk": 0, "postgresql": 0}
    row = ROWS[model](call)
    if isinstance(row, Recording):
        intake.forget(row.pk)
    if retention.WORDS.get(model) != {}:  # else that the row is there is enough
        type(row)._default_manager.filter(pk=row.pk).update(**retention.WORDS.get(model, {}))
        assert retention.left(Kept.TRANSCRIPT, [str(call.pk)])["postgresql"] == 0
        plant(row, name, {"unheard_of": f"she said {MARKER}"})
    assert retention.left(Kept.TRANSCRIPT, [str(call.pk)])["postgresql"] == 1


def test_a_comment_is_let_go_only_with_its_calls_words(make_call: Callable[..., Call], alice: User) -> None:
    call = tell(make_call("CA-comment"))
    review = reviewing.start(call, alice)
    reviewing.submit(review, dict.fromkeys(reviewing.BEHAVIOURS, 1), 3, f"about {MARKER}")
    with pytest.raises(ProgrammingError, match="never changes"), transaction.atomic():
        Review.objects.filter(pk=review.pk).update(comment="")
    retention._purge(Kept.TRANSCRIPT, [str(call.pk)])
    review.refresh_from_db()
    assert review.comment == "" and review.overall == 3
    with pytest.raises(ProgrammingError, match="never changes"), transaction.atomic():
        Review.objects.filter(pk=review.pk).update(comment="another")


def test_what_is_ours_stays() -> None:
    doc = {
        "state": "anxiety",
        "reason": "Anxious for 40 s",
        "n": 3,
        "quote": "x",
        "met": ["own"],
        "why": [{"text": "y"}],
    }
    assert retention.wordless(doc) == {
        "state": "anxiety", "reason": "Anxious for 40 s", "n": 3, "quote": "", "met": ["own"], "why": [],
    }  # fmt: skip
    assert retention.wordless(retention.wordless(doc)) == retention.wordless(doc)


def test_rows_of_other_tables_are_counted(make_call: Callable[..., Call]) -> None:
    call = make_call("CA-rows")
    before = retention.rows_left([call.pk])
    Note.objects.create(call=call, text="x")
    assert retention.rows_left([call.pk]) == before + 1
