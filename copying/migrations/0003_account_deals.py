from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("copying", "0002_seal_tokens")]

    operations = [
        migrations.CreateModel(
            name="AccountDealRecord",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("sequence", models.BigIntegerField()),
                ("ordinal", models.IntegerField()),
                ("time", models.DateTimeField()),
                ("document", models.TextField()),
                ("tenant", models.CharField(max_length=64)),
                ("account_id", models.CharField(max_length=64)),
                ("deal", models.CharField(max_length=20)),
                ("position_id", models.CharField(max_length=20)),
            ],
            options={
                "indexes": [models.Index(fields=["account_id", "time", "sequence"], name="account_deals_by_time")],
                "constraints": [
                    models.UniqueConstraint(fields=("sequence", "ordinal"), name="account_deal_once")
                ],
            },
        ),
    ]
