"""`python -m empathy_dash.languages`: collect every translatable string, update the catalogs, compile them.

Two catalogs per language, as Django has them: `django` (templates and Python) and `djangojs` (static/js).
A string that is new gets an empty translation, which tests/web/test_languages.py does not let pass.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "calls" / "locale"
LANGUAGES = ("de",)
NOTES = ("Translators:",)
OPTIONS = {"parse_template_string": True}
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "gettext": None,
    "ngettext": (1, 2),
    "gettext_lazy": None,
    "ngettext_lazy": (1, 2),
    "gettext_noop": None,
    "_": None,
}


def found(domain: str) -> Catalog:
    """Every translatable string of the working tree."""
    catalog = Catalog(project="Empathy Dash", charset="utf-8")
    for path, method, content in sources(domain):
        strings = extract(method, io.BytesIO(content), KEYWORDS, NOTES, OPTIONS)
        for _line, message, comments, _context in strings:
            catalog.add(message, locations=[(str(path.relative_to(ROOT)), 0)], auto_comments=comments)
    return catalog


def sources(domain: str) -> Iterator[tuple[Path, str, bytes]]:
    if domain == "djangojs":
        for path in sorted((ROOT / "static" / "js").glob("*.js")):
            yield path, "javascript", path.read_bytes()
        return
    for path in sorted((ROOT / "templates").rglob("*.html")):
        yield path, "python", templatize(path.read_text("utf-8")).encode()
    for folder in ("calls", "empathy_dash"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, "python", path.read_bytes()


def po_path(language: str, domain: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / f"{domain}.po"


def kept(language: str, domain: str) -> Catalog:
    path = po_path(language, domain)
    if not path.exists():
        return Catalog(locale=language, header_comment="# Empathy Dash", charset="utf-8", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def missing(catalog: Catalog) -> list[str]:
    """Strings without a (complete) translation."""
    return [str(m.id) for m in catalog if m.id and (m.fuzzy or not all(forms(m.string)))]


def forms(string: object) -> tuple[str, ...]:
    """The translation, or one for each plural."""
    return tuple(string) if isinstance(string, tuple | list) else (str(string or ""),)


def compiled(catalog: Catalog) -> bytes:
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def update(language: str, domain: str) -> list[str]:
    """Write one catalog; what it still lacks."""
    catalog = kept(language, domain)
    catalog.update(found(domain), no_fuzzy_matching=True, update_creation_date=False)
    catalog.obsolete.clear()
    path = po_path(language, domain)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalog, width=110, sort_output=True, omit_header=False)
    path.with_suffix(".mo").write_bytes(compiled(catalog))
    return missing(catalog)


def main() -> int:
    lacking = {
        (lang, domain): update(lang, domain) for lang in LANGUAGES for domain in ("django", "djangojs")
    }
    for (language, domain), strings in lacking.items():
        for string in strings:
            print(f"{language}/{domain}: not translated: {string}")
    print(f"{sum(map(len, lacking.values()))} strings lack a translation")
    return 1 if any(lacking.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
