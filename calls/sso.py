"""Single sign-on by OpenID Connect: the issuer says who it is, /people/ says who may come in.

Nobody is made by logging in. A first log-in is matched by the e-mail that the issuer vouches for, and
bound to issuer and subject; from then on only those count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import structlog
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialAccount, SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from jwt import PyJWTError, get_unverified_header
from requests import RequestException

from calls import logins, second_factor
from calls.choices import Did
from calls.models import User

log = structlog.get_logger(__name__)
PROVIDER = "sso"
SIGNED_BY = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Never a shared secret, never nothing."""
BROKEN = (RequestException, OAuth2Error, PyJWTError, KeyError, ValueError, TypeError, AttributeError)
"""What a provider that is away, or answers nonsense, may raise on the way."""


class Refused(Exception):
    """Not let in; the text says why and what to do."""


class Adapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """Stricter than its parent: the ID token's signature is always checked, the issuer must be the
    configured one, and userinfo must be of the same subject (OpenID Connect Core §3.1.3.7, §5.3.2)."""

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> Any:
        claims = self.claims(app, kwargs["response"]["id_token"])
        if "email" not in claims and self.openid_config.get("userinfo_endpoint"):
            more = self._fetch_user_info(token.token)
            if more.get("sub") != claims["sub"]:
                raise OAuth2Error("userinfo is of another subject")
            claims = more | claims
        bound = hashlib.sha256(f"{claims['iss']}\n{claims['sub']}".encode()).hexdigest()
        login = self.get_provider().sociallogin_from_response(request, {"id_token": {"bound": bound}})
        login.account.extra_data = {}  # whatever else the issuer tells of people is not ours to keep
        request.sso_claims = claims  # type: ignore[attr-defined]
        return login

    def claims(self, app: Any, id_token: str) -> dict[str, Any]:
        if self.openid_config["issuer"].rstrip("/") != settings.OIDC_ISSUER.rstrip("/"):
            raise OAuth2Error("another issuer")
        if get_unverified_header(id_token).get("alg") not in SIGNED_BY:
            raise OAuth2Error("not signed by a key pair")
        found: dict[str, Any] = jwtkit.verify_and_decode(
            credential=id_token,
            keys_url=self.openid_config["jwks_uri"],
            issuer=self.openid_config["issuer"],
            audience=app.client_id,
            lookup_kid=jwtkit.lookup_kid_jwk,
        )
        return found


class People(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Whom a log-in at the issuer lets in."""

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        claims: dict[str, Any] = request.sso_claims  # type: ignore[attr-defined]
        try:
            if not sociallogin.is_existing:
                user = person_of(claims)
                sociallogin.connect(request, user)
                logins.note(Did.BOUND, user, request, issuer=str(claims["iss"])[:200])
            elif not sociallogin.user.is_active:
                raise Refused(_("This account is switched off. Ask your administrator."))
        except Refused as refused:
            tried = str(claims.get("email") or claims.get("sub"))[:150]
            logins.note(Did.LOGIN_FAILED, None, request, tried=tried, how="single sign-on")
            raise ImmediateHttpResponse(page(request, str(refused), 403)) from refused
        said = claims.get("amr")
        if isinstance(said, list) and second_factor.AMR & {one for one in said if isinstance(one, str)}:
            request.session[second_factor.BY_ISSUER] = sociallogin.user.pk

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Any = None,
        extra_context: Any = None,
    ) -> None:
        log.warning("single sign-on failed", error=str(error), exception=repr(exception)[:300])
        raise ImmediateHttpResponse(page(request, gone_wrong(), 502 if exception else 400))


def person_of(claims: dict[str, Any]) -> User:
    """The one active person with the e-mail that the issuer vouches for. Refused with what to do."""
    email = claims.get("email")
    vouched = settings.OIDC_TRUST_EMAIL or claims.get("email_verified") in (True, "true")
    if not isinstance(email, str) or "@" not in email or "\0" in email:
        raise Refused(_("Your organisation’s log-in gave no e-mail address. Ask your administrator."))
    if not vouched:
        raise Refused(
            _(
                "Your organisation’s log-in does not say that {email} is yours. Ask your administrator."
            ).format(email=email)
        )
    found = list(User.objects.filter(email__iexact=email, is_active=True)[:2])
    if not found:
        raise Refused(
            _("Nobody here has the address {email}. Ask your administrator to add you.").format(email=email)
        )
    if len(found) > 1:
        raise Refused(
            _("Several people here have the address {email}. Ask your administrator.").format(email=email)
        )
    if SocialAccount.objects.filter(user=found[0], provider=PROVIDER).exists():
        raise Refused(
            _("{email} belongs to another log-in of your organisation. Ask your administrator.").format(
                email=email
            )
        )
    return found[0]


def gone_wrong() -> str:
    return _("Logging in with {name} did not work just now. Try again, or log in with your password.").format(
        name=settings.OIDC_NAME
    )


def page(request: HttpRequest, words: str, status: int) -> HttpResponse:
    context = {"heading": _("Not logged in"), "words": words}
    return render(request, "account/not_in.html", context, status=status)


# --- addresses --------------------------------------------------------------------------------------------


def _guarded(view: Any) -> Callable[..., HttpResponse]:
    def guarded(request: HttpRequest, provider_id: str) -> HttpResponse:
        if not settings.OIDC_ISSUER:
            raise Http404
        if view is OAuth2LoginView:  # nobody tells the issuer anything by our address but where to go on
            request.GET = QueryDict(urlencode({"next": request.GET.get("next", "")}))  # type: ignore[assignment]
        try:
            found: HttpResponse = view.adapter_view(Adapter(request, PROVIDER))(request)
            return found
        except SocialApp.DoesNotExist:
            raise Http404 from None
        except BROKEN as error:
            log.warning("single sign-on failed", error=repr(error)[:300])
            return page(request, gone_wrong(), 502)

    return guarded


login, callback = _guarded(OAuth2LoginView), _guarded(OAuth2CallbackView)
