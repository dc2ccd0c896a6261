"""What nobody may do to the backend before a token: heads and bodies without end or haste, too many streams."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
import uvicorn

from copying.backend.http import create_app
from copying.backend.http.connections import Room, protocol_in
from copying.backend.http.options import ServerOptions, database_url
from copying.backend.service import listen

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]


class Served:
    """The backend on a port of this machine, with short times."""

    def __init__(self, port: int, room: Room) -> None:
        self.port, self.room = port, room

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def send(self, *pieces: bytes, pause: float = 0.0) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer to bytes on a connection of their own; 0 where there is none."""
        reader, writer = await self.open()
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
        except ConnectionError:
            pass
        answer = await answer_of(reader)
        writer.close()
        return answer


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 15)
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, {}, b""
    first, *lines = head.decode().strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(first.split()[1]), headers, body


@pytest.fixture
async def served(backend):
    room = Room(10_000)
    options = ServerOptions("http://127.0.0.1", database_url(), requests_per_minute=10**6, hold_s=1.0)
    app = create_app(backend.core, options, room)
    bound = listen("127.0.0.1", 0)
    protocol = protocol_in(room, head_seconds=0.6, body_seconds=0.9)
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, ws="none", log_level="critical", lifespan="off"))
    server.install_signal_handlers = lambda: None
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    yield Served(bound.getsockname()[1], room)
    app.state.service.wakeups.close()
    server.should_exit = True
    await serving
    await app.state.service.database.close()


GET = b"GET /healthz HTTP/1.1\r\nhost: b\r\n"


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (GET + b"a: b\r\n" * 99 + b"\r\n", 200),
        (GET + b"a: b\r\n" * 100 + b"\r\n", 431),
        (GET + b"a: " + b"x" * 32_000 + b"\r\n\r\n", 200),
        (GET + b"a: " + b"x" * 33_000 + b"\r\n\r\n", 431),
        (GET + (b"a: " + b"x" * 3_300 + b"\r\n") * 10 + b"\r\n", 431),
        (GET + b"x" * 33_000 + b": a\r\n\r\n", 431),
        (b"GET /healthz?a=" + b"x" * 65_000 + b" HTTP/1.1\r\nhost: b\r\n\r\n", 200),
        (b"GET /healthz?a=" + b"x" * 66_000 + b" HTTP/1.1\r\nhost: b\r\n\r\n", 414),
        (b"\x16\x03\x01\x02\x00\x01\x00" * 20, 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
    ],
)
async def test_heads_have_a_largest_size_and_number(served: Served, request_head: bytes, status: int) -> None:
    for pieces in (
        [request_head],
        [request_head[start : start + 5_000] for start in range(0, len(request_head), 5_000)],
    ):
        told, headers, body = await served.send(*pieces)
        assert told == status
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
        if status != 200:
            assert json.loads(body)["message"]
            assert headers["connection"] == "close"


async def test_a_header_without_end_is_neither_kept_nor_read(served: Served) -> None:
    _, writer = await served.open()
    sent = 0
    writer.write(GET + b"a: ")
    try:
        while sent < 30_000_000 and not writer.is_closing():
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000
    except ConnectionError:
        pass
    assert sent < 10_000_000
    writer.close()
    assert served.room.open <= 1


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET", b"GET /healthz HTTP/1.1\r\n", GET + b"a: b"])
async def test_an_unfinished_head_is_closed_in_time(served: Served, begun: bytes) -> None:
    begin = time.monotonic()
    status, _, _ = await served.send(begun)
    assert status == (408 if begun.strip() else 0)
    assert 0.4 < time.monotonic() - begin < 5


async def test_a_head_that_drips_is_closed_in_time(served: Served) -> None:
    begin = time.monotonic()
    status, _, _ = await served.send(*[GET, *[b"a: b\r\n"] * 30], pause=0.1)
    assert status in (0, 408)
    assert time.monotonic() - begin < 5


