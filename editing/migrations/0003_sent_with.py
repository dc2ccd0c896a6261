from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("editing", "0002_terms_from"),
    ]

    operations = [
        migrations.AddField(
            model_name="change",
            name="sent_with",
            field=models.CharField(
                blank=True, db_default="", default="", help_text="Name of the access token; empty: from a page.",
                max_length=80,
            ),
        ),
    ]
