"""`python -m scoring.evaluate voice`: its figures, and what it says when the input is wrong."""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from scoring import evaluate
from scoring.training.voice import measure
from scoring.training.voice.clips import Archive, read_manifest, windows_of
from scoring.types import CustomerWindow
from scoring.voice import EMOTIONS, STAND_IN, Baseline, VoiceScore

ROWS = [  # file, corpus, speaker, gender, emotion, split
    ("c/one.wav", "c", "s1", "F", "angry", "val"),
    ("c/two.wav", "c", "s1", "F", "calm", "val"),
    ("c/three.wav", "c", "s2", "M", "fearful", "val"),
    ("c/four.wav", "c", "s2", "M", "boredom", "val"),
    ("d/five.wav", "d", "s3", "", "sad", "train"),
]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICE_MODEL", STAND_IN)


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for i, row in enumerate(ROWS):
        file = tmp_path / "audio" / row[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, rng.uniform(-0.3, 0.3, 16000 * (1 + 2 * i)), 16000)
    return tmp_path / "audio"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_manifest(tmp_path / "manifest.csv", ROWS)


def write_manifest(
    path: Path, rows: list[tuple[str, ...]], columns: str = "file corpus speaker gender emotion split"
) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns.split(), *rows])
    return path


def run(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    code = evaluate.main(["voice", *map(str, argv), "--json"])
    out, err = capsys.readouterr()
    return code, out, err


def test_report(manifest: Path, audio: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--manifest", manifest, "--audio", audio, "--baseline", "causal")
    report = json.loads(out)
    assert code == 0
    assert {c: r["n"] for c, r in report["by_corpus"].items()} == {"c": 3, "d": 1}
    assert report["left_out"] == {"boredom": 1}
    assert report["windows_per_cpu_second"] > 0
    corpus = report["by_corpus"]["c"]
    assert set(corpus["uar_by_gender"]) == {"F", "M"}
    assert corpus["labels"] == list(EMOTIONS)
    assert np.sum(corpus["confusion"]) == 3
    assert corpus["coverage"][0]["keep"] == 1.0
    assert report["baseline"] == "causal" and "baseline causal" in err and "UAR" in err


def test_tar_and_split(
    manifest: Path, audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(tmp_path / "c.tar", "w") as tar:
        tar.add(audio / "c", "c")
    code, out, _ = run(capsys, "--manifest", manifest, "--audio", tmp_path / "c.tar", "--split", "val")
    assert code == 0 and json.loads(out)["by_corpus"]["c"]["n"] == 3


def test_missing_clips_are_counted_not_hidden(
    manifest: Path, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (audio / "c" / "one.wav").unlink()
    code, out, err = run(capsys, "--manifest", manifest, "--audio", audio)
    assert code == 0 and json.loads(out)["missing_audio"] == 1
    assert "c/one.wav" in err


def test_no_manifest(audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(
        run(capsys, "--manifest", tmp_path / "nope.csv", "--audio", audio), "nope.csv", "--manifest"
    )


def test_manifest_without_the_columns(
    audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = write_manifest(tmp_path / "bad.csv", [("a", "b")], "path label")
    assert_refused(run(capsys, "--manifest", bad, "--audio", audio), "no column file", "emotion")


def test_unknown_split(manifest: Path, audio: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(
        run(capsys, "--manifest", manifest, "--audio", audio, "--split", "test"), "'test'", "'val'"
    )


def test_only_other_emotions(audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bored = write_manifest(tmp_path / "bored.csv", [ROWS[3]])
    assert_refused(run(capsys, "--manifest", bored, "--audio", audio), "boredom", "angry")


def test_audio_that_is_no_archive(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(
        run(capsys, "--manifest", manifest, "--audio", manifest), "manifest.csv", "tar file or a folder"
    )


def test_audio_without_the_clips(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert_refused(run(capsys, "--manifest", manifest, "--audio", tmp_path / "empty"), "c/one.wav", "--audio")


def test_a_clip_that_is_no_audio(manifest: Path, audio: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (audio / "c" / "two.wav").write_text("hello")
    assert_refused(run(capsys, "--manifest", manifest, "--audio", audio), "c/two.wav", "convert")


def test_a_path_out_of_the_folder_is_not_read(
    audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sly = write_manifest(tmp_path / "sly.csv", [("../audio/c/one.wav", "c", "s", "F", "angry", "val")])
    assert_refused(run(capsys, "--manifest", sly, "--audio", audio), "../audio/c/one.wav")


def test_a_model_that_is_not_there(manifest: Path, audio: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(
        run(capsys, "--manifest", manifest, "--audio", audio, "--model", "/nope"), "/nope", "VOICE_MODEL"
    )


def assert_refused(result: tuple[int, str, str], *words: str) -> None:
    code, out, err = result
    assert code == 2 and out == "" and "Traceback" not in err
    for word in words:
        assert word in err


def test_figures_by_hand() -> None:
    truth = np.array([0, 0, 0, 5])
    probs = np.full((4, 6), 0.08)
    probs[[0, 1, 2, 3], [0, 0, 3, 5]] = 0.6
    report = measure.metrics(truth, probs, np.array(["F", "F", "M", ""]))
    assert report["uar"] == pytest.approx((2 / 3 + 1) / 2, abs=1e-4)
    assert report["accuracy"] == 0.75
    assert report["ece"] == pytest.approx(0.15)
    assert report["uar_by_gender"] == {"F": 1.0, "M": 0.0}
    assert report["distress_auc"] is None  # nobody here is undistressed
    assert report["false_alarm_at_80_recall"] is None


def test_auc_counts_ties_half() -> None:
    assert measure.auc(np.array([True, False, True, False]), np.array([1.0, 1.0, 2.0, 0.0])) == 0.875


def test_false_alarms_at_80_percent_recall() -> None:
    distressed = np.array([True] * 5 + [False] * 4)
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.1, 0.95, 0.6, 0.3, 0.2])
    assert measure.false_alarm(distressed, score, 0.8) == 0.5  # four of five found at 0.6


class Remembering:
    """A voice model that says only how many of a caller's windows it has heard."""

    version = "remembering"

    def score(
        self, windows: Sequence[CustomerWindow], baselines: Sequence[Baseline] | None = None
    ) -> list[VoiceScore]:
        scores = []
        for baseline in baselines or [Baseline() for _ in windows]:
            share = 1 / (1 + baseline.of(self.version).count)
            scores.append(VoiceScore(dict.fromkeys(EMOTIONS, share), share, self.version))
            baseline.hear(np.ones(3, np.float32))
        return scores


def test_causal_baseline_is_the_speakers_earlier_clips(manifest: Path, audio: Path) -> None:
    clips, _ = read_manifest(manifest)
    alone, _, _ = measure.score_clips(Remembering(), Archive([audio]), clips)
    causal, _, _ = measure.score_clips(Remembering(), Archive([audio]), clips, causal=True)
    assert alone[:, 0].tolist() == [1.0] * 4
    assert causal[[0, 1, 2], 0] == pytest.approx([1.0, 1 / 2, (1 + 1 / 2 + 1 / 3) / 3])


def test_windows_cover_a_clip() -> None:
    clip = np.arange(8000 * 7)
    assert [len(w) for w in windows_of(clip[:100])] == [100]
    assert [w[0] for w in windows_of(clip)] == [0, 12000, 24000, 32000]
    assert windows_of(clip)[-1][-1] == clip[-1]
