"""The plain admin: good enough to manage people, teams and sources until they have pages."""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from calls import auditing
from calls.choices import Did
from calls.models import Alert, Call, Rubric, RubricVersion, Source, Team, User

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]


class Audited:
    """Writes what was changed here to the audit log; secrets by name only."""

    def log_addition(self, request: Any, obj: Any, message: Any) -> Any:
        auditing.record(request.user, Did.CREATED, obj)
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: Any, obj: Any, message: Any) -> Any:
        auditing.record(request.user, Did.CHANGED, obj, {}, {"fields": changed_fields(message)})
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: Any, queryset: Any) -> Any:
        for obj in queryset:
            auditing.record(request.user, Did.REMOVED, obj)
        return super().log_deletions(request, queryset)  # type: ignore[misc]


def changed_fields(message: Any) -> str:
    """Names, as Django's own log has them."""
    parts = message if isinstance(message, list) else []
    return ", ".join(name for part in parts for name in part.get("changed", {}).get("fields", []))


@admin.register(User)
class PersonAdmin(Audited, UserAdmin):  # type: ignore[type-arg,misc]
    list_display = ("username", "first_name", "last_name", "role", "team", "is_active")
    list_filter = ("role", "team", "is_active")
    fieldsets = (*(UserAdmin.fieldsets or ()), ("Floor", {"fields": ("role", "team", "supervises")}))
    add_fieldsets = (*UserAdmin.add_fieldsets, ("Floor", {"fields": ("role", "team")}))
    filter_horizontal = ("supervises",)

    def get_readonly_fields(self, request: Any, obj: Any = None) -> Any:
        return ("role", "is_active") if obj else ()  # /people/ changes these, and keeps the last admin

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False  # people are switched off, so that what they did keeps its name


@admin.register(Source)
class SourceAdmin(Audited, admin.ModelAdmin):  # type: ignore[type-arg,misc]
    list_display = ("name", "slug", "protocol", "team", "enabled", "synthetic", "keep_audio")


class ReadOnly(Audited, admin.ModelAdmin):  # type: ignore[type-arg,misc]
    """Looked at here, never touched: what may be done with these is done on pages that look first."""

    def has_add_permission(self, request: object) -> bool:
        return False

    def has_change_permission(self, request: object, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: object, obj: object = None) -> bool:
        return False


@admin.register(RubricVersion)
class RubricVersionAdmin(ReadOnly):
    list_display = ("rubric", "number", "created_at", "created_by")  # published from checked drafts, for good


@admin.register(Call)
class CallAdmin(ReadOnly):
    list_display = ("external_ref", "team", "agent", "status", "started_at")  # erased at /calls/<id>/data/
    list_filter = ("status", "team", "synthetic")
    exclude = ("tile", "view", "final")  # what was made of it is on its page, where a look is noted


class PlainAdmin(Audited, admin.ModelAdmin):  # type: ignore[type-arg,misc]
    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return (
            False  # a team is removed at /teams/ while nothing hangs on it; a rubric stays with its versions
        )


admin.site.register([Team, Rubric], PlainAdmin)
admin.site.register(Alert, ReadOnly)
