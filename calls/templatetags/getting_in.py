"""What the log-in page offers, by configuration."""

from __future__ import annotations

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def sso_name() -> str:
    """The name on the button, or "" without single sign-on."""
    return settings.OIDC_NAME if settings.OIDC_ISSUER else ""


@register.simple_tag
def is_sso_only() -> bool:
    return bool(settings.OIDC_ISSUER and settings.OIDC_ONLY)
