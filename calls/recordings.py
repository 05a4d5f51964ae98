"""Uploaded recordings as calls: taken in, decoded, and fed to the ledger behind every live call.

What of a recording is scored is read from the ledger and the call, never remembered here: after a `kill -9`
of anything, the next look goes on from there. Knows no pages and no engine.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from calls import access, intake, policy, record, transcripts
from calls.buffer import StoredPiece, Writer, ledger
from calls.choices import Asked, Layout, Protocol, RecordingState
from calls.models import Call, Recording, RecordingQuerySet, Source, Team, User
from scoring import given
from scoring.audio import AudioError
from scoring.types import HOP_SAMPLES, Channel

log = structlog.get_logger(__name__)
AHEAD_HOPS = 40
"""So much of a channel is in the ledger at once: 20 s, well within its audio's life of minutes."""
AFTER_LIVE_MS = 4_102_444_800_000
"""Hops of recordings are due from the year 2100 on, so that the ledger hands out every live hop first."""
BEHIND_MS = 1000
MOST_ATTEMPTS = 3
PART_STAYS = timedelta(days=1)
FAILED_STAYS = timedelta(days=30)
MOST_FILES = 200
"""Unfinished uploads of one person at a time."""
SHORTEST_MS = 1000
MIXED_NOTE = (
    "Both speakers are on one channel. Who says what is not known, so no feelings are read and no empathy is "
    "judged. Upload two channels or two files to have them."
)

MIXED_BUT_TOLD = (
    "Both speakers are on one channel. Who says what is as the transcript has it; no feelings are read from "
    "the voice."
)


class Refused(ValueError):
    """What cannot be taken, why, and what to do."""


@dataclass(frozen=True)
class Wanted:
    """What somebody says of a recording before its first byte."""

    team: Team
    layout: str
    names: Sequence[str]
    sizes: Sequence[int]
    started_at: datetime
    agent: User | None = None
    told: bool = False
    mark: str = ""
    """What else tells one file from another, such as its date."""
    turns: Sequence[given.Said] | None = None
    """What was said, where somebody else transcribed it."""


# --- taking in ---------------------------------------------------------------------------------------


def visible(user: access.Viewer) -> RecordingQuerySet:
    return Recording.objects.filter(team__in=access.visible_teams(user))


def begin(user: User, wanted: Wanted) -> tuple[Recording, bool]:
    """The row that the bytes belong to, and whether it is new, or that of an upload cut off before."""
    check(wanted)
    said = [
        str(user.pk),
        str(wanted.team.pk),
        wanted.layout,
        *wanted.names,
        *map(str, wanted.sizes),
        wanted.mark,
    ]
    key = hashlib.sha256("\n".join(said).encode()).hexdigest()
    mine = Recording.objects.filter(uploaded_by=user, state=RecordingState.UPLOADING)
    if found := mine.filter(key=key).first():
        found.agent, found.told, found.started_at = wanted.agent, wanted.told, wanted.started_at
        found.save(update_fields=["agent", "told", "started_at"])
        return found, False
    if mine.count() >= MOST_FILES:
        raise Refused(_("Too many unfinished uploads. Finish or remove some first."))
    made = Recording.objects.create(
        given_words=wanted.turns is not None,
        team=wanted.team,
        agent=wanted.agent,
        uploaded_by=user,
        name=" + ".join(wanted.names)[:200],
        key=key,
        sizes=list(wanted.sizes),
        layout=wanted.layout,
        told=wanted.told,
        started_at=wanted.started_at,
    )
    if wanted.turns is not None:
        intake.keep_turns(made.pk, transcripts.as_json(wanted.turns))
    return made, True


def received(recording: Recording, part: int) -> int:
    """Bytes of this file that are here, or were: its upload goes on from there."""
    if recording.state != RecordingState.UPLOADING:
        return int(recording.sizes[part])
    return intake.received(recording.pk, part)


def check(wanted: Wanted) -> None:
    if wanted.layout not in Layout.values:
        raise Refused(_("Say which channel is the caller’s."))
    if len(wanted.sizes) != (2 if wanted.layout == Layout.TWO_FILES else 1):
        raise Refused(_("Two files of one call: choose one for the caller and one for the agent."))
    for name, size in zip(wanted.names, wanted.sizes, strict=True):
        if size <= 0:
            raise Refused(_("{name} is empty. Export it again.").format(name=name))
        if size > settings.RECORDING_MAX_BYTES:
            most = settings.RECORDING_MAX_BYTES // 1_000_000
            raise Refused(_("{name} is larger than {most} MB. Split it.").format(name=name, most=most))
    if wanted.agent and wanted.agent.team_id != wanted.team.pk:
        raise Refused(_("This agent is not in this team."))
    now, rules = timezone.now(), policy.current()
    if wanted.started_at > now + timedelta(minutes=5):
        raise Refused(_("The call cannot have begun in the future."))
    if wanted.started_at < now - timedelta(days=rules.scores_days):
        raise Refused(
            _("Under the policy in force, calls older than {days} are deleted.").format(
                days=policy.in_days(rules.scores_days)
            )
        )
    if rules.asked == Asked.CONSENT and not wanted.told:
        raise Refused(_("Under the policy in force the caller must have agreed. Tick the box if so."))


