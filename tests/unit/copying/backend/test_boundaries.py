"""Every comparison of prices, money and times: one step before, exactly at, and one step after."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copying.backend.core import ticks
from copying.backend.core.apply import apply
from copying.backend.http import reads
from copying.backend.risk import limits
from copying.backend.signals import fan_out
from copying.backend.state.commands import CommandEntry, Deposit, Tick
from copying.backend.state.effects import Decided
from copying.backend.state.errors import Refused
from copying.backend.state.times import iso
from copying.backend.state.valuation import round_money, value
from copying.engine.model import OrderKind
from copying.engine.reasons import Reason
from copying.symbols.instruments import ACCOUNT_CURRENCIES
from tests.unit.copying.backend import triggers
from tests.unit.copying.backend.desk import Desk

POINT = 1e-5
WIDE = 0.001  # a spread under which the other side of the quote decides nothing


def quote_with(side_of_quote: str, price: float) -> tuple[float, float]:
    """A quote whose bid or ask is a price."""
    return (price, round(price + WIDE, 5)) if side_of_quote == "bid" else (round(price - WIDE, 5), price)


# ------------------------------------------------------------------------------------------------- prices and times


@pytest.mark.parametrize(
    ("action", "stop", "level", "quoted", "worse"),
    [
        ("ORDER_TYPE_BUY", "stop_loss", 1.095, "bid", -1),
        ("ORDER_TYPE_SELL", "stop_loss", 1.105, "ask", 1),
        ("ORDER_TYPE_BUY", "take_profit", 1.105, "bid", 1),
        ("ORDER_TYPE_SELL", "take_profit", 1.095, "ask", -1),
    ],
)
@pytest.mark.parametrize(("steps", "is_open"), [(-1, True), (0, False), (1, False)])
def test_a_stop_is_reached_at_its_price(desk, action, stop, level, quoted, worse, steps, is_open):
    desk.account("a")
    desk.trade(action, "a", **{stop: level})
    desk.tick(1, EURUSD=quote_with(quoted, round(level + steps * worse * POINT, 5)))
    assert bool(desk.held("a")) is is_open


@pytest.mark.parametrize(
    ("action", "price", "quoted", "towards"),
    [
        ("ORDER_TYPE_BUY_LIMIT", 1.095, "ask", -1),
        ("ORDER_TYPE_SELL_LIMIT", 1.105, "bid", 1),
        ("ORDER_TYPE_BUY_STOP", 1.105, "ask", 1),
        ("ORDER_TYPE_SELL_STOP", 1.095, "bid", -1),
    ],
)
@pytest.mark.parametrize(("steps", "is_filled"), [(-1, False), (0, True), (1, True)])
def test_an_order_is_reached_at_its_price(desk, action, price, quoted, towards, steps, is_filled):
    desk.account("a")
    desk.trade(action, "a", price=price)
    desk.tick(1, EURUSD=quote_with(quoted, round(price + steps * towards * POINT, 5)))
    assert (bool(desk.held("a")), desk.waiting("a") == []) == (is_filled, is_filled)


@pytest.mark.parametrize(("seconds", "is_over"), [(-1, False), (0, True), (1, True)])
@pytest.mark.parametrize("table", ["positions", "orders"])
def test_a_lifetime_is_over_at_its_end(desk, table, seconds, is_over):
    desk.account("a")
    desk.trade(*{"positions": ("ORDER_TYPE_BUY", "a"), "orders": ("ORDER_TYPE_BUY_LIMIT", "a")}[table], price=1.0)
    getattr(desk.book, table).expires[:] = desk.now + 10
    desk.tick(9 + seconds)  # a command comes one second later
    assert getattr(desk.book, table).size == (0 if is_over else 1)


@pytest.mark.parametrize(("left", "reason"), [(1, Reason.COPIED), (0, Reason.TOO_LATE), (-1, Reason.TOO_LATE)])
def test_a_retry_is_given_up_at_the_end_of_its_window(desk, left, reason):
    desk.strategy()
    desk.account("a", deposit=50, leverage=100)
    desk.subscriber()
    desk.signal()
    assert desk.held() == []
    desk.do(Deposit(tenant="t", account_id="a", amount=10_000))
    moment = desk.now + 10
    desk.book.delayed.due[:] = moment
    desk.book.delayed.deadline[:] = moment + left
    desk.tick(9)
    assert Reason(desk.told(Decided)[-1].decisions.reason[0]) is reason
    assert bool(desk.held()) is (left > 0)


@pytest.mark.parametrize(("seconds", "is_ready"), [(-1, False), (0, True), (1, True)])
def test_a_wait_is_over_at_its_end(desk, seconds, is_ready):
    desk.strategy()
    desk.subscriber(settings={"subscriptions": [{"strategyId": "S", "signalDelay": DELAY}]})
    desk.signal()
    due = float(desk.book.delayed.due[0])
    assert ticks.ready_delays(desk.book, due + seconds).tolist() == [is_ready]


DELAY = {"minInSeconds": 10, "maxInSeconds": 10}


@pytest.mark.parametrize(("age", "is_old"), [(59, False), (60, False), (61, True)])
def test_an_external_signal_is_too_old_after_its_window(desk, age, is_old):
    """The last second of the window still belongs to it."""
    desk.strategy()
    desk.subscriber()
    desk.signal(time=iso(desk.now + 1 - age))
    assert (desk.held() == []) is is_old


# ----------------------------------------------------------------------------------------------------------- money


@pytest.mark.parametrize("is_relative", [True, False])
@pytest.mark.parametrize(
    ("basis", "bid"),  # 0.3 are the commission of a side: 49.70 or, where the trade is closed, 49.40 make it 50
    [("balance-minus-equity", 1.09513), ("equity-difference", 1.09513), ("balance-difference", 1.09516)],
)
@pytest.mark.parametrize("level", ["subscriber", "subscription", "strategy"])
@pytest.mark.parametrize(("steps", "fires"), [(-1, False), (0, True), (1, True)])
def test_a_risk_limit_fires_when_it_is_reached(desk, level, basis, bid, is_relative, steps, fires):
    most = {"maxRelativeRisk": 0.005} if is_relative else {"maxAbsoluteRisk": 50}
    rules = {"riskLimits": [{"type": "date", "applyTo": basis, "closePositions": True, **most}]}
    desk.strategy(**rules if level == "strategy" else {})
    terms = rules if level == "subscription" else {}
    desk.subscriber(settings=rules if level == "subscriber" else None, **terms)
    desk.signal()
    bid = round(bid - steps * POINT, 5)
    desk.tick(1, EURUSD=(bid, round(bid + 0.0001, 5)))
    if basis == "balance-difference":
        desk.close_signal()
        desk.tick(1)
    assert bool(reads.stopouts(desk.book, "t", "a")) is fires


def test_a_limit_of_nothing_needs_a_loss(desk):
    rules = {"riskLimits": [{"type": "date", "applyTo": "balance-difference", "maxAbsoluteRisk": 0}]}
    desk.strategy()
    desk.subscriber(settings=rules)
    row = desk.book.account_rows["a"]
    desk.book.limits.base[:] = desk.balance() + np.array([1e-9])  # what sums leave over
    assert not len(limits.passed(desk.book))
    desk.book.accounts.balance[row] -= 0.01
    assert len(limits.passed(desk.book)) == 1


@pytest.mark.parametrize(("seconds", "fires"), [(-1, False), (0, True), (1, True)])
def test_a_limit_counts_from_its_start_time_on(desk, seconds, fires):
    desk.strategy()
    limit = {"type": "lifetime", "applyTo": "balance-minus-equity", "maxAbsoluteRisk": 50}
    desk.subscriber(settings={"riskLimits": [limit]})
    desk.signal()
    desk.quote(EURUSD=(1.08, 1.0801))
    desk.book.limits.start[:] = desk.book.time - seconds
    assert bool(len(limits.passed(desk.book))) is fires


@pytest.mark.parametrize(("seconds", "is_over"), [(-1, False), (0, True), (1, True)])
def test_a_stopout_ends_at_the_end_of_its_period(desk, seconds, is_over):
    desk.strategy()
    limit = {"type": "day", "applyTo": "balance-minus-equity", "maxAbsoluteRisk": 50, "closePositions": True}
    desk.subscriber(settings={"riskLimits": [limit]})
    desk.signal()
    desk.tick(1, EURUSD=(1.08, 1.0801))
    end = float(desk.book.limits.period_end[0])
    desk.tick(end - desk.now - 1 + seconds)
    assert (reads.stopouts(desk.book, "t", "a") == []) is is_over


@pytest.mark.parametrize(("cents", "is_called"), [(1, False), (0, True), (-1, True)])
def test_an_account_is_stopped_out_at_half_of_its_margin(desk, cents, is_called):
    """MetaTrader: when the margin level is equal to or below the stop out level."""
    desk.account("a", deposit=5_000, leverage=100)
    desk.trade("ORDER_TYPE_BUY", "a", volume_lots=1.0)
    at_level(desk, cents)
    assert len(ticks.called_accounts(desk.book)) == is_called
    desk.tick()
    assert (desk.held("a") == []) is is_called


def at_level(desk: Desk, cents: int = 0) -> None:
    """The balance that makes the equity half of the margin, and some cents."""
    value(desk.book)
    accounts, positions = desk.book.accounts, desk.book.positions
    row = desk.book.account_rows["a"]
    accounts.balance[row] = 0.5 * accounts.margin[row] - positions.profit.sum() - positions.swap.sum() + cents / 100
    desk.book.valued = False


def test_entries_from_before_compare_as_they_did(desk):
    """A journal that was written by older rules gives what it gave."""
    desk.account("a", deposit=5_000, leverage=128)
    desk.trade("ORDER_TYPE_BUY", "a", symbol="USDCHF", volume_lots=1.0)
    at_level(desk)
    accounts = desk.book.accounts
    value(desk.book)
    accounts.equity[0] = 0.5 * accounts.margin[0]
    for rules, is_called in ((1, False), (2, True)):
        desk.book.rules = rules
        assert bool(len(ticks.called_accounts(desk.book))) is is_called
    desk.strategy()
    limit = {"type": "date", "applyTo": "balance-minus-equity", "maxAbsoluteRisk": 50}
    desk.subscriber("b", settings={"riskLimits": [limit]})
    desk.signal()
    desk.quote(EURUSD=(1.09513, 1.09523))
    assert limits.drawdowns(desk.book)[0] == pytest.approx(50)
    desk.book.accounts.equity[desk.book.account_rows["b"]] += 1e-9
    for rules, stopouts in ((1, 0), (2, 1)):
        entry = CommandEntry(time=desk.now, rules=rules, quotes={}, command=Tick(tenant=""))
        apply(desk.book, entry, desk.book.sequence + 1)
        assert len(reads.stopouts(desk.book, "t", "b")) == stopouts


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        (0.124, "USD", 0.12),
        (0.125, "USD", 0.13),
        (0.126, "USD", 0.13),
        (-0.124, "USD", -0.12),
        (-0.125, "USD", -0.13),
        (-0.126, "USD", -0.13),
        (0.135, "EUR", 0.14),
        (2.675, "EUR", 2.68),
        (1.005, "GBP", 1.01),
        (524_498.315, "EUR", 524_498.32),
        (524_498.314, "EUR", 524_498.31),
        (8_388_608.005, "USD", 8_388_608.01),
        (-2.675, "GBP", -2.68),
        (0.4, "JPY", 0.0),
        (0.5, "JPY", 1.0),
        (1.5, "JPY", 2.0),
        (2.5, "JPY", 3.0),
        (-2.5, "JPY", -3.0),
    ],
)
def test_money_is_rounded_half_away_from_zero(amount, currency, rounded):
    numbers = np.array([ACCOUNT_CURRENCIES.index(currency)])
    assert round_money(np.array([amount]), numbers).tolist() == [rounded]


def test_old_entries_round_as_they_did():
    """What somebody's journal holds means the same after an upgrade: an amount that floating point made too small."""
    assert round_money(np.array([524_498.315]), np.array([ACCOUNT_CURRENCIES.index("EUR")]), 4).tolist() == [524_498.31]


