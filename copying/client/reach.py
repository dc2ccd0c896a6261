"""Where a client may connect to: public addresses, and those private ones that the installation names.

What a person types as the address of a backend must not lead into the network of the installation: a program there, or
the cloud's metadata, would answer. Names are resolved here and the connection goes to the very address that was looked
at, so an answer of the DNS that changes in between, or a region that a backend names itself, leads nowhere else.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
PORTS = {"http": 80, "https": 443}
# public by number, but only machines of a cloud see them: its metadata
METADATA = tuple(map(ip_network, ("168.63.129.16/32", "192.0.0.0/24")))
TRANSLATED = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))  # they end with an IPv4 address


class NotAllowed(httpcore.ConnectError):
    """The host is unknown, or only private addresses stand behind it. Which of both it is, is nobody's business."""


@dataclass(frozen=True)
class PrivateReach:
    """hosts: names or addresses with a port that may be private; networks: private networks that may be reached."""

    hosts: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[Network, ...] = ()

    def allows(self, host: str, port: int, address: Address) -> bool:
        """Whether a connection to `host`, which leads to `address`, may be made."""
        if is_public(address):
            return True
        is_named = {(host.lower(), port), (str(address), port)} & self.hosts
        return bool(is_named) or any(address in network for network in self.networks)


def is_public(address: Address) -> bool:
    """Whether everybody could reach the address; what is wrapped into an IPv6 address counts as itself."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if any(address in network for network in TRANSLATED):
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    if any(address in network for network in METADATA):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


@lru_cache(64)
def parse_reach(entries: tuple[str, ...]) -> PrivateReach:
    """What a setting lists: networks such as 10.0.0.0/8, and hosts with a port such as backend:8001 or a URL.

    Raises ValueError for what is neither.
    """
    networks = [entry for entry in entries if "/" in entry and "://" not in entry]
    hosts = frozenset(host_and_port(entry) for entry in entries if entry not in networks)
    return PrivateReach(hosts, tuple(map(ip_network, networks)))


def host_and_port(address: str) -> tuple[str, int]:
    """Host and port of a URL, or of host:port. Raises ValueError where one is missing."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    port = parts.port or PORTS.get(parts.scheme)
    if not parts.hostname or not port:
        raise ValueError(f"{address!r} is no host with a port, and no network.")
    return parts.hostname.lower(), port


def addresses_of(host: str, port: int) -> list[Address]:
    """What a name stands for now; [] for a name that nobody knows."""
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers]


class GuardedNetwork(httpcore.SyncBackend):
    """Connects to addresses that are allowed, and to no name."""

    def __init__(self, reach: PrivateReach) -> None:
        self.reach = reach

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        allowed = [address for address in addresses_of(host, port) if self.reach.allows(host, port, address)]
        failure: Exception = NotAllowed("the address is unknown, or lies in a private network")
        for address in dict.fromkeys(allowed):
            try:
                return super().connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        raise NotAllowed("a backend is not reached through a file")


class GuardedTransport(httpx.HTTPTransport):
    """httpx's own, with a network that refuses. httpx takes no network, so its pool is replaced by one that has it."""

    def __init__(self, reach: PrivateReach, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        pool = self._pool
        assert isinstance(pool, httpcore.ConnectionPool)
        pool._network_backend = GuardedNetwork(reach)


class GuardedClient(httpx.Client):
    """A client that connects to allowed addresses only, except through a proxy that the environment names.

    A proxy for the way out resolves names itself, and is the place for such rules then.
    """

    def __init__(self, reach: PrivateReach, **options: Any) -> None:
        self._reach = reach
        super().__init__(**options)

    def _init_transport(self, *args: Any, **options: Any) -> httpx.BaseTransport:
        transport = options.pop("transport", None)
        return transport or GuardedTransport(self._reach, *args, **options)
