"""What `many_rows` leaves out of a firm, so that every page has something to show; as far as SQL can make it.

Results by day, equity and its sums, log, decisions and their counts, positions, stopouts, trading accounts, clients who
sign in. The ledger is accrued, closed and issued by the real code.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

SUBSCRIPTIONS = """
INSERT INTO subscribers_subscription (subscriber_id, strategy_backend_id, strategy_id, multiplier, close_only,
    is_removed, document, first_seen_at)
SELECT u.id, s.backend_id, s.id, 1, '', false, '{}', now() - interval '400 days'
FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM subscribers_subscriber) u
JOIN (SELECT id, backend_id, row_number() OVER (ORDER BY id) - 1 AS place FROM strategies_strategy) s
    ON s.place = u.place % (SELECT count(*) FROM strategies_strategy)
    OR (u.place % 2 = 0 AND s.place = (u.place + 7) % (SELECT count(*) FROM strategies_strategy))
ON CONFLICT DO NOTHING
"""
RESULTS = """
INSERT INTO reporting_dailyresult (workspace_id, connection_id, subscriber_id, strategy_id, day, deals, volume_lots,
    profit, swap, commission, provider_commission, is_accrued)
SELECT workspace_id, connection_id, subscriber_id, strategy_id, (time AT TIME ZONE 'UTC')::date, count(*),
    sum(volume_lots), sum(profit), sum(swap), sum(commission), 0, false
FROM reporting_transaction GROUP BY 1, 2, 3, 4, 5 ORDER BY 5 ON CONFLICT DO NOTHING
"""
POINTS = """
INSERT INTO reporting_equitypoint (connection_id, account_id, time, balance, equity, net_deposits)
SELECT u.connection_id, u.backend_id, date_trunc('hour', now()) - n * interval '1 hour', u.balance, u.equity + n, 0
FROM subscribers_subscriber u CROSS JOIN generate_series(0, %(points)s - 1) n ON CONFLICT DO NOTHING
"""
LOG = """
INSERT INTO reporting_logrecord (workspace_id, connection_id, time, level, message, strategy_id, subscriber_id, symbol,
    position_id, side, type, digest)
SELECT workspace_id, connection_id, now() - (n * 2592000.0 / %(lines)s) * interval '1 second',
    (ARRAY['INFO', 'INFO', 'INFO', 'WARN', 'INFO', 'INFO', 'INFO', 'INFO', 'INFO', 'ERROR'])[1 + n %% 10],
    'Opened a copy of 0.10 lots, result ' || n, 's' || CASE WHEN n %% %(strategies)s < 10 THEN '0' ELSE '' END
    || n %% %(strategies)s, 'a' || lpad((n %% %(subscribers)s)::text, 5, '0'), 'EURUSD', 'p' || n, 'buy', 'market',
    md5(n::text)
FROM generate_series(1, %(lines)s) n, (SELECT workspace_id, id AS connection_id FROM users_connection) linked
"""
DECISIONS = """
INSERT INTO reporting_decision (workspace_id, connection_id, backend_id, time, signal_id, strategy_id,
    source_strategy_id, subscriber_id, symbol, subscriber_symbol, side, outcome, reason, level, provider_lots,
    final_lots, text)
SELECT workspace_id, connection_id, 'd' || n, now() - (n * 31536000.0 / %(decisions)s) * interval '1 second',
    'g' || n / 50, strategy, strategy, 'a' || lpad((n %% %(subscribers)s)::text, 5, '0'), 'EURUSD', 'EURUSD', 'buy',
    (ARRAY['copied', 'skipped', 'resized', 'copied'])[1 + n / 7 %% 4],
    (ARRAY['copied', 'tiny-trade', 'max-lots', 'copied'])[1 + n / 7 %% 4], '', 1, 0.1, 'As its settings say.'
FROM (SELECT workspace_id, id AS connection_id FROM users_connection) linked, (
    SELECT n, 's' || CASE WHEN n %% %(strategies)s < 10 THEN '0' ELSE '' END || n %% %(strategies)s AS strategy
    FROM generate_series(1, %(decisions)s) n) numbers
