"""Money paid in or out is told apart from results, from either source, once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from reporting.flows import cash_flows
from reporting.metrics import equity_curves, growth_index
from reporting.models import EquityPoint, Transaction
from tests import builders

pytestmark = pytest.mark.django_db
T0 = datetime(2026, 3, 1, tzinfo=UTC)


def measure(subscriber, equities, deposits):
    for day, (equity, paid) in enumerate(zip(equities, deposits, strict=True)):
        EquityPoint.objects.create(
            connection=subscriber.connection,
            account_id=subscriber.backend_id,
            time=T0 + timedelta(days=day),
            balance=equity,
            equity=equity,
            net_deposits=paid,
        )


def a_subscriber():
    return builders.subscriber(builders.connection(builders.workspace()), currency="USD")


def pay(subscriber, amount, time):
    Transaction.objects.create(
        workspace=subscriber.workspace,
        connection=subscriber.connection,
        backend_id="1:balance",
        strategy_id="S",
        subscriber_id=subscriber.backend_id,
        type="DEAL_TYPE_BALANCE",
        time=time,
        profit=amount,
        swap=0,
        improvement=0,
        provider_commission=0,
        platform_commission=0,
    )


def test_a_step_of_net_deposits_is_a_flow_and_no_result():
    subscriber = a_subscriber()
    measure(subscriber, [1000, 1100, 2100, 1890], [1000, 1000, 2000, 2000])
    flows = cash_flows(subscriber.connection_id, [subscriber.backend_id])
    assert flows == {subscriber.backend_id: [(T0 + timedelta(days=2), Decimal(1000))]}
    [curve] = equity_curves(subscriber.connection_id, [subscriber.backend_id]).values()
    assert growth_index(curve.equity, curve.flows).tolist() == pytest.approx([1, 1.1, 1.1, 0.99])


def test_balance_transactions_count_where_the_backend_gives_no_net_deposits():
    subscriber = a_subscriber()
    measure(subscriber, [1000, 500], [None, None])
    pay(subscriber, -500, T0 + timedelta(hours=5))
    flows = cash_flows(subscriber.connection_id, [subscriber.backend_id])
    assert flows == {subscriber.backend_id: [(T0 + timedelta(hours=5), Decimal(-500))]}


def test_what_both_sources_tell_counts_once():
    subscriber = a_subscriber()
    measure(subscriber, [1000, 500], [1000, 500])
    pay(subscriber, -500, T0 + timedelta(days=1))
    [flows] = cash_flows(subscriber.connection_id, [subscriber.backend_id]).values()
    assert flows == [(T0 + timedelta(days=1), Decimal(-500))]


def test_since_leaves_out_what_came_before():
    subscriber = a_subscriber()
    measure(subscriber, [1000, 1500, 1600], [1000, 1500, 1600])
    flows = cash_flows(subscriber.connection_id, [subscriber.backend_id], since=T0 + timedelta(days=2))
    assert flows == {subscriber.backend_id: [(T0 + timedelta(days=2), Decimal(100))]}
