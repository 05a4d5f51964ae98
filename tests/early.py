"""Loaded with `-p tests.early`, before Django reads its settings: real servers, test settings."""

from __future__ import annotations

import os

from empathy_dash import embedded

embedded.ensure()
os.environ.setdefault("STAND_IN_MODELS", "1")
os.environ.setdefault("LOG_LEVEL", "WARNING")
