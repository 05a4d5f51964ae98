"""Signatures and tokens."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.access import MediaSource
from calls.ingest import auth

URL = "wss://calls.example/media/twilio/main/"
SOURCE = MediaSource(1, "main", 1, "twilio", True, ("now", "before"), URL, True, {}, False)


@pytest.mark.parametrize("caller,signature", [
    ("+14158675309", "RSOYDt4T1cUTdK1PDd93/VVr8B8="), ("+12349013030", "0/KCTR6DLpKmkAf8muzZqo1nDgQ="),
])  # fmt: skip
def test_twilios_own_examples(caller: str, signature: str) -> None:
    """From Twilio's library and documentation; a form's fields follow the address in the text."""
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    form = f"CallSidCA1234567890ABCDECaller{caller}Digits1234From{caller}To+18005551212"
    assert auth.sign("12345", url + form) == signature


@pytest.mark.parametrize("secret,url,fits", [
    ("now", URL, True), ("before", URL, True), ("now", URL[:-1], True), ("older", URL, False),
    ("now", URL.replace("wss", "https"), False), ("now", URL + "?x=1", False), ("", URL, False),
])  # fmt: skip
def test_what_fits(secret: str, url: str, fits: bool) -> None:
    assert auth.signed(SOURCE, auth.sign(secret, url)) is fits


@given(st.text(max_size=60))
def test_no_header_makes_it_raise(given_text: str) -> None:
    text = given_text.encode("utf-8", "replace").decode("latin-1")
    assert not auth.signed(SOURCE, text) and auth.read_token(SOURCE, "CA1", text) is None


def test_a_token_is_for_one_call_one_source_and_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    token = auth.mint_token(SOURCE, "CA1", ttl_s=60)
    read = auth.read_token(SOURCE, "CA1", token)
    assert read and read.expires_s > time.time()
    assert auth.read_token(SOURCE, "CA2", token) is None
    assert auth.read_token(MediaSource(**{**vars(SOURCE), "slug": "other"}), "CA1", token) is None
    assert auth.read_token(MediaSource(**{**vars(SOURCE), "secrets": ("new", "now")}), "CA1", token) == read
    expires, rest = token.split(".", 1)
    assert auth.read_token(SOURCE, "CA1", f"{int(expires) + 1}.{rest}") is None
    real = time.time()
    monkeypatch.setattr(time, "time", lambda: real + 61)
    assert auth.read_token(SOURCE, "CA1", token) is None


def test_a_source_without_a_secret_admits_nobody() -> None:
    bare = MediaSource(**{**vars(SOURCE), "secrets": ()})
    assert not auth.signed(bare, auth.sign("", URL)) and not auth.signed(bare, "")
    with pytest.raises(ValueError):
        auth.mint_token(bare, "CA1")
