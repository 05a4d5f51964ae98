"""The embedded servers: several at once, data kept, nothing left behind."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from empathy_dash import embedded

LAUNCHER = """
import sys, time
from pathlib import Path
from empathy_dash import embedded
started = embedded.start(Path(sys.argv[1]))
print(*started.pids().values(), flush=True)
time.sleep(60)
"""


def write(urls: embedded.Urls) -> tuple[int, int]:
    """One more row and one more count; how many there are now."""
    with psycopg.connect(urls.database) as line:
        line.execute("create table if not exists mark (n int)")
        line.execute("insert into mark values (1)")
        rows = line.execute("select count(*) from mark").fetchone()
    assert rows
    return rows[0], int(redis.Redis.from_url(urls.redis).incr("mark"))


def until(holds: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def test_two_at_once_do_not_meet(tmp_path: Path) -> None:
    with embedded.servers(tmp_path / "a") as a, embedded.servers(tmp_path / "b") as b:
        assert write(a) == (1, 1)
        assert write(b) == (1, 1)
        assert write(a) == (2, 2)


def test_a_restart_keeps_the_data(tmp_path: Path) -> None:
    for n in (1, 2):
        with embedded.servers(tmp_path) as urls:
            assert write(urls) == (n, n)


def test_the_same_folder_is_refused_while_in_use(tmp_path: Path) -> None:
    with embedded.servers(tmp_path), pytest.raises(embedded.EmbeddedError, match="already running"):
        embedded.start(tmp_path)


def test_another_process_finds_what_is_running(tmp_path: Path) -> None:
    assert embedded.running(tmp_path) is None
    with embedded.servers(tmp_path) as urls:
        assert embedded.running(tmp_path) == urls
    assert embedded.running(tmp_path) is None


def test_killing_the_launcher_leaves_no_process_and_loses_no_row(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LAUNCHER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout
        pids = [int(word) for word in launcher.stdout.readline().split()]
        assert len(pids) == 2
        urls = embedded.running(tmp_path)
        assert urls and write(urls) == (1, 1)
        family = [child for pid in pids for child in psutil.Process(pid).children()]
        launcher.send_signal(signal.SIGKILL)
    gone = [*pids, *(child.pid for child in family)]
    assert until(lambda: not any(psutil.pid_exists(pid) for pid in gone)), "left behind"
    with embedded.servers(tmp_path) as urls:
        assert write(urls) == (2, 2)


def test_a_killed_server_comes_back_at_the_same_address(tmp_path: Path) -> None:
    started = embedded.start(tmp_path)
    try:
        assert write(started.urls) == (1, 1)
        for pid in started.pids().values():
            os.kill(pid, signal.SIGKILL)
        assert until(lambda: set(started.fallen()) == {"postgres", "valkey"})
        started.revive()
        assert started.fallen() == []
        assert write(started.urls) == (2, 2)
    finally:
        started.stop()


@pytest.mark.skipif(os.getuid() != 0, reason="only root has to step down")
def test_root_without_user_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's default profile forbids `unshare --user`: then PostgreSQL runs as nobody."""
    run = subprocess.run

    def no_unshare(command: list[str], **options: object) -> object:
        if command[0] == "unshare":
            raise PermissionError("unshare")
        return run(command, **options)  # type: ignore[call-overload]

    embedded._unprivileged.cache_clear()
    monkeypatch.setattr(subprocess, "run", no_unshare)
    try:
        if "setpriv" not in embedded._unprivileged():
            pytest.skip("setpriv may not step down here")
        with embedded.servers(tmp_path) as urls:
            assert write(urls) == (1, 1)
            assert (tmp_path / "postgres").stat().st_uid == embedded.NOBODY
    finally:
        embedded._unprivileged.cache_clear()
    monkeypatch.undo()
    with embedded.servers(tmp_path) as urls:  # and back to the usual way on the same data
        assert write(urls) == (2, 2)


def test_given_urls_start_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://you@db/yours")
    (tmp_path / "redis").write_text("redis://cache/3\n")
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.delenv("EMPATHY_EMBEDDED_VALKEY", raising=False)
    monkeypatch.setenv("REDIS_URL_FILE", str(tmp_path / "redis"))
    monkeypatch.setattr(embedded, "start", lambda *_, **__: pytest.fail("started a server"))
    assert embedded.ensure() == embedded.Urls("postgresql://you@db/yours", "redis://cache/3")


def test_ports_are_free_in_a_row_and_not_where_outgoing_connections_get_theirs() -> None:
    first, last = embedded._outgoing_ports()
    for _ in range(50):
        port = embedded.free_ports(3)
        assert not any(first <= one <= last for one in (port, port + 1, port + 2))
    with socket.socket() as outgoing:
        outgoing.bind(("127.0.0.1", 0))
        assert first <= outgoing.getsockname()[1] <= last


def test_a_port_in_use_is_never_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port := embedded.free_ports()))
        offered = itertools.chain([port - 1, port], itertools.count(port + 50, 50))
        monkeypatch.setattr(embedded.secrets, "randbelow", lambda _: next(offered) - 10_000)
        monkeypatch.setattr(embedded, "_outgoing_ports", lambda: (60_000, 65_535))
        assert embedded.free_ports(2) >= port + 50


def test_the_password_is_in_no_process_list(tmp_path: Path) -> None:
    started = embedded.start(tmp_path)
    try:
        password = started.urls.redis.split("@")[0].rsplit(":", 1)[1]
        assert password not in " ".join(psutil.Process(started.pids()["valkey"]).cmdline())
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(started.urls.redis.replace(password, "guess")).ping()
    finally:
        started.stop()


def test_what_a_killed_test_run_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded.tempfile, "gettempdir", lambda: str(tmp_path))
    stale, young, busy = (tmp_path / f"{embedded.THROW_AWAY}{name}" for name in ("a", "b", "c"))
    for folder in (stale, young, busy):
        folder.mkdir()
        (folder / "lock").touch()
    for folder in (stale, busy):
        os.utime(folder, (0, 0))
    with (busy / "lock").open() as lock:
        embedded.fcntl.flock(lock, embedded.fcntl.LOCK_EX)
        embedded._sweep()
    assert [folder.exists() for folder in (stale, young, busy)] == [False, True, True]


def test_sockets_fit_whatever_the_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    with embedded.servers(deep) as urls:
        assert write(urls) == (1, 1)