@given(
    thousandths=st.integers(-(10**9), 10**9),
    currency=st.sampled_from(["USD", "EUR", "GBP", "JPY"]),
)
def test_money_is_rounded_as_on_paper(thousandths, currency):
    step = Decimal(1) if currency == "JPY" else Decimal("0.01")
    exact = (Decimal(thousandths) / 1000).quantize(step, ROUND_HALF_UP)
    numbers = np.array([ACCOUNT_CURRENCIES.index(currency)])
    assert round_money(np.array([thousandths / 1000]), numbers)[0] == float(exact)


@pytest.mark.parametrize(("cents", "is_filled"), [(-1, False), (0, True), (1, True)])
def test_free_margin_that_just_suffices_is_enough(desk, cents, is_filled):
    desk.account("a", deposit=1_000 + cents / 100, leverage=100)
    desk.trade("ORDER_TYPE_BUY", "a", symbol="USDCHF", volume_lots=1.0)
    assert bool(desk.held("a")) is is_filled


# ---------------------------------------------------------------------------------------------------------- signals


@pytest.mark.parametrize(
    ("volume", "is_refused"), [(0.09, False), (0.1, False), (0.11, True), (0.15, True), (0.2, True), (0.21, True)]
)
def test_the_volume_of_an_external_signal_can_only_be_lowered(desk, volume, is_refused):
    desk.strategy()
    desk.subscriber()
    desk.signal()
    if not is_refused:
        desk.signal(volume=volume)
        assert desk.held() == [("EURUSD", 1, volume)]
        return
    with pytest.raises(Refused) as refused:
        desk.signal(volume=volume)
    assert (refused.value.status, desk.held()) == (400, [("EURUSD", 1, 0.1)])


