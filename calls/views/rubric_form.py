"""A rubric's text as a form, and a form that came back as the same text with what was typed in it.

Fields are found in `RubricSpec`, so a field added there is here too; its words are in `rubric_words`.
Pure: any text is shown as typed, right or wrong, and what a form does not show it does not change.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin, get_type_hints

import yaml
from django.utils.translation import gettext as _

from calls import drafting
from calls.drafting import Problem
from calls.views import rubric_words as words
from calls.yaml_edit import LOADER, Changes, Path, edit
from scoring.rubric import AGENT_LABELS, CUSTOMER_LABELS, RubricSpec

AS_TEXT = "text"
MOST_FIELDS = 800
"""On one page: Django reads 1000 a request."""
ONE_OF = {"phrases.says": tuple(dict.fromkeys([*CUSTOMER_LABELS, *AGENT_LABELS]))}
"""Choices that the rubric checks as a whole: what a phrase may say depends on who says it."""


class NoForm(drafting.Refused):
    """The text is no rubric that a form could show; says what to do."""


@dataclass(frozen=True)
class Field:
    path: Path
    kind: str
    """number, yes, word, text or lines."""
    label: str
    help: str
    value: str
    unit: str = ""
    scale: float = 1
    whole: bool = False
    low: float = 0
    high: float = 1
    choices: Sequence[tuple[str, str]] = ()
    preset: str = ""
    """What holds while the text has no such field."""
    given: bool = True
    problems: tuple[Problem, ...] = ()
    in_table: bool = False
    """Cells may be empty: such a pair counts nothing."""

    @property
    def name(self) -> str:
        return "v." + written(self.path)

    @property
    def id(self) -> str:
        return "f-" + written(self.path)

    @property
    def told(self) -> list[tuple[str, str]]:
        """Each problem: what is wrong and what to do, in the unit of the field."""
        return [(self._wrong(problem), problem.todo) for problem in self.problems]

    def _wrong(self, problem: Problem) -> str:
        if self.kind != "number" or not problem.wrong.startswith("must be a "):
            return words.problem(problem.wrong)
        said = _("must be a whole number from {low} to {high}") if self.whole and self.scale == 1 else ""
        said = said or _("must be a number from {low} to {high}")
        return said.format(low=shown(self.low / self.scale), high=shown(self.high / self.scale))

    @property
    def bounds(self) -> str:
        return f"{shown(self.low / self.scale)}–{shown(self.high / self.scale)}"

    @property
    def rows(self) -> int:
        return max(2, self.value.count("\n") + 2 if self.kind == "lines" else len(self.value) // 60 + 1)


@dataclass(frozen=True)
class Table:
    path: Path
    title: str
    help: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Field], tuple[Problem, ...]]]
    sums: bool
    """Whether each row must add up to 1."""
    problems: tuple[Problem, ...] = ()

    @property
    def id(self) -> str:
        return "f-" + written(self.path)

    @property
    def totals(self) -> list[tuple[str, Sequence[Field], tuple[Problem, ...], str]]:
        return [(word, cells, wrong, total(cells)) for word, cells, wrong in self.rows]


@dataclass(frozen=True)
class Entry:
    """One of a list of rules or phrases."""

    path: Path
    title: str
    about: str
    fields: Sequence[Field]
    problems: tuple[Problem, ...]
    first: bool
    off: bool

    @property
    def id(self) -> str:
        return "f-" + written(self.path)

    @property
    def key(self) -> str:
        return written(self.path)

    @property
    def wrong(self) -> bool:
        return bool(self.problems or any(one.problems for one in self.fields))


@dataclass(frozen=True)
class Entries:
    path: Path
    title: str
    help: str
    count: int
    entries: Sequence[Entry]
    page: int
    pages: int
    problems: tuple[Problem, ...]

    @property
    def numbers(self) -> range:
        return range(1, self.pages + 1)

    @property
    def key(self) -> str:
        return written(self.path)

    @property
    def id(self) -> str:
        return "f-" + self.key


@dataclass(frozen=True)
class Section:
    path: Path
    title: str
    help: str
    fields: list[Field] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    lists: list[Entries] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    as_text: list[str] = field(default_factory=list)
    """Names of what only the text can show."""
    problems: tuple[Problem, ...] = ()

    @property
    def id(self) -> str:
        return "f-" + written(self.path)

    def every_list(self) -> Iterator[Entries]:
        yield from self.lists
        for section in self.sections:
            yield from section.every_list()

    def every_field(self) -> Iterator[Field]:
        yield from self.fields
        for table in self.tables:
            for _word, cells, _wrong in table.rows:
                yield from cells
        for rows in self.lists:
            for entry in rows.entries:
                yield from entry.fields
        for section in self.sections:
            yield from section.every_field()


# --- parts ---------------------------------------------------------------------------------------------


def part_of(name: str) -> str:
    """The page that has this top-level field. A new list of rows gets a page of its own."""
    if name in words.PART_OF:
        return words.PART_OF[name]
    kind = _kind(get_type_hints(RubricSpec)[name], {})
    return name if kind == "entries" else "thresholds"


def parts() -> dict[str, str]:
    """Each page's key and name, the text last."""
    names = dict.fromkeys([*words.PARTS, *(part_of(f.name) for f in dataclasses.fields(RubricSpec))])
    return {key: words.part(key) for key in names} | {AS_TEXT: words.part(AS_TEXT)}


