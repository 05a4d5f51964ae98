"""People and teams: made, moved, given roles, switched off, one by one or by CSV; every change is audited."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from calls import auditing, sheets
from calls.choices import Did, Role
from calls.models import Team, User
from calls.sheets import FORMULA, Plan, cell, uncell
from calls.sheets import MOST_BYTES as MOST_BYTES
from calls.sheets import Refused as Refused
from calls.sheets import decoded as decoded

FIELDS = ("username", "first_name", "last_name", "email", "role", "team", "supervises", "is_active")
COLUMNS = ("username", "first_name", "last_name", "email", "role", "team", "supervises", "active")
MOST_ROWS = 2000
LIST = "|"
"""Between the teams of the column `supervises`."""


class PersonForm(forms.ModelForm):  # type: ignore[type-arg]
    """A person as an admin edits it; `actor` is that admin."""

    class Meta:
        model = User
        fields = FIELDS
        labels = {
            "username": gettext_lazy("User name"),
            "first_name": gettext_lazy("First name"),
            "last_name": gettext_lazy("Last name"),
            "email": gettext_lazy("E-mail"),
            "role": gettext_lazy("Role"),
            "team": gettext_lazy("Team, of an agent"),
            "supervises": gettext_lazy("Watches, as a supervisor"),
            "is_active": gettext_lazy("May log in"),
        }
        help_texts = dict.fromkeys(FIELDS, "")
        widgets = {"supervises": forms.CheckboxSelectMultiple}

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actor = actor

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        for name in {"first_name", "last_name"} & set(self.changed_data):
            if str(found.get(name) or "").startswith(FORMULA):
                self.add_error(name, _("A name cannot begin with =, +, - or @: a spreadsheet would run it."))
        if self.actor.pk == self.instance.pk and {"role", "is_active"} & set(self.changed_data):
            self.add_error(
                None, _("Nobody changes their own role or switches themselves off: ask another admin.")
            )
        return found


def values(user: User) -> dict[str, Any]:
    """What the audit log keeps of a person."""
    return {
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "role": user.role,
        "team": user.team.name if user.team else "",
        "supervises": sorted(team.name for team in user.supervises.all()),
        "is_active": user.is_active,
    }


def save(form: PersonForm) -> User:
    """A valid form becomes the person. Refused if no admin would be left."""
    with transaction.atomic():
        list(User.objects.select_for_update().filter(role=Role.ADMIN, is_active=True).values_list("pk"))
        known = User.objects.filter(pk=form.instance.pk).first() if form.instance.pk else None
        before = values(known) if known else {}
        user: User = form.save(commit=False)
        if known is None:
            user.set_unusable_password()
        user.save()
        form.save_m2m()
        if known is not None and not User.objects.filter(role=Role.ADMIN, is_active=True).exists():
            raise Refused(_("This is the last admin who can log in: make another one first."))
        auditing.record(form.actor, Did.CHANGED if known else Did.CREATED, user, before, values(user))
    return user


# --- teams ----------------------------------------------------------------------------------------------


def add_team(actor: User, name: str) -> Team:
    team = Team(name=_name(name))
    _check(team)
    with transaction.atomic():
        team.save()
        auditing.record(actor, Did.CREATED, team, {}, {"name": team.name})
    return team


def rename_team(actor: User, team: Team, name: str) -> None:
    before, team.name = team.name, _name(name)
    _check(team)
    with transaction.atomic():
        team.save()
        auditing.record(actor, Did.CHANGED, team, {"name": before}, {"name": team.name})


def remove_team(actor: User, team: Team) -> None:
    """Refused while anything hangs on it."""
    if team.agents.exists() or team.supervisors.exists():
        raise Refused(_("{team} still has people: move them first.").format(team=team))
    if hasattr(team, "rubric"):
        raise Refused(_("{team} has a rubric of its own, whose versions are kept.").format(team=team))
    try:
        with transaction.atomic():
            auditing.record(actor, Did.REMOVED, team, {"name": team.name}, {})
            team.delete()
    except ProtectedError as error:
        raise Refused(_("{team} still has calls or sources, so it stays.").format(team=team)) from error


def _name(name: str) -> str:
    name = " ".join(name.replace("\0", "").split())
    if name.startswith(FORMULA):
        raise Refused(_("A name cannot begin with =, +, - or @: a spreadsheet would run it."))
    return name


def _check(team: Team) -> None:
    try:
        team.full_clean()
    except ValidationError as error:
        raise Refused(" ".join(error.messages)) from error


# --- CSV ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row(sheets.Row):
    form: PersonForm | None = field(default=None, repr=False)


def plan(text: str, actor: User) -> Plan[Row]:
    """What a CSV would do, row by row; nothing is written."""
    try:
        return Plan(tuple(_rows(text, actor)), text=text)
    except Refused as refused:
        return Plan(trouble=str(refused), text=text)


def _rows(text: str, actor: User) -> Iterator[Row]:
    seen: set[str] = set()
    teams = {team.name: str(team.pk) for team in Team.objects.all()}
    for line, given, wrong in sheets.rows(text, COLUMNS, ("username",), MOST_ROWS):
        if wrong:
            yield Row(line, given.get("username", ""), errors=(("", wrong),))
        else:
            yield _row(line, given, teams, actor, seen)


def _row(line: int, given: Mapping[str, str], teams: Mapping[str, str], actor: User, seen: set[str]) -> Row:
    username = given["username"]
    errors = [(name, _("begins like a formula")) for name, cell in given.items() if cell.startswith(FORMULA)]
    given = {name: uncell(cell) for name, cell in given.items()}
    if username.casefold() in seen:
        errors.append(("username", _("is in the file twice")))
    seen.add(username.casefold())
    user = User.objects.filter(username=username).first() if username else None
    data, wrong_cells = _data(given, user, teams)
    errors += wrong_cells
    form = PersonForm(data, instance=user or User(), actor=actor)
    before = values(user) if user else {}
    if not errors and not form.is_valid():
        errors += [
            ("active" if name == "is_active" else "" if name == "__all__" else name, " ".join(map(str, said)))
            for name, said in form.errors.items()
        ]
    if errors:
        return Row(line, username, errors=tuple(errors))
    names_of = {pk: name for name, pk in teams.items()}
    after = data | {
        "team": names_of.get(data["team"], ""),
        "supervises": sorted(names_of[pk] for pk in data["supervises"]),
    }
    changes = tuple(
        (name, before.get(name), after[name]) for name in FIELDS if before and before[name] != after[name]
    )
    return Row(line, username, changes=changes, is_new=user is None, form=form)


def _data(
    given: Mapping[str, str], user: User | None, teams: Mapping[str, str]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Form data: what the file says, over what is known; and cells that name nothing."""
    errors: list[tuple[str, str]] = []

    def team(name: str, column: str) -> str:
        if name and name not in teams:
            errors.append((column, _("there is no team {name}").format(name=repr(name))))
        return teams.get(name, "")

    data: dict[str, Any] = (
        values(user) if user else {"role": Role.AGENT, "is_active": True, "supervises": [], "team": ""}
    )
    data |= {name: cell for name, cell in given.items() if name not in ("team", "supervises", "active")}
    data["role"] = str(data["role"]).lower()
    data["team"] = team(given.get("team", data["team"]), "team")
    watched = given["supervises"].split(LIST) if "supervises" in given else data["supervises"]
    data["supervises"] = [team(name.strip(), "supervises") for name in watched if name.strip()]
    if "active" in given:
        if given["active"].lower() not in ("yes", "no"):
            errors.append(("active", _("must be yes or no")))
        data["is_active"] = given["active"].lower() == "yes"
    return data, errors


def apply(made: Plan[Row]) -> int:
    """All of it or, with Refused, nothing; how many people it made or changed."""
    if made.trouble or made.bad:
        raise Refused(made.trouble or _("The file has rows with errors: nothing was imported."))
    with transaction.atomic():
        for row in made.good:
            assert row.form is not None
            save(row.form)
    return len(made.good)


def exported() -> str:
    """Everybody, in the columns that `plan` reads."""
    made = io.StringIO()
    rows = csv.writer(made)
    rows.writerow(COLUMNS)
    for user in User.objects.select_related("team").prefetch_related("supervises").order_by("username"):
        known = values(user)
        rows.writerow(
            [cell(str(known[name])) for name in FIELDS[:6]]
            + [cell(LIST.join(known["supervises"])), "yes" if user.is_active else "no"]
        )
    return made.getvalue()
