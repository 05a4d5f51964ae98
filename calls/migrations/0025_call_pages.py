from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('calls', '0021_paused_hops'),
    ]

    operations = [
        migrations.AddField(
            model_name='look',
            name='kind',
            field=models.CharField(choices=[('page', 'the call’s page'), ('data', 'its data and consent'), ('marking', 'to mark turns'), ('scoring', 'to score it'), ('review', 'a score that somebody gave it'), ('rescored', 'scored by another version of the rubric'), ('copy', 'took a copy of all of it'), ('program', 'by a program'), ('played', 'played the recording'), ('listen', 'listened in live'), ('barge', 'stepped in live')], default='page', max_length=10),
        ),
    ]