def receive(recording: Recording, part: int, offset: int, pieces: Iterable[bytes]) -> int:
    """More bytes of one of its files; the new end. WrongOffset, TooLong, OSError."""
    if recording.state != RecordingState.UPLOADING:
        return int(recording.sizes[part])
    end = intake.append(recording.pk, part, offset, pieces, recording.sizes[part])
    complete(recording)
    return end


def complete(recording: Recording) -> None:
    """Once every byte is here: in line to be scored, or found to be a call that we have."""
    if any(intake.received(recording.pk, n) != size for n, size in enumerate(recording.sizes)):
        return
    digest = intake.digest(recording.pk, len(recording.sizes))
    waiting = Recording.objects.filter(pk=recording.pk, state=RecordingState.UPLOADING)
    try:
        with transaction.atomic():
            waiting.update(state=RecordingState.QUEUED, digest=digest)
    except IntegrityError:
        taken = (RecordingState.QUEUED, RecordingState.RUNNING, RecordingState.DONE)
        same = Recording.objects.filter(team=recording.team_id, digest=digest, state__in=taken).first()
        waiting.update(state=RecordingState.DUPLICATE, digest=digest, call=same.call_id if same else None)
        intake.forget(recording.pk)
    recording.refresh_from_db()


def remove(recording: Recording) -> None:
    """Off the list with its files. A call that came of it stays."""
    if recording.state == RecordingState.RUNNING:
        raise Refused(_("It is being scored. Delete the call afterwards."))
    pk = recording.pk
    recording.delete()
    intake.forget(pk)


# --- decoding ----------------------------------------------------------------------------------------


def prepare_next() -> bool:
    """Decode one recording that waits and open its call; False when none waits."""
    found = Recording.objects.waiting().first()
    if found is None:
        return False
    # Counted before: a file that kills its decoder must not do so for ever.
    Recording.objects.filter(pk=found.pk).update(attempts=found.attempts + 1)
    with transaction.atomic():
        held = Recording.objects.select_for_update(skip_locked=True, of=("self",))
        recording = (
            held.select_related("team", "agent").filter(pk=found.pk, state=RecordingState.QUEUED).first()
        )
        if recording is not None:
            _prepare(recording)
    if recording and recording.state == RecordingState.FAILED:
        intake.forget(recording.pk)
    return True


def _prepare(recording: Recording) -> None:
    names = recording.name.split(" + ", 1) if len(recording.sizes) == 2 else [recording.name]
    names = names if len(names) == len(recording.sizes) else ["the caller's file", "the agent's file"]
    try:
        if recording.attempts > MOST_ATTEMPTS:
            raise AudioError("It stopped our decoder three times. Convert it to wav and upload that.")
        decoded = intake.decode(recording.pk, recording.layout, names)
        if max(decoded.samples.values()) < SHORTEST_MS * 8:
            raise AudioError(f"{names[0]} is shorter than a second: no call.")
    except AudioError as error:
        recording.state, recording.reason = RecordingState.FAILED, str(error)[:300]
    except OSError as error:
        if recording.attempts < MOST_ATTEMPTS:
            log.warning("recording not decoded", recording=str(recording.pk), error=str(error))
            return
        recording.state = RecordingState.FAILED
        recording.reason = f"The disk said: {error.strerror or error}. Upload it again."
    else:
        recording.samples = {str(channel): n for channel, n in decoded.samples.items()}
        recording.mixed, recording.notes = decoded.mixed, notes_of(decoded, recording.given_words)
        _open(recording)
    recording.save()


def notes_of(decoded: intake.Decoded, given_words: bool = False) -> list[str]:
    notes = ["Its two channels are the same."] if decoded.same else []
    if decoded.mixed:
        notes.append(MIXED_BUT_TOLD if given_words else MIXED_NOTE)
    lengths = sorted((n, channel) for channel, n in decoded.samples.items())
    if len(lengths) == 2 and lengths[1][0] - lengths[0][0] > 8000:
        less_s = (lengths[1][0] - lengths[0][0]) / 8000
        notes.append(f"The {lengths[0][1]}'s audio ends {less_s:.1f} s earlier than the other.")
    return notes


def _open(recording: Recording) -> None:
    """Its call; in the same transaction as the row, so that there is one."""
    said = {"agent": recording.agent.username if recording.agent else ""}
    if recording.told:
        said["consent" if policy.current().asked == Asked.CONSENT else "notice"] = "yes"
    opened = record.open_call(
        record.OpenCall(
            source_id=source_of(recording.team).pk,
            protocol=Protocol.RECORDING,
            external_ref=f"recording-{recording.pk}",
            stream_ref=str(recording.pk),
            started_at=recording.started_at,
            parameters=said,
            given_words=recording.given_words,
        )
    )
    call = Call.objects.get(pk=opened.call_id)
    call.notes = [*call.notes, *recording.notes]
    call.save(update_fields=["notes"])
    recording.call, recording.state = call, RecordingState.RUNNING


