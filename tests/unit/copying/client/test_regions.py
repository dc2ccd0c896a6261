"""Discovery and failover as the contract describes them (1.2, 1.6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from copying.client import BackendFailed, ClientError, NotFound, Unauthorised, Unreachable, shared_discovery
from copying.client.regions import Discovery

PROVISIONING = "mt-provisioning-api-v1.agiliumtrade.agiliumtrade.ai"
LONDON, PARIS, TOKYO = (f"copyfactory-api-v1.{name}.example.ai" for name in ("london", "paris", "tokyo"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Cloud:
    """Provisioning that works, and regions that answer as told (default 200 {})."""

    def __init__(self):
        self.regions = ["london", "paris", "tokyo"]
        self.answers: dict[str, list] = {}
        self.accounts: dict[str, dict] = {}
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        host, path = request.url.host, request.url.path
        assert request.url.scheme == "https"
        assert request.headers["auth-token"] == "aaa.bbb.ccc"
        if host == PROVISIONING:
            if path.endswith("/regions"):
                self.asked.append("regions")
                return httpx.Response(200, json=self.regions)
            if path.endswith("/mt-client-api"):
                return httpx.Response(200, json={"domain": "example.ai", "hostname": "x"})
            self.asked.append(path.rsplit("/", 1)[1])
            account = self.accounts.get(path.rsplit("/", 1)[1])
            return httpx.Response(200, json=account) if account else httpx.Response(404)
        self.asked.append(host)
        queue = self.answers.get(host) or [httpx.Response(200, json={})]
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, json={}) if isinstance(answer, int) else answer


@pytest.fixture
def cloud(backend):
    cloud = Cloud()
    backend.will(cloud)
    return cloud


@pytest.fixture
def client(open_client, cloud):
    return open_client(base_url=None, retries=0)


def test_the_first_call_discovers_and_goes_to_the_first_region(client, cloud):
    client.strategy("AAAA")
    client.strategy("AAAA")
    assert cloud.asked == ["regions", LONDON, LONDON]


def test_another_domain_has_its_own_provisioning(open_client, backend):
    backend.will(httpx.Response(200, json=["local"]), httpx.Response(200, json={"domain": "x:1"}), httpx.Response(500))
    with pytest.raises(BackendFailed):
        open_client(base_url=None, domain="localhost:8443", retries=0).strategy("AAAA")
    assert [str(request.url).split("/users")[0] for request in backend.requests] == [
        "https://mt-provisioning-api-v1.localhost:8443",
        "https://mt-provisioning-api-v1.localhost:8443",
        "https://copyfactory-api-v1.local.x:1",
    ]


def test_a_fixed_address_discovers_nothing(open_client, backend):
    backend.will(httpx.Response(200, json=[]))
    client = open_client()
    client.trading_signals("sub")
    client.external_signals("AAAA")
    assert set(backend.hosts) == {"backend"}
    assert len(backend.requests) == 2


@pytest.mark.parametrize("status", [401, 500])
def test_a_failure_of_discovery_is_raised(open_client, backend, status):
    backend.will(status)
    with pytest.raises(Unauthorised if status == 401 else BackendFailed):
        open_client(base_url=None, retries=0).strategy("AAAA")


def test_no_region_at_all_is_said(client, cloud):
    cloud.regions = []
    with pytest.raises(ClientError, match="no region"):
        client.strategy("AAAA")


@pytest.mark.parametrize(
    ("failure", "goes_on"),
    [
        (400, False),
        (401, False),
        (403, False),
        (404, False),
        (429, False),
        (409, True),
        (500, True),
        (502, True),
        (418, True),
        (302, True),
        (httpx.ReadTimeout("slow"), True),
        (httpx.ReadError("reset"), True),
        (httpx.ConnectError("refused"), True),
        (httpx.ConnectTimeout("slow"), True),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_which_failures_go_to_the_next_region(open_client, cloud, failure, goes_on, method):
    client = open_client(base_url=None, retries=0, wait_budget_s=0)
    cloud.answers[LONDON] = [failure]
    call = {
        "GET": lambda: client.strategy("AAAA"),
        "PUT": lambda: client.put_strategy("AAAA", {}),
        "DELETE": lambda: client.remove_strategy("AAAA"),
    }[method]
    if goes_on:
        call()
        assert cloud.asked == ["regions", LONDON, PARIS]
    else:
        with pytest.raises(ClientError):
            call()
        assert cloud.asked == ["regions", LONDON]


@pytest.mark.parametrize(
    ("failure", "goes_on"),
    [
        (500, False),
        (409, False),
        (httpx.ReadTimeout("slow"), False),
        (httpx.ConnectError("refused"), True),
        (httpx.ConnectTimeout("slow"), True),
    ],
)
def test_what_creates_something_goes_on_only_if_it_never_left(client, cloud, failure, goes_on):
    cloud.answers[LONDON] = [failure]
    cloud.answers[PARIS] = [httpx.Response(201, json={"id": "w", "url": "u"})]
    if goes_on:
        assert client.create_webhook("AAAA").id == "w"
    else:
        with pytest.raises(ClientError):
            client.create_webhook("AAAA")
        assert cloud.asked == ["regions", LONDON]


def test_the_next_call_stays_where_the_last_one_worked(client, cloud, clock):
    cloud.answers |= {LONDON: [500], PARIS: [409]}
    client.strategy("AAAA")
    client.strategy("AAAA")
    assert cloud.asked == ["regions", LONDON, PARIS, TOKYO, TOKYO]
    assert clock.pauses == []


def test_after_the_last_region_the_first_is_next_and_the_error_is_raised(client, cloud):
    cloud.answers |= {LONDON: [500], PARIS: [500], TOKYO: [httpx.ConnectError("refused")]}
    with pytest.raises(Unreachable):
        client.strategy("AAAA")
    cloud.answers = {}
    client.strategy("AAAA")
    assert cloud.asked == ["regions", LONDON, PARIS, TOKYO, LONDON]


def test_regions_are_forgotten_ten_minutes_after_the_last_use(client, cloud, clock):
    for minutes in (0, 9, 9, 11):
        clock.now += timedelta(minutes=minutes)
        client.strategy("AAAA")
    assert cloud.asked == ["regions", LONDON, LONDON, LONDON, "regions", LONDON]


# ------------------------------------------------------------------------------------------------------ signal calls


def test_a_signal_goes_to_every_region_of_its_account(client, cloud):
    cloud.answers |= {
        LONDON: [httpx.Response(200, json={"accountId": "replica"})],
        PARIS: [500],
        TOKYO: [httpx.Response(204)],
    }
    cloud.accounts = {
        "replica": {"_id": "replica", "region": "london", "primaryAccountId": "primary"},
        "primary": {"_id": "primary", "region": "paris", "accountReplicas": [{"region": "tokyo"}]},
    }
    client.put_external_signal("AAAA", "sig00001", {})
    assert cloud.asked[:4] == ["regions", LONDON, "replica", "primary"]
    assert set(cloud.asked[4:]) <= {PARIS, TOKYO}
    assert TOKYO in cloud.asked


def test_a_signal_fails_only_when_every_region_failed(client, cloud):
    cloud.accounts = {"sub": {"region": "london", "accountReplicas": [{"region": "paris"}, {"region": "tokyo"}]}}
    cloud.answers |= {LONDON: [500], PARIS: [500], TOKYO: [httpx.Response(200, json=[])]}
    assert client.trading_signals("sub") == []
    cloud.answers[TOKYO] = [500]
    with pytest.raises(BackendFailed):
        client.trading_signals("sub")


def test_an_account_is_looked_up_once_in_ten_minutes(client, cloud, clock):
    cloud.accounts = {"sub": {"region": "london"}}
    cloud.answers[LONDON] = [httpx.Response(200, json=[])]
    for minutes in (0, 5, 6):
        clock.now += timedelta(minutes=minutes)
        client.trading_signals("sub")
    assert cloud.asked.count("sub") == 2


def test_an_unknown_account_is_not_found(client, cloud):
    with pytest.raises(NotFound):
        client.trading_signals("sub")


# ------------------------------------------------------------------------------------- what clients know of each other


@pytest.fixture
def open_another(open_client, cloud):
    """A function that makes clients which share what they know."""
    discovery = Discovery()
    return lambda: open_client(base_url=None, retries=0, discovery=discovery)


def test_clients_that_share_ask_for_regions_and_accounts_once(open_another, cloud):
    cloud.accounts["acc"] = {"_id": "acc", "region": "tokyo"}
    cloud.answers[TOKYO] = [httpx.Response(200, json=[])]
    for _ in range(3):
        open_another().trading_signals("acc")
    assert cloud.asked == ["regions", "acc", TOKYO, TOKYO, TOKYO]


def test_a_region_that_failed_is_not_the_next_clients_first(open_another, cloud):
    cloud.answers[LONDON] = [500]
    early = open_another()
    early.strategy("AAAA")
    open_another().strategy("AAAA")
    assert cloud.asked == ["regions", LONDON, PARIS, PARIS]


def test_each_client_tries_the_regions_in_its_own_order(open_another, cloud):
    first, second = open_another(), open_another()
    first.strategy("AAAA")
    second.strategy("AAAA")
    cloud.answers[LONDON], cloud.answers[PARIS] = [500], [500, httpx.Response(200, json={})]
    first.strategy("AAAA")  # is in Tokyo now
    second.strategy("AAAA")
    assert cloud.asked[3:] == [LONDON, PARIS, TOKYO, LONDON, PARIS]


@pytest.mark.parametrize(("minutes", "is_asked"), [(59, False), (60, True), (61, True)])
def test_regions_in_use_are_asked_for_again_after_an_hour(open_another, cloud, clock, minutes, is_asked):
    open_another().strategy("AAAA")
    for minute in range(1, min(minutes, 60)):
        clock.now = NOW + timedelta(minutes=minute)
        open_another().strategy("AAAA")
    cloud.regions = ["paris"]
    cloud.asked.clear()
    clock.now = NOW + timedelta(minutes=minutes)
    open_another().strategy("AAAA")
    clock.now += timedelta(minutes=1)
    open_another().strategy("AAAA")
    expected = ["regions", PARIS, PARIS] if is_asked else [LONDON, "regions", PARIS]
    assert cloud.asked == expected


def test_when_nobody_answers_what_is_known_goes_on(open_another, cloud, clock):
    open_another().strategy("AAAA")
    for minute in range(9, 61, 3):
        clock.now = NOW + timedelta(minutes=minute)
        cloud.regions = []  # an answer that names none
        open_another().strategy("AAAA")
    assert cloud.asked.count("regions") == 2
    assert cloud.asked[-1] == LONDON


def test_another_token_or_domain_shares_nothing():
    discovery = shared_discovery("x.test", "one")
    assert shared_discovery("x.test", "one") is discovery
    assert shared_discovery("x.test", "two") is not discovery
    assert shared_discovery("y.test", "one") is not discovery
