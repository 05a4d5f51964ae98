from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("calls", "0030_nudges_lately")]

    operations = [
        migrations.AddField("shownnudge", "shown_ms", models.PositiveBigIntegerField(null=True)),
        migrations.RunSQL(
            "UPDATE calls_shownnudge SET shown_ms = t_ms",  # the nearest that is known of them
            migrations.RunSQL.noop,
        ),
        migrations.AlterField(
            "shownnudge",
            "shown_ms",
            models.PositiveBigIntegerField(help_text="Into the call, when it came to the screen."),
        ),
    ]
