"""Recipe for weights/language: `python -m scoring.training.words --data TEXT_FOLDER --work FOLDER`.

Trained on GoEmotions train (CC BY 4.0), the politeness requests (Apache-2.0, text CC BY-SA; a fifth held
out) and our own calls (contact_centre/train). A tenth of GoEmotions train sets its thresholds, and
contact_centre/calibrate the stacks; GoEmotions dev and contact_centre/test are touched only by
`scoring.evaluate`. Fixed seeds, one thread. A stage leaves a file in --work and is skipped where it is there.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scoring.assets import path
from scoring.language_heads import (
    BAGS,
    BEHAVIOURS,
    STATES,
    WAYS,
    WEIGHTS,
    Bag,
    Floats,
    Heads,
    group_logits,
    mean_before,
)
from scoring.sentence_encoder import SentenceEncoder, digest
from scoring.training.labelled_turns import FOLDER, PRESENT, read_turns
from scoring.types import Channel

from .bags import fit_bag
from .contrasts import contrast
from .data import (
    SEED,
    OwnTurn,
    Table,
    held_back,
    own_turns,
    read_goemotions,
    read_lines,
    read_politeness,
    row,
)
from .encoder import Model, first_phase, second_phase
from .fit import best_thresholds, cross_fitted, expected_error, fit_stacks

VERSION = "words-lora16/2"
SECOND_SHARE = 0.7
"""Interpolated weights keep most of both phases (table in docs/models.md)."""
BAG_CONTRASTS = 500
STATE_MIX = {"tfidf": (0.6, 0.4), "both": (0.5, 0.1, 0.4)}
"""Shares of GoEmotions, own n-grams and own network in a state. Our calibration calls are of the same kind
as our training calls, so shares fitted on them forget the 39,000 real comments: frustration in real support
chats then falls from AUC .74 to .70, and nothing is gained on the calibration calls.
"""
Texts = tuple[list[str], Table]


@dataclass(frozen=True)
class Corpora:
    comments: Texts
    held_back: Texts
    requests: Texts

    @classmethod
    def read(cls, data: Path) -> Corpora:
        texts, y = read_goemotions(data / "goemotions" / "train.tsv")
        held = held_back(len(texts))
        requests: list[str] = []
        shares = []
        for name in ("wikipedia", "stack-exchange"):
            asked, share, out = read_politeness(data / "politeness" / f"{name}.annotated.csv")
            requests += [text for text, without in zip(asked, out, strict=True) if not without]
            shares.append(share[~out])
        fit, kept = np.flatnonzero(~held), np.flatnonzero(held)
        return cls(
            ([texts[n] for n in fit], y[fit]),
            ([texts[n] for n in kept], y[kept]),
            (requests, np.concatenate(shares)),
        )


def networks(corpora: Corpora, own: Path, work: Path) -> Model:
    """Both phases; each is kept in `work`."""
    model = Model(path("minilm-l6"))
    first, second = work / "first.pt", work / "second.pt"
    if second.exists():
        model.load_state_dict(torch.load(second, weights_only=True), strict=False)
        return model.eval()
    if first.exists():
        model.load_state_dict(torch.load(first, weights_only=True), strict=False)
    else:
        first_phase(model, corpora.comments, corpora.requests)
        torch.save(model.state_dict(), first)
    customers, agents = (ours(own, channel) for channel in (Channel.CUSTOMER, Channel.AGENT))
    print(f"own calls: {len(customers)} customer turns, {len(agents)} agent turns", flush=True)
    second_phase(model, corpora.comments, corpora.requests, customers, agents)
    torch.save(between(torch.load(first, weights_only=True), model.state_dict()), second)
    return networks(corpora, own, work)


def between(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """SECOND_SHARE of the way from the first phase's weights to the second's; own heads stay as they are."""
    shared = ("encoder.", "heads.labels.", "heads.politeness.")
    return {
        name: torch.lerp(first[name], value, SECOND_SHARE) if name.startswith(shared) else value
        for name, value in second.items()
    }


def ours(own: Path, channel: Channel) -> list[OwnTurn]:
    """What we wrote: the training calls' turns of one channel and the single lines."""
    return own_turns(read_turns(own / "train"), channel) + read_lines(channel)


