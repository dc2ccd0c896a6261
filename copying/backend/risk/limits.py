"""Risk limits: when a drawdown in a period stops trading, for how long, and how it starts again (contract, 4.5).

Limits of a subscription, and of the strategy or portfolio subscribed to, look at the subscription's own result at the
subscriber; limits of a portfolio's member, and of the strategy or portfolio that it is, at what came through that
member; limits of the subscriber at the whole account. Drawdown in account currency: balance-difference = start balance
- balance, balance-minus-equity = start balance - equity, equity-difference = start equity - equity. Relative values are
fractions of the account's balance at the start of the period. Calendar periods are cut at UTC midnight, weeks on
Sunday.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.effects import Effects, StopoutEvent
from copying.backend.state.entities import ActiveStopout, StoredStrategy, StoredSubscriber
from copying.backend.state.parts import SEPARATOR, parts_below, path_text
from copying.backend.state.tables import TradeTable
from copying.backend.state.times import iso, moment_of
from copying.backend.state.valuation import value
from copying.engine.model import Level
from copying.engine.risk_limits import effective_limits
from copying.engine.routes import MAX_DEPTH
from copying.symbols.instruments import ACCOUNT_CURRENCIES

from .periods import (
    BASES,
    KINDS,
    begin,
    look_back,
    owner_of,
)

REACHED_COUNTS = 2  # entries of these rules and later compare money, not its last bit (commands.NEWEST_RULES)
NO_MONEY = 1e-6  # account currency: sums of results differ by less from what was booked
LEVEL_WORDS = {
    Level.STRATEGY: "strategy",
    Level.MEMBER: "portfolio member",
    Level.PORTFOLIO: "portfolio",
    Level.SUBSCRIPTION: "subscription",
    Level.SUBSCRIBER: "subscriber",
}


@dataclass
class ScopePairs:
    """The pairs that were asked for last (`scope_pairs`), and what they are of."""

    key: tuple[bytes, bytes, bytes, int] = (b"", b"", b"", 0)
    limit: np.ndarray = field(default_factory=lambda: np.zeros(0, np.intp))
    part: np.ndarray = field(default_factory=lambda: np.zeros(0, np.intp))


# --------------------------------------------------------------------------------------------------- from documents


def refresh_subscription(book: Book, row: int, subscriber: StoredSubscriber, strategy: StoredStrategy) -> None:
    """Replace the limits of a subscription by what its chains say now; unchanged ones keep their state.

    Every leaf below a portfolio has a chain of its own; a later limit replaces earlier ones of its own chain only.
    """
    own = [terms for terms in subscriber.document.get("subscriptions") or () if terms["strategyId"] == strategy.id]
    merged = {}
    for chain in chains(book, strategy, (strategy.id,), MAX_DEPTH):
        chain += [((Level.SUBSCRIPTION, -1), subscription) for subscription in own]
        for key, ((level, scope), limit) in effective_limits(chain).items():
            merged[scope, *key] = level, limit
    replace(book, int(book.subscriptions.account[row]), row, merged)


def refresh_account(book: Book, account: int, subscriber: StoredSubscriber) -> None:
    """Replace the limits of a whole account."""
    merged = effective_limits([(Level.SUBSCRIBER, subscriber.document)])
    replace(book, account, -1, {(-1, *key): limit for key, limit in merged.items()})


def chains(
    book: Book, strategy: StoredStrategy, path: tuple[str, ...], depth: int
) -> list[list[tuple[tuple[Level, int], dict[str, Any]]]]:
    """Per leaf the documents above a subscription, leaf first, each with its level and its scope (LIMITS).

    path: of the strategy, as in engine.routes.RouteKey.
    """
    scope = book.paths.number(path_text(path)) if len(path) > 1 else -1
    if not strategy.is_portfolio or depth == 0:
        return [[((Level.STRATEGY, scope), strategy.document)]]
    complete = []
    seen: dict[str, int] = {}
    for member in strategy.document.get("members") or ():
        child = member["strategyId"]
        seen[child] = seen.get(child, 0) + 1
        name = child if seen[child] == 1 else f"{child}#{seen[child]}"
        below = book.strategies_by_id.get(child)
        if below is None:
            continue
        number = book.paths.number(path_text((name, *path)))
        for chain in chains(book, below, (name, *path), depth - 1):
            complete.append([*chain, ((Level.MEMBER, number), member)])
    own = ((Level.PORTFOLIO, scope), strategy.document)
    return [[*chain, own] for chain in complete] or [[own]]


def replace(book: Book, account: int, subscription: int, merged: dict[tuple, tuple[Level, dict]]) -> None:
    """Bring the limit rows of one owner in line with `merged`."""
    rows = book.limits
    mine = np.flatnonzero((rows.account == account) & (rows.subscription == subscription))
    if not len(mine) and not merged:
        return
    value(book)
    old = {}
    for row in mine.tolist():
        key = (int(rows.scope[row]), KINDS[rows.kind[row]], BASES[rows.basis[row]], bool(rows.closes[row]))
        old[key] = (
            float(rows.given_start[row]),
            {name: column[0] for name, column in rows.take(np.array([row])).items()},
        )
    if len(mine):
        mask = np.ones(rows.size, dtype=bool)
        mask[mine] = False
        rows.keep(mask)
    for key, (level, limit) in merged.items():
        start = moment_of(limit.get("startTime"))
        thresholds = {
            "absolute": threshold(limit.get("maxAbsoluteRisk")),
            "relative": threshold(limit.get("maxRelativeRisk")),
            "level": int(level),
        }
        present = old.get(key)
        if present is not None and present[0] == start:
            rows.append(**(present[1] | thresholds))
            continue
        row = rows.append(
            account=account,
            subscription=subscription,
            scope=key[0],
            kind=KINDS.index(key[1]),
            basis=BASES.index(key[2]),
            closes=key[3],
            given_start=start,
            start=start or book.time,
            **thresholds,
        )
        begin(book, row)
        if 0 < start < book.time:
            look_back(book, row)


def threshold(risk: float | None) -> float:
    """A limit's number; inf when absent."""
    return np.inf if risk is None else float(risk)


