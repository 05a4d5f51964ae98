"""The Django project: settings, URLs, ASGI, Celery, and the embedded servers of a laptop."""

from empathy_dash.celery import app as celery_app

__all__ = ["celery_app"]