def part_of_path(where: str) -> str:
    """Of a problem's field; "" for one that no form has."""
    name = where.partition(".")[0].partition("[")[0]
    return part_of(name) if name in {spec.name for spec in dataclasses.fields(RubricSpec)} else ""


def read(text: str) -> dict[str, Any]:
    """The text as values; NoForm when a form could not change it without doubt."""
    try:
        if drafting.is_plain(text) and isinstance(data := yaml.load(text, Loader=LOADER), dict):
            return data
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        pass
    raise NoForm(
        _("The text cannot be shown as forms until what is listed first is corrected. Nothing typed is lost.")
    )


def shape(text: str, part: str, problems: Sequence[Problem] = (), page: int = 1) -> Section:
    """The fields of one part, as the text has them. `page`: of its long lists."""
    data = read(text)
    found = _placed(problems, data)
    whole = Section((), words.part(part), "")
    for spec in dataclasses.fields(RubricSpec):
        if part_of(spec.name) == part:
            hint = get_type_hints(RubricSpec)[spec.name]
            _add(whole, hint, spec, data.get(spec.name, _Nothing), (spec.name,), found, page)
    return whole


class _Nothing:
    """Stands where the text has no such field."""


Found = Mapping[Path, tuple[Problem, ...]]


def _add(into: Section, hint: Any, spec: Any, data: Any, path: Path, found: Found, page: int) -> None:
    kind = _kind(hint, spec.metadata)
    label, about = words.label(path)
    if kind == "section":
        section = Section(path, label, about, problems=found.get(path, ()))
        if data is not _Nothing and not isinstance(data, Mapping):
            into.as_text.append(label)
            return
        given = data if isinstance(data, Mapping) else {}
        hints = get_type_hints(hint)
        for inner in dataclasses.fields(hint):
            value = given.get(inner.name, _Nothing)
            _add(section, hints[inner.name], inner, value, (*path, inner.name), found, page)
        into.sections.append(section)
    elif kind in ("table", "row"):
        table = _table(spec.metadata, data, path, found)
        into.tables.append(table) if table else into.as_text.append(label)
    elif kind == "entries":
        if data is not _Nothing and not _are_mappings(data):
            into.as_text.append(label)
        else:
            given = [] if data is _Nothing else data
            into.lists.append(_entries(get_args(hint)[0], given, path, found, page))
    elif (made := _field(hint, spec, data, path, found)) is not None:
        into.fields.append(made)
    else:
        into.as_text.append(label)


def _kind(hint: Any, rules: Mapping[str, Any]) -> str:
    if dataclasses.is_dataclass(hint):
        return "section"
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        return "entries" if dataclasses.is_dataclass(inner) else "lines" if inner is str else ""
    if "outer" in rules:
        return "table"
    if "keys" in rules:
        return "row"
    if hint is bool:
        return "yes"
    if hint in (int, float):
        return "number"
    if hint is str:
        return "word" if "allowed" in rules else "text"
    return ""


def _are_mappings(data: Any) -> bool:
    return isinstance(data, list) and all(isinstance(item, Mapping) for item in data)


def _field(hint: Any, spec: Any, data: Any, path: Path, found: Found) -> Field | None:
    """None for what a form cannot show, as a list where a number belongs."""
    kind = _kind(hint, spec.metadata)
    label, about = words.label(path)
    scale = 1000 if str(path[-1]).endswith("_ms") else 1
    preset = "" if spec.default is dataclasses.MISSING else _value(kind, spec.default, scale)
    if kind == "" or (value := _value(kind, data, scale)) is None:
        return None
    low, high = spec.metadata.get("range", (0, 1))
    allowed = spec.metadata.get("allowed") or ONE_OF.get(words.key_of(path), ())
    kind = "word" if allowed else kind
    choices = [(name, words.choice(name)) for name in allowed]
    if kind == "word" and data is not _Nothing and value not in allowed:
        choices.insert(0, (value, value))
    if kind in ("yes", "word") and data is _Nothing:
        value = preset or ""
    return Field(
        path, kind, label, about, value, words.unit(str(path[-1])), scale, hint is int, low, high, choices,
        preset or "", data is not _Nothing, found.get(path, ()),
    )  # fmt: skip


