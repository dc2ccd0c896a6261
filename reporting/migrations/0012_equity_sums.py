import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("reporting", "0011_billing_identity"),
        ("users", "0007_token_destination"),
    ]

    operations = [
        migrations.CreateModel(
            name="EquityMember",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("account_id", models.CharField(max_length=64)),
                ("strategy_id", models.CharField(blank=True, max_length=64)),
                ("currency", models.CharField(max_length=3)),
                ("first_at", models.DateTimeField(null=True)),
                ("has_deposits", models.BooleanField(default=False)),
                (
                    "connection",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="users.connection"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("connection", "account_id", "strategy_id"), name="one_equity_member"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="EquitySum",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("strategy_id", models.CharField(blank=True, max_length=64)),
                ("currency", models.CharField(max_length=3)),
                ("time", models.DateTimeField()),
                ("change", models.DecimalField(decimal_places=8, max_digits=28)),
                ("moved", models.DecimalField(decimal_places=8, max_digits=28)),
                ("points", models.IntegerField()),
                (
                    "connection",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="users.connection"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("connection", "strategy_id", "currency", "time"), name="one_equity_sum"
                    )
                ],
            },
        ),
    ]
