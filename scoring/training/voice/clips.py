"""Read the labelled clips: a manifest (CSV) and tar files or folders of audio, as 8 kHz mono."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scoring.training.data import DataError
from scoring.types import RATE_HZ, WINDOW_SAMPLES
from scoring.voice import EMOTIONS

# Names other corpora use for the same acted class (SCIENCE.md §9).
SYNONYMS = {"calm": "neutral", "fearful": "fear", "anger": "angry", "sadness": "sad", "happiness": "happy"}
COLUMNS = ("file", "corpus", "speaker", "emotion")


@dataclass(frozen=True)
class Clip:
    """One labelled recording; `emotion` is one of EMOTIONS, `vote` what listeners heard."""

    file: str
    corpus: str
    speaker: str
    gender: str
    emotion: str
    vote: str
    split: str


def read_manifest(path: Path, split: str | None = None) -> tuple[list[Clip], dict[str, int]]:
    """Clips of the six classes in file order, and how many rows of which other emotion were left out."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [c for c in COLUMNS if c not in (reader.fieldnames or [])]
            if missing:
                raise DataError(
                    f"{path}: no column {', '.join(missing)}; the first line must name {', '.join(COLUMNS)}"
                )
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"cannot read the manifest {path}: {error}; give a CSV file with --manifest"
        ) from error
    splits = sorted({row.get("split") or "" for row in rows})
    if split is not None and split not in splits:
        raise DataError(
            f"{path} has no rows of split {split!r}; it has: {', '.join(map(repr, splits)) or 'no rows'}"
        )
    clips, left_out = [], dict[str, int]()
    for number, row in enumerate(rows, start=2):
        if split is not None and row.get("split") != split:
            continue
        if not row["file"] or not row["emotion"]:
            raise DataError(f"{path} line {number}: empty file or emotion; fill it in or drop the line")
        label = row["emotion"].strip().lower()
        emotion = SYNONYMS.get(label, label)
        if emotion not in EMOTIONS:
            left_out[label] = left_out.get(label, 0) + 1
            continue
        clips.append(
            Clip(
                file=row["file"],
                corpus=row["corpus"],
                speaker=row["speaker"],
                gender=row.get("gender") or "",
                emotion=emotion,
                vote=row.get("perceived_vote") or "",
                split=row.get("split") or "",
            )
        )
    if not clips:
        raise DataError(
            f"{path}: no row has one of the emotions {', '.join(EMOTIONS)}; found {left_out or 'no rows'}"
        )
    return clips, left_out


@dataclass
class Archive:
    """Audio by manifest name, from tar files and folders, in that order; members are read in place."""

    sources: Sequence[Path]
    _tars: dict[str, tuple[tarfile.TarFile, tarfile.TarInfo]] = field(default_factory=dict, init=False)
    _folders: list[Path] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for source in self.sources:
            if source.is_dir():
                self._folders.append(source)
                continue
            try:
                tar = tarfile.open(source)  # noqa: SIM115  open as long as the archive is
                members = [m for m in tar.getmembers() if m.isfile()]
            except (OSError, tarfile.TarError) as error:
                raise DataError(
                    f"cannot read audio from {source}: {error}; give a tar file or a folder"
                ) from error
            self._tars.update({m.name.removeprefix("./"): (tar, m) for m in members})

    def missing(self, files: Iterable[str]) -> list[str]:
        """Those of `files` that no source holds."""
        return [f for f in files if f not in self._tars and self._in_folder(f) is None]

    def _in_folder(self, file: str) -> Path | None:
        """`file` under a folder given, or under its parent when the folder itself is named in `file`."""
        parts = Path(file).parts
        if Path(file).is_absolute() or ".." in parts:
            return None
        places = [f.parent if f.name == parts[0] and len(parts) > 1 else f for f in self._folders]
        return next((p / file for p in (*places, *self._folders) if (p / file).is_file()), None)

    def read(self, file: str) -> np.ndarray:
        """Samples [n] float32 at 8 kHz, mono. Raises DataError when absent or not audio."""
        import soundfile
        import soxr

        path = self._in_folder(file)
        if path is not None:
            data = path.read_bytes()
        elif file in self._tars:
            tar, member = self._tars[file]
            handle = tar.extractfile(member)
            data = handle.read() if handle else b""
        else:
            raise DataError(f"{file} is in the manifest but in none of {', '.join(map(str, self.sources))}")
        try:
            samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise DataError(
                f"{file} is not readable audio ({error}); convert it to wav, flac, ogg or opus"
            ) from error
        mono = samples.mean(axis=1)
        return np.asarray(
            mono if rate_hz == RATE_HZ else soxr.resample(mono, rate_hz, RATE_HZ), dtype=np.float32
        )


def windows_of(samples: np.ndarray, hop: int = WINDOW_SAMPLES // 2) -> list[np.ndarray]:
    """A clip [n] as windows of at most 24000 samples: long clips are cut every `hop`."""
    last = max(0, len(samples) - WINDOW_SAMPLES)
    starts = [*range(0, last, hop), last]
    return [samples[start : start + WINDOW_SAMPLES] for start in starts]
