"""/recordings/: finished calls uploaded by supervisors and admins, and how far each is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST, require_safe

from calls import access, intake, policy, transcripts
from calls import recordings as room
from calls.choices import Asked, Layout, RecordingState
from calls.models import Recording, User
from scoring.given import Said

SHOWN = 100
MOST_TRANSCRIPT = 10_000_000
View = Callable[..., HttpResponse]


def for_uploaders(view: View) -> View:
    """Supervisors and admins; others get a 404."""

    @wraps(view)
    @login_required
    @never_cache
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not access.may_see_floor(request.user):
            raise Http404
        return view(request, *args, **kwargs)

    return wrapped


@for_uploaders
@ensure_csrf_cookie
def recordings(request: HttpRequest) -> HttpResponse:
    """The list; POST takes files from a browser without scripts, in one go."""
    said: list[tuple[bool, str]] = []
    if request.method == "POST":
        said = _taken(request)
        if all(good for good, _words in said):
            return redirect(f"{request.path}?taken={len(said)}")
    taken = request.GET.get("taken", "")
    if taken.isascii() and taken.isdigit() and len(taken) < 4:
        n = int(taken)
        said = [(True, ngettext("{n} file is here.", "{n} files are here.", n).format(n=n))]
    user = request.user
    assert isinstance(user, User)
    teams = access.visible_teams(user)
    context = {
        "section": "calls",
        "rows": _rows(request),
        "teams": teams,
        "agents": User.objects.filter(team__in=teams, is_active=True).order_by("username"),
        "layouts": [choice for choice in Layout.choices if choice[0] != Layout.TWO_FILES],
        "asked": request.POST,
        "said": said,
        "must_agree": policy.current().asked == Asked.CONSENT,
        "most_mb": settings.RECORDING_MAX_BYTES // 1_000_000,
        "most_hours": settings.RECORDING_MAX_HOURS,
    }
    return render(request, "recordings/recordings.html", context, status=200)


@require_safe
@for_uploaders
def rows(request: HttpRequest) -> HttpResponse:
    """The list alone, for a page that looks again."""
    return render(request, "recordings/_rows.html", {"rows": _rows(request)})


@require_POST
@for_uploaders
def remove(request: HttpRequest, pk: Any) -> HttpResponse:
    found = get_object_or_404(room.visible(request.user), pk=pk)
    try:
        room.remove(found)
    except room.Refused as refused:
        return render(
            request, "errors/page.html", {"heading": _("Not removed"), "words": str(refused)}, status=409
        )
    return redirect("recordings")


def _rows(request: HttpRequest) -> list[dict[str, Any]]:
    found = room.visible(request.user).listed()[:SHOWN]
    return [{"recording": row, "arrived": _arrived(row), "busy": row.state in BUSY} for row in found]


BUSY = (RecordingState.UPLOADING, RecordingState.QUEUED, RecordingState.RUNNING)


def _arrived(recording: Recording) -> int:
    """Percent of its bytes."""
    here = sum(room.received(recording, part) for part in recording.open_parts)
    return min(100, int(here * 100 / max(1, sum(recording.sizes))))


# --- without scripts ---------------------------------------------------------------------------------


def _taken(request: HttpRequest) -> list[tuple[bool, str]]:
    """Each call that was sent: whether it was taken, and in words what not."""
    sides = [request.FILES.get("caller_file"), request.FILES.get("agent_file")]
    found = [[one] for one in request.FILES.getlist("files")]
    if any(sides):
        if not all(sides):
            return [(False, _("Two files of one call: choose one for the caller and one for the agent."))]
        found.append([one for one in sides if one])
    if not found:
        return [(False, _("Choose at least one file."))]
    if len(found) > room.MOST_FILES:
        return [(False, _("At most {n} files at once.").format(n=room.MOST_FILES))]
    if len(found) > 1 and request.FILES.get("transcript"):
        return [(False, _("A transcript belongs to one call: choose one."))]
    return [_take(request, files) for files in found]


def _take(request: HttpRequest, files: list[UploadedFile[Any]]) -> tuple[bool, str]:
    names = ", ".join(str(one.name) for one in files)
    try:
        wanted = _wanted(request, files)
        assert isinstance(request.user, User)
        recording, _new = room.begin(request.user, wanted)
        for part, one in enumerate(files):
            here = intake.received(recording.pk, part)
            one.seek(here)
            room.receive(recording, part, here, one.chunks() if not here else _rest(one))
    except room.Refused as refused:
        return False, f"{names}: {refused}"
    except (intake.WrongOffset, intake.TooLong, OSError) as error:
        return False, _("{names}: it could not be written ({error}). Try again.").format(
            names=names, error=error
        )
    return True, names


def _rest(file: UploadedFile[Any]) -> Iterator[bytes]:
    while piece := file.read(intake.PIECE):
        yield piece


def _wanted(request: HttpRequest, files: list[UploadedFile[Any]]) -> room.Wanted:
    said = request.POST
    team = next((t for t in access.visible_teams(request.user) if str(t.pk) == said.get("team", "")), None)
    if team is None:
        raise room.Refused(_("Choose the team."))
    agent = None
    if name := said.get("agent", ""):
        agent = User.objects.filter(username=name, team=team).first()
        if agent is None:
            raise room.Refused(_("This agent is not in this team."))
    return room.Wanted(
        team=team,
        layout=Layout.TWO_FILES if len(files) == 2 else said.get("layout", ""),
        names=[str(one.name)[:90].replace(" + ", " ") for one in files],
        sizes=[int(one.size or 0) for one in files],
        started_at=_began(said.get("started_at", "")),
        agent=agent,
        told="told" in said,
        turns=_turns(request),
    )


def _turns(request: HttpRequest) -> list[Said] | None:
    """The transcript that came along, if one did."""
    file = request.FILES.get("transcript")
    if file is None:
        return None
    if not isinstance(file, UploadedFile) or (file.size or 0) > MOST_TRANSCRIPT:
        raise room.Refused(_("The transcript is larger than 10 MB."))
    try:
        return transcripts.read(json.loads(file.read()))
    except (ValueError, RecursionError) as error:
        told = str(error) if isinstance(error, transcripts.NotATurn) else _("it is no JSON")
        raise room.Refused(_("The transcript cannot be read: {error}.").format(error=told)) from None


def _began(said: str) -> datetime:
    if not said:
        return timezone.now()
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        raise room.Refused(_("Give the time as 2026-01-31T08:00.")) from None
    if not 1970 <= at.year < 9999:
        raise room.Refused(_("Give the time as 2026-01-31T08:00."))
    return at if at.tzinfo else at.replace(tzinfo=UTC)
