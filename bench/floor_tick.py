"""Main-thread time the floor takes per one-second tick, by number of tiles, in headless Chromium.

    python -m bench floor_tick [tiles …]     # default 40 100 200; prints JSON, asserts nothing

Runs the real templates and scripts over made-up calls (tests/web/site.py): every call has a new point each
second. `task_ms` is all CPU time of Chromium's main thread in a tick (parsing the message, script, style,
layout, paint); `draw_ms` is wall-clock time of the one animation frame, so it grows on a busy machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TICKS = 20
SITE = {"DJANGO_SETTINGS_MODULE": "tests.web.site_settings"}
"""The runner has set up the product's settings; the made-up site has its own."""
PARTS = {
    "task_ms": "TaskDuration",
    "script_ms": "ScriptDuration",
    "style_ms": "RecalcStyleDuration",
    "layout_ms": "LayoutDuration",
}
# Times each drawing call by itself: requestAnimationFrame is called once per tick by painter.js alone.
TIMED = """
const ask = window.requestAnimationFrame.bind(window);
window.draws = [];
window.requestAnimationFrame = (draw) => ask((now) => {
  const began = performance.now();
  draw(now);
  document.body.offsetHeight;
  window.draws.push(performance.now() - began);
});
"""


def measure(playwright: Any, tiles: int, port: int) -> dict[str, Any]:
    site = subprocess.Popen(
        [sys.executable, "-m", "tests.web.site", str(port)],
        cwd=ROOT, env=os.environ | SITE | {"TILES": str(tiles)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}/floor/"
        wait_for(address)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.add_init_script(TIMED)
        page.goto(address)
        page.wait_for_selector('.line-state[data-line="live"]')
        page.wait_for_timeout(7000)
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
        before, first = metrics(devtools), page.evaluate("window.draws.length")
        page.wait_for_timeout(TICKS * 1000)
        after, draws = metrics(devtools), sorted(page.evaluate(f"window.draws.slice({first})"))
        browser.close()
    finally:
        site.terminate()
        site.wait()
    ticks = len(draws)
    parts = {name: round(1000 * (after[key] - before[key]) / ticks, 2) for name, key in PARTS.items()}
    draw = {"draw_ms_median": round(draws[ticks // 2], 2), "draw_ms_max": round(draws[-1], 2)}
    return {"tiles": tiles, "ticks": ticks} | draw | parts


def metrics(devtools: Any) -> dict[str, float]:
    return {item["name"]: item["value"] for item in devtools.send("Performance.getMetrics")["metrics"]}


def wait_for(address: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"{address} does not answer")


def main(arguments: list[str]) -> int:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        results = [measure(playwright, int(n), 8790 + i) for i, n in enumerate(arguments or (40, 100, 200))]
    print(json.dumps({"what": "floor tick, main thread", "floor_tick": results}, indent=2))
    return 0
