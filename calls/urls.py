"""Pages and their addresses (DESIGN: names others rely on)."""

from __future__ import annotations

from django.urls import path

from calls.views.call import call, calls
from calls.views.floor import floor
from calls.views.home import home

urlpatterns = [
    path("", home, name="home"),
    path("floor/", floor, name="floor"),
    path("calls/", calls, name="calls"),
    path("calls/<uuid:call_id>/", call, name="call"),
]
