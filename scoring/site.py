"""A site's own correction of what words say, fitted on its labels (scoring/refit.py); shipped weights stay.

Per label: log-odds' = slope · log-odds + offset + direction · sentence vector. One file per fit, named by its
SHA-256, in a folder of the site; `current` names the one in use, and workers look at it every LOOK_S.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
EDGE = 1e-4
LOOK_S = 20.0
CURRENT = "current"
log = logging.getLogger(__name__)


class BadFile(ValueError):
    """Not a correction, or not the one it says it is."""


@dataclass(frozen=True)
class Correction:
    labels: tuple[str, ...]
    slope: Floats
    """[labels]"""
    offset: Floats
    """[labels]"""
    direction: Floats
    """[labels, vector]"""
    adapters: str
    """Digest of the sentence encoder's adapters that made the vectors."""
    digest: str = ""

    def apply(self, values: Mapping[str, float], vector: Floats) -> dict[str, float]:
        """What is not corrected stays."""
        out = dict(values)
        for n, label in enumerate(self.labels):
            if label in out:
                x = self.slope[n] * logit(out[label]) + self.offset[n] + float(self.direction[n] @ vector)
                out[label] = float(1 / (1 + np.exp(-x)))
        return out

    def to_bytes(self) -> bytes:
        """A zip of arrays, the same bytes for the same numbers (numpy.savez writes the time into it)."""
        parts = {
            "labels": np.array(self.labels), "slope": self.slope, "offset": self.offset,
            "direction": self.direction, "adapters": np.array(self.adapters),
        }  # fmt: skip
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, part in parts.items():
                held = io.BytesIO()
                np.save(held, part, allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), held.getvalue())
        return out.getvalue()

    @classmethod
    def from_bytes(cls, raw: bytes, digest: str) -> Correction:
        """BadFile unless it is what the digest says and holds finite numbers of one shape."""
        if hashlib.sha256(raw).hexdigest() != digest:
            raise BadFile("its SHA-256 is another")
        try:
            with np.load(io.BytesIO(raw), allow_pickle=False) as saved:
                data: dict[str, Any] = {name: saved[name] for name in saved.files}
            slope, offset, direction = (
                np.asarray(data[name], np.float32) for name in ("slope", "offset", "direction")
            )
            labels = tuple(map(str, data["labels"]))
            made = cls(labels, slope, offset, direction, str(data["adapters"]), digest)
        except (ValueError, KeyError, OSError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise BadFile(f"it is no correction: {error}") from error
        n = len(made.labels)
        whole = made.slope.shape == made.offset.shape == (n,) and made.direction.ndim == 2
        if not whole or len(made.direction) != n:
            raise BadFile("its parts do not fit each other")
        if not all(np.isfinite(part).all() for part in (made.slope, made.offset, made.direction)):
            raise BadFile("it holds numbers that are none")
        return made


def logit(p: float) -> float:
    p = min(1 - EDGE, max(EDGE, p))
    return float(np.log(p / (1 - p)))


def store(folder: Path, correction: Correction) -> str:
    """Write it under its digest; writing twice is once. Returns the digest."""
    raw = correction.to_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / f"{digest}.npz", raw)
    return digest


def use(folder: Path, digest: str) -> None:
    """From now on that one; "" for none. BadFile if it is not there as it was written."""
    if digest:
        read(folder, digest)
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / CURRENT, digest.encode())


def read(folder: Path, digest: str) -> Correction:
    try:
        return Correction.from_bytes((folder / f"{digest}.npz").read_bytes(), digest)
    except OSError as error:
        raise BadFile(f"it cannot be read: {error.strerror}") from error


def in_use(folder: Path) -> str:
    try:
        return (folder / CURRENT).read_text().strip()
    except OSError:
        return ""


def _replace(file: Path, raw: bytes) -> None:
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    part.write_bytes(raw)
    os.replace(part, file)


class Site:
    """The correction in use, looked up again now and then: a switch needs no restart."""

    def __init__(self, folder: Path, adapters: str) -> None:
        self.folder, self.adapters = folder, adapters
        self._now: Correction | None = None
        self._named = ""
        self._looked = -LOOK_S

    def correction(self) -> Correction | None:
        if time.monotonic() - self._looked >= LOOK_S:
            self._looked = time.monotonic()
            named = in_use(self.folder)
            if named != self._named:
                self._named, self._now = named, self._read(named)
        return self._now

    def _read(self, digest: str) -> Correction | None:
        if not digest:
            return None
        try:
            found = read(self.folder, digest)
        except BadFile as error:
            log.error("the site's correction %s is not used: %s", digest[:12], error)
            return None
        if found.adapters != self.adapters:
            log.error("the site's correction %s is for another sentence encoder: fit again", digest[:12])
            return None
        return found


def from_environment(adapters: str) -> Site | None:
    folder = os.environ.get("SITE_WEIGHTS_DIR")
    return Site(Path(folder), adapters) if folder else None


def corrected(
    site: Site | None, values: Sequence[Mapping[str, float]], vectors: Floats
) -> list[dict[str, float]]:
    """Of several readings with their vectors [n, vector]; unchanged without a correction."""
    found = site.correction() if site else None
    if found is None:
        return [dict(one) for one in values]
    return [found.apply(one, vector) for one, vector in zip(values, vectors, strict=True)]
