"""Which host a request goes to (contract, 1.1 and 1.2; account APIs, 1.1): discovered regions, or one fixed address.

A region that fails is left for the next one at once; after the last, the first is next again and the error is raised.
What was discovered is forgotten after ten minutes without use and asked again after an hour of it; clients with the
same token can share it, as each serves one page or one run of a sync. At a fixed address the account APIs have a prefix
each, because the same address means two things at two of them (contract/hosts.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from ..contract.hosts import COPYFACTORY, PROVISIONING, WITHOUT_REGION, prefix_of
from .errors import BackendFailed, ClientError

DEFAULT_DOMAIN = "agiliumtrade.agiliumtrade.ai"
FORGOTTEN_AFTER = timedelta(minutes=10)
ASKED_AGAIN_AFTER = timedelta(hours=1)
MOST_SHARED = 1000  # discoveries of a process

Fetch = Callable[[str, str, Any], Any]  # (host, path, type) -> decoded answer


@dataclass
class AccountHosts:
    """The regions that hold an account or a replica of it, and the one of the account itself ("": not said)."""

    names: list[str]
    own: str
    found_at: datetime


@dataclass
class Discovery:
    """What one token was told at one domain. Clients of several threads may share it: each answer is set at once.

    first: the place in `names` of the region to begin with, which answered last.
    """

    names: tuple[str, ...] = ()
    client_domain: str = ""
    is_complete: bool = False
    first: int = 0
    found_at: datetime | None = None
    used_at: datetime | None = None
    accounts: dict[str, AccountHosts] = field(default_factory=dict)
    strategies: dict[str, tuple[str, datetime]] = field(default_factory=dict)


def shared_discovery(domain: str, token: str) -> Discovery:
    """What this process knows of the token's regions, for all its clients. It is kept by a digest of the token."""
    return _discovery(domain, hashlib.sha256(token.encode()).digest())


@lru_cache(MOST_SHARED)
def _discovery(domain: str, digest: bytes) -> Discovery:
    return Discovery()


@dataclass
class Regions:
    """The hosts of one backend. With `base_url` nothing is discovered."""

    domain: str
    base_url: str | None
    fetch: Fetch
    clock: Callable[[], datetime]
    known: Discovery
    index: int | None = None  # this client's own: one that another leaves meanwhile is not left out here

    @property
    def provisioning(self) -> str:
        """The host that knows regions and accounts."""
        return self.base_url or f"https://{PROVISIONING}.{self.domain}"

    def current(self) -> str:
        """The host to send to now."""
        if self.base_url:
            return self.base_url
        known, now = self.known, self.clock()
        if known.found_at is None or known.used_at is None or now - known.used_at >= FORGOTTEN_AFTER:
            self._discover(now)
        elif now - known.found_at >= ASKED_AGAIN_AFTER:
            known.found_at = now  # others go on meanwhile, and so do all when there is no answer
            with suppress(ClientError):
                self._discover(now)
        known.used_at = now
        names = known.names
        self.index = min(known.first if self.index is None else self.index, len(names) - 1)
        return self._host(COPYFACTORY, names[self.index])

    def next(self) -> bool:
        """Leave the current region; False (and back to the first) when it was the last."""
        following = (self.index or 0) + 1
        is_last = bool(self.base_url) or following >= len(self.known.names)
        self.index = self.known.first = 0 if is_last else following
        return not is_last

    def of_account(self, account_id: str, path: str) -> list[str]:
        """The hosts of every region that holds the account or a replica of it. path: of the account's lookup."""
        if self.base_url:
            return [self.base_url]
        names = self._look_up(account_id, path).names
        return [self._host(COPYFACTORY, name) for name in names] or [self.current()]

    def of_api(self, api: str, *, region: str = "") -> str:
        """The address of an account API. region: which one of those with regions; "": the first that the token has.

        Raises BackendFailed where the discovery does not name what the account APIs need.
        """
        if self.base_url:
            return self.base_url + prefix_of(api)
        if api in WITHOUT_REGION:
            return f"https://{api}.{self.domain}"
        self.current()
        if not self.known.is_complete:
            raise BackendFailed(
                "The backend does not say where its accounts are served: its discovery lacks domain or hostname.", 503
            )
        return self._host(api, region or self.known.names[0])

    def region_of(self, account_id: str, path: str) -> str:
        """The region where the account itself runs; "" at a fixed address. path: of the account's lookup."""
        return "" if self.base_url else self._look_up(account_id, path).own

    def forget_account(self, account_id: str) -> None:
        """Look the account's regions up again next time: it was not where it had been."""
        self.known.accounts.pop(account_id, None)

    def _look_up(self, account_id: str, path: str) -> AccountHosts:
        known, now = self.known.accounts.get(account_id), self.clock()
        if known is None or now - known.found_at >= FORGOTTEN_AFTER:
            self.current()  # the client domain must be known
            account = self.fetch(self.provisioning, path, dict[str, Any])
            own = str(account.get("region") or "")
            primary = account.get("primaryAccountId")
            if primary and primary != account_id:
                account = self.fetch(self.provisioning, path.replace(account_id, primary), dict[str, Any])
            replicas = [replica.get("region") for replica in account.get("accountReplicas") or []]
            names = dict.fromkeys(name for name in [account.get("region"), *replicas] if name)
            known = self.known.accounts[account_id] = AccountHosts(list(names), own, now)
        return known

    def account_of_strategy(self, strategy_id: str, look_up: Callable[[str], str]) -> str:
        """The account that provides the strategy, asked once in ten minutes."""
        account_id, found_at = self.known.strategies.get(strategy_id, ("", None))
        now = self.clock()
        if found_at is None or now - found_at >= FORGOTTEN_AFTER:
            account_id = look_up(strategy_id)
            self.known.strategies[strategy_id] = (account_id, now)
        return account_id

    def _discover(self, now: datetime) -> None:
        names = self.fetch(self.provisioning, "/users/current/regions", list[str])
        server = self.fetch(self.provisioning, "/users/current/servers/mt-client-api", dict[str, Any])
        if not names:
            raise BackendFailed(f"The backend at {self.provisioning} offers this token no region.", 503)
        known, self.index = self.known, 0
        known.client_domain = str(server.get("domain") or self.domain)
        known.is_complete = bool(server.get("domain") and server.get("hostname"))
        known.names, known.first, known.found_at = tuple(names), 0, now

    def _host(self, api: str, region: str) -> str:
        return f"https://{api}.{region}.{self.known.client_domain}"
