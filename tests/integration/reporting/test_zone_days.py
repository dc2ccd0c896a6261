"""A period keeps the days of the zone that it was cut by, and a change of the zone says who made it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.test import Client

from reporting.commission.billing import span_of
from reporting.commission.observing import observe
from reporting.commission.zones import read_zones
from reporting.models import BillingPeriod, CommissionLine, Subject, TermsVersion
from tests import builders
from tests.firm import Firm, at

pytestmark = pytest.mark.django_db
MOVES = [
    ("UTC", "Asia/Tokyo"),
    ("Europe/Berlin", "America/New_York"),
    ("Pacific/Auckland", "UTC"),
    ("America/New_York", "Europe/Berlin"),
]


def moved(before, after, currency="EUR"):
    """A firm with a deal in January, February and March, whose zone became another one on 10 February."""
    firm = Firm("amount-won", 0.1, timezone=before, currency=currency)
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 5))
    for month in (1, 2, 3):
        firm.deal(at(month, 15), "100")
    firm.complete_until(at(2, 10))
    firm.accrue(at(2, 10))
    firm.workspace.timezone = after
    firm.workspace.save()
    firm.accrue(at(2, 10, 11))
    firm.complete_until(at(4, 3))
    firm.accrue(at(4, 3))
    return firm


@pytest.mark.parametrize(("before", "after"), MOVES)
def test_periods_show_the_days_of_the_zone_of_their_time(before, after):
    firm = moved(before, after)
    zones = read_zones(firm.workspace, {(firm.connection.pk, firm.strategy.backend_id)})
    days = [
        zones.days_text((period.connection_id, period.strategy_id), period.period_start, period.period_end)
        for period in BillingPeriod.objects.filter(workspace=firm.workspace).order_by("period_start")
    ]
    assert days == ["2026-01-01 – 2026-01-31", "2026-02-01 – 2026-02-28", "2026-03-01 – 2026-03-31"]


@pytest.mark.parametrize(("before", "after"), MOVES)
def test_pages_and_statements_show_the_same_days(before, after):
    firm = moved(before, after)
    firm.close(at(4, 2), now=at(4, 3))
    (statement,) = firm.issue(at(4, 2), now=at(4, 3))
    assert (statement.first_day, statement.last_day) == (date(2026, 1, 1), date(2026, 3, 31))
    client = Client()
    client.force_login(builders.member(firm.workspace, "owner", "owner"))
    for path in ("/commissions/periods/", f"/statements/{statement.pk}/"):
        page = client.get(path).content.decode()
        assert "2026-02-01 – 2026-02-28" in page, path
        assert not [wrong for wrong in ("2026-01-31 –", "– 2026-03-01", "– 2026-02-01") if wrong in page], path


@pytest.mark.parametrize(("before", "after"), MOVES)
def test_amounts_are_converted_by_the_rate_of_the_last_day_in_the_zone_of_the_period(before, after):
    firm = moved(before, after)
    firm.close(at(4, 2), now=at(4, 3))
    lines = CommissionLine.objects.filter(workspace=firm.workspace).order_by("period_start")
    # 31 January and 28 February were Saturdays: the rates of the Fridays before them
    assert [line.reporting_day for line in lines] == [date(2026, 1, 30), date(2026, 2, 27), date(2026, 3, 31)]


@pytest.mark.parametrize(("before", "after"), MOVES)
def test_months_have_the_periods_whose_last_day_they_contain(before, after):
    firm, other = moved(before, after), Firm(timezone=after)
    client = Client()
    client.force_login(builders.member(firm.workspace, "owner", "owner"))
    for month, last in (("2026-01", 31), ("2026-02", 28), ("2026-03", 31)):
        span = span_of(month, firm.workspace, at(4, 3))
        (period,) = BillingPeriod.objects.filter(span.ended(at(4, 3)), workspace=firm.workspace)
        (line,) = span.narrow(CommissionLine.objects.filter(workspace=firm.workspace), at(4, 3))
        assert (line.period_start, line.period_end) == (period.period_start, period.period_end)
        page = client.get(f"/commissions/?period={month}").content.decode()
        assert f"– {month}-{last}" in page
        assert page.count(" – 2026-") == 1
    assert span_of("2026-01", other.workspace, at(4, 3)).elsewhere == {}


@pytest.mark.parametrize(("before", "after"), MOVES)
@pytest.mark.parametrize("month", [1, 2, 3])
def test_closing_to_the_end_of_a_month_closes_its_periods(before, after, month):
    firm = moved(before, after)
    client = Client()
    client.force_login(builders.member(firm.workspace, "owner", "owner"))
    page = client.get(f"/commissions/close/?period=2026-{month:02}").content.decode()
    assert [f"– 2026-{each:02}-" in page for each in (1, 2, 3)] == [each <= month for each in (1, 2, 3)]


def test_a_firm_that_never_changed_its_zone_reads_days_by_that_of_today():
    firm = Firm(timezone="Asia/Tokyo")
    observe(firm.connection.pk, at(1, 5))
    zones = read_zones(firm.workspace, {(firm.connection.pk, firm.strategy.backend_id)})
    assert zones.changed == {}
    start, end = datetime(2026, 1, 31, 15, tzinfo=UTC), datetime(2026, 2, 28, 15, tzinfo=UTC)
    assert zones.days_text((1, "unknown"), start, end) == "2026-02-01 – 2026-02-28"


def test_another_firms_zone_is_not_read():
    firm, other = moved("UTC", "Asia/Tokyo"), Firm(timezone="Europe/Berlin")
    zones = read_zones(other.workspace, {(other.connection.pk, firm.strategy.backend_id)})
    assert zones.changed == {}


def test_who_changed_the_zone_stands_with_the_terms():
    firm = Firm()
    observe(firm.connection.pk, at(1, 5))
    owner, second = (builders.member(firm.workspace, name, "owner") for name in ("owner", "second"))
    zone = {"name": "Firm", "timezone": "Europe/Berlin", "reporting_currency": "USD", "accent": "blue"}
    for person, more in ((second, {"timezone": "Asia/Tokyo"}), (owner, {}), (second, {"week_starts_monday": "on"})):
        client = Client()
        client.force_login(person)
        assert client.post("/settings/", zone | more).status_code == 302
        observe(firm.connection.pk, datetime.now(UTC) + timedelta(seconds=1))
    versions = TermsVersion.objects.filter(workspace=firm.workspace, subject=Subject.CALENDAR).order_by("number")
    assert [version.set_by for version in versions] == [None, second, owner, second]
    client = Client()
    client.force_login(owner)
    page = client.get(f"/strategies/{firm.strategy.pk}/commission/terms/").content.decode()
    assert f"by {owner}" in page


def test_a_zone_that_no_record_explains_has_no_author():
    firm = Firm()
    observe(firm.connection.pk, at(1, 5))
    firm.workspace.timezone = "Europe/Berlin"
    firm.workspace.save()
    observe(firm.connection.pk, at(1, 6))
    assert TermsVersion.objects.filter(workspace=firm.workspace, subject=Subject.CALENDAR).last().set_by is None
