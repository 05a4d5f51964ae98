"""Uploaded recordings on disk, from their first byte until they are scored. Knows no rows, tasks or pages.

    RECORDINGS_DIR/<recording>/0, 1              what was uploaded, growing
    RECORDINGS_DIR/<recording>/customer.u8, …    decoded: 8 kHz mu-law, as the buffer keeps it

Folders are 0700, files 0600. Memory stays bounded whatever the file says of itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from django.conf import settings

from calls.choices import Layout
from scoring.audio import SAME_CHANNEL_CORRELATION, AudioError, encode_mulaw, stream_recording
from scoring.types import HOP_SAMPLES, Channel, Samples

PIECE = 1 << 20
SILENCE = b"\xff"
SIDES = (Channel.CUSTOMER, Channel.AGENT)


class WrongOffset(ValueError):
    """Bytes for another place than where the file ends; `expected` is where it ends."""

    def __init__(self, expected: int) -> None:
        super().__init__(f"the next byte is {expected}")
        self.expected = expected


class TooLong(ValueError):
    """More bytes than were announced."""


@dataclass(frozen=True)
class Decoded:
    samples: dict[Channel, int]
    mixed: bool
    """Both speakers are on the one channel, which is called the customer's for want of a better name."""
    same: bool = False
    """It had two channels, but they are the same."""


# --- uploading -------------------------------------------------------------------------------------


def received(recording: UUID | str, part: int) -> int:
    """How many bytes of it are here: where an upload goes on."""
    try:
        return (_folder(recording) / str(part)).stat().st_size
    except FileNotFoundError:
        return 0


def append(recording: UUID | str, part: int, offset: int, pieces: Iterable[bytes], size: int) -> int:
    """Write on from `offset`; the new end. What came before a line broke stays.

    WrongOffset, TooLong, OSError.
    """
    folder = _folder(recording)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(folder / str(part), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)  # two tabs may send the same
        end = os.fstat(file).st_size
        if offset != end:
            raise WrongOffset(end)
        for piece in pieces:
            if end + len(piece) > size:
                raise TooLong(f"more than the {size} bytes that were announced")
            while piece:
                done = os.pwrite(file, piece, end)
                piece, end = piece[done:], end + done
        return end
    finally:
        os.close(file)


def digest(recording: UUID | str, parts: int) -> str:
    """SHA-256; of two files, of their two digests."""
    found = [_digest(_folder(recording) / str(part)) for part in range(parts)]
    return found[0] if parts == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- decoding --------------------------------------------------------------------------------------


def decode(recording: UUID | str, layout: str, names: list[str]) -> Decoded:
    """Each speaker's file of mu-law, written whole or not at all. AudioError says what to do."""
    if layout == Layout.TWO_FILES:
        found = {side: _decode_side(recording, n, side, names[n]) for n, side in enumerate(SIDES)}
        return Decoded(found, mixed=False)
    sides = SIDES if layout != Layout.AGENT_LEFT else SIDES[::-1]
    return _decode_one(recording, layout, sides, names[0])


def _decode_side(recording: UUID | str, part: int, side: Channel, name: str) -> int:
    with _writing(recording, side) as out:
        for chunk in _chunks(recording, part, name):
            out.write(chunk.mean(axis=1).astype(np.int16) if chunk.shape[1] > 1 else chunk[:, 0])
    return out.samples


