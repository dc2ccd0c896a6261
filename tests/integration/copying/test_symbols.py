"""Symbols, specifications and prices of a paper account (account API, A7 to A9) over raw HTTP."""

from urllib.parse import quote

import pytest

from tests.integration.copying.conftest import assert_error

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]


async def opened(user, account_id: str, currency: str) -> str:
    """The address of a new account's symbols."""
    path = f"/users/current/accounts/{account_id}"
    await user.put(path, {"name": "Symbols", "currency": currency, "deposit": 1000})
    return f"{path}/symbols"


async def test_a7_lists_what_the_broker_offers(user):
    symbols = await user.get(await opened(user, "symbols-list", "USD"))
    assert {"EURUSD", "XAUUSD", "US30", "BTCUSD", "USOIL", "EURPLN"} <= set(symbols)
    assert len(set(symbols)) == len(symbols)


@pytest.mark.parametrize(
    ("symbol", "size", "digits", "least", "step", "margin", "path"),
    [
        ("EURUSD", 100_000, 5, 0.01, 0.01, "EUR", "Forex\\EURUSD"),
        ("EURUSD.m", 100_000, 5, 0.01, 0.01, "EUR", "Forex\\EURUSD"),
        ("USDJPY", 100_000, 3, 0.01, 0.01, "USD", "Forex\\USDJPY"),
        ("XAUUSD", 100, 2, 0.01, 0.01, "USD", "Metals\\XAUUSD"),
        ("#US30", 1, 1, 0.1, 0.1, "USD", "Indices\\US30"),
        ("JP225", 100, 0, 0.1, 0.1, "JPY", "Indices\\JP225"),
    ],
)
async def test_a8_tells_what_sizing_needs(user, symbol, size, digits, least, step, margin, path):
    base = await opened(user, f"symbols-{digits}-{size}-{len(symbol)}", "USD")
    told = await user.get(f"{base}/{quote(symbol, safe='')}/specification")
    assert (told["symbol"], told["contractSize"], told["digits"]) == (symbol, size, digits)
    assert (told["minVolume"], told["volumeStep"], told["marginCurrency"]) == (least, step, margin)
    assert told["tickSize"] == told["point"] == pytest.approx(10**-digits)
    assert told["path"] == path


async def test_a9_tells_the_worth_of_a_tick_in_the_accounts_currency(user):
    dollars, yen = await opened(user, "symbols-usd", "USD"), await opened(user, "symbols-jpy", "JPY")
    told = await user.get(f"{dollars}/EURUSD/current-price", keepSubscription="true")
    assert (told["bid"], told["ask"]) == (1.1, 1.10008)
    assert told["profitTickValue"] == told["lossTickValue"] == pytest.approx(1.0)
    told = await user.get(f"{yen}/EURUSD/current-price")
    assert told["profitTickValue"] == pytest.approx(150.0045)


async def test_a9_leaves_out_what_is_not_known(user):
    """The market of these tests has no price of gold and no rate of the zloty."""
    path = await opened(user, "symbols-pln", "PLN")
    assert "profitTickValue" not in await user.get(f"{path}/EURUSD/current-price")
    assert_error(await user.http.get(f"{path}/XAUUSD/current-price"), 404)


@pytest.mark.parametrize("call", ["specification", "current-price"])
async def test_unknown_symbols_and_strangers_are_404(user, stranger, call):
    path = await opened(user, f"symbols-{call}", "USD")
    assert await user.status("GET", f"{path}/NOTHING/{call}") == 404
    assert await stranger.status("GET", f"{path}/EURUSD/{call}") == 404
    assert await stranger.status("GET", path) == 404
    assert await user.status("GET", f"/users/current/accounts/nobody/symbols/EURUSD/{call}") == 404
