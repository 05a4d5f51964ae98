from __future__ import annotations

import ipaddress
import re
import secrets
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from calls.choices import Protocol
from calls.models.people import Team
from scoring.types import Channel


def default_roles() -> dict[str, str]:
    """Twilio's names → ours, when the verb runs on the caller's leg (PROTOCOLS §1)."""
    return {"inbound": Channel.CUSTOMER.value, "outbound": Channel.AGENT.value}


def new_secret() -> str:
    return secrets.token_hex(16)


def check_listen_url(address: str, field: str = "listen_url") -> None:
    """ValidationError unless empty or an http(s) address with no other placeholders than ours."""
    if not address:
        return
    parts = urlsplit(address)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValidationError({field: "Give an address that begins with https://, or nothing."})
    unknown = set(re.findall(r"\{[^}]*\}?", address)) - {"{call}", "{agent}"}
    if unknown:
        raise ValidationError({field: f"{sorted(unknown)[0]} is not known: use {{call}} and {{agent}}."})
    if "{" in parts.netloc:
        raise ValidationError({field: "The host must be written out: no { } in it."})


class Source(models.Model):
    """Where calls come from: one configured phone system, or a part of one."""

    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=60, unique=True, help_text="The last part of its media address.")
    protocol = models.CharField(max_length=20, choices=Protocol.choices, default=Protocol.TWILIO)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="sources")
    enabled = models.BooleanField(default=True)
    synthetic = models.BooleanField(
        default=False, help_text="Its calls are made up; every page labels them so."
    )
    secret = models.CharField(max_length=200, default=new_secret)
    previous_secret = models.CharField(max_length=200, blank=True)
    token_required = models.BooleanField(
        default=False, help_text="Each stream must bring a one-time token in its parameters."
    )
    roles = models.JSONField(default=default_roles)
    networks = models.JSONField(
        default=list, blank=True, help_text="CIDRs its connections may come from; none: from anywhere."
    )
    rotated_at = models.DateTimeField(null=True, blank=True)
    listen_url = models.CharField(
        max_length=300,
        blank=True,
        help_text="Where a supervisor listens in, in the phone system: an https address that may "
        "hold {call} (its own name for the call) and {agent} (the user name).",
    )
    barge_url = models.CharField(
        max_length=300, blank=True, help_text="The same, to step into the call and be heard."
    )
    given_words = models.BooleanField(
        default=False,
        help_text="The platform sends what is said (docs/transcripts.md); ours is not asked.",
    )
    practice = models.BooleanField(
        default=False,
        editable=False,
        help_text="Of a team's practice: it takes calls that somebody began on /practice/, and no other.",
    )
    keep_audio = models.BooleanField(
        default=False,
        help_text="Keep what is said, to be played on the call's page. Only where the site's KEEP_AUDIO is "
        "on too. Callers and agents must have been told; docs/recordings.md says what is kept.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        check_roles(self.roles)
        check_listen_url(self.listen_url)
        check_listen_url(self.barge_url, "barge_url")
        check_networks(self.networks)
        if self.slug.startswith("practice-") and not self.practice:
            raise ValidationError({"slug": "practice-… is kept for practice: begin with another word."})

    @staticmethod
    def phone_address(template: str, external_ref: str, agent: str) -> str:
        """The phone system's own page for this call, or "" without one."""
        given = {"{call}": quote(external_ref, safe=""), "{agent}": quote(agent, safe="")}
        return re.sub(r"\{call\}|\{agent\}", lambda found: given[found.group()], template)

    @property
    def media_path(self) -> str:
        return f"/media/{self.protocol}/{self.slug}/"

    @property
    def media_url(self) -> str:
        """The exact address the phone system is given, which its signatures cover."""
        if self.protocol == Protocol.AUDIOSOCKET:
            return str(settings.AUDIOSOCKET_PUBLIC)
        return f"{settings.MEDIA_URL_BASE}{self.media_path}"


def check_networks(networks: Any) -> None:
    """ValidationError unless a list of CIDRs."""
    if not isinstance(networks, list) or len(networks) > 50:
        raise ValidationError({"networks": "Give at most 50 networks, one a line."})
    for network in networks:
        try:
            ipaddress.ip_network(str(network), strict=False)
        except ValueError:
            raise ValidationError(
                {"networks": f"{str(network)[:60]!r} is no network: write it like 203.0.113.0/24."}
            ) from None


def check_roles(roles: Any) -> None:
    """ValidationError unless every leg maps to a channel, and each channel has one leg."""
    allowed = {channel.value for channel in Channel}
    if not isinstance(roles, dict) or set(roles.values()) != allowed or len(roles) != len(allowed):
        raise ValidationError(
            {"roles": f"Map two legs to {sorted(allowed)}, e.g. {default_roles()}; got {roles!r}."}
        )