async def test_a_body_that_drips_is_closed_in_time(served: Served, user) -> None:
    head = f"POST /webhooks/abc HTTP/1.1\r\nhost: b\r\ncontent-length: 900\r\nauth-token: {user.token}\r\n\r\n".encode()
    put = head.replace(b"POST /webhooks/abc", b"PUT /users/current/news-calendar")
    status, _, body = await served.send(put, *[b"x"] * 5, pause=0.1)
    assert (status, json.loads(body)["message"]) == (408, "The body of the request did not arrive in time.")
    status, _, _ = await served.send(put.replace(b"auth-token", b"no-token"), b"x")
    assert status == 401, "answered before the body"


async def test_a_body_without_end_is_cut_off_though_it_was_refused(served: Served) -> None:
    reader, writer = await served.open()
    writer.write(b"PUT /users/current/news-calendar HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked\r\n\r\n")
    sent = 0
    try:
        while sent < 30_000_000:
            writer.write(b"186a0\r\n" + b"x" * 100_000 + b"\r\n")
            await writer.drain()
            sent += 100_000
    except ConnectionError:
        pass
    assert sent < 10_000_000
    assert (await answer_of(reader))[0] in (0, 401)
    writer.close()


async def test_a_connection_is_kept_and_takes_request_after_request(served: Served) -> None:
    reader, writer = await served.open()
    for _ in range(3):
        writer.write(GET + b"\r\n")
        assert (await answer_of(reader))[0] == 200
        await asyncio.sleep(0.8)  # longer than a head may take: between requests nothing is awaited
    writer.write((GET + b"\r\n") * 3)  # and several at once
    assert [(await answer_of(reader))[0] for _ in range(3)] == [200] * 3
    writer.close()


async def test_a_stream_waits_longer_than_heads_and_bodies_may_take(served: Served, user) -> None:
    head = f"GET /users/current/stopouts/stream HTTP/1.1\r\nhost: b\r\nauth-token: {user.token}\r\n\r\n".encode()
    begin = time.monotonic()
    status, headers, body = await served.send(head)
    assert (status, body) == (200, b"[]")
    assert headers["cache-control"] == "no-store"
    assert time.monotonic() - begin > 0.95


async def test_streams_leave_room_for_signals_and_a_full_server_says_so(served: Served, user, caplog) -> None:
    served.room.capacity = 8
    token = f"host: b\r\nauth-token: {user.token}\r\n\r\n".encode()
    opened = [await served.open() for _ in range(6)]
    status, headers, _ = await served.send(b"GET /users/current/stopouts/stream HTTP/1.1\r\n" + token)
    assert (status, headers["retry-after"]) == (503, "5")
    status, _, _ = await served.send(b"GET /users/current/account-information HTTP/1.1\r\n" + token)
    assert status == 200, "what is no stream is served"
    assert "new streams are refused" in caplog.text
    opened += [await served.open() for _ in range(2)]
    await asyncio.sleep(0.05)
    status, headers, body = await served.send(GET + b"\r\n")
    assert (status, headers["retry-after"]) == (503, "5")
    assert "no room" in json.loads(body)["message"]
    for _, writer in opened:
        writer.close()
    await asyncio.sleep(0.1)
    assert served.room.open == 0
    assert (await served.send(GET + b"\r\n"))[0] == 200


@pytest.mark.parametrize(
    ("descriptors", "open_ones", "crowded", "full"),
    [
        *((1_024, 720, False, False), (1_024, 721, True, False), (1_024, 960, True, False), (1_024, 961, True, True)),
        *((64, 24, False, False), (64, 25, True, False), (64, 33, True, True)),
    ],
)
async def test_the_room_is_what_the_descriptors_leave(descriptors, open_ones, crowded, full) -> None:
    room = Room(descriptors)
    room.open = open_ones
    assert (room.is_crowded, room.is_full) == (crowded, full)
