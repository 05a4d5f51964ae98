"""Pictures of the pages a floor works with, for looking at: not a bench, and not run with them.

    python -m bench shots [--out FOLDER] [--only NAME]

Each page of the made-up site (tests/web/site.py; 200 calls) at three looks: a wide screen in light and in
dark, and a phone. Prints the folder.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from PIL import Image

from bench.made_up_site import chromium, site

LOOKS = {
    "light": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "device_scale_factor": 2},
}
SETTLED_MS = 2500
COLOURS = 256
"""Of a picture: a third of the bytes, and nobody sees it."""
LIVE = '.line-state[data-line="live"]'
Page = Any


@dataclass(frozen=True)
class Shot:
    address: str
    tiles: int = 200
    lost: bool = False
    """The line to the server is cut, and stays so."""
    then: Callable[[Page], object] | None = None
    """What is done on the page before it is pictured."""
    size: tuple[int, int] | None = None
    """Of the wide looks, where it is another."""


CALL = f"/calls/{UUID(int=1)}/"
OVER = f"/calls/{UUID(int=2)}/"
SHOTS = {
    "floor": Shot("/floor/"),
    "floor-stale": Shot("/floor/", lost=True),
    "floor-paused": Shot("/floor/", then=lambda page: page.keyboard.press("p")),
    "floor-filtered": Shot("/floor/?q=nobody"),
    "floor-empty": Shot("/floor/", tiles=0),
    "floor-empty-stale": Shot("/floor/", tiles=0, lost=True),
    "floor-first": Shot("/floor/?first", tiles=0),
    "floor-help": Shot("/floor/", then=lambda page: page.keyboard.press("?")),
    "wall": Shot("/floor/wall/", size=(1920, 1080)),
    "wall-stale": Shot("/floor/wall/", lost=True, size=(1920, 1080)),
    "wall-empty": Shot("/floor/wall/", tiles=0, size=(1920, 1080)),
    "call-live": Shot(CALL),
    "call-after": Shot(OVER),
    "agent": Shot("/me/"),
}


def take(browser: Any, address: str, shot: Shot, look: dict[str, Any], to: Path) -> None:
    with opened(browser, address, shot, look) as page:
        page.wait_for_timeout(SETTLED_MS)
        if shot.then:
            shot.then(page)
            page.wait_for_timeout(SETTLED_MS / 2)
        page.screenshot(path=to)
    Image.open(to).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(to, optimize=True)


@contextmanager
def opened(browser: Any, address: str, shot: Shot, look: dict[str, Any]) -> Iterator[Page]:
    if shot.size and look["viewport"]["width"] > 1000:
        look = look | {"viewport": {"width": shot.size[0], "height": shot.size[1]}}
    context = browser.new_context(base_url=address, locale="en-GB", timezone_id="UTC", **look)
    page = context.new_page()
    lines: list[Any] = []
    if shot.lost:
        page.route_web_socket("**/ws/**", lambda line: first_only(line, lines))
    page.goto(shot.address)
    page.wait_for_selector(".line-state:not([data-line=waiting])")
    if shot.lost:
        page.wait_for_selector(LIVE)
        page.wait_for_timeout(SETTLED_MS)
        lines[0].close()
        page.wait_for_selector(".headline[data-old]")
    yield page
    context.close()


def first_only(line: Any, lines: list[Any]) -> None:
    lines.append(line)
    if len(lines) == 1:
        line.connect_to_server()
    else:
        line.close()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench shots", description=__doc__)
    parser.add_argument("--out", type=Path, help="a folder; default: a new one under the system's for such")
    parser.add_argument("--only", choices=SHOTS, action="append", help="may be given more than once")
    given = parser.parse_args(arguments)
    out = given.out or Path(tempfile.mkdtemp(prefix="empathy-dash-shots-"))
    out.mkdir(parents=True, exist_ok=True)
    wanted = {name: SHOTS[name] for name in given.only or SHOTS}
    with chromium() as browser:
        for tiles in {shot.tiles for shot in wanted.values()}:
            with site(tiles) as address:
                for name, shot in wanted.items():
                    for look, options in LOOKS.items():
                        if shot.tiles == tiles:
                            take(browser, address, shot, options, out / f"{name}-{look}.png")
    print(out)
    return 0
