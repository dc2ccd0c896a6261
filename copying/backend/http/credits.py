"""What the terminal API may be asked: CPU credits by account and by tenant (account APIs, 3.10). Pure arithmetic.

Each scope is a bucket that refills evenly and may be spent at once. One tenant never spends what another has.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MOST_BUCKETS = 50_000
COUNTED_SECONDS = 5.0
STATE_READ = 50.0
HISTORY_READ, PER_DEAL = 75.0, 0.65
TRADE = 10.0
FREE = 1.0


@dataclass(frozen=True)
class CreditScope:
    """What may be spent in a period. kind: "perUser", "perAccount" or "perServer"."""

    kind: str
    period: str
    seconds: float
    total: int


PER_ACCOUNT = (CreditScope("perAccount", "10s", 10, 5_000),)
PER_SERVER = (CreditScope("perServer", "1s", 1, 2_000), CreditScope("perServer", "1m", 60, 18_000))
PER_DEPLOYED = 6_000  # of a user and minute


class Credits:
    """Spends and tells credits; the least recently used buckets are forgotten, which fills them."""

    def __init__(self) -> None:
        self._levels: OrderedDict[tuple[str, str, str], tuple[float, float]] = OrderedDict()
        self._running: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def running(self, tenant: str, now: float, count: Callable[[], int]) -> int:
        """How many accounts of a tenant run, counted at most every few seconds: there may be ten thousand."""
        number, moment = self._running.get(tenant, (0, -COUNTED_SECONDS))
        if now - moment >= COUNTED_SECONDS:
            number = count()
            self._running[tenant] = number, now
            if len(self._running) > MOST_BUCKETS:
                self._running.popitem(last=False)
        return number

    def take(
        self, tenant: str, account_id: str, cost: float, deployed: int, now: float
    ) -> tuple[float, CreditScope | None]:
        """Spend `cost` credits of all scopes, or none: (0, None), or how many seconds to wait, and for which scope."""
        scopes = scopes_of(tenant, account_id, deployed)
        waits = [((cost - self._level(key, scope, now)) * scope.seconds / scope.total, scope) for key, scope in scopes]
        wait_s, scope = max(waits, key=lambda wait: wait[0])
        if wait_s > 1e-9:  # less is the noise of adding up
            return wait_s, scope
        self.spend(tenant, account_id, cost, deployed, now)
        return 0.0, None

    def spend(self, tenant: str, account_id: str, cost: float, deployed: int, now: float) -> None:
        """Spend credits whose number is known only afterwards: a bucket may be left with a debt."""
        for key, scope in scopes_of(tenant, account_id, deployed):
            self._levels[key] = (self._level(key, scope, now) - cost, now)
            self._levels.move_to_end(key)
        while len(self._levels) > MOST_BUCKETS:
            self._levels.popitem(last=False)

    def usage(self, tenant: str, account_id: str, deployed: int, now: float) -> dict[str, list[dict[str, Any]]]:
        """A14: total and available by scope."""
        usage: dict[str, list[dict[str, Any]]] = {"perUser": [], "perAccount": [], "perServer": []}
        for key, scope in scopes_of(tenant, account_id, deployed):
            available = max(0, int(self._level(key, scope, now)))
            usage[scope.kind].append({"period": scope.period, "total": scope.total, "available": available})
        return usage

    def _level(self, key: tuple[str, str, str], scope: CreditScope, now: float) -> float:
        level, moment = self._levels.get(key, (scope.total, now))
        return min(scope.total, level + max(0.0, now - moment) * scope.total / scope.seconds)


def scopes_of(tenant: str, account_id: str, deployed: int) -> list[tuple[tuple[str, str, str], CreditScope]]:
    """The buckets that a request for an account is paid from."""
    user = CreditScope("perUser", "1m", 60, PER_DEPLOYED * max(1, deployed))
    scopes = [((tenant, scope.kind, scope.period), scope) for scope in (user, *PER_SERVER)]
    return scopes + [((account_id, scope.kind, scope.period), scope) for scope in PER_ACCOUNT]
