"""One caller on three screens: anxious → a cue → a fitting answer → taken → calm; and an alert's life.

Everything is real: speech in over the phone line's protocol, models, workers, database, sockets, browser.
How soon a cue comes is measured by `python -m bench nudges`, not here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from streamdouble.api import call as place_call
from streamdouble.session import SessionConfig

from bench.product import Product, wait_for
from calls import demo
from scoring.audio import read_recording
from tests.e2e.conftest import media_address
from tests.web.conftest import CHROMIUM

pytestmark = [pytest.mark.real, pytest.mark.models, pytest.mark.browser]
SOON_MS = 60_000
"""Room for a machine that transcribes two calls on two slow cores."""


def spliced(folder: Path, slug: str, *stretches: tuple[float, float]) -> tuple[Path, Path]:
    """(customer, agent) wav files of some stretches, in seconds, of a demo call, one after the other."""
    folder.mkdir(exist_ok=True)
    recording = read_recording(demo.load(slug).audio_path)
    for name, samples in zip(("customer", "agent"), recording.samples, strict=False):
        pieces = [np.asarray(samples)[int(a * 8000) : int(b * 8000)] for a, b in stretches]
        soundfile.write(folder / f"{name}.wav", np.concatenate(pieces), 8000, subtype="PCM_16")
    return folder / "customer.wav", folder / "agent.wav"


@pytest.fixture
def screen(real_product: Product) -> Iterator[Callable[..., Any]]:
    """Opens a page of the running product as somebody."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def open_as(username: str, path: str) -> Any:
            context = browser.new_context(base_url=real_product.url)
            cookies = real_product.log_in(username).cookies
            context.add_cookies(
                [{"name": c.name, "value": c.value, "url": real_product.url} for c in cookies]
            )
            page = context.new_page()
            page.set_default_timeout(SOON_MS)
            page.goto(path)
            return page

        yield open_as
        browser.close()


def placed(running: Product, wav: Path, config: SessionConfig) -> threading.Thread:
    thread = threading.Thread(
        target=lambda: asyncio.run(place_call(media_address(running), audio_path=wav, config=config))
    )
    thread.start()
    return thread


def call_id(running: Product, label: str) -> str:
    [(found,)] = wait_for(lambda: running.sql("select id from calls_call where label = %s", label))
    return str(found)


def test_an_anxious_caller_is_answered_and_calms(
    real_product: Product,
    screen: Callable[..., Any],
    config_for: Callable[..., SessionConfig],
    tmp_path: Path,
) -> None:
    agent, floor = screen("maya.torres", "/me/"), screen("alice", "/floor/")
    customer_wav, agent_wav = spliced(tmp_path / "worry", "medicine-delivery-missed", (0, 31.4), (95.9, 117))
    line = placed(real_product, customer_wav, config_for(real_product, agent_wav, label="anxious to calm"))
    found = call_id(real_product, "anxious to calm")
    tile = floor.locator(f'.tile[data-id="{found}"]')

    # The caller turns anxious: the floor says so, and the agent gets a cue.
    tile.and_(floor.locator('[data-state="anxiety"]')).wait_for()
    assert tile.get_attribute("data-risk") in ("watch", "help")
    agent.locator("[data-cue]:not([hidden])").wait_for()
    assert "what happens next" in agent.locator("[data-cue-words]").inner_text()
    assert agent.locator("[data-phrases] blockquote").count() >= 1

    # The agent answers with a fitting phrase: the cue is taken.
    agent.get_by_text("you did it").first.wait_for()

    # The caller recovers, and the floor calms.
    tile.and_(floor.locator('[data-risk="calm"]')).wait_for()
    agent.get_by_text("the caller calmed down").first.wait_for()
    line.join()
    whole = screen("alice", f"/calls/{found}/")
    cues = whole.locator("[data-cues-section]")
    cues.get_by_text("what happens next").wait_for()
    assert cues.locator("dd", has_text="yes").count() == 1


def test_the_life_of_an_alert(
    real_product: Product,
    screen: Callable[..., Any],
    config_for: Callable[..., SessionConfig],
    tmp_path: Path,
) -> None:
    floor, outsider = screen("alice", "/floor/"), screen("carol", "/floor/")
    customer_wav, agent_wav = spliced(tmp_path / "harm", "escalation-handled-badly", (0, 60))
    line = placed(real_product, customer_wav, config_for(real_product, agent_wav, label="an alert"))
    found = call_id(real_product, "an alert")

    # Raised: the tile goes up into the band, and says why.
    floor.locator(f'[data-band] .tile[data-id="{found}"]').wait_for()
    call = screen("alice", f"/calls/{found}/")
    alert = call.locator("[data-alerts] li", has_text="sound").first
    alert.wait_for()
    assert "Nobody looks after it yet" in alert.inner_text()

    # Acknowledged by somebody, at a time; resolved with words.
    alert.get_by_role("button", name="Acknowledge").click()
    alert.get_by_text("Acknowledged by").wait_for()
    alert.get_by_role("button", name="Resolve …").click()
    alert.get_by_role("textbox").fill("Took the call over")
    alert.get_by_role("button", name="Resolve", exact=True).click()
    alert.get_by_text("Resolved by").wait_for()
    assert call.locator("[data-alerts] li", has_text="sound").first.get_attribute("data-resolved") is not None
    line.join()
    [(who, title)] = real_product.sql(
        "select u.username, a.title from calls_alert a join calls_user u on u.id = a.resolved_by_id"
        " where a.call_id = %s",
        found,
    )
    assert who == "alice" and "sound" in title
    assert outsider.locator(".tile").count() == 0