def test_a_volume_that_was_lowered_is_not_raised_again(desk):
    desk.strategy()
    desk.subscriber()
    desk.signal()
    desk.signal(volume=0.05)
    with pytest.raises(Refused) as refused:
        desk.signal(volume=0.06)
    assert (refused.value.status, desk.held()) == (400, [("EURUSD", 1, 0.05)])


@pytest.mark.parametrize(
    ("volume", "is_refused"), [(0, True), (1e-9, False), (1e6, False), (np.nextafter(1e6, 2e6), True)]
)
def test_the_volume_of_a_new_signal_has_bounds(desk, volume, is_refused):
    desk.strategy()
    assert bool(desk_refuses(desk, volume=volume)) is is_refused


def desk_refuses(desk: Desk, **fields) -> Refused | None:
    try:
        desk.signal(**fields)
    except Refused as refused:
        return refused
    return None


@pytest.mark.parametrize(("deadline", "expected"), [(99, True), (100, True), (101, False)])
def test_give_up_looks_at_the_deadline_of_each_route(desk, deadline, expected):
    desk.strategy()
    desk.subscriber()
    plan = fan_out.plan_for(desk.book, "S")
    [code] = fan_out.codes_of(plan, np.array([0])).tolist()
    desk.book.time = 100.0
    decisions = fanout_decisions(desk, plan)
    fan_out.give_up(desk.book, plan, decisions, np.array([0]), {code: fan_out.Try(deadline, 0)})
    assert (Reason(decisions.reason[0]) is Reason.TOO_LATE) is expected


