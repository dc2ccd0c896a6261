from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("users", "0018_notice_paths")]

    operations = [
        migrations.AddField(
            model_name="notice",
            name="path",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="notice",
            name="own_path",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="notice",
            name="waits_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="noticestart",
            name="known_until",
            field=models.JSONField(db_default={}, default=dict),
        ),
    ]
