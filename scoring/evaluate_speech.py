"""The `speech` task of `python -m scoring.evaluate` (SCIENCE §9)."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scoring.evaluate_input import read_json, read_text
from scoring.training.data import DataError

Report = dict[str, Any]

# --- speech ---------------------------------------------------------------------------------


def speech_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--audio", type=Path, nargs="+", required=True, help="recordings")
    parser.add_argument(
        "--reference",
        type=Path,
        nargs="+",
        required=True,
        help="what was said: one text file per recording, or one index.json of the demo calls",
    )
    parser.add_argument("--model", help="an asset, a folder (default: SPEECH_MODEL, else whisper-base)")
    parser.add_argument("--device", default="cpu")


def speech(options: argparse.Namespace) -> tuple[Report, str]:
    """WER over all files together; CPU per second of recording (both sides count once)."""
    from scoring.audio import AudioError
    from scoring.speech import load_speech

    references = _references(options.audio, options.reference)
    try:
        model = load_speech(options.model, options.device)
        files = [_measure(model, path, said) for path, said in zip(options.audio, references, strict=True)]
    except (AudioError, ValueError) as error:
        raise DataError(str(error)) from error
    words = sum(file["words"] for file in files)
    seconds = sum(file["seconds"] for file in files)
    report = {
        "wer": sum(file["errors"] for file in files) / max(1, words),
        "cpu_s_per_audio_s": sum(file["cpu_s"] for file in files) / seconds,
        "cpu_s_per_speech_s": sum(file["cpu_s"] for file in files)
        / max(1e-9, sum(file["speech_s"] for file in files)),
        "words": words,
        "seconds": seconds,
        "model": model.version,
        "files": files,
    }
    lines = [f"{file['wer']:.3f}  {file['words']:5d} words  {file['audio']}" for file in files]
    total = f"WER {report['wer']:.3f}, {report['cpu_s_per_audio_s']:.3f} CPU-s per audio-s ({model.version})"
    return report, "\n".join([*lines, total])


def _references(audio: Sequence[Path], references: Sequence[Path]) -> list[str]:
    if len(references) == 1 and references[0].suffix == ".json":
        expected = '{"calls": {name of the recording: {"turns": [{"text": …}, …]}, …}}'
        calls = read_json(references[0], expected)
        try:
            return [" ".join(turn["text"] for turn in calls["calls"][path.stem]["turns"]) for path in audio]
        except KeyError as error:
            raise DataError(f"{references[0]} does not know {error}; expected {expected}") from None
        except TypeError:
            raise DataError(f"{references[0]}: expected {expected}") from None
    if len(references) != len(audio):
        raise DataError(
            f"{len(audio)} recordings, but {len(references)} references "
            f"({', '.join(map(str, references))}); expected a text file per recording or one index.json"
        )
    return [read_text(path, "what was said in the recording, as text") for path in references]


def _measure(model: Any, path: Path, said: str) -> Report:
    """Each side through the same listening as a live call, then the turns in order of time."""
    from scoring import listen
    from scoring.audio import looks_mixed, read_recording
    from scoring.types import HOP_SAMPLES, Channel

    recording = read_recording(path)
    sides = recording.samples[:1] if looks_mixed(recording) else recording.samples
    vad = listen.Silero()
    spans = []
    for side in sides:
        ear = listen.Ear(listen.Segmenter(), side, 0, len(side) // HOP_SAMPLES)
        _, heard = listen.listen(ear, listen.activity([ear], vad)[0], Channel.AGENT, closing=True)
        told = {turn.start_ms: turn for turn in heard.turns}  # a reopened turn is told again, longer
        spans += [(turn, listen.cut(side, 0, turn.start_ms, turn.end_ms)) for turn in told.values()]
    spans.sort(key=lambda item: item[0].start_ms)
    start = time.process_time()
    texts = [transcript.text for transcript in model.transcribe([audio for _, audio in spans])]
    cpu_s = time.process_time() - start
    reference, got = plain_words(said), plain_words(" ".join(texts))
    errors = edits(reference, got)
    return {
        "audio": path.name,
        "words": len(reference),
        "errors": errors,
        "wer": errors / max(1, len(reference)),
        "cpu_s": cpu_s,
        "seconds": recording.seconds,
        "speech_s": sum(len(audio) for _, audio in spans) / 8000,
        "turns": len(spans),
    }


TO_ELEVEN = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")
TO_NINETEEN = ("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
UNITS = TO_ELEVEN + TO_NINETEEN
DECADES = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SAME = {"mister": "mr", "okay": "ok", "alright": "all right", "ok": "ok"}


def plain_words(text: str) -> list[str]:
    """Lower case, no marks, figures under 100 as words, a few spellings made one."""
    text = re.sub(r"(?<=\d)[,.](?=\d)", "", text.lower().replace("’", "'"))
    text = re.sub(r"\d+", lambda found: f" {_spoken(found.group())} ", text)
    words = re.sub(r"[^a-z' ]+", " ", text).split()
    return " ".join(SAME.get(word.strip("'"), word.strip("'")) for word in words).split()


def _spoken(figures: str) -> str:
    value = int(figures)
    if value < 20:
        return UNITS[value]
    if value < 100:
        return DECADES[value // 10] + (f" {UNITS[value % 10]}" if value % 10 else "")
    return " ".join(UNITS[int(digit)] for digit in figures)


def edits(reference: Sequence[str], got: Sequence[str]) -> int:
    """Levenshtein distance over words."""
    row = list(range(len(got) + 1))
    for i, word in enumerate(reference, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]
