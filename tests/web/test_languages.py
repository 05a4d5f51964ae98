"""Every string of the pages is in the catalogs, every catalog is complete and compiled, and German shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone, translation

from calls import demo, labelling, reviewing
from calls.choices import CallStatus, Role
from calls.models import CalibrationSession, Call, Source, Turn, User, Webhook
from calls.views import said as sentences
from calls.views.paint import LOOK
from calls.views.said import said
from empathy_dash import languages
from scoring.evaluate_calls import as_meant, read_scripts
from scoring.rubric import default_rubric

DOMAINS = ("django", "djangojs")
SLOTS = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w+\}")


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", languages.LANGUAGES)
def test_every_string_has_its_translation(language: str, domain: str) -> None:
    catalog = languages.kept(language, domain)
    wanted = {m.id for m in languages.found(domain) if m.id}
    assert wanted - {m.id for m in catalog} == set(), "run: python -m empathy_dash.languages"
    assert languages.missing(catalog) == []


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", languages.LANGUAGES)
def test_what_is_compiled_is_what_is_written(language: str, domain: str) -> None:
    path = languages.po_path(language, domain)
    assert path.with_suffix(".mo").read_bytes() == languages.compiled(languages.kept(language, domain))


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", languages.LANGUAGES)
def test_a_translation_has_the_slots_of_its_string(language: str, domain: str) -> None:
    for message in languages.kept(language, domain):
        if not message.id:
            continue
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        for text in filter(None, languages.forms(message.string)):
            assert sorted(SLOTS.findall(text)) == sorted(SLOTS.findall(ids[-1])), text


SHIPPED = default_rubric().nudging


@pytest.mark.parametrize(
    "text", [*(rule.cue for rule in SHIPPED.rules), *sorted({entry.solution for entry in SHIPPED.playbook})]
)
def test_the_cues_of_the_shipped_rubric_are_known(text: str) -> None:
    with translation.override("de"):
        assert said(text) != text


def test_a_sentence_that_scoring_made_is_said_in_german() -> None:
    with translation.override("de"):
        made = said("Angry for 12 s, no apology yet")
        assert "12" in made and "Angry" not in made and "apology" not in made
        assert "I am calm" in said("said “I am calm”") != "said “I am calm”"
        assert said("Ask, then wait") == "Ask, then wait"
        assert said("Wait for 5 s") == "Wait for 5 s"
    assert said("Angry for 12 s") == "Angry for 12 s"
    assert sentences.sayings()["shapes"] == []


@pytest.mark.django_db
def test_the_language_is_chosen_once_and_kept(bob: User, client: Client) -> None:
    client.force_login(bob)
    assert '<html lang="en">' in client.get("/me/").content.decode()
    assert client.post("/language/", {"language": "de", "next": "/me/"}).url == "/me/"  # type: ignore[attr-defined]
    page = client.get("/me/").content.decode()
    assert '<html lang="de">' in page and "Kein Gespräch läuft" in page
    assert "Kein Gespräch" not in client.get("/language/words.js").content.decode()
    assert "Gespeichert." in client.get("/language/words.js").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["xx", "", "de'--"])
def test_an_unknown_language_changes_nothing(bob: User, client: Client, language: str) -> None:
    client.force_login(bob)
    client.post("/language/", {"language": language, "next": "https://example.org/"})
    assert '<html lang="en">' in client.get("/me/").content.decode()


SEEN_BY = {
    "alice": [
        "/floor/", "/floor/wall/", "/calls/", "/calls/?ref=nothing", "/calls/{live}/", "/calls/{live}/data/",
        "/calls/{ended}/", "/calls/{ended}/labels/", "/calls/{ended}/rescored/?version={version}", "/calls/{scored}/",
        "/cues/", "/policy/", "/policy/firewall/", "/rubrics/", "/rubrics/{rubric}/", "/trends/", "/teams/{team}/trends/",
        "/agents/{bob}/trends/", "/recordings/", "/practice/", "/reviews/", "/reviews/{open}/", "/reviews/{given}/",
        "/reviews/agreement/", "/reviews/labels/", "/reviews/sessions/{session}/", "/reviews/appeals/{appeal}/", "/tokens/",
        "/nowhere/",
    ],
    "bob": [
        "/me/", "/calls/", "/calls/{live}/", "/calls/{ended}/", "/calls/{ended}/labels/", "/me/trends/", "/me/reviews/",
        "/reviews/{given}/", "/policy/", "/rubrics/", "/practice/", "/tokens/",
    ],
    "dana": [
        "/people/", "/people/new/", "/people/{bob}/", "/people/import/", "/teams/", "/audit/", "/sources/", "/sources/new/",
        "/sources/{source}/", "/rubrics/{rubric}/", "/rubrics/{rubric}/draft/", "/policy/", "/calls/{ended}/data/",
        "/webhooks/", "/webhooks/{hook}/", "/reviews/refits/",
    ],
}  # fmt: skip
"""Every page but the API's reference, which is in English."""


