"""Every call: its method, path, query and body as the contract has them, and what comes back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec
import pytest

from copying.contract.accounts import AccountUpdate, TradeRequest
from copying.contract.documents import ExternalSignalUpdate, SubscriberUpdate, WebhookUpdate

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
CONFIGURATION = "/users/current/configuration"
SUB = "/users/current/subscribers/sub"
STRATEGY = "/users/current/strategies/AAAA"

WRITES = [
    ("C4", lambda c: c.put_strategy("AAAA", {"name": "x"}), f"PUT {CONFIGURATION}/strategies/AAAA", {"name": "x"}),
    ("C5", lambda c: c.remove_strategy("AAAA"), f"DELETE {CONFIGURATION}/strategies/AAAA", None),
    (
        "C5",
        lambda c: c.remove_strategy("AAAA", mode="preserve", remove_after=END),
        f"DELETE {CONFIGURATION}/strategies/AAAA",
        {"mode": "preserve", "removeAfter": "2026-02-01T00:00:00.000Z"},
    ),
    ("C8", lambda c: c.put_portfolio("PPPP", {}), f"PUT {CONFIGURATION}/portfolio-strategies/PPPP", {}),
    ("C9", lambda c: c.remove_portfolio("PPPP"), f"DELETE {CONFIGURATION}/portfolio-strategies/PPPP", None),
    (
        "C10",
        lambda c: c.remove_portfolio_member("PPPP", "AAAA", mode="preserve"),
        f"DELETE {CONFIGURATION}/portfolio-strategies/PPPP/members/AAAA",
        {"mode": "preserve"},
    ),
    (
        "C13",
        lambda c: c.put_subscriber("sub", SubscriberUpdate(name="D")),
        f"PUT {CONFIGURATION}/subscribers/sub",
        {"name": "D"},
    ),
    ("C14", lambda c: c.remove_subscriber("sub"), f"DELETE {CONFIGURATION}/subscribers/sub", None),
    (
        "C15",
        lambda c: c.remove_subscription("sub", "AAAA"),
        f"DELETE {CONFIGURATION}/subscribers/sub/subscriptions/AAAA",
        None,
    ),
    (
        "C18",
        lambda c: c.update_webhook("AAAA", "w1", WebhookUpdate(magic=5)),
        f"PATCH {CONFIGURATION}/strategies/AAAA/webhooks/w1",
        {"magic": 5},
    ),
    ("C19", lambda c: c.remove_webhook("AAAA", "w1"), f"DELETE {CONFIGURATION}/strategies/AAAA/webhooks/w1", None),
    (
        "T1",
        lambda c: c.resynchronize("sub", strategy_ids=["A", "B"], position_ids=["1"]),
        f"POST {SUB}/resynchronize?strategyId=A&strategyId=B&positionId=1",
        None,
    ),
    (
        "T3",
        lambda c: c.reset_subscription_stopouts("sub", "AAAA", "day-balance-difference"),
        f"POST {SUB}/subscription-strategies/AAAA/stopouts/day-balance-difference/reset",
        None,
    ),
    (
        "T4",
        lambda c: c.reset_subscriber_stopouts("sub", "day-balance-difference"),
        f"POST {SUB}/stopouts/day-balance-difference/reset",
        None,
    ),
    (
        "S3",
        lambda c: c.put_external_signal(
            "AAAA", "sig00001", ExternalSignalUpdate(symbol="EURUSD", type="POSITION_TYPE_BUY", time=START, volume=0.1)
        ),
        f"PUT {STRATEGY}/external-signals/sig00001",
        {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2026-01-01T00:00:00.000Z", "volume": 0.1},
    ),
    (
        "S4",
        lambda c: c.remove_external_signal("AAAA", "sig00001", time=START),
        f"POST {STRATEGY}/external-signals/sig00001/remove",
        {"time": "2026-01-01T00:00:00.000Z"},
    ),
    (
        "E6",
        lambda c: c.put_account("acc", AccountUpdate(name="Paper", currency="USD")),
        "PUT /users/current/accounts/acc",
        {"name": "Paper", "currency": "USD"},
    ),
    (
        "E6",
        lambda c: c.deposit("acc", -5, comment="out"),
        "POST /users/current/accounts/acc/deposit",
        {"amount": -5, "comment": "out"},
    ),
]


@pytest.mark.parametrize(("row", "call", "request_line", "body"), WRITES)
def test_writes(client, backend, row, call, request_line, body):
    backend.will(204)
    assert call(client) is None
    [request] = backend.requests
    assert f"{request.method} {request.url.raw_path.decode()}" == request_line
    assert (msgspec.json.decode(request.content) if request.content else None) == body
    assert ("content-type" in request.headers) is (body is not None)


SNAPSHOT = {"sequenceNumber": 3, "accountId": "a", "time": "2026-01-01T00:00:00.000Z", "balance": 1.10, "equity": 2}
ACCOUNT = {"accountId": "a", "name": "A", "currency": "USD", "balance": 1.10, "equity": 2}
LIMIT = {"type": "day", "applyTo": "equity-difference", "maxAbsoluteRisk": 100, "drawdown": -2.5, "startBalance": 1000}
LIMITS = {"accountId": "a", "currency": "USD", "time": "2026-01-01T00:00:00.000Z", "limits": [LIMIT]}
STOPOUT = {
    "reason": "day-balance-difference",
    "stoppedAt": "2026-01-01T00:00:00Z",
    "stoppedTill": "2026-01-02T00:00:00Z",
    "partial": False,
    "reasonDescription": "x",
    "sequenceNumber": 4,
}
LINE = {"time": "2026-01-01T00:00:00.000Z", "level": "INFO", "message": "copied", "openPrice": 1.1}
LOG = {"strategyId": "A", "positionId": "1", "level": "WARN"}

READS = [
    ("C1", lambda c: c.unused_strategy_id(), f"{CONFIGURATION}/unused-strategy-id", {}, {"id": "AAAA"}),
    ("C3", lambda c: c.strategy("AAAA"), f"{CONFIGURATION}/strategies/AAAA", {}, {}),
    ("C7", lambda c: c.portfolio("PPPP"), f"{CONFIGURATION}/portfolio-strategies/PPPP", {}, {}),
    ("C12", lambda c: c.subscriber("sub"), f"{CONFIGURATION}/subscribers/sub", {}, {}),
    (
        "C2",
        lambda c: c.strategies_page(offset=5, limit=10, include_removed=True),
        f"{CONFIGURATION}/strategies",
        {"includeRemoved": "true", "offset": "5", "limit": "10"},
        [],
    ),
    (
        "C16",
        lambda c: c.webhooks_counted("AAAA", limit=10),
        f"{CONFIGURATION}/strategies/AAAA/webhooks",
        {"paginationStyle": "classic", "offset": "0", "limit": "10"},
        {"count": 1, "items": [{"_id": "w", "url": "u", "createdAt": "2026-01-01T00:00:00Z"}]},
    ),
    (
        "H1",
        lambda c: c.provided_transactions_page(START, END),
        "/users/current/provided-transactions",
        {"from": "2026-01-01T00:00:00.000Z", "till": "2026-02-01T00:00:00.000Z", "limit": "1000"},
        [],
    ),
    (
        "H2",
        lambda c: c.subscription_transactions_page(START, END, strategy_ids=["A"], subscriber_ids=["s"], offset=7),
        "/users/current/subscription-transactions",
        {"from": "2026-01-01T00:00:00.000Z", "till": "2026-02-01T00:00:00.000Z", "limit": "1000"}
        | {"strategyId": "A", "subscriberId": "s", "offset": "7"},
        [],
    ),
    (
        "H3",
        lambda c: c.strategy_transactions_stream("AAAA", start=START, limit=5, hold_s=2),
        f"{STRATEGY}/transactions/stream",
        {"startTime": "2026-01-01T00:00:00.000Z", "limit": "5", "holdInSeconds": "2"},
        [],
    ),
    ("H4", lambda c: c.subscriber_transactions_stream("sub"), f"{SUB}/transactions/stream", {"limit": "1000"}, []),
    ("T2", lambda c: c.stopouts("sub"), f"{SUB}/stopouts", {}, [STOPOUT]),
    (
        "T5",
        lambda c: c.stopouts_stream(previous_sequence_number=0, subscriber_id="s", strategy_id="A"),
        "/users/current/stopouts/stream",
        {"previousSequenceNumber": "0", "subscriberId": "s", "strategyId": "A", "limit": "1000"},
        [STOPOUT],
    ),
    (
        "T6",
        lambda c: c.subscriber_log_page("sub", start=START, strategy_id="A", position_id="1", level="WARN"),
        f"{SUB}/user-log",
        {"startTime": "2026-01-01T00:00:00.000Z", "limit": "1000", **LOG},
        [LINE],
    ),
    ("T7", lambda c: c.strategy_log_page("AAAA", limit=5), f"{STRATEGY}/user-log", {"limit": "5"}, [LINE]),
    (
        "T8",
        lambda c: c.subscriber_log_stream("sub", strategy_id="A", position_id="1", level="WARN"),
        f"{SUB}/user-log/stream",
        {"limit": "1000", **LOG},
        [LINE],
    ),
    ("T9", lambda c: c.strategy_log_stream("AAAA"), f"{STRATEGY}/user-log/stream", {"limit": "1000"}, [LINE]),
    ("S1", lambda c: c.trading_signals("sub"), f"{SUB}/signals", {}, []),
    ("S2", lambda c: c.external_signals("AAAA"), f"{STRATEGY}/external-signals", {}, []),
    (
        "E1",
        lambda c: c.account_information_page(after="a", limit=5),
        "/users/current/account-information",
        {"after": "a", "limit": "5"},
        [ACCOUNT],
    ),
    (
        "E2",
        lambda c: c.account_snapshots_stream(previous_sequence_number=2, hold_s=0),
        "/users/current/account-snapshots/stream",
        {"previousSequenceNumber": "2", "limit": "1000", "holdInSeconds": "0"},
        [SNAPSHOT],
    ),
    (
        "E3",
        lambda c: c.decisions_page(strategy_id="A", start=START, before="x", limit=5),
        "/users/current/decisions",
        {"strategyId": "A", "startTime": "2026-01-01T00:00:00.000Z", "before": "x", "limit": "5"},
        {"items": [], "next": None},
    ),
    (
        "E10",
        lambda c: c.risk_limits_page(after="a", limit=5),
        "/users/current/risk-limits",
        {"after": "a", "limit": "5"},
        [LIMITS],
    ),
    ("E5", lambda c: c.account("acc"), "/users/current/accounts/acc/account-information", {}, ACCOUNT),
    ("E5", lambda c: c.account_positions("acc"), "/users/current/accounts/acc/positions", {}, []),
    ("E5", lambda c: c.account_orders("acc"), "/users/current/accounts/acc/orders", {}, []),
]


def test_an_argument_that_no_call_has_is_refused(client):
    with pytest.raises(TypeError, match="'levels'"):
        client.strategy_log_page("AAAA", levels="WARN")
    with pytest.raises(TypeError, match="'strategy'"):
        client.provided_transactions_page(START, END, strategy="AAAA")


@pytest.mark.parametrize(("row", "call", "path", "query", "answer"), READS)
def test_reads(client, backend, row, call, path, query, answer):
    backend.will(httpx.Response(200, json=answer))
    result = call(client)
    [request] = backend.requests
    address = urlsplit(str(request.url))
    assert request.method == "GET"
    assert address.path == path
    assert dict(parse_qsl(address.query, keep_blank_values=True)) == query
    assert result is not None


def test_creations_answer_what_was_made(client, backend):
    backend.will(httpx.Response(201, json={"id": "w", "url": "https://x/webhooks/w"}))
    assert client.create_webhook("AAAA").url == "https://x/webhooks/w"
    assert backend.requests[0].content == b"{}"
    backend.will(httpx.Response(201, json={"signalId": "sig00001"}))
    assert client.post_webhook_signal("w", {"symbol": "EURUSD"}) == "sig00001"
    backend.will(httpx.Response(200, json={"numericCode": 10009, "stringCode": "TRADE_RETCODE_DONE", "orderId": "7"}))
    assert client.trade("acc", TradeRequest(action_type="ORDER_TYPE_BUY", symbol="EURUSD", volume=1)).order_id == "7"


def test_figures_of_accounts_are_exact(client, backend):
    backend.will(httpx.Response(200, text='{"accountId":"a","balance":1.10,"equity":0.30000000000000004}'))
    account = client.account("a")
    assert str(account.balance) == "1.10"
    assert account.equity == Decimal("0.30000000000000004")


def test_a_page_can_be_had_as_it_came(client, backend):
    backend.will(httpx.Response(200, content=b"[ ]"))
    assert client.provided_transactions_body(START, END) == b"[ ]"
    assert client.subscription_transactions_body(START, END) == b"[ ]"


# -------------------------------------------------------------------------------------------------------- pagination


def list_of(count: int):
    """A backend with `count` objects and both pagination styles."""

    def answer(request: httpx.Request) -> httpx.Response:
        query = dict(parse_qsl(request.url.query.decode()))
        offset, limit = int(query["offset"]), int(query["limit"])
        items = [{"_id": str(number)} for number in range(count)][offset : offset + limit]
        is_classic = request.headers.get("api-version") == "2"
        return httpx.Response(200, json={"count": count, "items": items} if is_classic else items)

    return answer


@pytest.mark.parametrize("what", ["strategies", "portfolios", "subscribers"])
@pytest.mark.parametrize("is_classic", [False, True])
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 30])
def test_both_pagination_styles_give_every_object_once(client, backend, what, is_classic, count):
    backend.will(list_of(count))
    objects = getattr(client, what)(page_size=10, classic=is_classic)
    assert [one["_id"] for one in objects] == [str(number) for number in range(count)]


def test_a_count_that_lies_does_not_go_on_for_ever(client, backend):
    full = httpx.Response(200, json={"count": 10**9, "items": [{"_id": "1"}]})
    backend.will(full, httpx.Response(200, json={"count": 9, "items": []}))
    assert [one["_id"] for one in client.strategies(classic=True)] == ["1"]


def test_accounts_and_decisions_are_paged_by_cursor(client, backend):
    backend.will(httpx.Response(200, json=[ACCOUNT, ACCOUNT | {"accountId": "b"}]), httpx.Response(200, json=[]))
    assert [len(page) for page in client.account_information(page_size=2)] == [2]
    assert backend.paths[-1].endswith("?after=b&limit=2")
    decision = {"id": "1", "time": "2026-01-01T00:00:00Z", "outcome": "copied", "reason": "copied"}
    backend.will(httpx.Response(200, json={"items": [decision], "next": "c1"}), httpx.Response(200, json={"items": []}))
    assert [page[0].outcome for page in client.decisions(strategy_id="A")] == ["copied"]
    assert "before=c1" in backend.paths[-1]
