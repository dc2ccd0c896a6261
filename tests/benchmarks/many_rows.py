"""A database of its own with one workspace of many subscribers and transactions, made by PostgreSQL itself.

Kept between runs with the same numbers. Beside the database of DATABASE_URL, whose name it carries with an ending.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]
ENDING = "_many_rows"


def prepare(subscribers: int, transactions: int, strategies: int = 20, first: datetime | None = None) -> None:
    """Point DATABASE_URL at the database, set Django up, and fill it unless it holds just that.

    first: the deals are spread from then to now; otherwise they follow each other every 11 seconds of 2025.
    """
    url = os.environ["DATABASE_URL"]
    base, _, query = url.partition("?")
    name = base.rpartition("/")[2].removesuffix(ENDING) + ENDING
    with psycopg.connect(url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    os.environ["DATABASE_URL"] = f"{base.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
    os.environ["DJANGO_SETTINGS_MODULE"] = "copyportal.settings"
    sys.path.insert(0, str(ROOT))
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    fill(subscribers, transactions, strategies, first)


def fill(subscribers: int, transactions: int, strategies: int, first: datetime | None) -> None:
    """Make the rows, unless there are just as many."""
    from django.db import connection
    from django.utils import timezone

    from reporting.models import Transaction
    from strategies.models import Strategy
    from subscribers.models import Subscriber
    from tests import builders
    from users.models import User, Workspace

    counts = Subscriber.objects.count(), Transaction.objects.count(), Strategy.objects.count()
    if counts == (subscribers, transactions, strategies):
        return
    print(f"filling: {subscribers:,} subscribers, {transactions:,} transactions ...", flush=True)
    with connection.cursor() as cursor:
        tables = [model._meta.db_table for model in (Transaction, Subscriber, Strategy, Workspace, User)]
        cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
    workspace = builders.workspace()
    builders.member(workspace, "alice", "owner")
    linked = builders.connection(workspace, is_enabled=False)
    for number in range(strategies):
        builders.strategy(linked, backend_id=f"s{number:02}", name=f"Strategy {number:02}")
    now = timezone.now()
    Subscriber.objects.bulk_create(
        (
            Subscriber(
                workspace=workspace,
                connection=linked,
                backend_id=f"a{number:05}",
                name=f"Client {number * 7919 % subscribers:05}",
                revision="1",
                first_seen_at=now,
                synced_at=now,
                measured_at=now,
                currency=("USD", "EUR", "GBP", "JPY")[number % 4],
                equity=1000 + number * 13 % 5000,
                balance=1000 + number * 7 % 5000,
            )
            for number in range(subscribers)
        ),
        batch_size=5_000,
    )
    values = {"workspace": workspace.pk, "connection": linked.pk, "s": subscribers, "n": transactions}
    if first is not None:
        values |= {"first": first, "step": (now - first) / transactions}
    with connection.cursor() as cursor:
        cursor.execute(ROWS, DEFAULTS | values | {"strategies": strategies})
        cursor.execute("VACUUM ANALYZE")


DEFAULTS = {"strategies": 20, "first": datetime(2025, 1, 1, tzinfo=UTC), "step": timedelta(seconds=11)}
ROWS = """
INSERT INTO reporting_transaction (workspace_id, connection_id, backend_id, subscriber_id, strategy_id, time, type,
    symbol, position_id, subscriber_position_id, volume_lots, price, lot_price, amount, profit, swap, commission,
    improvement, provider_commission, platform_commission, latency_ms, algorithm_latency_ms, slippage_bp,
    slippage_amount)
SELECT %(workspace)s, %(connection)s, 'deal-' || n, 'a' || lpad((n %% %(s)s)::text, 5, '0'),
    's' || CASE WHEN n %% %(strategies)s < 10 THEN '0' ELSE '' END || n %% %(strategies)s,
    %(first)s::timestamptz + n * %(step)s,
    CASE WHEN n %% 2 = 0 THEN 'DEAL_TYPE_BUY' ELSE 'DEAL_TYPE_SELL' END,
    (ARRAY['EURUSD', 'GBPUSD', 'USDJPY', 'AUDUSD', 'USDCHF'])[1 + n %% 5], 'p' || n / 2, 'q' || n / 2,
    (1 + n %% 120) / 100.0, 1.05 + (n %% 9973) / 100000.0, 105000, 1050 + n %% 77, (n %% 40001 - 20000) / 100.0,
    -(n %% 97) / 100.0, -(n %% 53) / 100.0, 0, (n %% 31) / 100.0, 0, 20 + n %% 90, 3, (n %% 17) / 10.0,
    (n %% 13) / 100.0
FROM generate_series(1, %(n)s) n
"""
