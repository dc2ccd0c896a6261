"""How numbers, times and states are shown."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from copyportal import display

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "currency", "shown"),
    [
        (Decimal("1234567.891"), "USD", "1\u202f234\u202f567.89"),
        (Decimal("-0.005"), "EUR", "−0.01"),
        (Decimal("1234.5"), "JPY", "1\u202f235"),
        (0, None, "0.00"),
    ],
)
def test_money_has_thin_thousands_and_the_decimals_of_its_currency(value, currency, shown):
    assert display.money(value, currency) == shown


def test_unknown_money_is_an_en_dash_with_its_reason():
    assert display.money(None, reason="Never <measured>") == (
        '<span class="unknown" title="Never &lt;measured&gt;">–</span>'
    )


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [("12.3", "gain", "+12.30"), ("-12.3", "loss", "−12.30"), ("0", "zero", "0.00"), ("-0.001", "zero", "0.00")],
)
def test_a_result_carries_sign_and_colour_unless_it_rounds_to_zero(value, kind, shown):
    assert display.result(Decimal(value), "USD") == f'<span class="result {kind}">{shown}</span>'


@pytest.mark.parametrize(("value", "shown"), [(0.12345, "12.35"), (1.5, "150.0"), (25, "2\u202f500"), (-0.5, "−50.00")])
def test_percent_has_at_most_two_decimals(value, shown):
    assert display.percent(value) == f"{shown}\u202f%"


def test_lots_have_the_decimals_of_the_step_or_of_what_is_stored():
    assert display.lots(Decimal("0.1"), step=Decimal("0.001")) == "0.100"
    assert display.lots(Decimal("0.10000000")) == "0.10"
    assert display.lots(Decimal("0.12340000")) == "0.1234"
    assert display.lots(sum([0.1, 0.4, 0.2])) == display.lots(0.1 + 0.2 + 0.4) == "0.70"
    assert display.lots(7.300000000000003) == "7.30"


def test_prices_have_the_digits_of_the_symbol():
    assert display.price(Decimal("1.1000000000"), 5) == "1.10000"
    assert display.price(Decimal("151.2340000000")) == "151.234"


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (timedelta(seconds=2), "just now"),
        (timedelta(seconds=42), "42\u202fs ago"),
        (timedelta(minutes=3, seconds=59), "3\u202fmin ago"),
        (timedelta(hours=-2), "in 2\u202fh"),
        (timedelta(days=9), "9\u202fd ago"),
    ],
)
def test_times_are_relative_with_exact_utc_in_the_title(age, shown):
    text = display.ago(NOW - age, now=NOW)
    assert shown in text
    assert f'title="{(NOW - age):%Y-%m-%d %H:%M:%S} UTC"' in text


@pytest.mark.parametrize(
    ("value", "symbol", "shown"),
    [
        (Decimal("1.3648"), "GBPUSD", "1.36480"),
        (Decimal("153.71"), "USDJPYm", "153.710"),
        (Decimal("1.364805"), "EURUSD", "1.364805"),
        (Decimal("2650.5"), "XAUUSD", "2\u202f650.5"),
        (Decimal("7.25"), "", "7.25"),
    ],
)
def test_pairs_of_currencies_are_quoted_with_their_usual_digits(value, symbol, shown):
    assert display.quote(value, symbol) == shown
    assert "unknown" in display.quote(None, symbol)


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (timedelta(seconds=3.2), "3\u202fs"),
        (timedelta(minutes=4), "4\u202fmin"),
        (timedelta(hours=30), "1\u202fd"),
        (timedelta(seconds=-2), "0\u202fs"),
    ],
)
def test_behind_is_a_span_with_exact_utc_in_the_title(age, shown):
    text = display.behind(NOW - age, NOW)
    assert f">{shown}</time>" in text
    assert "UTC" in text


def test_a_sparkline_is_coloured_by_its_ends_and_says_them():
    picture = display.sparkline([1, 3, 2], "Equity")
    assert 'class="sparkline gain"' in picture
    assert 'aria-label="Equity: from 1.00 to 2.00"' in picture
    assert "Too few" in display.sparkline([1])


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(None, "heat-none"), (0, "heat-0"), (0.01, "heat-gain-1"), (-0.05, "heat-loss-3"), (0.5, "heat-gain-5")],
)
def test_heat_has_five_steps_each_way(value, wanted):
    assert display.heat(None if value is None else Decimal(str(value)), Decimal("0.1")) == wanted


def test_an_unknown_deal_type_is_shown_in_its_own_words():
    assert display.deal_type("DEAL_TYPE_BUY") == "Buy"
    assert display.deal_type("DEAL_TYPE_DIVIDEND_FRANKED") == "Dividend franked"


@pytest.mark.parametrize(
    ("text", "symbol", "shown"),
    [
        ("Copied with 0.2 lots.", "", "Copied with 0.20 lots."),
        ("Copied with 1 lots.", "", "Copied with 1.00 lots."),
        ("0.1 instead of 0.4 lots", "", "0.10 instead of 0.40 lots"),
        ("cut from 12.35 to 0.2 lots", "", "cut from 12.35 to 0.20 lots"),
        (
            "Closed 0.2 lots at 1.1509, net result -80.08: by hand.",
            "EURUSD",
            "Closed 0.20 lots at 1.15090, net result −80.08: by hand.",
        ),
        ("Closed 1 lots at 150.1, net result 3.00: x.", "USDJPY", "Closed 1.00 lots at 150.100, net result 3.00: x."),
        ("Drawdown 73451.50 JPY reached the limit", "", "Drawdown 73\u202f452 JPY reached the limit"),
        ("Drawdown 1234.50 EUR", "", "Drawdown 1\u202f234.50 EUR"),
        ("on 2026-11-28 at 10-12, id a-1, close-only", "", "on 2026-11-28 at 10-12, id a-1, close-only"),
        ("(date-balance-difference)", "", "(closed loss within a calendar day)"),
    ],
)
def test_sentences_of_the_backend_have_the_pages_numbers(text, symbol, shown):
    assert display.prose(text, symbol) == shown


@pytest.mark.parametrize(
    ("text", "currency", "shown"),
    [
        ("net result -80.08: by hand.", "EUR", "net result −80.08 EUR: by hand."),
        ("net result 12345.60: stop loss.", "USD", "net result 12\u202f345.60 USD: stop loss."),
        ("net result -1462.00: stop loss.", "JPY", "net result −1\u202f462 JPY: stop loss."),
        ("net result 3.00 EUR: x.", "EUR", "net result 3.00 EUR: x."),
        ("net result 3.00: x.", "", "net result 3.00: x."),
        ("net result 3.00: x.", None, "net result 3.00: x."),
        ("Copied with 0.2 lots.", "EUR", "Copied with 0.20 lots."),
    ],
)
def test_a_result_names_the_accounts_currency_where_it_is_known(text, currency, shown):
    assert display.prose(text, "", currency) == shown


@pytest.mark.parametrize(
    ("type", "deal_id", "shown"),
    [
        ("DEAL_TYPE_BUY", "7:open", "Open buy"),
        ("DEAL_TYPE_BUY", "7:close", "Close sell"),
        ("DEAL_TYPE_SELL", "7:open", "Open sell"),
        ("DEAL_TYPE_SELL", "7:close", "Close buy"),
        ("DEAL_TYPE_SELL", "7", "Sell"),
        ("DEAL_TYPE_BALANCE", "7:balance", "Balance"),
        ("DEAL_TYPE_BALANCE", "7:close", "Balance"),
    ],
)
def test_a_deal_that_opens_is_told_from_one_that_closes(type, deal_id, shown):
    assert display.deal_type(type, deal_id) == shown
