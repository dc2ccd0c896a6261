"""Revenue: which month a fee belongs to, currencies apart, the forecast of what is open, who sees it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from reporting.revenue import months_until, revenue_of
from tests import builders
from tests.firm import D, Firm, at
from tests.integration.reporting.test_books_pages import books, rows_of

__all__ = ["books"]  # a fixture that is used by name
pytestmark = pytest.mark.django_db
APRIL, MAY = date(2026, 4, 1), date(2026, 5, 1)


def member_of(firm, role="owner"):
    return builders.member(firm.workspace, f"{role}{firm.workspace.pk}", role).memberships.get()


def rows(firm, by, now, membership=None):
    listed = revenue_of(membership or member_of(firm), by, months_until(now.date(), 12), now)
    return [
        (row.name, row.currency, row.months[APRIL], row.months[MAY], row.open_so_far, row.forecast) for row in listed
    ]


def test_months_go_back_from_that_of_today():
    assert months_until(date(2026, 2, 28), 3) == [date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1)]


def test_fees_by_client_strategy_and_in_all_with_currencies_apart():
    firm = Firm()
    yen = builders.subscriber(firm.connection, currency="JPY", name="Yen")
    firm.deal(at(4, 4), "100")
    firm.deal(at(4, 30, 23), "50")
    firm.deal(at(4, 5), "1000", subscriber=yen)
    firm.deal(at(5, 1, 0), "10")
    now = datetime(2026, 5, 11, 8, tzinfo=UTC)  # a third of May has passed: 10 1/3 days of 31
    firm.accrue(now)
    hers, strategy = firm.subscriber.name, firm.strategy.name
    membership = member_of(firm)
    dollars, yens = (D(30), D(0), D(2), D(6)), (D(200), D(0), D(0), D(0))
    assert rows(firm, "client", now, membership) == [("Yen", "JPY", *yens), (hers, "USD", *dollars)]
    assert rows(firm, "strategy", now, membership) == [(strategy, "JPY", *yens), (strategy, "USD", *dollars)]
    assert rows(firm, "all", now, membership) == [("", "JPY", *yens), ("", "USD", *dollars)]


@pytest.mark.parametrize(("zone", "april"), [("UTC", 20), ("Europe/Berlin", 20), ("America/New_York", 20)])
def test_a_period_belongs_to_the_month_of_its_last_day_in_every_zone(zone, april):
    firm = Firm(timezone=zone)
    firm.deal(at(4, 15), "100")
    now = at(5, 20)
    firm.accrue(now)
    ((_, _, first, second, *_),) = rows(firm, "all", now)
    assert (first, second) == (april, 0)


def test_the_first_day_forecasts_no_fortune():
    firm = Firm()
    firm.deal(datetime(2026, 5, 1, 0, 1, tzinfo=UTC), "10")
    now = datetime(2026, 5, 1, 0, 2, tzinfo=UTC)
    firm.accrue(now)
    assert rows(firm, "all", now) == [("", "USD", 0, 0, D(2), D(62))]


def test_what_is_older_than_the_months_is_left_out():
    firm = Firm()
    firm.deal(at(4, 15), "100")
    firm.accrue(at(5, 20))
    (row,) = revenue_of(member_of(firm), "all", months_until(MAY, 2), at(5, 20))
    assert row.total == D(20)
    assert revenue_of(member_of(firm, "manager"), "all", months_until(MAY, 1), at(5, 20)) == []


def test_staff_see_it_and_nobody_else(books, sign_in, alice, bob, dora, charlie):
    for by in ("strategy", "client", "all"):
        path = f"/commissions/revenue/?by={by}"
        people = (alice, books.manager, books.accountant, bob, dora, charlie)
        assert [sign_in(person).get(path).status_code for person in people] == [200, 200, 200, 200, 404, 200]
        assert sign_in(None).get(path).status_code == 302
    assert "Alpine" in sign_in(alice).get("/commissions/revenue/").content.decode()
    assert "Alpine" not in sign_in(charlie).get("/commissions/revenue/").content.decode()
    assert sign_in(alice).get("/commissions/revenue/?by=nothing").status_code == 404
    listed = rows_of(sign_in(alice).get("/commissions/revenue/?by=client&format=csv").content.decode("utf-8-sig"))
    assert {row["currency"] for row in listed} == {"EUR", "USD"}
    assert {"total", "open_so_far", "forecast_of_open_periods"} <= set(listed[0])
