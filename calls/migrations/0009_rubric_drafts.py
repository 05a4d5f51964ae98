import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('calls', '0008_policy'),
    ]

    operations = [
        migrations.CreateModel(
            name='RubricDraft',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('text', models.TextField(help_text='YAML.')),
                ('revision', models.PositiveIntegerField(default=0, help_text='Counts savings: who saves names the one read.')),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('author', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('based_on', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='calls.rubricversion')),
                ('rubric', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='draft', to='calls.rubric')),
            ],
        ),
        migrations.CreateModel(
            name='RubricPlan',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('spec', models.JSONField()),
                ('note', models.CharField(max_length=200)),
                ('starts_at', models.DateTimeField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('author', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('rubric', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='plans', to='calls.rubric')),
            ],
            options={
                'ordering': ('starts_at', 'pk'),
            },
        ),
    ]
