"""Main-thread time the floor takes per one-second tick, by number of tiles, in headless Chromium.

    python -m bench floor_tick [tiles …]     # default 40 120 200; prints JSON, asserts nothing

Runs the real templates and scripts over made-up calls (tests/web/site.py): every call has a new point each
second. `task_ms` is all CPU time of Chromium's main thread in a tick (parsing the message, script, style,
layout, paint); `draw_ms` is wall-clock time of the one animation frame, so it grows on a busy machine.
`floor_tick` is a laptop's screen, where most of many tiles are out of sight, the median of three rounds taken
in turn; `all_in_view` one so large (3840 × 3200) that every tile is seen. `in_view` says how many were.
`urgent` is the laptop's screen where each tick also tells of something urgent, so that they come every 0.4 s,
as fast as they may, and each of the calls has a new point in each.

The same code takes twice the time on another machine, or on this one when neighbours are busy. So each figure
comes with `yardstick_ms`, taken in the same seconds: what the main thread of another Chromium needs to write
and draw 300 lines of text once a second. It tells a bad minute; to compare versions, run them by turns.
`faults` are page faults of both per second: where a virtual machine takes back memory that lay idle,
a page pays for getting it again in each tick.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from bench.made_up_site import chromium, site

SECONDS = 20
ROUNDS = 3
MINFLT = 7
"""Which of the fields of /proc/…/stat after the name (proc(5))."""
LAPTOP = {"width": 1440, "height": 900}
HUGE = {"width": 3840, "height": 3200}
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
IN_VIEW = """[...document.querySelectorAll(".tile")].map((tile) => tile.getBoundingClientRect())
  .filter((box) => box.height && box.bottom > 0 && box.top < innerHeight).length"""
LINES = "<!doctype html><ul>" + "<li>a line</li>" * 300 + "</ul>"
WRITE_ALL = """() => {
  let turn = 0;
  const write = () => {
    let at = 0;
    turn += 1;
    for (const line of document.querySelectorAll("li")) line.textContent = `line ${at++} of turn ${turn}`;
  };
  setInterval(() => requestAnimationFrame(write), 1000);
}"""


def opened(browser: Any, screen: dict[str, int]) -> tuple[Any, Any]:
    """A page with a process of its own, and what tells its main thread's time."""
    page = browser.new_context(viewport=screen).new_page()
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    return page, devtools


def faults(browser: Any) -> int:
    """Minor page faults of all of Chromium's renderers so far."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    stats = [Path(f"/proc/{each['id']}/stat").read_text() for each in processes if each["type"] == "renderer"]
    return sum(int(stat.rpartition(")")[2].split()[MINFLT]) for stat in stats)


def measure(browser: Any, tiles: int, screen: dict[str, int], urgent: bool = False) -> dict[str, Any]:
    lines, yardstick = opened(browser, LAPTOP)
    lines.set_content(LINES)
    lines.evaluate(WRITE_ALL)
    with site(tiles, urgent) as address:
        page, devtools = opened(browser, screen)
        page.add_init_script(TIMED)
        page.goto(f"{address}/floor/")
        page.wait_for_selector('.line-state[data-line="live"]')
        page.wait_for_timeout(7000)
        first, faults_before = page.evaluate("window.draws.length"), faults(browser)
        before, began = metrics(devtools), metrics(yardstick)
        page.wait_for_timeout(SECONDS * 1000)
        after, ended = metrics(devtools), metrics(yardstick)
        draws, new_faults = page.evaluate(f"window.draws.slice({first})"), faults(browser) - faults_before
        in_view = page.evaluate(IN_VIEW)
        for each in (page, lines):
            each.context.close()
    parts = {name: 1000 * (after[key] - before[key]) / len(draws) for name, key in PARTS.items()}
    yard = 1000 * (ended["TaskDuration"] - began["TaskDuration"]) / SECONDS
    figures = {"yardstick_ms": yard, "draw_ms_median": median(draws), "draw_ms_max": max(draws), **parts}
    whole = {"tiles": tiles, "in_view": in_view, "ticks": len(draws), "faults": new_faults // SECONDS}
    return whole | {name: round(value, 2) for name, value in figures.items()}


def middle(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The round whose tick took the median time, with all of them beside it."""
    taken = [each["task_ms"] for each in rounds]
    return next(each for each in rounds if each["task_ms"] == median(taken)) | {"task_ms_of_rounds": taken}


def metrics(devtools: Any) -> dict[str, float]:
    return {item["name"]: item["value"] for item in devtools.send("Performance.getMetrics")["metrics"]}


def main(arguments: list[str]) -> int:
    counts = [int(n) for n in arguments] or [40, 120, 200]
    with chromium() as browser:
        rounds = [
            [(measure(browser, n, LAPTOP), measure(browser, n, LAPTOP, urgent=True)) for n in counts]
            for _ in range(ROUNDS)
        ]
        of_counts = list(zip(*rounds, strict=True))
        results = {
            "floor_tick": [middle([calm for calm, _ in of_count]) for of_count in of_counts],
            "urgent": [middle([urgent for _, urgent in of_count]) for of_count in of_counts],
            "all_in_view": [measure(browser, n, HUGE) for n in counts],
        }
    print(json.dumps({"what": "floor tick, main thread"} | results, indent=2))
    return 0