def fanout_decisions(desk: Desk, plan):
    desk.signal("sig00007")
    desk.book.time = 100.0
    signal = next(iter(desk.book.signals.values()))
    return fan_out.decided(plan, signal, fan_out.facts_for(desk.book, plan, signal))


# ----------------------------------------------------------------------------------------- what a quote triggers

PRICES = st.integers(-3, 3)  # points around 1.1: many are equal
SIDES = st.sampled_from([-1, 1])
POSITIONS = st.lists(st.tuples(SIDES, PRICES | st.none(), PRICES | st.none()), max_size=5)
ORDERS = st.lists(st.tuples(SIDES, st.sampled_from(["LIMIT", "STOP"]), PRICES), max_size=5)


def price_at(points: int | None) -> float:
    return float("nan") if points is None else round(1.1 + points * POINT, 5)


@settings(max_examples=150, deadline=None)
@given(positions=POSITIONS, orders=ORDERS, bid=PRICES, spread=st.integers(0, 2))
def test_a_quote_triggers_what_the_oracle_says(positions, orders, bid, spread):
    desk = Desk()
    desk.account("a", deposit=100_000)
    for side, _, _ in positions:
        desk.trade("ORDER_TYPE_BUY" if side > 0 else "ORDER_TYPE_SELL", "a", volume_lots=0.01)
    for side, kind, _ in orders:
        far = 0.9 if (side > 0) == (kind == "LIMIT") else 1.3
        desk.trade(f"ORDER_TYPE_{'BUY' if side > 0 else 'SELL'}_{kind}", "a", volume_lots=0.01, price=far)
    table = desk.book.positions
    table.stop_loss[:] = [price_at(stop) for _, stop, _ in positions]
    table.take_profit[:] = [price_at(take) for _, _, take in positions]
    desk.book.orders.price[:] = [price_at(points) for _, _, points in orders]
    held, waiting = table.id.tolist(), desk.book.orders.id.tolist()
    expected = triggers.triggered(
        [triggers.Position(ticket, *fields) for ticket, fields in zip(held, positions, strict=True)],
        [triggers.Order(ticket, *fields) for ticket, fields in zip(waiting, orders, strict=True)],
        bid=bid,
        ask=bid + spread,
    )
    quote = {"EURUSD": (price_at(bid), price_at(bid + spread))}
    desk.quote(**quote)
    rows, is_stop = ticks.stopped_positions(desk.book)
    assert set(table.id[rows[is_stop]].tolist()) == expected.stopped
    assert set(table.id[rows[~is_stop]].tolist()) == expected.taken
    assert set(desk.book.orders.id[ticks.triggered_orders(desk.book)].tolist()) == expected.filled
    assert ticks.due(desk.book, desk.now) is bool(expected.stopped | expected.taken | expected.filled)
    desk.tick(**quote)
    assert set(waiting) - set(desk.book.orders.id.tolist()) == expected.filled
    assert set(held) - set(desk.book.positions.id.tolist()) == expected.stopped | expected.taken
    assert desk.book.positions.size == len(held) - len(expected.stopped | expected.taken) + len(expected.filled)


def test_kinds_of_orders_are_those_of_the_oracle():
    assert {kind.name for kind in OrderKind} - {"MARKET"} == {"LIMIT", "STOP"}
