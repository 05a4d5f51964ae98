"""Drafts of rubrics: kept as typed, checked, and published as versions that never change.

Knows the rows and the rubric's own checks; what a draft does to calls is `replays`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import structlog
import yaml
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext

from calls import auditing
from calls.choices import Did
from calls.models import Rubric, RubricDraft, RubricPlan, RubricVersion, Team, User
from calls.models.rubrics import rubric_version_for
from calls.yaml_edit import LOADER
from scoring.rubric import DEFAULT_FILE, RubricError, RubricSpec, default_rubric

log = structlog.get_logger(__name__)
Lines = dict[str, tuple[int, int]]
"""Line and column of each field of a text, from 1."""
MOST_BYTES = 200_000
DEEPEST = 12
"""Levels of nesting; a rubric has five."""
MOST_NODES = 50_000
LONGEST_NOTE = 200
AHEAD = timedelta(days=366)


class Refused(ValueError):
    """Cannot be done, said in words for the person who asked."""


class Stale(Refused):
    """Somebody else saved meanwhile; `theirs` is what is stored now."""

    def __init__(self, theirs: RubricDraft) -> None:
        super().__init__(
            gettext(
                "{who} saved this draft after you opened it, so yours is not saved yet. "
                "Theirs is shown beside it: take over what you need, then save again."
            ).format(who=theirs.author or gettext("Somebody"))
        )
        self.theirs = theirs


@dataclass(frozen=True)
class Problem:
    where: str
    """Path of the field, or "" for the text as a whole."""
    wrong: str
    todo: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True)
class Checked:
    spec: RubricSpec | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Change:
    """A field of two versions; None where one of them does not have it."""

    where: str
    old: object
    new: object


# --- the text ----------------------------------------------------------------------------------


def check(text: str) -> Checked:
    """The rubric that the text describes, or everything wrong with it. Any text at all is safe to check."""
    size = len(text.encode("utf-8", "replace"))
    if size > MOST_BYTES:
        wrong = gettext("has {size} bytes; at most {most} are read").format(size=size, most=MOST_BYTES)
        return Checked(None, (Problem("", wrong, gettext("Shorten it.")),))
    try:
        odd, lines, data = _read(text)
        if odd:
            return Checked(None, odd)
    except yaml.MarkedYAMLError as error:
        return Checked(None, (_not_yaml(error),))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        todo = gettext("Correct this value, or put it in quotes.")
        return Checked(None, (Problem("", str(error)[:300], todo),))
    try:
        spec = RubricSpec.from_dict(data)
    except RubricError as error:
        return Checked(None, tuple(_named(said, lines) for said in error.problems))
    hollow = tuple(_named(said, lines) for said in _hollow(spec, ""))
    return Checked(None if hollow else spec, hollow)


def is_plain(text: str) -> bool:
    """Whether it is YAML of which one value can be changed without doubt which. May raise yaml.YAMLError."""
    return len(text.encode("utf-8", "replace")) <= MOST_BYTES and not _not_plain(text, {}, LOADER)


def _read(text: str, loader: Any = LOADER) -> tuple[tuple[Problem, ...], Lines, Any]:
    """What is odd about it, or else where its fields are and its data. What the fast loader refuses, the slow
    one says in words."""
    lines: Lines = {}
    try:
        odd = _not_plain(text, lines, loader)
        return odd, lines, None if odd else yaml.load(text, Loader=loader)
    except yaml.YAMLError:
        if loader is yaml.SafeLoader:
            raise
        return _read(text, yaml.SafeLoader)


def _not_plain(text: str, lines: Lines, loader: Any) -> tuple[Problem, ...]:
    if unsafe := tuple(_unsafe(text, loader)):
        return unsafe
    node = yaml.compose(text, Loader=loader)
    return tuple(_odd(node, "", lines)) if node is not None else ()


def _hollow(value: Any, where: str) -> Iterator[str]:
    """Entries without words: refused in a draft, though versions that were published with some still load."""
    for field in dataclasses.fields(value):
        inner, at = getattr(value, field.name), f"{where}.{field.name}" if where else field.name
        items = inner if isinstance(inner, tuple) else ()
        needed = field.default is dataclasses.MISSING
        if dataclasses.is_dataclass(inner):
            yield from _hollow(inner, at)
        elif where.endswith("]") and isinstance(inner, str) and needed and not inner.strip():
            yield f"{at}: must not be empty"
        elif where.endswith("]") and isinstance(inner, tuple) and needed and not inner:
            yield f"{at}: needs at least one"
        for n, item in enumerate(items):
            if dataclasses.is_dataclass(item):
                yield from _hollow(item, f"{at}[{n}]")
            elif isinstance(item, str) and not item.strip():
                yield f"{at}: must not be empty"


def _unsafe(text: str, loader: Any) -> Iterator[Problem]:
    """What a rubric needs none of and what makes small texts grow: tags, anchors, depth, sheer number."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=loader)):
        begin: Any = event.start_mark
        at = begin.line + 1, begin.column + 1
        wrong = ""
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            wrong = gettext("uses an anchor or alias (& or *)")
            todo = gettext("Write the value out, or put the text in quotes.")
        elif getattr(event, "tag", None):
            wrong, todo = gettext("uses a tag (!)"), gettext("Remove the tag, or put the text in quotes.")
        elif depth > DEEPEST:
            wrong, todo = gettext("is nested too deeply"), gettext("Close the brackets, or indent less.")
        elif count > MOST_NODES:
            wrong, todo = gettext("has too many entries"), gettext("Shorten it.")
        if wrong:
            yield Problem("", wrong, todo, *at)
            return


