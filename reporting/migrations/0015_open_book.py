import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('reporting', '0014_rates_by_currency'),
        ('strategies', '0008_changes_move'),
        ('subscribers', '0007_entered_currency'),
        ('users', '0011_audit_chain'),
    ]

    operations = [
        migrations.AlterField(
            model_name='quarantinedpage',
            name='kind',
            field=models.CharField(choices=[('configuration', 'Configuration'), ('provided', 'Provided transactions'), ('subscribed', 'Subscription transactions'), ('logs', 'Log'), ('stopouts', 'Stopouts'), ('accounts', 'Balances and equity'), ('equity', 'Equity history'), ('decisions', 'Decisions'), ('limits', 'Risk limits'), ('positions', 'Open positions')], max_length=16),
        ),
        migrations.AlterField(
            model_name='syncstate',
            name='kind',
            field=models.CharField(choices=[('configuration', 'Configuration'), ('provided', 'Provided transactions'), ('subscribed', 'Subscription transactions'), ('logs', 'Log'), ('stopouts', 'Stopouts'), ('accounts', 'Balances and equity'), ('equity', 'Equity history'), ('decisions', 'Decisions'), ('limits', 'Risk limits'), ('positions', 'Open positions')], max_length=16),
        ),
        migrations.CreateModel(
            name='ExposureSum',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source_strategy_id', models.CharField(blank=True, max_length=64)),
                ('symbol', models.CharField(max_length=64)),
                ('side', models.CharField(max_length=4)),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('positions', models.IntegerField()),
                ('lots', models.DecimalField(decimal_places=8, max_digits=32)),
                ('floating', models.DecimalField(decimal_places=8, max_digits=32)),
                ('unknown', models.IntegerField()),
                ('connection', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to='users.connection')),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to='users.workspace')),
            ],
            options={
                'indexes': [models.Index(fields=['workspace'], name='exposure_by_workspace')],
                'constraints': [models.UniqueConstraint(fields=('connection', 'source_strategy_id', 'symbol', 'side', 'currency'), name='one_exposure_sum')],
            },
        ),
        migrations.CreateModel(
            name='OpenPosition',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subscriber_id', models.CharField(help_text='The account.', max_length=64)),
                ('position_id', models.CharField(max_length=64)),
                ('strategy_id', models.CharField(blank=True, default='', max_length=64)),
                ('source_strategy_id', models.CharField(blank=True, default='', max_length=64)),
                ('signal_id', models.CharField(blank=True, default='', max_length=64)),
                ('symbol', models.CharField(max_length=64)),
                ('side', models.CharField(max_length=4)),
                ('lots', models.DecimalField(decimal_places=8, max_digits=24)),
                ('open_price', models.DecimalField(decimal_places=10, max_digits=26)),
                ('current_price', models.DecimalField(decimal_places=10, max_digits=26, null=True)),
                ('stop_loss', models.DecimalField(decimal_places=10, max_digits=26, null=True)),
                ('take_profit', models.DecimalField(decimal_places=10, max_digits=26, null=True)),
                ('floating', models.DecimalField(decimal_places=8, max_digits=24, null=True)),
                ('swap', models.DecimalField(decimal_places=8, max_digits=24)),
                ('commission', models.DecimalField(decimal_places=8, max_digits=24)),
                ('opened_at', models.DateTimeField()),
                ('changed_at', models.DateTimeField()),
                ('connection', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to='users.connection')),
                ('strategy', models.ForeignObject(from_fields=('connection', 'strategy_id'), null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='strategies.strategy', to_fields=('connection', 'backend_id'))),
                ('subscriber', models.ForeignObject(from_fields=('connection', 'subscriber_id'), null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='subscribers.subscriber', to_fields=('connection', 'backend_id'))),
                ('workspace', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, to='users.workspace')),
            ],
            options={
                'indexes': [models.Index(fields=['workspace', '-opened_at', '-id'], name='position_by_time'), models.Index(fields=['workspace', 'symbol', 'id'], name='position_by_symbol'), models.Index(fields=['connection', 'source_strategy_id', 'signal_id'], name='position_by_signal')],
                'constraints': [models.UniqueConstraint(fields=('connection', 'subscriber_id', 'position_id'), name='one_open_position_per_id')],
            },
        ),
        migrations.CreateModel(
            name='OpenTrade',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('strategy_id', models.CharField(max_length=64)),
                ('signal_id', models.CharField(max_length=64)),
                ('state', models.CharField(choices=[('open', 'Open'), ('pending', 'Waiting for its price'), ('closed', 'Closed by the provider'), ('unknown', 'Not known')], max_length=8)),
                ('is_external', models.BooleanField(default=False)),
                ('symbol', models.CharField(max_length=64)),
                ('side', models.CharField(max_length=4)),
                ('lots', models.DecimalField(decimal_places=8, max_digits=24, null=True)),
                ('open_price', models.DecimalField(decimal_places=10, max_digits=26, null=True)),
                ('current_price', models.DecimalField(decimal_places=10, max_digits=26, null=True)),
                ('stop_loss', models.DecimalField(decimal_places=10, max_digits=26, null=True)),
                ('take_profit', models.DecimalField(decimal_places=10, max_digits=26, null=True)),
                ('floating', models.DecimalField(decimal_places=8, max_digits=24, null=True)),
                ('currency', models.CharField(blank=True, default='', max_length=3)),
                ('opened_at', models.DateTimeField()),
                ('copies', models.IntegerField(default=0)),
                ('accounts', models.IntegerField(default=0)),
                ('copied_lots', models.DecimalField(decimal_places=8, default=0, max_digits=32)),
                ('missing', models.IntegerField(null=True)),
                ('unread', models.IntegerField(default=0)),
                ('floatings', models.JSONField(default=list)),
                ('connection', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to='users.connection')),
                ('strategy', models.ForeignObject(from_fields=('connection', 'strategy_id'), null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='strategies.strategy', to_fields=('connection', 'backend_id'))),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to='users.workspace')),
            ],
            options={
                'indexes': [models.Index(fields=['workspace', '-opened_at', '-id'], name='open_signal_by_time'), models.Index(fields=['workspace', 'symbol', 'id'], name='open_signal_by_symbol'), models.Index(fields=['workspace', '-copies', '-id'], name='open_signal_by_copies')],
                'constraints': [models.UniqueConstraint(fields=('connection', 'strategy_id', 'signal_id'), name='one_open_signal_per_id')],
            },
        ),
        migrations.CreateModel(
            name='PositionReading',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('is_strategy', models.BooleanField(default=False, help_text="Of a strategy's external signals.")),
                ('backend_id', models.CharField(max_length=64)),
                ('asked_at', models.DateTimeField(null=True)),
                ('read_at', models.DateTimeField(null=True)),
                ('problem', models.TextField(blank=True, default='')),
                ('connection', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to='users.connection')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('connection', 'is_strategy', 'backend_id'), name='one_position_reading')],
            },
        ),
        # rows move with every price: with room in its page an update touches no index
        migrations.RunSQL(
            "ALTER TABLE reporting_openposition SET (fillfactor = 70)",
            "ALTER TABLE reporting_openposition RESET (fillfactor)",
        ),
    ]
