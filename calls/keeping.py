"""Kept audio on disk: raw while a call runs, one Ogg/Opus file afterwards. Knows no rows, tasks or pages.

    AUDIO_DIR/running/<call>/customer.s16, agent.s16    8 kHz, 16 bit, as it was heard: nothing is masked yet
    AUDIO_DIR/<call>/call.ogg                           caller left, agent right; what was masked is silent

Folders are 0700, files 0600. Every function is harmless to repeat.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
from django.conf import settings

from scoring.types import HOP_MS, HOP_SAMPLES, RATE_HZ, Channel, Samples

TROUBLE = "Audio could not be kept"
SIDES = (Channel.CUSTOMER, Channel.AGENT)
"""Left, right."""
BIT_RATE = 48_000  # 22 MB an hour; below this Opus lets one side leak into the other
CHUNK = RATE_HZ * 20
EITHER_SIDE_MS = 150
"""Word and turn times are estimates: silence begins this much earlier and ends this much later."""
END_MS = 7 * 86_400_000
"""After the end of any call."""
Quiet = Mapping[Channel, Sequence[tuple[int, int]]]


@dataclass(frozen=True)
class Told:
    """A turn as far as its audio matters."""

    start_ms: int
    end_ms: int
    open: bool
    """Its words were read, and nothing in them was masked."""


def is_on() -> bool:
    """Whether this site keeps any audio; each source says so too."""
    return bool(settings.KEEP_AUDIO)


def words(error: OSError) -> str:
    """The note on a call whose audio could not be kept."""
    return f"{TROUBLE}: {error.strerror or error}."


# --- while a call runs --------------------------------------------------------------------------


def write(call_id: str, channel: Channel, hops: Mapping[int, Samples]) -> None:
    """Put hops (int16 [HOP_SAMPLES] by index) in their places; what is never put stays silent. OSError."""
    try:
        _write(call_id, channel, hops)
    except FileNotFoundError:  # the folder was finished between two steps
        _write(call_id, channel, hops)


def _write(call_id: str, channel: Channel, hops: Mapping[int, Samples]) -> None:
    folder = _running(call_id)
    for part in (_root(), folder.parent, folder):
        part.mkdir(mode=0o700, exist_ok=True, parents=part == _root())
    with _held(folder) as handle:
        file = os.open(_raw_name(channel), os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=handle)
        try:
            for index, samples in hops.items():
                data = samples.astype("<i2").tobytes()
                if os.pwrite(file, data, index * HOP_SAMPLES * 2) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)


def running() -> list[str]:
    """Calls with raw audio: those that run, and those still to be finished."""
    return _calls_in(_root() / "running")


def is_waiting(call_id: UUID | str) -> bool:
    return os.path.isdir(_running(call_id))  # unlike Path's, False where we may not look


# --- when it is over ----------------------------------------------------------------------------


def quiet_spans(
    turns: Sequence[Told], speech: Sequence[tuple[int, int]], failed: Sequence[int]
) -> list[tuple[int, int]]:
    """What of one channel must not be heard, [start_ms, end_ms); where it must choose, more.

    Turns that were masked or whose words nobody read; speech outside every turn; and what lies between
    the last turn and a hop that could not be scored (`failed`: indexes), or the end (END_MS), since words
    may have been lost there before they could be masked.
    """
    spans = [(turn.start_ms, turn.end_ms) for turn in turns if not turn.open]
    read = sorted((turn.start_ms, turn.end_ms) for turn in turns)
    spans += [gap for stretch in speech for gap in _outside(stretch, read)]
    spans = [(max(0, start - EITHER_SIDE_MS), end + EITHER_SIDE_MS) for start, end in spans]
    edges = [*(index * HOP_MS for index in failed), END_MS]
    since = [(max((end for start, end in read if start < edge), default=0), edge) for edge in edges]
    return spans + [(start, edge) for start, edge in since if start < edge]


def _outside(stretch: tuple[int, int], read: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The parts of a stretch that no turn covers; `read` is sorted."""
    at, end = stretch
    for first, last in read:
        if first > at:
            yield at, min(first, end)
        at = max(at, last)
        if at >= end:
            return
    yield at, end


def finish(call_id: str, quiet: Quiet) -> None:
    """One stereo file out of the raw ones, which then go. OSError, and they stay.

    A call that went on after it was finished has raw audio anew: it is laid over what was kept before.
    """
    folder = _running(call_id)
    before = _stamps(folder)
    if any(before):
        _encode(call_id, folder, quiet)
    with suppress(FileNotFoundError), _held(folder):
        if _stamps(folder) == before:  # else its stream came back just now: it will be finished again
            shutil.rmtree(folder)


