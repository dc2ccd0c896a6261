"""Whose address a request counts for: what trusted proxies wrote, never what anybody can send."""

import pytest
from django.test import RequestFactory

from users.sources import UNKNOWN, client_address, is_shared, network_of


def request_from(peer: str, forwarded: str | None = None):
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    return RequestFactory().get("/", REMOTE_ADDR=peer, **headers)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, None, "10.0.0.1"),
        (0, "203.0.113.7", "10.0.0.1"),
        (1, None, "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "198.51.100.9, 203.0.113.7", "203.0.113.7"),
        (1, "198.51.100.9,203.0.113.7 ", "203.0.113.7"),
        (2, "198.51.100.9, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        (2, "203.0.113.7", "203.0.113.7"),
        (3, "198.51.100.9, 203.0.113.7, 10.0.0.2", "198.51.100.9"),
        (1, "203.0.113.7:51234", "203.0.113.7"),
        (1, "[2001:db8::7]:51234", "2001:db8::7"),
        (1, "2001:db8::7", "2001:db8::7"),
        (1, "fe80::1%eth0", "fe80::1"),
        (1, "::ffff:203.0.113.7", "203.0.113.7"),
        (1, "<script>", "10.0.0.1"),
        (1, "203.0.113.7, unknown", "10.0.0.1"),
        (1, "2130706433", "10.0.0.1"),
    ],
)
def test_the_outermost_trusted_proxy_says_who_came(settings, proxies, forwarded, address):
    settings.TRUSTED_PROXIES = proxies
    assert client_address(request_from("10.0.0.1", forwarded)) == address


def test_a_socket_without_address_is_unknown_and_no_error():
    assert client_address(request_from("")) == UNKNOWN
    assert network_of(UNKNOWN) == UNKNOWN


@pytest.mark.parametrize(
    ("proxies", "tells_scheme", "forwarded", "shared"),
    [
        (0, False, None, False),
        (0, False, "203.0.113.7", False),
        (0, True, "203.0.113.7", True),
        (1, True, "203.0.113.7", False),
        (1, False, None, True),
        (1, False, "nonsense", True),
    ],
)
def test_the_address_of_a_proxy_is_everybodys(settings, proxies, tells_scheme, forwarded, shared):
    settings.TRUSTED_PROXIES = proxies
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if tells_scheme else None
    assert is_shared(request_from("10.0.0.1", forwarded)) is shared


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8:1:2::7", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::7", "2001:db8:1:3::7", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
    ],
)
def test_one_person_has_one_ipv4_address_or_one_ipv6_network(one, other, same):
    assert (network_of(one) == network_of(other)) is same
