"""How well trades are copied: measured on a monotonic clock, in parts that add up to the total (contract, 6.2)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from copying.backend.core.apply import apply
from copying.backend.core.render import Renderer, Rows
from copying.backend.state.commands import Command, CommandEntry
from copying.backend.state.effects import Deals, Effects, Watch
from tests.unit.copying.backend.desk import Desk

PARTS = ("mtAndBrokerSignalLatency", "tradeAlgorithmLatency", "mtAndBrokerTradeLatency")
SLIPPAGES = ("tradeCopyingSlippageInBasisPoints", "tradeCopyingSlippageInAccountCurrency")


class MeasuredDesk(Desk):
    """A desk whose commands are received 5 ms before they are durable, and whose clock moves 1 ms per look."""

    def __init__(self, **terms: Any) -> None:
        self.milliseconds = 0
        super().__init__(**terms)

    def clock(self) -> float:
        self.milliseconds += 1
        return self.milliseconds / 1000

    def try_(self, command: Command) -> Effects:
        self.now += 1
        entry = CommandEntry(time=self.now, rules=self.book.rules, quotes=self.pending, command=command)
        self.pending = {}
        begun = self.clock()
        effects = apply(self.book, entry, self.book.sequence + 1, Watch(self.clock, begun - 0.005, begun))
        self.entries.append(entry)
        self.effects.append(effects)
        return effects


def transactions(desk: Desk) -> list[dict[str, Any]]:
    rows, renderer = Rows(), Renderer(desk.book)
    for effects in desk.effects:
        list(renderer.render(effects, rows))
    return [msgspec.json.decode(row[1]) for row in rows.transactions]


def copied(desk: Desk) -> list[dict[str, Any]]:
    return [each.get("metrics", {}) for each in transactions(desk)]


@pytest.fixture
def measured() -> MeasuredDesk:
    desk = MeasuredDesk()
    desk.strategy()
    desk.subscriber()
    return desk


def test_the_parts_add_up_to_the_total_to_the_last_digit(measured: MeasuredDesk) -> None:
    measured.clock = lambda: 1e6 + measured.now * 0.1234567  # type: ignore[method-assign]
    for number in range(5):
        measured.signal(f"sig0000{number}")
        measured.close_signal(f"sig0000{number}")
    found = copied(measured)
    assert len(found) == 10
    for metrics in found:
        parts = [Decimal(str(metrics[name])) for name in PARTS]
        assert sum(parts) == Decimal(str(metrics["tradeCopyingLatency"]))
        assert min(parts) >= 0


def test_opening_partial_closing_and_closing_are_measured(measured: MeasuredDesk) -> None:
    measured.signal(volume=0.4)
    measured.signal(volume=0.1)
    measured.close_signal()
    for metrics in copied(measured):
        assert [metrics[name] for name in PARTS] == [5, 1, 1]
        assert metrics["tradeCopyingLatency"] == 7
        assert all(name in metrics for name in SLIPPAGES)


def test_what_the_provider_did_not_do_is_not_measured(measured: MeasuredDesk) -> None:
    measured.signal(stopLoss=1.09)
    measured.tick(1, EURUSD=(1.0899, 1.09))
    assert "metrics" not in transactions(measured)[-1]


def test_every_hop_of_a_chain_starts_at_the_fill_before(measured: MeasuredDesk) -> None:
    measured.strategy("T", "a")
    measured.subscriber("b", "T")
    measured.signal()
    first, second = copied(measured)
    assert [first[name] for name in PARTS] == [5, 1, 1]
    assert [second[name] for name in PARTS] == [1, 1, 1]


def test_deliberate_waits_count_for_the_copier(measured: MeasuredDesk) -> None:
    measured.subscriber(signalDelay={"minInSeconds": 30, "maxInSeconds": 30})
    measured.signal()
    measured.tick(30)
    [metrics] = copied(measured)
    assert metrics["tradeAlgorithmLatency"] == pytest.approx(31_000, abs=1_100)
    assert metrics["mtAndBrokerSignalLatency"] == 5


def test_slippage_is_negative_where_worse_and_left_out_where_not_comparable() -> None:
    desk = MeasuredDesk()
    desk.strategy()
    desk.subscriber("a")
    desk.subscriber("b", reverse=True)
    desk.signal(openPrice=1.099)  # the provider had it 11 points cheaper
    straight, reversed_ = copied(desk)
    assert straight["tradeCopyingSlippageInBasisPoints"] == pytest.approx(-0.0011 / 1.1001 * 1e4, abs=1e-4)
    assert straight["tradeCopyingSlippageInAccountCurrency"] == pytest.approx(-11)
    assert not set(SLIPPAGES) & set(reversed_)
    assert reversed_["tradeCopyingLatency"] == 7


def test_a_replay_measures_nothing(measured: MeasuredDesk) -> None:
    plain = Desk()
    for entry in [*measured.entries]:
        plain.effects.append(apply(plain.book, entry, plain.book.sequence + 1))
    plain.now = measured.now
    plain.signal()
    assert [deals.latency_ms for deals in plain.told(Deals)] == [None]
    assert set(copied(plain)[0]) == set(SLIPPAGES)
