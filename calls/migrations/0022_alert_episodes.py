from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("calls", "0021_paused_hops"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='alert',
            name='alert_cause',
        ),
        migrations.AddField(
            model_name='alert',
            name='episode',
            field=models.PositiveSmallIntegerField(default=1, help_text='Counts from 1: a cause that has clearly left and comes back is a new one.'),
        ),
        migrations.AddConstraint(
            model_name='alert',
            constraint=models.UniqueConstraint(fields=('call', 'cause', 'episode'), name='alert_episode'),
        ),
        migrations.AddIndex(
            model_name='alert',
            index=models.Index(fields=['-raised_at', '-id'], name='alert_newest'),
        ),
        migrations.AddIndex(
            model_name='alert',
            index=models.Index(condition=models.Q(('acknowledged_at', None), ('resolved_at', None)), fields=['-raised_at', '-id'], name='alert_waiting'),
        ),
    ]
