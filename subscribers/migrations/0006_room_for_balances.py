from django.db import migrations

# a page of the table with room takes the new version of a row beside the old one: where no indexed column changes
# (the time of a measurement, most often) no index is written. Pages that are full stay so until they are rewritten.
ROOM = "ALTER TABLE subscribers_subscriber SET (fillfactor = 70)"
NONE = "ALTER TABLE subscribers_subscriber RESET (fillfactor)"


class Migration(migrations.Migration):

    dependencies = [
        ("subscribers", "0005_invitations"),
    ]

    operations = [migrations.RunSQL(ROOM, NONE)]
