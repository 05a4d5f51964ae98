from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from scoring.training.data import DataError
from scoring.training.labelled_turns import FOLDER, read_scenario, read_turns
from scoring.types import DISTRESS, Behaviour, Channel

GOOD = """
scenario: {name}
industry: travel
turns:
  - {{who: customer, text: "where is my bag", states: {{anxiety: .5}}, hard: [context]}}
  - {{who: agent, text: "Let me look.", behaviours: {{reassure: .25}}}}
  - {{who: customer, text: "you said that an hour ago", states: {{frustration: .75, anxiety: .25}}}}
  - {{who: customer, text: "hello", states: {{}}}}
"""


def scenario(folder: Path, name: str = "lost-bag", text: str = GOOD) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text.format(name=name))
    return path


def test_a_turn_comes_with_the_same_speakers_turns_before_it(tmp_path: Path) -> None:
    turns = read_scenario(scenario(tmp_path))
    assert [t.previous for t in turns] == [
        (),
        (),
        ("where is my bag",),
        ("where is my bag", "you said that an hour ago"),
    ]
    assert turns[0].states == {"anxiety": 0.5}
    assert turns[1].behaviours == {"reassure": 0.25}
    assert turns[0].hard == ("context",)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (("anxiety: .5", "worry: .5"), "turn 1: states must map"),
        (("anxiety: .5", "anxiety: .6"), "0.25, 0.5, 0.75, 1.0"),
        (("states: {{anxiety: .5}}", "behaviours: {{own: 1}}"), "may not have behaviours"),
        (('text: "where is my bag"', "text: 5"), "turn 1: text is missing"),
        (("who: agent", "who: robot"), "turn 2: needs who"),
        (("industry: travel", "trade: travel"), "scenario, industry and turns"),
        (("scenario: {name}", "scenario: other"), "must equal the file's name"),
        (("turns:", "turns: ["), "cannot be read"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path: Path, edit: tuple[str, str], says: str) -> None:
    path = scenario(tmp_path, text=GOOD.replace(*edit, 1))
    with pytest.raises(DataError, match="lost-bag.yaml") as error:
        read_scenario(path)
    assert says in str(error.value)


def test_an_empty_folder_says_where_to_read_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"docs/labelling\.md"):
        read_turns(tmp_path)


@pytest.mark.parametrize("split", ["train", "calibrate", "test"])
def test_our_own_turns_are_well_formed_and_wide(split: str) -> None:
    turns = read_turns(FOLDER / split)
    customer = [t for t in turns if t.channel is Channel.CUSTOMER]
    agent = [t for t in turns if t.channel is Channel.AGENT]
    assert len(turns) >= 200
    for state in DISTRESS:
        assert sum(t.states.get(state, 0) >= 0.5 for t in customer) >= 10, state
    for behaviour in Behaviour:
        assert sum(t.behaviours.get(behaviour, 0) >= 0.5 for t in agent) >= 5, behaviour
    assert sum(max(t.states.values(), default=0) < 0.5 for t in customer) >= 0.3 * len(customer)
    assert sum(bool(t.hard) for t in turns) >= 0.15 * len(turns)
    assert len({t.text for t in turns}) == len(turns)


def test_no_scenario_and_no_sentence_is_in_two_splits() -> None:
    splits = {name: read_turns(FOLDER / name) for name in ("train", "calibrate", "test")}
    paths = [path.stem for name in splits for path in (FOLDER / name).glob("*.yaml")]
    assert len(set(paths)) == len(paths)
    long = [{t.text.lower() for t in turns if len(t.text.split()) > 4} for turns in splits.values()]
    assert not (long[0] & long[1] or long[0] & long[2] or long[1] & long[2])


def test_the_set_has_six_hundred_turns_to_calibrate_and_test() -> None:
    assert len(read_turns(FOLDER / "calibrate")) + len(read_turns(FOLDER / "test")) >= 600


def test_every_file_is_plain_yaml_of_strings() -> None:
    for path in FOLDER.rglob("*.yaml"):
        assert isinstance(yaml.safe_load(path.read_text())["industry"], str), path
