"""What a backend can make us read or wait for: so many bytes, so long, and one budget for a page."""

from __future__ import annotations

import gzip
import time

import httpx
import pytest

from copying.client import Client, errors
from copying.client.patience import patience

MB = 1024 * 1024


def client(answer, **options) -> Client:
    return Client("a.b.c", base_url="http://10.9.8.7:8001", transport=httpx.MockTransport(answer), retries=0, **options)


def packed_as(encoding: str, *bodies: bytes):
    """What answers with bytes in an encoding, piece by piece."""
    return lambda request: httpx.Response(200, content=iter(bodies), headers={"content-encoding": encoding})


def pieces(count: int, size: int, pause_s: float = 0):
    for _ in range(count):
        time.sleep(pause_s)
        yield b"x" * size


@pytest.mark.parametrize(("size", "is_read"), [(999, True), (1000, True), (1001, False)])
@pytest.mark.parametrize("is_declared", [True, False])
def test_an_answer_is_read_up_to_its_limit(size, is_read, is_declared):
    def answer(request):
        return httpx.Response(200, content=b"x" * size if is_declared else iter([b"x" * size]))

    with client(answer, largest_answer=1000) as asked:
        if is_read:
            assert len(asked.get_bytes("/x")) == size
        else:
            with pytest.raises(errors.Unreadable, match="answers with more than"):
                asked.get_bytes("/x")


def test_what_is_counted_is_what_it_unpacks_to():
    packed = gzip.compress(b"0" * 100 * MB)
    assert len(packed) < MB
    with (
        client(
            lambda request: httpx.Response(200, content=iter([packed]), headers={"content-encoding": "gzip"})
        ) as asked,
        pytest.raises(errors.Unreadable, match="more than 32 MB"),
    ):
        asked.get_bytes("/x")


def test_a_packed_answer_is_unpacked():
    packed = gzip.compress(b"[1, 2]" * 1000)
    with client(
        lambda request: httpx.Response(200, content=iter([packed]), headers={"content-encoding": "gzip"})
    ) as asked:
        assert asked.get_bytes("/x") == b"[1, 2]" * 1000


@pytest.mark.parametrize(("encoding", "body"), [("br", b"x"), ("gzip", b"no gzip at all"), ("gzip, gzip", b"x")])
def test_what_cannot_be_unpacked_is_said(encoding, body):
    with (
        client(
            lambda request: httpx.Response(200, content=iter([body]), headers={"content-encoding": encoding})
        ) as asked,
        pytest.raises(errors.Unreadable),
    ):
        asked.get_bytes("/x")


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_refusal_is_bounded_too(status):
    with (
        client(lambda request: httpx.Response(status, content=pieces(100, MB)), largest_answer=MB) as asked,
        pytest.raises(errors.Unreadable),
    ):
        asked.get_bytes("/x")


def test_an_answer_that_drips_ends():
    with (
        client(lambda request: httpx.Response(200, content=pieces(100, 1, 0.02)), extended_timeout_s=0.1) as asked,
        pytest.raises(errors.Unreadable, match="too slowly"),
    ):
        asked.get_bytes("/x")


def test_messages_name_the_connection_and_no_address():
    def refuse(request):
        raise httpx.ConnectError("refused")

    with client(refuse, name="Main backend") as asked, pytest.raises(errors.Unreachable) as caught:
        asked.get_bytes("/x")
    assert caught.value.text == "Cannot reach the backend “Main backend”: no answer."
    assert caught.value.said == "refused"
    for status in (400, 401, 403, 404, 429, 500):
        with (
            client(lambda request, s=status: httpx.Response(s), name="Main backend", wait_budget_s=0) as asked,
            pytest.raises(errors.ClientError) as caught,
        ):
            asked.get_bytes("/x")
        assert "Main backend" in caught.value.text
        assert "10.9.8.7" not in caught.value.text


def test_a_page_waits_once_for_a_backend_that_hangs():
    calls = []

    def hang(request):
        calls.append(request.extensions["timeout"]["read"])
        raise httpx.ReadTimeout("")

    with patience(5), client(hang, timeout_s=8) as asked:
        for _ in range(3):
            with pytest.raises(errors.Unreachable):
                asked.external_signals("S")
    assert len(calls) == 1
    assert 4 < calls[0] <= 5


def test_quick_answers_use_up_nothing_and_outside_of_pages_nothing_is_bounded():
    limits = []

    def answer(request):
        limits.append(request.extensions["timeout"]["read"])
        return httpx.Response(200, json=[])

    with client(answer, timeout_s=8) as asked:
        with patience(5):
            asked.external_signals("S")
            asked.external_signals("S")
        asked.external_signals("S")
    assert [round(limit) for limit in limits] == [5, 5, 8]
