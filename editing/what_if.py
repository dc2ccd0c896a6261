"""What a proposed change would have done to the signals of the last days, and what a removal meets: asked, not guessed.

The backend decides recorded signals twice (docs/copying.md, "Simulations"). Where it cannot, the mirrored signals are
decided here by the same engine (mirrored.py), which is marked and says what it does not know. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from copying.client import Client, Forbidden, NotFound, Rejected
from copying.contract import wire
from copying.contract.documents import TradingSignal
from editing.merging import writable
from editing.mirrored import NothingToSay, mirrored_look_back
from editing.models import Action, Change
from editing.secrets import without_secrets
from editing.targets import SUBSCRIBER, Document, Link, names_of, target_of

DAYS = (30, 7, 1)
MOST_SIGNALS = 25
MOST_ACCOUNTS = 10
MOST_ASKED = 25
MOST_DECIDED = 500  # accounts that are decided for over the mirror
CANNOT = "This backend cannot look back: it says only afterwards what a change does."
OUTCOMES = (("copied", "Copied"), ("resized", "Resized"), ("skipped", "Skipped"), ("failed", "Failed"))


@dataclass(frozen=True)
class WhatIf:
    """The answer of a simulation. problem: a sentence in its place. Money is in `currency`.

    is_reconstructed: decided here over the mirror, not by the backend. Then assumed: sentences; missing: (copies, what
    is not known of them, what would bring it); undecided: copies that may differ; without_result: those of which no
    result is known; older: signals that were not looked at; decided_for, reached: so many of so many accounts.
    """

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
    is_reconstructed: bool = False
    assumed: list[str] = field(default_factory=list)
    missing: list[tuple[int, str, str]] = field(default_factory=list)
    undecided: int = 0
    without_result: int = 0
    older: int = 0
    decided_for: int = 0
    reached: int = 0


def simulate(change: Change, *, client: Client, now: datetime) -> WhatIf:
    """Ask for the longest period that the backend takes. Raises the client's errors but these two: 404 and 400."""
    if change.kind != SUBSCRIBER and change.action == Action.CREATE:
        return WhatIf(problem="It is new: there are no signals to look back at.")
    narrowed = target_of(change.kind).simulated(change)
    body: dict[str, Any] = {"changes": changes_of(change), "limit": MOST_SIGNALS, "differencesOnly": True} | narrowed
    for days in DAYS:
        period = {"startTime": wire.format_time(now - timedelta(days=days)), "endTime": wire.format_time(now)}
        try:
            return describe(change, client.simulate(body | period), days)
        except (NotFound, Forbidden):
            return over_mirror([change], now=now, **narrowed)
        except Rejected as error:
            if refusals := own_details(change, error.details):
                return WhatIf(problem="The backend would refuse this change.", refused=refusals)
            if days == DAYS[-1]:
                return WhatIf(problem=f"The backend could not look back. {error.text}")
    raise AssertionError("every period was asked for")


def over_mirror(changes: Sequence[Change], *, now: datetime, subscriberId: str = "", strategyId: str = "") -> WhatIf:
    """The same over the mirrored signals, for a backend that has no simulations. The changes are of one connection."""
    look_back = mirrored_look_back()
    if look_back is None:
        return WhatIf(problem=CANNOT)
    reached = 0
    accounts: dict[str, None] = {}
    documents: dict[str, dict[str, Document | None]] = {}
    for change in changes:
        if change.kind == SUBSCRIBER:  # itself: thousands of them are not asked for
            reached += 1
            accounts[change.backend_id] = None
        else:
            reach = target_of(change.kind).reach(change, most=MOST_DECIDED)
            reached += reach.count
            accounts |= dict.fromkeys(reach.ids)
        for collection, entries in changes_of(change).items():
            documents.setdefault(collection, {}).update(entries)
    named = list(accounts)[:MOST_DECIDED]
    days = DAYS[0]
    try:
        answer = look_back(
            changes[0].connection,
            documents,
            accounts=named,
            subscriber_id=subscriberId,
            strategy_id=strategyId,
            start=now - timedelta(days=days),
            now=now,
        )
    except NothingToSay as error:
        return WhatIf(problem=error.text)
    return replace(describe(changes[0], answer, days), decided_for=len(named), reached=max(reached, len(named)))


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
        is_reconstructed=bool(answer.get("isReconstructed")),
        assumed=list(answer.get("assumed") or ()),
        missing=[(copies, what, remedy) for copies, what, remedy in answer.get("missing") or ()],
        undecided=answer.get("undecided", 0),
        without_result=answer.get("withoutResult", 0),
        older=answer.get("older", 0),
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
