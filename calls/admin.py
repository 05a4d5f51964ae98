"""The plain admin: good enough to manage people, teams and sources until they have pages."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from calls.models import Alert, Call, Rubric, RubricVersion, Source, Team, User

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]
    list_display = ("username", "first_name", "last_name", "role", "team", "is_active")
    list_filter = ("role", "team", "is_active")
    fieldsets = (*(UserAdmin.fieldsets or ()), ("Floor", {"fields": ("role", "team", "supervises")}))
    add_fieldsets = (*UserAdmin.add_fieldsets, ("Floor", {"fields": ("role", "team")}))
    filter_horizontal = ("supervises",)


@admin.register(Source)
class SourceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "slug", "protocol", "team", "enabled", "synthetic", "keep_audio")


@admin.register(RubricVersion)
class RubricVersionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("rubric", "number", "created_at", "created_by")

    def has_add_permission(self, request: object) -> bool:
        return False  # versions are published from checked drafts

    def has_change_permission(self, request: object, obj: object = None) -> bool:
        return False


@admin.register(Call)
class CallAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("external_ref", "team", "agent", "status", "started_at")
    list_filter = ("status", "team", "synthetic")

    def has_change_permission(self, request: object, obj: object = None) -> bool:
        return False


admin.site.register([Team, Rubric])
admin.site.register(Alert)
