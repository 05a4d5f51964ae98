"""The Celery app. Workers run `--pool solo`, one per core: torch does not survive a fork."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "empathy_dash.settings")
os.environ.setdefault("OMP_NUM_THREADS", "1")

app = Celery("empathy_dash")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["calls"])
