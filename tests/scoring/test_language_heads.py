"""The trained heads that ship, with the sentence encoder where its weights are on this machine."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from scoring import evaluate
from scoring.assets import AssetMissing, path
from scoring.evaluate_language import auc
from scoring.language import FusedLanguage, Opinion, TurnText, load_encoder, sentences
from scoring.language_heads import (
    LABELS,
    WEIGHTS,
    Heads,
    counts,
    group_logits,
    mean_before,
    stacked,
    words_of,
)
from scoring.rubric import default_rubric
from scoring.sentence_encoder import ADAPTERS, SentenceEncoder, digest
from scoring.types import Channel

HEADS = Heads.load()
ATOL = 1e-4
MODEL = FusedLanguage(default_rubric(), HEADS, None)


@cache
def served() -> FusedLanguage:
    """The shipped model with the sentence encoder, where its weights are."""
    encoder = load_encoder()
    if encoder is None:
        pytest.skip("the minilm-l6 weights are not on this machine")
    return FusedLanguage(default_rubric(), HEADS, encoder)


def test_shipped_weights_are_small_and_hold_no_objects() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.parent.iterdir()) < 4_000_000
    for file in (WEIGHTS, ADAPTERS):
        with np.load(file, allow_pickle=False) as saved:
            assert all(saved[name].dtype != object for name in saved.files)
    assert all(bag.weights.dtype == np.int8 for bag in HEADS.bags.values())


def test_heads_know_their_adapters() -> None:
    assert HEADS.adapters == digest(ADAPTERS)
    stranger = SimpleNamespace(adapters="none")
    with pytest.raises(ValueError, match="need adapters"):
        FusedLanguage(default_rubric(), HEADS, stranger)  # type: ignore[arg-type]


def test_marks_are_words() -> None:
    assert words_of("Why?! I’m lost") == ["why", "?", "!", "i'm", "lost"]
    assert counts("why?") != counts("why")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("thank you for this", "gratitude"),
        ("I am so confused right now", "confusion"),
        ("this makes me angry", "anger"),
    ],
)
def test_labels_of_plain_sentences(text: str, label: str) -> None:
    assert LABELS[int(np.argmax(HEADS.labels([text], None)[0]))] == label


def test_each_channel_meets_its_own_heads_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agent words never become states, customer words never behaviours; nor do they as context."""
    met: dict[str, list[str]] = {"states": [], "behaviours": [], "politeness": []}
    for name in met:
        real = getattr(Heads, name)
        monkeypatch.setattr(
            Heads,
            name,
            lambda self, texts, *rest, name=name, real=real: (
                met[name].extend(texts) or real(self, texts, *rest)
            ),
        )
    readings = MODEL.read(
        [
            TurnText(Channel.AGENT, "I am furious and so sorry", ("hello",)),
            TurnText(Channel.CUSTOMER, "my bill", ("it came today",)),
            TurnText(Channel.CUSTOMER, " "),
        ]
    )
    assert met == {
        "states": ["my bill"],
        "behaviours": ["I am furious and so sorry"],
        "politeness": ["I am furious and so sorry"],
    }
    assert not readings[0].states and not readings[1].behaviours


@pytest.mark.parametrize("text", ["?", "?!", "Где мой заказ?", "¿Qué?", "..."])
def test_words_nobody_taught_are_no_evidence(text: str) -> None:
    language = FusedLanguage(default_rubric(), Heads.load(), None)
    assert language.read([TurnText(Channel.CUSTOMER, text)])[0].states == {}


def test_nobody_is_accused_by_heads_alone() -> None:
    """Owning a fault sounds like blaming to the heads; a phrase must name it, or they must be very sure."""
    against = default_rubric().penalties.harm_strength
    owned, said = MODEL.read(
        [
            TurnText(Channel.AGENT, "It shouldn't have happened twice."),
            TurnText(Channel.AGENT, "You should have read the terms."),
        ]
    )
    assert owned.behaviours["blaming"] < against <= said.behaviours["blaming"]


