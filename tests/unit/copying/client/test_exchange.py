"""Errors, repeating, waiting: what happens between the question and the answer."""

from __future__ import annotations

import logging
import traceback
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from copying.client import (
    BackendFailed,
    Client,
    ClientError,
    Forbidden,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorised,
    Unreachable,
    Unreadable,
)

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def limited(at: str | None = None, **headers: str) -> httpx.Response:
    body = {"id": 1, "error": "TooManyRequestsError", "message": "slow down"}
    return httpx.Response(429, headers=headers, json=body | ({"metadata": {"recommendedRetryTime": at}} if at else {}))


@pytest.mark.parametrize(
    ("status", "error", "is_transient"),
    [
        (400, Rejected, False),
        (401, Unauthorised, False),
        (403, Forbidden, False),
        (404, NotFound, False),
        (409, BackendFailed, True),
        (408, BackendFailed, True),
        (422, BackendFailed, False),
        (302, BackendFailed, False),
        (500, BackendFailed, True),
        (503, BackendFailed, True),
    ],
)
def test_each_status_is_one_error(open_client, backend, status, error, is_transient):
    backend.will(httpx.Response(status, json={"id": 1, "error": "E", "message": "Because."}))
    with pytest.raises(error) as caught:
        open_client(retries=0).strategy("AAAA")
    assert caught.value.transient is is_transient
    assert "Because" in caught.value.text
    assert caught.value.text.endswith(").")
    assert len(backend.requests) == 1


def test_a_refusal_carries_its_details(client, backend):
    details = [{"parameter": "riskLimits.0.type", "value": "x", "message": "must be one of day"}]
    backend.will(httpx.Response(400, json={"id": 1, "error": "E", "message": "Bad", "details": details}))
    with pytest.raises(Rejected) as caught:
        client.put_strategy("AAAA", {"name": "x"})
    assert caught.value.details == details


@pytest.mark.parametrize("body", [b"<html>", b"", b"[1]", b"[" * 50_000, b'"\xff"', b'{"message":5,"details":7}'])
def test_an_error_without_a_proper_body_is_still_that_error(client, backend, body):
    backend.will(httpx.Response(404, content=body))
    with pytest.raises(NotFound):
        client.strategy("AAAA")


@pytest.mark.parametrize(
    "failure",
    [
        500,
        502,
        409,
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
        httpx.Response(200, content=b'{"_id":"AAAA"'),
        httpx.Response(200, content=b"<html>proxy</html>"),
    ],
)
def test_what_may_pass_is_tried_again_after_a_growing_pause(client, backend, clock, failure):
    backend.will(failure, failure, httpx.Response(200, json={"_id": "AAAA"}))
    assert client.strategy("AAAA") == {"_id": "AAAA"}
    assert clock.pauses == [1, 2]


def test_tries_end(client, backend, clock):
    backend.will(500)
    with pytest.raises(BackendFailed) as caught:
        client.strategy("AAAA")
    assert caught.value.status == 500
    assert clock.pauses == [1, 2, 4]


def test_pauses_end_with_the_budget(open_client, backend, clock):
    backend.will(500)
    with pytest.raises(BackendFailed):
        open_client(retries=50, wait_budget_s=60, max_delay_s=8).strategy("AAAA")
    assert sum(clock.pauses) <= 60
    assert clock.pauses[:5] == [1, 2, 4, 8, 8]


def test_pauses_are_spread_over_half_their_length(open_client, backend, clock):
    backend.will(500)
    with pytest.raises(BackendFailed):
        open_client(jitter=lambda: 0.0).strategy("AAAA")
    assert clock.pauses == [0.5, 1, 2]


