"""The bench of openings can be run: it makes its own sources in a real product, and calls are answered."""

from __future__ import annotations

import asyncio

import pytest

from bench import openings
from bench.product import Product

pytestmark = [pytest.mark.real, pytest.mark.models]


def test_three_calls_of_three_protocols_are_answered_at_once(real_product: Product) -> None:
    sources = openings.add_sources(real_product, ("audiohook", "asterisk", "audiosocket"))
    for protocol, source in sources.items():
        found = asyncio.run(openings.openings(real_product, source, 3, 0))
        assert (found["answered"], found["rows_within_20_s"], found["failed"]) == (3, 3, []), protocol
