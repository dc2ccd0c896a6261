"""The first version of every subscriber's document: what the mirror has had of it since it last changed."""

from django.db import migrations

FIRST = """
INSERT INTO strategies_documentversion (workspace_id, connection_id, kind, backend_id, document, first_seen_at)
SELECT workspace_id, connection_id, 'subscriber', backend_id, document, synced_at
FROM subscribers_subscriber
WHERE revision <> '' AND (NOT is_removed OR document ? 'closeOnRemovalMode')
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0010_keep_acceptances"), ("strategies", "0009_document_versions")]
    operations = [migrations.RunSQL(FIRST, migrations.RunSQL.noop)]
