"""What the planner knows of names and ids in capitals, as searches compare them: without it, it expects two accounts."""

from django.db import migrations

ADD = """
CREATE STATISTICS subscriber_name_statistics ON (upper(name::text)) FROM subscribers_subscriber;
CREATE STATISTICS subscriber_id_statistics ON (upper(backend_id::text)) FROM subscribers_subscriber;
ANALYZE subscribers_subscriber;
"""
REMOVE = "DROP STATISTICS subscriber_name_statistics, subscriber_id_statistics;"


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0011_first_versions")]
    operations = [migrations.RunSQL(ADD, REMOVE)]