@pytest.mark.parametrize("failure", [500, 409, httpx.ReadTimeout("slow"), httpx.ReadError("reset")])
@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.create_webhook("AAAA"),
        lambda client: client.post_webhook_signal("w", {}),
        lambda client: client.resynchronize("sub"),
        lambda client: client.deposit("acc", 5),
        lambda client: client.trade("acc", {"actionType": "ORDER_TYPE_BUY"}),
    ],
)
def test_what_creates_something_is_never_sent_twice(client, backend, clock, call, failure):
    backend.will(failure)
    with pytest.raises(ClientError):
        call(client)
    assert len(backend.requests) == 1
    assert clock.pauses == []


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda client: client.post_webhook_signal("w", {}, key="k 1"), httpx.Response(201, json={"signalId": "s"})),
        (lambda client: client.resynchronize("sub", key="k 1"), 204),
        (lambda client: client.deposit("acc", 5, key="k 1"), 204),
        (
            lambda client: client.trade("acc", {"actionType": "ORDER_TYPE_BUY"}, key="k 1"),
            httpx.Response(200, json={"numericCode": 10009, "stringCode": "TRADE_RETCODE_DONE", "message": "ok"}),
        ),
    ],
)
def test_what_has_a_key_is_repeated_with_it(client, backend, call, answer):
    backend.will(500, httpx.ReadTimeout("slow"), answer)
    call(client)
    assert [each.headers["idempotency-key"] for each in backend.requests] == ["k 1"] * 3
    backend.will(httpx.ReadTimeout("slow"), 404)
    with pytest.raises(NotFound):  # with a key a lost answer would be given again
        call(client)


def test_every_creation_has_a_key_of_its_own(client, backend):
    backend.will(204)
    client.resynchronize("sub")
    client.resynchronize("sub")
    keys = [each.headers["idempotency-key"] for each in backend.requests]
    assert len(set(keys)) == 2


def test_closing_a_signal_may_be_repeated(client, backend):
    backend.will(500, 204)
    client.remove_external_signal("AAAA", "sig00001", time=START)
    assert len(backend.requests) == 2


def test_a_removal_whose_answer_was_lost_counts_as_done(client, backend):
    backend.will(httpx.ReadTimeout("slow"), 404)
    client.remove_strategy("AAAA")
    backend.will(500, 404)
    client.remove_external_signal("AAAA", "sig00001", time=START)
    for before in ([], [httpx.ConnectError("refused")], [limited()]):  # these certainly did nothing
        backend.will(*before, 404)
        with pytest.raises(NotFound):
            client.remove_strategy("AAAA")


# ------------------------------------------------------------------------------------------------------ rate limits


@pytest.mark.parametrize("method", ["strategy", "create_webhook"])
def test_after_429_nothing_is_sent_before_the_stated_time(client, backend, clock, method):
    at = clock.now + timedelta(seconds=12, milliseconds=345)
    sent_at = []

    def answer(_):
        sent_at.append(clock.now)
        return httpx.Response(201, json={"id": "w", "url": "u"})

    backend.will(limited("2026-01-01T00:00:12.345Z"), answer)
    getattr(client, method)("AAAA")
    assert sent_at == [at]


def test_a_sleep_that_wakes_early_is_slept_again(open_client, backend, clock):
    at = clock.now + timedelta(seconds=12)
    backend.will(
        limited("2026-01-01T00:00:12.000Z"), lambda _: httpx.Response(200 if clock.now >= at else 500, json={})
    )
    open_client(sleep=lambda seconds: clock.sleep(max(seconds / 2, 0.001))).strategy("AAAA")
    assert clock.now >= at


def test_waiting_longer_than_the_budget_is_left_to_the_caller(client, backend, clock):
    backend.will(limited("2026-01-01T01:00:00.000Z"))
    with pytest.raises(RateLimited) as caught:
        client.strategy("AAAA")
    assert caught.value.retry_at == datetime(2026, 1, 1, 1, tzinfo=UTC)
    assert caught.value.transient
    assert clock.pauses == []


def test_the_budget_is_of_all_waits_together(client, backend, clock):
    backend.will(lambda _: limited((clock.now + timedelta(seconds=14)).isoformat()))
    with pytest.raises(RateLimited):
        client.strategy("AAAA")
    assert clock.pauses == [14, 14]


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:09 GMT"}, 9),
        ({"Retry-After": "soon"}, 1),
        ({"Retry-After": "nan"}, 1),
        ({}, 1),
    ],
)
def test_without_a_stated_time_the_header_is_believed(client, backend, clock, headers, pause_s):
    backend.will(limited(**headers), httpx.Response(200, json={}))
    client.strategy("AAAA")
    assert clock.pauses == [pause_s]


def test_a_stated_time_that_has_passed_does_not_make_us_hammer(client, backend, clock):
    backend.will(limited("2020-01-01T00:00:00.000Z"))
    with pytest.raises(RateLimited):
        client.strategy("AAAA")
    assert len(backend.requests) == 4
    assert min(clock.pauses) >= 1


