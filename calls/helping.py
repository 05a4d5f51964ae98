"""What people do about a call: answer an alert, send a line, write a note, judge a cue, look on.

Each writes one row and tells the open pages on commit. Rights are the caller's business (`access`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from calls import derived, nudging, push, webhooks, wire
from calls.choices import MISSING, LookKind, Verdict
from calls.models import Alert, Call, Follow, Look, Message, Note, NudgeChoices, ShownNudge, User

LOOK_GOES_ON = timedelta(seconds=60)
"""A page that reloads or reconnects within this is the same look."""
QUIET_LOOK_GOES_ON = timedelta(minutes=10)
"""The same for a page that does not say when it is closed."""
EACH_COUNTS = (LookKind.LISTEN, LookKind.BARGE)
LOOK_LAPSES = timedelta(seconds=20)
"""A page that has not been heard of for so long is closed, whatever became of it."""


class BadRequest(ValueError):
    """What was asked cannot be done; the text says what was wrong and what to do."""


# --- alerts -----------------------------------------------------------------------------------


def acknowledge(alert: Alert, user: User) -> None:
    """Somebody is looking after it. Said twice, the first one stays."""
    _change(alert, acknowledged_at=None)(acknowledged_at=timezone.now(), acknowledged_by=user)


def resolve(alert: Alert, user: User, words: str = "") -> None:
    """It is dealt with; `words` say how (up to 200 characters). Said twice, the first one stays: BadRequest
    to whoever had words for it."""
    said = text(words, 200, _("What was done"), empty=True)
    with transaction.atomic():
        call = locked_call(alert.call)
        if said:
            _words_may_stand(call, _("Resolve it without words."))
            before = derived.alerts_of(call).get(pk=alert.pk)
            if before.resolved_at is not None:
                by = before.resolved_by or _("Somebody")
                raise BadRequest(_("%s has resolved it already. Write a note instead.") % by)
        acknowledge(alert, user)
        _change(alert, resolved_at=None)(resolved_at=timezone.now(), resolved_by=user, resolution=said)


def _words_may_stand(call: Call, instead: str = "") -> None:
    """What people write goes with the call's words: after those it would stay behind."""
    if "transcript" in call.purged:
        gone = _("The words of this call were deleted, so nothing can be written about it any more.")
        raise BadRequest(f"{gone} {instead}".strip())


def _change(alert: Alert, **still: Any) -> Any:
    """What sets its values, if it is `still` so."""
    call = alert.call

    def change(**values: Any) -> None:
        with transaction.atomic():
            # One at a time with a worker that records: its view must not tell of before, afterwards.
            locked = locked_call(call)
            if not Alert.objects.filter(pk=alert.pk, **still).update(**values):
                return
            rows = derived.alerts_of(call)
            if "resolved_at" in values:
                webhooks.alert_resolved(locked, next(row for row in rows if row.pk == alert.pk))
            docs = retile_alerts(locked, rows)
            _tell(call, {"type": "alerts", "alerts": docs}, agent=False)

    return change


# --- messages and notes -----------------------------------------------------------------------


def send(call: Call, sender: User, words: str) -> Message:
    """A line to the agent. BadRequest when it is empty or too long, or nobody is on the call."""
    said = text(words, 280, _("The message"))
    if not call.is_live:
        raise BadRequest(_("The call is over: write a note instead, its agent reads it too."))
    if call.agent_id is None:
        raise BadRequest(_("Nobody is assigned to this call, so there is no one to read a message."))
    with transaction.atomic():
        row = Message.objects.create(call=call, sender=sender, text=said)
        _tell(call, {"type": "message", "message": wire.message_doc(row), "urgent": True})
    return row


def mark_read(row: Message) -> None:
    if row.read_at is None:
        with transaction.atomic():
            row.read_at = timezone.now()
            row.save(update_fields=["read_at"])
            _tell(row.call, {"type": "message", "message": wire.message_doc(row)})


