"""The trained heads that ship, with the sentence encoder where its weights are on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scoring import evaluate
from scoring.assets import AssetMissing, path
from scoring.evaluate_language import auc
from scoring.language import FusedLanguage, TurnText
from scoring.language_heads import LABELS, WEIGHTS, Heads, counts, group_logits, words_of
from scoring.rubric import default_rubric
from scoring.types import Channel

HEADS = Heads.load()
MODEL = FusedLanguage(default_rubric(), HEADS, None)


def test_shipped_weights_are_small_and_hold_no_objects() -> None:
    assert WEIGHTS.stat().st_size < 3_000_000
    with np.load(WEIGHTS, allow_pickle=False) as saved:
        assert saved["weights"].dtype == np.int8


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
    assert LABELS[int(np.argmax(HEADS.tfidf_labels(text)))] == label


def test_heads_are_for_the_customer_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(FusedLanguage, "opinions", lambda self, texts: [seen.append(t) or {} for t in texts])
    MODEL.read(
        [
            TurnText(Channel.AGENT, "I am furious"),
            TurnText(Channel.CUSTOMER, "my bill"),
            TurnText(Channel.CUSTOMER, " "),
        ]
    )
    assert seen == ["my bill"]


def test_readings_keep_their_places() -> None:
    turns = [
        TurnText(Channel.AGENT, "hello"),
        TurnText(Channel.CUSTOMER, "I'm fed up"),
        TurnText(Channel.CUSTOMER, ""),
    ]
    agent, customer, nothing = MODEL.read(turns)
    assert agent.behaviours and customer.states["frustration"] > 0.8
    assert max(nothing.states.values()) == 0


def test_grouped_odds_grow_with_any_member() -> None:
    low, high = np.full((1, 28), 0.05, np.float32), np.full((1, 28), 0.05, np.float32)
    high[0, LABELS.index("anger")] = 0.9
    assert group_logits(high)[0, 0] > 2 > 0 > group_logits(low)[0, 0]


def test_the_encoder_gives_unit_vectors_that_do_not_depend_on_the_batch() -> None:
    from scoring.sentence_encoder import SentenceEncoder

    try:
        encoder = SentenceEncoder(path("minilm-l6"))
    except AssetMissing as missing:
        pytest.skip(str(missing))
    texts = ["How do I reset my password?", "I forgot my password, what now?", "The weather is nice"]
    vectors = encoder.encode(texts)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(encoder.encode(texts[:1])[0], vectors[0], atol=1e-4)
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
