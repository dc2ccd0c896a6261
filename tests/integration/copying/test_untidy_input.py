"""What alert tools, spreadsheets and clocks put into bodies: white space, byte order marks, numbers for times."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from .conftest import STRATEGIES, SUBSCRIBERS, User, assert_error, iso

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]
BOM = b"\xef\xbb\xbf"
ENDS = ["EURUSD\n", " EURUSD", "EURUSD\t", "EURUSD\r\n", "\u00a0EURUSD\u3000"]
SPOILT = ["EUR\nUSD", "EUR\tUSD", "EURUSD\u200b", "EURUSD,GBPUSD", "EURUSD;GBPUSD", "EUR\u202eUSD", "EUR\x07USD"]
SPOILT += ["EUR\u00a0USD", "x" * 65, "", " "]
NAMES = ["US Wall Street 30", "S&P500", "[DJI30]", "#AAPL", "BTC/USD", "EURUSD+", ".DE40Cash!"]
NO_TIMES = ["1710010112000", "1710010112", 1710010112000, 1710010112.5, "1710-01-01T00:00:00Z", "2201-01-01"]


def signal(symbol: str = "EURUSD", **changes: Any) -> dict[str, Any]:
    return {"symbol": symbol, "type": "POSITION_TYPE_BUY", "time": iso(time.time()), "volume": 0.1, **changes}


async def webhook_of(user: User, strategy_id: str, **settings: Any) -> str:
    answer = await user.http.post(f"{STRATEGIES}/{strategy_id}/webhooks", json={"symbolMapping": [], **settings})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()["id"]


async def reasons(user: User) -> list[str]:
    return [each["reason"] for each in (await user.get("/users/current/decisions"))["items"]]


@pytest.mark.parametrize("symbol", ENDS)
async def test_white_space_around_a_symbol_passes_no_filter(user: User, symbol: str) -> None:
    strategy = await user.provide(symbolFilter={"excluded": ["EURUSD", "USDJPY"]})
    await user.subscribe(strategy)
    await user.signal(strategy, symbol=symbol)
    answer = await user.http.post(f"/webhooks/{await webhook_of(user, strategy)}", json=signal(symbol))
    assert answer.status_code == 201, answer.text
    assert await reasons(user) == ["symbol-filter"] * 2
    listed = await user.get(f"/users/current/strategies/{strategy}/external-signals")
    assert {each["symbol"] for each in listed} == {"EURUSD"}


@pytest.mark.parametrize("symbol", ENDS)
async def test_white_space_in_settings_is_taken_off(user: User, symbol: str) -> None:
    mapping = [{"from": symbol, "to": symbol.replace("EUR", "GBP")}]
    settings = {"symbolFilter": {"included": [symbol], "excluded": [symbol]}, "symbolMapping": mapping}
    strategy = await user.provide(symbolsTraded=[symbol], **settings)
    subscriber = f"{SUBSCRIBERS}/{user.id('a')}"
    await user.put(subscriber, {"name": "a", "subscriptions": [{"strategyId": strategy, **settings}]})
    subscription = (await user.get(subscriber))["subscriptions"][0]
    for kept in (await user.get(f"{STRATEGIES}/{strategy}"), subscription):
        assert kept["symbolFilter"] == {"included": ["EURUSD"], "excluded": ["EURUSD"]}
        assert kept["symbolMapping"] == [{"from": "EURUSD", "to": "GBPUSD"}]


@pytest.mark.parametrize("symbol", SPOILT)
async def test_what_cannot_be_one_symbol_is_refused_everywhere(user: User, symbol: str) -> None:
    strategy = await user.provide()
    trade = f"/users/current/accounts/{user.id('provider-s')}/trade"
    named = {"name": "n", "description": "d", "accountId": user.id("provider-s")}
    webhook = await webhook_of(user, strategy)
    requests = [
        ("PUT", f"/users/current/strategies/{strategy}/external-signals/abc", signal(symbol), "symbol"),
        ("POST", f"/webhooks/{webhook}", signal(symbol), "symbol"),
        ("PUT", f"{STRATEGIES}/{strategy}", {**named, "symbolsTraded": [symbol]}, "symbolsTraded.0"),
        (
            "PUT",
            f"{STRATEGIES}/{strategy}",
            {**named, "symbolFilter": {"excluded": ["A", symbol]}},
            "symbolFilter.excluded.1",
        ),
        (
            "PUT",
            f"{SUBSCRIBERS}/{user.id('a')}",
            {"name": "a", "subscriptions": [{"strategyId": strategy, "symbolMapping": [{"from": symbol, "to": "B"}]}]},
            "subscriptions.0.symbolMapping.0.from",
        ),
        (
            "PATCH",
            f"{STRATEGIES}/{strategy}/webhooks/{webhook}",
            {"symbolMapping": [{"from": "A", "to": symbol}]},
            "symbolMapping.0.to",
        ),
        ("POST", trade, {"actionType": "ORDER_TYPE_BUY", "symbol": symbol, "volume": 0.1}, "symbol"),
    ]
    for method, path, body, parameter in requests:
        answer = await user.http.request(method, path, json=body)
        assert_error(answer, 400, parameter)


@pytest.mark.parametrize("symbol", NAMES)
async def test_brokers_names_of_symbols_stay_possible(user: User, symbol: str) -> None:
    strategy = await user.provide(symbolFilter={"excluded": [symbol]})
    assert (await user.get(f"{STRATEGIES}/{strategy}"))["symbolFilter"]["excluded"] == [symbol]


async def test_a_byte_order_mark_is_no_fault(user: User) -> None:
    strategy = await user.provide()
    webhook = await webhook_of(user, strategy)
    account = {"name": "n", "deposit": 5}
    news = {"events": [{"time": "2030-01-04T13:30:00Z", "currency": "USD", "priority": "high"}]}
    requests = [
        ("POST", f"/webhooks/{webhook}", signal(), 201),
        ("PUT", f"/users/current/strategies/{strategy}/external-signals/abc", signal(), 204),
        ("PUT", "/users/current/news-calendar", news, 204),
        ("PUT", f"/users/current/accounts/{user.id('x')}", account, 204),
        ("PUT", f"{SUBSCRIBERS}/{user.id('a')}", {"name": "a", "subscriptions": []}, 204),
    ]
    for method, path, body, status in requests:
        answer = await user.http.request(method, path, content=BOM + json.dumps(body).encode())
        assert answer.status_code == status, (path, answer.text)
        answer = await user.http.request(method, path, content=json.dumps(body).encode("utf-16"))
        assert "UTF-16" in assert_error(answer, 400)["message"]


@pytest.mark.parametrize("moment", NO_TIMES)
async def test_a_time_that_is_a_number_or_of_another_age_is_refused(user: User, moment: Any) -> None:
    strategy = await user.provide()
    bodies = [
        ("PUT", f"/users/current/strategies/{strategy}/external-signals/abc", signal(time=moment), "time"),
        ("POST", f"/webhooks/{await webhook_of(user, strategy)}", signal(time=moment), "time"),
        ("DELETE", f"{STRATEGIES}/{strategy}", {"mode": "preserve", "removeAfter": moment}, "removeAfter"),
    ]
    for method, path, body, parameter in bodies:
        assert_error(await user.http.request(method, path, json=body), 400, parameter)
    queries = [
        ("/users/current/provided-transactions", "from", {"till": "2030-01-01"}),
        ("/users/current/provided-transactions", "till", {"from": "2020-01-01"}),
        ("/users/current/decisions", "startTime", {}),
        (f"/users/current/strategies/{strategy}/user-log", "endTime", {}),
        (f"/users/current/strategies/{strategy}/transactions/stream", "startTime", {}),
    ]
    is_date = isinstance(moment, str) and "-" in moment  # a period may begin on the first day of any calendar
    for path, name, others in queries if not is_date else ():
        assert_error(await user.http.get(path, params={name: str(moment), **others}), 400, name)
