"""What the OpenAPI document says of every operation alike: its scope, and what can go wrong."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

from calls.api.problems import TYPE

PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was wrong and what to do."},
        "errors": {
            "type": "object",
            "description": "By the name of what was wrong.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
    "required": ["type", "title", "status", "detail"],
}
WRONG = {
    "400": "What was asked cannot be understood; `errors` says why, by name.",
    "401": "No token, or one that is not good.",
    "403": "The token lacks the scope, or the policy forbids it.",
    "404": "Nothing is here, or it is not yours to see.",
    "409": "That cannot be done as things are; `detail` says why.",
    "406": "There is no such format.",
    "415": "Not JSON, or where bytes are asked for, not those.",
    "422": "More than can be given at once.",
    "503": "What it needs does not answer: try again.",
    "429": "Too many requests: wait as long as `Retry-After` says.",
}


def with_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A hook of drf-spectacular: every operation may answer with a problem document."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    content = {TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for methods in result["paths"].values():
        for operation in methods.values():
            wrong = {status: {"description": words, "content": content} for status, words in WRONG.items()}
            operation["responses"] = operation["responses"] | wrong
    return result


class Described(AutoSchema):
    def get_description(self) -> str:
        scope = getattr(self.view, "scope", None)
        words: str = super().get_description() or ""
        return f"{words}\n\nScope: `{scope.value}`." if scope else words


class Bearer(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "calls.api.rights.TokenInHeader"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A token made on /tokens/."}


class Cookie(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "calls.api.rights.LoggedIn"
    name = "browser"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
