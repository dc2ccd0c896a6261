from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('jobs', '0001_jobs')]

    operations = [
        migrations.AddField(
            model_name='job',
            name='answered_at',
            field=models.DateTimeField(help_text='When the page that asked for it said itself how it ended.', null=True),
        ),
    ]