def _value(kind: str, data: Any, scale: float) -> str | None:
    """As the form shows it."""
    if data is _Nothing:
        return ""
    if kind == "number":
        if isinstance(data, bool) or not isinstance(data, int | float):
            return data if isinstance(data, str) else None if isinstance(data, list | Mapping) else str(data)
        return shown(data / scale) if scale != 1 else shown(data)
    if kind == "yes":
        return str(data).lower() if isinstance(data, bool) else None
    if kind == "lines":
        fits = isinstance(data, list | tuple) and all(isinstance(x, str) and "\n" not in x for x in data)
        return "\n".join(data) if fits else None
    return None if isinstance(data, list | Mapping) else "" if data is None else str(data)


def _table(rules: Mapping[str, Any], data: Any, path: Path, found: Found) -> Table | None:
    title, about = words.label(path)
    outer = rules.get("outer", ("",))
    given = {} if data is _Nothing else data
    rows = []
    for name in outer:
        row = given.get(name, {}) if name and isinstance(given, Mapping) else given
        if not isinstance(row, Mapping) or any(isinstance(v, list | Mapping) for v in row.values()):
            return None
        way = (*path, name) if name else path
        word = words.choice(name) if name else title
        cells = [_cell(rules, row.get(key, _Nothing), (*way, key), word, found) for key in rules["keys"]]
        rows.append((word, cells, found.get(way, ()) if name else ()))
    columns = [words.choice(key) for key in rules["keys"]]
    return Table(path, title, about, columns, rows, path == ("weights",), found.get(path, ()))


def _cell(rules: Mapping[str, Any], data: Any, path: Path, row: str, found: Found) -> Field:
    low, high = rules["range"]
    label = f"{row}: {words.choice(str(path[-1]))}"
    return Field(
        path, "number", label, "", _value("number", data, 1) or "", low=low, high=high,
        given=data is not _Nothing, problems=found.get(path, ()), in_table=True,
    )  # fmt: skip


