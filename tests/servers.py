"""Real processes for tests: uvicorn with the media door, on the test database and the test Valkey.

Subprocesses, so that a test may kill one with -9. Use with `transactional_db`: they see only what
is committed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import connection

from empathy_dash.embedded import free_ports

ROOT = Path(__file__).resolve().parent.parent
START_S = 60


def test_database_url() -> str:
    """The database this test runs in, as another process must name it."""
    found = connection.settings_dict
    host = str(found["HOST"])
    inline = "" if host.startswith("/") else f"{host}:{found['PORT'] or 5432}"
    query = {"host": host} if host.startswith("/") else {}
    if host.startswith("/") and found["PORT"]:
        query["port"] = str(found["PORT"])
    login = quote(found["USER"], safe="") + (
        f":{quote(found['PASSWORD'], safe='')}" if found["PASSWORD"] else ""
    )
    return f"postgresql://{login}@{inline}/{found['NAME']}?{urlencode(query)}"


def environment(**extra: str) -> dict[str, str]:
    known = {"DATABASE_URL": test_database_url(), "REDIS_URL": settings.REDIS_URL, "STAND_IN_MODELS": "1"}
    return os.environ | known | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"} | extra


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    audiosocket: str = ""
    """HOST:PORT, where it listens for that."""

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """-9: no goodbye, no flush."""
        self.process.kill()
        self.process.wait()

    def terminate(self, seconds: float = 30) -> int:
        self.process.terminate()
        return self.process.wait(seconds)


@contextmanager
def media_server(port: int = 0, **env: str) -> Iterator[Server]:
    """The media process, as production starts it. Reads sources from the test database."""
    port = port or free_ports()
    command = [
        sys.executable, "-m", "uvicorn", "empathy_dash.asgi:media", "--host", "127.0.0.1", "--port", str(port),
        "--ws-max-size", "131072", "--ws-per-message-deflate", "false", "--no-access-log", "--no-proxy-headers",
        "--timeout-graceful-shutdown", "20",
    ]  # fmt: skip
    with started("media", command, f"http://127.0.0.1:{port}/health/live", **env) as (process, log):
        yield Server(process, port, log)


@contextmanager
def started(
    name: str, command: list[str], health_url: str = "", **env: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process, ready when `health_url` answers; it ends with the test, and its log says why it failed."""
    log = Path(tempfile.mkdtemp(prefix="empathy-test-")) / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(**env), stdout=out, stderr=out)
    try:
        if health_url:
            _wait_until_up(process, health_url, log)
        yield process, log
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(25)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer:\n{log.read_text(errors='replace')[-3000:]}")
