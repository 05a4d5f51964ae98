from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("calls", "0028_front_door"),
    ]

    operations = [
        migrations.AddField(
            model_name='rubricplan',
            name='untried',
            field=models.CharField(blank=True, help_text='Why it was planned without a trial.', max_length=200),
        ),
        migrations.AddField(
            model_name='rubricplan',
            name='trouble',
            field=models.TextField(blank=True, help_text='Why it could not be published at its time.'),
        ),
        migrations.CreateModel(
            name='RubricTrial',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('base', models.JSONField(help_text='The rubric it is compared with.')),
                ('spec', models.JSONField()),
                ('calls', models.JSONField(help_text='Ids of the calls, newest first.')),
                ('rows', models.JSONField(default=list, help_text='What was seen of each, in that order.')),
                ('began_at', models.DateTimeField(auto_now_add=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('author', models.ForeignKey(blank=True, null=True, on_delete=models.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('rubric', models.ForeignKey(on_delete=models.CASCADE, related_name='trials', to='calls.rubric')),
            ],
            options={
                'ordering': ('-began_at', '-pk'),
            },
        ),
    ]
