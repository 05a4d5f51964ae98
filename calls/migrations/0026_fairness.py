"""What an appeal makes of a score, and when its decision was read."""

import calls.models.trends
from django.db import migrations, models

AS_IT_WAS = """
update calls_callfact set machine_empathy = empathy where empathy is not null;
update calls_appeal set seen_at = decided_at where decided_at is not null;
"""


class Migration(migrations.Migration):

    dependencies = [
        ("calls", "0025_call_pages"),
    ]

    operations = [
        migrations.AddField(
            model_name='appeal',
            name='seen_at',
            field=models.DateTimeField(blank=True, help_text='When the agent read the decision.', null=True),
        ),
        migrations.AddField(
            model_name='callfact',
            name='appeal_decision',
            field=models.CharField(blank=True, help_text="On the machine's score.", max_length=8),
        ),
        migrations.AddField(
            model_name='callfact',
            name='machine_empathy',
            field=calls.models.trends.RealField(help_text='What the machine gave, 0-100, whatever became of it.', null=True),
        ),
        migrations.AddField(
            model_name='callfact',
            name='under_appeal',
            field=models.BooleanField(default=False, help_text='Nothing that was judged is told.'),
        ),
        migrations.AlterField(
            model_name='callfact',
            name='empathy',
            field=calls.models.trends.RealField(help_text='0-100, as an appeal left it; empty while one is open.', null=True),
        ),
        migrations.RunSQL(AS_IT_WAS, migrations.RunSQL.noop),
    ]
