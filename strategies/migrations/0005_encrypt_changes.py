from django.db import migrations

import users.secrets
from users.secrets import encrypt


def encrypt_documents(apps, schema_editor):
    with schema_editor.connection.cursor() as database:
        database.execute("SELECT id, before, after FROM strategies_change")
        for pk, before, after in database.fetchall():
            database.execute(
                "UPDATE strategies_change SET before = %s, after = %s WHERE id = %s", [encrypt(before), encrypt(after), pk]
            )
        database.execute(
            "UPDATE strategies_strategy SET document = jsonb_set(document, '{telegram,publishing,token}', '\"hidden\"')"
            " WHERE document #>> '{telegram,publishing,token}' <> ''"
        )


class Migration(migrations.Migration):
    dependencies = [("strategies", "0004_changes")]

    operations = [
        migrations.AlterField("change", "before", users.secrets.EncryptedJSONField(default=dict)),
        migrations.AlterField("change", "after", users.secrets.EncryptedJSONField(default=dict)),
        migrations.RunPython(encrypt_documents, migrations.RunPython.noop),
    ]
