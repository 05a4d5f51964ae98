"""Trains the adapters and the networks on them, first on public text, then with our own calls beside it.

One CPU core: about 27 minutes for the first phase (4 passes over GoEmotions), about ten for the second.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional as F

from scoring.language_heads import BEHAVIOURS, LABELS, STATES, VECTOR_SCALE
from scoring.sentence_encoder import DIM

from .adapt import AdaptedEncoder
from .contrasts import contrast
from .data import SEED, OwnTurn, Table, row
from .noise import MARKS, misheard

MAX_TOKENS = 64
EPOCHS = 4
BATCH = 64
POLITE_BATCH, POLITE_EVERY = 48, 6
RATE = 1e-3
SECOND_RATE = 5e-4
SECOND_STEPS = 550
OWN_BATCH = 24
PIECE = 16
BARE = 0.25
"""This share of the comments loses its marks, as recognised speech has none."""
MASKED, MASK = 0.06, 103
POSITIVE_POWER = 0.25
"""Positives weigh (negatives / positives) to this power: rare labels a little more, no more."""
WARM_UP, KEPT = 0.06, 0.998
JOINED = 0.25
"""This share of agent turns is joined with another: what was done in either was done in the turn."""
CONTRASTS = 6
"""Made-up contrast lines per batch of customer turns."""


class Head(nn.Module):
    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.n = nn.Sequential(
            nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(0.2), nn.Linear(hidden, outputs)
        )

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.n(vectors * VECTOR_SCALE)

    def arrays(self, name: str) -> dict[str, Any]:
        half = {key: t.detach().numpy().astype(np.float16) for key, t in self.n.state_dict().items()}
        return {
            f"{name}_hidden_w": half["0.weight"].T,
            f"{name}_hidden_b": half["0.bias"],
            f"{name}_out_w": half["3.weight"].T,
            f"{name}_out_b": half["3.bias"],
        }


@dataclass
class Texts:
    ids: list[list[int]]
    target: torch.Tensor

    def batches(self, size: int, rng: random.Random) -> Iterator[list[int]]:
        """For ever: rows of similar length, in random order."""
        while True:
            order = list(range(len(self.ids)))
            rng.shuffle(order)
            found = []
            for at in range(0, len(order), size * 24):
                chunk = sorted(order[at : at + size * 24], key=lambda n: len(self.ids[n]))
                found += [chunk[b : b + size] for b in range(0, len(chunk), size)]
            rng.shuffle(found)
            yield from (rows for rows in found if len(rows) > size // 3)


class Model(nn.Module):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.encoder = AdaptedEncoder(folder)
        self.heads = nn.ModuleDict(
            {
                "labels": Head(DIM, 256, len(LABELS)),
                "politeness": Head(DIM, 256, 1),
                "states": Head(2 * DIM, 128, len(STATES)),
                "behaviours": Head(DIM, 128, len(BEHAVIOURS)),
            }
        )
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.no_padding()
        self.tokenizer = tokenizer

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]

    def vectors_of_mixed(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """As `vectors`, in pieces of similar length: padding would be most of the work."""
        order = sorted(range(len(rows)), key=lambda n: len(rows[n]))
        pieces = [order[at : at + PIECE] for at in range(0, len(order), PIECE)]
        found = torch.cat([self.vectors([rows[n] for n in piece]) for piece in pieces])
        return found[torch.argsort(torch.tensor(order))]

    def vectors(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        longest = max(map(len, rows))
        ids = torch.tensor([list(row) + [0] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1.0] * len(row) + [0.0] * (longest - len(row)) for row in rows])
        return self.encoder(ids, mask)

    def arrays(self) -> dict[str, Any]:
        return {k: v for name, head in self.heads.items() for k, v in head.arrays(name).items()}


class Training:
    """One phase: AdamW with warm-up and cosine, clipped gradients, and a running mean of the weights."""

    def __init__(self, model: Model, rate: float, steps: int, noise: random.Random) -> None:
        self.model, self.steps, self.noise = model, steps, noise
        low = [p for name, p in model.encoder.named_parameters() if name.endswith(("down", "up"))]
        free = [p for name, p in model.encoder.named_parameters() if not name.endswith(("down", "up"))]
        self.all = list(model.parameters())
        self.optimiser = torch.optim.AdamW(
            [
                {"params": low, "lr": rate},
                {"params": free, "lr": rate / 2, "weight_decay": 0.0},
                {"params": list(model.heads.parameters()), "lr": 2 * rate if rate < RATE else rate},
            ],
            weight_decay=0.01,
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, self._share)
        self.mean = [p.detach().clone() for p in self.all]

    def _share(self, step: int) -> float:
        warm = WARM_UP * self.steps
        return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * min(1, step / self.steps)))

    def run(self, loss_of: Callable[[int], torch.Tensor]) -> None:
        started, total = time.process_time(), 0.0
        self.model.train()
        for step in range(self.steps):
            loss = loss_of(step)
            self.optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.all, 1.0)
            self.optimiser.step()
            self.schedule.step()
            keep = min(KEPT, (step + 1) / (step + 10))
            with torch.no_grad():
                for mean, now in zip(self.mean, self.all, strict=True):
                    mean.lerp_(now, 1 - keep)
            total += loss.item()
            if step % 100 == 99:
                spent = time.process_time() - started
                print(f"{step + 1}/{self.steps} loss {total / 100:.4f} {spent:.0f} s", flush=True)
                total = 0.0
        with torch.no_grad():
            for mean, now in zip(self.mean, self.all, strict=True):
                now.copy_(mean)
        self.model.eval()

    def masked(self, row: Sequence[int]) -> list[int]:
        last = len(row) - 1
        return [MASK if 0 < n < last and self.noise.random() < MASKED else t for n, t in enumerate(row)]


class Public:
    """Losses on GoEmotions and on politeness."""

    def __init__(
        self, training: Training, comments: tuple[list[str], Table], requests: tuple[list[str], Table]
    ):
        self.training, model, rng = training, training.model, training.noise
        self.comments = Texts(model.ids(comments[0]), torch.from_numpy(comments[1]))
        self.bare = model.ids([MARKS.sub(" ", text) for text in comments[0]])
        self.requests = Texts(model.ids(requests[0]), torch.from_numpy(requests[1]))
        share = self.comments.target.mean(0)
        self.weight = (((1 - share) / share) ** POSITIVE_POWER).clamp(max=8)
        self.rng = rng

    def start_at_base_rates(self) -> None:
        share = self.comments.target.mean(0)
        self.training.model.heads["labels"].n[3].bias.data = torch.log(share / (1 - share))

    def labels(self, rows: Sequence[int]) -> torch.Tensor:
        ids = [self.comments.ids[n] if self.rng.random() >= BARE else self.bare[n] for n in rows]
        model = self.training.model
        said = model.heads["labels"](model.vectors([self.training.masked(tokens) for tokens in ids]))
        target = self.comments.target[list(rows)]
        return F.binary_cross_entropy_with_logits(said, target, pos_weight=self.weight)

    def politeness(self, rows: Sequence[int]) -> torch.Tensor:
        model = self.training.model
        ids = [self.training.masked(self.requests.ids[n]) for n in rows]
        said = model.heads["politeness"](model.vectors(ids))[:, 0]
        return F.binary_cross_entropy_with_logits(said, self.requests.target[list(rows)])


def first_phase(model: Model, comments: tuple[list[str], Table], requests: tuple[list[str], Table]) -> None:
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    steps = EPOCHS * (len(comments[0]) // BATCH)
    training = Training(model, RATE, steps, rng)
    public = Public(training, comments, requests)
    public.start_at_base_rates()
    some, polite = public.comments.batches(BATCH, rng), public.requests.batches(POLITE_BATCH, rng)

    def loss(step: int) -> torch.Tensor:
        total = 4 * public.labels(next(some))
        return total if step % POLITE_EVERY else total + 0.7 * public.politeness(next(polite))

    training.run(loss)


class Own:
    """Losses on our own turns: a customer's on states, an agent's on behaviours."""

    def __init__(self, training: Training, customers: Sequence[OwnTurn], agents: Sequence[OwnTurn]) -> None:
        self.model, self.rng = training.model, training.noise
        self.customers = [replace(turn, target=soft(turn.target)) for turn in customers]
        self.agents = [replace(turn, target=soft(turn.target)) for turn in agents]

    def heard(self, text: str) -> str:
        return misheard(text, self.rng) if self.rng.random() < 0.6 else text

    def states(self) -> torch.Tensor:
        some = [self._customer(turn) for turn in self.rng.sample(self.customers, OWN_BATCH)]
        for _ in range(CONTRASTS):
            text, states = contrast(self.rng)
            before = self.rng.choice(self.customers).previous if self.rng.random() < 0.5 else ()
            some.append(OwnTurn(text, before, soft(row(states, STATES))))
        ids = self.model.ids([text for turn in some for text in (self.heard(turn.text), *turn.previous)])
        vectors = self.model.vectors_of_mixed(ids)
        rows, at = [], 0
        for turn in some:
            size = len(turn.previous)
            before = vectors[at + 1 : at + 1 + size].mean(0) if size else torch.zeros(DIM)
            rows.append(torch.cat([vectors[at], before]))
            at += 1 + size
        target = torch.from_numpy(np.stack([turn.target for turn in some]))
        return F.binary_cross_entropy_with_logits(self.model.heads["states"](torch.stack(rows)), target)

    def _customer(self, turn: OwnTurn) -> OwnTurn:
        """Now and then the turns before are forgotten, so that the head can do without."""
        return turn if self.rng.random() < 0.8 else OwnTurn(turn.text, (), turn.target)

    def behaviours(self) -> torch.Tensor:
        texts, targets = [], []
        for turn in self.rng.sample(self.agents, OWN_BATCH):
            text, target = turn.text, turn.target
            if self.rng.random() < JOINED:
                other = self.rng.choice(self.agents)
                text, target = f"{text} {other.text}", np.maximum(target, other.target)
            texts.append(self.heard(text))
            targets.append(target)
        said = self.model.heads["behaviours"](self.model.vectors_of_mixed(self.model.ids(texts)))
        return F.binary_cross_entropy_with_logits(said, torch.from_numpy(np.stack(targets)))


def soft(strength: Table) -> Table:
    """Labelled strengths as targets: a trace is mostly absent, "clear" is mostly present."""
    return np.interp(strength, [0, 0.25, 0.5, 0.75, 1], [0, 0.2, 0.8, 0.95, 1]).astype(np.float32)


def second_phase(
    model: Model,
    comments: tuple[list[str], Table],
    requests: tuple[list[str], Table],
    customers: Sequence[OwnTurn],
    agents: Sequence[OwnTurn],
    steps: int = SECOND_STEPS,
) -> None:
    """Adds our own calls; public text stays in the mix so that nothing of it is forgotten."""
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    training = Training(model, SECOND_RATE, steps, rng)
    public, own = Public(training, comments, requests), Own(training, customers, agents)
    some, polite = public.comments.batches(OWN_BATCH, rng), public.requests.batches(OWN_BATCH, rng)

    def loss(step: int) -> torch.Tensor:
        total = 4 * public.labels(next(some)) + own.states() + own.behaviours()
        return total if step % POLITE_EVERY else total + 0.7 * public.politeness(next(polite))

    training.run(loss)
