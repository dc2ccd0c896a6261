"""Credits of the account APIs (account APIs, 3.10): how many requests a backend takes, and who may send the next ones.

A pool is the credits of one scope: of a token, or of the vendor's server that many tokens use. It fills evenly and what
it gives is shared among those who ask: each has an even part of what flows in, a part that somebody leaves flows on to
the others, and nobody waits for more than their turn. Pure: the clock is passed in, whoever keeps a pool stores it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ..contract.terminal import CreditLimit, CreditUsage

STATE_READ = 50  # account information, positions or orders of one account
DEALS_READ = 75  # deals by time range, and DEAL_READ for each that is found
DEAL_READ = 0.65
TRADE_SENT = 10
USED_SHARE = 0.9  # of what flows in: pages, trades and other programs with the same token need credits too
READY_SHARE = 0.8  # of one's part: who waited until it is full would lose what flows in before they come
ASKS_STILL_S = 120  # who asked within this time has a part of what flows in
ROUNDING = 1e-6  # sums of parts are not exact
LONGEST_GAP_S = 60  # a longer silence fills no more: no limit is longer than it takes to fill what a pool holds
_PERIOD = re.compile(r"(\d+)\s*(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class CreditLimits:
    """per_second: credits that flow in; burst: the most that may be used at once, above that."""

    per_second: float
    burst: float


def limits_of(totals: Iterable[tuple[float, float]]) -> CreditLimits:
    """CreditLimits that keep each of some (seconds, credits) in every window of that length, or NO_LIMITS' without any.

    What is used within a window is at most per_second x seconds + burst; the burst is what the tightest window leaves.
    """
    known = [(seconds, credits) for seconds, credits in totals if seconds > 0 and credits > 0]
    if not known:
        return DOCUMENTED
    per_second = min(credits / seconds for seconds, credits in known) * USED_SHARE
    return CreditLimits(per_second, min(credits - per_second * seconds for seconds, credits in known))


def told_limits(usage: CreditUsage) -> CreditLimits:
    """The limits that a backend itself tells (A14), for all accounts of a token together."""
    rows: list[CreditLimit] = [*usage.per_user, *usage.per_server]
    return limits_of((period_s(row.period), row.total) for row in rows)


def period_s(text: str) -> float:
    """Seconds of "1s", "10s", "1m", "6h"; 0 for anything else, which is no limit that can be kept."""
    match = _PERIOD.match(text)
    return int(match[1]) * _SECONDS[match[2]] if match else 0


# one server's 18,000 a minute and 2,000 a second; longer periods are told by some servers only (A14)
DOCUMENTED = limits_of([(60, 18_000), (1, 2_000)])


@dataclass(slots=True)
class Share:
    """What flowed in for one who asks, and when they asked last."""

    level: float
    asked_at: datetime


@dataclass(slots=True)
class Pool:
    """Credits of one scope. common: what nobody's own part holds; held_until: no request before (after 429).

    The parts and `common` are never more than the burst together, so that a window's limit holds whoever asks.
    """

    limits: CreditLimits = DOCUMENTED
    common: float | None = None  # None: nobody asked yet, it is full
    filled_at: datetime | None = None
    held_until: datetime | None = None
    shares: dict[str, Share] = field(default_factory=dict)

    def grant(self, name: str, wanted: int, *, cost: float = STATE_READ, now: datetime) -> int:
        """How many of `wanted` requests of `cost` credits each the one of this name may send now; they count as sent.

        0: none; `wait_s` says when to ask again.
        """
        count = self.offer(name, wanted, cost=cost, now=now)
        self._take(name, count * cost)
        return count

    def offer(self, name: str, wanted: int, *, cost: float = STATE_READ, now: datetime) -> int:
        """As `grant`, but nothing counts as sent yet; whoever offers takes the least of several pools."""
        self._fill(now, name)
        if self.held_until is not None and now < self.held_until:
            return 0
        assert self.common is not None
        has = self.shares[name].level + self.common + ROUNDING
        affordable = int(has / cost) if has > 0 else 0
        if not affordable and has >= self.limits.burst:
            affordable = 1  # one that costs more than a pool holds would wait for ever: it leaves a debt
        return min(wanted, affordable)

    def draw(self, credits: float, *, now: datetime) -> None:
        """Count what is sent without asking, such as a person's trade: those who ask have so much less.

        It is never refused: what does not flow to the sweeps is there for it, and beyond that they pay, evenly.
        """
        self._fill(now)
        of_common = min(max(self.common or 0.0, 0.0), credits)
        self.common = (self.common or 0.0) - of_common
        rest = credits - of_common
        for share in self.shares.values():
            share.level -= rest / len(self.shares)
        if not self.shares:
            self.common -= rest

    def wait_s(self, name: str, wanted: int, *, cost: float = STATE_READ, now: datetime) -> float:
        """Seconds until `wanted` requests, or most of what is ever granted at once, will be granted to this one."""
        held_s = (self.held_until - now).total_seconds() if self.held_until and self.held_until > now else 0.0
        most = READY_SHARE * self.limits.burst / max(len(self.shares), 1)
        share, needed = self.shares.get(name), min(wanted * cost, most)
        missing = needed - (share.level if share else 0.0) - (self.common or 0.0)
        flows_in = self.limits.per_second / max(len(self.shares), 1)
        return max(held_s, missing / flows_in, 0.0)

    def hold(self, until: datetime) -> None:
        """Grant nothing before `until`, and begin with nothing saved then: the backend says it is asked too often."""
        self.held_until = max(until, self.held_until) if self.held_until else until
        self.common, self.shares = 0.0, {}

    def follow(self, limits: CreditLimits) -> None:
        """Keep other limits from now on."""
        self.limits = limits
        for share in self.shares.values():
            share.level = min(share.level, limits.burst / len(self.shares))
        if self.common is not None:
            self.common = min(self.common, self._room())

    def _room(self) -> float:
        return max(self.limits.burst - sum(share.level for share in self.shares.values()), 0.0)

    def _fill(self, now: datetime, name: str = "") -> None:
        elapsed_s = (now - self.filled_at).total_seconds() if self.filled_at else 0.0
        # a clock that was put back by little waits until it is where it was, one that was put back by much goes on
        if self.filled_at is None or elapsed_s > 0 or elapsed_s < -LONGEST_GAP_S:
            self.filled_at = now
        if self.held_until is not None:  # nothing flows in until then
            elapsed_s = min(elapsed_s, (now - self.held_until).total_seconds())
            self.held_until = self.held_until if now < self.held_until else None
        oldest = now - timedelta(seconds=ASKS_STILL_S)
        self.shares = {key: share for key, share in self.shares.items() if share.asked_at > oldest}
        if name:
            self.shares.setdefault(name, Share(0.0, now)).asked_at = now
        if self.common is None:
            self.common = self._room()
        inflow = self.limits.per_second * min(max(elapsed_s, 0.0), LONGEST_GAP_S)
        if not self.shares:
            self.common = min(self.common + inflow, self._room())
            return
        part, most = inflow / len(self.shares), self.limits.burst / len(self.shares)
        spilled = 0.0
        for share in self.shares.values():
            share.level += part
            spilled += max(share.level - most, 0.0)
            share.level = min(share.level, most)
        self.common = min(self.common + spilled, self._room())

    def _take(self, name: str, credits: float) -> None:
        own = self.shares[name]
        of_own = min(own.level, credits)
        own.level -= of_own
        self.common = (self.common or 0.0) - (credits - of_own)

    def take(self, name: str, credits: float) -> None:
        """Count what was offered as sent."""
        self._take(name, credits)

    # ------------------------------------------------------------------------------------------------------- storing

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "per_second": self.limits.per_second,
            "burst": self.limits.burst,
            "common": self.common,
            "filled_at": _text(self.filled_at),
            "held_until": _text(self.held_until),
            "shares": {key: [share.level, _text(share.asked_at)] for key, share in self.shares.items()},
        }

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Pool:
        """What `stored` gave; an empty one is a pool that nobody asked yet."""
        if not stored:
            return cls()
        return cls(
            CreditLimits(stored["per_second"], stored["burst"]),
            stored["common"],
            _moment(stored["filled_at"]),
            _moment(stored["held_until"]),
            {key: Share(level, datetime.fromisoformat(at)) for key, (level, at) in stored["shares"].items()},
        )


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
