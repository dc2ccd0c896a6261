"""Rows 39 to 45 of the account APIs' conformance list: MetaStats and the equity chart (M1 to M4, R1)."""

from __future__ import annotations

import re
import time
import uuid

import pytest

from .conftest import ACCOUNTS, METASTATS, PROVISIONING, RISK_MANAGEMENT, TERMINAL, Caller

pytestmark = pytest.mark.django_db
REQUIRED = ("balance", "equity", "margin", "freeMargin", "trades", "profit", "deposits")
EARLY, LATE = "2020-01-01 00:00:00.000", "2100-01-01 00:00:00.000"
TRADES = f"historical-trades/{EARLY}/{LATE}".replace(" ", "%20")
BUY = {"actionType": "ORDER_TYPE_BUY", "symbol": "EURUSD", "volume": 0.1}
READS = ((METASTATS, "metrics"), (METASTATS, TRADES), (METASTATS, "open-trades"), (RISK_MANAGEMENT, "equity-chart"))


def create(caller: Caller, **changes) -> str:
    """An account with both features; its path."""
    return f"{ACCOUNTS}/{caller.create(metastatsApiEnabled=True, riskManagementApiEnabled=True, **changes)}"


def trade(caller: Caller, path: str, **body) -> dict:
    answer = caller.call(TERMINAL, "POST", f"{path}/trade", json=body)
    assert answer.json()["numericCode"] == 10009, answer.text
    return answer.json()


def round_trip(caller: Caller, path: str) -> str:
    opened = trade(caller, path, **BUY)
    trade(caller, path, actionType="POSITION_CLOSE_ID", positionId=opened["positionId"])
    return opened["positionId"]


def test_39_a_reset_of_statistics_leaves_the_account(alice, bob):
    path = create(alice)
    before = alice.get(PROVISIONING, path)
    assert alice.call(METASTATS, "DELETE", path).status_code == 204
    assert alice.call(METASTATS, "DELETE", path).status_code == 204
    assert alice.get(PROVISIONING, path) == before
    bob.refused(404, METASTATS, "DELETE", path)


def test_40_metrics_are_those_of_the_trades(alice):
    path = create(alice, balance=1_000)
    round_trip(alice, path)
    metrics = alice.get(METASTATS, f"{path}/metrics")["metrics"]
    assert [name for name in REQUIRED if not isinstance(metrics.get(name), int | float)] == []
    information = alice.get(TERMINAL, f"{path}/account-information")
    assert {name: metrics[name] for name in ("balance", "equity", "margin")} == {
        name: information[name] for name in ("balance", "equity", "margin")
    }
    assert (metrics["trades"], metrics["deposits"], metrics["lots"]) == (1, 1_000, 0.1)
    assert metrics["profit"] == pytest.approx(information["balance"] - 1_000)
    assert metrics["dailyGrowth"][-1]["balance"] == information["balance"]
    assert "inclusive" not in metrics
    trade(alice, path, **BUY)
    inclusive = alice.get(METASTATS, f"{path}/metrics?includeOpenPositions=true")["metrics"]
    assert (inclusive["inclusive"], inclusive["trades"]) == (True, 2)
    assert alice.get(METASTATS, f"{path}/metrics")["metrics"]["trades"] == 1


def test_41_without_the_feature_there_is_nothing(alice):
    path = f"{ACCOUNTS}/{alice.create()}"
    for api, read in READS:
        assert "enable" in alice.refused(403, api, "GET", f"{path}/{read}")["message"]
    features = {"metastatsApiEnabled": True, "riskManagementApiEnabled": True}
    assert alice.call(PROVISIONING, "POST", f"{path}/enable-account-features", json=features).status_code == 204
    for api, read in READS:
        alice.get(api, f"{path}/{read}")


def test_what_is_anothers_or_stopped_has_no_statistics(alice, bob):
    path = create(alice)
    for api, read in READS:
        bob.refused(404, api, "GET", f"{path}/{read}")
        alice.refused(404, api, "GET", f"{ACCOUNTS}/{uuid.uuid4()}/{read}")
        alice.refused(404, PROVISIONING, "GET", f"{path}/{read}")  # another host
    assert alice.call(PROVISIONING, "POST", f"{path}/undeploy").status_code == 204
    for read in ("metrics", TRADES, "open-trades"):
        assert "not deployed" in alice.refused(404, METASTATS, "GET", f"{path}/{read}")["message"]
    assert isinstance(alice.get(RISK_MANAGEMENT, f"{path}/equity-chart"), list)  # its past is there


def test_42_trades_come_in_pages_without_gaps(alice):
    path = create(alice, balance=5_000)
    positions = [round_trip(alice, path) for _ in range(3)]
    whole = alice.get(METASTATS, f"{path}/{TRADES}?updateHistory=true")["trades"]
    assert [each["_id"].split("+")[1] for each in whole if each["type"] != "DEAL_TYPE_BALANCE"] == positions
    assert [each["profit"] for each in whole if each["type"] == "DEAL_TYPE_BALANCE"] == [5_000]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", each["openTime"]) for each in whole)
    pages = [
        alice.get(METASTATS, f"{path}/{TRADES}?limit=1&offset={place}")["trades"] for place in range(len(whole) + 1)
    ]
    assert pages == [*([each] for each in whole), []]
    last = whole[-1]["closeTime"]
    until = f"historical-trades/{EARLY}/{last}".replace(" ", "%20")
    assert alice.get(METASTATS, f"{path}/{until}")["trades"] == [each for each in whole if each["closeTime"] < last]
    for query in ("limit=0", "limit=1001", "offset=-1", "updateHistory=maybe"):
        alice.refused(400, METASTATS, "GET", f"{path}/{TRADES}?{query}")
    alice.refused(400, METASTATS, "GET", f"{path}/historical-trades/yesterday/now")