def source_of(team: Team) -> Source:
    """The team's own source of uploads. Switched off: no phone system may speak for it."""
    words = {
        "name": f"Recordings of {team}"[:80],
        "team": team,
        "protocol": Protocol.RECORDING,
        "enabled": False,
    }
    return Source.objects.get_or_create(slug=f"recordings-{team.pk}", defaults=words)[0]


# --- feeding -----------------------------------------------------------------------------------------


def feed(at_once: int | None = None) -> int:
    """Top up what the ledger holds of running recordings; how many hops. None while live ones wait."""
    fed = 0
    for pk in Recording.objects.running().values_list("pk", flat=True)[
        : at_once or settings.RECORDINGS_AT_ONCE
    ]:
        with transaction.atomic():
            held = Recording.objects.select_for_update(skip_locked=True, of=("self",))
            if recording := held.select_related("call").filter(pk=pk, state=RecordingState.RUNNING).first():
                fed += _feed(recording)
    return fed


def _feed(recording: Recording) -> int:
    call = recording.call
    assert call is not None
    if not call.is_live:
        recording.state = RecordingState.DONE
        recording.save(update_fields=["state"])
        transaction.on_commit(lambda: intake.forget(recording.pk))
        return 0
    call_id, missing, unheard = str(call.pk), [], False
    for name, samples in recording.samples.items():
        channel, hops = Channel(name), -(-samples // HOP_SAMPLES)
        first = ledger().load_state(call_id, channel).next_index
        last = min(first + AHEAD_HOPS, hops) - 1
        unheard = unheard or first < hops
        missing += [(channel, n) for n in ledger().keep_audio(call_id, channel, first, last)]
    if ledger().lag_ms() > BEHIND_MS:
        return 0
    if turns := intake.turns(recording.pk):
        transcripts.put(ledger().client, call_id, transcripts.read(turns))
        intake.forget_turns(recording.pk)
    if not unheard:
        ledger().mark_closing(call_id, AFTER_LIVE_MS)
        return 0
    # In the order of time, so that the ledger hands out both channels in step.
    missing.sort(key=lambda hop: (hop[1], hop[0]))
    try:
        return put([piece(recording.pk, call_id, channel, n) for channel, n in missing])
    except FileNotFoundError:
        give_up(recording, "Its decoded audio is gone from the disk. Upload it again.")
        return 0


def piece(recording: UUID, call_id: str, channel: Channel, index: int) -> StoredPiece:
    audio = intake.hop(recording, channel, index)
    return StoredPiece(call_id, channel, index, AFTER_LIVE_MS + index, audio)


def put(pieces: Sequence[StoredPiece]) -> int:
    async def write() -> int:
        writer = Writer.connect(settings.REDIS_URL)
        try:
            return await writer.put_many(pieces)
        finally:
            await writer.close()

    return asyncio.run(write()) if pieces else 0


def give_up(recording: Recording, reason: str) -> None:
    """Its call ends with what was scored, and says so."""
    assert recording.call is not None
    recording.state, recording.reason = RecordingState.FAILED, reason
    recording.save(update_fields=["state", "reason"])
    recording.call.notes = [*recording.call.notes, reason]
    recording.call.save(update_fields=["notes"])
    ledger().mark_closing(str(recording.call_id), AFTER_LIVE_MS)


def is_recorded(received_ms: int) -> bool:
    return received_ms >= AFTER_LIVE_MS


def mixed(call_ids: Sequence[str]) -> set[str]:
    """Those of these calls with both speakers on one channel."""
    found = Recording.objects.filter(call_id__in=call_ids, mixed=True).exclude(state=RecordingState.DUPLICATE)
    return {str(pk) for pk in found.values_list("call_id", flat=True)}


# --- tidying -----------------------------------------------------------------------------------------


def tidy(now: datetime | None = None) -> int:
    """Unfinished uploads go after a day, failed ones after a month, folders without a row too; how many."""
    now = now or timezone.now()
    old = Recording.objects.filter(state=RecordingState.UPLOADING, created_at__lt=now - PART_STAYS)
    lines = (RecordingState.FAILED, RecordingState.DUPLICATE)
    old |= Recording.objects.filter(state__in=lines, created_at__lt=now - FAILED_STAYS)
    gone = [str(pk) for pk in old.values_list("pk", flat=True)]
    Recording.objects.filter(pk__in=gone).delete()
    needed = (RecordingState.UPLOADING, RecordingState.QUEUED, RecordingState.RUNNING)
    gone += intake.strays(Recording.objects.filter(state__in=needed).values_list("pk", flat=True))
    for name in gone:
        try:
            intake.forget(name)
        except OSError as error:
            log.error("an uploaded file cannot be removed", recording=name, error=str(error))
    return len(gone)
