from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("editing", "0004_bulk")]

    operations = [
        migrations.AddField(
            model_name="change",
            name="as_client",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Made by a client on their own page, within the manager's bounds.",
            ),
        ),
    ]
