"""Loaded with `-p tests.early`, before Django reads its settings: real servers, test settings."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from empathy_dash import embedded

embedded.ensure()
os.environ.setdefault("STAND_IN_MODELS", "1")
os.environ.setdefault("LOG_LEVEL", "WARNING")
if "RECORDINGS_DIR" not in os.environ:  # of this run, for the processes that tests start too
    os.environ["RECORDINGS_DIR"] = tempfile.mkdtemp(prefix="empathy-recordings-")
    atexit.register(shutil.rmtree, os.environ["RECORDINGS_DIR"], ignore_errors=True)
