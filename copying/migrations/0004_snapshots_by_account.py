from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("copying", "0003_account_deals")]

    operations = [
        migrations.AddIndex(
            model_name="accountsnapshotrecord",
            index=models.Index(fields=["account_id", "time"], name="snapshots_by_account"),
        ),
    ]
