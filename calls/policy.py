"""The policy in force, its limits by region, and the notices that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calls import keeping
from calls.choices import Asked, Kept, Region, Said
from calls.models import Policy, Source

LADDER = (Kept.AUDIO, Kept.TRANSCRIPT, Kept.FEATURES, Kept.SCORES)
"""Nothing may outlast what it was made into."""


@dataclass(frozen=True)
class Limits:
    """The most days that a class may be kept, and whether one agent's figures stay locked."""

    audio: int
    transcript: int
    features: int
    scores: int
    hr_lock: bool

    def days(self, kind: str) -> int:
        found: int = getattr(self, kind)
        return found


# House rules, not law: each site asks its own counsel. Shorter where data protection asks for the shortest
# time that serves (GDPR Art. 5(1)(e)); the lock since emotion data must not steer employment in the EU.
LIMITS = {
    Region.EU: Limits(audio=30, transcript=90, features=180, scores=730, hr_lock=True),
    Region.UK: Limits(audio=90, transcript=180, features=365, scores=1095, hr_lock=True),
    Region.US: Limits(audio=365, transcript=730, features=1095, scores=2555, hr_lock=False),
}


# What a site of that region begins with, until its own counsel says otherwise. In the EU a voice is read for
# feelings only after a yes (GDPR Art. 9 where they tell of health; AI Act Art. 50(3) asks for a notice).
PROFILES: dict[Region, dict[str, Any]] = {
    Region.EU: {
        "asked": Asked.CONSENT, "voice": True, "cues": True, "hr_lock": True,
        "audio_days": 7, "transcript_days": 30, "features_days": 90, "scores_days": 365,
    },
    Region.UK: {
        "asked": Asked.NOTICE, "voice": True, "cues": True, "hr_lock": True,
        "audio_days": 30, "transcript_days": 90, "features_days": 180, "scores_days": 730,
    },
    Region.US: {
        "asked": Asked.NOTICE, "voice": True, "cues": True, "hr_lock": False,
        "audio_days": 90, "transcript_days": 180, "features_days": 365, "scores_days": 1095,
    },
}  # fmt: skip


def profile(region: str) -> dict[str, Any]:
    """Fields of Policy and what they are when somebody chooses this region; {} for none of ours."""
    return {"region": region} | PROFILES[Region(region)] if region in Region.values else {}


def keeps_audio() -> str:
    """Which lines keep what is said: "all", "some", or "" for none."""
    if not keeping.is_on():
        return ""
    kept = set(Source.objects.filter(enabled=True).values_list("keep_audio", flat=True))
    return "" if True not in kept else "some" if False in kept else "all"


def current() -> Policy:
    """The newest; before there is one, the strict profile as it comes."""
    return Policy.objects.first() or Policy()


def limits() -> Limits:
    return LIMITS[Region(current().region)]


def problems(policy: Policy) -> dict[str, str]:
    """Field: what is wrong and what to do."""
    limits, found = LIMITS[Region(policy.region)], {}
    for kind in LADDER:
        most = limits.days(kind)
        if policy.days(kind) > most:
            found[f"{kind}_days"] = ngettext(
                "At most %(most)d day in this region.", "At most %(most)d days in this region.", most
            ) % {"most": most}
    for shorter, longer in zip(LADDER, LADDER[1:], strict=False):
        if policy.days(shorter) > policy.days(longer):
            found.setdefault(
                f"{shorter}_days",
                _("{shorter} cannot be kept longer than {longer}, which is made from it.").format(
                    shorter=shorter.label, longer=longer.label
                ),
            )
    if policy.transcript_days < settings.APPEAL_DAYS:
        found.setdefault("transcript_days", appeals_need(settings.APPEAL_DAYS))
    if limits.hr_lock and not policy.hr_lock:
        found["hr_lock"] = _("This lock stays on in this region.")
    return found


def appeals_need(days: int) -> str:
    return ngettext(
        "At least %(days)d day: so long an agent may appeal a score, and whoever decides needs the words.",
        "At least %(days)d days: so long an agent may appeal a score, and whoever decides needs the words.",
        days,
    ) % {"days": days}


def said_by_source(parameters: Mapping[str, str]) -> list[Said]:
    """What the phone system says of notice and consent when a stream starts."""
    found = [Said.NOTICE] if parameters.get("notice", "").lower() == "yes" else []
    answer = parameters.get("consent", "").lower()
    return found + ([Said(answer)] if answer in (Said.YES, Said.NO) else [])


def caller_notice(policy: Policy) -> list[str]:
    """What callers must be told, sentence by sentence, under this policy."""
    heard = (
        _("A computer reads your voice and words for how the call feels to you, to help you better.")
        if policy.voice
        else _("A computer reads your words for how the call feels to you, to help you better.")
    )
    agree = (
        _("It begins only if you say yes.")
        if policy.asked == Asked.CONSENT
        else _(
            "If you do not want that, say so at any time: it stops at once, and nothing else changes for you."
        )
    )
    return [
        heard,
        agree,
        _("No decision about you is made by it."),
        *audio_sentence(policy),
        _("What is written down is deleted after {transcript}, and all figures after {scores}.").format(
            transcript=in_days(policy.transcript_days), scores=in_days(policy.scores_days)
        ),
        _(
            "While our agent’s score for the call is being checked, the words may stay for up to {most}."
        ).format(most=in_days(LIMITS[Region(policy.region)].transcript)),
        _("You may ask for a copy of it, or to have it deleted earlier."),
    ]


def audio_sentence(policy: Policy) -> list[str]:
    words = {
        "all": _("What is said is kept as a recording too, which is deleted after {audio}."),
        "some": _(
            "On some of our lines what is said is kept as a recording too, which is deleted after {audio}."
        ),
        "": "",
    }[keeps_audio()]
    return [words.format(audio=in_days(policy.audio_days))] if words else []


def agent_notice(policy: Policy) -> list[str]:
    """What agents must be told."""
    return [
        _("Feelings are read in the caller’s voice and words only. Your own voice is never read for emotion.")
        if policy.voice
        else _("Feelings are read in the caller’s words only. Your own voice is never read for emotion."),
        _("Your words and the timing are scored for how they answer the caller."),
        *audio_sentence(policy),
        _("You see every score that your supervisor sees, and who looked at your calls."),
        _("Cues come to you alone, you can mute them and say that one was wrong.")
        if policy.cues
        else _("No cues are shown during calls."),
        _("Your figures must not be used alone for pay, promotion or dismissal."),
        *([_("Nobody but you can take them out of the system.")] if policy.hr_lock else []),
        _("Deleted after: audio {audio}, words {transcript}, readings {features}, scores {scores}.").format(
            **{kind.value: in_days(policy.days(kind)) for kind in LADDER}
        ),
    ]


def in_days(days: int) -> str:
    return ngettext("%d day", "%d days", days) % days
