"""Since when a strategy charges. What charges now holds from the beginning; what is free now is known to be free."""

from django.db import migrations, models

FREE = {"charged": {}, "calendars": []}


def remember_free_strategies(apps, schema_editor):
    apps.get_model("reporting", "AccrualState").objects.filter(terms="").update(terms_since=FREE)


class Migration(migrations.Migration):
    dependencies = [("reporting", "0004_accrual_runs")]

    operations = [
        migrations.AddField(
            model_name="accrualstate",
            name="terms_since",
            field=models.JSONField(
                default=dict, help_text="Since when it charges, and by which calendar (since.py)."
            ),
        ),
        migrations.RunPython(remember_free_strategies, migrations.RunPython.noop),
    ]
