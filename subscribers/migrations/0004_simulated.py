from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0003_headroom")]

    operations = [
        migrations.AddField(
            model_name="subscriber",
            name="asked_at",
            field=models.DateTimeField(help_text="When the backend was last asked for this account alone.", null=True),
        ),
        migrations.AddField(
            model_name="subscriber",
            name="is_simulated",
            field=models.BooleanField(help_text="As the backend says of the account; null: it does not.", null=True),
        ),
    ]
