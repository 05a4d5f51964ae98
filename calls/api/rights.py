"""Who asks: a token in the header, or the log-in of the browser; which scope it takes; and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings
from django.core.cache import caches
from redis.exceptions import RedisError
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from calls import policy, tokens
from calls.choices import Scope
from calls.models import ApiToken, User

if TYPE_CHECKING:  # it reads the settings, which name this module
    from rest_framework.views import APIView

log = structlog.get_logger(__name__)
LOCKED = "The policy locks agents' figures: only the agent can take them out of the system."


class TokenInHeader(BaseAuthentication):
    """`Authorization: Bearer ed_…`"""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        found = tokens.find(token.strip())
        if found is None:
            raise AuthenticationFailed("This token is not known, has run out or was revoked: make a new one.")
        return found.owner, found

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class LoggedIn(SessionAuthentication):
    """The person at the browser, for the pages of the documentation."""


class InScope(BasePermission):
    """A view names its `scope`; a token must have it. Reading one's own name takes none."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.user, User):
            return False
        scope: Scope | None = getattr(view, "scope", None)
        token = request.auth
        if scope is None or not isinstance(token, ApiToken) or scope.value in token.scopes:
            return True
        raise PermissionDenied(f"This token lacks the scope {scope.value!r}: make one that has it.")


class ByToken(SimpleRateThrottle):
    """So many requests a minute for each token, or person, or address. Without Redis nobody is held up."""

    scope = "api"

    def __init__(self) -> None:
        self.rate = settings.API_RATE
        super().__init__()

    @property
    def cache(self) -> Any:
        return caches["shared"]

    def get_cache_key(self, request: Request, view: APIView) -> str:
        token, user = request.auth, request.user
        if isinstance(token, ApiToken):
            return f"api.token.{token.pk}"
        return f"api.user.{user.pk}" if isinstance(user, User) else f"api.at.{self.get_ident(request)}"

    def allow_request(self, request: Request, view: APIView) -> bool:
        try:
            return bool(super().allow_request(request, view))
        except (RedisError, OSError) as error:
            log.warning("requests are not counted", error=str(error))
            return True


def person(request: Request) -> User:
    assert isinstance(request.user, User)  # InScope let nobody else in
    return request.user


def is_locked(request: Request, agent_id: int | None) -> bool:
    """Whether this agent must not be named beside figures to who asks (docs/policy.md)."""
    return agent_id != person(request).pk and policy.current().hr_lock
