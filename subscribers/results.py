"""What accounts earned, as columns of lists and files of accounts: the app above that keeps results registers them."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import DecimalField, Value
from django.db.models.expressions import Combinable

MONEY = DecimalField(max_digits=32, decimal_places=8)
Result = Callable[[], Combinable]
"""An expression over rows of accounts: after swap and commission, in the account's currency."""
_today: list[Result] = []
_month: list[Result] = []


def register_results(*, today: Result, month: Result) -> None:
    """Read the results of the current UTC day and month like this from now on."""
    _today[:], _month[:] = [today], [month]


def result_today() -> Combinable:
    """The result of the UTC day; unknown where no app keeps results."""
    return _today[0]() if _today else Value(None, MONEY)


def result_month() -> Combinable:
    return _month[0]() if _month else Value(None, MONEY)
