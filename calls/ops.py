"""Health and metrics for whoever runs the machines."""

from __future__ import annotations

import hmac
import os

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from calls.models import RubricVersion, User

log = structlog.get_logger(__name__)


def live(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


def ready(request: HttpRequest) -> JsonResponse:
    """200 when PostgreSQL and Redis answer and a rubric is published; else 503, naming what fails."""
    problems = {}
    try:
        if not RubricVersion.objects.exists():
            problems["rubric"] = "none published: run manage.py seed_rubric"
    except DatabaseError as error:
        connection.close()
        log.error("not ready", part="database", error=str(error))
        problems["database"] = "does not answer"
    try:
        redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2).ping()
    except redis.RedisError as error:
        log.error("not ready", part="redis", error=str(error))
        problems["redis"] = "does not answer"
    return JsonResponse({"ready": not problems, "problems": problems}, status=503 if problems else 200)


def metrics(request: HttpRequest) -> HttpResponse:
    """For staff, or with `Authorization: Bearer $METRICS_TOKEN`; it tells about every team.

    Of all processes that share PROMETHEUS_MULTIPROC_DIR; of this one alone without it.
    """
    given = request.headers.get("Authorization", "").encode()
    token = settings.METRICS_TOKEN
    staff = isinstance(request.user, User) and request.user.is_staff
    if not staff and not (token and hmac.compare_digest(given, f"Bearer {token}".encode())):
        raise Http404
    registry: CollectorRegistry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
