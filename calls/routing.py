"""Dashboard sockets and their addresses."""

from __future__ import annotations

from django.urls import path

from calls.consumers import CallConsumer, FloorConsumer, no_such_socket

websocket_urlpatterns = [
    path("ws/floor/", FloorConsumer.as_asgi()),
    path("ws/calls/<uuid:call_id>/", CallConsumer.as_asgi()),
    path("<path:anything>", no_such_socket),
    path("", no_such_socket),
]