def test_open_trades_are_the_positions(alice):
    path = create(alice)
    assert alice.get(METASTATS, f"{path}/open-trades") == {"openTrades": []}
    opened = trade(alice, path, **BUY)
    [row] = alice.get(METASTATS, f"{path}/open-trades")["openTrades"]
    assert row["_id"].endswith(f"+{opened['positionId']}")
    assert (row["type"], row["symbol"], row["volume"]) == ("DEAL_TYPE_BUY", "EURUSD", 0.1)
    assert "closeTime" not in row


def test_45_the_chart_goes_up_to_now(alice):
    path = create(alice, balance=2_000)
    assert alice.call("", "POST", f"{path}/deposit", json={"amount": 500}, host="backend").status_code == 204
    items = alice.get(RISK_MANAGEMENT, f"{path}/equity-chart?realTime=true", headers={"api-version": "1"})
    last = items[-1]
    assert (last["lastBalance"], last["lastEquity"]) == (2_500, 2_500)
    assert {"duration", "equitySum", "balanceSum", "brokerTime"} <= set(last)
    assert last["minEquity"] <= last["averageEquity"] <= last["maxEquity"]
    past = alice.get(RISK_MANAGEMENT, f"{path}/equity-chart")
    assert past[-1]["lastBalance"] == 2_500
    assert "duration" not in past[-1]
    after = last["endBrokerTime"].replace(" ", "%20")
    assert alice.get(RISK_MANAGEMENT, f"{path}/equity-chart?startTime={after}") == []
    assert alice.get(RISK_MANAGEMENT, f"{path}/equity-chart?endTime=2020-01-01%2000:00:00.000") == []
    alice.refused(400, RISK_MANAGEMENT, "GET", f"{path}/equity-chart?startTime=then")


def test_37_metrics_are_worked_out_25_times_a_minute(port, bob):
    spender = Caller(port, f"{bob.tenant}-counts")
    path = create(spender)
    assert spender.call(METASTATS, "GET", f"{path}/metrics").status_code == 200
    until = time.monotonic() + 120
    while (answer := spender.call(METASTATS, "GET", f"{path}/metrics")).status_code == 200:
        assert time.monotonic() < until, "it never ends"
    assert answer.status_code == 429
    assert answer.json()["metadata"]["recommendedRetryTime"]
    assert int(answer.headers["retry-after"]) >= 1
    assert bob.call(METASTATS, "GET", f"{create(bob)}/metrics").status_code == 200


def test_38_what_is_repeated_after_a_lost_answer_happens_once(alice):
    path = create(alice)
    for method, action, body in (
        ("POST", "/deploy", None),
        ("POST", "/enable-metastats-api", None),
        ("PUT", "", {"name": "Renamed", "server": "PaperBroker-Demo"}),
    ):
        key = {"transaction-id": uuid.uuid4().hex}
        for _ in range(2):
            answer = alice.call(PROVISIONING, method, path + action, json=body, headers=key)
            assert answer.status_code == 204, answer.text
    assert alice.get(PROVISIONING, path)["name"] == "Renamed"
    key = {"transaction-id": uuid.uuid4().hex}
    opened = {alice.call(TERMINAL, "POST", f"{path}/trade", json=BUY, headers=key).text for _ in range(3)}
    assert len(opened) == 1
    assert len(alice.get(TERMINAL, f"{path}/positions")) == 1


TRACKER = {"name": "A day's loss", "period": "day", "relativeDrawdownThreshold": 0.05}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/trackers", TRACKER),
        ("GET", "/trackers", None),
        ("GET", "/trackers/t1", None),
        ("GET", "/trackers/name/A%20day's%20loss", None),
        ("PUT", "/trackers/t1", {"name": "Another name"}),
        ("DELETE", "/trackers/t1", None),
        ("GET", "/trackers/t1/statistics", None),
    ],
)
def test_43_trackers_are_refused_at_once_and_as_the_clients_read_it(alice, method, path, body):
    """docs/clients.md, "What is not served": a client gets its own NotFoundError and waits for nothing."""
    account = create(alice)
    refused = alice.refused(404, RISK_MANAGEMENT, method, account + path, json=body, headers={"api-version": "1"})
    assert refused["error"] == "NotFoundError"
    assert alice.get(RISK_MANAGEMENT, f"{account}/equity-chart") is not None, "what stands beside it is served"


@pytest.mark.parametrize("query", ["", "?previousSequenceNumber=0&limit=10"])
def test_44_events_of_trackers_hold_no_poll(alice, query):
    """A client that listens is told so with its first poll, not after 55 seconds, and never of a stopout instead."""
    path = f"/users/current/tracker-events/stream{query}"
    for api_version in ({"api-version": "1"}, {}):
        assert alice.refused(404, RISK_MANAGEMENT, "GET", path, headers=api_version)["error"] == "NotFoundError"
    dated = "/users/current/tracker-events/by-broker-time"
    assert alice.refused(404, RISK_MANAGEMENT, "GET", dated)["error"] == "NotFoundError"
