"""Hidden states of the frozen encoder per clip, several telephone copies each, cached outside the repository.

The encoder never changes, so it runs once per copy and the head trains on what it said. Each copy is one
file `<split>-<copy>.f16`, [clips, layers + 1, time, 512] float16; a finished copy leaves a `.done` file.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from scoring.training.voice.augment import TelephoneAugment, place
from scoring.training.voice.clips import Archive, Clip
from scoring.types import WINDOW_SAMPLES
from scoring.voice_network import Backbone

BATCH = 4
BABBLE_CLIPS = 5


@torch.inference_mode()
def extract(
    clips: Sequence[Clip],
    archive: Archive,
    backbone: Backbone,
    augment: TelephoneAugment | None,
    target: Path,
    seed: int,
) -> np.ndarray:
    """Features [clips, layers + 1, time, 512] as a float16 memory map, made or found at `target`.

    `augment=None` only places each clip at a random point of its window. Deterministic given `seed`.
    """
    shape = (len(clips), *backbone.feature_shape(WINDOW_SAMPLES))
    done = target.with_suffix(".done")
    if done.exists() and done.read_text() == f"{shape} {seed}":
        return np.memmap(target, dtype=np.float16, mode="r", shape=shape)
    target.parent.mkdir(parents=True, exist_ok=True)
    features = np.memmap(target, dtype=np.float16, mode="w+", shape=shape)
    rng = np.random.default_rng(seed)
    audio = [archive.read(c.file) for c in clips]
    started = time.monotonic()
    for start in range(0, len(clips), BATCH):
        batch = audio[start : start + BATCH]
        mel = backbone.mel(torch.from_numpy(np.stack([_window(x, audio, augment, rng) for x in batch])))
        if augment is not None:
            mel = torch.from_numpy(np.stack([augment.mask_mel(m, rng) for m in mel.numpy()]))
        features[start : start + len(batch)] = backbone.features(mel).numpy().astype(np.float16)
        if start % (BATCH * 100) == 0:
            print(
                f"{target.name}: {start}/{len(clips)} clips, {time.monotonic() - started:.0f} s", flush=True
            )
    features.flush()
    done.write_text(f"{shape} {seed}")
    return features


def _window(
    clip: np.ndarray, audio: Sequence[np.ndarray], augment: TelephoneAugment | None, rng: np.random.Generator
) -> np.ndarray:
    if augment is None:
        return place(clip, WINDOW_SAMPLES, rng).astype(np.float32)
    others = [audio[i] for i in rng.integers(0, len(audio), BABBLE_CLIPS)]
    return augment(clip, others, WINDOW_SAMPLES, rng)
