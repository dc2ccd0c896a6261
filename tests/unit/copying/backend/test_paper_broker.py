"""What a paper account does with an order, a price and a night."""

from __future__ import annotations

import pytest

from copying.backend.state.effects import Deals
from copying.backend.state.errors import Refused
from copying.symbols.instruments import base_symbol, instrument
from tests.unit.copying.backend.desk import DAY, Desk


@pytest.mark.parametrize(("action", "price"), [("ORDER_TYPE_BUY", 1.1001), ("ORDER_TYPE_SELL", 1.1)])
def test_a_market_order_is_filled_at_the_side_that_pays_the_spread(desk: Desk, action: str, price: float) -> None:
    desk.account("a")
    desk.trade(action, "a")
    assert desk.book.positions.price[0] == price


@pytest.mark.parametrize(
    ("currency", "profit"),
    [("USD", 100.0), ("EUR", 90.87), ("GBP", 80.0), ("JPY", 15000.0)],  # 100 USD at the prices of the close
)
def test_profit_is_converted_into_the_account_currency(desk: Desk, currency: str, profit: float) -> None:
    desk.account("a", currency=currency, deposit=1_000_000)
    desk.trade("ORDER_TYPE_BUY", "a", volume_lots=1.0)
    desk.quote(EURUSD=(1.1011, 1.1012))
    before = desk.balance("a")
    desk.trade("POSITION_CLOSE_ID", "a", position_id=str(int(desk.book.positions.id[0])))
    fee = {"USD": 3, "EUR": 2.72, "GBP": 2.4, "JPY": 450}[currency]
    assert desk.balance("a") == pytest.approx(before + profit - fee, abs=1.5 if currency == "JPY" else 0.12)


def test_a_stop_loss_closes_at_the_quote_that_passed_it(desk: Desk) -> None:
    desk.account("a")
    desk.trade("ORDER_TYPE_BUY", "a", stop_loss=1.095, take_profit=1.2)
    desk.tick(1, EURUSD=(1.0945, 1.0946))
    assert desk.held("a") == []
    assert desk.balance("a") == pytest.approx(10_000 - 56 - 0.6)  # 56 points of 1 USD, commission of two sides


def test_both_stops_reached_at_once_count_as_the_stop_loss(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber()
    desk.trade("ORDER_TYPE_BUY", stop_loss=1.09, take_profit=1.11)
    for column, level in (("stop_loss", 1.1005), ("take_profit", 1.0998)):  # no new order can have such levels
        getattr(desk.book.positions, column)[:] = level
    desk.tick(1)
    closes = [deals.cause for deals in desk.told(Deals)]
    assert closes[-1] == "stop loss"


@pytest.mark.parametrize(
    ("action", "price", "quote"),
    [
        ("ORDER_TYPE_BUY_LIMIT", 1.095, (1.0948, 1.0949)),
        ("ORDER_TYPE_BUY_STOP", 1.105, (1.1055, 1.1056)),
        ("ORDER_TYPE_SELL_LIMIT", 1.105, (1.1051, 1.1052)),
        ("ORDER_TYPE_SELL_STOP", 1.095, (1.0945, 1.0946)),
    ],
)
def test_a_pending_order_fills_when_its_price_is_reached(desk: Desk, action: str, price: float, quote: tuple) -> None:
    desk.account("a")
    desk.trade(action, "a", price=price)
    desk.tick(1, EURUSD=(1.1, 1.1001))
    assert desk.held("a") == []
    desk.tick(1, EURUSD=quote)
    assert len(desk.held("a")) == 1
    assert desk.waiting("a") == []


def test_an_order_that_the_margin_does_not_carry_is_not_filled(desk: Desk) -> None:
    desk.account("a", deposit=1000, leverage=100)
    answer = desk.trade("ORDER_TYPE_BUY", "a", volume_lots=1.0)
    assert answer["stringCode"] == "TRADE_RETCODE_NO_MONEY"
    assert desk.held("a") == []


def test_stop_out_closes_the_largest_loss_first(desk: Desk) -> None:
    desk.account("a", deposit=2_500)
    desk.trade("ORDER_TYPE_BUY", "a", volume_lots=1.0)
    desk.trade("ORDER_TYPE_SELL", "a", symbol="GBPUSD", volume_lots=0.5)
    desk.tick(1, EURUSD=(1.0802, 1.0803))
    assert desk.held("a") == [("GBPUSD", -1, 0.5)]


def test_swap_is_tripled_on_wednesday_and_absent_at_the_weekend(desk: Desk) -> None:
    desk.account("a")
    desk.trade("ORDER_TYPE_BUY", "a")
    nights = []
    for _ in range(7):
        before = float(desk.book.positions.swap[0])
        desk.tick(DAY)
        nights.append(round(float(desk.book.positions.swap[0]) - before, 2))
    monday = nights[0]
    assert monday == pytest.approx(-0.66)  # 11 000 USD x 2.2 % / 365
    assert nights == pytest.approx([monday, monday, 3 * monday, monday, monday, 0, 0], abs=0.011)


def test_money_in_and_out_is_neither_gain_nor_loss(desk: Desk) -> None:
    from copying.backend.state.commands import Deposit

    desk.account("a")
    desk.do(Deposit(tenant="t", account_id="a", amount=500))
    desk.do(Deposit(tenant="t", account_id="a", amount=-200))
    accounts = desk.book.accounts
    assert (accounts.balance[0], accounts.deposits[0], accounts.traded[0]) == (10_300, 10_300, 0)
    with pytest.raises(Refused):
        desk.do(Deposit(tenant="t", account_id="a", amount=-20_000))


@pytest.mark.parametrize("name", ["EURUSD", "EURUSDm", "EURUSD.r", "EURUSD_ecn"])
def test_a_symbol_is_known_under_the_names_brokers_give_it(name: str) -> None:
    assert base_symbol(name) == "EURUSD"
    assert instrument(name).symbol == name


@pytest.mark.parametrize("name", ["", "EURUSDmicrolots", "EURXXX", "DE40", "eurusd", "EURUSD m"])
def test_other_symbols_are_not_offered(name: str) -> None:
    assert instrument(name) is None
