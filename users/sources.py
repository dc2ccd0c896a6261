"""Where a request comes from: the one address that brakes, logs and the audit log use.

`X-Forwarded-For` can be sent by anybody. Only what our own proxies wrote counts: with TRUSTED_PROXIES = n the n-th
entry from the right, which the outermost of them saw; with 0 the header is ignored.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

UNKNOWN = "unknown"  # a Unix socket has no address
# an IPv6 customer has at least this network for themself: one address of it says nothing
IPV6_PREFIX = 64


def client_address(request: HttpRequest) -> str:
    """The client's IP address, or UNKNOWN."""
    return str(_forwarded(request) or _parsed(request.META.get("REMOTE_ADDR", "")) or UNKNOWN)


def is_shared(request: HttpRequest) -> bool:
    """Whether the address is that of a proxy, behind which everybody looks the same."""
    is_behind_proxy = settings.TRUSTED_PROXIES > 0 or settings.SECURE_PROXY_SSL_HEADER is not None
    return is_behind_proxy and _forwarded(request) is None


def network_of(address: str) -> str:
    """What one person can be held to: an IPv4 address, the /64 of an IPv6 address."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, IPV6_PREFIX), strict=False))
    return str(parsed or UNKNOWN)


def _forwarded(request: HttpRequest) -> IPv4Address | IPv6Address | None:
    """What the outermost trusted proxy saw; None without trusted proxies, or where they wrote nothing readable."""
    entries = [entry for entry in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if entry.strip()]
    if settings.TRUSTED_PROXIES < 1 or not entries:
        return None
    # fewer entries than proxies: the request entered further inside, and what is there was written by ours
    return _parsed(entries[-min(settings.TRUSTED_PROXIES, len(entries))])


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address, with or without port, brackets and zone; IPv4 inside IPv6 as IPv4. None: it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