def write_note(call: Call, author: User, words: str, t_ms: object = None) -> Note:
    said = text(words, 1000, _("The note"))
    if t_ms is not None and (isinstance(t_ms, bool) or not isinstance(t_ms, int) or not 0 <= t_ms < 2**53):
        raise BadRequest(f"t_ms must be milliseconds into the call, not {t_ms!r}.")
    with transaction.atomic():
        _words_may_stand(locked_call(call))
        row = Note.objects.create(call=call, author=author, text=said, t_ms=t_ms)
        _tell(call, {"type": "remark", "remark": wire.note_doc(row)}, agent=False)
    return row


# --- the agent's own --------------------------------------------------------------------------


def judge(row: ShownNudge, verdict: object) -> None:
    """The agent's word on a cue; it can be changed."""
    if verdict not in Verdict.values:
        raise BadRequest(f"verdict must be one of {', '.join(Verdict.values)}, not {verdict!r}.")
    with transaction.atomic():
        row.verdict, row.verdict_at = str(verdict), timezone.now()
        row.save(update_fields=["verdict", "verdict_at"])
        event = {"type": "cue", "cue": wire.shown_doc(row)}
        _tell(row.call, event)


def choose(agent: User, wanted: Mapping[str, object]) -> NudgeChoices:
    """Change how an agent is helped; only what is named. BadRequest names what was wrong."""
    row = NudgeChoices.objects.filter(agent=agent).first() or NudgeChoices(agent=agent)
    if unknown := set(wanted) - {"muted", "every_s", "per_call", "kinds_off"}:
        raise BadRequest(f"There is no choice {sorted(unknown)[0]!r}: muted, every_s, per_call, kinds_off.")
    if "muted" in wanted:
        if not isinstance(wanted["muted"], bool):
            raise BadRequest("muted must be true or false.")
        row.muted = wanted["muted"]
    for name, (least, most) in nudging.limits_for(agent).items():
        if name in wanted:
            value = wanted[name]
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise BadRequest(f"{name} must be {least} to {most} under your team's rubric, not {value!r}.")
            setattr(row, name, value)
    if "kinds_off" in wanted:
        kinds = wanted["kinds_off"]
        known = [name for name, label in MISSING]
        if not isinstance(kinds, list) or not all(kind in known for kind in kinds):
            raise BadRequest(f"kinds_off must be a list of {', '.join(known)}.")
        row.kinds_off = sorted(set(kinds))
    with transaction.atomic():
        row.save()
        event = {"type": "choices", "choices": nudging.choices_doc(row)}
        transaction.on_commit(lambda: push.publish([(f"agent.{agent.pk}", event)]))
    return row


# --- who looks on -----------------------------------------------------------------------------


def look(call: Call, user: User, kind: LookKind = LookKind.PAGE) -> Look | None:
    """Note what `user` has of the call, and tell its agent; None for its own agent."""
    if user.pk == call.agent_id:
        return None
    now = timezone.now()
    span = LOOK_GOES_ON if kind in (LookKind.PAGE, LookKind.PROGRAM) else QUIET_LOOK_GOES_ON
    with transaction.atomic():
        recent = call.looks.filter(user=user, kind=kind, last_at__gte=now - span).order_by("-began_at")
        row = None if kind in EACH_COUNTS else recent.first()
        row = row or Look(call=call, user=user, kind=kind)
        row.open, row.last_at = kind == LookKind.PAGE, now
        row.save()
        tell_look(row)
    return row


def listened(call: Call, user: User) -> None:
    """They play the recording, on whichever page they have. A player asks often: once a look is enough."""
    if user.pk == call.agent_id:
        return
    now = timezone.now()
    with transaction.atomic():
        recent = call.looks.filter(user=user, last_at__gte=now - LOOK_GOES_ON).exclude(kind__in=EACH_COUNTS)
        if recent.filter(listened_at__isnull=False).exists():
            return
        row = recent.order_by("-began_at").first()
        row = row or Look(call=call, user=user, kind=LookKind.PLAYED, open=False)
        row.listened_at = row.last_at = now
        row.save()
        tell_look(row)


