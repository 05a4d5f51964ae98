"""/sources/: where calls come from, how each does, its secrets, and a sample call to try it; admins only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import redis
from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from calls import health, sourcing, tasks
from calls.choices import CallStatus, Protocol
from calls.ingest.wires import WIRES
from calls.models import Source
from calls.views.people import admin_of, for_admins
from scoring.types import Channel

PHONED = Source.objects.select_related("team").exclude(protocol=Protocol.RECORDING)
"""Recordings come by a page of their own."""
OWN_LEGS = {Channel.CUSTOMER.value: Channel.CUSTOMER.value, Channel.AGENT.value: Channel.AGENT.value}
TOKENLESS = (Protocol.AUDIOHOOK, Protocol.AUDIOSOCKET)
"""A nonce, or a UUID reserved for the call, is good once already."""
REASONS: dict[str, str | Promise] = {
    "bad signature": gettext_lazy(
        "The signature or password did not fit: compare the secret, and the public address."
    ),
    "nonce replayed": gettext_lazy(
        "A signed handshake was sent twice: a replay, or a proxy that repeats requests."
    ),
    "address not allowed": gettext_lazy("It came from an address outside the networks allowed here."),
    "bad token": gettext_lazy("The one-time token was missing, wrong or too old."),
    "token used": gettext_lazy("A one-time token was used twice."),
    "stream replayed": gettext_lazy("The same stream began twice."),
    "full": gettext_lazy("There were too many streams at once, or the buffer was full."),
    "faster than real time": gettext_lazy("Audio came faster than it can be spoken."),
    "call too long": gettext_lazy("A call ran longer than is taken."),
    "frame too big": gettext_lazy("A message was larger than is taken."),
    "malformed frames": gettext_lazy("Too many messages could not be read: is the protocol the right one?"),
    "no start": gettext_lazy("It connected and said nothing that begins a stream."),
    "closed before start": gettext_lazy("It connected and went away before a stream began."),
    "no leg of the source": gettext_lazy("It named legs that are not mapped here: see which leg is whose."),
    "no database": gettext_lazy("The database did not answer, so the call had no row."),
    "cannot check the token": gettext_lazy(
        "Redis did not answer, so nobody could tell whether a token was used."
    ),
    "audio format": gettext_lazy(
        "Its audio was of a kind that is not taken: PCMU, PCMA or 16-bit linear, 8 to 48 kHz, are."
    ),
    "out of sequence": gettext_lazy("Its messages were out of sequence: does a proxy repeat or drop them?"),
    "another session": gettext_lazy("Its messages named another session than its handshake."),
    "opened twice": gettext_lazy("It opened its conversation twice in one connection."),
    "started twice": gettext_lazy("It sent two start messages in one connection."),
    "no conversationId": gettext_lazy("It opened without naming its conversation."),
    "no media": gettext_lazy("It offered no audio that is taken: let it offer PCMU, both channels."),
    "no call": gettext_lazy("It did not say which call it is: give it “call”."),
    "no role": gettext_lazy("It did not say whose voice it is: give it “role”, customer or agent."),
    "no rate": gettext_lazy("It did not say how many samples a second it sends: give it “rate”."),
    "audio before start": gettext_lazy("It sent audio before its start message."),
    "audio before its announcement": gettext_lazy("It sent audio before saying what kind it is."),
    "start": gettext_lazy("Its start message could not be used: see the recipe for what belongs in it."),
    "too many messages": gettext_lazy("It sent message after message, and hardly any audio."),
    "practice over": gettext_lazy("It came with a ticket of a practice call that had ended."),
    "phone system error": gettext_lazy(
        "The phone system reported an error of its own; the call’s coverage has its words."
    ),
    "unknown reservation": gettext_lazy("It brought a number that was not reserved, used, or too old."),
}


class SourceForm(forms.ModelForm):  # type: ignore[type-arg]
    caller = forms.CharField(
        max_length=40, label=gettext_lazy("The caller’s leg, as the phone system names it")
    )
    agent = forms.CharField(max_length=40, label=gettext_lazy("The agent’s leg"))
    networks = forms.CharField(
        required=False,
        label=gettext_lazy("Networks it may come from, one a line; empty: anywhere"),
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "203.0.113.0/24"}),
    )

    class Meta:
        model = Source
        fields = (
            "name",
            "slug",
            "protocol",
            "team",
            "enabled",
            "token_required",
            "given_words",
            "keep_audio",
            "listen_url",
            "barge_url",
        )
        labels = {
            "name": gettext_lazy("Name"),
            "slug": gettext_lazy("Last part of its address"),
            "protocol": gettext_lazy("Phone system"),
            "team": gettext_lazy("Team"),
            "enabled": gettext_lazy("Calls are taken"),
            "token_required": gettext_lazy("Each stream must bring a one-time token"),
            "given_words": gettext_lazy("It sends its own transcript; we transcribe nothing"),
            "keep_audio": gettext_lazy("Keep the audio of its calls, where the site does"),
            "listen_url": gettext_lazy("Page of the phone system to listen in, with {call} and {agent}"),
            "barge_url": gettext_lazy("Page of the phone system to step in, with {call} and {agent}"),
        }
        help_texts = dict.fromkeys(fields, "")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = self.instance.pk is not None
        for name in ("slug", "protocol", "team") if known else ():
            self.fields[name].disabled = True  # its calls hang on them, and phone systems know the address
        self.fields["protocol"].choices = [  # type: ignore[attr-defined]
            (value, words) for value, words in Protocol.choices if value != Protocol.RECORDING
        ]
        for name in ("caller", "agent"):
            self.fields[name].required = known
        if known:
            legs = {channel: leg for leg, channel in self.instance.roles.items()}
            self.initial["caller"], self.initial["agent"] = legs.get("customer", ""), legs.get("agent", "")
            self.initial["networks"] = "\n".join(self.instance.networks)

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        protocol = found.get("protocol") or self.instance.protocol
        named = dict(WIRES[protocol].roles) if protocol in WIRES else {}
        usual = {channel: leg for leg, channel in (named or OWN_LEGS).items()}
        caller = found.get("caller") or usual.get("customer", "customer")
        agent = found.get("agent") or usual.get("agent", "agent")
        if found.get("token_required") and protocol in TOKENLESS:
            self.add_error(
                "token_required",
                _("This phone system proves each call anew and can bring no token: leave this off."),
            )
        roles = {caller: Channel.CUSTOMER.value, agent: Channel.AGENT.value}
        if len(roles) == 2:
            self.instance.roles = roles
        else:
            self.add_error(
                "caller", _("Map two legs: the caller’s and the agent’s are one and the same here.")
            )
        self.instance.networks = [
            line.strip() for line in found.get("networks", "").splitlines() if line.strip()
        ]
        return found


@for_admins
def sources(request: HttpRequest) -> HttpResponse:
    live = Count("calls", filter=Q(calls__status=CallStatus.LIVE))
    rows = [(row, health_of(row.slug)) for row in PHONED.annotate(live=live)]
    return render(request, "sources/sources.html", {"section": "sources", "rows": rows})


@for_admins
def source(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Settings, secrets, health and a test of one; without `pk`, a new one."""
    found = get_object_or_404(PHONED, pk=pk) if pk is not None else Source()
    before = sourcing.values(found) if pk is not None else {}
    form = SourceForm(request.POST or None, instance=found)
    if request.method == "POST" and form.is_valid():
        made = form.save(commit=False)
        sourcing.save(made, admin_of(request), before)
        if pk is None:
            request.session[f"source {made.pk}"] = made.protocol not in sourcing.GIVEN
        messages.success(request, _("Saved."))
        return redirect("source", made.pk)
    shown = Source.objects.select_related("team").get(pk=pk) if pk is not None else None
    context: dict[str, Any] = {"section": "sources", "form": form, "source": shown}
    if shown is not None:
        context |= {
            "health": health_of(shown.slug),
            "live": shown.calls.filter(status=CallStatus.LIVE).count(),
            "secret": shown.secret if request.session.pop(f"source {pk}", False) else "",
            "given": shown.protocol in sourcing.GIVEN,
            "address": shown.media_url,
            "tried": tried(shown.slug),
            "recipe": f"docs/connect/{RECIPES.get(str(shown.protocol), shown.protocol)}.md",
        }
    return render(request, "sources/source.html", context)


