"""From documents to routes: what the engine decides on, per leaf strategy, compiled when needed after a change."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from copying.backend.settings import news
from copying.backend.settings.offers import owners_of
from copying.backend.state import provider_balances
from copying.backend.state.book import Book
from copying.backend.state.entities import COPIES_STOP_LOSS, COPIES_TAKE_PROFIT, ActiveStopout, OpenSignal
from copying.backend.state.parts import (
    UNKNOWN,
    is_below,
    known_parts,
    member_number,
    path_text,
)
from copying.backend.state.valuation import value
from copying.engine.model import Facts, Level, OrderKind
from copying.engine.routes import Configuration, RouteTable, compile_routes
from copying.engine.timing import lifetime_seconds, opening_seconds
from copying.symbols.instruments import CURRENCIES

from .scopes import Scopes, correlation_scopes, removal_scopes

_SETTINGS_LEVELS = (Level.STRATEGY, Level.MEMBER, Level.PORTFOLIO, Level.SUBSCRIPTION)


@dataclass(slots=True)
class Plan:
    """The engine's table and what the book knows by route: rows of subscription, account and part, flags of copies
    (all (n,)). opening_s: how long a signal may be opened, by OrderKind; lifetime_s: how long a copy may stay open.
    """

    table: RouteTable
    subscription: np.ndarray
    account: np.ndarray
    part: np.ndarray
    flags: np.ndarray
    leaf: int
    version: int
    opening_s: tuple[float, ...]
    lifetime_s: float
    uses_open_symbols: bool
    uses_exposure: bool
    correlated: Scopes
    removed: Scopes


@dataclass
class Plans:
    """The documents of a version of the configuration, and plans by leaf strategy id, whatever version they are of.

    reduced: without the accounts that the present entry is carried out without (core/faults.py).
    """

    version: int = -1
    configuration: Configuration | None = None
    whole: dict[str, Plan] = field(default_factory=dict)
    reduced: dict[str, Plan] = field(default_factory=dict)


def configuration(book: Book) -> Configuration:
    """All documents by id; objects are the ones of the book, so that unchanged routes are recognised."""
    plans = book.cache(Plans)
    if plans.configuration is None or plans.version != book.version:
        plans.version, plans.configuration = (
            book.version,
            Configuration(
                strategies={
                    key: strategy.document
                    for key, strategy in book.strategies_by_id.items()
                    if not strategy.is_portfolio
                },
                portfolios={
                    key: strategy.document for key, strategy in book.strategies_by_id.items() if strategy.is_portfolio
                },
                subscribers={key: subscriber.document for key, subscriber in book.subscribers_by_id.items()},
                owners=owners_of(book),
            ),
        )
    return plans.configuration


def plan_for(book: Book, strategy_id: str) -> Plan:
    """Routes of a leaf strategy as the configuration stands now."""
    plans = book.cache(Plans).whole if book.left_out is None else book.cache(Plans).reduced
    plan = plans.get(strategy_id)
    if plan is not None and plan.version == book.version:
        return plan
    table = compile_routes(strategy_id, reduced_configuration(book), book.account_rows, plan.table if plan else None)
    rows = book.subscription_rows
    gates = table.gates
    subscription = np.array([rows.get((key.subscriber_id, key.strategy_id), -1) for key in table.keys], dtype=np.intp)
    columns = table.columns
    plan = Plan(
        table=table,
        subscription=subscription,
        account=table.account,
        part=known_parts(book, table.keys, subscription),
        flags=columns["copy_stop_loss"] * COPIES_STOP_LOSS + columns["copy_take_profit"] * COPIES_TAKE_PROFIT,
        leaf=book.strategy_names.number(strategy_id),
        version=book.version,
        opening_s=tuple(opening_seconds(table.strategy, kind != OrderKind.MARKET) for kind in OrderKind),
        lifetime_s=lifetime_seconds(table.strategy),
        uses_open_symbols=bool(gates["close_only_by_symbol"].any() or gates["removed_by_symbol"].any()),
        uses_exposure=bool(columns["correlations"].any()),
        correlated=correlation_scopes(configuration(book), table),
        removed=removal_scopes(configuration(book), table),
    )
    plans[strategy_id] = plan
    return plan


def reduced_configuration(book: Book) -> Configuration:
    """The configuration without the subscribers that the entry is carried out without (core/faults.py)."""
    whole = configuration(book)
    if book.left_out is None:
        return whole
    apart = set(book.left_out_ids())
    subscribers = {key: document for key, document in whole.subscribers.items() if key not in apart}
    return replace(whole, subscribers=subscribers)


def facts_for(book: Book, plan: Plan, signal: OpenSignal) -> Facts:
    """The world as the engine is told it at this moment."""
    value(book)
    accounts = book.accounts_view()
    strategy = book.strategies_by_id[signal.strategy_id]
    provider = book.account_rows.get(strategy.document.get("accountId", ""))
    facts = Facts(
        now=book.time,
        market=book,
        accounts=accounts,
        provider_account=provider,
        provider_balance_base=0.0,
        provider_equity_base=0.0,
        checks_levels=book.rules >= 1,
    )
    if provider is not None:
        rate = float(book.currency_dollars()[accounts.currency[provider]])
        facts.provider_balance = float(accounts.balance[provider])
        facts.provider_equity = float(accounts.equity[provider])
        facts.provider_balance_base = facts.provider_balance * rate
        facts.provider_equity_base = facts.provider_equity * rate
        facts.provider_balance_average = provider_balances.average(
            book.provider_balances.get(strategy.document["accountId"], []),
            strategy.document.get("equityCurveFilter"),
            book.time,
        )
    facts.news = news.events_near(book, strategy.tenant, book.time)
    facts.stopped, facts.stopped_level = stopped_routes(book, plan)
    if plan.uses_open_symbols:
        facts.open_symbols = open_symbols(book, plan)
    if plan.uses_exposure:
        facts.strategy_exposure, facts.account_exposure = exposures(book, plan)
    return facts


def stopped_routes(book: Book, plan: Plan) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Which routes an active stopout closes to new trades, and its level; (None, None) while there is none."""
    if not book.active_stopouts:
        return None, None
    by_subscription = np.zeros(book.subscriptions.size, dtype=np.uint8)
    by_account = np.zeros(book.accounts.size, dtype=np.uint8)
    by_route = np.zeros(len(plan.table), dtype=np.uint8)
    for stopout in book.active_stopouts:
        if stopout.scope >= 0:
            stop_member(book, plan, stopout, by_route)
        elif stopout.subscription >= 0:
            by_subscription[stopout.subscription] = by_subscription[stopout.subscription] or stopout.level
        else:
            by_account[stopout.account] = stopout.level
    level = by_subscription[plan.subscription] if book.subscriptions.size else np.zeros(len(plan.table), np.uint8)
    level = np.where(level > 0, level, by_route)
    level = np.where(level > 0, level, np.where(plan.account >= 0, by_account[plan.account], 0)).astype(np.uint8)
    return level > 0, level


