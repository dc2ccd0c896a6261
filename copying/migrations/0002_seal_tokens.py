from django.db import migrations

from copying.backend.settings.sealing import reseal_tables


def seal_tokens(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        reseal_tables(cursor)


class Migration(migrations.Migration):
    dependencies = [("copying", "0001_initial")]

    operations = [migrations.RunPython(seal_tokens, migrations.RunPython.noop)]
