"""The backend as its own process over TLS, reached by the names that the vendor's clients build (contract, 1.4), and
what a socket may be sent that no HTTP client would send. Nothing asked here gets as far as the in-process kit.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg.conninfo import conninfo_to_dict

from copying.backend import tokens
from copying.backend.http.options import database_url
from tests.integration.copying.conftest import empty

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[3]
CLOSE = "Connection: close\r\n"


@dataclass
class Server:
    """A process that listens, and the certificate to trust. plain_port: where it serves HTTP beside; 0: nowhere."""

    port: int
    certificate: Path
    token: str
    plain_port: int = 0

    def socket(self, name: str) -> ssl.SSLSocket:
        """A connection whose certificate has been checked for `name`."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return context.wrap_socket(plain, server_hostname=name)

    def get(self, name: str, path: str):
        """The JSON of a GET at the host `name`."""
        connection = http.client.HTTPConnection(name, self.port)
        connection.sock = self.socket(name)
        connection.request("GET", path, headers={"auth-token": self.token})
        answer = connection.getresponse()
        assert answer.status == 200
        return json.loads(answer.read())

    def send(self, first_line: str, headers: str = CLOSE, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of whatever is sent."""
        with self.socket("localhost") as connection:
            head = f"{first_line}\r\nHost: localhost\r\nauth-token: {self.token}\r\n{headers}\r\n"
            connection.sendall(head.encode("latin-1") + body)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status, answer.read()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module", params=["alone", "beside"])
def server(request, django_db_setup, django_db_blocker, tmp_path_factory):
    """`manage.py runbackend` on the tests' database: with HTTPS alone, and beside HTTP as `make up TLS=1` starts it."""
    with django_db_blocker.unblock():
        given = conninfo_to_dict(database_url())
        empty()
    var = tmp_path_factory.mktemp("var")
    port, plain_port = free_port(), free_port() if request.param == "beside" else 0
    environment = {**os.environ, "DATABASE_URL": address_of(given), "VAR": str(var)}
    ports = ["--port", str(plain_port), "--tls-port", str(port)] if plain_port else ["--tls", "--port", str(port)]
    process = subprocess.Popen([sys.executable, "manage.py", "runbackend", *ports], cwd=ROOT, env=environment)
    started = Server(port, var / "tls" / f"backend-{port}.crt", tokens.issue("tls"), plain_port)
    try:
        wait_for(started, process)
        yield started
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        with django_db_blocker.unblock():
            empty()


def address_of(given: dict[str, str]) -> str:
    """A conninfo as a URL."""
    host, who = quote(given.get("host") or "", safe=""), quote(given.get("user") or "")
    who += f":{quote(given['password'])}" if given.get("password") else ""
    port = f"&port={given['port']}" if given.get("port") else ""
    return f"postgresql://{who}@/{given['dbname']}?host={host}{port}"


def wait_for(started: Server, process: subprocess.Popen) -> None:
    """Until it answers."""
    until = time.monotonic() + 60
    while True:
        try:
            assert started.get("localhost", "/healthz")["status"] == "ok"
            return
        except (OSError, http.client.HTTPException):
            assert process.poll() is None, "the backend does not start"
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_client_that_knows_only_the_provisioning_host_finds_its_way(server):
    provisioning = "mt-provisioning-api-v1.localhost"
    [region] = server.get(provisioning, "/users/current/regions")
    domain = server.get(provisioning, "/users/current/servers/mt-client-api")["domain"]
    assert domain == f"localhost:{server.port}"
    host = f"copyfactory-api-v1.{region}.{domain.partition(':')[0]}"
    assert server.get(host, "/users/current/configuration/subscribers") == []


def test_beside_https_the_same_is_served_over_plain_http(server):
    if not server.plain_port:
        pytest.skip("HTTPS alone")
    connection = http.client.HTTPConnection("127.0.0.1", server.plain_port, timeout=30)
    connection.request("GET", "/users/current/regions", headers={"auth-token": server.token})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b'["local"]')
    connection.close()


def test_a_name_that_is_not_ours_is_not_certified(server):
    with pytest.raises(ssl.SSLCertVerificationError):
        server.socket("example.com")


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_both_versions_of_http_are_spoken(server, version):
    assert server.send(f"GET /users/current/regions {version}") == (200, b'["local"]')


def test_a_body_may_come_in_single_bytes(server):
    document = b'{"name": "n", "description": "d", "accountId": "a"}'
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in document) + b"0\r\n\r\n"
    handed = server.get("localhost", "/users/current/configuration/unused-strategy-id")["id"]
    path = f"/users/current/configuration/strategies/{handed}"
    assert server.send(f"PUT {path} HTTP/1.1", f"Transfer-Encoding: chunked\r\n{CLOSE}", body) == (204, b"")
    assert server.get("localhost", path)["accountId"] == "a"


@pytest.mark.parametrize(
    ("line", "headers", "body", "status"),
    [
        ("GET /users/current/configuration/strategies/\xff HTTP/1.1", CLOSE, b"", 400),
        ("GET /users/current/configuration/strategies/%ff%fe HTTP/1.1", CLOSE, b"", 404),
        ("GET /users/current/regions?x=" + "y" * 100_000 + " HTTP/1.1", CLOSE, b"", 414),
        ("GET /users/current/regions HTTP/9.9", CLOSE, b"", 400),
        ("WHAT /users/current/regions HTTP/1.1", CLOSE, b"", 400),
        ("TRACE /users/current/regions HTTP/1.1", CLOSE, b"", 405),
        ("PUT /users/current/configuration/strategies/no HTTP/1.1", "Content-Length: -5\r\n", b"", 400),
        ("PUT /users/current/configuration/strategies/no HTTP/1.1", "Content-Length: 2000000\r\n", b"{", 413),
        ("PUT /users/current/configuration/strategies/no HTTP/1.1", "Transfer-Encoding: chunked\r\n", b"zz\r\n", 400),
    ],
)
def test_what_no_client_would_send_is_refused_and_writes_nothing(server, line, headers, body, status):
    assert server.send(line, headers, body)[0] == status
    assert server.send("GET /users/current/configuration/strategies/no HTTP/1.1")[0] == 404
