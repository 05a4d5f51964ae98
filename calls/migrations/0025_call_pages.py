from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("calls", "0023_playbook"),
    ]

    operations = [
        migrations.AddField(
            model_name='look',
            name='kind',
            field=models.CharField(choices=[('page', 'the call’s page'), ('data', 'its data and consent'), ('marking', 'to mark turns'), ('scoring', 'to score it'), ('review', 'a score that somebody gave it'), ('rescored', 'scored by another version of the rubric'), ('copy', 'took a copy of all of it'), ('program', 'by a program'), ('played', 'played the recording'), ('listen', 'listened in live'), ('barge', 'stepped in live')], default='page', max_length=10),
        ),
        migrations.AddField(
            model_name='source',
            name='barge_url',
            field=models.CharField(blank=True, help_text='The same, to step into the call and be heard.', max_length=300),
        ),
        migrations.AlterField(
            model_name='source',
            name='listen_url',
            field=models.CharField(blank=True, help_text='Where a supervisor listens in, in the phone system: an https address that may hold {call} (its own name for the call) and {agent} (the user name).', max_length=300),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(fields=['-started_at', '-id'], name='call_newest'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(condition=models.Q(('status', 'live')), fields=['-started_at', '-id'], name='call_live'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(fields=['external_ref'], name='call_reference', opclasses=['varchar_pattern_ops']),
        ),
    ]
