from __future__ import annotations

from typing import Any

from django.db import migrations, models


def mark(apps: Any, schema_editor: Any) -> None:
    """Those that practice made for itself, before they could be told by more than their name."""
    made = {"slug__regex": r"^practice-[0-9]+$", "name__startswith": "Practice of ", "protocol": "stream"}
    for source in apps.get_model("calls", "Source").objects.filter(**made, token_required=True):
        if source.slug == f"practice-{source.team_id}":
            source.practice = True
            source.save(update_fields=["practice"])


class Migration(migrations.Migration):
    dependencies = [("calls", "0027_outcomes")]

    operations = [
        migrations.AddField(
            model_name="source",
            name="practice",
            field=models.BooleanField(
                default=False,
                editable=False,
                help_text="Of a team's practice: it takes calls that somebody began on /practice/, and no other.",
            ),
        ),
        migrations.AddField(
            model_name="call",
            name="pauses",
            field=models.JSONField(
                default=list,
                help_text="Spans nothing may be kept of: since and until, in ms of the call (null: it goes on), and "
                "channels.",
            ),
        ),
        migrations.RunPython(mark, migrations.RunPython.noop),
    ]