def roll(book: Book, rows: np.ndarray) -> None:
    """The period of these limits is over: end their stopouts and begin the next period."""
    ended = {key_of(book, row) for row in rows.tolist() if book.limits.stopped[row]}
    book.active_stopouts = [stopout for stopout in book.active_stopouts if stopout_key(stopout) not in ended]
    book.limits.stopped[rows] = False
    for row in rows.tolist():
        begin(book, row)


# ------------------------------------------------------------------------------------------------------------ firing


def drawdowns(book: Book) -> np.ndarray:
    """(n_limits,) drawdown of every limit in account currency, negative for gains."""
    value(book)
    rows = book.limits
    whole = rows.subscription < 0
    subscription = np.where(whole, 0, rows.subscription)
    balance, equity = book.accounts.balance[rows.account], book.accounts.equity[rows.account]
    if book.subscriptions.size:
        realised = book.subscriptions.realised[subscription]
        balance = np.where(whole, balance, realised)
        equity = np.where(whole, equity, realised + book.subscriptions.floating[subscription])
    scoped = np.flatnonzero(rows.scope >= 0)
    if len(scoped):
        limit, part = scope_pairs(book, scoped)
        realised = np.bincount(limit, book.parts.realised[part], rows.size)[scoped]
        balance[scoped] = realised
        equity[scoped] = realised + np.bincount(limit, book.parts.floating[part], rows.size)[scoped]
    return rows.base - np.where(rows.basis == 0, balance, equity)