def bags(corpora: Corpora, own: Path, work: Path) -> dict[str, Any]:
    """The n-gram bags; each is kept in `work`."""
    rng = random.Random(SEED)
    made_up = [
        OwnTurn(text, (), row(states, STATES)) for text, states in map(contrast, [rng] * BAG_CONTRASTS)
    ]
    customers, agents = ours(own, Channel.CUSTOMER) + made_up, ours(own, Channel.AGENT)
    asked, share = corpora.requests
    jobs: dict[str, Any] = {
        "labels": (corpora.comments[0], corpora.comments[1], None),
        "states": (*texts_of(customers), None),
        "behaviours": (*texts_of(agents), None),
        "politeness": (asked, (share[:, None] > 0.5).astype(np.float32), np.abs(2 * share - 1)),
    }
    found: dict[str, Any] = {}
    for name in BAGS:
        file = work / f"bag-{name}.npz"
        if not file.exists():
            np.savez_compressed(file, **fit_bag(name, *jobs[name]))
        with np.load(file, allow_pickle=False) as saved:
            found |= {key: saved[key] for key in saved.files}
    return found


def texts_of(turns: list[OwnTurn]) -> tuple[list[str], Table]:
    return [turn.text for turn in turns], (np.stack([turn.target for turn in turns]) >= PRESENT).astype(
        np.float32
    )


def blank() -> dict[str, Any]:
    """Stand-ins for what is fitted last: plain means."""
    sizes = {"states": (len(STATES), 3), "behaviours": (len(BEHAVIOURS), 2), "politeness": (1, 2)}
    found: dict[str, Any] = {f"thresholds_{way}": np.full(28, 0.5, np.float32) for way in WAYS}
    for name, (outputs, most) in sizes.items():
        for way in WAYS:
            k = most if way == "both" else most - 1
            found[f"stack_{name}_{way}"] = np.tile(np.float32([1 / k] * k + [0]), (outputs, 1))
    return found


def fit(corpora: Corpora, own: Path, arrays: dict[str, Any], encoder: SentenceEncoder) -> dict[str, Any]:
    """Fills in thresholds and stacks; returns how well calibrated the states are without their scenario."""
    arrays |= blank()
    heads = Heads.from_arrays(arrays)
    texts, y = corpora.held_back
    for way, vectors in (("tfidf", None), ("both", encoder.encode(texts))):
        arrays[f"thresholds_{way}"] = best_thresholds(heads.labels(texts, vectors), y)
    turns = read_turns(own / "calibrate")
    report: dict[str, Any] = {}
    for name, channel in (("states", Channel.CUSTOMER), ("behaviours", Channel.AGENT)):
        mine = own_turns(turns, channel)
        scenarios = [turn.scenario for turn in turns if turn.channel is channel]
        said, truth = texts_of(mine)
        opinions = opinions_of(heads, name, mine, encoder)
        for way in WAYS:
            some = opinions if way == "both" else opinions[:-1]
            mix = STATE_MIX[way] if name == "states" else None
            arrays[f"stack_{name}_{way}"] = fit_stacks(some, truth, mix)
            report[f"{name}_{way}"] = expected_error(cross_fitted(some, truth, scenarios, mix), truth)
        print(name, len(said), truth.sum(0), arrays[f"stack_{name}_both"].round(2).tolist(), flush=True)
    return report


def opinions_of(heads: Heads, name: str, turns: list[OwnTurn], encoder: SentenceEncoder) -> list[Floats]:
    """The log-odds that a stack weighs, the network's last."""
    texts = [turn.text for turn in turns]
    vectors = encoder.encode(texts)
    bag: Bag = heads.bags[name]
    if name == "behaviours":
        return [bag.logits(texts), heads.networks[name].logits(vectors)]
    before = mean_before(
        encoder.encode([text for turn in turns for text in turn.previous]),
        [len(turn.previous) for turn in turns],
    )
    return [
        group_logits(heads.labels(texts, vectors)),
        bag.logits(texts),
        heads.networks[name].logits(np.concatenate([vectors, before], axis=1)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with goemotions/ and politeness/")
    parser.add_argument("--own", type=Path, default=FOLDER, help="our own calls: train/ and calibrate/")
    parser.add_argument("--work", type=Path, required=True, help="where stages are kept")
    parser.add_argument("--out", type=Path, default=WEIGHTS.parent)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    corpora = Corpora.read(args.data)
    arrays = bags(corpora, args.own, args.work)
    model = networks(corpora, args.own, args.work)
    adapters = args.out / "adapters.npz"
    np.savez_compressed(adapters, **model.encoder.learned())
    encoder = SentenceEncoder(path("minilm-l6"), adapters)
    arrays |= model.arrays() | {"adapters": np.str_(digest(adapters)), "version": np.str_(VERSION)}
    report = fit(corpora, args.own, arrays, encoder)
    np.savez_compressed(args.out / WEIGHTS.name, **arrays)
    (args.work / "report.json").write_text(json.dumps(report, indent=1))
    size = sum(file.stat().st_size for file in args.out.iterdir()) / 1e6
    print(f"{args.out}: {size:.2f} MB\n{json.dumps(report)}")


if __name__ == "__main__":
    main()
