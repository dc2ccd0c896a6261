"""What is open at the embedded backend, as the portal mirrors it: positions, signals, sums; each figure by its rows."""

from __future__ import annotations

from decimal import Decimal

import pytest

from reporting.models import ExposureSum, OpenPosition, OpenTrade

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_signal_has_its_copies(desk, read, trade):
    position = trade(desk.id("p-alpine"))
    read()
    signal = OpenTrade.objects.get(strategy_id=desk.id("alpine"))
    assert (signal.signal_id, signal.state, signal.lots, signal.copies) == (position, "open", Decimal("0.2"), 2)
    assert signal.missing == 0
    copies = {row.subscriber_id: row for row in OpenPosition.objects.exclude(signal_id="")}
    assert copies[desk.id("hers")].lots == Decimal("0.4")
    assert copies[desk.id("other")].lots == Decimal("0.1")
    assert copies[desk.id("other")].strategy_id == desk.id("both")
    assert copies[desk.id("other")].source_strategy_id == desk.id("alpine")
    sums = ExposureSum.objects.get(source_strategy_id=desk.id("alpine"))
    assert (sums.positions, sums.lots) == (2, Decimal("0.5"))
