"""Two ASGI apps: `application` (pages, API, dashboard sockets) and `media` (call audio in).

`application` mounts media too, so one process serves a laptop; production runs them apart.
"""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "empathy_dash.settings")
django_app = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.urls import re_path  # noqa: E402

from calls.ingest.asgi import media_app  # noqa: E402
from calls.routing import websocket_urlpatterns  # noqa: E402

dashboard_sockets = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)))
sockets = [re_path(r"^media/", media_app), re_path(r"", dashboard_sockets)]  # type: ignore[arg-type]
application = ProtocolTypeRouter({"http": django_app, "websocket": URLRouter(sockets)})
media = media_app
