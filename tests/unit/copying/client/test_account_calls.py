"""The account APIs: each call's host, method, path, query and body, at the vendor's hosts and on one origin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qsl

import httpx
import msgspec
import pytest

from copying.client import (
    AccountRefused,
    BackendFailed,
    NotConnected,
    NotFound,
    NotReady,
    RateLimited,
    Rejected,
    Unreadable,
)
from copying.client.account_refusals import ADVICE
from copying.contract.hosts import prefix_of
from copying.contract.provisioning import (
    AccountFeatures,
    ConfigurationLink,
    CopyFactoryApi,
    NewTradingAccount,
    TradingAccountCredentials,
    TradingAccountUpdate,
)
from copying.contract.terminal import MarginRequest

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
P, T, M, R = "mt-provisioning-api-v1", "mt-client-api-v1", "metastats-api-v1", "risk-management-api-v1"
A = "/users/current/accounts"
PASSWORD = "correct horse"
NEW = NewTradingAccount(name="A", server="S", magic=0, login="7", password=PASSWORD)
UPDATE = TradingAccountUpdate(name="B", server="S", password=PASSWORD)
ACCOUNT = {"_id": "a", "region": "london"}
MONEY = {"currency": "USD", "balance": 1.10, "equity": 0.30000000000000004}
RANGE = "2026-01-01T00%3A00%3A00.000Z/2026-02-01T00%3A00%3A00.000Z"
ORDER = MarginRequest(symbol="EURUSD", type="ORDER_TYPE_BUY", volume=1, open_price=1.1)
SPECIFICATION = {
    "symbol": "X/Y",
    "contractSize": 1,
    "tickSize": 1,
    "digits": 2,
    "minVolume": 1,
    "maxVolume": 2,
    "volumeStep": 1,
}
PRICE = {"symbol": "X/Y", "bid": 1, "ask": 2, "time": "2026-01-01T00:00:00Z"}
POSITION = {"id": 5, "type": "POSITION_TYPE_BUY", "symbol": "X", "time": "2026-01-01T00:00:00Z", "openPrice": 1}
POSITION |= {"volume": 1}
RECORD = {"id": 5, "type": "ORDER_TYPE_BUY", "time": "2026-01-01T00:00:00Z", "volume": 1}
METRICS = dict.fromkeys(("balance", "equity", "margin", "freeMargin", "trades", "profit", "deposits"), 1)
FEATURES = AccountFeatures(
    copy_factory_api=CopyFactoryApi(copy_factory_roles=["PROVIDER"], copy_factory_resource_slots=1)
)


def on(client, name, *arguments, **options):
    return getattr(client, name)(*arguments, **options)


CALLS = [
    ("P3", P, "trading_accounts_page", (), {"state": ["A", "B"]}, f"GET {A}?state=A&state=B&offset=0&limit=1000", []),
    ("P4", P, "trading_account", ("a/b",), {}, f"GET {A}/a%2Fb", ACCOUNT),
    ("P5", P, "create_trading_account", (NEW,), {"transaction_id": "x" * 32}, f"POST {A}", {"id": "n"}),
    ("P6", P, "update_trading_account", ("a", UPDATE), {}, f"PUT {A}/a", None),
    ("P7", P, "remove_trading_account", ("a",), {}, f"DELETE {A}/a", None),
    ("P8", P, "deploy", ("a",), {}, f"POST {A}/a/deploy?executeForAllReplicas=true", None),
    ("P9", P, "undeploy", ("a",), {}, f"POST {A}/a/undeploy?executeForAllReplicas=true", None),
    ("P10", P, "redeploy", ("a",), {}, f"POST {A}/a/redeploy?executeForAllReplicas=true", None),
    ("P11", P, "increase_reliability", ("a",), {}, f"POST {A}/a/increase-reliability", None),
    ("P12", P, "enable_risk_management", ("a",), {}, f"POST {A}/a/enable-risk-management-api", None),
    ("P13", P, "enable_metastats", ("a",), {}, f"POST {A}/a/enable-metastats-api", None),
    ("P14", P, "set_roles", ("a", ["PROVIDER"]), {}, f"POST {A}/a/enable-copy-factory-api", None),
    ("P15", P, "enable_features", ("a", FEATURES), {}, f"POST {A}/a/enable-account-features", None),
    (
        "P16",
        P,
        "configuration_link",
        ("a",),
        {"ttl_days": 3},
        f"PUT {A}/a/configuration-link?ttlInDays=3",
        {"configurationLink": "https://x/secret"},
    ),
    ("P23", P, "servers_like", (5, "ic m"), {}, "GET /known-mt-servers/5/search?query=ic+m", {"Raw": ["S-1"]}),
    ("A1", T, "terminal_information", ("a",), {}, f"GET {A}/a/account-information", MONEY),
    (
        "A2",
        T,
        "terminal_positions",
        ("a",),
        {"refresh": True},
        f"GET {A}/a/positions?refreshTerminalState=true",
        [POSITION],
    ),
    ("A3", T, "terminal_position", ("a", "5"), {}, f"GET {A}/a/positions/5", POSITION),
    ("A4", T, "terminal_orders", ("a",), {}, f"GET {A}/a/orders", [RECORD]),
    ("A4", T, "terminal_order", ("a", "5"), {}, f"GET {A}/a/orders/5", RECORD),
    (
        "A5",
        T,
        "terminal_history_orders_of",
        ("a",),
        {"position_id": "5"},
        f"GET {A}/a/history-orders/position/5",
        [RECORD],
    ),
    ("A6", T, "terminal_deals_of", ("a",), {"ticket": "5"}, f"GET {A}/a/history-deals/ticket/5", [RECORD]),
    ("A7", T, "terminal_symbols", ("a",), {}, f"GET {A}/a/symbols", ["X"]),
    (
        "A8",
        T,
        "terminal_specification",
        ("a", "X/Y"),
        {},
        f"GET {A}/a/symbols/X%2FY/specification",
        SPECIFICATION,
    ),
    (
        "A9",
        T,
        "terminal_price",
        ("a", "X/Y"),
        {},
        f"GET {A}/a/symbols/X%2FY/current-price?keepSubscription=false",
        PRICE,
    ),
    ("A12", T, "calculated_margin", ("a", ORDER), {}, f"POST {A}/a/calculate-margin", {"margin": 2}),
    (
        "A13",
        T,
        "server_time",
        ("a",),
        {},
        f"GET {A}/a/server-time",
        {"time": "2026-01-01T00:00:00Z", "brokerTime": "2026-01-01 02:00:00.000"},
    ),
    ("A14", T, "credits", ("a",), {}, f"GET {A}/a/credits", {"perUser": []}),
    ("M1", M, "metrics", ("a",), {}, f"GET {A}/a/metrics?includeOpenPositions=false", {"metrics": METRICS}),
    (
        "M2",
        M,
        "trades_page",
        ("a", "2026-01-01 00:00:00.000", "2026-02-01 00:00:00.000"),
        {},
        f"GET {A}/a/historical-trades/2026-01-01%2000%3A00%3A00.000/2026-02-01%2000%3A00%3A00.000"
        "?offset=0&limit=1000&updateHistory=false",
        {"trades": []},
    ),
    ("M3", M, "open_trades", ("a",), {}, f"GET {A}/a/open-trades", {"openTrades": []}),
    ("M4", M, "forget_statistics", ("a",), {}, f"DELETE {A}/a", None),
    ("R1", R, "equity_chart", ("a",), {"real_time": True}, f"GET {A}/a/equity-chart?realTime=true", []),
    ("R2", R, "create_tracker", ("a", {"name": "t", "period": "day"}), {}, f"POST {A}/a/trackers", {"id": "t1"}),
    (
        "R8",
        R,
        "tracker_events",
        (),
        {"previous_sequence_number": 4},
        "GET /users/current/tracker-events/stream?previousSequenceNumber=4&limit=1000",
        [],
    ),
]


def answer_of(body):
    return 204 if body is None else httpx.Response(200, json=body)


@pytest.mark.parametrize(("row", "api", "name", "arguments", "options", "line", "body"), CALLS)
def test_on_one_origin_each_call_has_the_prefix_of_its_host(
    client, backend, row, api, name, arguments, options, line, body
):
    backend.will(answer_of(body))
    on(client, name, *arguments, **options)
    [request] = backend.requests
    method, path = line.split(" ")
    assert f"{request.method} {request.url.raw_path.decode()}" == f"{method} {prefix_of(api)}{path}"
    assert request.headers["auth-token"]
    assert request.headers.get("api-version") == ("1" if api == R or row == "P3" else None)


class Cloud:
    """Discovery, the look-up of an account in London, and one answer to the call itself."""

    def __init__(self, body, server=None):
        self.body = body
        self.server = {"domain": "cloud.test", "hostname": "mt-client-api-v1"} if server is None else server
        self.calls: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/users/current/regions":
            return httpx.Response(200, json=["new-york", "london"])
        if path == "/users/current/servers/mt-client-api":
            return httpx.Response(200, json=self.server)
        self.calls.append(request)
        is_lookup = request.method == "GET" and path == f"{A}/a"
        body = ACCOUNT if is_lookup else self.body
        return httpx.Response(204) if body is None else httpx.Response(200, json=body)


@pytest.mark.parametrize(("row", "api", "name", "arguments", "options", "line", "body"), CALLS)
def test_at_the_vendor_each_call_goes_to_its_own_host(
    open_client, backend, row, api, name, arguments, options, line, body
):
    cloud = Cloud(body)
    backend.will(cloud)
    on(open_client(base_url=None, domain="vendor.test"), name, *arguments, **options)
    hosts = {P: f"{P}.vendor.test", T: f"{T}.london.cloud.test", M: f"{M}.london.cloud.test"}
    request = cloud.calls[-1]
    assert request.url.host == hosts.get(api, f"{R}.new-york.cloud.test")
    assert f"{request.method} {request.url.raw_path.decode()}" == line


def test_a_region_that_is_known_is_not_looked_up(open_client, backend):
    cloud = Cloud(MONEY)
    backend.will(cloud)
    client = open_client(base_url=None, domain="vendor.test")
    assert client.terminal_information("a", region="tokyo").balance == Decimal("1.10")
    assert [request.url.host for request in cloud.calls] == [f"{T}.tokyo.cloud.test"]


@pytest.mark.parametrize("server", [{"domain": "cloud.test"}, {"hostname": "h"}, {}])
def test_a_discovery_without_both_names_stops_the_account_calls(open_client, backend, server):
    backend.will(Cloud(MONEY, server))
    with pytest.raises(BackendFailed, match="domain or hostname"):
        open_client(base_url=None, domain="vendor.test").terminal_information("a", region="x")


def test_an_account_that_moved_is_looked_up_anew(open_client, backend):
    cloud = Cloud(MONEY)
    backend.will(cloud)
    client = open_client(base_url=None, domain="vendor.test")
    client.terminal_information("a")
    backend.will(lambda request: httpx.Response(404, json={"id": 1, "error": "NotFoundError", "message": "gone"}))
    with pytest.raises(NotFound):
        client.terminal_information("a")
    backend.will(cloud)
    client.terminal_information("a")
    assert [request.url.path for request in cloud.calls].count(f"{A}/a") == 2


@pytest.mark.parametrize("status", [404, 500, 504])
def test_an_account_without_connection_is_said_so(client, backend, status):
    body = {"id": 1, "error": "TimeoutError", "message": "Account is not connected to broker yet"}
    backend.will(httpx.Response(status, json=body))
    with pytest.raises(NotConnected):
        client.terminal_information("a")
    assert len(backend.requests) == 1


def test_accounts_come_once_each_over_pages_that_overlap(client, backend):
    pages = [["a", "b"], ["b", "c"], ["d"]]
    backend.will(*[httpx.Response(200, json=[{"_id": name} for name in page]) for page in pages])
    accounts = [account["_id"] for page in client.trading_accounts(page_size=2) for account in page]
    assert accounts == ["a", "b", "c", "d"]
    assert [dict(parse_qsl(request.url.query.decode()))["offset"] for request in backend.requests] == ["0", "2", "4"]


def test_deals_come_once_each_over_pages_that_overlap(client, backend):
    deals = [[RECORD, RECORD | {"id": "6"}], [RECORD | {"id": "6"}, RECORD | {"id": 7}], [RECORD | {"id": 7}]]
    backend.will(*[httpx.Response(200, json=page) for page in deals])
    pages = client.terminal_deals("a", START, END, page_size=2)
    assert [str(deal.id) for page in pages for deal in page] == ["5", "6", "7"]
    assert backend.paths[0] == f"{prefix_of(T)}{A}/a/history-deals/time/{RANGE}?offset=0&limit=2"


def test_a_page_is_never_larger_than_the_backend_gives(client, backend):
    full = [{"_id": str(number)} for number in range(1000)]
    backend.will(httpx.Response(200, json=full), httpx.Response(200, json=[{"_id": "last"}]))
    assert sum(len(page) for page in client.trading_accounts(page_size=5000)) == 1001


def test_a_list_that_repeats_itself_ends(client, backend):
    backend.will(httpx.Response(200, json=[{"_id": "a"}, {"_id": "b"}]))
    assert [len(page) for page in client.trading_accounts(page_size=2)] == [2]
    assert len(backend.requests) == 2


# ------------------------------------------------------------------------------------------------- waiting, repeating


def test_a_new_account_is_waited_for_with_the_same_request(client, backend, clock):
    wait = httpx.Response(202, headers={"retry-after": "5"}, json={"message": "detecting"})
    backend.will(wait, 502, wait, httpx.Response(201, json={"id": "n", "state": "DEPLOYED"}))
    assert client.create_trading_account(NEW, transaction_id="t" * 32).id == "n"
    assert {request.headers["transaction-id"] for request in backend.requests} == {"t" * 32}
    assert len({request.content for request in backend.requests}) == 1
    assert clock.pauses == [5, 1, 5]


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "60"}, {"message": "m"}, 60),
        ({"retry-after": "Thu, 01 Jan 2026 00:01:30 GMT"}, {}, 90),
        ({}, {"metadata": {"recommendedRetryTime": "2026-01-01T00:02:00.000Z"}}, 120),
        ({}, {"message": "m"}, 1),
    ],
)
def test_whoever_cannot_wait_is_told_when_to_ask_again(open_client, backend, clock, headers, body, seconds):
    backend.will(httpx.Response(202, headers=headers, json=body))
    with pytest.raises(NotReady) as caught:
        open_client(wait_budget_s=0, retries=0).create_trading_account(NEW, transaction_id="t" * 32)
    assert caught.value.retry_at == clock.now + timedelta(seconds=seconds)
    assert PASSWORD not in str(caught.value)


def test_metrics_are_waited_for(client, backend):
    wait = httpx.Response(202, headers={"retry-after": "3"}, json={"status": "x", "message": "calculating"})
    backend.will(wait, httpx.Response(200, json={"metrics": METRICS}))
    assert client.metrics("a").trades == 1


def test_too_many_requests_are_waited_out(client, backend, clock):
    body = {"id": 1, "error": "TooManyRequestsError", "message": "m"}
    body["metadata"] = {"recommendedRetryTime": "2026-01-01T00:00:20.000Z"}
    backend.will(httpx.Response(429, json=body, headers={"retry-after": "1"}), httpx.Response(200, json=MONEY))
    client.terminal_information("a")
    assert clock.pauses == [20]
    body["metadata"] = {"recommendedRetryTime": "2026-01-01T01:00:20.000Z"}
    backend.will(httpx.Response(429, json=body))
    with pytest.raises(RateLimited) as caught:
        client.terminal_information("a")
    assert caught.value.retry_at == START + timedelta(hours=1, seconds=20)
    assert not isinstance(caught.value, NotReady)


@pytest.mark.parametrize("action", ["deploy", "undeploy", "redeploy"])
def test_starting_is_repeated_and_an_unknown_account_stays_unknown(client, backend, action):
    backend.will(502, 204)
    on(client, action, "a")
    assert len(backend.requests) == 2
    backend.will(502, 404)
    with pytest.raises(NotFound):
        on(client, action, "a")


# ---------------------------------------------------------------------------------------------------------- refusals


def refused(details, message="no"):
    return httpx.Response(400, json={"id": 3, "error": "ValidationError", "message": message, "details": details})


@pytest.mark.parametrize("code", [code for code in ADVICE if code != "QUOTA"])
@pytest.mark.parametrize("is_object", [False, True])
@pytest.mark.parametrize("name", ["", "Cloud"])
def test_each_code_is_a_sentence_that_says_what_to_do(open_client, backend, code, is_object, name):
    backend.will(refused({"code": code} if is_object else code))
    for call in (
        lambda client: client.create_trading_account(NEW, transaction_id="t" * 32),
        lambda client: client.update_trading_account("a", UPDATE),
        lambda client: client.redeploy("a"),
    ):
        with pytest.raises(AccountRefused) as caught:
            call(open_client(name=name))
        assert caught.value.code == code
        assert code not in caught.value.text
        assert "{" not in caught.value.text


def test_servers_and_slots_are_passed_on(client, backend):
    servers = {"Raw Trading": ["Raw-Demo", "Raw-Live", 7], "x": None}
    backend.will(refused({"code": "E_SRV_NOT_FOUND", "serversByBrokers": servers}))
    with pytest.raises(AccountRefused, match="Raw-Demo, Raw-Live") as caught:
        client.create_trading_account(NEW, transaction_id="t" * 32)
    assert caught.value.servers == {"Raw Trading": ["Raw-Demo", "Raw-Live"]}
    backend.will(refused({"code": "E_RESOURCE_SLOTS", "recommendedResourceSlots": 4}))
    with pytest.raises(AccountRefused, match="4 slots") as caught:
        client.create_trading_account(NEW, transaction_id="t" * 32)
    assert caught.value.slots == 4
    assert len(backend.requests) == 2


def test_a_new_code_is_named_and_a_quota_is_understood(client, backend):
    backend.will(refused("E_SOMETHING_NEW"))
    with pytest.raises(AccountRefused, match="E_SOMETHING_NEW"):
        client.redeploy("a")
    backend.will(refused(None, "You have exceeded your account quota of 100"))
    with pytest.raises(AccountRefused, match="quota") as caught:
        client.create_trading_account(NEW, transaction_id="t" * 32)
    assert caught.value.code == "QUOTA"


@pytest.mark.parametrize("details", [[{"parameter": "name", "message": "missing"}], None, {"code": 5}, "a sentence"])
def test_other_refusals_stay_what_they_are(client, backend, details):
    backend.will(refused(details))
    with pytest.raises(Rejected) as caught:
        client.create_trading_account(NEW, transaction_id="t" * 32)
    assert not isinstance(caught.value, AccountRefused)
    assert caught.value.details == (details if isinstance(details, list) else [])


# ----------------------------------------------------------------------------------------------------------- secrets


def test_a_password_is_in_no_text(open_client, backend, caplog):
    caplog.set_level("DEBUG")
    details = [{"parameter": "password", "value": PASSWORD, "message": f"{PASSWORD} is too short"}]
    answers = [refused(details, f"bad password {PASSWORD}"), refused({PASSWORD: 1}), httpx.Response(500, text=PASSWORD)]
    answers.append(httpx.Response(409, json={"id": 1, "error": "ConflictError", "message": f"of {PASSWORD}"}))
    for answer in answers:
        for name in ("", "Cloud"):
            backend.will(answer)
            client = open_client(name=name, retries=0)
            for call in (
                lambda client=client: client.create_trading_account(NEW, transaction_id="t" * 32),
                lambda client=client: client.update_trading_account("a", UPDATE),
            ):
                with pytest.raises((Rejected, BackendFailed)) as caught:
                    call()
                error = caught.value
                assert PASSWORD not in f"{error!r} {error} {error.text} {error.said} {getattr(error, 'details', '')}"
    assert PASSWORD not in caplog.text
    secretive = (
        NEW,
        UPDATE,
        TradingAccountCredentials(password=PASSWORD),
        ConfigurationLink(configuration_link=PASSWORD),
    )
    for document in secretive:
        assert PASSWORD not in f"{document!r} {document}"
        assert PASSWORD in msgspec.json.encode(document).decode()


def test_a_link_that_cannot_be_read_is_not_shown(client, backend):
    backend.will(httpx.Response(200, content=b'{"configurationLink": "https://x/secret"'))
    with pytest.raises(Unreadable) as caught:
        client.configuration_link("a")
    assert "secret" not in f"{caught.value!r} {caught.value.start} {caught.value.__cause__}"


def test_what_asks_is_not_done_because_it_is_gone(client, backend):
    """A second attempt's 404 means "removed by the first" only where there is nothing to answer."""
    backend.will(500, httpx.Response(404, json={"id": 1, "error": "NotFoundError", "message": "gone"}))
    with pytest.raises(NotFound):
        client.calculated_margin("a", ORDER)


def test_an_account_that_is_not_connected_is_not_removed(client, backend):
    body = {"id": 1, "error": "NotFoundError", "message": "Account is not connected to broker"}
    backend.will(500, httpx.Response(404, json=body))
    with pytest.raises(NotConnected):
        client.remove_trading_account("a")
