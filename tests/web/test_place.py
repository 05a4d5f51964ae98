"""static/js/place.js puts a list in order and moves no more of it than it must."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
RUN = """async (cases) => {
  const { place } = await import('/static/js/place.js');
  return cases.map(([was, wanted]) => {
    const nodes = new Map();
    const node = (id) => nodes.get(id) ?? nodes.set(id, document.createElement('li')).get(id);
    const list = document.createElement('ul');
    list.append(...was.map(node));
    const watch = new MutationObserver(() => {});
    watch.observe(list, { childList: true });
    const moved = place(list, wanted.map(node));
    const put = watch.takeRecords().flatMap((record) => [...record.addedNodes]).length;
    const ids = new Map([...nodes].map(([id, each]) => [each, id]));
    return { moved, put, now: [...list.children].map((each) => ids.get(each)) };
  });
}"""
ROUNDS = 200


def fewest_moves(was: list[int], wanted: list[int]) -> int:
    """By trying every choice of those that stay."""
    at = {node: place for place, node in enumerate(was)}
    known = [at[node] for node in wanted if node in at]
    rising = (
        size
        for size in range(len(known), -1, -1)
        for kept in combinations(known, size)
        if list(kept) == sorted(kept)
    )
    return len(wanted) - next(rising)


def test_any_order_is_reached_by_the_fewest_moves(page_for: Callable[..., Any]) -> None:
    dice, cases = random.Random(4), [([], []), ([], [1]), ([1, 2, 3], [2, 3, 1]), ([1, 2, 3], [3, 2, 1])]
    for _ in range(ROUNDS):
        wanted = dice.sample(range(9), dice.randrange(8))
        cases.append((dice.sample(wanted, dice.randint(0, len(wanted))), wanted))
    page = page_for(None)
    page.goto("/account/login/")
    for (was, wanted), got in zip(cases, page.evaluate(RUN, cases), strict=True):
        moves = fewest_moves(was, wanted)
        assert got == {"now": wanted, "put": moves, "moved": moves > 0}, (was, wanted)


def test_what_goes_to_another_list_next_does_no_harm(page_for: Callable[..., Any]) -> None:
    """Tiles that leave the band are in it still while those that stay are put in order."""
    page = page_for(None)
    page.goto("/account/login/")
    [got] = page.evaluate(RUN, [([1, 2, 3, 4, 5], [4, 2, 6])])
    assert [node for node in got["now"] if node not in (1, 3, 5)] == [4, 2, 6]
