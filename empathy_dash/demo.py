"""`make demo`: everything on one machine, watched by this one process. Knows no Django.

Starts the servers (embedded ones unless DATABASE_URL and REDIS_URL are set), the database, the
web, media and scoring processes and a simulated floor of calls; restarts what dies; stops all of
it on Ctrl-C. State and logs: DEMO_DIR, or ~/.local/state/empathy-dash/<PORT>.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from empathy_dash import embedded
from scoring import assets

ROOT = Path(__file__).resolve().parent.parent
READY_S = 120.0
STOP_S = 4.0
TICK_S = 0.2
STEADY_S = 30.0  # up this long, a process has earned a fresh start of its backoff
BACKOFF_S = (0.5, 1, 2, 5, 10, 30)
MODELS = ("whisper-base", "minilm-l6")
SEED_SOURCES = (
    "calls/migrations",
    "calls/demo",
    "calls/management/commands/seed_demo.py",
    "calls/management/commands/seed_rubric.py",
    "scoring/rubric.py",
    "scoring/rubrics",
)


class DemoError(RuntimeError):
    """The demo cannot run; the text says why and what to do."""


class Stop(BaseException):
    """Somebody pressed Ctrl-C or asked us to end."""


@dataclass
class Child:
    """One process of the product, in a process group of its own, with its own log."""

    name: str
    command: list[str]
    is_ready: Callable[[Child], bool]
    log: Path
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    falls: int = 0
    again_at: float = 0.0
    ready: bool = False
    log_from: int = field(default=0, repr=False)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.log_from = log.tell()
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=embedded.die_with_parent(signal.SIGKILL),
            )
        self.started, self.ready = time.monotonic(), False

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def output(self) -> str:
        """What this run of it has written."""
        with self.log.open("rb") as log:
            log.seek(self.log_from)
            return log.read().decode(errors="replace")

    def signal_group(self, how: int) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, how)

    def fell(self) -> float:
        """Note that it died and sweep what it left behind. Returns seconds until the next try."""
        self.signal_group(signal.SIGKILL)
        if time.monotonic() - self.started > STEADY_S:
            self.falls = 0
        delay = BACKOFF_S[min(self.falls, len(BACKOFF_S) - 1)]
        self.falls += 1
        self.again_at = time.monotonic() + delay
        return delay


class Demo:
    def __init__(self, port: int, state: Path, host: str = "127.0.0.1") -> None:
        self.port, self.state, self.host = port, state, host
        self.children: list[Child] = []
        self.servers: embedded.Servers | None = None
        self.env: dict[str, str] = {}
        self._said_at = 0.0

    # --- start ---------------------------------------------------------------------------

    def run(self) -> None:
        began = time.monotonic()
        for port in (self.port, self.port + 1, self.port + 2):
            _require_free(self.host, port)
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _require_models()
            self._start_servers()
            self._collect_static()
            logins = self._prepare_database()
            self._start(self._product())
            self._await_ready()
            if os.environ.get("SIMULATED_CALLS") != "0":
                self._start([self._floor()])
            self._greet(logins, time.monotonic() - began)
            while True:
                self._tend()
                time.sleep(TICK_S)
        except Stop as asked:
            say(f"\n{asked}: stopping …")
            raise
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            self.stop()

    def _start_servers(self) -> None:
        database, redis = (embedded.configured(name) for name in ("DATABASE_URL", "REDIS_URL"))
        if database and redis:
            urls = embedded.Urls(database, redis)
        else:
            self.servers = embedded.start(self.state, database_url=database, redis_url=redis)
            urls = self.servers.urls
        say(f"servers: {', '.join(self.servers.pids()) if self.servers else 'yours'}")
        # The caller's *_FILE settings have been read: they must not win over these in a child.
        inherited = {k: v for k, v in os.environ.items() if k not in _FILES_READ}
        self.env = {
            "SECRET_KEY": _secret(self.state / "secret.key"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "KEEP_AUDIO": "1",  # of the made-up calls: seed_demo says so for their source alone
            "AUDIO_DIR": str(self.state / "audio"),
            "RECORDINGS_DIR": str(self.state / "recordings"),
            "AUDIOSOCKET": f"127.0.0.1:{self.port + 2}",
        } | inherited
        self.env |= {
            "DATABASE_URL": urls.database,
            "REDIS_URL": urls.redis,
            "PORT": str(self.port),
            "DJANGO_SETTINGS_MODULE": "empathy_dash.settings",
            "STATIC_ROOT": str(self.state / "static"),
            "HASHED_STATIC": "1",
            "PROMETHEUS_MULTIPROC_DIR": str(self.state / "metrics"),
        }
        shutil.rmtree(self.state / "metrics", ignore_errors=True)
        for folder in ("static", "metrics"):
            (self.state / folder).mkdir(exist_ok=True)

    def _collect_static(self) -> None:
        """Hash and compress the pages' files, unless that was done for just these."""
        mark = _digest(("static", "requirements.txt"), "*")
        note = self.state / "static" / "collected-from"
        if not note.exists() or note.read_text() != mark:
            self._manage("collectstatic", "--no-input", "--verbosity", "0")
            note.write_text(mark)

    def _prepare_database(self) -> list[dict[str, str]]:
        """Migrate and seed, unless neither has changed since we last did it here."""
        note = self.state / "prepared.json"
        mark = seed_mark()
        if self.servers is not None and "postgres" in self.servers.pids():
            with suppress(OSError, ValueError, KeyError):
                noted = json.loads(note.read_text())
                if noted["mark"] == mark:
                    logins: list[dict[str, str]] = noted["logins"]
                    return logins
        self._manage("migrate", "--no-input", "--verbosity", "0")
        logins = _logins(self._manage("seed_demo", "--json"))
        note.touch(mode=0o600)
        note.write_text(json.dumps({"mark": mark, "logins": logins}))
        return logins

    def _manage(self, *words: str) -> str:
        say(f"{words[0]} …")
        run = subprocess.Popen(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=embedded.die_with_parent(signal.SIGKILL),
        )
        try:
            out, err = run.communicate()
        except Stop:
            run.kill()
            raise
        if run.returncode:
            raise DemoError(f"manage.py {words[0]} failed:\n{(err or out).strip()[-2000:]}")
        return out

    def _product(self) -> list[Child]:
        python = [sys.executable, "-m"]
        uvicorn = [*python, "uvicorn", "--host", self.host, "--timeout-graceful-shutdown", "3"]
        uvicorn += ["--no-access-log", "--no-proxy-headers", "--ws-max-size", "65536"]
        celery = [*python, "celery", "-A", "empathy_dash"]
        worker = [*celery, "worker", "--pool", "solo", "--without-gossip", "--without-mingle"]
        scoring = ["nice", "-n", "5", *worker, "-Q", "score"]  # pages stay quick under load
        web = [*uvicorn, "--port", str(self.port), "empathy_dash.asgi:application"]
        media = [*uvicorn, "--port", str(self.port + 1), "--ws-per-message-deflate", "false"]
        schedule = str(self.state / "beat-schedule")
        return [
            self._child("web", web, self._web_is_ready),
            self._child("media", [*media, "empathy_dash.asgi:media"], self._media_is_ready),
            *(
                self._child(f"score{n}", [*scoring, "-n", f"score{n}@%h"], _worker_is_ready)
                for n in range(1, _workers() + 1)
            ),
            self._child(
                "housekeeping",
                [*worker, "-Q", "housekeeping", "-n", "housekeeping@%h"],
                _worker_is_ready,
            ),
            self._child(
                "recordings",
                ["nice", "-n", "10", *worker, "-Q", "recordings", "-n", "recordings@%h"],
                _worker_is_ready,
            ),
            # Not `worker -B`: its clock is a forked process, which outlives a killed worker.
            self._child("beat", [*celery, "beat", "-s", schedule, "--pidfile="], lambda child: child.alive()),
        ]

    def _floor(self) -> Child:
        command = [sys.executable, "manage.py", "simulate_floor"]
        return self._child("floor", command, lambda child: child.alive())

    def _child(self, name: str, command: list[str], is_ready: Callable[[Child], bool]) -> Child:
        log = self.state / f"{name}.log"
        log.write_bytes(b"")
        return Child(name, command, is_ready, log, self.env)

    def _start(self, children: list[Child]) -> None:
        for child in children:
            child.start()
            self.children.append(child)
        self._note()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while waiting := [child for child in self.children if not child.ready]:
            if time.monotonic() > deadline:
                names = ", ".join(child.name for child in waiting)
                raise DemoError(f"Not ready after {READY_S:.0f} s: {names}. {_tail(waiting[0])}")
            if fallen := next((c for c in self.children if c.falls >= 3), None):
                raise DemoError(f"{fallen.name} keeps ending. {_tail(fallen)}")
            self._tend()
            time.sleep(TICK_S / 2)

    # --- watch ---------------------------------------------------------------------------

    def _tend(self) -> None:
        """One look at everything: restart what has died, notice what has become ready."""
        if self.servers is not None and (fallen := self.servers.fallen()):
            say(f"{' and '.join(fallen)} ended: starting again")
            self.servers.revive()
            self._note()
        for child in self.children:
            if child.alive():
                if not child.ready and child.is_ready(child):
                    child.ready = True
                    if child.falls:
                        say(f"{child.name} is back")
            elif child.again_at <= child.started:
                assert child.process is not None
                code, delay = child.process.returncode, child.fell()
                say(f"{child.name} ended ({code}): again in {delay:g} s; log: {child.log}")
            elif time.monotonic() >= child.again_at:
                child.start()
                self._note()
        self._show()

    def _show(self) -> None:
        """On a terminal, one line that is redrawn each second."""
        if not sys.stdout.isatty() or time.monotonic() - self._said_at < 1:
            return
        self._said_at = time.monotonic()
        marks = (f"{child.name} {'✓' if child.ready else '…'}" for child in self.children)
        print(f"\r\033[K{'  '.join(marks)}", end="", flush=True)

    def _note(self) -> None:
        """Who runs where, for benches and tests."""
        pids = {c.name: c.process.pid for c in self.children if c.process is not None}
        if self.servers is not None:
            pids |= self.servers.pids()
        note = self.state / "processes.json"
        note.with_suffix(".new").write_text(json.dumps(pids | {"demo": os.getpid()}))
        note.with_suffix(".new").replace(note)

    def _greet(self, logins: Iterable[dict[str, str]], seconds: float) -> None:
        say(f"\nEmpathy Dash   {self.address}   (ready in {seconds:.1f} s)\n")
        for login in logins:
            say(f"  {login['role']:<11} {login['username']:<8} {login['password']}")
        say(f"\nSimulated calls start by themselves. Logs: {self.state}\nCtrl-C stops everything.")

    @property
    def address(self) -> str:
        return f"http://{'127.0.0.1' if self.host == '0.0.0.0' else self.host}:{self.port}/"  # noqa: S104

    def _web_is_ready(self, child: Child) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}health/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return False
        except OSError:
            return False

    def _media_is_ready(self, child: Child) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port + 1)) == 0

    # --- stop ----------------------------------------------------------------------------

    def stop(self) -> None:
        for child in self.children:
            if child.alive():
                child.signal_group(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while any(child.alive() for child in self.children) and time.monotonic() < deadline:
            time.sleep(TICK_S / 4)
        for child in self.children:
            child.signal_group(signal.SIGKILL)
            if child.process is not None:
                child.process.wait()
        if self.servers is not None:
            self.servers.stop()
        (self.state / "processes.json").unlink(missing_ok=True)


_FILES_READ = ("DATABASE_URL_FILE", "REDIS_URL_FILE", "PORT_FILE")


def say(text: str) -> None:
    print(f"\r\033[K{text}" if sys.stdout.isatty() else text, flush=True)


def _worker_is_ready(child: Child) -> bool:
    return "worker ready" in child.output()


def _workers() -> int:
    return int(os.environ.get("SCORE_WORKERS") or 2)


def _tail(child: Child) -> str:
    lines = child.output().strip().splitlines()[-15:]
    return f"Log: {child.log}\n" + "\n".join(lines)


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise DemoError(
                f"Port {port} cannot be used ({error.strerror}); the demo needs PORT and PORT+1. "
                f"Choose another: make demo PORT={port + 10}"
            ) from None


def _require_models() -> None:
    """Pull what is missing; after the first time this only looks at four file sizes."""
    if os.environ.get("STAND_IN_MODELS", "") in ("1", "true", "yes", "on"):
        return
    speech = os.environ.get("SPEECH_MODEL")
    for name in {*MODELS, speech} if speech in assets.ASSETS else MODELS:
        try:
            assets.pull(str(name), say)
        except assets.AssetMissing as missing:
            raise DemoError(str(missing)) from None


def _secret(file: Path) -> str:
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(48))
    return file.read_text()


