"""Which addresses a client connects to, whatever the name that was typed stands for."""

import socket
from ipaddress import ip_address

import httpcore
import httpx
import pytest

from copying.client import Client, Unreachable, parse_reach
from copying.client.reach import GuardedClient, GuardedNetwork, NotAllowed, PrivateReach, is_public

NOBODY = PrivateReach()
PUBLIC = ("1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1")
PRIVATE = (
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::",
    "2001:db8::1",
)
BESIDE_PRIVATE = (
    "192.0.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "169.255.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "168.63.129.15",
    "168.63.129.17",
)


@pytest.mark.parametrize("address", PUBLIC + BESIDE_PRIVATE)
def test_public_addresses(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    ("entries", "host", "port", "address", "is_allowed"),
    [
        ((), "10.0.0.5", 443, "10.0.0.5", False),
        (("10.0.0.0/24",), "x.example", 443, "10.0.0.255", True),
        (("10.0.0.0/24",), "x.example", 443, "10.0.1.0", False),
        (("http://127.0.0.1:8001",), "127.0.0.1", 8001, "127.0.0.1", True),
        (("http://127.0.0.1:8001",), "localhost", 8001, "127.0.0.1", True),
        (("http://127.0.0.1:8001",), "127.0.0.1", 8002, "127.0.0.1", False),
        (("http://127.0.0.1:8001",), "localhost", 8001, "::1", False),
        (("http://backend:8001/path",), "BACKEND", 8001, "172.18.0.3", True),
        (("backend:8001",), "backend", 443, "172.18.0.3", False),
        (("backend:8001",), "other", 8001, "172.18.0.3", False),
        (("https://backend.internal",), "backend.internal", 443, "10.1.1.1", True),
        (("[fd00::5]:8001",), "fd00::5", 8001, "fd00::5", True),
        ((), "x.example", 443, "1.1.1.1", True),
    ],
)
def test_what_the_installation_names_is_allowed(entries, host, port, address, is_allowed):
    assert parse_reach(entries).allows(host, port, ip_address(address)) is is_allowed


@pytest.mark.parametrize("entry", ["backend", "10.0.0.0/33", "10.0.0.1/8", "http://", "ftp://backend", "backend:port"])
def test_what_is_no_address_is_said(entry):
    with pytest.raises(ValueError, match=r".+"):
        parse_reach((entry,))


# --- Connecting -------------------------------------------------------------------------------------------------------
@pytest.fixture
def connected(monkeypatch):
    """The addresses that were connected to; every connection is refused by the other side."""
    tried = []

    def refuse(self, host, port, *args, **kwargs):
        tried.append((host, port))
        raise httpcore.ConnectError("refused")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", refuse)
    return tried


@pytest.fixture
def names(monkeypatch):
    """What names stand for: name -> answers, one list per question; the last one stays."""
    known = {}

    def look_up(host, port, *args, **kwargs):
        answers = known.get(host)
        if answers is None:
            try:
                answers = [[str(ip_address(host))]]
            except ValueError:
                raise socket.gaierror(-2, "Name or service not known") from None
        now = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in now]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


def test_only_public_addresses_of_a_name_are_tried(connected, names):
    names["mixed.example"] = [["10.0.0.1", "1.1.1.1", "::1", "1.0.0.1", "1.1.1.1", "fe80::1%eth0"]]
    with pytest.raises(httpcore.ConnectError):
        GuardedNetwork(NOBODY).connect_tcp("mixed.example", 443)
    assert connected == [("1.1.1.1", 443), ("1.0.0.1", 443)]


def test_the_address_that_was_looked_at_is_connected_to(connected, names):
    names["rebinds.example"] = [["1.1.1.1"], ["127.0.0.1"]]
    for _ in range(2):
        with pytest.raises(httpcore.ConnectError):
            GuardedNetwork(NOBODY).connect_tcp("rebinds.example", 80)
    assert connected == [("1.1.1.1", 80)], "asked once for each connection, and never by the name"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "inner.example", "nobody.example"],
)
def test_private_and_unknown_hosts_say_the_same(connected, names, host):
    names |= {"inner.example": [["192.168.0.9"]], "2130706433": [["127.0.0.1"]], "0x7f.1": [["127.0.0.1"]]}
    names["127.1"] = [["127.0.0.1"]]
    client = Client("token", base_url=f"http://{host}:8080", name="Ours", reach=NOBODY, retries=0)
    with client, pytest.raises(Unreachable) as error:
        client.strategies_page(limit=1)
    assert error.value.text == (
        "Cannot reach the backend “Ours”: the address is unknown, or lies in a private network."
    )
    assert not error.value.was_sent
    assert connected == []


def test_a_redirect_leads_nowhere(names):
    asked = []

    def answer(request):
        asked.append(request.url.host)
        return httpx.Response(302, headers={"Location": "http://169.254.169.254/latest/meta-data/"})

    client = Client(
        "token", base_url="https://x.example", reach=NOBODY, transport=httpx.MockTransport(answer), retries=0
    )
    with client, pytest.raises(Exception, match="30"):
        client.strategies_page(limit=1)
    assert asked == ["x.example"]


def test_a_region_that_a_backend_names_is_looked_at_too(connected, names, monkeypatch):
    names["mt-provisioning-api-v1.evil.example"] = [["10.9.9.9"]]
    client = Client("token", domain="evil.example", reach=NOBODY, retries=0)
    with client, pytest.raises(Unreachable):
        client.strategies_page(limit=1)
    assert connected == []


def test_files_are_no_backends():
    with pytest.raises(NotAllowed):
        GuardedNetwork(NOBODY).connect_unix_socket("/run/docker.sock")


def test_the_pool_of_httpx_has_the_network(connected, names):
    with GuardedClient(NOBODY) as client, pytest.raises(httpx.ConnectError, match="private network"):
        client.get("http://127.0.0.1:9/")
    assert connected == []