@pytest.fixture
def places(
    full_call: Call, make_call: Callable[..., Call], alice: User, bob: User, source: Source
) -> dict[str, Any]:
    """Something of each kind that has a page of its own."""

    def over(call: Call) -> Call:
        call.status, call.ended_at = CallStatus.ENDED, timezone.now()
        call.final = {
            "empathy": 41.0,
            "empathy_low": 30.0,
            "empathy_high": 52.0,
            "met": 1,
            "opportunities": 2,
        }
        call.save()
        return call

    ended, scored = over(make_call("CA-over")), over(make_call("CA-scored"))
    for row in Turn.objects.filter(call=full_call):
        row.pk, row.call = None, ended
        row.save()
    labelling.mark(
        ended, alice, "customer", ended.turns.filter(channel="customer")[0].start_ms, "frustration"
    )
    given = reviewing.start(ended, alice)
    reviewing.submit(given, dict.fromkeys(reviewing.BEHAVIOURS, 1), 3, "Gut begonnen.")
    appeal = reviewing.appeal(ended, given, bob, "Nein.")
    opened = reviewing.start(scored, alice)
    session = CalibrationSession.objects.create(name="Mai", team=ended.team)
    session.reviewers.add(alice)
    session.calls.add(ended)
    hook = Webhook.objects.create(
        name="Lager", url="https://example.org/", events=["alert.raised"], made_by=alice
    )
    version = ended.rubric_version
    return {
        "live": full_call.pk, "ended": ended.pk, "scored": scored.pk, "version": version.pk,
        "rubric": version.rubric_id, "team": ended.team_id, "bob": bob.pk, "open": opened.pk, "given": given.pk,
        "session": session.pk, "appeal": appeal.pk, "source": source.pk, "hook": hook.pk,
    }  # fmt: skip


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("person", SEEN_BY)
def test_no_page_in_german_has_english_left(
    page_for: Callable[..., Any], places: dict[str, Any], full_call: Call, alice: User, person: str
) -> None:
    if person == "dana":
        User.objects.create_user("dana", first_name="Dana", last_name="Ito", role=Role.ADMIN)
    page = page_for(
        User.objects.get(username=person), locale="de-DE", viewport={"width": 1280, "height": 900}
    )
    left = {}
    for path in SEEN_BY[person]:
        page.goto(path.format(**places))
        waiting = page.locator("[data-line]")
        if waiting.count():
            page.locator("[data-line=live], [data-line=ended]").first.wait_for()
        page.evaluate("for (const part of document.querySelectorAll('main details')) part.open = true")
        if found := english_in(page, full_call):
            left[path] = found
    assert not left, "\n".join(f"{path}: {lines}" for path, lines in left.items())


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_times_are_written_as_the_page_is_not_as_the_browser(
    page_for: Callable[..., Any], alice: User, full_call: Call
) -> None:
    Call.objects.update(started_at=datetime(2026, 3, 5, 16, 7, tzinfo=UTC))
    page = page_for(alice, locale="en-US", timezone_id="UTC")
    page.goto("/calls/")
    page.locator("tbody time", has_text="Mar 5, 04:07").wait_for()
    page.get_by_role("button", name="Deutsch").click()
    page.locator("tbody time", has_text="5. März, 16:07").wait_for()