RECIPES = {
    "audiohook": "genesys",
    "audiosocket": "asterisk",
    **dict.fromkeys(("signalwire", "telnyx", "plivo", "exotel"), "family"),
}


@for_admins
@require_POST
def act(request: HttpRequest, pk: int) -> HttpResponse:
    """A new secret, the end of the old one, a sample call."""
    found, do = get_object_or_404(PHONED, pk=pk), request.POST.get("do", "")
    try:
        if do == "rotate":
            given = request.POST.get("secret", "")
            sourcing.rotate(found, admin_of(request), given)
            request.session[f"source {pk}"] = not given.strip()
            messages.success(request, _("Both secrets are good until you drop the old one."))
        elif do == "drop":
            sourcing.drop_old(found, admin_of(request))
            messages.success(request, _("Only the new secret is good now."))
        elif do == "test":
            if not found.enabled:
                raise sourcing.Refused(_("Calls are not taken from it: switch that on first."))
            tasks.test_source.delay(found.slug, get_language() or "en")
            messages.success(request, _("A sample call is on its way: load the page again in ten seconds."))
        else:
            raise sourcing.Refused(_("Nothing was asked for."))
    except sourcing.Refused as refused:
        messages.error(request, str(refused))
    return redirect("source", pk)


def health_of(slug: str) -> dict[str, Any] | None:
    """In words; None while Redis does not answer."""
    try:
        told = health.read(redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1), slug)
    except (redis.RedisError, OSError):
        return None
    at = datetime.fromtimestamp(told.last_at, UTC) if told.last_at else None
    refused = sorted(told.refused.items(), key=lambda item: -item[1])
    return {
        "streams": told.streams,
        "frames": round(told.frames_per_s),
        "lost_s": round(told.lost_ms / 1000, 1),
        "refused": sum(told.refused.values()),
        "reasons": [(words_for(reason), n) for reason, n in refused[:8]],
        "last": words_for(told.last_reason) if told.last_reason else "",
        "last_at": at,
    }


def words_for(reason: str) -> str:
    """What to do about it; a reason nobody has put into words is named as it is."""
    if reason.startswith("phone system error"):
        return f"{REASONS['phone system error']} ({reason.rpartition(' ')[2]})"
    return str(REASONS.get(reason) or _("It was refused: {reason}.").format(reason=reason))


def tried(slug: str) -> dict[str, Any] | None:
    try:
        told = sourcing.last_test(slug)
    except (redis.RedisError, OSError, ValueError):
        return None
    return {**told, "at": datetime.fromtimestamp(told["at"], UTC)} if told else None
