"""Programs of others that speak a protocol to us, where no Python package does: `python -m tests.clients`.

Fetched once from the npm registry, checked by their digest, run by the Node that Playwright brings.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
import urllib.request
from pathlib import Path

AUDIOSOCKET = "asterisk-audiosocket", "0.1.0"
SHA512 = {
    AUDIOSOCKET: "390e987011d48165283ffd29a4f774ccbcb5861ea6c4de797598599ebc04a83c"
    "431305d17e8aa3547d743d2800d68d60855bf10367144b751ae36aac92051bf9",
}


def folder(client: tuple[str, str]) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "empathy-dash" / "clients" / "-".join(client)


def fetch(client: tuple[str, str]) -> Path:
    """Its folder. OSError where the registry cannot be reached; ValueError for other bytes than we know."""
    if (found := folder(client)).is_dir():
        return found
    name, version = client
    address = f"https://registry.npmjs.org/{name}/-/{name}-{version}.tgz"
    with urllib.request.urlopen(address, timeout=60) as answer:
        packed = answer.read(10_000_000)
    if hashlib.sha512(packed).hexdigest() != SHA512[client]:
        raise ValueError(f"{address} is not what it was: nothing was unpacked")
    part = found.with_suffix(f".{os.getpid()}.part")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(part, filter="data")
    (part / "package").rename(found)
    part.rmdir()
    return found


def node() -> str:
    """The Node.js that came with Playwright."""
    from playwright._impl._driver import compute_driver_executable

    return str(compute_driver_executable()[0])


if __name__ == "__main__":
    for wanted in SHA512:
        try:
            fetch(wanted)
        except OSError as error:
            print(f"{'-'.join(wanted)}: {error}. Its test will say so and skip.", file=sys.stderr)
