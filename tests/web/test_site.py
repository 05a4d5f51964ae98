"""The made-up site, which the floor's bench and whoever works on the looks rely on, still opens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

OPEN = """
import uuid
from tests.web import site
from django.test import Client
for address in ("/floor/", "/floor/wall/", "/me/", f"/calls/{uuid.UUID(int=1)}/", "/language/words.js"):
    found = Client().get(address)
    print(address, found.status_code, len(found.content) > 500)
"""


def test_its_pages_open() -> None:
    settings = {"DJANGO_SETTINGS_MODULE": "tests.web.site_settings"}
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", OPEN], cwd=root, env=os.environ | settings, capture_output=True, text=True
    )
    lines = ran.stdout.splitlines()
    assert len(lines) == 5 and all(line.endswith("200 True") for line in lines), (
        ran.stdout + ran.stderr[-2000:]
    )
