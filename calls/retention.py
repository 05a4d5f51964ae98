"""Deleting what may no longer be kept, and looking afterwards whether it is gone.

The classes go in the order audio, transcript, features, scores; `Call.purged` says which went when.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, ForeignObjectRel, Model, OuterRef, Q, QuerySet
from django.utils import timezone

from calls import auditing, intake, keeping, policy, transcripts, trends
from calls.buffer import ledger
from calls.choices import CallStatus, Did, Kept, RecordingState
from calls.models import (
    Alert,
    Appeal,
    Call,
    CallQuerySet,
    CoverageBlock,
    Message,
    Moment,
    Note,
    Nudge,
    Purge,
    Recording,
    Review,
    RubricTrial,
    Speech,
    Turn,
    TurnLabel,
    User,
    VoiceWindow,
)

log = structlog.get_logger(__name__)
BATCH = 200
MOST_BATCHES = 50
"""In one run; the next goes on."""
MEASURED = (Turn, VoiceWindow, Speech, Moment, Nudge, CoverageBlock)
WORDS: dict[type[Model], dict[str, Any]] = {
    Turn: {"text": "", "words": []},
    Alert: {"quote": "", "resolution": ""},
    Recording: {"name": "", "reason": ""},
    Review: {"comment": "", "answer": ""},
    Appeal: {"reason": "", "decided_reason": ""},
    Message: {},
    Note: {},
    TurnLabel: {},
}
"""Rows about a call under which words stand, and what those fields become; {}: the whole row goes.

What people write about a call may quote it, so it goes with the call's words. `tests/calls/test_purge.py`
walks all models: a text field that is neither here nor said to be ours fails it.
"""
PLAIN = frozenset({
    "id", "agent", "initials", "name", "queue", "source", "team_name", "status", "started_at", "ended_at",
    "scored_at", "risk", "reason", "state", "not_scored", "consent", "met", "missing", "notes", "rubric",
    "engine",
})  # fmt: skip
"""Keys of derived documents whose texts are ours: closed lists, names, times, sentences without a quote.
Every other text in them goes with the transcript."""
QUOTING = ("why", "reasons")
"""Lists of sentences that quote: they go whole."""
Counts = Mapping[str, int]


def due(kind: str, now: datetime | None = None) -> CallQuerySet:
    """Finished calls whose data of this class is kept too long."""
    ended = Call.objects.filter(ended_at__lt=cutoff(kind, now)).exclude(status=CallStatus.LIVE)
    return ended.exclude(purged__has_key=kind).exclude(_held(kind, now))


def _held(kind: str, now: datetime | None) -> Q:
    """Whoever appeals, or decides, needs the words: all but audio waits while a score is being appealed, or
    a person's score still may be; no longer than the region allows."""
    if kind == Kept.AUDIO:
        return Q(pk__in=())
    now = now or timezone.now()
    most = timedelta(days=policy.limits().days(kind))
    may_be = now - timedelta(days=settings.APPEAL_DAYS)
    appeal = Exists(Appeal.objects.filter(call=OuterRef("pk"), decided_at=None))
    review = Exists(Review.objects.filter(call=OuterRef("pk"), submitted_at__gte=may_be))
    return Q(appeal | review, ended_at__gte=now - most)


def cutoff(kind: str, now: datetime | None = None) -> datetime:
    return (now or timezone.now()) - timedelta(days=policy.current().days(kind))


def purge_due(now: datetime | None = None, user: User | None = None) -> list[Purge]:
    """Everything that is due, in batches; harmless twice. One class that fails holds up no other.

    `user`: who asked for it; housekeeping does without.
    """
    done = []
    for kind in policy.LADDER:
        try:
            done += purge(kind, now, user)
        except Exception:
            log.exception("purge failed", kind=kind)
    return done


def purge(kind: Kept, now: datetime | None = None, user: User | None = None) -> list[Purge]:
    done = []
    for _ in range(MOST_BATCHES):
        ids = sorted(
            str(pk) for pk in due(kind, now).order_by("ended_at").values_list("pk", flat=True)[:BATCH]
        )
        if not ids:
            break
        done.append(_purge(kind, ids, before=cutoff(kind, now), user=user))
    return done


