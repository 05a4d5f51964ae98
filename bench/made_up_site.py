"""The made-up site of tests/web/site.py, and a browser to measure or picture its pages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from empathy_dash import embedded

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.web.site_settings"}
"""The runner has set up the product's settings; the made-up site has its own."""


@contextmanager
def site(tiles: int, urgent: bool = False) -> Iterator[str]:
    """Its address, while it runs with so many calls on the floor; `urgent`: every tick cannot wait."""
    port = embedded.free_ports()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.web.site", str(port)],
        cwd=ROOT, env=os.environ | SETTINGS | {"TILES": str(tiles), "URGENT": "1" if urgent else ""},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/floor/")
        yield address
    finally:
        process.terminate()
        process.wait()


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


def wait_for(address: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"{address} does not answer")
