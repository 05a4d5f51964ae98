"""The database itself refuses to rewrite a rubric version (only its author's account may go)."""

from django.db import migrations

FORBID = """
create function calls_rubricversion_immutable() returns trigger as $$
begin
  if (new.rubric_id, new.number, new.spec, new.note) is distinct from
     (old.rubric_id, old.number, old.spec, old.note) then
    raise exception 'rubric version % never changes: publish a new one', old.id;
  end if;
  return new;
end
$$ language plpgsql;
create trigger calls_rubricversion_immutable before update on calls_rubricversion
  for each row execute function calls_rubricversion_immutable();
"""
ALLOW = """
drop trigger calls_rubricversion_immutable on calls_rubricversion;
drop function calls_rubricversion_immutable();
"""


class Migration(migrations.Migration):
    dependencies = [("calls", "0001_initial")]
    operations = [migrations.RunSQL(FORBID, ALLOW)]
