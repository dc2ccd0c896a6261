"""What a proposed change would have done to the signals of the last days, and what a removal meets: asked, not guessed.

The backend decides recorded signals twice (docs/copying.md, "Simulations"); one that cannot do so is said to in one
sentence. Nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from copying.client import Client, NotFound, Rejected
from copying.contract import wire
from copying.contract.documents import TradingSignal
from editing.merging import writable
from editing.models import Action, Change
from editing.secrets import without_secrets
from editing.targets import SUBSCRIBER, Document, Link, names_of, target_of

DAYS = (30, 7, 1)
MOST_SIGNALS = 25
MOST_ACCOUNTS = 10
MOST_ASKED = 25
OUTCOMES = (("copied", "Copied"), ("resized", "Resized"), ("skipped", "Skipped"), ("failed", "Failed"))


@dataclass(frozen=True)
class WhatIf:
    """The answer of a simulation. problem: a sentence in its place. Money is in `currency`."""

    days: int = 0
    problem: str = ""
    refused: list[dict[str, Any]] = field(default_factory=list)
    currency: str = "USD"
    signals: int = 0
    differs: int = 0
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    difference: dict[str, Any] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    has_more: bool = False
    accounts: list[tuple[Link, dict[str, Any]]] = field(default_factory=list)
    strategies: dict[str, str] = field(default_factory=dict)
    method: str = ""


def simulate(change: Change, *, client: Client, now: datetime) -> WhatIf:
    """Ask for the longest period that the backend takes. Raises the client's errors but these two: 404 and 400."""
    if change.kind != SUBSCRIBER and change.action == Action.CREATE:
        return WhatIf(problem="It is new: there are no signals to look back at.")
    body: dict[str, Any] = {"changes": changes_of(change), "limit": MOST_SIGNALS, "differencesOnly": True}
    body |= target_of(change.kind).simulated(change)
    for days in DAYS:
        period = {"startTime": wire.format_time(now - timedelta(days=days)), "endTime": wire.format_time(now)}
        try:
            return describe(change, client.simulate(body | period), days)
        except NotFound:
            return WhatIf(problem="This backend cannot look back: it says only afterwards what a change does.")
        except Rejected as error:
            if refusals := own_details(change, error.details):
                return WhatIf(problem="The backend would refuse this change.", refused=refusals)
            if days == DAYS[-1]:
                return WhatIf(problem=f"The backend could not look back. {error.text}")
    raise AssertionError("every period was asked for")


def changes_of(change: Change) -> dict[str, Any]:
    """The change as the simulation takes it: a document by its id, or null for one that goes.

    Without secrets: looking at a review must not tell them to a backend that the connection leads to by now.
    """
    document = None if change.action == Action.REMOVE else without_secrets(writable(change.after))
    return {target_of(change.kind).collection: {change.backend_id: document}}


def own_details(change: Change, details: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a backend says against the changed document itself, with paths in the document."""
    start = f"changes.{target_of(change.kind).collection}.{change.backend_id}."
    return [
        {**detail, "parameter": str(detail["parameter"]).removeprefix(start)}
        for detail in details
        if str(detail.get("parameter", "")).startswith(start)
    ]


def describe(change: Change, answer: Document, days: int) -> WhatIf:
    """The answer with names; accounts by how much they would differ."""
    totals, signals = answer.get("totals") or {}, answer.get("signals") or {}
    items = [signal for signal in signals.get("items") or [] if signal.get("differs")]
    leaves = {signal.get("strategyId") for signal in items} - {None}
    return WhatIf(
        days=days,
        currency=answer.get("currency", "USD"),
        signals=totals.get("signals", 0),
        differs=totals.get("differs", 0),
        before=totals.get("baseline") or {},
        after=totals.get("changed") or {},
        difference=totals.get("difference") or {},
        items=items,
        has_more=bool(signals.get("next")),
        accounts=most_different(change, answer.get("subscribers") or []),
        strategies=names_of(change.connection_id, leaves) if leaves else {},
        method=answer.get("method", ""),
    )


def most_different(change: Change, rows: list[dict[str, Any]]) -> list[tuple[Link, dict[str, Any]]]:
    """The accounts whose result would differ, by how much, with the difference of each."""
    changed = [row for row in rows if any((row.get("difference") or {}).values())]
    changed.sort(key=lambda row: -abs(row["difference"].get("profit") or 0))
    changed = changed[:MOST_ACCOUNTS]
    ids = [row["subscriberId"] for row in changed]
    known = target_of(SUBSCRIBER).links(change.connection_id, ids) if ids else {}
    return [(known.get(row["subscriberId"], Link(row["subscriberId"])), row["difference"]) for row in changed]


# --- What a removal meets -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class OpenPositions:
    """Copied positions that a removal or an immediate close would end. asked: accounts that were asked, of so many."""

    positions: int
    volume_lots: float
    profit: float
    accounts: int
    asked: int
    reached: int


def open_positions(change: Change, *, client: Client) -> OpenPositions:
    """Ask the accounts that a change reaches what they hold of it now (S1), at most `MOST_ASKED` of them.

    profit is the sum of the accounts' own figures, each in its currency: it is shown only where one account is asked.
    """
    target = target_of(change.kind)
    reach, wanted = target.reach(change, most=MOST_ASKED), target.copied_strategies(change)
    positions = [
        (account, signal)
        for account in reach.ids
        for signal in _signals(client, account)
        if signal.subscriber_volume and (wanted is None or signal.strategy.id in wanted)
    ]
    return OpenPositions(
        positions=len(positions),
        volume_lots=sum(abs(signal.subscriber_volume) for _, signal in positions),
        profit=sum(signal.subscriber_profit for _, signal in positions),
        accounts=len({account for account, _ in positions}),
        asked=len(reach.ids),
        reached=reach.count,
    )


def _signals(client: Client, account: str) -> list[TradingSignal]:
    try:
        return client.trading_signals(account)
    except NotFound:
        return []
