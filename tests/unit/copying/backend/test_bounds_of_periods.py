"""Which start each kind of limit counts from, whoever it is of."""

from __future__ import annotations

import pytest

from copying.backend.risk import periods
from copying.backend.state.times import iso
from tests.unit.copying.backend.desk import Desk
from tests.unit.copying.backend.test_risk_limits import limit

CALENDAR = {"date": 0, "week-to-date": 1, "month-to-date": 2, "quarter-to-date": 3, "year-to-date": 4}
STARTS = (10.0, 20.0, 30.0, 40.0, 50.0)


@pytest.mark.parametrize(("basis", "clock"), [("balance-minus-equity", "balance"), ("equity-difference", "equity")])
@pytest.mark.parametrize("kind", CALENDAR)
def test_a_limit_counts_from_the_start_of_its_own_period(desk: Desk, kind: str, basis: str, clock: str) -> None:
    desk.strategy()
    desk.subscriber(settings={"riskLimits": [limit(kind, basis)]})
    for column, start in enumerate(STARTS):
        desk.book.accounts.starts(clock, column)[:] = start
    periods.begin(desk.book, 0)
    assert desk.book.limits.base.tolist() == [STARTS[CALENDAR[kind]]]


def test_limits_of_several_subscriptions_each_count_their_own(desk: Desk) -> None:
    accounts = ("a", "b", "c", "d")
    desk.strategy()
    for account in accounts:
        desk.subscriber(account, riskLimits=[limit("date", "balance-difference")])
    desk.book.subscriptions.starts("balance", 0)[:] = [1.0, 2.0, 3.0, 4.0]
    for row in range(len(accounts)):
        periods.begin(desk.book, row)
        owner, index = periods.owner_of(desk.book, row)
        assert (owner is desk.book.subscriptions, index.tolist()) == (True, [row])
    assert desk.book.limits.base.tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("start", [None, 3_600.0, 86_400.0, 30 * 86_400.0])
def test_a_limit_that_begins_later_counts_from_now(desk: Desk, start: float | None) -> None:
    """40 dollars and the commission were lost within the hour."""
    desk.strategy()
    desk.subscriber()
    desk.signal()
    desk.quote(EURUSD=(1.0961, 1.0962))
    desk.close_signal()
    begins = {} if start is None else {"startTime": iso(desk.now + start)}
    desk.subscriber(settings={"riskLimits": [limit("day", "balance-difference", **begins)]})
    assert desk.book.limits.base.tolist() == [pytest.approx(9_959.4)]
