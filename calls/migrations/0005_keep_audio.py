from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("calls", "0004_help")]
    operations = [
        migrations.AddField(
            model_name="look",
            name="listened_at",
            field=models.DateTimeField(
                blank=True, help_text="When they began to play the call.", null=True
            ),
        ),
        migrations.AddField(
            model_name="source",
            name="keep_audio",
            field=models.BooleanField(
                default=False,
                help_text="Keep what is said, to be played on the call's page. Only where the site's KEEP_AUDIO is "
                "on too. Callers and agents must have been told; docs/recordings.md says what is kept.",
            ),
        ),
    ]
