"""Remembers where each stored change was proposed for, so that a secret in it goes to no other backend.

A change that is older than the last change of a connection in its workspace gets none: nobody knows, so it is asked.
"""

from django.db import migrations, models

REMEMBER = """
UPDATE strategies_change SET destination = users_connection.token_destination
FROM users_connection
WHERE users_connection.id = strategies_change.connection_id AND NOT EXISTS (
    SELECT 1 FROM users_auditentry entry
    WHERE entry.workspace_id = strategies_change.workspace_id AND entry.action = 'connection changed'
    AND entry.occurred_at >= strategies_change.proposed_at
)
"""


class Migration(migrations.Migration):
    dependencies = [("strategies", "0005_encrypt_changes"), ("users", "0007_token_destination")]
    operations = [
        migrations.AddField(
            model_name="change",
            name="destination",
            field=models.CharField(
                db_default="",
                default="",
                help_text="Where the connection led when it was proposed; secrets in it go to no other.",
                max_length=520,
            ),
        ),
        migrations.RunSQL(REMEMBER, migrations.RunSQL.noop),
    ]
