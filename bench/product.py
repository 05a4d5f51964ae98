"""The whole product as its own processes: servers, web, media, workers, housekeeping; real everything.

For benches and end-to-end tests. Started by the same launcher as `make demo`, with no simulated floor.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import requests
from websockets.sync.client import ClientConnection, connect

from empathy_dash import embedded

ROOT = Path(__file__).resolve().parent.parent
START_S = 180.0


@dataclass
class Product:
    port: int
    state: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def media_url(self) -> str:
        return f"ws://127.0.0.1:{self.port + 1}"

    @property
    def audiosocket(self) -> str:
        return f"127.0.0.1:{self.port + 2}"

    def pids(self) -> dict[str, int]:
        return json.loads((self.state / "processes.json").read_text())

    def urls(self) -> embedded.Urls:
        urls = embedded.running(self.state)
        assert urls, f"no servers run on {self.state}"
        return urls

    def sql(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.urls().database) as connection:
            return connection.execute(query, parameters).fetchall()

    def python(self, code: str) -> str:
        """What `code` prints, run in the product's own Django (so that no bench knows its tables)."""
        urls = self.urls()
        env = os.environ | {"DATABASE_URL": urls.database, "REDIS_URL": urls.redis}
        shell = [sys.executable, "manage.py", "shell", "--no-imports", "-c", code]
        done = subprocess.run(shell, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def log_in(self, username: str, password: str = "empathy-demo") -> requests.Session:
        session = requests.Session()
        page = session.get(f"{self.url}/account/login/", timeout=10)
        assert page.ok, page.text
        answer = session.post(
            f"{self.url}/account/login/",
            data={
                "login": username,
                "password": password,
                "csrfmiddlewaretoken": session.cookies["csrftoken"],
            },
            headers={"Referer": self.url},
            timeout=10,
        )
        assert "sessionid" in session.cookies, answer.text
        return session

    @contextmanager
    def socket(self, path: str, session: requests.Session) -> Iterator[ClientConnection]:
        cookies = "; ".join(f"{c.name}={c.value}" for c in session.cookies)
        address = f"ws://127.0.0.1:{self.port}{path}"
        with connect(address, additional_headers={"Cookie": cookies}, origin=self.url, max_size=None) as ws:
            yield ws

    def kill(self, name: str) -> int:
        """`kill -9` of one process by its name; the launcher starts it again."""
        pid = self.pids()[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    def log(self, name: str) -> str:
        with suppress(FileNotFoundError):
            return (self.state / f"{name}.log").read_text(errors="replace")[-6000:]
        return ""


@contextmanager
def product(state: Path, **environment: str) -> Iterator[Product]:
    """Start it on free ports with its data in `state`, then stop it; `environment` goes to its processes."""
    port = embedded.free_ports(3)
    ours = ("DATABASE_URL", "REDIS_URL", "EMPATHY_EMBEDDED_VALKEY", "STAND_IN_MODELS")
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    env = clean | {
        "PORT": str(port),
        "DEMO_DIR": str(state),
        "SIMULATED_CALLS": "0",
        "LOG_LEVEL": "INFO",
        "PYTHONUNBUFFERED": "1",
    }
    with (state / "launcher.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "empathy_dash.demo"],
            cwd=ROOT,
            env=env | environment,
            stdout=log,
            stderr=log,
        )
    running = Product(port, state, process)
    try:
        _await(running)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _await(running: Product) -> None:
    until = time.monotonic() + START_S
    while "Ctrl-C stops everything" not in running.log("launcher"):
        said = running.log("launcher")
        assert running.process.poll() is None, said
        assert time.monotonic() < until, f"not ready after {START_S} s:\n{said}"
        time.sleep(0.2)


def wait_for(check: Any, timeout_s: float = 30.0, every_s: float = 0.2) -> Any:
    """The first true value of `check()`; AssertionError after `timeout_s`."""
    until = time.monotonic() + timeout_s
    while not (value := check()):
        assert time.monotonic() < until, f"still not after {timeout_s} s"
        time.sleep(every_s)
    return value
