"""What an appeal makes of a score; words that go with their call; what stays for good; a person's name that does not."""

import calls.choices
import calls.models.trends
from django.db import migrations, models

AS_IT_WAS = """
update calls_callfact set machine_empathy = empathy where empathy is not null;
update calls_appeal set seen_at = decided_at where decided_at is not null;
"""

UNWORD = """
create or replace function calls_review_immutable() returns trigger as $$
begin
  if old.submitted_at is not null and
     (new.ratings, new.overall, new.machine, new.blind, new.submitted_at, new.call_id,
      new.reviewer_id, new.rubric_version_id)
     is distinct from
     (old.ratings, old.overall, old.machine, old.blind, old.submitted_at, old.call_id,
      old.reviewer_id, old.rubric_version_id) then
    raise exception 'review % is submitted and never changes', old.id;
  end if;
  if old.submitted_at is not null and new.comment is distinct from old.comment and not (
     new.comment = '' and
     exists (select 1 from calls_call where id = old.call_id and purged ? 'transcript')) then
    raise exception 'review % is submitted and never changes', old.id;
  end if;
  return new;
end
$$ language plpgsql;
"""
AS_BEFORE = """
create or replace function calls_review_immutable() returns trigger as $$
begin
  if old.submitted_at is not null and
     (new.ratings, new.overall, new.comment, new.machine, new.blind, new.submitted_at, new.call_id,
      new.reviewer_id, new.rubric_version_id)
     is distinct from
     (old.ratings, old.overall, old.comment, old.machine, old.blind, old.submitted_at, old.call_id,
      old.reviewer_id, old.rubric_version_id) then
    raise exception 'review % is submitted and never changes', old.id;
  end if;
  return new;
end
$$ language plpgsql;
"""

FORBID = """
create function calls_rubricversion_stays() returns trigger as $$
begin
  raise exception 'rubric version % was published and stays: calls are explained by it', old.id;
end
$$ language plpgsql;
create trigger calls_rubricversion_stays before delete on calls_rubricversion
  for each row execute function calls_rubricversion_stays();
"""
ALLOW = """
drop trigger calls_rubricversion_stays on calls_rubricversion;
drop function calls_rubricversion_stays();
"""

NAMES_ONLY = """
create or replace function calls_change_appendonly() returns trigger as $$
begin
  if tg_op = 'UPDATE' and current_setting('calls.erasing', true) = 'on' and
     (new.id, new.at, new.actor_id, new.did, new.subject_type, new.subject_id)
     is not distinct from
     (old.id, old.at, old.actor_id, old.did, old.subject_type, old.subject_id) then
    return new;
  end if;
  raise exception 'the audit log is only ever added to';
end
$$ language plpgsql;
"""
NOTHING = """
create or replace function calls_change_appendonly() returns trigger as $$
begin
  raise exception 'the audit log is only ever added to';
end
$$ language plpgsql;
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
        migrations.RunSQL(UNWORD, AS_BEFORE),
        migrations.RunSQL(FORBID, ALLOW),
        migrations.RunSQL(NAMES_ONLY, NOTHING),
        migrations.AddField(
            model_name='user',
            name='erased_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When the name was erased, for good.', null=True),
        ),
        migrations.AlterField(
            model_name='change',
            name='did',
            field=models.CharField(choices=calls.choices.Did.choices, max_length=12),
        ),
        migrations.AlterField(
            model_name='consentevent',
            name='how',
            field=models.CharField(help_text='source: from the phone system; person, api: noted by `user`.', max_length=20),
        ),
    ]