"""
COUNTS = """
INSERT INTO reporting_decisioncount (workspace_id, connection_id, subscriber_id, strategy_id, day, outcome, reason,
    decisions)
SELECT workspace_id, connection_id, subscriber_id, strategy_id, (time AT TIME ZONE 'UTC')::date, outcome, reason,
    count(*)
FROM reporting_decision GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
POSITIONS = """
INSERT INTO reporting_openposition (workspace_id, connection_id, subscriber_id, position_id, strategy_id,
    source_strategy_id, signal_id, symbol, side, lots, open_price, current_price, floating, swap, commission,
    opened_at, changed_at)
SELECT workspace_id, connection_id, account, number::text, strategy, strategy, 'o' || strategy || place,
    (ARRAY['EURUSD', 'USDJPY', 'XAUUSD', 'GBPUSD'])[1 + place], 'buy', 0.1, 1.1, 1.2, number %% 200 - 100, 0, 0,
    now() - number * interval '1 second', now()
FROM (
    SELECT u.workspace_id, u.connection_id, u.backend_id AS account, s.strategy_backend_id AS strategy, place,
        row_number() OVER () AS number
    FROM subscribers_subscription s JOIN subscribers_subscriber u ON u.id = s.subscriber_id
    CROSS JOIN generate_series(0, 3) place
) numbered
"""
SIGNALS = """
INSERT INTO reporting_opentrade (workspace_id, connection_id, strategy_id, signal_id, state, is_external, symbol,
    side, lots, open_price, currency, opened_at, copies, accounts, copied_lots, floatings, unread)
SELECT workspace_id, connection_id, source_strategy_id, signal_id, 'open', true, min(symbol), min(side), 1, 1.1, '',
    min(opened_at), 0, 0, 0, '[]', 0
FROM reporting_openposition GROUP BY 1, 2, 3, 4
"""
STOPOUTS = """
INSERT INTO subscribers_stopout (workspace_id, connection_id, subscriber_id, strategy_backend_id, reason, description,
    is_partial, close_positions, stopped_at, stopped_till, document)
SELECT workspace_id, connection_id, id, '', 'day-balance-difference', 'It lost 10.2 %% of 10 %% allowed.', false, false,
    now() - id %% 700 * interval '1 hour', now() + (id %% 10 - 8) * interval '1 hour', '{}'
FROM subscribers_subscriber WHERE id %% 10 = 0
"""
ACCOUNTS = """
INSERT INTO accounts_brokeraccount (workspace_id, connection_id, backend_id, name, login, server, platform, state,
    connection_status, region, is_provider, is_subscriber, document, revision, is_removed, first_seen_at, seen_at,
    broker, currency, previous_currency, mode, kind, trouble, balance, equity)
SELECT workspace_id, connection_id, backend_id, name, id::text, 'Broker-Demo', 'mt5', 'DEPLOYED', 'CONNECTED', '',
    false, true, '{}', '1', false, now(), now(), '', currency, '', '', '', '', balance, equity
FROM subscribers_subscriber
"""
EMPTIED = (
    "reporting_logrecord, reporting_decision, reporting_decisioncount, reporting_openposition, reporting_opentrade,"
    " reporting_exposuresum, subscribers_stopout, accounts_brokeraccount, subscribers_subscription,"
    " reporting_dailyresult, reporting_equitypoint, reporting_commissionline, reporting_accrualstate,"
    " reporting_billingperiod, reporting_statement, reporting_termsversion, reporting_subscriptionlifetime"
)
MANY_ACCOUNTS = 50  # of a client who has many
PAYMENTS = 100


@contextmanager
def told(what: str) -> Iterator[None]:
    """Say what took how long."""
    start = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - start:.1f} s", flush=True)


