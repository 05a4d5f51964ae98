"""A YAML text with some values changed: comments, order and spelling of everything else stay as they were.

Pure: knows nothing of rubrics. What the text cannot take in place is written anew, so the values are right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Reads the same some thirty times faster where libyaml is there."""
PLAIN = re.compile(r"[a-z][a-z-]*[a-z]")
"""Words that need no quotes, but for those YAML takes for something else."""


@dataclass(frozen=True)
class Changes:
    """`sets`: new values by path; a mapping's key that was not there is added. `drops`: keys and entries of
    lists to leave out, by their path before. `adds`: entries for the ends of lists. `swap`: two entries that
    change places.
    """

    sets: Mapping[Path, Any] = field(default_factory=dict)
    drops: frozenset[Path] = frozenset()
    adds: Mapping[Path, Sequence[Any]] = field(default_factory=dict)
    swap: tuple[Path, Path] | None = None

    def __bool__(self) -> bool:
        return bool(self.sets or self.drops or self.adds or self.swap)


def edit(text: str, changes: Changes) -> str:
    """`text`: YAML without anchors that reads without errors. A path that leads nowhere is left out."""
    old = _load(text)
    new = _changed(old, (), changes)
    if repr(new) == repr(old):
        return text
    node = yaml.compose(text, Loader=LOADER)
    if node is None:  # an empty text
        return _dumped(new)
    made = text
    edits = sorted(_edits(text, node, (), changes), key=lambda edit: edit[:2])
    for start, end, instead in edits[::-1]:  # from the back; of two at one place the first stays the first
        made = made[:start] + instead + made[end:]
    return made if _reads_as(made, new) else _dumped(new)


def _load(text: str) -> Any:
    return yaml.load(text, Loader=LOADER)


def _reads_as(text: str, wanted: object) -> bool:
    try:
        return repr(_load(text)) == repr(wanted)
    except (yaml.YAMLError, ValueError):
        return False


# --- the values ----------------------------------------------------------------------------------------


def _changed(value: Any, path: Path, changes: Changes) -> Any:
    if path in changes.sets:
        return changes.sets[path]
    if isinstance(value, dict):
        kept = {
            key: _changed(inner, (*path, key), changes)
            for key, inner in value.items()
            if (*path, key) not in changes.drops
        }
        return kept | {str(key): _plain(new) for key, new in _fresh(value, path, changes)}
    if isinstance(value, list):
        items = [
            _changed(inner, (*path, at), changes)
            for at, inner in enumerate(value)
            if (*path, at) not in changes.drops
        ]
        if changes.swap and changes.swap[0][:-1] == path:
            a, b = (int(way[-1]) for way in changes.swap)
            if max(a, b) < len(items) and not changes.drops:
                items[a], items[b] = items[b], items[a]
        return [*items, *changes.adds.get(path, ())]
    return value


def _fresh(value: Mapping[Any, Any], path: Path, changes: Changes) -> Iterator[tuple[str, Any]]:
    """Keys to add to this mapping: what `sets` says below them, put together."""
    found: dict[str, Any] = {}
    for way, new in changes.sets.items():
        if len(way) > len(path) and way[: len(path)] == path and way[len(path)] not in value:
            into = found
            if any(isinstance(step, int) for step in way[len(path) :]):
                continue
            for step in way[len(path) : -1]:
                into = into.setdefault(str(step), {})
            into[str(way[-1])] = new
    yield from found.items()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# --- the text ------------------------------------------------------------------------------------------

Edit = tuple[int, int, str]


def _edits(text: str, node: yaml.Node, path: Path, changes: Changes) -> Iterator[Edit]:
    """What to put in place of which characters. None overlap."""
    if path in changes.sets:
        yield _start(node), _end(node), _flow(changes.sets[path])
    elif isinstance(node, yaml.MappingNode):
        yield from _edits_of_mapping(text, node, path, changes)
    elif isinstance(node, yaml.SequenceNode):
        yield from _edits_of_list(text, node, path, changes)