def _encode(call_id: str, folder: Path, quiet: Quiet) -> None:
    import av
    from av.error import FFmpegError

    kept = _root() / call_id
    kept.mkdir(mode=0o700, exist_ok=True)
    new = kept / "call.new"
    new.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with av.open(file, "w", format="ogg") as out:
                track = out.add_stream("libopus", rate=RATE_HZ, layout="stereo")
                track.bit_rate = BIT_RATE
                at = 0
                for chunk in _chunks(folder, _earlier(call_id), quiet):
                    frame = av.AudioFrame.from_ndarray(chunk.reshape(1, -1), format="s16", layout="stereo")
                    frame.sample_rate, frame.pts = RATE_HZ, at
                    at += len(chunk)
                    out.mux(track.encode(frame))
                out.mux(track.encode(None))
            file.flush()
            os.fsync(file.fileno())
        new.replace(kept / "call.ogg")
    except FFmpegError as error:
        raise OSError(getattr(error, "errno", None) or errno.EIO, str(error)) from error
    finally:
        new.unlink(missing_ok=True)


def _chunks(folder: Path, earlier: Samples | None, quiet: Quiet) -> Iterator[Samples]:
    """int16 [n, 2], in order, quiet where it must be."""
    tracks = [_raw(folder / _raw_name(side)) for side in SIDES]
    length = max(*(len(track) for track in tracks), earlier.shape[1] if earlier is not None else 0)
    for start in range(0, length, CHUNK):
        chunk = np.zeros((min(CHUNK, length - start), len(SIDES)), dtype=np.int16)
        for place, track in enumerate(tracks):
            part = track[start : start + CHUNK]
            chunk[: len(part), place] = part
            if earlier is not None:
                old = earlier[place, start : start + CHUNK]
                column = chunk[: len(old), place]
                column[column == 0] = old[column == 0]
            for first_ms, last_ms in quiet.get(SIDES[place], ()):
                first, last = (ms * RATE_HZ // 1000 - start for ms in (first_ms, last_ms))
                chunk[max(0, first) : max(0, last), place] = 0
        yield chunk


def _raw(path: Path) -> Samples:
    if not path.exists() or path.stat().st_size < 2:
        return np.zeros(0, dtype=np.int16)
    return np.memmap(path, dtype="<i2", mode="r", shape=(path.stat().st_size // 2,))


def _earlier(call_id: str) -> Samples | None:
    from scoring.audio import AudioError, read_recording

    found = find(call_id)
    try:
        return read_recording(found).samples if found else None
    except AudioError as error:
        raise OSError(errno.EIO, str(error)) from error


# --- afterwards ---------------------------------------------------------------------------------


def find(call_id: UUID | str) -> Path | None:
    """What can be played of a call."""
    path = _root() / str(call_id) / "call.ogg"
    return path if os.path.isfile(path) else None


def kept() -> list[str]:
    return _calls_in(_root())


def forget(call_id: UUID | str) -> None:
    """Nothing of the call stays. OSError if it cannot be removed."""
    for folder in (_running(call_id), _root() / str(UUID(str(call_id)))):
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)


# --- places -------------------------------------------------------------------------------------


def _root() -> Path:
    return Path(settings.AUDIO_DIR)


def _running(call_id: UUID | str) -> Path:
    return _root() / "running" / str(UUID(str(call_id)))


def _raw_name(channel: Channel) -> str:
    return f"{channel.value}.s16"


def _calls_in(folder: Path) -> list[str]:
    found = []
    with suppress(OSError):  # nothing was kept yet; or what is wrong is said where it is written
        for name in sorted(os.listdir(folder)):
            with suppress(ValueError):
                found.append(str(UUID(name)))
    return found


def _stamps(folder: Path) -> list[tuple[int, int] | None]:
    """Size and time of each raw file: changes when anything is written."""
    stamps: list[tuple[int, int] | None] = []
    for side in SIDES:
        try:
            stat = (folder / _raw_name(side)).stat()
            stamps.append((stat.st_size, stat.st_mtime_ns))
        except FileNotFoundError:
            stamps.append(None)
    return stamps


@contextmanager
def _held(folder: Path) -> Iterator[int]:
    """The folder in our hands alone, for as long as it takes; a descriptor of it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)
