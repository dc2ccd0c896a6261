"""Lines of commissions by workspace or connection alone are found by the longer indexes that begin with them."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('reporting', '0029_statistics_of_log'),
        ('users', '0021_logos'),
    ]

    operations = [
        migrations.AlterField(
            model_name='commissionline',
            name='connection',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to='users.connection'),
        ),
        migrations.AlterField(
            model_name='commissionline',
            name='workspace',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to='users.workspace'),
        ),
    ]
