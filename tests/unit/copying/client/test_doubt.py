"""What an error says of a write: whether the backend may have carried it out, in any of its attempts."""

from __future__ import annotations

import httpx
import pytest

from copying.client import ClientError

LOST = httpx.ReadTimeout("slow")
AWAY = httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("answers", "may_be_done"),
    [
        ([LOST], True),
        ([httpx.ReadError("reset")], True),
        ([500], True),
        ([503], True),
        ([504], True),
        ([408], True),
        ([AWAY], False),
        ([httpx.ConnectTimeout("slow")], False),
        ([400], False),
        ([401], False),
        ([403], False),
        ([404], False),
        ([409], False),
        ([418], False),
        # the doubt about an attempt outlives a clear refusal of the next
        ([LOST, AWAY], True),
        ([LOST, 400], True),
        ([LOST, 404], True),
        ([500, 401], True),
        ([AWAY, LOST, AWAY], True),
        ([AWAY, 400], False),
        ([409, 400], False),
    ],
)
def test_an_error_tells_whether_a_write_may_be_done(open_client, backend, answers, may_be_done):
    client = open_client(retries=2)
    backend.will(*answers)
    with pytest.raises(ClientError) as caught:
        client.put_strategy("AAAA", {"name": "x"})
    assert caught.value.may_be_done is may_be_done
    assert client.may_have_written is may_be_done


def test_a_limit_of_requests_keeps_the_doubt(open_client, backend):
    client = open_client(retries=1, wait_budget_s=5)
    late = {"metadata": {"recommendedRetryTime": "2999-01-01T00:00:00.000Z"}, "message": "Slower"}
    backend.will(LOST, httpx.Response(429, json=late))
    with pytest.raises(ClientError) as caught:
        client.put_strategy("AAAA", {"name": "x"})
    assert caught.value.may_be_done


def test_an_answer_that_cannot_be_read_does_not_undo_the_write(client, backend):
    backend.will(httpx.Response(200, content=b"not json"))
    with pytest.raises(ClientError) as caught:
        client.create_webhook("AAAA")
    assert caught.value.may_be_done
    assert client.may_have_written


def test_reads_write_nothing_whatever_becomes_of_them(open_client, backend):
    client = open_client(retries=0)
    backend.will(LOST)
    for read in (lambda: client.strategy("AAAA"), lambda: client.simulate({}), lambda: client.immediate_effects({})):
        with pytest.raises(ClientError):
            read()
    assert not client.may_have_written


def test_a_write_that_was_done_is_remembered_when_a_read_fails(open_client, backend):
    client = open_client(retries=0)
    backend.will(204, LOST)
    client.put_strategy("AAAA", {"name": "x"})
    with pytest.raises(ClientError):
        client.strategy("AAAA")
    assert client.may_have_written