def scope_pairs(book: Book, scoped: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(limit rows, part rows) of every limit of a member and every part that it looks at; kept until one changes."""
    rows = book.limits
    key = scoped.tobytes(), rows.scope[scoped].tobytes(), rows.subscription[scoped].tobytes(), book.parts.size
    cache = book.cache(ScopePairs)
    if cache.key != key:
        below = [owner_of(book, row)[1] for row in scoped.tolist()]
        limit = np.repeat(scoped, [len(parts) for parts in below])
        cache.key, cache.limit, cache.part = key, limit, np.concatenate(below).astype(np.intp)
    return cache.limit, cache.part


def passed(book: Book) -> np.ndarray:
    """Rows of the limits that are exceeded now and have not stopped trading yet."""
    rows = book.limits
    if not rows.size:
        return np.empty(0, dtype=np.intp)
    drawdown = drawdowns(book)
    # 49.99999999999 is a loss of 50.00 in floating point, and a loss of nothing is none
    noise = NO_MONEY if book.rules >= REACHED_COUNTS else 0.0
    reached = drawdown + noise
    over = (reached >= rows.absolute) | (reached >= rows.relative * rows.base_balance) & (rows.base_balance > 0)
    fires = over & (drawdown > noise) & ~rows.stopped & (rows.start <= book.time)
    return np.flatnonzero(fires & book.taking_part(rows.account))


def under(book: Book, table: TradeTable, account: int, subscription: int, scope: int) -> np.ndarray:
    """(n,) which copied positions or orders of `table` a limit or stopout governs; trades by hand are never touched."""
    mine = (table.account == account) & (table.subscription >= 0)
    if subscription >= 0:
        mine &= table.subscription == subscription
    if scope >= 0:
        mine &= np.isin(table.part, parts_below(book, subscription, scope))
    return mine


def key_of(book: Book, row: int) -> tuple:
    rows = book.limits
    reason = f"{KINDS[rows.kind[row]]}-{BASES[rows.basis[row]]}"
    return int(rows.account[row]), int(rows.subscription[row]), int(rows.scope[row]), reason, bool(rows.closes[row])


def stopout_key(stopout: ActiveStopout) -> tuple:
    return stopout.account, stopout.subscription, stopout.scope, stopout.reason, stopout.closes


def fire(book: Book, effects: Effects, row: int) -> ActiveStopout:
    """Turn an exceeded limit into an active stopout and tell it."""
    rows = book.limits
    drawdown = float(drawdowns(book)[row])
    account, subscription, scope, reason, closes = key_of(book, row)
    level = Level(int(rows.level[row]))
    meta = book.account_meta[account]
    subscriber = book.subscribers_by_id.get(meta.id)
    tenant = subscriber.tenant if subscriber else meta.tenant
    number = book.stopout_numbers[tenant] = book.stopout_numbers.get(tenant, 0) + 1
    limits = []
    if np.isfinite(rows.absolute[row]):
        limits.append(f"{rows.absolute[row]:.2f}")
    if np.isfinite(rows.relative[row]):
        limits.append(f"{rows.relative[row] * 100:g} % of {rows.base_balance[row]:.2f}")
    description = (
        f"Drawdown {drawdown:.2f} {ACCOUNT_CURRENCIES[book.accounts.currency[account]]} reached the limit "
        f"{' or '.join(limits)} ({reason}, {LEVEL_WORDS.get(level, 'subscriber')}{member_words(book, scope)})."
    )
    stopout = ActiveStopout(
        tenant,
        number,
        account,
        subscription,
        int(level),
        reason,
        description,
        closes,
        book.time,
        float(rows.period_end[row]),
        scope,
    )
    rows.stopped[row] = True
    book.active_stopouts.append(stopout)
    strategy_id = book.subscription_keys[subscription][1] if subscription >= 0 else ""
    effects.events.append(StopoutEvent(book.time, tenant, number, strategy_id, meta.id, served(book, stopout)))
    return stopout


def served(book: Book, stopout: ActiveStopout) -> dict[str, Any]:
    """A stopout as the contract writes it (3.13)."""
    document: dict[str, Any] = {
        "subscriberId": book.account_meta[stopout.account].id,
        "sequenceNumber": stopout.number,
        "partial": not stopout.closes,
        "reason": stopout.reason,
        "reasonDescription": stopout.description,
        "closePositions": stopout.closes,
        "stoppedAt": iso(stopout.stopped_at),
        "stoppedTill": iso(stopout.stopped_till),
    }
    if stopout.subscription >= 0:
        strategy_id = book.subscription_keys[stopout.subscription][1]
        strategy = book.strategies_by_id.get(strategy_id)
        document["strategy"] = {"id": strategy_id, "name": strategy.name if strategy else strategy_id}
    if stopout.scope >= 0:
        strategy_id, name = member_of(book, stopout.scope)
        document["sourceStrategy"] = {"id": strategy_id, "name": name}
    return document


def member_of(book: Book, scope: int) -> tuple[str, str]:
    """(id, name) of the member that a scope stands for."""
    strategy_id = book.paths.texts[scope].partition(SEPARATOR)[0].partition("#")[0]
    strategy = book.strategies_by_id.get(strategy_id)
    return strategy_id, strategy.name if strategy else strategy_id


def member_words(book: Book, scope: int) -> str:
    """Which member, for a sentence; nothing where the whole subscription is meant."""
    return f" in portfolio member {member_of(book, scope)[1]}" if scope >= 0 else ""


def reset(book: Book, account: int, subscription: int, reason: str) -> int:
    """End the active stopouts of an account or a subscription (with its members) that have a reason; how many.

    The drawdown goes on counting (two-step reset).
    """
    ending = [
        stopout
        for stopout in book.active_stopouts
        if stopout.account == account and stopout.subscription == subscription and stopout.reason == reason
    ]
    if not ending:
        return 0
    keys = {stopout_key(stopout) for stopout in ending}
    book.active_stopouts = [stopout for stopout in book.active_stopouts if stopout_key(stopout) not in keys]
    for row in range(book.limits.size):
        if key_of(book, row) in keys:
            book.limits.stopped[row] = False
    return len(ending)