def _decode_one(recording: UUID | str, layout: str, sides: tuple[Channel, Channel], name: str) -> Decoded:
    likeness = _Likeness()
    with _writing(recording, sides[0]) as left, _writing(recording, sides[1]) as right:
        for chunk in _chunks(recording, 0, name):
            if chunk.shape[1] > 2:
                raise AudioError(
                    f"{name} has {chunk.shape[1]} channels. Export the caller and the agent alone, as left "
                    "and right."
                )
            if layout == Layout.ONE_CHANNEL and chunk.shape[1] == 2:
                chunk = (chunk.astype(np.int32).sum(axis=1, keepdims=True) // 2).astype(np.int16)
            left.write(chunk[:, 0])
            if chunk.shape[1] == 2:
                right.write(chunk[:, 1])
                likeness.add(chunk)
    same = right.samples > 0 and likeness.is_same
    if right.samples and not same:
        return Decoded({sides[0]: left.samples, sides[1]: right.samples}, mixed=False)
    if sides[0] is not Channel.CUSTOMER:
        left.path.replace(_track(recording, Channel.CUSTOMER))
    _track(recording, Channel.AGENT).unlink(missing_ok=True)
    return Decoded({Channel.CUSTOMER: left.samples}, mixed=True, same=same)


class _Likeness:
    """Whether two channels are nearly one, as scoring.audio.looks_mixed has it, but chunk by chunk."""

    def __init__(self) -> None:
        self.left = self.right = self.both = 0.0

    def add(self, chunk: Samples) -> None:
        left, right = chunk[:, 0].astype(np.float64), chunk[:, 1].astype(np.float64)
        self.left += float(left @ left)
        self.right += float(right @ right)
        self.both += float(left @ right)

    @property
    def is_same(self) -> bool:
        norm = float(np.sqrt(self.left * self.right))
        return norm > 0 and self.both / norm > SAME_CHANNEL_CORRELATION


def _chunks(recording: UUID | str, part: int, name: str) -> Iterable[Samples]:
    with (_folder(recording) / str(part)).open("rb") as stream:
        yield from stream_recording(stream, name, max_seconds=settings.RECORDING_MAX_HOURS * 3600)


class _Track:
    def __init__(self, path: Path) -> None:
        self.path, self.samples = path, 0

    def __enter__(self) -> _Track:
        self.new = self.path.with_suffix(".new")
        self.file = os.fdopen(os.open(self.new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        return self

    def write(self, samples: Samples) -> None:
        self.file.write(encode_mulaw(np.ascontiguousarray(samples)))
        self.samples += len(samples)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.file.close()
        if kind is None:
            self.new.replace(self.path)
        else:
            self.new.unlink(missing_ok=True)


def _writing(recording: UUID | str, side: Channel) -> _Track:
    return _Track(_track(recording, side))


def hop(recording: UUID | str, channel: Channel, index: int) -> bytes:
    """Hop `index` as mu-law; the last one is filled up with silence."""
    with _track(recording, channel).open("rb") as file:
        return os.pread(file.fileno(), HOP_SAMPLES, index * HOP_SAMPLES).ljust(HOP_SAMPLES, SILENCE)


# --- what was said, where somebody else transcribed it ------------------------------------------------


def keep_turns(recording: UUID | str, turns: list[dict[str, Any]]) -> None:
    folder = _folder(recording)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = folder / "turns.new"
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump(turns, out)
    new.replace(folder / "turns.json")


def turns(recording: UUID | str) -> list[dict[str, Any]]:
    """Those that nobody has taken yet."""
    try:
        found: list[dict[str, Any]] = json.loads((_folder(recording) / "turns.json").read_text())
    except FileNotFoundError:
        return []
    return found


def forget_turns(recording: UUID | str) -> None:
    (_folder(recording) / "turns.json").unlink(missing_ok=True)


# --- afterwards ------------------------------------------------------------------------------------


def forget(recording: UUID | str) -> None:
    """Nothing of it stays. OSError if it cannot be removed."""
    with suppress(FileNotFoundError):
        shutil.rmtree(_folder(recording))


def is_here(recording: UUID | str) -> bool:
    return os.path.isdir(_folder(recording))


def strays(known: Iterable[UUID], older_s: float = 3600.0) -> list[str]:
    """Folders whose recording is gone; young ones are left alone, their row may be on its way."""
    root, names, old = Path(settings.RECORDINGS_DIR), {str(pk) for pk in known}, time.time() - older_s
    found = []
    with suppress(OSError):
        for name in sorted(os.listdir(root)):
            with suppress(ValueError, OSError):
                if str(UUID(name)) not in names and (root / name).stat().st_mtime < old:
                    found.append(name)
    return found


def _folder(recording: UUID | str) -> Path:
    return Path(settings.RECORDINGS_DIR) / str(UUID(str(recording)))


def _track(recording: UUID | str, channel: Channel) -> Path:
    return _folder(recording) / f"{channel.value}.u8"
