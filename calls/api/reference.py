"""The API's reference as a page of ours, read from the OpenAPI document: works in both themes, by keyboard,
without a script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

Doc = dict[str, Any]
DEEPEST = 6


@dataclass(frozen=True)
class Field:
    name: str
    kind: str
    about: str
    depth: int


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    about: str
    scope: str
    anchor: str
    asked: tuple[Field, ...]
    body: tuple[Field, ...]
    told: tuple[Field, ...]
    files: tuple[str, ...]


@login_required
@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    context = {
        "section": "tokens",
        "groups": groups(),
        "base": settings.PUBLIC_URL,
        "rate": settings.API_RATE,
    }
    return render(request, "api/docs.html", context)


@cache
def groups() -> list[tuple[str, list[Operation]]]:
    """By the first part of the path, in the order of the document."""
    document: Doc = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    found: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = path.removeprefix("/api/v1/").partition("/")[0]
            found.setdefault(name, []).append(_operation(document, path, method, operation))
    return list(found.items())


def _operation(document: Doc, path: str, method: str, operation: Doc) -> Operation:
    about, _, scope = operation.get("description", "").partition("Scope: ")
    told = operation["responses"].get("200", {}).get("content", {})
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    asked = [
        Field(one["name"], _kind(document, one["schema"]), one.get("description", ""), 0)
        for one in operation.get("parameters", ())
        if one["in"] == "query"
    ]
    json = told.get("application/json", {}).get("schema")
    return Operation(
        method=method.upper(),
        path=path,
        about=" ".join(about.split()),
        scope=scope.strip("`. "),
        anchor=operation["operationId"],
        asked=tuple(asked),
        body=tuple(_fields(document, body)) if body else (),
        told=tuple(_fields(document, json)) if json else (),
        files=tuple(kind for kind in told if kind != "application/json"),
    )


def _fields(document: Doc, schema: Doc, depth: int = 0) -> Iterator[Field]:
    """The properties of an object, and of what is inside it, each after its parent."""
    schema = _inner(document, schema)
    for name, one in schema.get("properties", {}).items():
        yield Field(name, _kind(document, one), one.get("description", "").strip(), depth)
        if depth < DEEPEST:
            yield from _fields(document, one, depth + 1)


def _inner(document: Doc, schema: Doc) -> Doc:
    """Without references, lists and dictionaries around it."""
    while True:
        if "$ref" in schema:
            schema = _named(document, schema["$ref"])
        elif schema.get("type") == "array":
            schema = schema["items"]
        elif isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"]:
            schema = schema["additionalProperties"]
        elif len(schema.get("allOf", ())) == 1:
            schema = schema["allOf"][0]
        else:
            return schema


def _named(document: Doc, ref: str) -> Doc:
    found: Doc = document["components"]["schemas"][ref.rpartition("/")[2]]
    return found


def _kind(document: Doc, schema: Doc) -> str:
    """A type in few words: "integer or null", "list of text", "one of a, b"."""
    if "oneOf" in schema or "allOf" in schema:
        kinds = [_kind(document, one) for one in schema.get("oneOf") or schema["allOf"]]
        words = " or ".join(dict.fromkeys(kind for kind in kinds if kind))
    elif "$ref" in schema:
        words = _kind(document, _named(document, schema["$ref"]))
    elif "enum" in schema:
        words = "one of " + ", ".join(str(value) or '""' for value in schema["enum"] if value is not None)
        words = "null" if schema["enum"] == [None] else words
    elif schema.get("type") == "array":
        words = f"list of {_kind(document, schema['items'])}"
    elif isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"]:
        words = f"{_kind(document, schema['additionalProperties'])}, by name"
    else:
        words = NAMES.get(schema.get("format", ""), NAMES.get(schema.get("type", ""), "anything"))
    return f"{words} or null" if schema.get("nullable") and "null" not in words else words


NAMES = {
    "string": "text", "integer": "whole number", "number": "number", "boolean": "true or false",
    "object": "object", "date-time": "time", "date": "day", "uuid": "UUID", "uri": "address",
}  # fmt: skip
