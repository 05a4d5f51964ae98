"""Every string of the pages is in the catalogs, every catalog is complete and compiled, and German shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from calls import demo
from calls.models import Call, User
from calls.views import said as sentences
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


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "path",
    [
        "/floor/",
        "/floor/wall/",
        "/calls/",
        "/calls/{call}/",
        "/cues/",
        "/policy/",
        "/policy/firewall/",
        "/calls/{call}/data/",
        "/rubrics/",
    ],
)
def test_a_page_in_german_has_no_english_left(
    page_for: Callable[..., Any], alice: User, full_call: Call, path: str
) -> None:
    page = page_for(alice, locale="de-DE", viewport={"width": 1280, "height": 900})
    page.goto(path.format(call=full_call.pk))
    page.locator("[data-line=live]").or_(page.locator("main:not(:has([data-line]))")).first.wait_for()
    assert english_in(page, full_call) == []


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_agents_page_in_german(page_for: Callable[..., Any], bob: User, full_call: Call) -> None:
    page = page_for(bob, locale="de-DE")
    page.goto("/me/")
    page.locator("[data-line=live]").wait_for()
    assert english_in(page, full_call) == []


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
    r"|help|score[ds]?|alerts?|notes?|cues?|message|time|answers?|voice|words?|silence|silent)\b",
    re.I,
)


def english_in(page: Any, call: Call) -> list[str]:
    """Visible lines and labels with an English word, but for what people said, names and made-up sentences."""
    lines: list[str] = page.evaluate(
        """() => {
            const own = "script, style, template, q, blockquote, [data-turns], [data-cue-words], .cue, .why .text,"
              + " .alerts strong, [data-f=reason], [data-f=about], [data-f=standing], [data-outlook-reasons], .why,"
              + " tbody, kbd, code, .versions, [data-cues] strong, option, svg, .chart";
            const out = [];
            const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (walk.nextNode()) if (!walk.currentNode.parentElement.closest(own)) out.push(walk.currentNode.data.trim());
            for (const node of document.querySelectorAll("[aria-label], [placeholder], [title]"))
                if (!node.closest(own)) out.push(node.getAttribute("aria-label") ?? "", node.getAttribute("placeholder") ?? "");
            return out;
        }"""
    )
    own = {str(call.agent), str(call.team), str(call.source), call.queue}
    unquoted = [re.sub(r"[„“”].*?[“”]", "", line) for line in lines if line not in own]
    return sorted({line for line in unquoted if ENGLISH.search(line)})
