
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('users', '0007_token_destination'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=32)),
                ('title', models.CharField(help_text='What it is about, in words.', max_length=200)),
                ('origin', models.CharField(blank=True, default='', help_text='The page that it was asked for on.', max_length=500)),
                ('key', models.CharField(blank=True, default='', max_length=120)),
                ('parameters', models.JSONField(default=dict)),
                ('cursor', models.JSONField(default=dict)),
                ('state', models.CharField(choices=[('queued', 'Waiting'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='queued', max_length=10)),
                ('is_standing', models.BooleanField(default=False)),
                ('done', models.BigIntegerField(default=0, help_text="How far, in the kind's unit.")),
                ('total', models.BigIntegerField(help_text='Of how many; null: not known.', null=True)),
                ('message', models.TextField(blank=True, default='', help_text='What is going on, what came of it, or what is wrong.')),
                ('result', models.JSONField(null=True)),
                ('file', models.CharField(blank=True, default='', help_text='Name of the result below VAR/jobs.', max_length=80)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('lease_until', models.DateTimeField(null=True)),
                ('lease_token', models.UUIDField(null=True)),
                ('due_at', models.DateTimeField()),
                ('turn_at', models.DateTimeField(help_text='When a worker took it the last time.', null=True)),
                ('created_at', models.DateTimeField()),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('cancel_asked_at', models.DateTimeField(null=True)),
                ('asked_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('cancel_asked_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='jobs', to='users.workspace')),
            ],
            options={
                'indexes': [models.Index(fields=['workspace', '-created_at', '-id'], name='job_by_age'), models.Index(fields=['workspace', '-turn_at'], name='job_by_turn'), models.Index(condition=models.Q(('state__in', ['queued', 'running'])), fields=['due_at'], name='job_by_due_time')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('key', ''), _negated=True), fields=('workspace', 'key'), name='one_job_per_key')],
            },
        ),
    ]