def stop_member(book: Book, plan: Plan, stopout: ActiveStopout, by_route: np.ndarray) -> None:
    """Write the level of a member's stopout onto the routes that lead through the member."""
    scope = book.paths.texts[stopout.scope]
    for route in np.flatnonzero(plan.subscription == stopout.subscription).tolist():
        if not by_route[route] and is_below(path_text(plan.table.keys[route].path), scope):
            by_route[route] = stopout.level


def open_symbols(book: Book, plan: Plan) -> dict[str, np.ndarray]:
    """Symbol -> (n_routes,) True where what the route looks at has a position in it."""
    positions = book.positions
    copied = positions.subscription >= 0
    inside = copies_inside(book, plan.removed)
    is_open = {}
    for symbol in np.unique(positions.symbol[copied]).tolist():
        has = (copied & (positions.symbol == symbol)).astype(float)
        is_open[book.symbols.texts[symbol]] = by_scope(book, plan, plan.removed, inside, has) > 0
    return is_open


def copies_inside(book: Book, scopes: Scopes) -> list[np.ndarray]:
    """For every scope (n_positions,) bool: the copy came through it."""
    masks, part = [], book.positions.part
    for text in scopes.texts:
        below = np.array([is_below(path, text) for path in book.paths.texts], dtype=bool)
        masks.append((part >= 0) & below[book.parts.path[np.maximum(part, 0)]] if book.parts.size else part >= 0)
    return masks


def by_scope(book: Book, plan: Plan, scopes: Scopes, inside: list[np.ndarray], amounts: np.ndarray) -> np.ndarray:
    """(n_routes,) sums of an amount per position (0: of no copy) over the copies that each route looks at."""
    subscription = np.maximum(book.positions.subscription, 0)
    totals = np.bincount(subscription, amounts, book.subscriptions.size)[plan.subscription]
    for number, mask in enumerate(inside):
        rows = scopes.number == number
        sums = np.bincount(subscription[mask], amounts[mask], book.subscriptions.size)
        totals[rows] = sums[plan.subscription[rows]]
    return totals


def exposures(book: Book, plan: Plan) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Signed lots per asset: by route (the copies that it looks at) and by account (everything on it)."""
    positions = book.positions
    lots = positions.volume * positions.side
    facts = book.symbol_facts()[positions.symbol]
    by_route, by_account = {}, {}
    copied = positions.subscription >= 0
    inside = copies_inside(book, plan.correlated)
    for number in np.unique(facts[:, 1:3]).astype(np.intp).tolist():
        if number < 0:
            continue
        asset = CURRENCIES[number]
        signed = np.where(facts[:, 1] == number, lots, 0.0) - np.where(facts[:, 2] == number, lots, 0.0)
        if not signed.any():
            continue
        by_account[asset] = np.bincount(positions.account, signed, book.accounts.size)
        by_route[asset] = by_scope(book, plan, plan.correlated, inside, np.where(copied, signed, 0.0))
    return by_route, by_account


def parts_of(book: Book, plan: Plan, routes: np.ndarray) -> np.ndarray:
    """(n,) rows of the parts of some routes that trade; missing ones are made."""
    for route in routes[plan.part[routes] == UNKNOWN].tolist():
        subscription, path = int(plan.subscription[route]), book.paths.number(path_text(plan.table.keys[route].path))
        row = book.part_rows.get((subscription, path))
        if row is None:
            member = member_number(book, book.paths.texts[path])
            row = book.parts.append(subscription=subscription, path=path, leaf=plan.leaf, member=member)
            book.part_rows[subscription, path] = row
            book.valued = False
        plan.part[route] = row
    return plan.part[routes]


def learn_parts(book: Book, plan: Plan) -> None:
    """Take over the parts that another plan of the same leaf made: a route has one part, whichever plan it is in."""
    routes = np.flatnonzero(plan.part == UNKNOWN)
    plan.part[routes] = known_parts(book, [plan.table.keys[route] for route in routes], plan.subscription[routes])
