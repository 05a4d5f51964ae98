"""Log-mel of every clip, as it is and over simulated telephone lines, cached outside the repository.

A *line* is one speaker on one simulated telephone: its clips share the channel, as the windows of a call do.
Each copy is a file `<split>-<copy>.f16`, [clips, 80, frames] float16; a finished one leaves a `.done` file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from scoring.training.voice.augment import TelephoneAugment, place
from scoring.training.voice.clips import Archive, Clip
from scoring.types import WINDOW_SAMPLES
from scoring.whisper_encoder import HOP, N_MELS, LogMel8k

BATCH = 64
BABBLE_CLIPS = 5
FRAMES = WINDOW_SAMPLES // HOP


def lines_of(clips: Sequence[Clip], per_line: int, rng: np.random.Generator) -> np.ndarray:
    """A line number per clip [clips]: each speaker's clips in random groups of about `per_line` (0: one)."""
    speakers = np.array([c.speaker for c in clips])
    lines, used = np.zeros(len(clips), dtype=np.int64), 0
    for speaker in np.unique(speakers):
        own = rng.permutation(np.flatnonzero(speakers == speaker))
        parts = max(1, round(len(own) / per_line)) if per_line else 1
        for part in np.array_split(own, parts):
            lines[part] = used
            used += 1
    return lines


def mels(
    clips: Sequence[Clip],
    audio: Sequence[np.ndarray],
    lines: np.ndarray,
    augment: TelephoneAugment | None,
    target: Path,
    seed: int,
) -> np.ndarray:
    """[clips, 80, 300] as a float16 memory map, made or found at `target`. Deterministic given `seed`.

    `augment=None` only places each clip at a random point of its window.
    """
    shape = (len(clips), N_MELS, FRAMES)
    done = target.with_suffix(".done")
    made_of = repr((shape, seed, augment, [c.file for c in clips], lines.tolist()))
    key = hashlib.sha256(made_of.encode()).hexdigest()
    if done.exists() and done.read_text() == key:
        return np.memmap(target, dtype=np.float16, mode="r", shape=shape)
    target.parent.mkdir(parents=True, exist_ok=True)
    made = np.memmap(target, dtype=np.float16, mode="w+", shape=shape)
    to_mel = LogMel8k()
    for start in range(0, len(clips), BATCH):
        numbers = range(start, min(start + BATCH, len(clips)))
        waves = np.stack([_window(i, audio, int(lines[i]), augment, seed) for i in numbers])
        made[start : start + len(waves)] = to_mel(torch.from_numpy(waves)).numpy().astype(np.float16)
    made.flush()
    done.write_text(key)
    print(f"{target}: {len(clips)} clips", flush=True)
    return made


def _window(
    i: int, audio: Sequence[np.ndarray], line: int, augment: TelephoneAugment | None, seed: int
) -> np.ndarray:
    own = np.random.default_rng([seed, 1, i])
    if augment is None:
        return place(audio[i], WINDOW_SAMPLES, own).astype(np.float32)
    others = [audio[k] for k in own.integers(0, len(audio), BABBLE_CLIPS)]
    return augment(audio[i], others, WINDOW_SAMPLES, np.random.default_rng([seed, 2, line]))


def archive_audio(clips: Sequence[Clip], archive: Archive) -> list[np.ndarray]:
    """The first window of each clip and what is around it: at most 3.6 s, so that speed has room."""
    return [archive.read(c.file)[: WINDOW_SAMPLES * 6 // 5] for c in clips]
