"""What each client of a strategy pays by, worked out from who decided what and who agreed: no code of the ledger.

A decision is about one subject: "commission" (scheme, rate, length), "rates" (scheme, {currency: rate}), "rules" of a
high-water mark ({choice: value}) or ("rules", client). `docs/commissions.md`, "When terms change" and "Consent".
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

STANDARD: dict[str, Any] = {
    "basis": "profit",
    "floating": "realised",
    "new_mark": "net",
    "withdrawal": "absolute",
    "crystallised": "period-end",
    "loss_memory_periods": None,
    "hurdle": "none",
    "hurdle_rate": "0",
    "scope": "subscription",
}
YEARLY = {"week": Fraction(3652425, 70000), "month": Fraction(12), "quarter": Fraction(4)}


@dataclass
class Decision:
    """Something that was decided on at `seen`, to hold from `since` (None: from the beginning).

    asks: clients who copied the strategy then and pay more by it are asked. consents: by client, from when. row: the
    portal's own row of it, for answers.
    """

    since: datetime | None
    content: Any
    seen: datetime | None = None
    asks: bool = False
    consents: dict[str, datetime] = field(default_factory=dict)
    row: Any = None


@dataclass(frozen=True)
class Agreed:
    """What one client pays by from a moment on. number: of the decision on the commission or on the rates."""

    since: datetime | None
    scheme: str
    rate: Decimal
    length: str
    rules: dict[str, Any]
    number: int = 0


@dataclass
class Decisions:
    """By subject, the decisions that hold at some time, oldest first."""

    of: dict[Any, list[Decision]] = field(default_factory=dict)

    def decide(self, subject: Any, decision: Decision, now: datetime) -> None:
        """Whoever decides anew calls off what has not begun."""
        begun = [each for each in self.of.get(subject, []) if each.since is None or each.since <= now]
        self.of[subject] = [*(each for each in begun if each.since is None or each.since < decision.since), decision]


def state_at(held, moment, currency, client):
    """What holds at a moment of rows (since, subject, decision), as `Agreed`."""
    newest: dict[Any, Decision] = {}
    for since, subject, decision in held:
        if since is None or (moment is not None and since <= moment):
            newest[subject] = decision
    if "commission" not in newest:
        return None
    scheme, rate, length = newest["commission"].content
    number = id(newest["commission"])
    rates = newest["rates"].content if "rates" in newest else ("", {})
    if rates[0] == scheme and currency in rates[1]:
        rate, number = rates[1][currency], id(newest["rates"])
    own = newest[("rules", client)].content if ("rules", client) in newest else None
    shared = newest["rules"].content if "rules" in newest else None
    return Agreed(moment, scheme, rate, length, STANDARD | (own or shared or {}), number)


def agreed(decisions: Decisions, client: str, currency: str, starts: list[datetime]) -> list[Agreed]:
    """What a client pays by, oldest first. starts: of its subscriptions."""
    subjects = ("commission", "rates", "rules", ("rules", client))
    offered, order = [], 0
    for subject in subjects:
        rows = decisions.of.get(subject, [])
        for place, decision in enumerate(rows):
            later = rows[place + 1] if place + 1 < len(rows) else None
            order += 1
            seen = decision.seen.timestamp() if decision.seen else 0
            since = decision.since.timestamp() if decision.since else 0
            offered.append((since, seen, order, subject, decision, later))
    held: list[tuple[datetime | None, Any, Decision]] = []
    for *_, subject, decision, later in sorted(offered, key=lambda row: row[:3]):
        since = decision.since
        if decision.asks:
            before = state_at(held, since, currency, client)
            after = state_at([*held, (since, subject, decision)], since, currency, client)
            if before is not None and costs_more(before, after):
                since = agreed_from(decision, client, starts)
                if since is None or (later is not None and since >= later.since):
                    continue
        held.append((since, subject, decision))
    held = _called_off(held)
    moments = sorted({since for since, _, _ in held if since is not None})
    return [state_at(held, moment, currency, client) for moment in (None, *moments)]


def _called_off(held):
    """Of one subject a later row replaces what would begin at the same time or after it."""
    left = []
    for place, (since, subject, decision) in enumerate(held):
        later = [row[0] for row in held[place + 1 :] if row[1] == subject]
        if all(since is None or (each is not None and since < each) for each in later):
            left.append((since, subject, decision))
    return sorted(left, key=lambda row: (row[0] is not None, row[0] or 0))


def agreed_from(decision: Decision, client: str, starts: list[datetime]) -> datetime | None:
    """From when a client that would pay more pays by a decision; None while it does not."""
    if not any(start <= decision.seen for start in starts):
        return decision.since
    moments = [start for start in starts if start > decision.seen]
    if client in decision.consents:
        moments.append(decision.consents[client])
    return max(min(moments), decision.since) if moments else None


def costs_more(before: Agreed, after: Agreed) -> bool:
    """Whether a client may pay more: another scheme, a higher rate, measured more often, rules not in its favour."""
    if not after.scheme:
        return False
    if before.scheme != after.scheme:
        return True
    if after.scheme == "flat-fee":
        return Fraction(after.rate) * YEARLY[after.length] > Fraction(before.rate) * YEARLY[before.length]
    if after.rate > before.rate:
        return True
    if after.scheme != "high-water-mark":
        return False
    return YEARLY[after.length] > YEARLY[before.length] or not in_favour(before.rules, after.rules)


def in_favour(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """A fee to be earned back, a minimum return, a longer memory, fewer moments at which a fee is due; else equal."""
    if any(old[name] != new[name] for name in ("basis", "floating", "withdrawal", "scope")):
        return False
    if (old["new_mark"], new["new_mark"]) == ("gross", "net"):
        return False
    if old["crystallised"] != new["crystallised"] and new["crystallised"] != "period-end":
        return False
    forever = 10**9
    if (new["loss_memory_periods"] or forever) < (old["loss_memory_periods"] or forever):
        return False
    strength = {"none": 0, "soft": 1, "hard": 2}
    if strength[new["hurdle"]] < strength[old["hurdle"]]:
        return False
    return old["hurdle"] == "none" or Decimal(new["hurdle_rate"]) >= Decimal(old["hurdle_rate"])


def unchanged_collapsed(rows: list[Agreed]) -> list[Agreed]:
    """Without rows by which a client pays exactly as before."""
    left: list[Agreed] = []
    for row in rows:
        if left and replace(left[-1], since=row.since) == row:
            continue
        left.append(row)
    return left
