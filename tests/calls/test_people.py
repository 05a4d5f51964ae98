"""People by form and by CSV: every change audited, the last admin stays, junk is named and nothing half done."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from calls import auditing, people
from calls.choices import Did, Role
from calls.models import Change, Source, Team, User

pytestmark = pytest.mark.django_db
HEAD = "username,first_name,last_name,email,role,team,supervises,active\n"


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)


def form(actor: User, user: User | None = None, **changes: Any) -> people.PersonForm:
    known = people.values(user) if user else {"username": "nia", "role": "agent", "is_active": True}
    data = known | {"team": user.team_id if user else "", "supervises": []} | changes
    return people.PersonForm(data, instance=user or User(), actor=actor)


def test_a_person_is_made_moved_and_switched_off_and_all_of_it_is_logged(dana: User, billing: Team) -> None:
    made = people.save(form(dana, first_name="Nia", team=billing.pk))
    assert made.team == billing and not made.has_usable_password()
    claims = people.add_team(dana, " Claims ")
    people.save(form(dana, made, team=claims.pk))
    people.save(form(dana, made, team=claims.pk))
    people.save(form(dana, made, team=claims.pk, is_active=False))
    log = list(Change.objects.order_by("pk").values_list("did", "subject", "before", "after"))
    assert [row[:2] for row in log] == [
        ("created", "Nia"),
        ("created", "Claims"),
        ("changed", "Nia"),
        ("changed", "Nia"),
    ]
    assert log[2][2:] == ({"team": "Billing"}, {"team": "Claims"})
    assert log[3][2:] == ({"is_active": True}, {"is_active": False})
    assert "password" not in str(log)


def test_the_last_admin_stays(dana: User) -> None:
    other = User.objects.create_user("ola", role=Role.ADMIN)
    people.save(form(other, dana, role="supervisor"))
    dana.refresh_from_db()
    assert dana.role == Role.SUPERVISOR
    with pytest.raises(people.Refused, match="last admin"):
        people.save(form(dana, other, is_active=False))
    other.refresh_from_db()
    assert other.is_active and Change.objects.count() == 1


def test_nobody_changes_their_own_role(dana: User) -> None:
    User.objects.create_user("ola", role=Role.ADMIN)
    assert "own role" in str(form(dana, dana, role="agent").errors)
    assert "own role" in str(form(dana, dana, is_active=False).errors)
    assert form(dana, dana, first_name="Dan").is_valid()


def test_teams_go_only_when_nothing_hangs_on_them(
    dana: User, billing: Team, bob: User, source: Source
) -> None:
    with pytest.raises(people.Refused, match="still has people"):
        people.remove_team(dana, billing)
    bob.team = None
    bob.save()
    billing.supervisors.clear()
    with pytest.raises(people.Refused, match="calls or sources"):
        people.remove_team(dana, billing)
    assert not Change.objects.exists()
    with pytest.raises(people.Refused, match="already exists"):
        people.add_team(dana, "Billing")
    for name in ("", "x" * 81, "=cmd"):
        with pytest.raises(people.Refused):
            people.add_team(dana, name)
    empty = people.add_team(dana, "Empty")
    people.rename_team(dana, empty, "Bare")
    people.remove_team(dana, empty)
    assert list(Change.objects.order_by("pk").values_list("did", flat=True)) == [
        "created",
        "changed",
        "removed",
    ]


def test_the_audit_log_is_only_added_to(dana: User) -> None:
    auditing.record(dana, Did.CREATED, dana)
    for touch in (lambda: Change.objects.update(actor="x"), lambda: Change.objects.all().delete()):
        with pytest.raises(DatabaseError, match="only ever added"), transaction.atomic():
            touch()
    with connection.cursor() as cursor, pytest.raises(DatabaseError), transaction.atomic():
        cursor.execute("delete from calls_change")
    assert Change.objects.get().actor == "Dana Ito"


# --- CSV ------------------------------------------------------------------------------------------------


def test_a_file_is_tried_then_applied_whole(dana: User, bob: User, billing: Team) -> None:
    text = HEAD + (
        "nia,Nia,Boateng,nia@example.org,agent,Billing,,yes\n"
        "bob,Bob,Okafor,bob@example.org,agent,Billing,,yes\n"
        "sam,Sam,Ruiz,,supervisor,,Billing,yes\n"
    )
    made = people.plan(text, dana)
    assert not made.bad and [row.is_new for row in made.rows] == [True, False, True]
    assert ("email", bob.email, "bob@example.org") in made.rows[1].changes
    assert not User.objects.filter(username="nia").exists()
    assert people.apply(made) == 3
    assert list(User.objects.get(username="sam").supervises.all()) == [billing]
    again = people.plan(people.exported(), dana)
    assert not again.bad and not again.good, "what was exported changes nothing"


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ("=1+1,,,,agent,,,yes", "username", "formula"),
        ("nia,@SUM(A1),,,agent,,,yes", "first_name", "formula"),
        ("nia,,,,boss,,,yes", "role", "boss"),
        ("nia,,,,agent,Nowhere,,yes", "team", "no team 'Nowhere'"),
        ("nia,,,,supervisor,,Billing|Nowhere,yes", "supervises", "no team 'Nowhere'"),
        ("nia,,,,agent,,,maybe", "active", "yes or no"),
        ("nia,,,nope,agent,,,yes", "email", "valid email"),
        ("n a,,,,agent,,,yes", "username", "valid username"),
        (",,,,agent,,,yes", "username", "required"),
        ("nia,,,,agent,,,yes\nNIA,,,,agent,,,yes", "username", "twice"),
        ("nia,a,b", "", "3 cells"),
        ("nia,,,,agent,,,yes,more", "", "9 cells"),
        ("dana,,,,agent,,,yes", "", "own role"),
    ],
)
def test_a_bad_row_is_named_and_stops_all(
    dana: User, billing: Team, row: str, column: str, words: str
) -> None:
    made = people.plan(HEAD + "zoe,,,,agent,,,yes\n" + row + "\n", dana)
    [bad] = made.bad
    assert bad.errors[0][0] == column and words in bad.errors[0][1], bad.errors
    assert bad.line >= 3
    with pytest.raises(people.Refused, match="nothing was imported"):
        people.apply(made)
    assert not User.objects.filter(username="zoe").exists()


def test_columns_that_are_missing_change_nothing(dana: User, bob: User) -> None:
    made = people.plan("username;last_name\nbob;Okafor-Lee\n", dana)
    assert [row.changes for row in made.rows] == [(("last_name", "Okafor", "Okafor-Lee"),)]
    people.apply(made)
    bob.refresh_from_db()
    assert (bob.last_name, bob.role, bob.team is not None) == ("Okafor-Lee", Role.AGENT, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no username"),
        ("name\nx", "'name'"),
        ("username,username\n", "'username'"),
        ("username\na\0b", "NUL"),
    ],
)
def test_a_file_that_is_none_is_named(dana: User, text: str, words: str) -> None:
    assert words in people.plan(text, dana).trouble


def test_sizes_and_encodings(dana: User) -> None:
    assert people.decoded(b"\xef\xbb\xbfusername") == "username"
    with pytest.raises(people.Refused, match="byte 3"):
        people.decoded(b"ab\xff")
    with pytest.raises(people.Refused, match="at most"):
        people.decoded(b"x" * (people.MOST_BYTES + 1))
    many = people.plan("username\n" + "\n".join(f"u{n}" for n in range(people.MOST_ROWS + 1)), dana)
    assert "At most" in many.trouble


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200).map(lambda text: HEAD + text) | st.text(max_size=200) | st.binary(max_size=200))
@example('username\n"')
@example("username\nx,\ud800")
@example(HEAD + "nia,,,,agent,,,yes," * 20)
def test_junk_is_refused_in_words(dana: User, junk: str | bytes) -> None:
    before = User.objects.count()
    try:
        made = people.plan(people.decoded(junk) if isinstance(junk, bytes) else junk, dana)
    except people.Refused as refused:
        assert str(refused)
        return
    assert made.trouble or all(row.form is not None or row.errors for row in made.rows)
    assert User.objects.count() == before


def test_an_export_can_be_read_again_as_it_is(dana: User, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(last_name="-Okafor", email="=b@example.com")
    text = people.exported()
    assert "'-Okafor" in text
    again = people.plan(text, dana)
    assert not again.bad and not again.good, "it changes nothing"
    made = people.plan("username,last_name\nbob,'=cmd\n", dana)
    assert "formula" not in str(made.rows[0].errors) and "begin with" in str(made.rows[0].errors)
