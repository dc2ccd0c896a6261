"""Curves and totals from stored points and days."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from reporting.metrics import chart_columns, equity_curves, growth_index, strategy_curve, total_results
from reporting.models import DailyResult, EquityPoint
from reporting.rates import Rates
from tests import builders
from tests.integration.reporting.test_commission_ledger import Firm

pytestmark = pytest.mark.django_db
DAY = [datetime(2026, 5, day, tzinfo=UTC) for day in range(4, 8)]


@pytest.fixture
def firm():
    firm = Firm()
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=DAY[0])
    for at, equity in zip(DAY, [1000, 1100, 1600, 1600], strict=True):
        point = {"account_id": firm.subscriber.backend_id, "balance": equity, "equity": equity}
        EquityPoint.objects.create(connection=firm.connection, time=at, **point)
    firm.deal(datetime(2026, 5, 5, 12, tzinfo=UTC), "500", type="DEAL_TYPE_BALANCE", position_id="")
    return firm


def test_a_deposit_is_a_flow_of_the_curve(firm):
    curve = equity_curves(firm.connection.pk, [firm.subscriber.backend_id])[firm.subscriber.backend_id]
    assert curve.flows.tolist() == [0, 0, 500, 0]
    assert growth_index(curve.equity, curve.flows).tolist() == pytest.approx([1, 1.1, 1.1, 1.1])
    assert chart_columns(curve)[1:] == [[1000, 1100, 1600, 1600], [0, 0, 0, 0], [0, 0, 500, 0]]


def test_a_strategys_curve_is_in_the_reporting_currency(firm):
    second = builders.subscriber(firm.connection, currency="EUR")
    builders.subscription(second, firm.strategy, first_seen_at=DAY[0])
    EquityPoint.objects.create(
        connection=firm.connection, account_id=second.backend_id, time=DAY[0], balance=100, equity=100
    )
    curve = strategy_curve(firm.connection.pk, firm.strategy.backend_id, "USD", Rates())
    dollars = float(Rates().on(DAY[0].date(), "EUR", "USD").value) * 100
    assert curve.equity.tolist() == pytest.approx([1000 + dollars, 1100 + dollars, 1600 + dollars, 1600 + dollars])


def test_totals_are_of_half_open_days(firm):
    own = {"connection": firm.connection, "strategy_id": firm.strategy.backend_id, "workspace": firm.workspace}
    DailyResult.objects.all().delete()
    for day, profit in ((4, 10), (5, 20), (6, 40)):
        DailyResult.objects.create(
            **own, subscriber_id=firm.subscriber.backend_id, day=date(2026, 5, day), profit=profit, swap=-1, deals=2
        )
    total = total_results(DailyResult.objects.all(), "USD", Rates(), start=date(2026, 5, 4), end=date(2026, 5, 6))
    assert (total.net, total.deals, total.is_estimated) == (Decimal(28), 4, False)
