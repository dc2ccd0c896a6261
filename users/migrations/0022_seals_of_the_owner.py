"""Seals are made by the owner of the tables, whoever adds an entry; no temporary table comes before the real ones."""

from django.db import migrations

FORWARD = """
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION users_seal(users_auditentry) SET search_path = %I, pg_temp', current_schema());
    EXECUTE format(
        'ALTER FUNCTION users_seal_audit() SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
END $$;
"""
BACKWARD = """
ALTER FUNCTION users_seal(users_auditentry) RESET search_path;
ALTER FUNCTION users_seal_audit() SECURITY INVOKER RESET search_path;
"""


class Migration(migrations.Migration):
    dependencies = [("users", "0021_logos")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