def test_readings_keep_their_places() -> None:
    turns = [
        TurnText(Channel.AGENT, "hello"),
        TurnText(Channel.CUSTOMER, "I'm fed up"),
        TurnText(Channel.CUSTOMER, ""),
    ]
    agent, customer, nothing = MODEL.read(turns)
    assert agent.behaviours and customer.states["frustration"] > 0.5
    assert nothing.states == {}


def test_grouped_odds_grow_with_any_member() -> None:
    low, high = np.full((1, 28), 0.05, np.float32), np.full((1, 28), 0.05, np.float32)
    high[0, LABELS.index("anger")] = 0.9
    assert group_logits(high)[0, 0] > 2 > 0 > group_logits(low)[0, 0]


def test_earlier_turns_are_averaged_per_turn() -> None:
    earlier = np.eye(3, 384, dtype=np.float32)
    means = mean_before(earlier, [2, 0, 1])
    assert means[0, :3].tolist() == [0.5, 0.5, 0] and means[1].sum() == 0 and means[2, 2] == 1


def test_a_stack_weighs_log_odds() -> None:
    p = stacked(np.float32([[2, 0, 1]]), [np.float32([[0.5]]), np.float32([[9]])])
    assert p[0, 0] == pytest.approx(1 / (1 + np.exp(-2)))


def test_a_heads_quote_is_the_sentence_that_says_it() -> None:
    assert sentences("So. It broke! Why?") == ["So.", "It broke!", "Why?"]
    assert [len(part.split()) for part in sentences("word " * 30)] == [14, 14, 2]
    opinion = Opinion({"own": 0.8, "explore": 0.1}, {"own": "my mistake"})
    (cue,) = opinion.cues(["own", "explore"])
    assert (cue.label, cue.quote, cue.source) == ("own", "my mistake", "heads")


def folder_of_minilm() -> Path:
    try:
        return path("minilm-l6")
    except AssetMissing as missing:
        pytest.skip(str(missing))


def test_the_open_encoder_gives_unit_vectors_that_do_not_depend_on_the_batch() -> None:
    encoder = SentenceEncoder(folder_of_minilm(), None)
    texts = ["How do I reset my password?", "I forgot my password, what now?", "The weather is nice"]
    vectors = encoder.encode(texts)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    again = SentenceEncoder(folder_of_minilm(), None).encode(texts[:1])
    assert np.allclose(again[0], vectors[0], atol=ATOL)
    assert vectors[0] @ vectors[1] == pytest.approx(0.7955, abs=0.005)
    assert vectors[0] @ vectors[2] < 0.1


def test_auc_counts_ties_half() -> None:
    assert auc([0.1, 0.4, 0.4, 0.8], [False, False, True, True]) == 0.875
    assert auc([1.0], [True]) is None