def erase(call: Call, user: User | None, reason: str) -> Purge:
    """All of one call, whatever its age, because its caller asks. The row that stays does not name it."""
    return _purge(Kept.SUBJECT, [str(call.pk)], reason=reason, user=user)


def _purge(kind: Kept, ids: Sequence[str], **said: Any) -> Purge:
    with transaction.atomic():
        list(Call.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))
        deleted = +Counter(DELETES[kind](ids))
    digest = hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
    proof = Purge.objects.create(
        kind=kind, calls=len(ids), deleted=deleted, left=left(kind, ids), digest=digest, **said
    )
    if proof.user and kind != Kept.SUBJECT:  # of an erasure its page says why
        auditing.record(proof.user, Did.PURGED, proof, {}, {"calls": proof.calls})
    if not proof.is_proven:
        log.error("a purge left something behind", kind=kind, left=proof.left)
    return proof


# --- deleting: of these calls, inside a transaction; how many went, by place --------------------------


def _audio(ids: Sequence[str]) -> Counter[str]:
    gone = Counter[str](disk=sum(_files(pk) for pk in ids))
    for pk in ids:
        keeping.forget(pk)
        gone["redis"] += ledger().forget(pk)
        transcripts.forget(ledger().client, pk)
    for recording in uploads(ids):
        intake.forget(recording)
    return gone + _mark(ids, Kept.AUDIO)


def _transcript(ids: Sequence[str]) -> Counter[str]:
    _mark(ids, Kept.TRANSCRIPT)  # first: only then does the database let go of a review's comment
    gone = Counter[str]()
    for model, fields in WORDS.items():
        gone[str(model._meta.model_name)] = _unword(_of(model, ids), fields)
    with connection.cursor() as cursor:
        cursor.execute(UNQUOTE, [list(ids)])
    _unword_documents(ids)
    return gone + _audio(ids)


def _of(model: type[Model], ids: Sequence[str]) -> QuerySet[Any]:
    return model._default_manager.filter(call_id__in=ids)


def _unword(rows: QuerySet[Any], fields: Mapping[str, Any]) -> int:
    if not fields:
        return rows.delete()[0]
    return rows.exclude(**fields).update(**fields)


# A label or a source is a bare name; a sentence in its place is not kept.
NAMED = "part.key IN ('label', 'source') AND (part.value #>> '{}') ~ '^[a-z][a-z0-9_:.-]{0,79}$'"
UNQUOTE = f"""
UPDATE calls_turn SET cues = coalesce((SELECT jsonb_agg(
    (SELECT jsonb_object_agg(part.key, CASE
        WHEN ({NAMED})
            OR jsonb_typeof(part.value) IN ('number', 'boolean', 'null') THEN part.value
        ELSE '""' END)
     FROM jsonb_each(cue) part)) FROM jsonb_array_elements(cues) cue), '[]')
WHERE call_id = ANY(%s::uuid[])
"""
QUOTED = f"""
EXISTS (SELECT 1 FROM jsonb_array_elements(cues) cue, jsonb_each(cue) part
    WHERE NOT ({NAMED})
    AND jsonb_typeof(part.value) NOT IN ('number', 'boolean', 'null') AND part.value <> '""')
"""


def _features(ids: Sequence[str]) -> Counter[str]:
    gone = _transcript(ids)
    _keep_times(ids)
    for model in MEASURED:
        gone[model.__name__.lower()] += model.objects.filter(call_id__in=ids).delete()[0]  # type: ignore[attr-defined]
    for call in Call.objects.filter(pk__in=ids):
        call.view, call.tile = {}, call.tile | {"spark": []} if call.tile else {}
        call.save(update_fields=["view", "tile"])
    return gone + _trials(ids) + _mark(ids, Kept.FEATURES)


def _trials(ids: Sequence[str]) -> Counter[str]:
    """Trials of rubrics that saw one of these calls: what they found is of the call."""
    return Counter(rubrictrial=RubricTrial.objects.filter(calls__has_any_keys=list(ids)).delete()[0])


def _keep_times(ids: Sequence[str]) -> None:
    """Trends tell how long callers were in each state: those sums stay with the scores."""
    for call in Call.objects.filter(pk__in=ids, final__isnull=False).prefetch_related("moments"):
        moments = [(moment.t_ms, moment.state) for moment in call.moments.all()]
        if moments and call.final is not None:
            call.final["held"] = trends.times_of(moments, call.media_ms)
            call.save(update_fields=["final"])


