"""The demo's books: past months closed, issued and mostly paid; made once, however often they are asked for."""

from __future__ import annotations

from collections import Counter

import pytest

from copyportal.demo_books import keep_books
from reporting.models import BillingPeriod, Payment, Statement
from tests import builders
from tests.firm import NOW, Firm, at

pytestmark = pytest.mark.django_db


def test_the_demos_past_months_have_books_of_every_kind():
    firm = Firm()
    accounts = [firm.subscriber, *(builders.subscriber(firm.connection) for _ in range(5))]
    for account in accounts:
        for month in range(1, 6):
            firm.deal(at(month, 4), "100", subscriber=account)
    firm.accrue()
    made = keep_books(firm.workspace, now=NOW)
    assert made == keep_books(firm.workspace, now=NOW) == (24, Payment.objects.count())
    states = Counter(Statement.objects.with_balance().values_list("state", flat=True))
    assert states["overdue"] == 3, "two that nobody paid and one that was paid in part, all due since"
    assert states["paid"] == 21
    assert Counter(BillingPeriod.objects.values_list("state", flat=True)) == {"paid": 2, "issued": 2, "open": 1}
    assert all(one.issued_at < NOW for one in Statement.objects.all())
