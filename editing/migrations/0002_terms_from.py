from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("editing", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="change",
            name="terms_from",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="From when another commission holds: now, next (period), or a day; empty: nobody chose.",
                max_length=10,
            ),
        ),
    ]
