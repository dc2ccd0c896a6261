"""Connections that led to a private address before such addresses were refused go on with that one."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from django.db import migrations, models

PRIVATE_NAMES = ("localhost", ".localhost", ".local", ".internal", ".lan", ".home.arpa", ".intranet", ".corp")


def is_private(address: str) -> bool:
    """Whether the address says so itself: a private number, or a name that no public DNS knows."""
    host = (urlsplit(address).hostname or "").rstrip(".").lower()
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(PRIVATE_NAMES)


def keep_private(apps, schema_editor) -> None:
    for connection in apps.get_model("users", "Connection").objects.exclude(base_url="").only("base_url"):
        if is_private(connection.base_url):
            connection.kept_private = connection.base_url
            connection.save(update_fields=["kept_private"])


class Migration(migrations.Migration):
    dependencies = [("users", "0012_second_factor")]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="kept_private",
            field=models.CharField(
                db_default="",
                default="",
                help_text="The private address that it led to before private ones were refused;"
                " it may go on with that one.",
                max_length=300,
            ),
        ),
        migrations.RunPython(keep_private, migrations.RunPython.noop),
    ]
