from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.decorators.cache import cache_control
from django.views.decorators.http import conditional_page
from django.views.i18n import JavaScriptCatalog, set_language

from calls import ops
from calls.views import errors

words = cache_control(private=True, no_cache=True)(conditional_page(JavaScriptCatalog.as_view()))

urlpatterns = [
    path("admin/", admin.site.urls),
    re_path(r"^account/(?:signup|email|confirm-email|password/reset|password/set)(?:/|$)", errors.closed),
    path("account/", include("allauth.account.urls")),
    path("account/2fa/", include("allauth.mfa.urls")),
    path("health/live", ops.live),
    path("health/ready", ops.ready),
    path("metrics", ops.metrics),
    path("language/", set_language, name="set_language"),
    path("language/words.js", words, name="javascript-catalog"),
    path("api/v1/", include("calls.api.urls")),
    path("", include("calls.urls")),
]

handler400 = "calls.views.errors.bad_request"
handler404 = "calls.views.errors.not_found"
handler403 = "calls.views.errors.forbidden"
handler500 = "calls.views.errors.server_error"
