"""Versions of documents, and as the first of each strategy what the mirror has had of it since it last changed."""

import django.db.models.deletion
from django.db import migrations, models


FIRST = """
INSERT INTO strategies_documentversion (workspace_id, connection_id, kind, backend_id, document, first_seen_at)
SELECT workspace_id, connection_id, CASE kind WHEN 'portfolio' THEN kind ELSE 'strategy' END, backend_id, document,
       synced_at
FROM strategies_strategy WHERE NOT is_removed OR document ? 'closeOnRemovalMode'
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):

    dependencies = [
        ('strategies', '0008_changes_move'),
        ('users', '0015_events'),
    ]

    operations = [
        migrations.CreateModel(
            name='ConfigurationLook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('looked_at', models.DateTimeField()),
                ('connection', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='configuration_look', to='users.connection')),
            ],
        ),
        migrations.CreateModel(
            name='DocumentVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('strategy', 'Strategy'), ('portfolio', 'Portfolio'), ('subscriber', 'Subscriber')], max_length=10)),
                ('backend_id', models.CharField(max_length=64)),
                ('document', models.JSONField(default=dict)),
                ('first_seen_at', models.DateTimeField()),
                ('last_seen_at', models.DateTimeField(null=True)),
                ('replaced_at', models.DateTimeField(null=True)),
                ('connection', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to='users.connection')),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to='users.workspace')),
            ],
            options={
                'indexes': [models.Index(fields=['connection', 'kind', 'backend_id', 'first_seen_at'], name='version_by_object'), models.Index(condition=models.Q(('replaced_at__isnull', False)), fields=['connection', 'replaced_at'], name='version_by_end')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('replaced_at', None)), fields=('connection', 'kind', 'backend_id'), name='one_version_in_force')],
            },
        ),
        migrations.RunSQL(FIRST, migrations.RunSQL.noop),
    ]
