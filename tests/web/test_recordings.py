"""Recordings by hand: by script in pieces, without scripts in one go, by API; nobody sees another team's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings as site
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from calls import intake, recordings, tasks, tokens
from calls.choices import RecordingState, Scope
from calls.models import Call, Recording, Team, User
from tests.calls.test_recordings import upload, wav, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "swept")]
Open = Callable[..., Any]
API = "/api/v1/recordings/"


@pytest.fixture
def swept(settings: Any) -> Iterator[None]:
    yield
    for recording in Recording.objects.all():
        intake.forget(recording.pk)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def program_of(user: User, *scopes: str) -> Client:
    _, token = tokens.make(user, "pbx", list(scopes or [Scope.FEED]), 7)
    return Client(headers={"Authorization": f"Bearer {token}"})


def announced(client: Client, where: Team, size: int, **said: Any) -> Any:
    body = {"team": where.pk, "layout": "caller-left", "files": [{"name": "a.wav", "size": size}]} | said
    return client.post(API, body, "application/json")


def sent(client: Client, pk: str, body: bytes, offset: int = 0, part: int = 0) -> Any:
    return client.patch(
        f"{API}{pk}/parts/{part}", body, "application/offset+octet-stream", headers={"Upload-Offset": str(offset)}
    )  # fmt: skip


# --- who may -----------------------------------------------------------------------------------------


def test_outsiders_see_nothing(alice: User, bob: User, carol: User, billing: Team) -> None:
    recording = upload(alice, billing, wav(3))
    for path in ("/recordings/", "/recordings/rows"):
        assert Client().get(path).status_code == 302
        assert logged_in(bob).get(path).status_code == 404, "agents upload nothing"
        assert "0.wav" not in logged_in(carol).get(path).content.decode()
        assert "0.wav" in logged_in(alice).get(path).content.decode()
    assert logged_in(carol).post(f"/recordings/{recording.pk}/remove").status_code == 404
    assert logged_in(bob).post("/recordings/", {}).status_code == 404
    theirs = program_of(carol)
    assert theirs.get(API).json()["results"] == []
    assert theirs.get(f"{API}{recording.pk}/").status_code == 404
    assert theirs.delete(f"{API}{recording.pk}/").status_code == 404
    assert sent(theirs, str(recording.pk), b"x").status_code == 404
    assert announced(theirs, billing, 5).status_code == 400
    assert program_of(alice, Scope.CALLS).get(API).status_code == 403
    assert logged_in(bob).get(API).json()["results"] == []
    assert Recording.objects.count() == 1


# --- by API ------------------------------------------------------------------------------------------


def test_by_api_in_pieces(alice: User, bob: User, billing: Team) -> None:
    client, file = program_of(alice), wav(3)
    made = announced(client, billing, len(file), agent="bob", told=True, started_at="2026-11-01T08:00:00Z")
    assert made.status_code == 201, made.content
    told = made.json()
    assert told["state"] == "uploading" and told["parts"] == [{"size": len(file), "received": 0}]
    assert sent(client, told["id"], file[:1000]).json()["parts"][0]["received"] == 1000
    wrong = sent(client, told["id"], file[:10])
    assert wrong.status_code == 409 and "1000 bytes are here" in wrong.json()["detail"]
    again = announced(client, billing, len(file), agent="bob", told=True)
    assert again.status_code == 200 and again.json()["id"] == told["id"], "the same upload goes on"
    done = sent(client, told["id"], file[1000:], 1000)
    assert done.status_code == 200 and done.json()["state"] == "queued"
    assert sent(client, told["id"], b"late", len(file)).json()["state"] == "queued"
    work(Recording.objects.get())
    read = client.get(f"{API}{told['id']}/").json()
    assert (read["state"], read["percent"], read["mixed"]) == ("done", 100, False)
    assert client.get(f"/api/v1/calls/{read['call']}/").status_code == 403, "another scope"
    assert client.get(API).json()["results"][0]["id"] == told["id"]
    assert client.delete(f"{API}{told['id']}/").status_code == 204 and Call.objects.exists()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"layout": "sideways"}, "layout"), ({"files": []}, "files"), ({"files": [{"name": "a", "size": 1}] * 3}, "files"),
        ({"files": [{"name": "a", "size": 0}]}, "size"), ({"files": [{"name": "a", "size": 10**12}]}, "larger than"),
        ({"agent": "nobody"}, "no agent of this team"), ({"started_at": "2999-01-01T00:00:00Z"}, "future"),
        ({"started_at": "0001-01-01T00:00:00+14:00"}, "out of range"), ({"started_at": "1960-01-01T00:00:00Z"}, "from 1970 on"),
        ({"team": 10**6}, "You watch no team"),
        ({"layout": "two-files"}, "choose one for the caller"), ({"files": [{"name": "\0", "size": 5}]}, "name"),
    ],
)  # fmt: skip
def test_what_cannot_be_announced(alice: User, billing: Team, said: dict[str, Any], words: str) -> None:
    answer = announced(program_of(alice), billing, 5, **said)
    assert answer.status_code == 400 and words in answer.content.decode(), answer.content
    assert not Recording.objects.exists()


def test_pieces_that_cannot_be(alice: User, billing: Team, settings: Any, tmp_path: Any) -> None:
    client = program_of(alice)
    pk = announced(client, billing, 10).json()["id"]
    assert sent(client, pk, b"x" * 11).status_code == 422
    assert sent(client, pk, b"x", part=1).status_code == 404
    bare = client.patch(f"{API}{pk}/parts/0", b"x", "application/offset+octet-stream")
    assert bare.status_code == 400 and "Upload-Offset" in bare.json()["errors"]
    assert (
        client.patch(
            f"{API}{pk}/parts/0", b"{}", "application/json", headers={"Upload-Offset": "0"}
        ).status_code
        == 415
    )
    (tmp_path / "file").write_bytes(b"")
    settings.RECORDINGS_DIR = tmp_path / "file"
    full = sent(client, pk, b"x")
    assert full.status_code == 503 and "disk" in full.json()["detail"]
    settings.RECORDINGS_DIR = tmp_path


# --- by hand -----------------------------------------------------------------------------------------


def sheet(name: str, content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def test_without_scripts(alice: User, bob: User, billing: Team) -> None:
    client = logged_in(alice)
    said = {
        "team": str(billing.pk),
        "layout": "caller-left",
        "agent": "bob",
        "started_at": "2026-11-01T08:00",
    }
    two = [sheet("one.wav", wav(3)), sheet("two.wav", wav(4))]
    page = client.post("/recordings/", said | {"files": two}, follow=True).content.decode()
    assert "2 files are here" in page and "one.wav" in page and "two.wav" in page
    both = {"caller_file": sheet("c.wav", wav(3, 300)), "agent_file": sheet("a.wav", wav(3, 500))}
    page = client.post("/recordings/", said | both, follow=True).content.decode()
    assert "c.wav + a.wav" in page
    assert Recording.objects.filter(agent=bob, state=RecordingState.QUEUED).count() == 3
    for recording in Recording.objects.all():
        work(recording)
    page = client.get("/recordings/rows").content.decode()
    assert page.count(">Call</a>") == 3 and "data-busy" not in page
    page = client.get("/calls/").content.decode()
    assert page.count('quiet">recording</span>') == 3 and "Upload recordings" in page
    assert "Upload recordings" not in logged_in(bob).get("/calls/").content.decode()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "Choose at least one file"), ({"files": b""}, "is empty"), ({"team": "", "files": b"x"}, "Choose the team"),
        ({"agent": "carol", "files": b"x"}, "not in this team"), ({"started_at": "yesterday", "files": b"x"}, "Give the time as"),
        ({"started_at": "0001-01-01T00:00", "files": b"x"}, "Give the time as"), ({"layout": "", "files": b"x"}, "which channel"),
        ({"caller_file": b"x"}, "choose one for the caller and one for the agent"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_what_was_chosen_stays(
    alice: User, carol: User, billing: Team, said: dict[str, Any], words: str
) -> None:
    filled = {"team": str(billing.pk), "layout": "agent-left", "told": "1"} | {
        name: sheet("a.wav", value) if isinstance(value, bytes) else value for name, value in said.items()
    }
    page = logged_in(alice).post("/recordings/", filled).content.decode()
    assert words in page and not Recording.objects.exists()
    assert re.search(r'id="told"[^>]* checked', page)


def test_taken_off_the_list(alice: User, billing: Team) -> None:
    waiting = upload(alice, billing, wav(3))
    assert logged_in(alice).post(f"/recordings/{waiting.pk}/remove").status_code == 302
    assert not Recording.objects.exists() and not intake.is_here(waiting.pk)
    runs = upload(alice, billing, wav(30))
    tasks.score_recordings()
    answer = logged_in(alice).post(f"/recordings/{runs.pk}/remove")
    assert answer.status_code == 409 and "being scored" in answer.content.decode()


def aside(do: Callable[[], Any]) -> Any:
    """In another thread: Playwright keeps a loop in this one."""

    def done() -> Any:
        try:
            return do()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(done).result()


@pytest.mark.browser
def test_by_hand(page_for: Open, alice: User, bob: User, billing: Team, travel: Team, tmp_path: Any) -> None:
    alice.supervises.add(travel)
    site.RECORDINGS_DIR.mkdir(parents=True, exist_ok=True)
    long, short = tmp_path / "long call.wav", tmp_path / "short.wav"
    long.write_bytes(wav(200))
    short.write_bytes(b"no audio" * 100)
    page = page_for(alice, color_scheme="dark", viewport={"width": 390, "height": 800})
    page.goto("/recordings/")
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Team", exact=True).select_option(label="Billing")
    page.get_by_label("Agent", exact=True).select_option(label="Bob Okafor")
    page.get_by_label("The caller was told").check()
    page.evaluate(
        """() => { const real = window.fetch; window.broken = 2;
        window.fetch = (path, how) => { const at = how?.headers?.["Upload-Offset"];
          if (at > 0 && window.broken > 0) { window.broken -= 1; return Promise.reject(new TypeError("Failed to fetch")); }
          return real(path, how); }; }"""
    )
    page.get_by_label("Files, one a call").set_input_files([long, short])
    page.get_by_role("button", name="Upload", exact=True).click()
    shown = page.get_by_label("Uploads of this page")
    shown.get_by_text("is here").nth(1).wait_for(timeout=30_000)
    assert page.evaluate("window.broken") == 0, "it went on after the line broke"
    page.locator("tbody").get_by_text("long call.wav").wait_for()
    assert {r.name: r.state for r in Recording.objects.all()} == {
        "long call.wav": "queued",
        "short.wav": "queued",
    }
    taken = Recording.objects.get(name="long call.wav")
    assert (
        taken.agent == bob
        and taken.told
        and (intake._folder(taken.pk) / "0").read_bytes() == long.read_bytes()
    )
    aside(lambda: [work(recording, 200) for recording in Recording.objects.all()])
    page.get_by_text("not audio we can read").wait_for()
    page.get_by_role("link", name="Call", exact=True).click()
    page.wait_for_url("**/calls/*-*/")
    light = page_for(alice, color_scheme="light", viewport={"width": 1280, "height": 900})
    light.goto("/recordings/")
    assert Axe().run(light).response["violations"] == []
    assert recordings.MIXED_NOTE not in light.content()
