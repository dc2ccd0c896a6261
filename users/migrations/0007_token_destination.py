"""Remembers the destination each stored token was typed for: the one it goes to now."""

from django.db import migrations, models
from django.db.models import Case, F, Value, When
from django.db.models.functions import Concat


def remember_destinations(apps, schema_editor):
    by_domain = When(base_url="", then=Concat(Value("domain "), "domain"))
    destination = Case(by_domain, default=F("base_url"), output_field=models.CharField())
    apps.get_model("users", "Connection").objects.update(token_destination=destination)


class Migration(migrations.Migration):
    dependencies = [("users", "0006_invitations")]
    operations = [
        migrations.AddField(
            model_name="connection",
            name="token_destination",
            field=models.CharField(
                db_default="",
                default="",
                help_text="The destination the token was typed for; it goes to no other.",
                max_length=520,
            ),
        ),
        migrations.RunPython(remember_destinations, migrations.RunPython.noop),
    ]
