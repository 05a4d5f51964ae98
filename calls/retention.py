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
from django.db import connection, transaction
from django.utils import timezone

from calls import intake, keeping, policy, trends
from calls.buffer import ledger
from calls.choices import CallStatus, Kept, RecordingState
from calls.models import (
    Alert,
    Call,
    CallFact,
    CallQuerySet,
    CoverageBlock,
    Message,
    Moment,
    Note,
    Nudge,
    Purge,
    Recording,
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
WORDY = frozenset({"quote", "text", "what", "about", "standing", "label"})
"""Keys of derived documents under which a caller's words may stand."""
Counts = Mapping[str, int]


def due(kind: str, now: datetime | None = None) -> CallQuerySet:
    """Finished calls whose data of this class is kept too long."""
    ended = Call.objects.filter(ended_at__lt=cutoff(kind, now)).exclude(status=CallStatus.LIVE)
    return ended.exclude(purged__has_key=kind)


def cutoff(kind: str, now: datetime | None = None) -> datetime:
    return (now or timezone.now()) - timedelta(days=policy.current().days(kind))


def purge_due(now: datetime | None = None) -> list[Purge]:
    """Everything that is due, in batches; harmless twice. One class that fails holds up no other."""
    done = []
    for kind in policy.LADDER:
        try:
            done += purge(kind, now)
        except Exception:
            log.exception("purge failed", kind=kind)
    return done


def purge(kind: Kept, now: datetime | None = None) -> list[Purge]:
    done = []
    for _ in range(MOST_BATCHES):
        ids = sorted(
            str(pk) for pk in due(kind, now).order_by("ended_at").values_list("pk", flat=True)[:BATCH]
        )
        if not ids:
            break
        done.append(_purge(kind, ids, before=cutoff(kind, now)))
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
    if not proof.is_proven:
        log.error("a purge left something behind", kind=kind, left=proof.left)
    return proof


# --- deleting: of these calls, inside a transaction; how many went, by place --------------------------


def _audio(ids: Sequence[str]) -> Counter[str]:
    gone = Counter[str](disk=sum(_files(pk) for pk in ids))
    for pk in ids:
        keeping.forget(pk)
        gone["redis"] += ledger().forget(pk)
    for recording in uploads(ids):
        intake.forget(recording)
    return gone + _mark(ids, Kept.AUDIO)


def _transcript(ids: Sequence[str]) -> Counter[str]:
    of = {"call_id__in": ids}
    gone = Counter[str](turn=Turn.objects.filter(**of).exclude(text="").count())
    with connection.cursor() as cursor:
        cursor.execute(UNWORD, [list(ids)])
    Alert.objects.filter(**of).update(quote="", resolution="")
    for model in (Message, Note, TurnLabel):
        gone[model.__name__.lower()] = model.objects.filter(**of).delete()[0]
    Recording.objects.filter(call_id__in=ids).update(name="", reason="")
    _unword_documents(ids)
    return gone + _audio(ids) + _mark(ids, Kept.TRANSCRIPT)


UNWORD = """
UPDATE calls_turn SET text = '', words = '[]', cues = coalesce(
    (SELECT jsonb_agg(cue || '{"quote": ""}') FROM jsonb_array_elements(cues) cue), '[]')
WHERE call_id = ANY(%s::uuid[])
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


def wordless(doc: Any) -> Any:
    """A derived document without what was said: quotes, summaries, and reasons that quote."""
    if isinstance(doc, dict):
        return {
            k: _blank(v) if k in WORDY or k in ("why", "reasons") else wordless(v) for k, v in doc.items()
        }
    return [wordless(item) for item in doc] if isinstance(doc, list) else doc


def _blank(value: Any) -> Any:
    return [] if isinstance(value, list) else "" if isinstance(value, str) else wordless(value)


# --- looking afterwards ---------------------------------------------------------------------------------


def left(kind: str, ids: Sequence[str]) -> dict[str, int]:
    """How much of the class is still found of these calls, by place."""
    of = {"call_id__in": ids}
    found = {
        "redis": sum(len(ledger().keys_of(pk)) for pk in ids),
        "disk": sum(_files(pk) for pk in ids),
    }
    if kind in (Kept.TRANSCRIPT, Kept.FEATURES):
        found["postgresql"] = (
            Turn.objects.filter(**of).exclude(text="", words=[]).count()
            + Turn.objects.filter(**of).extra(where=[QUOTED]).count()
            + Alert.objects.filter(**of).exclude(quote="", resolution="").count()
            + Message.objects.filter(**of).count()
            + Note.objects.filter(**of).count()
        )
    if kind == Kept.FEATURES:
        found["postgresql"] += RubricTrial.objects.filter(calls__has_any_keys=list(ids)).count()
        found["postgresql"] += sum(model.objects.filter(**of).count() for model in MEASURED)  # type: ignore[attr-defined]
    if kind in (Kept.SCORES, Kept.SUBJECT):
        keys = [UUID(pk) for pk in ids]
        facts = CallFact.objects.filter(call_id__in=keys)
        trials = RubricTrial.objects.filter(calls__has_any_keys=list(ids))
        found["postgresql"] = Call.objects.filter(pk__in=keys).count() + facts.count() + trials.count()
    return found


QUOTED = "EXISTS (SELECT 1 FROM jsonb_array_elements(cues) cue WHERE cue->>'quote' <> '')"


def _files(call_id: str) -> int:
    uploaded = sum(intake.is_here(pk) for pk in uploads([call_id]))
    return int(keeping.find(call_id) is not None) + int(keeping.is_waiting(call_id)) + uploaded


def uploads(ids: Sequence[str]) -> list[UUID]:
    """The recordings that these calls were made of; not those found to be the same later."""
    own = Recording.objects.filter(call_id__in=ids).exclude(state=RecordingState.DUPLICATE)
    return list(own.values_list("pk", flat=True))
