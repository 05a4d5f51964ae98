"""`{{ text|said }}`: a sentence that scoring made, in the reader's language."""

from __future__ import annotations

from django import template

from calls.views import said as sentences

register = template.Library()


@register.filter
def said(text: str | None) -> str:
    return sentences.said(text or "")
