"""What the database does for a role that does not own the tables: no table of its own hides which periods are closed.

Only an owner may have the statistics of a table read anew; a sync that stored much asks for it.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION reporting_refresh_statistics(name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    EXECUTE format('ANALYZE %I.%I', current_schema(), name);
END $$;
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION reporting_refresh_statistics(text) SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION reporting_keep_closed_lines() SET search_path = %I, pg_temp', current_schema());
END $$;
"""
BACKWARD = """
ALTER FUNCTION reporting_keep_closed_lines() RESET search_path;
DROP FUNCTION reporting_refresh_statistics(text);
"""


class Migration(migrations.Migration):
    dependencies = [("reporting", "0030_fewer_line_indexes")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
