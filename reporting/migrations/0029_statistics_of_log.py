"""What the planner knows of the log's words in capitals, as searches compare them.

Without it, it expects hardly a line to have them, and reads the whole log where walking it by time is over at once.
"""

from django.db import migrations

ADD = """
CREATE STATISTICS log_message_statistics ON (upper(message)) FROM reporting_logrecord;
ANALYZE reporting_logrecord;
"""
REMOVE = "DROP STATISTICS log_message_statistics;"


class Migration(migrations.Migration):
    dependencies = [("reporting", "0028_receivers")]
    operations = [migrations.RunSQL(ADD, REMOVE)]