def seed_mark() -> str:
    """Changes when what the demo seeds may be something else: code, scripts or the shipped rubric."""
    return _digest(SEED_SOURCES, "*.py", "*.yaml")


def _digest(sources: Iterable[str], *patterns: str) -> str:
    """Changes when any file of those patterns under these paths does."""
    digest = hashlib.sha256()
    for source in sources:
        path = ROOT / source
        found = {file for pattern in patterns for file in path.rglob(pattern)}
        for file in sorted(found) if path.is_dir() else [path]:
            digest.update(str(file.relative_to(ROOT)).encode())
            digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


def _logins(out: str) -> list[dict[str, str]]:
    """`seed_demo --json` ends with a line {"logins": [{"role", "username", "password"}, …]}."""
    for line in reversed(out.strip().splitlines()):
        with suppress(ValueError, KeyError, TypeError):
            logins: list[dict[str, str]] = json.loads(line)["logins"]
            return logins
    return []


def state_dir(port: int) -> Path:
    configured = os.environ.get("DEMO_DIR")
    if configured:
        return Path(configured).expanduser().resolve()
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "empathy-dash" / str(port)


def _asked_to_stop(number: int, frame: FrameType | None) -> None:
    raise Stop(signal.Signals(number).name)


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _asked_to_stop)
    try:
        port = int(embedded.configured("PORT") or 8000)
        Demo(port, state_dir(port), os.environ.get("HOST") or "127.0.0.1").run()
    except Stop:
        return 0
    except ValueError as error:
        print(f"PORT must be a number: {error}", file=sys.stderr)
    except (DemoError, embedded.EmbeddedError) as error:
        print(f"\n{error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