def _entries(cls: Any, data: Sequence[Any], path: Path, found: Found, page: int) -> Entries:
    title, about = words.label(path)
    each = _each(cls)
    pages = max(1, -(-len(data) // each))
    page = min(max(1, page), pages)
    hints = get_type_hints(cls)
    entries = []
    for at in range((page - 1) * each, min(page * each, len(data))):
        item, way = data[at], (*path, at)
        made = [
            _field(hints[f.name], f, item.get(f.name, _Nothing), (*way, f.name), found)
            for f in dataclasses.fields(cls)
        ]
        fields = [one for one in made if one is not None]
        said = words.titles(item)
        off = item.get("active") is False
        entries.append(Entry(way, *said, fields, found.get(way, ()), at == 0, off))
    return Entries(path, title, about, len(data), entries, page, pages, found.get(path, ()))


def _each(cls: Any) -> int:
    """Entries on one page."""
    return max(1, MOST_FIELDS // (len(dataclasses.fields(cls)) + 1))


def page_of_path(where: str) -> int:
    """The page that has this entry's field."""
    path = where.split(".")
    for n, step in enumerate(path):
        if n and step.isdigit() and len(step) < 9 and (cls := _class_of(tuple(path[:n]))):
            return int(step) // _each(cls) + 1
    return 1


def _placed(problems: Sequence[Problem], data: Mapping[str, Any]) -> Found:
    """Each problem by the path of its field; rules and phrases are named by their ids or numbers."""
    found: defaultdict[Path, tuple[Problem, ...]] = defaultdict(tuple)
    for problem in problems:
        found[path_of(problem.where, data)] += (problem,)
    return found


def path_of(where: str, data: Mapping[str, Any]) -> Path:
    path: list[str | int] = []
    at: Any = data
    for step in where.replace("[", ".").replace("]", "").split(".") if where else ():
        key: str | int = step
        if isinstance(at, list):
            ids = [str(item.get("id")) if isinstance(item, Mapping) else "" for item in at]
            key = int(step) if step.isdigit() else ids.index(step) if step in ids else len(at)
        path.append(key)
        if isinstance(at, list):
            at = at[key] if isinstance(key, int) and key < len(at) else None
        else:
            at = at.get(key) if isinstance(at, Mapping) else None
    return tuple(path)


# --- what came back ------------------------------------------------------------------------------------


def applied(text: str, part: str, said: Mapping[str, str], do: str = "", page: int = 1) -> str:
    """`text` with the form's values, by the names of its fields; `do` may add, drop or move an entry.

    What is no number stays as typed, for `check` to name. NoForm when the text is none that forms show.
    """
    form = shape(text, part, (), page)
    sets: dict[Path, Any] = {}
    drops: set[Path] = set()
    for one in form.every_field():
        typed = said.get(one.name)
        if typed is None or (typed := typed.replace("\r\n", "\n").strip("\n")) == one.value:
            continue
        if not typed.strip() and one.kind == "number" and (not one.given or one.in_table):
            drops |= {one.path} if one.given else set()
            continue
        if not one.given and typed == one.preset:
            continue
        value = _typed(one, typed)
        if value != _typed(one, one.value) or not one.given:
            sets[one.path] = value
    made = edit(text, Changes(sets, frozenset(drops)))
    return _moved(made, do)


def _typed(one: Field, typed: str) -> Any:
    if one.kind == "number":
        return _number(one, typed.strip())
    if one.kind == "yes":
        return typed == "true"
    if one.kind == "lines":
        return [line.strip() for line in typed.split("\n") if line.strip()]
    return typed.strip()


def _number(one: Field, typed: str) -> float | int | str:
    """A decimal comma is a point; whole thousandths where the form shows seconds."""
    plain = typed if one.whole and one.scale == 1 else typed.replace(",", ".", 1)
    if not plain.isascii() or len(plain) > 30 or set(plain) - set("0123456789.+-"):
        return typed
    try:
        value = float(plain) * one.scale
    except ValueError:
        return typed
    near = round(value)
    return near if abs(value - near) < 1e-6 and (one.whole or "." not in plain) else value


def _moved(text: str, do: str) -> str:
    verb, _sep, where = do.partition(":")
    if verb not in ("add", "drop", "up") or not where:
        return text
    data = read(text)
    path = path_of(where, data)
    cls = _class_of(path if verb == "add" else path[:-1])
    if cls is None:
        return text
    if verb == "add":
        ids = {str(item.get("id")) for item in _at(data, path) or [] if isinstance(item, Mapping)}
        blank = {path: [_blank(cls, ids)]}
        missing = _at(data, path) is None
        return edit(text, Changes({path: blank[path]}) if missing else Changes(adds=blank))
    at = path[-1]
    if not isinstance(at, int) or at >= len(_at(data, path[:-1]) or ()):
        return text
    if verb == "drop":
        return edit(text, Changes(drops=frozenset({path})))
    return edit(text, Changes(swap=((*path[:-1], at - 1), path))) if at else text


def _class_of(path: Path) -> Any:
    """Of the entries of the list at this path; None where there is no such list."""
    hint: Any = RubricSpec
    for step in path:
        hint = get_type_hints(hint).get(str(step)) if dataclasses.is_dataclass(hint) else None
    return get_args(hint)[0] if _kind(hint, {}) == "entries" else None


def _at(data: Any, path: Path) -> Any:
    for step in path:
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def _blank(cls: Any, ids: set[str]) -> dict[str, Any]:
    """A new entry: an id of its own, the first choices, the rest to be filled in."""
    hints = get_type_hints(cls)
    made: dict[str, Any] = {}
    for one in dataclasses.fields(cls):
        kind = _kind(hints[one.name], one.metadata)
        if one.name == "id":
            made["id"] = next(name for n in range(1, len(ids) + 2) if (name := f"new-{n}") not in ids)
        elif kind == "lines":
            made[one.name] = []
        elif one.default is not dataclasses.MISSING:
            continue
        elif kind == "word":
            made[one.name] = one.metadata["allowed"][0]
        elif kind == "number":
            made[one.name] = 0.5 if one.metadata["range"] == (0.0, 1.0) else one.metadata["range"][0]
        elif kind == "text":
            made[one.name] = ""
    return made


def shown(number: float) -> str:
    """Without the zeros nobody typed."""
    short = format(number, ".6g")
    return short if float(short) == number and "e" not in short else repr(number).removesuffix(".0")


def written(path: Path) -> str:
    return ".".join(map(str, path))


def total(cells: Sequence[Field]) -> str:
    """Of a row; "–" while one of its cells is no number."""
    try:
        return format(sum(float(cell.value or 0) for cell in cells), ".2f")
    except ValueError:
        return "–"
