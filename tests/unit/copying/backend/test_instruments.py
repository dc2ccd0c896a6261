"""The table of instruments: what is in it, what it refuses, and copying over what differs from a pair of currencies."""

from __future__ import annotations

from pathlib import Path

import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.http import reads
from copying.backend.market.ecb import EcbMarket, read_closes
from copying.backend.state.book import Book
from copying.backend.state.commands import CommandEntry
from copying.backend.state.errors import Refused
from copying.backend.state.valuation import MINOR_UNITS
from copying.symbols.instruments import (
    ACCOUNT_CURRENCIES,
    ADDED,
    SYMBOLS,
    TABLE,
    THROUGH_EURO,
    base_symbol,
    dollars,
    instrument,
)
from copying.symbols.specifications import TABLE as FILE
from copying.symbols.specifications import UnusableTable, parse_table
from tests.unit.copying.backend.desk import MONDAY, QUOTES, Desk
from tests.unit.copying.backend.test_routes_that_differ import mapped, outcomes

HEAD, *ROWS = Path(FILE).read_text().splitlines()
GOLD = {"XAUUSD": (2600.0, 2600.25)}


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_twelve_pairs_are_what_they_were(symbol: str) -> None:
    spec = instrument(symbol)
    assert spec is not None
    digits = 3 if symbol.endswith("JPY") else 5
    assert (spec.contract_size, spec.digits, spec.tick_size) == (100_000.0, digits, 10.0**-digits)
    assert (spec.min_volume, spec.max_volume, spec.volume_step) == (0.01, 500.0, 0.01)
    assert (spec.base_currency, spec.profit_currency) == (symbol[:3], symbol[3:])


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("contractSize", "0", "Line 2: EURUSD: contractSize must be above 0."),
        ("contractSize", "nan", "Line 2: contractSize must be a number."),
        ("volumeStep", "0", "Line 2: EURUSD: volumeStep must be above 0."),
        ("minVolume", "0.015", "Line 2: EURUSD: minVolume must be a multiple of volumeStep."),
        ("maxVolume", "0", "Line 2: EURUSD: minVolume must be above 0 and at most maxVolume."),
        ("digits", "9", "Line 2: EURUSD: digits must be 0 to 8."),
        ("kind", "bond", "Line 2: EURUSD: kind must be one of currency, metal, index, energy, crypto."),
        ("profitCurrency", "JPY", "Line 2: EURUSD: a pair is named after both."),
        ("symbol", "GBPUSD", "Line 2: GBPUSD: a pair is named after both."),
    ],
)
def test_a_row_that_makes_no_sense_is_named(column: str, value: str, sentence: str) -> None:
    cells = dict(zip(HEAD.split(","), ROWS[0].split(","), strict=True)) | {column: value}
    with pytest.raises(UnusableTable) as refused:
        parse_table([HEAD, ",".join(cells.values())])
    assert str(refused.value) == sentence


def test_a_symbol_listed_twice_and_a_missing_column_are_named() -> None:
    with pytest.raises(UnusableTable, match="Line 3: EURUSD is listed twice"):
        parse_table([HEAD, ROWS[0], ROWS[0]])
    with pytest.raises(UnusableTable, match="Line 2: there is no column 'kind'"):
        parse_table(["symbol,description", "EURUSD,Euro"])


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("XAUUSD", "XAUUSD"),
        ("XAUUSD.m", "XAUUSD"),
        ("#US30", "US30"),
        ("US30.cash", "US30"),
        ("BTCUSDm", "BTCUSD"),
        ("US3", None),
        ("US300", None),
        ("xauusd", None),
        ("##US30", None),
        ("GOLD", None),
    ],
)
def test_brokers_names_lead_to_their_row(name: str, row: str | None) -> None:
    assert base_symbol(name) == row