def _scores(ids: Sequence[str]) -> Counter[str]:
    gone = _audio(ids)
    for pk in ids:
        trends.forget(pk)
    gone += _trials(ids)
    _, by_model = Call.objects.filter(pk__in=ids).delete()
    return gone + Counter({name.rpartition(".")[2].lower(): n for name, n in by_model.items()})


DELETES = {
    Kept.AUDIO: _audio,
    Kept.TRANSCRIPT: _transcript,
    Kept.FEATURES: _features,
    Kept.SCORES: _scores,
    Kept.SUBJECT: _scores,
}


def _mark(ids: Sequence[str], kind: Kept) -> Counter[str]:
    with connection.cursor() as cursor:
        cursor.execute(MARK, [kind.value, timezone.now().isoformat(), list(ids)])
    return Counter()


MARK = """
UPDATE calls_call SET purged = purged || jsonb_build_object(%s::text, %s::text) WHERE id = ANY(%s::uuid[])
"""


def _unword_documents(ids: Sequence[str]) -> None:
    for call in Call.objects.filter(pk__in=ids):
        call.tile, call.view, call.final = map(wordless, (call.tile, call.view, call.final))
        call.label = ""
        call.save(update_fields=["tile", "view", "final", "label"])


def wordless(doc: Any, key: str = "") -> Any:
    """A derived document without what was said: numbers stay, and texts under keys that are PLAIN."""
    if isinstance(doc, dict):
        return {k: [] if k in QUOTING else wordless(v, k) for k, v in doc.items()}
    if isinstance(doc, list):
        return [wordless(item, key) for item in doc]
    return "" if isinstance(doc, str) and key not in PLAIN else doc


# --- looking afterwards ---------------------------------------------------------------------------------


def left(kind: str, ids: Sequence[str]) -> dict[str, int]:
    """How much of the class is still found of these calls, by place."""
    found = {
        "redis": sum(len(ledger().keys_of(pk)) for pk in ids),
        "disk": sum(_files(pk) for pk in ids),
    }
    if kind in (Kept.TRANSCRIPT, Kept.FEATURES):
        found["postgresql"] = words_left(ids)
    if kind == Kept.FEATURES:
        trials = RubricTrial.objects.filter(calls__has_any_keys=list(ids)).count()
        found["postgresql"] += sum(_of(model, ids).count() for model in MEASURED) + trials
    if kind in (Kept.SCORES, Kept.SUBJECT):
        keys = [UUID(pk) for pk in ids]
        trials = RubricTrial.objects.filter(calls__has_any_keys=list(ids)).count()
        found["postgresql"] = Call.objects.filter(pk__in=keys).count() + rows_left(keys) + trials
    return found


def words_left(ids: Sequence[str]) -> int:
    """Rows and documents of these calls that still hold somebody's words."""
    rows = sum(_of(model, ids).exclude(**fields).count() if fields else _of(model, ids).count()
               for model, fields in WORDS.items())  # fmt: skip
    quoted = Turn.objects.filter(call_id__in=ids).extra(where=[QUOTED]).count()
    return rows + quoted + sum(map(_has_words, Call.objects.filter(pk__in=ids)))


def _has_words(call: Call) -> bool:
    documents = (call.tile, call.view, call.final)
    return call.label != "" or any(wordless(doc) != doc for doc in documents)


def rows_left(keys: Sequence[UUID]) -> int:
    """Rows of any table that refer to one of these calls."""
    found = 0
    for relation in Call._meta.get_fields(include_hidden=True):
        if isinstance(relation, ForeignObjectRel):
            rows = relation.related_model._base_manager
            found += rows.filter(**{f"{relation.field.name}__in": keys}).count()
    return found


def _files(call_id: str) -> int:
    uploaded = sum(intake.is_here(pk) for pk in uploads([call_id]))
    return int(keeping.find(call_id) is not None) + int(keeping.is_waiting(call_id)) + uploaded


def uploads(ids: Sequence[str]) -> list[UUID]:
    """The recordings that these calls were made of; not those found to be the same later."""
    own = Recording.objects.filter(call_id__in=ids).exclude(state=RecordingState.DUPLICATE)
    return list(own.values_list("pk", flat=True))
