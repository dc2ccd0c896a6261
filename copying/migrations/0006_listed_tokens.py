import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("copying", "0005_position_of_deals")]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="takes_listed_only",
            field=models.BooleanField(db_default=False, default=False, help_text="Tokens without a row are refused."),
        ),
        migrations.CreateModel(
            name="BackendToken",
            fields=[
                ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=80)),
                (
                    "scope",
                    models.CharField(
                        choices=[("read", "Read"), ("trade", "Read, change and trade")], default="trade", max_length=5
                    ),
                ),
                ("hint", models.CharField(help_text="Last characters of the token, for recognition.", max_length=4)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(help_text="null: it does not end by itself.", null=True)),
                ("last_used_at", models.DateTimeField(help_text="To the minute.", null=True)),
                ("revoked_at", models.DateTimeField(null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tokens",
                        to="copying.tenant",
                    ),
                ),
            ],
        ),
    ]