def test_every_symbol_has_a_simulated_price_that_depends_on_nothing_but_the_moment() -> None:
    moments = [MONDAY, MONDAY + 90_000, MONDAY + 3 * 86_400, MONDAY - 200 * 86_400, MONDAY + 600 * 86_400]
    first, second = EcbMarket(), EcbMarket()
    forwards = [first.quotes(moment) for moment in moments]
    assert forwards == [second.quotes(moment) for moment in reversed(moments)][::-1]
    for quotes in forwards:
        assert set(quotes) == set(TABLE)
        assert all(0 < bid < ask for bid, ask in quotes.values())
    assert [first.mids("XAUUSD", [MONDAY])[0]] == [sum(first.quotes(MONDAY)["XAUUSD"]) / 2]


def test_added_currencies_have_the_reference_rate_at_the_close() -> None:
    days, closes = read_closes(THROUGH_EURO)
    from copying.backend.market.ecb import _closing_time

    quotes = EcbMarket().quotes(_closing_time(days[-1]))
    for currency, rate in zip(THROUGH_EURO, closes[-1], strict=True):
        bid, ask = quotes[f"EUR{currency}"]
        assert (bid + ask) / 2 == pytest.approx(rate, rel=1e-5)


def test_every_account_currency_has_a_worth_and_a_smallest_unit() -> None:
    assert ACCOUNT_CURRENCIES[:4] == ("USD", "EUR", "GBP", "JPY"), "journals hold the numbers"
    assert len(set(ACCOUNT_CURRENCIES)) == len(ACCOUNT_CURRENCIES) == len(MINOR_UNITS) == 30
    quotes = EcbMarket().quotes(MONDAY)
    assert all(dollars(currency, quotes) for currency in ACCOUNT_CURRENCIES)
    without = {symbol: quote for symbol, quote in quotes.items() if symbol != "EURPLN"}
    assert dollars("PLN", without) is None
    assert MINOR_UNITS[[ACCOUNT_CURRENCIES.index(code) for code in ("PLN", "JPY", "KRW", "ISK")]].tolist() == [
        2,
        0,
        0,
        0,
    ]


def test_gold_is_valued_by_its_price_and_contract_size(desk: Desk) -> None:
    desk.quote(**GOLD)
    desk.strategy()
    desk.subscriber()
    desk.signal(symbol="XAUUSD")
    assert desk.held() == [("XAUUSD", 1, 0.1)]
    before = desk.balance()
    desk.tick(1, XAUUSD=(2610.0, 2610.25))
    assert desk.equity() - before == pytest.approx((2610 - 2600.25) * 100 * 0.1)
    row = desk.book.account_rows["a"]
    assert desk.book.accounts.margin[row] == pytest.approx(2610.125 * 100 * 0.1 / 100)
    desk.close_signal()
    assert desk.balance() - before == pytest.approx(97.5 - 0.3)


def test_an_index_in_another_currency_is_converted(desk: Desk) -> None:
    desk.quote(GER40=(19_000.0, 19_001.2))
    desk.account("prov", currency="GBP")
    desk.trade("ORDER_TYPE_BUY", symbol="GER40", volume_lots=1.0)
    desk.tick(1, GER40=(19_101.2, 19_102.4))
    euros = (19_101.2 - 19_001.2) * 1.0
    rate = 1.10005 / 1.25005
    assert reads.account_positions(desk.book, "t", "prov")[0]["profit"] == pytest.approx(euros * rate, abs=0.01)


@pytest.mark.parametrize(
    ("volume", "is_taken"), [(0.09, False), (0.1, True), (0.15, False), (250, True), (250.1, False)]
)
def test_lots_by_hand_go_by_the_symbols_step_and_bounds(desk: Desk, volume: float, is_taken: bool) -> None:
    desk.quote(US500=(5_800.0, 5_800.6))
    desk.account("prov", deposit=1e9)
    if is_taken:
        assert desk.trade("ORDER_TYPE_BUY", symbol="US500", volume_lots=volume)["numericCode"] == 10009
        return
    with pytest.raises(Refused) as refused:
        desk.trade("ORDER_TYPE_BUY", symbol="US500", volume_lots=volume)
    assert "0.1" in str(refused.value.details)


@pytest.mark.parametrize(("left", "expected"), [(0.26, [0.3]), (0.24, [0.2]), (0.06, [0.1]), (0.04, [])])
def test_copies_that_close_in_part_keep_whole_steps_of_their_symbol(desk: Desk, left: float, expected: list) -> None:
    desk.quote(US500=(5_800.0, 5_800.6))
    desk.strategy()
    desk.subscriber()
    desk.signal(symbol="US500", volume=0.5)
    desk.signal(symbol="US500", volume=left)
    assert [lots for _, _, lots in desk.held()] == expected