def tell_look(row: Look) -> None:
    _tell(row.call, {"type": "look", "look": wire.look_doc(row)})


def still_looking(look_id: int) -> None:
    """Said now and then by an open page; another page of the same person may have closed the look."""
    if Look.objects.filter(pk=look_id, open=True).update(last_at=timezone.now()):
        return
    row = Look.objects.select_related("call", "user").filter(pk=look_id).first()
    if row is not None:
        with transaction.atomic():
            row.open, row.last_at = True, timezone.now()
            row.save()
            tell_look(row)


def looked(look_id: int) -> None:
    """The page was closed."""
    row = Look.objects.select_related("call", "user").filter(pk=look_id, open=True).first()
    if row is not None:
        with transaction.atomic():
            row.open = False
            row.save()
            tell_look(row)


def close_lapsed_looks() -> int:
    """Looks whose page died without a word. Returns how many."""
    lapsed = Look.objects.filter(open=True, last_at__lt=timezone.now() - LOOK_LAPSES)
    ids = list(lapsed.values_list("pk", flat=True))
    for pk in ids:
        looked(pk)
    return len(ids)


# --- who follows ------------------------------------------------------------------------------


def follow(call: Call, user: User, on: object) -> None:
    """Keep a running call in sight on `user`'s floor, or no longer; its agent sees who follows.

    BadRequest when the call is over. Said twice, nothing changes.
    """
    if not isinstance(on, bool):
        raise BadRequest(f"on must be true or false, not {on!r}.")
    with transaction.atomic():
        call = locked_call(call)
        if on and not call.is_live:
            raise BadRequest(_("The call is over: there is nothing left to follow."))
        if on:
            Follow.objects.get_or_create(call=call, user=user, ended_at=None)
        else:
            Follow.objects.filter(call=call, user=user, ended_at=None).update(ended_at=timezone.now())
        rows = call.follows.filter(ended_at=None).select_related("user")
        retile(call, followers=[{"id": row.user_id, "name": str(row.user)} for row in rows])


# --- small steps ------------------------------------------------------------------------------


def text(words: object, most: int, what: str, *, empty: bool = False) -> str:
    """Trimmed words. BadRequest when they are no text, too long or, unless `empty`, missing."""
    if not isinstance(words, str):
        raise BadRequest(f"{what} must be text.")
    said = " ".join(words.replace("\x00", "").split())
    if not said and not empty:
        raise BadRequest(_("{what} is empty.").format(what=what))
    if len(said) > most:
        raise BadRequest(
            _("{what} has {n} characters; at most {most} are kept. Shorten it.").format(
                what=what, n=len(said), most=most
            )
        )
    return said


def locked_call(call: Call) -> Call:
    """One at a time with a worker that records, with what a tile says of it."""
    rows = Call.objects.select_for_update(of=("self",)).select_related("source", "team", "agent")
    return rows.get(pk=call.pk)


def retile(call: Call, **changes: Any) -> None:
    """Change what a locked call's tile says of what people do; one without a tile gets it later."""
    call.tile = call.tile | changes
    call.save(update_fields=["tile"])
    if "status" in call.tile:
        messages = derived.tile_messages(call, urgent=True)
        transaction.on_commit(lambda: push.publish(messages))


def retile_alerts(call: Call, rows: Iterable[Alert]) -> list[wire.Doc]:
    """Say in a locked call's tile what is open and who looks after what; the alerts as pages show them."""
    docs = wire.alert_docs(rows)
    retile(call, **wire.alert_marks(docs))
    return docs


def _tell(call: Call, event: dict[str, Any], *, agent: bool = True) -> None:
    messages = [(f"call.{call.pk}", event)]
    if agent and call.agent_id:
        messages.append((f"agent.{call.agent_id}", event))
    transaction.on_commit(lambda: push.publish(messages))
