"""Forgets addresses that allauth stored beside the one a person signs in with.

They could be added without password and confirmation, and a reset link went to them.
"""

from django.db import migrations
from django.db.models import F
from django.db.models.functions import Lower


def forget_unconfirmed_addresses(apps, schema_editor):
    addresses = apps.get_model("account", "EmailAddress").objects
    addresses.exclude(email=Lower(F("user__email"))).delete()


class Migration(migrations.Migration):
    dependencies = [("users", "0002_email_change"), ("account", "0009_emailaddress_unique_primary_email")]
    operations = [migrations.RunPython(forget_unconfirmed_addresses, migrations.RunPython.noop)]
