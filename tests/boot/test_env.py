"""A setting that cannot be used stops the start, and says which it is and what to do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from empathy_dash import env
from tests.servers import ROOT


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("KNOB", "KNOB_FILE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def settings_with(**variables: str) -> subprocess.CompletedProcess[str]:
    """A process that reads the settings, with these variables and none of ours."""
    program = "from empathy_dash import settings as s; print(s.PORT, s.SECRET_KEY, s.SESSION_COOKIE_SECURE)"
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


# --- one variable ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", True), ("TRUE", True), ("on", True), ("yes", True), ("0", False), ("No", False), ("off", False)],
)
def test_a_flag_is_said_in_many_ways(given: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    given.setenv("KNOB", value)
    assert env.flag("KNOB", not expected) is expected


def test_what_is_not_set_or_empty_is_the_default(given: pytest.MonkeyPatch) -> None:
    assert env.text("KNOB", "x") == "x" and env.integer("KNOB", 7) == 7 and env.flag("KNOB", True) is True
    assert env.words("KNOB", "a, b,,") == ["a", "b"]
    assert env.database("KNOB")["NAME"] == "empathy_dash"
    given.setenv("KNOB", "")
    assert env.integer("KNOB", 7) == 7 and env.flag("KNOB", True) is True


def test_a_bad_flag_or_number_is_named(given: pytest.MonkeyPatch) -> None:
    given.setenv("KNOB", "maybe")
    with pytest.raises(env.EnvError, match=r"^KNOB='maybe': use 1 or 0$"):
        env.flag("KNOB")
    with pytest.raises(env.EnvError, match=r"^KNOB='maybe': use a whole number$"):
        env.integer("KNOB", 7)


@pytest.mark.parametrize("wrong", ["fast", "nan", "inf", "1,5"])
def test_a_bad_decimal_is_named(given: pytest.MonkeyPatch, wrong: str) -> None:
    assert env.decimal("KNOB", 2.0) == 2.0
    given.setenv("KNOB", wrong)
    with pytest.raises(env.EnvError, match=rf"^KNOB='{wrong}': use a number, e.g. 2.0$"):
        env.decimal("KNOB", 2.0)
    given.setenv("KNOB", "1.5")
    assert env.decimal("KNOB", 2.0) == 1.5


def test_a_value_may_lie_in_a_file(given: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "knob"
    path.write_text("12\n")
    given.setenv("KNOB", "7")
    given.setenv("KNOB_FILE", str(path))
    assert env.text("KNOB") == "12" and env.integer("KNOB", 0) == 12


def test_a_file_that_cannot_be_read_is_named(given: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "nothing"
    given.setenv("KNOB_FILE", str(path))
    with pytest.raises(
        env.EnvError, match=re.escape(f"KNOB_FILE={path} cannot be read: No such file or directory")
    ):
        env.text("KNOB", "x")


# --- the database ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://ann:p%40ss@db:5433/calls", ("ann", "p@ss", "db", "5433", "calls")),
        ("postgres://db", ("", "", "db", "", "empathy_dash")),
        ("postgresql://ann@%2Frun%2Fpostgres/calls", ("ann", "", "/run/postgres", "", "calls")),
        ("postgresql://ann@%2Frun%2Fpostgres:5433/calls", ("ann", "", "/run/postgres", "5433", "calls")),
        ("postgresql:///calls?host=/run/postgres&port=5433", ("", "", "/run/postgres", "5433", "calls")),
        ("postgresql:///calls?host=%2Frun%2Fpostgres", ("", "", "/run/postgres", "", "calls")),
    ],
)
def test_a_database_url_may_name_a_host_or_a_socket_folder(
    given: pytest.MonkeyPatch, url: str, expected: tuple[str, ...]
) -> None:
    given.setenv("KNOB", url)
    found = env.database("KNOB")
    assert tuple(found[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")) == expected
    assert found["OPTIONS"] == {}


def test_what_else_a_database_url_says_is_kept(given: pytest.MonkeyPatch) -> None:
    given.setenv("KNOB", "postgresql://db/calls?sslmode=require")
    assert env.database("KNOB")["OPTIONS"] == {"sslmode": "require"}


BAD_URLS = [
    "mysql://ann:hunter2@db/calls",
    "postgresql://ann:hunt er2@db/calls",
    "postgresql://ann:hunter2@[db",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_bad_database_url_is_named(given: pytest.MonkeyPatch, url: str) -> None:
    given.setenv("KNOB", url)
    with pytest.raises(env.EnvError, match="^KNOB is not a PostgreSQL URL: use postgresql://"):
        env.database("KNOB")


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_bad_database_url_does_not_show_its_password(url: str) -> None:
    done = settings_with(DATABASE_URL=url)
    assert done.returncode != 0 and "DATABASE_URL is not a PostgreSQL URL" in done.stderr
    assert "er2" not in done.stderr


# --- all of them -----------------------------------------------------------------------------------


def test_the_defaults_run_on_a_laptop() -> None:
    done = settings_with()
    assert done.returncode == 0 and done.stdout.startswith("8000 insecure-laptop-key"), done.stderr


def test_a_bad_variable_stops_the_start() -> None:
    done = settings_with(PORT="eighty")
    assert done.returncode != 0 and "PORT='eighty': use a whole number" in done.stderr


def test_the_laptops_key_is_refused_where_it_is_no_laptop() -> None:
    done = settings_with(PUBLIC_URL="https://calls.example.org")
    assert done.returncode != 0 and "set SECRET_KEY" in done.stderr


def test_a_key_from_a_file_is_taken_and_cookies_are_secure(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("a-long-and-random-key\n")
    done = settings_with(PUBLIC_URL="https://calls.example.org", SECRET_KEY_FILE=str(path))
    assert done.stdout == "8000 a-long-and-random-key True\n", done.stderr
