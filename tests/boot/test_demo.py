"""The supervisor behind `make demo`: starts, watches, restarts, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from empathy_dash import demo, embedded

# The launcher itself, over two toy processes instead of the product: one answers, one has a child.
TOY = """
import sys
from empathy_dash import demo

SERVE = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]
FAMILY = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); print('worker ready', flush=True); time.sleep(60)"

def product(self):
    return [
        self._child("web", [*SERVE, str(self.port)], lambda c: demo.Demo._media_is_ready(self, c) or c.alive()),
        self._child("worker", [sys.executable, "-uc", FAMILY], demo._worker_is_ready),
    ]

demo.Demo._product = product
demo.Demo._floor = lambda self: self._child("floor", ["sleep", "60"], lambda c: c.alive())
demo.Demo._prepare_database = lambda self: [{"role": "supervisor", "username": "alice", "password": "pw"}]
demo._require_models = lambda: None
sys.exit(demo.main())
"""


def until(holds: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


PRODUCT = "import sys; from empathy_dash import demo; sys.exit(demo.main())"


class Running:
    """A launcher in a process of its own."""

    def __init__(self, state: Path, code: str = TOY) -> None:
        self.state, self.port = state, embedded.free_ports(2)
        own = {
            "PORT": str(self.port),
            "DEMO_DIR": str(state),
            "PYTHONUNBUFFERED": "1",
            "STAND_IN_MODELS": "1",
        }
        given = ("DATABASE_URL", "REDIS_URL")
        env = {name: value for name, value in os.environ.items() if name not in given} | own
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.said = ""

    def hear(self, words: str) -> str:
        """Read what it prints until it has said these words."""
        assert self.process.stdout
        while words not in self.said:
            line = self.process.stdout.readline()
            assert line, f"ended without {words!r}: {self.said}"
            self.said += line
        return self.said

    def pids(self) -> dict[str, int]:
        pids: dict[str, int] = json.loads((self.state / "processes.json").read_text())
        return pids

    def family(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    launcher = Running(tmp_path)
    try:
        yield launcher
    finally:
        launcher.process.kill()
        launcher.process.communicate()


def alive(pids: list[int]) -> list[int]:
    return [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != "zombie"]


def test_says_where_and_who(running: Running) -> None:
    said = running.hear("Ctrl-C")
    assert f"http://127.0.0.1:{running.port}/" in said
    assert "alice" in said and "pw" in said
    assert set(running.pids()) == {"web", "worker", "floor", "valkey", "postgres", "demo"}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_stops_everything(running: Running, how: signal.Signals) -> None:
    running.hear("Ctrl-C")
    family = running.family()
    assert len(family) >= 6
    began = time.monotonic()
    running.process.send_signal(how)
    assert running.process.wait(10) == 0
    assert time.monotonic() - began < 10
    assert until(lambda: not alive(family), 2)
    assert not (running.state / "processes.json").exists()


def test_killed_it_leaves_nothing(running: Running) -> None:
    running.hear("Ctrl-C")
    family = [
        pid
        for pid in running.family()
        if psutil.Process(pid).name() != "sleep" or pid in running.pids().values()
    ]
    running.process.kill()
    assert until(lambda: not alive(family)), "left behind"


@pytest.mark.parametrize("name", ["web", "worker", "valkey", "postgres"])
def test_what_dies_comes_back(running: Running, name: str) -> None:
    running.hear("Ctrl-C")
    old = running.pids()[name]
    left = [child.pid for child in psutil.Process(old).children()]
    os.kill(old, signal.SIGKILL)
    running.hear(f"{name} ended")
    assert until(lambda: running.pids()[name] != old and bool(alive([running.pids()[name]])))
    assert until(lambda: not alive(left)), "what it had started was left behind"


def test_a_port_in_use_names_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(demo.DemoError, match=rf"Port {port} .*make demo PORT={port + 10}"):
            demo.Demo(port, tmp_path).run()


def test_backoff_grows_and_is_forgiven(tmp_path: Path) -> None:
    child = demo.Child("x", ["false"], lambda _: False, tmp_path / "x.log", dict(os.environ))
    delays = []
    for _ in range(4):
        child.start()
        assert child.process
        child.process.wait()
        delays.append(child.fell())
    assert delays == [0.5, 1, 2, 5]
    child.started -= demo.STEADY_S + 1
    assert child.fell() == 0.5


def test_log_ins_are_the_last_json_line() -> None:
    out = 'seeding\n{"other": 1}\n{"logins": [{"role": "agent", "username": "bob", "password": "x"}]}\n'
    assert demo._logins(out)[0]["username"] == "bob"
    assert demo._logins("nothing here") == []


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    secret = demo._secret(tmp_path / "secret.key")
    assert len(secret) >= 50 and demo._secret(tmp_path / "secret.key") == secret
    assert (tmp_path / "secret.key").stat().st_mode & 0o077 == 0


def test_given_servers_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://you@db/yours")
    monkeypatch.setenv("REDIS_URL", "redis://cache/1")
    monkeypatch.setattr(embedded, "start", lambda *_, **__: pytest.fail("started a server"))
    launcher = demo.Demo(8000, tmp_path)
    launcher._start_servers()
    assert launcher.env["DATABASE_URL"] == "postgresql://you@db/yours"


@pytest.mark.real
def test_the_product_starts_twice(tmp_path: Path) -> None:
    """The second start finds the database as the first left it."""
    for prepares in (True, False):
        launcher = Running(tmp_path, PRODUCT)
        try:
            said = launcher.hear("Ctrl-C")
            assert ("migrate" in said) is prepares
            assert "alice" in said
            with urllib.request.urlopen(f"http://127.0.0.1:{launcher.port}/health/ready") as answer:
                assert answer.status == 200
            launcher.process.send_signal(signal.SIGTERM)
            assert launcher.process.wait(10) == 0
        finally:
            launcher.process.kill()
            launcher.process.communicate()
