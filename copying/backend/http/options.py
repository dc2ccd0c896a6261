"""What the API can be told, and what its handlers share. The only module of the API that reads Django's settings."""

from __future__ import annotations

import hmac
from asyncio import Lock
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from django.conf import settings
from django.db import connections
from psycopg.conninfo import make_conninfo
from starlette.requests import Request

from copying.backend.core.writer import Core
from copying.backend.http.calculations import Calculations
from copying.backend.http.credits import Credits
from copying.backend.http.depths import Depths
from copying.backend.http.pages import Database, Positions
from copying.backend.http.wakeups import Wakeups


@dataclass(frozen=True)
class ServerOptions:
    """public_url: how others reach this server, without a trailing slash. hold_s: how long a stream waits, seconds.

    login_check_s: how long it takes until it is known whether a login of a new account is good, seconds. metrics_token:
    who sends it may read /metrics; empty: nobody. tls_port: where it serves HTTPS beside, for clients that build host
    names of a domain; 0: nowhere.
    """

    public_url: str
    database_url: str
    region: str = "local"
    requests_per_minute: int = 6000
    hold_s: float = 55.0
    login_check_s: float = 1.0
    metrics_token: str = ""
    tls_port: int = 0

    @classmethod
    def from_settings(cls, *, port: int = 0, is_tls: bool = False, tls_port: int = 0) -> ServerOptions:
        """As copyportal/settings.py says; the port listened on stands in for a public address that is not set."""
        local = f"{'https' if is_tls else 'http'}://127.0.0.1:{port or settings.BACKEND_PORT}"
        return cls(
            public_url=settings.BACKEND_PUBLIC_URL.rstrip("/") or local,
            database_url=database_url(),
            requests_per_minute=settings.BACKEND_REQUESTS_PER_MINUTE,
            hold_s=settings.BACKEND_HOLD_SECONDS,
            metrics_token=settings.METRICS_TOKEN,
            # behind a public address stands a proxy with a certificate of its own
            tls_port=0 if settings.BACKEND_PUBLIC_URL else tls_port,
        )

    @property
    def domain(self) -> str:
        """What clients put behind `copyfactory-api-v1.{region}.`: loopback addresses have names only as localhost."""
        address = urlsplit(self.public_url)
        host = "localhost" if address.hostname in (None, "127.0.0.1", "::1") else address.hostname
        port = self.tls_port or address.port
        return f"{host}:{port}" if port else host


@dataclass(frozen=True)
class Service:
    """What every handler works with. under_way: by caller and key of requests that are being carried out (once.py).

    login_checks: by caller and key, when the check of a new account's login is over, on the loop's clock.
    """

    core: Core
    options: ServerOptions
    database: Database
    positions: Positions
    depths: Depths
    wakeups: Wakeups
    under_way: WeakValueDictionary[tuple[str, str], Lock] = field(default_factory=WeakValueDictionary)
    credits: Credits = field(default_factory=Credits)
    calculations: Calculations = field(default_factory=Calculations)
    login_checks: dict[tuple[str, str], float] = field(default_factory=dict)


def service(request: Request) -> Service:
    """The service that a request was made to."""
    return request.app.state.service


def keyed_digest(content: bytes) -> bytes:
    """Tells contents apart without letting anybody try passwords against it."""
    return hmac.digest(settings.SECRET_KEY.encode(), content, "sha256")


def present(request: Request) -> datetime:
    """The time that the core goes by: its journal's, where that is ahead of the clock."""
    core = service(request).core
    return datetime.fromtimestamp(max(core.clock(), core.book.time), UTC)


def database_url() -> str:
    """Conninfo of Django's database, also when tests renamed it."""
    entry = connections["default"].settings_dict
    options = {key: value for key, value in entry.get("OPTIONS", {}).items() if key in ("sslmode", "sslrootcert")}
    return make_conninfo(
        dbname=entry["NAME"],
        user=entry["USER"] or None,
        password=entry["PASSWORD"] or None,
        host=entry["HOST"] or entry.get("OPTIONS", {}).get("host") or None,
        port=entry["PORT"] or None,
        **options,
    )
