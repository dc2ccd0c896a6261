"""Forms that act once."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("users", "0004_simulated_market")]

    operations = [
        migrations.CreateModel(
            name="FormPost",
            fields=[
                (
                    "key",
                    models.CharField(
                        help_text="Digest of the person, the address, the token.",
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("posted_at", models.DateTimeField()),
                ("answer", models.JSONField(help_text="What was said: a list of level and text.", null=True)),
                (
                    "address",
                    models.CharField(
                        blank=True, default="", help_text="Where the first post led to.", max_length=500
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="users.workspace"
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["workspace", "posted_at"], name="form_post_by_age")]},
        ),
    ]
