"""What pages do: small JSON posts. 204 when done, 400 with what was wrong, 404 for outsiders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

from calls import access, consent, helping
from calls.models import Alert, Call, Message, ShownNudge, User

MOST_BYTES = 10_000
MOST_EPISODES = 2**15 - 1
Act = Callable[..., HttpResponse]


def act(view: Callable[..., object]) -> Act:
    """A logged-in post with a JSON object; the view gets (user, said, …)."""

    @login_required
    @require_POST
    def wrapped(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            view(request.user, read(request), **kwargs)
        except helping.BadRequest as error:
            return JsonResponse({"error": str(error)}, status=400)
        return HttpResponse(status=204)

    return wrapped


def read(request: HttpRequest) -> dict[str, Any]:
    if len(request.body) > MOST_BYTES:
        raise helping.BadRequest(f"At most {MOST_BYTES} bytes are read.")
    try:
        said = orjson.loads(request.body or b"{}")
    except orjson.JSONDecodeError as error:
        raise helping.BadRequest(f"The body is not JSON: {error}.") from error
    if not isinstance(said, dict):
        raise helping.BadRequest("The body must be a JSON object.")
    return said


def watched(user: User, call_id: UUID) -> Call:
    """A call that `user` may act on as a supervisor; agents, and outsiders, get 404."""
    call = access.get_call_or_404(user, call_id)
    if not access.may_see_floor(user):
        raise Http404
    return call


@act
def acknowledge(user: User, said: dict[str, Any], call_id: UUID, cause: str) -> None:
    helping.acknowledge(alert_of(watched(user, call_id), cause, said.get("episode")), user)


@act
def resolve(user: User, said: dict[str, Any], call_id: UUID, cause: str) -> None:
    alert = alert_of(watched(user, call_id), cause, said.get("episode"))
    helping.resolve(alert, user, said.get("resolution", ""))


def alert_of(call: Call, cause: str, episode: object) -> Alert:
    """The alert of this episode; without one, the newest of its cause. BadRequest when it is no number."""
    found = call.alerts.filter(cause=cause).order_by("-episode")
    if episode is None:
        return get_object_or_404(found[:1])
    if isinstance(episode, bool) or not isinstance(episode, int) or not 1 <= episode <= MOST_EPISODES:
        raise helping.BadRequest(f"episode must be a whole number from 1, not {episode!r}.")
    return get_object_or_404(found, episode=episode)


@act
def send(user: User, said: dict[str, Any], call_id: UUID) -> None:
    helping.send(watched(user, call_id), user, said.get("text", ""))


@act
def follow(user: User, said: dict[str, Any], call_id: UUID) -> None:
    helping.follow(watched(user, call_id), user, said.get("on"))


@act
def say_consent(user: User, said: dict[str, Any], call_id: UUID) -> None:
    """Supervisors, and the call's own agent, who hears what the caller says."""
    consent.note(access.get_call_or_404(user, call_id), user, said.get("said"))


@act
def note(user: User, said: dict[str, Any], call_id: UUID) -> None:
    """Supervisors, and the call's own agent."""
    helping.write_note(access.get_call_or_404(user, call_id), user, said.get("text", ""), said.get("t_ms"))


@act
def judge(user: User, said: dict[str, Any], pk: int) -> None:
    helping.judge(
        get_object_or_404(ShownNudge.objects.select_related("call"), pk=pk, agent=user), said.get("verdict")
    )


@act
def read_message(user: User, said: dict[str, Any], pk: int) -> None:
    helping.mark_read(get_object_or_404(Message.objects.select_related("call"), pk=pk, call__agent=user))


@act
def choose(user: User, said: dict[str, Any]) -> None:
    if not access.is_agent(user):
        raise Http404
    helping.choose(user, said)
