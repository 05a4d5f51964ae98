"""`{{ problem.wrong|problem }}`: what a rubric's own check says, in the reader's language."""

from __future__ import annotations

from django import template

from calls.views import rubric_words

register = template.Library()


@register.filter
def problem(wrong: str) -> str:
    return rubric_words.problem(wrong)


@register.filter
def named_problem(said: str) -> str:
    """Of a whole line, "field: what is wrong"."""
    where, colon, wrong = said.partition(": ")
    return f"{where}{colon}{rubric_words.problem(wrong)}"
