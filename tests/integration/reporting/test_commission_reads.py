"""Who sees which totals and lines, and the backend's figures beside ours."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from reporting.commission import reads
from reporting.models import DailyResult
from tests import builders
from tests.integration.reporting.test_commission_ledger import NOW, Firm, at

pytestmark = pytest.mark.django_db


@pytest.fixture
def firm():
    firm = Firm()
    firm.other = builders.subscriber(firm.connection, currency="EUR")
    firm.deal(at(4, 4), "999")
    firm.deal(at(5, 4), "10")
    firm.deal(at(5, 5), "20")
    firm.deal(at(5, 5), "30", subscriber=firm.other)
    firm.accrue()
    return firm


def membership(firm, role, access=None):
    person = builders.member(firm.workspace, role, role)
    made = person.memberships.get()
    if access:
        made.accesses.create(subscriber=access)
    return made


def test_totals_are_of_the_open_period_by_currency(firm):
    rows = reads.totals_by_strategy(membership(firm, "viewer"), NOW)
    assert [(row["currency"], row["total"], row["lines"]) for row in rows] == [("EUR", 6, 1), ("USD", 6, 2)]


def test_a_subscriber_sees_only_their_own(firm):
    dora = membership(firm, "subscriber", firm.other)
    assert [row["currency"] for row in reads.totals_by_subscriber(dora, NOW)] == ["EUR"]
    asked = (firm.connection.pk, firm.strategy.backend_id, firm.subscriber.backend_id)
    assert not reads.lines_of_subscription(dora, *asked).exists()
    assert [each.currency for each in reads.reconcile_current(dora, NOW)] == ["EUR"]


def test_a_stranger_sees_nothing(firm):
    charlie = builders.member(builders.workspace("Elsewhere"), "charlie", "owner").memberships.get()
    assert not reads.totals_by_subscription(charlie, NOW).exists()


def test_lines_come_newest_first(firm):
    lines = reads.lines_of_subscription(
        membership(firm, "viewer"), firm.connection.pk, firm.strategy.backend_id, firm.subscriber.backend_id
    )
    assert [line.amount for line in lines] == [4, 2, Decimal("199.80")]


def test_the_backends_figures_stand_beside_ours(firm):
    DailyResult.objects.filter(day=datetime(2026, 5, 5, tzinfo=UTC)).update(provider_commission="3.5")
    euros, dollars = reads.reconcile_current(membership(firm, "viewer"), NOW)
    assert (euros.ours, euros.backends, euros.difference) == (6, Decimal("3.5"), Decimal("2.5"))
    assert (dollars.ours, dollars.backends) == (6, Decimal("3.5"))
