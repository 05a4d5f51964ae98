from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("calls", "0022_alert_episodes"),
    ]

    operations = [
        migrations.AddField(
            model_name='nudge',
            name='link',
            field=models.CharField(blank=True, default='', max_length=300),
        ),
        migrations.AddField(
            model_name='nudge',
            name='solution',
            field=models.CharField(blank=True, default='', max_length=200),
        ),
        migrations.AddField(
            model_name='shownnudge',
            name='link',
            field=models.CharField(blank=True, default='', max_length=300),
        ),
        migrations.AddField(
            model_name='shownnudge',
            name='solution',
            field=models.CharField(blank=True, default='', max_length=200),
        ),
    ]
