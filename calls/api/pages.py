"""Pages of results by cursor: nothing is skipped or told twice while new calls come in."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from django.http import QueryDict
from django_filters import rest_framework as filters
from django_filters.fields import IsoDateTimeField
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

ALWAYS = frozenset({"cursor", "limit"})


class Pages(CursorPagination):
    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"
    page_size_query_description = "How many to a page: 1 to 200."

    def get_page_size(self, request: Request) -> int:
        """Said wrongly it is an error, not a guess."""
        said = request.query_params.get("limit", "")
        if not said:
            return self.page_size
        if not (said.isascii() and said.isdigit() and len(said) < 6 and 1 <= int(said) <= self.max_page_size):
            raise ValidationError({"limit": f"Give a whole number from 1 to {self.max_page_size}."})
        return int(said)


class Asked(filters.DjangoFilterBackend):
    """Filters, and an error for a question nobody understands: a slip must not give everything."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        filterset_class = self.get_filterset_class(view, queryset)
        names = set(filterset_class.base_filters) if filterset_class else set()
        only_known(request.query_params, names | ALWAYS)
        found: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return found


class _TimeField(IsoDateTimeField):
    def clean(self, value: Any) -> Any:
        """Times that a database could not hold, once in UTC, are none."""
        at = super().clean(value)
        try:
            if at is None or 1970 <= at.astimezone(UTC).year < 9999:
                return at
        except OverflowError:
            pass
        raise DjangoValidationError("Give a time from 1970 on, like 2026-01-31T08:00:00Z.")


class Time(filters.IsoDateTimeFilter):
    field_class = _TimeField


def only_known(asked: QueryDict, known: set[str] | frozenset[str]) -> None:
    unknown = sorted(set(asked) - known)
    if unknown:
        listed = ", ".join(sorted(known)) or "none"
        raise ValidationError({unknown[0][:60]: f"There is no such parameter here. Known: {listed}."})
    for name in asked:
        if len(asked.getlist(name)) > 1:
            raise ValidationError({name: "Give it once."})