def test_every_label_and_phrase_of_the_shipped_rubric_has_words() -> None:
    """A cue on a transcript is named by what it says and by the phrase that heard it."""
    phrases = default_rubric().phrases
    known = {**LOOK["state"], **LOOK["behaviour"], **LOOK["cue"]}
    assert {p.says for p in phrases} <= set(known) and {p.id for p in phrases} == set(LOOK["phrase"])
    with translation.override("de"):
        german = [*(str(look[1]) for look in known.values()), *map(str, LOOK["phrase"].values())]
    english = [*(str(look[1]) for look in known.values()), *map(str, LOOK["phrase"].values())]
    assert not [word for word, same in zip(german, english, strict=True) if word == same]


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_what_comes_later_is_said_in_german_too(
    page_for: Callable[..., Any], bob: User, full_call: Call
) -> None:
    """The page's script says what an update brings, not only the first paint."""
    page = page_for(bob, locale="de-DE")
    page.goto("/me/")
    page.locator("[data-line=live]").wait_for()
    page.locator("[data-objects] summary").click()
    page.locator("[data-object]").click()
    page.get_by_text("Es wird nichts mehr ausgewertet").wait_for()


@pytest.mark.parametrize("path", sorted(demo.script_paths()), ids=lambda path: path.stem)
def test_what_scoring_says_of_the_demo_calls_is_translated(path: Path) -> None:
    """The calls as their authors meant them, at every turn; a sentence that `said` does not know fails here."""
    lines = read_scripts(path.parent, demo.AUDIO, [path.stem])[path.stem]
    made: set[str] = set()
    for n in range(2, len(lines) + 1):
        view = as_meant(lines[:n], default_rubric())
        made |= {view.reason, *(a.title for a in view.alerts), *(line.text for line in view.why)}
        made |= {view.standing, *(line.text for line in view.outlook.reasons)}
    with translation.override("de"):
        assert {text for text in made if text and not text.startswith("“") and said(text) == text} == set()


ENGLISH = re.compile(
    r"\b(the|is|are|were|not|and|of|with|yet|nobody|callers?|calls?|turns?|since|after|from|you|your|said|seems?"
    r"|help|score[ds]?|alerts?|notes?|cues?|message|time|answers?|voice|words?|silence|silent|anger|angry|urgency"
    r"|greeting|closing|hold|loyalty|gratitude|politeness|escalation|thanks|rule|name|none|new|old|all|any|day|days"
    r"|month|week|weeks|what|who|when|where|show|save|open|closed|before|nothing|something|here|there|this|that)\b",
    re.I,
)
GERMAN_TOO = re.compile(r"\b(Name|All|all)\b|https?://\S+|[\w.-]+@[\w.-]+|\{\w+\}|/\w[\w/{}<>.-]*")
"""Words of both languages, and addresses."""


def english_in(page: Any, call: Call) -> list[str]:
    """Visible lines and labels with an English word, but for what people said, names and made-up sentences."""
    lines: list[str] = page.evaluate(
        """() => {
            const own = "script, style, template, q, blockquote, [data-cue-words], .why .text, .wall-help .why, .alerts strong,"
              + " [data-f=reason], [data-f=about], [data-f=standing], [data-outlook-reasons] li, kbd, code, pre, textarea,"
              + " .versions, [data-cues] strong, .heard, .turns > li > p, svg, .chart, .ref, [data-table] tbody td:last-child,"
              + " [data-said-by-people], [lang=en]";
            const words = (node) => node.closest(".turn .words") && !node.closest(".cue"); // what was said
            const out = [];
            const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (walk.nextNode()) {
              const node = walk.currentNode.parentElement;
              if (!node.closest(own) && !words(node)) out.push(walk.currentNode.data.trim());
            }
            for (const node of document.querySelectorAll("[aria-label], [placeholder], [title]"))
                if (!node.closest(own)) out.push(node.getAttribute("aria-label") ?? "", node.getAttribute("placeholder") ?? "");
            return out;
        }"""
    )
    own = {str(call.agent), str(call.team), str(call.source), call.queue}
    unquoted = [re.sub(r"[„“”].*?[“”]", "", line) for line in lines if line not in own]
    plain = ((line, GERMAN_TOO.sub("", line)) for line in unquoted)
    return sorted({line for line, rest in plain if ENGLISH.search(rest)})
