"""Health and metrics for whoever runs the machines."""

from __future__ import annotations

import os

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from calls.models import RubricVersion


def live(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


def ready(request: HttpRequest) -> JsonResponse:
    """200 when PostgreSQL and Redis answer and a rubric is published; else 503, saying what fails."""
    problems = {}
    try:
        if not RubricVersion.objects.exists():
            problems["rubric"] = "none published: run manage.py seed_rubric"
    except DatabaseError as error:
        connection.close()
        problems["database"] = str(error).strip().splitlines()[0]
    try:
        redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2).ping()
    except redis.RedisError as error:
        problems["redis"] = str(error)
    return JsonResponse({"ready": not problems, "problems": problems}, status=503 if problems else 200)


def metrics(request: HttpRequest) -> HttpResponse:
    """Of all processes that share PROMETHEUS_MULTIPROC_DIR; of this one alone without it."""
    registry: CollectorRegistry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
