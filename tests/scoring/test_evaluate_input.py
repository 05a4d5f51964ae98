"""Whatever file `python -m scoring.evaluate` is given: a report, or one line that says what is wrong and where."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from scoring import evaluate, evaluate_language
from scoring.language import load_language
from scoring.language_heads import LABELS
from tests.scoring.test_audio import tone, write_wav

LABELS_TXT = "\n".join(LABELS)
PAIRS = "seeker_post,response_post,level\n"
POLITE = "Id,Request,Normalized Score\n"
MANIFEST = "emotion,speaker,file,corpus\n"
SMITH = "my mothers maiden name is Smith"
TURN = '{"floor": "inbound", "text_mt": ["hi"], "Emotion": [%s]}'
CHAT = f'[{{"turns": [{TURN}]}}]'
SCENARIO = "scenario: IN\nindustry: retail\nturns: "
SAID = "turns:\n- {who: customer, state: calm, text: hi}\n"
TIMES = '{"calls": {"one": {"turns": [{"start_ms": 0, "end_ms": 900}]}}}'

GIVEN = {
    "pairs": "empathy-pairs --csv IN --behaviour explore",
    "politeness": "language --politeness IN",
    "chats": "language --support-chats IN",
    "goemotions": "language --goemotions IN --labels labels.txt",
    "labels": "language --goemotions labels.txt --labels IN",
    "speech": "speech --audio a.wav --reference IN --model stand-in",
    "recording": "speech --audio IN --reference labels.txt --model stand-in",
    "speech index": "speech --audio a.wav --reference IN.json --model stand-in",
    "redaction": "redaction --csv IN",
    "voice": "voice --manifest IN --audio . --model stand-in",
    "own turns": "language --rules-only --contact-centre .",
    "script": "calls --scripts . --audio . --stand-in",
    "index": "calls --scripts . --audio . --stand-in",
}
FILES = {"speech index": "IN.json", "own turns": "test/IN.yaml", "script": "one.yaml", "index": "index.json"}

FROM_ONE_FILE = sorted(GIVEN.keys() - {"own turns"})
WRONG: list[tuple[str, str, tuple[str, ...]]] = [
    ("pairs", "a,b\n1,2\n", ("no column seeker_post", "level")),
    ("pairs", PAIRS, ("no rows",)),
    ("pairs", PAIRS + "a,b,1\na,b,x\n", ("row 2", "level", "a number", "'x'")),
    ("pairs", PAIRS + "a,b,nan\n", ("row 1", "level")),
    ("pairs", PAIRS + "a,b\n", ("row 1", "3 fields")),
    ("pairs", PAIRS + "a,b,c,1\n", ("row 1", "3 fields", "quotes")),
    ("pairs", PAIRS + '"a,b,1\n', ("line 2", "CSV")),
    ("politeness", "a,b\n1,2\n", ("no column Id", "Normalized Score")),
    ("politeness", POLITE + "1,hi,abc\n", ("row 1", "Normalized Score", "'abc'")),
    ("chats", "no json", ("not JSON", "turns")),
    ("chats", "{}", ("a list of chats",)),
    ("chats", "[]", ("no sentence", "turns")),
    ("chats", "[3]", ("chat 1", "turns")),
    ("chats", '[{"turns": [5]}]', ("chat 1 turn 1", "inbound")),
    ("chats", CHAT % '"sad"', ("chat 1 turn 1", "Emotion")),
    ("chats", CHAT % "1, 2", ("chat 1 turn 1", "as many")),
    ("chats", CHAT % "99", ("chat 1 turn 1", "0 to 7", "99")),
    ("goemotions", "hi\t1\tid\nhi\t99\tid\n", ("line 2", "0 to 27", "99")),
    ("goemotions", "hi\t-1\tid\n", ("line 1", "0 to 27")),
    ("goemotions", "hi\tx\tid\n", ("line 1", "label ids")),
    ("goemotions", "hi\n", ("line 1", "tab")),
    ("labels", "joy\n", ("28 GoEmotions labels",)),
    ("speech index", "[]", ("calls", "turns")),
    ("speech index", "{}", ("'calls'", "turns")),
    ("speech index", '{"calls": {"b": {}}}', ("does not know 'a'",)),
    ("speech index", '{"calls": {"a": {"turns": [1]}}}', ("turns", "text")),
    ("speech index", '{"calls": {"a": {"turns": [{"text": 1}]}}}', ("turns", "text")),
    ("voice", MANIFEST + "angry,1,x.wav\nsad,1,y.wav,c\n", ("row 1", "4 fields")),
    ("voice", MANIFEST + "angry,1,.,c\n", ("row 1", "file", "name")),
    ("own turns", "a: [", ("cannot be read",)),
    ("own turns", SCENARIO + "5", ("docs/labelling.md",)),
    ("own turns", SCENARIO + "[]", ("docs/labelling.md",)),
    ("own turns", SCENARIO + "[{who: agent, text: hi, behaviours: {}, hard: 5}]", ("docs/labelling.md",)),
    ("script", "a: [", ("not YAML", "turns")),
    ("script", "[]", ("turns",)),
    ("script", "turns: []", ("turns",)),
    ("script", SAID + "- {who: agent, text: hi}", ("2 turns, but 1 times",)),
    ("script", SAID.replace("customer", "nobody"), ("turn 1", "customer or agent")),
    ("script", SAID.replace("calm", "bored"), ("turn 1", "frustration", "'bored'")),
    ("script", SAID.replace("text: hi", "text: 5"), ("turn 1", "text")),
    ("index", "[]", ("calls", "start_ms")),
    ("index", '{"calls": []}', ("calls", "start_ms")),
    ("index", TIMES.replace("900", "0"), ("turn 1", "start_ms < end_ms")),
    ("redaction", f"text,spans\n{SMITH},xyz\n", ("row 1", "'xyz'", "[[27, 32]]", "27-32")),
    ("redaction", f"text,spans\n{SMITH},26;31\n", ("row 1", "'26;31'")),
    ("redaction", f'text,spans\n{SMITH},"[""26-31""]"\n', ("row 1", "27-32")),
    ("redaction", f'text,spans\n{SMITH},"[[26.5, 31]]"\n', ("row 1", "27-32")),
    ("redaction", f"text,spans\n{SMITH},26-31\n{SMITH},26-32\n", ("row 2", "26-32", "31 characters")),
    ("redaction", f"text,spans\n{SMITH},31-26\n", ("row 1", "31-26")),
    ("redaction", f'text,spans\n{SMITH},"[[-5, 31]]"\n', ("row 1", "-5")),
    ("redaction", f"text,secret\n{SMITH},Smyth\n", ("row 1", "'Smyth'", "JSON list")),
    ("redaction", "text,secret\nmy pin,4321\n", ("row 1", "'4321'")),
    ("redaction", "call,text,secret\n1,my name is Smith,\n2,it is,Smith\n", ("row 2", "'Smith'")),
    ("redaction", "call,text,secret\n1,order 99887766,4321\n", ("row 1", "'4321'")),
    ("redaction", f'text,secret\n{SMITH},"[{{""start"": 3}}]"\n', ("row 1", "JSON list")),
    ("redaction", f"text,masked\n{SMITH},[name] is Jones\n", ("row 1", "the masked text")),
    ("redaction", f"text,masked\n{SMITH},{SMITH}[name]\n", ("row 1", "masks nothing")),
    ("redaction", "text,label\nhello\n", ("row 1", "2 fields")),
    ("redaction", "text,secret\nhello, it is Smith,Smith\n", ("row 1", "2 fields", "quotes")),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other file is in order."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluate_language, "load_language", cache(load_language))
    Path("test").mkdir()
    write_wav(Path("a.wav"), [tone(440)], 8000)
    for name, text in {"labels.txt": LABELS_TXT, "one.yaml": SAID, "index.json": TIMES}.items():
        Path(name).write_text(text)


def refusal(capsys: pytest.CaptureFixture[str], options: str) -> str:
    assert evaluate.main([*options.split(), "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("evaluate ") and err.count("\n") == 1
    return err


@pytest.mark.parametrize(("kind", "text", "words"), WRONG)
def test_wrong_text(kind: str, text: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    file = FILES.get(kind, "IN")
    Path(file).write_text(text)
    told = refusal(capsys, GIVEN[kind])
    assert [word for word in (file, *words) if word not in told] == []


@pytest.mark.parametrize("kind", FROM_ONE_FILE)
@pytest.mark.parametrize("fault", ["absent", "folder", "empty", "binary"])
def test_no_text_at_all(kind: str, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(FILES.get(kind, "IN"))
    file.unlink(missing_ok=True)
    if fault == "folder":
        file.mkdir()
    elif fault != "absent":
        file.write_bytes(b"" if fault == "empty" else b"\xff\xfe\x00\x81" * 20)
    told = refusal(capsys, GIVEN[kind])
    assert ("no *.yaml in ." if (kind, fault) == ("script", "absent") else str(file)) in told


@pytest.mark.parametrize("sides", [0, 1])
def test_a_call_that_is_not_two_sides(sides: int, capsys: pytest.CaptureFixture[str]) -> None:
    if sides:
        write_wav(Path("one.opus"), [tone(440)], 8000)
    assert "one.opus" in refusal(capsys, GIVEN["index"])


def test_more_references_than_recordings(capsys: pytest.CaptureFixture[str]) -> None:
    told = refusal(capsys, "speech --audio a.wav --reference labels.txt index.json --model stand-in")
    assert "1 recordings, but 2 references" in told and "labels.txt" in told


@pytest.mark.parametrize(
    "spans",
    [
        *("26-31", "26:31", "26,31", "3:10;26:31", "3-10, 26-31", "[26, 31]", "[[26, 31]]", "[(26, 31)]"),
        *('[{"start": 26, "end": 31}]', "[{'start': 26, 'end': 31}]", '{"start": 26, "end": 31}'),
        *('[[26, 31, "NAME"]]', '[{"start": 26, "end": 31, "sure": true, "note": null}]'),
    ],
)
def test_spans_in_any_sensible_format(spans: str, capsys: pytest.CaptureFixture[str]) -> None:
    quoted = spans.replace('"', '""')
    Path("IN").write_text(f'text,spans\n{SMITH},"{quoted}"\nfine,\nfine,[]\n')
    assert evaluate.main(["redaction", "--csv", "IN", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["planted"], told["leak_rows"], told["n"]) == (1, [1], 3)


@pytest.mark.parametrize(
    "rows",
    [
        "1,a,the number is four one two,4123987\n1,a,three nine eight seven,4123987\n",
        "1,b,and the code?,912\n1,a,nine one two,912\n",
        "1,a,the long number is four one,4123987\n",
        "1,a,it expires 1/33,0133\n",
        ",,john dot smith at mail dot com,john.smith@mail.com\n",
        ",,it is thirty four,304\n",
    ],
)
def test_a_secret_may_stand_in_its_call(rows: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("IN").write_text("call,speaker,text,secret\n" + rows)
    assert evaluate.main(["redaction", "--csv", "IN", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["planted"] == rows.count("\n")


def test_a_politeness_file_too_small_to_judge(capsys: pytest.CaptureFixture[str]) -> None:
    Path("IN").write_text(POLITE + "1,hi,0.5\n")
    assert evaluate.main(["language", "--politeness", "IN", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["politeness"]["IN"]["r"] is None


def test_correlation() -> None:
    assert evaluate_language.correlation(np.array([1, 2, 3]), np.array([2, 4, 6])) == 1.0
    assert evaluate_language.correlation(np.array([1, 1]), np.array([2, 4])) is None
