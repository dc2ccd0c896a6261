from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("reporting", "0007_terms_history"),
    ]

    operations = [
        migrations.AddField(
            model_name="syncstate",
            name="idle_since",
            field=models.DateTimeField(help_text="Since when runs have brought nothing new.", null=True),
        ),
    ]
