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
from strategies.chains import leaf_ids, portfolios_with, strategies_of
from strategies.editing.merging import writable
from strategies.editing.secrets import without_secrets
from strategies.models import Action, Change, Strategy, Target
from subscribers.changes import reach_of
from subscribers.models import Subscriber

DAYS = (30, 7, 1)
MOST_SIGNALS = 25
MOST_ACCOUNTS = 10
MOST_ASKED = 25
OUTCOMES = (("copied", "Copied"), ("resized", "Resized"), ("skipped", "Skipped"), ("failed", "Failed"))
LISTS = {Target.STRATEGY: "strategies", Target.PORTFOLIO: "portfolios", Target.SUBSCRIBER: "subscribers"}


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
    accounts: list[tuple[str, Subscriber | None, dict[str, Any]]] = field(default_factory=list)
    strategies: dict[str, str] = field(default_factory=dict)
    method: str = ""


def simulate(change: Change, *, client: Client, now: datetime) -> WhatIf:
    """Ask for the longest period that the backend takes. Raises the client's errors but these two: 404 and 400."""
    if change.kind != Target.SUBSCRIBER and change.action == Action.CREATE:
        return WhatIf(problem="It is new: there are no signals to look back at.")
    body: dict[str, Any] = {"changes": changes_of(change), "limit": MOST_SIGNALS, "differencesOnly": True}
    if change.kind == Target.SUBSCRIBER:
        body["subscriberId"] = change.backend_id
    elif change.kind == Target.STRATEGY or not portfolios_with(change.backend_id, strategies_of(change.connection_id)):
        body["strategyId"] = change.backend_id  # a portfolio inside another one is no end of a route: all are decided
    for days in DAYS:
        period = {"startTime": wire.format_time(now - timedelta(days=days)), "endTime": wire.format_time(now)}
        try:
            return told(change, client.simulate(body | period), days)
        except NotFound:
            return WhatIf(problem="This backend cannot look back: it says only afterwards what a change does.")
        except Rejected as error:
            start = f"changes.{LISTS[Target(change.kind)]}.{change.backend_id}."
            refused = [one for one in error.details if str(one.get("parameter", "")).startswith(start)]
            if refused:
                refused = [{**one, "parameter": str(one["parameter"]).removeprefix(start)} for one in refused]
                return WhatIf(problem="The backend would refuse this change.", refused=refused)
            if days == DAYS[-1]:
                return WhatIf(problem=f"The backend could not look back. {error.text}")
    raise AssertionError("every period was asked for")


def changes_of(change: Change) -> dict[str, Any]:
    """The change as the simulation takes it: a document by its id, or null for one that goes.

    Without secrets: looking at a review must not tell them to a backend that the connection leads to by now.
    """
    document = None if change.action == Action.REMOVE else without_secrets(writable(change.after))
    return {LISTS[Target(change.kind)]: {change.backend_id: document}}


def told(change: Change, answer: dict[str, Any], days: int) -> WhatIf:
    """The answer with names; accounts by how much they would differ."""
    totals, signals = answer.get("totals") or {}, answer.get("signals") or {}
    items = [one for one in signals.get("items") or [] if one.get("differs")]
    changed = [one for one in answer.get("subscribers") or [] if any((one.get("difference") or {}).values())]
    changed.sort(key=lambda one: -abs((one.get("difference") or {}).get("profit") or 0))
    changed = changed[:MOST_ACCOUNTS]
    ids = [one["subscriberId"] for one in changed]
    accounts = Subscriber.objects.filter(connection_id=change.connection_id, backend_id__in=ids).defer("document")
    known = {one.backend_id: one for one in accounts}
    leaves = {one.get("strategyId") for one in items}
    names = Strategy.objects.filter(connection_id=change.connection_id, backend_id__in=leaves)
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
        accounts=[(one["subscriberId"], known.get(one["subscriberId"]), one["difference"]) for one in changed],
        strategies=dict(names.values_list("backend_id", "name")),
        method=answer.get("method", ""),
    )


# --- What a removal meets -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Open:
    """Copied positions that a removal or an immediate close would end. asked: accounts that were asked, of so many."""

    positions: int
    volume_lots: float
    profit: float
    accounts: int
    asked: int
    reached: int


def open_positions(change: Change, *, client: Client) -> Open:
    """Ask the accounts that a change reaches what they hold of it now (S1), at most `MOST_ASKED` of them.

    profit is the sum of the accounts' own figures, each in its currency: it is shown only where one account is asked.
    """
    if change.kind == Target.SUBSCRIBER:
        ids = [change.backend_id]
    else:
        ids = [one.backend_id for one in reach_of(change, most=MOST_ASKED).names]
    about = change.part or (change.backend_id if change.kind != Target.SUBSCRIBER else "")
    wanted = leaf_ids(about, strategies_of(change.connection_id)) if about else None
    found = [
        (account, one)
        for account in ids
        for one in _signals(client, account)
        if one.subscriber_volume and (wanted is None or one.strategy.id in wanted)
    ]
    return Open(
        positions=len(found),
        volume_lots=sum(abs(one.subscriber_volume) for _, one in found),
        profit=sum(one.subscriber_profit for _, one in found),
        accounts=len({account for account, _ in found}),
        asked=len(ids),
        reached=reach_of(change).count,
    )


def _signals(client: Client, account: str) -> list:
    try:
        return client.trading_signals(account)
    except NotFound:
        return []
