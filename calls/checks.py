"""Boot-time checks: a bad configuration is named with an id and a hint, before a call is lost."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register


@register(Tags.security, deploy=True)
def secret_key_is_set(**_: Any) -> list[CheckMessage]:
    if settings.SECRET_KEY.startswith("insecure-"):
        return [Error("SECRET_KEY is the laptop default.", hint="Set SECRET_KEY.", id="calls.E001")]
    return []


@register()
def device_is_known(**_: Any) -> list[CheckMessage]:
    if settings.DEVICE.split(":")[0] not in ("cpu", "cuda"):
        hint = "Use DEVICE=cpu, cuda or cuda:0."
        return [Error(f"DEVICE={settings.DEVICE!r} is not known.", hint=hint, id="calls.E002")]
    return []


@register()
def single_sign_on_is_whole(**_: Any) -> list[CheckMessage]:
    parts = {"OIDC_ISSUER": settings.OIDC_ISSUER, "OIDC_CLIENT_ID": settings.OIDC_CLIENT_ID}
    lacking = [name for name, value in parts.items() if not value]
    if lacking and (len(lacking) < len(parts) or settings.OIDC_ONLY or settings.OIDC_CLIENT_SECRET):
        hint = f"Set {' and '.join(lacking)}, or nothing that begins with OIDC_."
        return [Error("Single sign-on is configured by half.", hint=hint, id="calls.E004")]
    return []


@register(Tags.security, deploy=True)
def issuer_is_https(**_: Any) -> list[CheckMessage]:
    if settings.OIDC_ISSUER and not settings.OIDC_ISSUER.startswith("https://"):
        return [Error("OIDC_ISSUER is not https.", hint="Use the issuer's https address.", id="calls.E005")]
    return []


@register()
def models_are_real(**_: Any) -> list[CheckMessage]:
    if settings.STAND_IN_MODELS:
        hint = "Unset STAND_IN_MODELS: scores are made by deterministic stand-ins, for tests only."
        return [Warning("Stand-in models are on.", hint=hint, id="calls.W001")]
    return []


@register()
def media_limits_are_sane(**_: Any) -> list[CheckMessage]:
    most, here = settings.MEDIA_MAX_STREAMS, settings.MEDIA_MAX_STREAMS_PER_SOURCE
    found: list[CheckMessage] = []
    if not 1 <= here <= most:
        hint = f"Leave it out, or set 1 to MEDIA_MAX_STREAMS ({most})."
        found.append(Error("MEDIA_MAX_STREAMS_PER_SOURCE cannot be.", hint=hint, id="calls.E010"))
    if not 1 <= settings.MEDIA_SPEED <= 100:
        found.append(Error("MEDIA_SPEED must be 1 to 100.", hint="Leave it at 2.", id="calls.E011"))
    return found


@register()
def batch_is_sane(**_: Any) -> list[CheckMessage]:
    if not 1 <= settings.SCORE_BATCH <= 256:
        return [Error("SCORE_BATCH must be 1 to 256.", hint="Leave it at 32.", id="calls.E003")]
    return []
