"""The history of terms. What was known of it becomes versions: closed and settled lines stay what they are."""

from decimal import Decimal

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.utils import timezone

LIFETIMES = """
INSERT INTO reporting_subscriptionlifetime (connection_id, subscriber_id, strategy_id, started_at, ended_at)
SELECT account.connection_id, account.backend_id, own.strategy_backend_id, own.first_seen_at,
       CASE WHEN own.is_removed THEN own.first_seen_at END
FROM subscribers_subscription own JOIN subscribers_subscriber account ON account.id = own.subscriber_id
ON CONFLICT DO NOTHING
"""


def keep_what_is_known(apps, schema_editor):
    """Terms, lengths and zones of AccrualState.terms_since as versions; where nothing is known, none: the first look
    at the strategy makes one that holds from the beginning."""
    versions = apps.get_model("reporting", "TermsVersion")
    states = apps.get_model("reporting", "AccrualState").objects.exclude(terms_since={}).select_related("connection")
    now = timezone.now()
    for state in states.iterator():
        rows = [*commissions(state.terms_since), *calendars(state.terms_since)]
        versions.objects.bulk_create(
            versions(
                workspace_id=state.connection.workspace_id, connection_id=state.connection_id,
                strategy_id=state.strategy_id, subject=subject, number=number, valid_from=since, terms=terms,
                source="initial", seen_at=now,
            )
            for number, (subject, since, terms) in enumerate(rows, 1)
        )


def commissions(known):
    """(subject, since, terms) wherever the length changes or charging begins."""
    lengths = [(each["since"], each["billing_period"]) for each in known.get("calendars", [])] or [(None, "month")]
    charged = known.get("charged", {}).get("")
    begins = charged["since"] if charged else None
    moments = {since for since, _ in lengths} | {begins}
    last = None
    for since in sorted(moments, key=lambda since: since or ""):
        length = [length for start, length in lengths if (start or "") <= (since or "")][-1]
        terms = {"scheme": "", "rate": "0", "billing_period": length}
        if charged and (begins or "") <= (since or ""):
            terms = {"scheme": charged["scheme"], "rate": plain(charged["rate"]), "billing_period": length}
        if terms != last:
            yield "commission", since, terms
        last = terms


def calendars(known):
    """(subject, since, terms) wherever the zone or the first day of the week changes."""
    last = None
    for each in known.get("calendars", []):
        terms = {"zone": each["zone"], "week_starts_monday": each["week_starts_monday"]}
        if terms != last:
            yield "calendar", each["since"], terms
        last = terms


def plain(rate):
    return f"{Decimal(rate).normalize():f}"


class Migration(migrations.Migration):

    dependencies = [
        ('reporting', '0006_accrual_as_job'),
        ('editing', '0002_terms_from'),
        ('users', '0007_token_destination'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='SubscriptionLifetime',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subscriber_id', models.CharField(max_length=64)),
                ('strategy_id', models.CharField(max_length=64)),
                ('started_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('connection', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to='users.connection')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('connection', 'subscriber_id', 'strategy_id', 'started_at'), name='one_lifetime_per_start'), models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('connection', 'subscriber_id', 'strategy_id'), name='one_running_lifetime')],
            },
        ),
        migrations.CreateModel(
            name='TermsVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('strategy_id', models.CharField(max_length=64)),
                ('subscriber_id', models.CharField(blank=True, default='', max_length=64)),
                ('subject', models.CharField(choices=[('commission', 'Commission'), ('policy', 'High-water-mark policy'), ('calendar', 'Billing calendar'), ('members', 'Members of the portfolio')], max_length=10)),
                ('number', models.PositiveIntegerField(help_text='Counts the versions of a strategy.')),
                ('valid_from', models.DateTimeField(help_text='Null: from the beginning.', null=True)),
                ('terms', models.JSONField(default=dict)),
                ('source', models.CharField(choices=[('initial', 'Known from the beginning'), ('portal', 'Changed here'), ('backend', 'Changed at the backend')], max_length=8)),
                ('needs_consent', models.BooleanField(default=False, help_text='Clients pay more by it than before.')),
                ('seen_at', models.DateTimeField()),
                ('change', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='editing.change')),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='users.connection')),
                ('set_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='users.workspace')),
            ],
            options={
                'indexes': [models.Index(fields=['workspace', '-seen_at'], name='terms_version_by_seen')],
                'constraints': [models.UniqueConstraint(fields=('connection', 'strategy_id', 'number'), name='one_terms_version')],
            },
        ),
        migrations.RunPython(keep_what_is_known, migrations.RunPython.noop),
        migrations.RunSQL(LIFETIMES, migrations.RunSQL.noop),
    ]
