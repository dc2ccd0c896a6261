"""What a page may show of an answer: a sentence of the contract's error body, bounded, and no address; else our own."""

import json
import re

import httpx
import pytest

from copying.client import Client, ClientError, Rejected, answers
from copying.client.answers import LONGEST_MESSAGE, MOST_DETAILS, public_text

STATUSES = (400, 401, 403, 404, 408, 409, 418, 429, 500, 503)
INNER = "INNER SECRET"
BODIES = (
    {"message": INNER},
    {"id": 1, "error": "Inner", "message": INNER},
    {"id": "1", "error": "ValidationError", "message": INNER},
    {"id": True, "error": "ValidationError", "message": INNER},
    {"id": 1, "error": "ValidationError", "message": [INNER]},
    {"error": "ValidationError", "message": INNER, "details": [{"parameter": "x", "message": INNER}]},
    [INNER],
    INNER,
)


def asked(answer: httpx.Response, name: str = "Main") -> ClientError:
    transport = httpx.MockTransport(lambda request: answer)
    options = {
        "base_url": "http://10.9.8.7:7270",
        "name": name,
        "transport": transport,
        "retries": 0,
        "wait_budget_s": 0,
    }
    with Client("a.b.c", **options) as client, pytest.raises(ClientError) as caught:
        client.strategy("AAAA")
    return caught.value


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("body", BODIES)
def test_what_is_no_error_body_is_not_repeated(status, body):
    error = asked(httpx.Response(status, json=body, extensions={"reason_phrase": INNER.encode()}))
    assert INNER not in error.text + json.dumps(getattr(error, "details", []))
    assert ".." not in error.text


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("end", ["", ".", "..", ". ", ".\n"])
@pytest.mark.parametrize("name", ["", "Main"])
def test_no_text_ends_twice(status, end, name):
    message = f"Authorization token is missing or not valid{end}"
    error = asked(httpx.Response(status, json={"id": 1, "error": "ApiError", "message": message}), name)
    assert error.text.endswith(").")
    assert not any(two in error.text for two in ("..", ". (", ".:"))


def test_a_refusal_of_the_contract_is_told_with_its_details():
    details = [{"parameter": "riskLimits.0.type", "value": "x", "message": "must be one of day"}]
    body = {"id": 1, "error": "ValidationError", "message": "Validation failed.", "details": details}
    error = asked(httpx.Response(400, json=body))
    assert isinstance(error, Rejected)
    assert "Validation failed" in error.text
    assert error.details == [{"parameter": "riskLimits.0.type", "message": "must be one of day"}]


def test_details_are_bounded_and_of_the_right_shape():
    good = {"parameter": "name", "message": "mmmm " * 1_000}
    odd = [
        5,
        {},
        {"parameter": 1, "message": "x"},
        {"parameter": "<b>", "message": "x"},
        {"parameter": "a", "message": 1},
    ]
    body = {"id": 1, "error": "ValidationError", "message": "M" * 5_000, "details": odd + [good] * 1_000}
    error = asked(httpx.Response(400, json=body))
    assert len(error.text) < LONGEST_MESSAGE + 100
    assert 0 < len(error.details) <= MOST_DETAILS
    assert {len(one["message"]) for one in error.details} == {LONGEST_MESSAGE}
    for details in ("text", {"parameter": "a"}, 5, None):
        assert asked(httpx.Response(400, json=body | {"details": details})).details == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see http://10.0.0.7:8500/v1/kv?x=1 now", "see … now"),
        ("dial tcp 10.0.0.7:8500: refused", "dial tcp …: refused"),
        ("10.0.0.7 is down", "… is down"),
        ("[::1]:5432 refused", "… refused"),
        ("vault.internal:8200 sealed", "… sealed"),
        ("localhost:6379 and localhost", "… and …"),
        (
            "riskLimits.0.type must be one of day, 1.5 lots, 12:30",
            "riskLimits.0.type must be one of day, 1.5 lots, 12:30",
        ),
        ("EURUSD at 1.1503: stopLoss 1.16", "EURUSD at 1.1503: stopLoss 1.16"),
    ],
)
def test_addresses_are_left_out(text, shown):
    assert public_text(text) == shown


class Counting:
    """A pattern that keeps how much it was given to look at."""

    def __init__(self, pattern: re.Pattern[str]):
        self.pattern, self.lengths = pattern, []

    def sub(self, by: str, text: str) -> str:
        self.lengths.append(len(text))
        return self.pattern.sub(by, text)


@pytest.mark.parametrize("text", ["m" * 10**6, "m " * 10**6, "a." * 10**6, " " * 10**6, "10.0.0.7, " * 10**5])
def test_only_the_beginning_of_a_long_text_is_looked_at(monkeypatch, text):
    counting = Counting(answers._ADDRESS)
    monkeypatch.setattr(answers, "_ADDRESS", counting)
    shown = public_text(text)
    assert counting.lengths[0] <= 5 * LONGEST_MESSAGE
    assert len(shown) <= LONGEST_MESSAGE
    assert "10.0" not in shown


@pytest.mark.parametrize("place", range(4 * LONGEST_MESSAGE - 12, 4 * LONGEST_MESSAGE + 2))
def test_no_half_of_an_address_is_shown_where_a_text_is_cut(place):
    addresses = ("http://a " * 200)[: place - place % 9]  # become short, so that what follows is shown
    assert "secret" not in public_text(addresses + "y" * (place % 9) + " secret.example:8443 and more words")


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("[Errno 111] refused"),
        httpx.RemoteProtocolError("Server disconnected."),
        httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER]"),
        httpx.InvalidURL("x"),
    ],
)
def test_how_a_port_answers_is_for_the_log_alone(failure):
    def fail(request):
        raise failure

    options = {"base_url": "http://10.9.8.7:7270", "name": "Main", "retries": 0, "wait_budget_s": 0}
    with (
        Client("a.b.c", transport=httpx.MockTransport(fail), **options) as client,
        pytest.raises(ClientError) as caught,
    ):
        client.strategy("AAAA")
    assert caught.value.text == "Cannot reach the backend “Main”: no answer."
    assert caught.value.said == str(failure)
