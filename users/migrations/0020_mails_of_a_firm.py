from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("users", "0019_notice_links")]

    operations = [
        migrations.AlterField(
            model_name="workspace",
            name="accent",
            field=models.CharField(default="blue", help_text="Of a list, or a colour as #rrggbb.", max_length=16),
        ),
        migrations.AddField(
            model_name="workspace",
            name="mail_sender",
            field=models.CharField(blank=True, db_default="", default="", max_length=120),
        ),
        migrations.AddField(
            model_name="workspace",
            name="mail_footer",
            field=models.TextField(blank=True, db_default="", default="", max_length=1000),
        ),
    ]