def _edits_of_mapping(text: str, node: yaml.MappingNode, path: Path, changes: Changes) -> Iterator[Edit]:
    value: dict[str, yaml.Node] = {key.value: inner for key, inner in node.value}
    fresh = dict(_fresh(value, path, changes))
    gone = {key for key in value if (*path, key) in changes.drops}
    if (fresh or gone) and (node.flow_style or len(gone) == len(value)):
        whole = _load(text[_start(node) : _end(node)])
        yield _start(node), _end(node), _flow(_changed(whole, path, changes))
        return
    for key, inner in node.value:
        if key.value in gone:
            yield _line_start(text, _start(key)), _line_end(text, _end(inner)) + 1, ""
        elif isinstance(inner, yaml.SequenceNode) and _emptied(text, inner, (*path, key.value), changes):
            colon = text.index(":", _end(key)) + 1
            yield colon, _end(inner), _written(text, inner, (*path, key.value), changes, _column(text, key))
        else:
            yield from _edits(text, inner, (*path, key.value), changes)
    if fresh and node.value:
        at, pad = _line_end(text, _end(node)), " " * _column(text, node.value[0][0])
        yield at, at, "".join(f"\n{pad}{key}: {_flow(new)}" for key, new in fresh.items())


def _edits_of_list(text: str, node: yaml.SequenceNode, path: Path, changes: Changes) -> Iterator[Edit]:
    gone = {at for at in range(len(node.value)) if (*path, at) in changes.drops}
    fresh = changes.adds.get(path, ())
    if node.flow_style and (gone or fresh):
        whole = _load(text[_start(node) : _end(node)])
        yield _start(node), _end(node), _flow(_changed(whole, path, changes))
        return
    if changes.swap and changes.swap[0][:-1] == path:
        a, b = (int(way[-1]) for way in changes.swap)
        if max(a, b) < len(node.value):
            spans = [(_start(node.value[at]), _end(node.value[at])) for at in (a, b)]
            yield (*spans[0], text[slice(*spans[1])])
            yield (*spans[1], text[slice(*spans[0])])
        return
    for at, inner in enumerate(node.value):
        if at in gone:
            yield _line_start(text, _start(inner)), _line_end(text, _end(inner)) + 1, ""
        else:
            yield from _edits(text, inner, (*path, at), changes)
    if fresh:
        at, pad = _line_end(text, _end(node)), _line_start(text, _start(node))
        indent = re.match(r" *", text[pad:])
        yield at, at, "".join("\n" + _item(new, len(indent[0]) if indent else 0) for new in fresh)


def _emptied(text: str, node: yaml.SequenceNode, path: Path, changes: Changes) -> bool:
    """A list that begins or ends without entries: where its entries stand changes."""
    fresh = changes.adds.get(path, ())
    gone = sum((*path, at) in changes.drops for at in range(len(node.value)))
    return path not in changes.sets and bool(fresh or gone) and (gone == len(node.value))


def _written(text: str, node: yaml.SequenceNode, path: Path, changes: Changes, column: int) -> str:
    fresh = changes.adds.get(path, ())
    return "".join("\n" + _item(new, column + 2) for new in fresh) if fresh else " []"


def _item(value: Any, indent: int) -> str:
    """An entry of a list in lines of its own."""
    pad = " " * indent
    if not isinstance(value, Mapping) or not value:
        return f"{pad}- {_flow(value)}"
    lines = [f"{key}: {_flow(inner)}" for key, inner in value.items()]
    return f"{pad}- " + f"\n{pad}  ".join(lines)


def _flow(value: Any) -> str:
    """On one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and not (PLAIN.fullmatch(value) and _load(value) == value):
        style: str | None = '"'
    else:
        style = None
    said: str = yaml.safe_dump(value, default_style=style, width=10**9, allow_unicode=True)
    return said.removesuffix("\n").removesuffix("\n...")


def _dumped(value: object) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
    return text


def _start(node: yaml.Node) -> int:
    at: int = node.start_mark.index
    return at


def _end(node: yaml.Node) -> int:
    """Just after its last character; a block's own mark is after the comments that follow."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _end(node.value[-1])
    end: int = node.end_mark.index
    return end


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found


def _column(text: str, node: yaml.Node) -> int:
    return _start(node) - _line_start(text, _start(node))