@pytest.mark.parametrize(
    ("provider", "volume", "own", "copied"),
    [
        ("XAGUSD", 0.1, "XAUUSD", 5.0),
        ("XAUUSD", 0.1, "XAGUSD", 0.0),
        ("XAUUSD", 1.0, "XAGUSD", 0.02),
        ("US500", 0.5, "US30", 5.0),
        ("US30", 5.0, "US500", 0.5),
        ("US30", 0.4, "US500", 0.0),
    ],
)
def test_contract_size_scaling_between_instruments(
    desk: Desk, provider: str, volume: float, own: str, copied: float
) -> None:
    """Lots x the provider's contract size / the subscriber's, to the subscriber's step: XAGUSD 5,000, XAUUSD 100."""
    quotes = {"XAGUSD": (30.0, 30.025), "XAUUSD": (2600.0, 2600.25), "US500": (5_800.0, 5_800.6)}
    desk.quote(**quotes, US30=(42_000.0, 42_002.5))
    desk.strategy()
    desk.account("a", deposit=10_000_000)
    desk.subscriber(tradeSizeScaling={"mode": "contractSize"}, **mapped(own, provider))
    desk.signal(symbol=provider, volume=volume)
    assert desk.held() == ([(own, 1, copied)] if copied else [])
    assert outcomes(desk) == {"a": "copied" if copied else "tiny-trade"}


def test_an_account_in_any_reference_currency_copies_where_its_rate_is_known(desk: Desk) -> None:
    desk.strategy()
    desk.account("a", currency="PLN", deposit=40_000)
    desk.account("b", currency="SEK", deposit=100_000)
    desk.quote(EURPLN=(4.3, 4.302))
    desk.subscriber("a")
    desk.subscriber("b")
    desk.signal()
    assert outcomes(desk) == {"a": "copied", "b": "no-exchange-rate"}
    desk.tick(1, EURUSD=(1.1051, 1.1052))
    zloty = 4.301 / ((1.1051 + 1.1052) / 2)
    assert reads.account_positions(desk.book, "t", "a")[0]["profit"] == pytest.approx(0.005 * 10_000 * zloty, abs=0.01)
    with pytest.raises(Refused, match="no exchange rate from USD to SEK"):
        desk.trade("ORDER_TYPE_BUY", "b")


def test_a_currency_without_reference_rates_is_refused(desk: Desk) -> None:
    with pytest.raises(Refused, match="must be one of USD, EUR"):
        desk.account("a", currency="RUB")


def test_entries_from_before_the_table_replay_without_it() -> None:
    """A signal in gold failed then, and fails when the journal is replayed."""
    desk = Desk()
    desk.quote(**GOLD)
    desk.strategy()
    desk.subscriber()
    desk.signal(symbol="XAUUSD")
    assert outcomes(desk) == {"a": "copied"}
    book = Book(PaperBroker(), slippage_spreads=0.0)
    book.set_quotes(QUOTES)
    for sequence, entry in enumerate(desk.entries, start=1):
        old = CommandEntry(time=entry.time, rules=2, quotes=entry.quotes, command=entry.command)
        apply(book, old, sequence)
    assert book.positions.size == 0
    book = Book(PaperBroker(), slippage_spreads=0.0)
    for sequence, entry in enumerate(desk.entries, start=1):
        apply(book, entry, sequence)
    assert book.positions.size == 1, "and the new ones with it"


def test_an_added_symbol_is_in_no_list_of_the_old() -> None:
    assert not set(ADDED) & set(SYMBOLS)
    assert set(ADDED) | set(SYMBOLS) == set(TABLE)


@pytest.mark.parametrize("symbol", sorted(TABLE))
def test_a_tick_is_one_in_the_last_digit(symbol: str) -> None:
    row = TABLE[symbol]
    assert instrument(symbol).tick_size == pytest.approx(float(f"1e-{row.digits}"), rel=1e-12)