def _odd(node: yaml.Node, where: str, lines: Lines) -> Iterator[Problem]:
    """Fields given twice and characters that no database keeps; notes the line of each field in `lines`."""
    at = node.start_mark.line + 1, node.start_mark.column + 1
    lines.setdefault(where, at)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            inner = f"{where}.{name}" if where else name
            here = key.start_mark.line + 1, key.start_mark.column + 1
            lines.setdefault(inner, here)
            if name in seen:
                todo = gettext("Keep one of the two.")
                yield Problem(inner, gettext("is given twice"), todo, *here)
            seen.add(name)
            yield from _odd(key, "", {}) if isinstance(key, yaml.ScalarNode) else ()
            yield from _odd(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for n, item in enumerate(node.value):
            yield from _odd(item, f"{where}[{n}]", lines)
            if (own := _id_of(item)) is not None:
                lines.setdefault(f"{where}.{own}", (item.start_mark.line + 1, item.start_mark.column + 1))
    elif any(char == "\0" or "\ud800" <= char <= "\udfff" for char in node.value):
        todo = gettext("Remove the character.")
        yield Problem(where, gettext("has a character that cannot be stored"), todo, *at)


def _id_of(node: yaml.Node) -> str | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((str(v.value) for k, v in node.value if k.value == "id"), None)


def _not_yaml(error: yaml.MarkedYAMLError) -> Problem:
    mark: Any = error.problem_mark or error.context_mark
    wrong = ", ".join(str(part) for part in (error.context, error.problem) if part)
    todo = gettext("Look at this line and the one before: indents, colons, brackets and quotes.")
    return Problem("", wrong, todo, mark.line + 1, mark.column + 1) if mark else Problem("", wrong, todo)


def _named(said: str, lines: Mapping[str, tuple[int, int]]) -> Problem:
    where, _, wrong = said.partition(": ")
    at, known = lines.get(where), where
    while at is None and known:  # a missing field has no line: its section has
        known = known.rpartition(".")[0]
        at = lines.get(known)
    return Problem(where, wrong, _todo(wrong), *(at or ()))


def _todo(wrong: str) -> str:
    if wrong == "missing":
        return gettext("Add this field.")
    if wrong.startswith("unknown"):
        return gettext("Remove it, or correct its name.")
    if "add up to 1" in wrong:
        return gettext("Change the numbers of this row until they add up to 1.")
    if "from" in wrong and wrong.startswith("must be"):
        return gettext("Write a number in this range.")
    if "used twice" in wrong:
        return gettext("Give one of them another id.")
    if wrong.startswith("at most"):
        return gettext("Remove one.")
    if "empty" in wrong or "at least one" in wrong:
        return gettext("Write something, or remove the entry.")
    if "one of" in wrong:
        return gettext("Choose one of those named.")
    return gettext("Correct it as it says, then save again.")


def as_text(spec: Mapping[str, Any]) -> str:
    """YAML to edit; the shipped rubric comes with its comments."""
    if _is_shipped(spec):
        return DEFAULT_FILE.read_text("utf-8")
    text: str = yaml.dump(dict(spec), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)
    return text


def _is_shipped(spec: Mapping[str, Any]) -> bool:
    """Also when it was stored before fields were added that it says nothing of."""
    try:
        return RubricSpec.from_dict(spec) == default_rubric()
    except RubricError:
        return False


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


# --- drafts ------------------------------------------------------------------------------------


def newest(rubric: Rubric) -> RubricVersion | None:
    return rubric.versions.order_by("-number").first()


def in_use(rubric: Rubric) -> RubricVersion | None:
    """Its newest version; before there is one, what its team uses meanwhile."""
    own = newest(rubric)
    if own is not None or rubric.team_id is None:
        return own
    try:
        return rubric_version_for(rubric.team_id)
    except LookupError:
        return None


def teams_of(rubric: Rubric) -> list[Team]:
    """The teams whose calls it scores."""
    return [team for team in Team.objects.all() if _rubric_of(team) == rubric.pk]


def _rubric_of(team: Team) -> int | None:
    try:
        return rubric_version_for(team.pk).rubric_id
    except LookupError:
        return None


def own_rubric(actor: User, team: Team) -> Rubric:
    """The team's own, made where there is none: named as the team, or as nearly as other rubrics allow."""
    taken = set(Rubric.objects.exclude(team=team).values_list("name", flat=True))
    names = chain([team.name], (f"{team.name[:72]} ({n})" for n in range(2, 1000)))
    name = next(name for name in names if name not in taken)
    try:
        with transaction.atomic():
            found, made = Rubric.objects.get_or_create(team=team, defaults={"name": name})
            if made:
                auditing.record(actor, Did.CREATED, found, {}, {"team": team.name})
            return found
    except IntegrityError as error:
        raise Refused(gettext("Somebody made a rubric of this name just now: try again.")) from error


def start(rubric: Rubric) -> RubricDraft:
    """The draft as stored, or a new one, not stored before somebody saves it."""
    stored = RubricDraft.objects.filter(rubric=rubric).select_related("author", "based_on").first()
    if stored is not None:
        return stored
    version = in_use(rubric)
    spec = version.spec if version else default_rubric().to_dict()
    return RubricDraft(rubric=rubric, text=as_text(spec), based_on=newest(rubric))


def save(rubric: Rubric, author: User, text: str, revision: int) -> RubricDraft:
    """Keep the text, right or wrong. `revision`: the one it was made from; Stale if one is newer."""
    if len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise Refused(gettext("Not saved: at most {most} bytes are kept.").format(most=MOST_BYTES))
    text = text.replace("\r\n", "\n").replace("\0", "\N{REPLACEMENT CHARACTER}")
    with transaction.atomic():
        Rubric.objects.select_for_update().get(pk=rubric.pk)
        draft = start(rubric)
        if draft.pk and draft.text == text:
            return draft
        if draft.revision != revision:
            raise Stale(draft)
        draft.text, draft.author, draft.revision = text, author, draft.revision + 1
        draft.save()
        auditing.record(author, Did.CHANGED, draft, {"saved": revision}, {"saved": draft.revision})
    return draft


def discard(rubric: Rubric, author: User, revision: int) -> None:
    with transaction.atomic():
        draft = _locked(rubric, revision)
        auditing.record(author, Did.DISCARDED, draft)
        draft.delete()


def publish(rubric: Rubric, author: User, note: str, revision: int, untried: str = "") -> RubricVersion:
    """The saved draft becomes the next version, in force for calls that begin from now on.

    `untried`: why it was not tried on calls (`trying.must_be_tried`), for the audit log.
    """
    with transaction.atomic():
        draft = _locked(rubric, revision)
        spec = _publishable(draft)
        version = _next(rubric, spec, author, _why(note), untried)
        draft.delete()
    return version


def schedule(
    rubric: Rubric,
    author: User,
    note: str,
    revision: int,
    at: datetime,
    now: datetime | None = None,
    untried: str = "",
) -> RubricPlan:
    """The saved draft becomes the next version at that time (`publish_due`)."""
    now = now or timezone.now()
    if not now < at <= now + AHEAD:
        raise Refused(gettext("Choose a time from now on, within a year."))
    with transaction.atomic():
        draft = _locked(rubric, revision)
        spec, why = _publishable(draft), _why(note)
        plan = RubricPlan.objects.create(
            rubric=rubric, spec=spec, note=why, author=author, starts_at=at, untried=untried
        )
        auditing.record(author, Did.SCHEDULED, plan, {}, {"note": why})
        draft.delete()
    return plan


def cancel(rubric: Rubric, plan_id: int, author: User) -> None:
    """A plan that nobody wants any more; its text becomes the draft again where there is none."""
    with transaction.atomic():
        Rubric.objects.select_for_update().get(pk=rubric.pk)
        plan = RubricPlan.objects.filter(rubric=rubric, pk=plan_id).first()
        if plan is None:
            raise Refused(gettext("That version is published already, or was called off."))
        RubricDraft.objects.get_or_create(
            rubric=rubric,
            defaults={
                "text": as_text(plan.spec), "based_on": newest(rubric), "author": author, "revision": 1,
            },
        )  # fmt: skip
        auditing.record(author, Did.CANCELLED, plan, {"note": plan.note}, {})
        plan.delete()


def publish_due(now: datetime | None = None) -> list[RubricVersion]:
    """Publish every plan whose time has come, oldest first. Doing it twice publishes once."""
    now = now or timezone.now()
    made = []
    for pk, rubric_id in RubricPlan.objects.filter(starts_at__lte=now).values_list("pk", "rubric_id"):
        with transaction.atomic():
            rubric = Rubric.objects.select_for_update().filter(pk=rubric_id).first()
            plan = RubricPlan.objects.filter(pk=pk).select_related("author").first()
            if rubric is None or plan is None:
                continue
            try:
                RubricSpec.from_dict(plan.spec)
            except RubricError as error:
                if not plan.trouble:  # tried again each time: the next release may read it
                    log.error(
                        "a planned rubric no longer fits this release", plan=pk, problems=error.problems
                    )
                plan.trouble = "\n".join(error.problems)
                plan.save(update_fields=["trouble"])
                continue
            made.append(_next(rubric, plan.spec, plan.author, plan.note, plan.untried))
            plan.delete()
    return made


def _locked(rubric: Rubric, revision: int) -> RubricDraft:
    Rubric.objects.select_for_update().get(pk=rubric.pk)
    draft = RubricDraft.objects.filter(rubric=rubric).select_related("author").first()
    if draft is None:
        raise Refused(gettext("There is no saved draft any more: it was published or discarded."))
    if draft.revision != revision:
        raise Stale(draft)
    return draft


def _publishable(draft: RubricDraft) -> dict[str, Any]:
    spec = check(draft.text).spec
    if spec is None:
        raise Refused(gettext("A draft with problems cannot be published: correct those listed first."))
    version = newest(draft.rubric)
    if version is not None and spec.to_dict() == version.as_spec().to_dict():
        raise Refused(gettext("Nothing differs from {version}.").format(version=version))
    return spec.to_dict()


def _why(note: str) -> str:
    note = " ".join(note.replace("\0", "").split())
    if not note:
        raise Refused(gettext("Say why: it stays beside the version for good."))
    if len(note) > LONGEST_NOTE:
        raise Refused(gettext("Say why in at most {most} characters.").format(most=LONGEST_NOTE))
    return note


def _next(
    rubric: Rubric, spec: dict[str, Any], author: User | None, note: str, untried: str = ""
) -> RubricVersion:
    before = newest(rubric)
    number = before.number + 1 if before else 1
    made = rubric.versions.create(number=number, spec=spec, created_by=author, note=note)
    said = {"note": note} | ({"without a trial": untried} if untried else {})
    auditing.record(author, Did.PUBLISHED, made, {}, said)
    return made


# --- two versions --------------------------------------------------------------------------------


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Field by field, in the order of the rubric; phrases and rules are matched by their ids."""
    before, after = dict(_fields(old, "")), dict(_fields(new, ""))
    return [
        Change(where, before.get(where), after.get(where))
        for where in dict.fromkeys([*before, *after])
        if before.get(where) != after.get(where)
    ]


def _fields(data: object, where: str) -> Iterator[tuple[str, object]]:
    if isinstance(data, Mapping):
        for name, value in data.items():
            yield from _fields(value, f"{where}.{name}" if where else str(name))
    elif isinstance(data, list | tuple) and data and all(isinstance(i, Mapping) and "id" in i for i in data):
        for item in data:
            yield from _fields({k: v for k, v in item.items() if k != "id"}, f"{where}.{item['id']}")
    else:
        yield where, list(data) if isinstance(data, tuple) else data
