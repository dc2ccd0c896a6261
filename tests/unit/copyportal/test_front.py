"""The front of the web process: bodies within limits, answers that end, headers that nobody forges."""

from __future__ import annotations

import asyncio
import dataclasses
import io

import pytest
from django.http import HttpResponse, StreamingHttpResponse

from copyportal.bodies import Body, environ_of
from copyportal.front import Front, Limits
from copyportal.spool import Broken

LIMITS = Limits(body_bytes=1_000, body_s=0.5, idle_s=0.2, piece_s=0.2, delivery_s=2, renewal_s=0.05)
SCOPE = {
    "type": "http",
    "http_version": "1.1",
    "scheme": "http",
    "method": "POST",
    "path": "/x",
    "raw_path": b"/x%C3%A4",
    "query_string": b"a=1",
    "headers": [(b"host", b"localhost")],
    "client": ("10.0.0.1", 5),
    "server": ("127.0.0.1", 80),
}


def scope(*headers: tuple[bytes, bytes], **changes) -> dict:
    return {**SCOPE, "headers": [*SCOPE["headers"], *headers], **changes}


class Client:
    """Sends the given pieces of a body, then nothing; keeps what it gets, or stops reading after some pieces."""

    def __init__(self, *pieces: bytes, reads: int = 10_000, is_complete: bool = True):
        self.pieces, self.reads, self.is_complete = list(pieces), reads, is_complete
        self.status, self.content, self.is_ended = 0, b"", False

    async def receive(self) -> dict:
        if not self.pieces:
            await asyncio.sleep(60)
        piece = self.pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or not self.is_complete}

    async def send(self, message: dict) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        if self.reads == 0:
            await asyncio.sleep(60)
        self.reads -= 1
        self.content += message["body"]
        self.is_ended = not message.get("more_body")


def application(answer):
    """A WSGI application as Django is one: the answer is the iterable."""

    def run(environ, start_response):
        response = answer(environ)
        start_response(f"{response.status_code} OK", list(response.items()))
        return response

    return run


def call(client: Client, answer, *headers, **limits) -> None:
    front = Front(application(answer), dataclasses.replace(LIMITS, **limits))
    asyncio.run(front(scope(*headers), client.receive, client.send))


def echo(environ) -> HttpResponse:
    return HttpResponse(environ["wsgi.input"].read())


def file(pieces) -> StreamingHttpResponse:
    return StreamingHttpResponse(pieces, headers={"Content-Disposition": "attachment"})


def test_a_body_arrives_whole():
    client = Client(b"a" * 400, b"b" * 600)
    call(client, echo, (b"content-length", b"1000"))
    assert (client.status, client.content) == (200, b"a" * 400 + b"b" * 600)


@pytest.mark.parametrize("length", [b"1001", b"9" * 5_000, b"-1", b"\xb2"])
def test_a_length_beyond_the_limit_is_refused_before_it_is_read(length):
    client = Client(b"a")
    call(client, echo, (b"content-length", length))
    assert client.status == 413


def test_an_undeclared_body_is_counted():
    client = Client(b"a" * 600, b"b" * 401)
    call(client, echo, (b"transfer-encoding", b"chunked"))
    assert client.status == 413


@pytest.mark.parametrize(("pieces", "idle_s"), [([b"a"], 0.05), ([b"a"] * 3, 60)])
def test_a_body_that_does_not_come_is_answered(pieces, idle_s):
    client = Client(*pieces, is_complete=False)
    call(client, echo, (b"content-length", b"10"), idle_s=idle_s)
    assert client.status == 408


def test_a_download_comes_in_order_and_gives_its_slot_back():
    calls = []

    def answer(environ):
        environ["copyportal.delivery"].release.append(lambda: calls.append("release"))
        return file(b"%d\n" % number for number in range(10_000))

    client = Client()
    call(client, answer)
    assert client.content == b"".join(b"%d\n" % number for number in range(10_000))
    assert client.is_ended
    assert calls == ["release"]


def test_a_download_that_fails_is_cut_not_ended():
    def pieces():
        yield b"half"
        raise ValueError("the database is gone")

    client = Client()
    with pytest.raises(Broken):
        call(client, lambda environ: file(pieces()))
    assert not client.is_ended


@pytest.mark.parametrize("make", [file, lambda pieces: HttpResponse(b"".join(pieces))])
def test_a_client_that_does_not_read_is_left_and_its_slot_given_back(make):
    calls = []

    def answer(environ):
        environ["copyportal.delivery"].release.append(lambda: calls.append("release"))
        return make(b"x" * 100_000 for _ in range(20))

    client = Client(reads=2)
    with pytest.raises(TimeoutError):
        call(client, answer)
    assert calls == ["release"]
    assert not client.is_ended


def test_health_needs_no_thread():
    client = Client()
    front = Front(application(lambda environ: 1 / 0), LIMITS)
    asyncio.run(front(scope(path="/healthz"), client.receive, client.send))
    assert (client.status, client.content) == (200, b'{"status": "ok"}')


def test_too_many_waiting_requests_are_told_to_come_back():
    client = Client()
    call(client, echo, waiting=0)
    assert client.status == 503


def test_the_environment_is_that_of_wsgi():
    headers = ((b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"host", b"evil.test"), (b"content-type", b"text/plain"))
    environ = environ_of(scope(*headers), Body(io.BytesIO(b"abc"), 3))
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/xä"
    assert (environ["QUERY_STRING"], environ["CONTENT_LENGTH"], environ["CONTENT_TYPE"]) == ("a=1", "3", "text/plain")
    assert (environ["HTTP_COOKIE"], environ["HTTP_HOST"]) == ("a=1; b=2", "localhost,evil.test")
    assert environ["REMOTE_ADDR"] == "10.0.0.1"


def test_a_header_with_an_underscore_stands_for_no_other():
    environ = environ_of(scope((b"x_forwarded_proto", b"https")), Body(io.BytesIO(), 0))
    assert "HTTP_X_FORWARDED_PROTO" not in environ