def fill(subscribers: int, strategies: int, points: int, lines: int, decisions: int) -> None:
    """Put all of it into the workspace of `many_rows`, unless it is there."""
    from django.db import connection

    from users.models import User

    if User.objects.filter(email="carl@example.com").exists():
        return

    values = {"points": points, "lines": lines, "decisions": decisions}
    values |= {"subscribers": subscribers, "strategies": strategies}
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {EMPTIED} CASCADE")
        cursor.execute(SUBSCRIPTIONS)
        for what, statement in (
            ("results", RESULTS),
            ("equity", POINTS),
            ("log", LOG),
            ("decisions", DECISIONS),
            ("counts", COUNTS),
            ("positions", POSITIONS),
            ("signals", SIGNALS),
            ("stopouts", STOPOUTS),
            ("trading accounts", ACCOUNTS),
        ):
            with told(what):
                cursor.execute(statement, values)
        cursor.execute("VACUUM ANALYZE")
    add_sums()
    add_ledger()
    add_clients()
    with connection.cursor() as cursor, told("vacuum"):
        cursor.execute("VACUUM ANALYZE")


def add_sums() -> None:
    """Sums of equity and of positions, as the sync keeps them."""
    from django.utils import timezone

    from reporting import equity_sums, open_sums
    from reporting.models import SyncKind, SyncState
    from users.models import Connection

    linked = Connection.objects.get()
    with told("sums of equity"):
        while not equity_sums.follow_members(linked, save=lambda: None):
            pass
    with told("sums of positions"):
        open_sums.rebuild(linked, is_list=True)
    known = {"due_at": timezone.now(), "last_success_at": timezone.now(), "complete_until": timezone.now()}
    for kind in SyncKind.values:
        cursor = {equity_sums.CURSOR_KEY: True} if kind == SyncKind.EQUITY else {}
        SyncState.objects.update_or_create(connection=linked, kind=kind, defaults=known | {"cursor": cursor})


def add_ledger() -> None:
    """A year of commission: accrued, all ended months but the last closed, issued, a few statements paid."""
    from django.db import transaction
    from django.utils import timezone

    from reporting.commission.accounts import ClientAccount
    from reporting.commission.closing import close_periods
    from reporting.commission.payments import record_payment
    from reporting.commission.services import accrue_workspace
    from reporting.commission.statements import issue_statements
    from reporting.models import BillingPeriod, Statement
    from strategies.models import Strategy
    from users.models import Workspace

    now, workspace = timezone.now(), Workspace.objects.get()
    for number, strategy in enumerate(Strategy.objects.order_by("backend_id")):
        scheme, rate = (("amount-won", 0.2), ("lots-won", 6), ("high-water-mark", 0.2), ("flat-fee", 30))[number % 4]
        strategy.document = {
            "commissionScheme": {"type": scheme, "commissionRate": rate, "billingPeriod": "month"},
        }
        strategy.save()
    with told("accrual"):
        accrue_workspace(workspace.pk, now)
    with told("closing"):
        ended = BillingPeriod.objects.filter(period_end__lte=now - timedelta(days=45), closed_at=None)
        close_periods(workspace, list(ended.order_by("period_end", "pk")), now=now)
    with told("issuing"), transaction.atomic():
        issue_statements(workspace, until=now, due_on=now.date(), now=now)
    with told("payments"):
        for statement in Statement.objects.filter(amount__gt=1).order_by("pk")[:PAYMENTS]:
            record_payment(
                workspace,
                ClientAccount.of(statement),
                amount=1,
                currency=statement.currency,
                received_on=now.date(),
                statement=statement,
                now=now,
                reference="wire",
            )


def add_clients() -> None:
    """Bob sees one account, carl many."""
    from subscribers.models import Subscriber, SubscriberAccess
    from tests import builders
    from users.models import Workspace

    accounts = list(Subscriber.objects.order_by("pk")[:MANY_ACCOUNTS])
    for name, own in (("bob", accounts[:1]), ("carl", accounts)):
        membership = builders.member(Workspace.objects.get(), name, "subscriber").memberships.get()
        SubscriberAccess.objects.bulk_create(
            SubscriberAccess(membership=membership, subscriber=account) for account in own
        )