def test_evaluate_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chat = [
        {
            "turns": [
                {
                    "floor": "inbound",
                    "text_mt": ["this is ridiculous", "my number is four"],
                    "text_src": ["x", "y"],
                    "Emotion": [5, 2],
                },
                {
                    "floor": "outbound",
                    "text_mt": ["x", "y"],
                    "text_src": ["I'm so sorry about that", "your number"],
                    "Emotion": [0, 2],
                },
            ]
        }
    ]
    (tmp_path / "chats.json").write_text(json.dumps(chat))
    assert (
        evaluate.main(["language", "--support-chats", str(tmp_path / "chats.json"), "--rules-only", "--json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)["support_chats"]
    assert (found["n"], found["auc"]["frustration"], found["auc"]["agent_empathy"]) == (4, 1.0, 1.0)
    assert found["auc"]["anxiety"] is None
    (tmp_path / "pairs.csv").write_text(
        "seeker_post,response_post,level\na,that must be so hard for you,2\nb,blue,0\n"
    )
    assert (
        evaluate.main(
            ["empathy-pairs", "--csv", str(tmp_path / "pairs.csv"), "--behaviour", "acknowledge", "--json"]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out) == {"n": 2, "any_vs_none_auc": 1.0}
    assert (
        evaluate.main(["empathy-pairs", "--csv", str(tmp_path / "chats.json"), "--behaviour", "explore"]) == 2
    )


HARD_CUSTOMER = [
    ("I'm not terrified or anything, I just want to know when it comes", "", "anxiety"),
    ("no I'm not worried about it", "", "anxiety"),
    ("I'm really not angry with you", "", "frustration"),
    ("it's not that I'm confused, I just want it in writing", "", "confusion"),
    ("I'm afraid I don't have the reference number", "", "anxiety"),
    ("I was frightened that day but I'm fine now", "", "anxiety"),
    ("great, just great, another month without internet", "frustration", "satisfaction"),
    ("oh wonderful, so I pay twice and get nothing", "frustration", "satisfaction"),
    ("thanks a lot for leaving me on hold for an hour", "frustration", "satisfaction"),
    ("okay thanks bye", "", "satisfaction"),
    ("oh that is such a relief thank you so much", "satisfaction", "frustration"),
    ("I'm worried sick they'll turn off the heating", "anxiety", "satisfaction"),
    ("wait I don't understand, you said it was free", "confusion", "satisfaction"),
    ("what time do you open on sundays", "", "confusion"),
    ("this is the fourth time I've explained this and nobody listens", "frustration", "satisfaction"),
    ("my husband passed away and his name is still on the account", "sadness", "satisfaction"),
    ("my neighbour got really angry about it but I don't mind", "", "frustration"),
]
HARD_AGENT = [
    ("sorry, could you repeat that?", "", "own"),
    ("I'm sorry you feel that way", "", "own"),
    ("I'm sorry, that was our mistake and I'll put it right", "own", "dismissive"),
    ("that must have been such a worry for you", "acknowledge", "dismissive"),
    ("what happened just before the screen went black", "explore", "own"),
    ("can I take your date of birth please", "", "explore"),
    ("I'll have it refunded by friday and text you when it's done", "reassure", "dismissive"),
    ("there's nothing I can do, that's our policy", "dismissive", "reassure"),
    ("well you should have read the contract before you signed", "blaming", "acknowledge"),
    ("thank you for calling, have a lovely day", "courtesy", "own"),
    ("one moment", "", "dismissive"),
]


def test_hard_cases_by_the_heads_alone() -> None:
    """Negation, sarcasm, bare thanks, scripts: what is meant must be likelier than what is not."""
    wrong = []
    for channel, cases in ((Channel.CUSTOMER, HARD_CUSTOMER), (Channel.AGENT, HARD_AGENT)):
        opinions = served().opinions([TurnText(channel, text) for text, _, _ in cases])
        for (text, meant, not_meant), opinion in zip(cases, opinions, strict=True):
            limit = opinion.of[meant] if meant else 0.5
            if opinion.of[not_meant] >= limit:
                wrong.append((text, not_meant, round(opinion.of[not_meant], 2)))
    assert len(wrong) <= 3, wrong  # of 28; a ratchet: what is left is sarcasm and a refusal in soft words
    assert not {"no I'm not worried about it", "I'm really not angry with you"} & {
        text for text, _, _ in wrong
    }


def test_the_served_encoder_agrees_with_the_one_that_was_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merged and packed, whatever precision this CPU serves: same vectors and same decisions as plain fp32."""
    import torch

    from scoring import sentence_encoder

    texts = [text for text, _, _ in (*HARD_CUSTOMER, *HARD_AGENT)]
    fast = served()._encoder
    monkeypatch.setattr(sentence_encoder, "fastest_dtype", lambda: torch.float32)
    monkeypatch.setattr(sentence_encoder.Linear, "packs", False)
    plain = SentenceEncoder(folder_of_minilm())
    assert fast is not None
    assert (fast.encode(texts) * plain.encode(texts)).sum(1).min() > 0.998
    a, b = (HEADS.behaviours(texts, encoder.encode(texts)) for encoder in (fast, plain))
    assert np.abs(a - b).max() < 0.06
    assert plain.encode(["x"]) @ SentenceEncoder(folder_of_minilm(), None).encode(["x"]).T < 0.99
