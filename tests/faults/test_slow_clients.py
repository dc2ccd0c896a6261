"""The real web process under clients that send or read slowly, or never: pages and health answer all the same."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.db import connection

from copyportal.services.portal import GRANIAN, answers
from copyportal.services.process import die_with_parent
from copyportal.services.servers import free_port
from tests import builders
from tests.benchmarks.many_rows import DEFAULTS, ROWS
from users.session_store import SessionStore

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
SLOW = 200
ANSWER_S = 10  # a page must come within it; the machine is shared, how fast pages are stands in the benchmark


@pytest.fixture
def web() -> int:
    """The port of the web process."""
    return free_port()


@pytest.fixture(autouse=True)
def process(web, tmp_path, settings) -> Iterator[subprocess.Popen]:
    """The web process on the tests' database, with short limits of time."""
    given = connection.get_connection_params()
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgresql://{given['user']}:{given.get('password', '')}@/{given['dbname']}"
        f"?host={given['host']}&port={given.get('port', 5432)}",
        "REDIS_URL": settings.REDIS_URL,
        "CACHE_PREFIX": settings.CACHES["default"]["KEY_PREFIX"],
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "WEB_IDLE_SECONDS": "6",
        "LOG_LEVEL": "ERROR",
        "DEBUG": "0",
    }
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(web), *GRANIAN]
    with (tmp_path / "web.log").open("wb") as log:
        process = subprocess.Popen(
            [*die_with_parent("TERM"), *command, "copyportal.asgi:application"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    end = time.monotonic() + 30
    while not answers("127.0.0.1", web) and time.monotonic() < end and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, (tmp_path / "web.log").read_text()
    yield process
    process.terminate()
    try:
        process.wait(30)  # it waits for answers that are on their way, which nobody here reads
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(15)


def session_of(person) -> str:
    """The cookie of somebody who is signed in."""
    session = SessionStore()
    session[SESSION_KEY] = str(person.pk)
    [session[BACKEND_SESSION_KEY]] = settings.AUTHENTICATION_BACKENDS
    session[HASH_SESSION_KEY] = person.get_session_auth_hash()
    session.save()
    return f"sessionid={session.session_key}"


def get(port: int, path: str, cookie: str = "", host: str = "localhost") -> tuple[int, bytes]:
    """Status and body of a page, or TimeoutError."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    with contextlib.closing(client):
        client.request("GET", path, headers={"Cookie": cookie, "Host": host})
        answer = client.getresponse()
        return answer.status, answer.read()


def begin(port: int, lines: str) -> socket.socket:
    """A connection that has sent something, and reads as little as it can."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", port))
    made.sendall(lines.replace("\n", "\r\n").encode())
    made.settimeout(ANSWER_S)
    return made


@pytest.fixture
def people(workspace) -> list[str]:
    """Cookies of fifty viewers of a workspace with a file of two megabytes to download."""
    linked = builders.connection(workspace, is_enabled=False)
    with connection.cursor() as cursor:
        cursor.execute(ROWS, DEFAULTS | {"workspace": workspace.pk, "connection": linked.pk, "s": 100, "n": 12_000})
    return [session_of(builders.member(workspace, f"viewer{number}", "viewer")) for number in range(50)]


def test_unfinished_bodies_and_unread_downloads_stop_no_page(web, people):
    body = "POST /accounts/login/ HTTP/1.1\nHost: localhost\nContent-Length: 2000\n\nlogin="
    file = "GET /transactions/?format=csv HTTP/1.1\nHost: localhost\nCookie: {}\n\n"
    with contextlib.ExitStack() as held:
        for number in range(SLOW):
            held.enter_context(begin(web, body))
            held.enter_context(begin(web, file.format(people[number % len(people)])))
        assert get(web, "/healthz")[0] == 200
        for cookie in people[:5]:
            assert get(web, "/healthz")[0] == 200
            assert get(web, "/strategies/", cookie)[0] == 200
            assert get(web, "/accounts/login/")[0] == 200


def test_a_body_that_does_not_come_is_answered_and_closed(web):
    with begin(web, "POST /accounts/login/ HTTP/1.1\nHost: localhost\nContent-Length: 2000\n\nlogin=") as slow:
        answer = slow.recv(4000)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"did not arrive in time" in answer
        assert slow.recv(100) == b""


@pytest.mark.parametrize("head", ["Content-Length: 60000000", "Transfer-Encoding: chunked"])
def test_a_body_without_end_is_refused(web, head):
    kind = "Content-Type: multipart/form-data; boundary=b"
    with begin(web, f"POST /theme/ HTTP/1.1\nHost: localhost\n{kind}\n{head}\n\n") as endless:
        piece = b"x" * 65_536
        with contextlib.suppress(OSError):
            for _ in range(60):
                endless.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if "chunked" in head else piece)
        with contextlib.suppress(ConnectionResetError):  # a client that still sends may lose the answer
            assert endless.recv(4000).startswith(b"HTTP/1.1 413 ")
    assert get(web, "/healthz")[0] == 200


def test_headers_without_end_are_refused(web):
    with begin(web, "GET / HTTP/1.1\nHost: localhost\n") as endless, contextlib.suppress(OSError):
        for _ in range(100):
            endless.sendall(b"X-Long: " + b"x" * 8_000 + b"\r\n")
        assert endless.recv(4000).startswith(b"HTTP/1.1 431 ")
    assert get(web, "/healthz")[0] == 200


def test_a_third_download_is_told_and_a_read_one_gives_its_slot_back(web, people):
    file = f"GET /transactions/?format=csv HTTP/1.1\nHost: localhost\nCookie: {people[0]}\n\n"
    with begin(web, file) as first, begin(web, file) as second:
        assert first.recv(12) == second.recv(12) == b"HTTP/1.1 200"
        status, page = get(web, "/transactions/?format=csv", people[0])
        assert status == 429
        assert b"being downloaded already" in page
        assert get(web, "/transactions/?format=csv", people[1])[0] == 200
    end = time.monotonic() + ANSWER_S
    while get(web, "/transactions/?format=csv", people[0])[0] == 429:
        assert time.monotonic() < end


def test_a_download_is_whole(web, people):
    status, file = get(web, "/transactions/?format=csv", people[0])
    assert status == 200
    assert file.count(b"\n") == 12_001


def test_a_killed_child_comes_back(web, process):
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    end = time.monotonic() + 20
    while not answers("127.0.0.1", web):
        assert time.monotonic() < end, "the child was not started again"
        time.sleep(0.1)
