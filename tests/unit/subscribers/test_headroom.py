"""What is left of a risk limit: which of its bounds holds, which limit is the nearest, and in which words."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from copying.contract.accounts import AccountLimits, MeasuredLimit
from editing.limits import allowed, reason_words
from subscribers.headroom import left_fraction, nearest

NOW = datetime(2026, 3, 4, tzinfo=UTC)


def limit(**fields) -> MeasuredLimit:
    given = {"type": "date", "apply_to": "equity-difference", "drawdown": Decimal(0), "start_balance": Decimal(1000)}
    return MeasuredLimit(**{**given, **fields})


@pytest.mark.parametrize(
    ("absolute", "relative", "balance", "bound"),
    [
        (100, None, 1000, 100),
        (None, "0.05", 1000, 50),
        (100, "0.05", 1000, 50),
        (30, "0.05", 1000, 30),
        (30, "0.05", 0, 30),
        (None, "0.05", 0, None),
        (None, None, 1000, None),
    ],
)
def test_the_smaller_bound_holds(absolute, relative, balance, bound):
    one = limit(
        max_absolute_risk=None if absolute is None else Decimal(absolute),
        max_relative_risk=None if relative is None else Decimal(relative),
        start_balance=Decimal(balance),
    )
    assert allowed(one) == bound


@pytest.mark.parametrize(
    ("drawdown", "stopped", "left"),
    [
        ("0", False, "1"),
        ("-20", False, "1"),
        ("25", False, "0.75"),
        ("100", False, "0"),
        ("140", False, "0"),
        ("10", True, "0"),
        ("33.333", False, "0.66667"),
    ],
)
def test_what_is_left_lies_between_nothing_and_all(drawdown, stopped, left):
    assert left_fraction(Decimal(drawdown), Decimal(100), is_stopped=stopped) == Decimal(left)


def test_the_limit_with_the_least_left_is_the_nearest_whatever_its_size():
    large = limit(max_absolute_risk=Decimal(1000), drawdown=Decimal(400))
    small = limit(type="lifetime", max_absolute_risk=Decimal(10), drawdown=Decimal(9))
    later = limit(max_absolute_risk=Decimal(1), drawdown=Decimal(1), start_time=NOW + timedelta(days=1))
    account = AccountLimits(account_id="a", time=NOW, limits=[large, small, later, limit()])
    assert nearest(account) == ("lifetime-equity-difference", Decimal(9), Decimal(10), Decimal("0.1"))
    assert nearest(AccountLimits(account_id="a", limits=[])) == ("", None, None, None)


def test_a_reason_in_words():
    assert reason_words("week-to-date-balance-minus-equity") == "Loss with open positions within a calendar week"
    assert reason_words("something-new") == "Something new"
