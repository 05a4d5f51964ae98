"""Dashboard sockets and their addresses."""

from __future__ import annotations

from typing import Any

from django.urls import path, re_path

from calls.consumers import AgentConsumer, CallConsumer, FloorConsumer, no_such_socket

websocket_urlpatterns: list[Any] = [
    path("ws/floor/", FloorConsumer.as_asgi()),
    path("ws/calls/<uuid:call_id>/", CallConsumer.as_asgi()),
    path("ws/me/", AgentConsumer.as_asgi()),
    re_path("", no_such_socket),  # type: ignore[arg-type]
]
