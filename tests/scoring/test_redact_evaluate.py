"""`python -m scoring.evaluate redaction`: any sensible CSV, and what it counts."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from scoring.evaluate import main
from scoring.evaluate_redaction import survives


def report(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, object]:
    assert main([*args, "--json"]) == 0
    loaded: dict[str, object] = json.loads(capsys.readouterr().out)
    return loaded


def test_redaction_counts_leaks_and_overreach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "planted.csv"
    path.write_text(
        "call,channel,text,secret,keep\n"
        "1,customer,my card is 4111 1111,41111111,\n"
        "1,customer,1111 1111,11111111,\n"
        "2,customer,I paid $150 in 2023,,$150\n"
        "3,customer,the word is swordfish,swordfish,\n"
    )
    told = report(capsys, "redaction", "--csv", str(path))
    assert (told["leaks"], told["over_redacted"], told["n"]) == (1, 0, 4)
    assert told["leak_rows"] == [4]


def test_redaction_with_labels_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("text,label\nfour one one one one one one one one,card\nit took 3 days,none\nfine,card\n")
    told = report(capsys, "redaction", "--csv", str(path))
    assert (told["leaks"], told["over_redacted"], told["n"]) == (1, 0, 3)


@pytest.mark.parametrize("content", ["", "words\nhello\n", "text\nhello\n"])
def test_bad_csv_is_refused(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    assert main(["redaction", "--csv", str(path)]) == 2
    assert "bad.csv" in capsys.readouterr().err


def test_the_error_names_what_is_there_and_what_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("phrase,answer\nhello,no\n")
    assert main(["redaction", "--csv", str(path)]) == 2
    told = capsys.readouterr().err
    assert all(word in told for word in ("phrase, answer", "utterance", "secrets", "must_keep", "spans"))


TEXT = "call me at 415-555-0134, it cost $20"
SHAPES = {
    "words": [{"Utterance": TEXT, "Secrets": '["415-555-0134"]', "must_keep": "$20"}],
    "digits": [{"transcript": TEXT, "must_not_appear": "4155550134", "survivors": "$20"}],
    "spans": [{"text": TEXT, "spans": "[[11, 23]]", "keep": "$20"}],
    "named spans": [{"text": TEXT, "span": '[{"start": 11, "end": 23}]', "keep": "$20"}],
    "plain spans": [{"text": TEXT, "offsets": "11-23"}],
    "masked": [{"input": TEXT, "expected": "call me at [PHONE], it cost $20"}],
    "label": [{"sentence": TEXT, "label": "phone"}],
    "yes": [{"text": TEXT, "has_pii": "yes"}],
    "turns": [{"turns": '["my card is 4111 1111", "1111 1111"]', "secret": "4111111111111111"}],
    "turns between bars": [{"text": "my card is 4111 1111 || 1111 1111", "secret": "4111111111111111"}],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_many_shapes_of_csv(shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shape.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(SHAPES[shape][0]))
        writer.writeheader()
        writer.writerows(SHAPES[shape])
    told = report(capsys, "redaction", "--csv", str(path))
    assert (told["leaks"], told["over_redacted"], told["n"], told["planted"]) == (0, 0, 1, 1)


@pytest.mark.parametrize(
    ("secret", "left"),
    [
        ("4111222233334444", "so it was [card] two double three [card] 3 then"),
        ("4111222233334444", "2 and 2, 23"),
        ("4111222233334444", "won too too too please"),
        ("4111222233334444", "three fours [card] forty-four"),
        ("912", "nine, one [code] two"),
        ("swordfish", "Sword-fish"),
        ("maria", "m as in mike a r i a"),
        ("one two three four", "one two three four"),
    ],
)
def test_what_somebody_could_still_read(secret: str, left: str) -> None:
    assert survives(secret, left)


@pytest.mark.parametrize(
    "left", ["[card]", "for me too", "I paid 41 on the 12th", "[card] thank you for that"]
)
def test_what_nobody_could(left: str) -> None:
    assert not survives("4111222233334444", left)
