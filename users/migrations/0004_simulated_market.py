from django.db import migrations, models


def forget_what_nobody_said(apps, schema_editor):
    """False stood for "not said" until now; the next sync asks the backend."""
    apps.get_model("users", "Connection").objects.filter(market_is_simulated=False).update(market_is_simulated=None)


class Migration(migrations.Migration):
    dependencies = [("users", "0003_forget_unconfirmed_addresses")]

    operations = [
        migrations.AlterField(
            model_name="connection",
            name="market_is_simulated",
            field=models.BooleanField(
                help_text="As the backend says of its accounts: any is simulated, none is; null: it does not say.",
                null=True,
            ),
        ),
        migrations.RunPython(forget_what_nobody_said, migrations.RunPython.noop, elidable=True),
    ]