def test_202_with_a_time_is_asked_again_then(client, backend, clock):
    backend.will(httpx.Response(202, headers={"Retry-After": "3"}), httpx.Response(200, json=[]))
    assert client.trading_signals("sub") == []
    assert clock.pauses == [3]


def test_202_without_a_time_is_a_success(client, backend):
    backend.will(httpx.Response(202, json={"_id": "AAAA"}))
    assert client.strategy("AAAA") == {"_id": "AAAA"}


# ------------------------------------------------------------------------------------------------ unreadable answers

RECORD = '{"id":"1","type":"T","time":"2026-01-01T00:00:00Z","subscriberId":"s","strategy":{"id":"A"},"profit":%s}'


@pytest.mark.parametrize(
    ("body", "reason", "is_transient"),
    [
        ("[" + RECORD % "1" + ",", "truncated", True),
        ("[" + RECORD % "1" + "]]", "invalid JSON", True),
        ("<html>", "invalid JSON", True),
        ("", "truncated", True),
        ("[" + RECORD % "NaN" + "]", "not a number", False),
        ("[" + RECORD % "-Infinity" + "]", "not a number", False),
        ("[" + RECORD % '"NaN"' + "]", "out of range", False),
        ("[" + RECORD % "1e400" + "]", "out of range", False),
        ("[" + RECORD % "[]" + "]", "wrong type", False),
        ("{}", "wrong type", False),
        ("[" * 100_000, "wrong type", False),
    ],
)
def test_what_cannot_be_read_says_why(open_client, backend, body, reason, is_transient):
    backend.will(httpx.Response(200, text=body))
    with pytest.raises(Unreadable) as caught:
        open_client(retries=0).provided_transactions_page(START, END)
    assert caught.value.reason == reason
    assert caught.value.transient is is_transient
    assert body.startswith(caught.value.start[:100])


# --------------------------------------------------------------------------------------------- addresses and secrets


@pytest.mark.parametrize(
    "address", ["backend:7270", "ftp://x", "http://", "http://host:99999", "http://[::1", "nonsense"]
)
def test_an_address_that_cannot_be_one_is_said_so_at_once(address):
    with pytest.raises(Unreachable) as caught:
        Client("a.b.c", base_url=address)
    assert not caught.value.transient
    assert address in caught.value.text


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "tökén.x.y", "a\0b"])
def test_a_token_that_cannot_be_one_never_leaves(token):
    with pytest.raises(Unauthorised) as caught:
        Client(token, base_url="http://backend")
    assert not token or token not in caught.value.text


@pytest.mark.parametrize("identifier", ["", ".", ".."])
def test_what_is_no_id_never_becomes_a_path(client, backend, identifier):
    with pytest.raises(Rejected):
        client.strategy(identifier)
    assert backend.requests == []


def test_ids_stay_one_segment(client, backend):
    backend.will(httpx.Response(200, json={}))
    client.strategy("../users?x#y")
    assert backend.paths == ["/users/current/configuration/strategies/..%2Fusers%3Fx%23y"]


@pytest.mark.parametrize(
    "failure",
    [401, 500, httpx.ConnectError("refused"), httpx.Response(403, json={"message": "token sec.ret.token is bad"})],
)
def test_the_token_is_sent_and_never_shown(open_client, backend, caplog, failure):
    caplog.set_level(logging.DEBUG)
    backend.will(failure)
    client = open_client("sec.ret.token", retries=0)
    with pytest.raises(ClientError) as caught:
        client.strategy("AAAA")
    assert backend.requests[0].headers["auth-token"] == "sec.ret.token"
    assert "authorization" not in backend.requests[0].headers
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(client) + repr(caught.value)
    assert "sec.ret.token" not in shown


def test_the_id_of_a_webhook_is_a_secret_too(client, backend):
    backend.will(404)
    with pytest.raises(NotFound) as caught:
        client.post_webhook_signal("0123456789abcdef", {})
    assert "0123456789abcdef" not in caught.value.text
    assert "auth-token" not in backend.requests[0].headers


def test_time_limits_are_ordinary_or_extended(client, backend):
    backend.will(httpx.Response(200, json=[]))
    client.stopouts_stream()
    client.stopouts_stream(hold_s=5)
    backend.will(httpx.Response(200, json={}))
    client.strategy("AAAA")
    read = [request.extensions["timeout"]["read"] for request in backend.requests]
    assert read == [70, 10, 10]
