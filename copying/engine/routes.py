"""From configuration to columns: every path from one leaf strategy to a subscriber, compiled when configuration
changes.

A route table holds everything about the routes that does not depend on a signal. What depends only on a signal's
symbol, side and kind is derived once and kept in the table's views (`views.py`), so that a decision is arithmetic on
columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from copying.engine.fold import USES_BALANCE, Document, Mode, Terms
from copying.engine.model import Level
from copying.engine.reasons import Reason, refusal

MAX_DEPTH = 8  # portfolios in portfolios (contract, section 8, 41)


class RouteKey(NamedTuple):
    """What a route is called, stable over recompilation.

    strategy_id: what is subscribed to. path: ids from the leaf up to it; a strategy listed again in one portfolio has
    `#2`, `#3` behind its id.
    """

    subscriber_id: str
    strategy_id: str
    path: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class Configuration:
    """Raw documents by id, in creation order. Removed ones are included while they are wound down."""

    strategies: Mapping[str, Document]
    portfolios: Mapping[str, Document]
    subscribers: Mapping[str, Document]


class Branch(NamedTuple):
    """A way from the leaf to something that can be subscribed to."""

    strategy_id: str
    path: tuple[str, ...]
    terms: Terms
    documents: tuple[int, ...]


@dataclass(slots=True)
class RouteTable:
    """All routes of one leaf strategy as columns over routes. `*_code` are words of `reasons.pack`.

    strategy: the leaf's document. account: (n,) row in `Accounts`, -1 unknown.
    programs: distinct chains of symbol filters and mappings. stop_limits: distinct maxStopLoss in pips, ascending.
    Columns by the names in `Terms`, in its units; by_balance, by_equity, by_nothing: the amount of the route where its
    mode scales with balance, with equity or without money, else 0.
    """

    strategy_id: str
    strategy: Document
    keys: list[RouteKey]
    terms: list[Terms]
    account: np.ndarray
    programs: list[tuple[tuple[Level, bytes], ...]]
    program: np.ndarray
    news_chains: list[tuple[tuple[Level, bytes], ...]]
    news_chain: np.ndarray
    expressions: list[str]
    expression: np.ndarray
    stop_limits: np.ndarray
    stop_class: np.ndarray
    columns: dict[str, np.ndarray]
    key_hash: np.ndarray  # (n,) uint64
    index: dict[RouteKey, int]
    views: dict[tuple, Any] = field(default_factory=dict)
    memo: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)


def compile_routes(
    strategy_id: str,
    configuration: Configuration,
    account_rows: Mapping[str, int],
    previous: RouteTable | None = None,
) -> RouteTable:
    """Every route of the leaf strategy `strategy_id`, subscribers in the order of the configuration.

    account_rows: account id -> row of `Accounts`; subscribers without a row get refusals. previous: the table before
    the change; rows whose documents are the same objects are taken over from it. Documents must not be changed in
    place.
    """
    strategy = configuration.strategies[strategy_id]
    keys: list[RouteKey] = []
    terms: list[Terms] = []
    known = previous.memo["documents"] if previous is not None else {}
    documents: dict[RouteKey, tuple] = {}
    branches = list(walk_branches(strategy_id, configuration))
    by_id: dict[str, list[Branch]] = {}
    for branch in branches:
        by_id.setdefault(branch.strategy_id, []).append(branch)
    for subscriber_id, subscriber in configuration.subscribers.items():
        for subscription in subscriber.get("subscriptions") or ():
            for branch in by_id.get(subscription["strategyId"], ()):
                key = RouteKey(subscriber_id, branch.strategy_id, branch.path)
                sources = (*branch.documents, subscription, subscriber)
                old = known.get(key)
                if old is not None and same_objects(old[0], sources):
                    row = old[1]
                else:
                    row = branch.terms.at(Level.SUBSCRIPTION, subscription).at(Level.SUBSCRIBER, subscriber)
                if key not in documents:
                    keys.append(key)
                    terms.append(row)
                    documents[key] = (sources, row)
    table = build_table(strategy_id, strategy, keys, terms, [account_rows.get(key.subscriber_id, -1) for key in keys])
    table.memo["documents"] = documents
    return table


def walk_branches(strategy_id: str, configuration: Configuration) -> Iterator[Branch]:
    """The leaf itself and every portfolio that contains it, through at most `MAX_DEPTH` portfolios, never in a
    circle.
    """
    parents: dict[str, list[tuple[str, str, Document, Document]]] = {}
    for portfolio_id, portfolio in configuration.portfolios.items():
        seen: dict[str, int] = {}
        for member in portfolio.get("members") or ():
            child = member["strategyId"]
            seen[child] = seen.get(child, 0) + 1
            name = child if seen[child] == 1 else f"{child}#{seen[child]}"
            parents.setdefault(child, []).append((portfolio_id, name, member, portfolio))
    leaf = configuration.strategies[strategy_id]
    waiting = [Branch(strategy_id, (strategy_id,), Terms().at(Level.STRATEGY, leaf), (leaf,))]
    while waiting:
        branch = waiting.pop(0)
        yield branch
        for portfolio_id, name, member, portfolio in parents.get(branch.strategy_id, ()):
            visited = {part.partition("#")[0] for part in branch.path}
            if portfolio_id in visited or len(branch.path) > MAX_DEPTH:
                continue
            terms = branch.terms.at(Level.MEMBER, member).at(Level.PORTFOLIO, portfolio)
            path = (*branch.path[:-1], name, portfolio_id)
            waiting.append(Branch(portfolio_id, path, terms, (*branch.documents, member, portfolio)))


def same_objects(first: Sequence, second: Sequence) -> bool:
    """Whether both hold the identical objects."""
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))


def build_table(
    strategy_id: str, strategy: Document, keys: list[RouteKey], terms: list[Terms], accounts: list[int]
) -> RouteTable:
    """Terms turned into columns; what many routes share is interned."""
    programs: dict = {}
    chains: dict = {}
    expressions: dict = {}
    n = len(keys)

    def column(name: str, kind: type = np.float64) -> np.ndarray:
        return np.fromiter((getattr(t, name) for t in terms), kind, n)

    def code(reason: Reason, level_name: str) -> np.ndarray:
        words = np.array([refusal(reason, level) for level in Level], np.uint16)
        return words[column(level_name, np.intp)]

    columns = {name: column(name) for name in FLOATS} | {name: column(name, kind) for name, kind in KINDS.items()}
    columns |= {name: code(reason, level_name) for name, (reason, level_name) in CODES.items()}
    by_symbol = np.fromiter((t.close_only == "by-symbol" for t in terms), bool, n)
    columns["close_only_by_symbol"] = by_symbol
    columns["closes_only"] = np.fromiter((bool(t.close_only) for t in terms), bool, n)
    mode, amount = columns["mode"], columns["amount"]
    on_balance, on_equity = np.isin(mode, USES_BALANCE), mode == Mode.EQUITY
    columns["by_balance"] = np.where(on_balance, amount, 0.0)
    columns["by_equity"] = np.where(on_equity, amount, 0.0)
    columns["by_nothing"] = np.where(on_balance | on_equity, 0.0, amount)
    stop_limits, stop_class = np.unique(columns["max_stop_pips"], return_inverse=True)
    return RouteTable(
        strategy_id=strategy_id,
        strategy=strategy,
        keys=keys,
        terms=terms,
        account=np.array(accounts, np.intp),
        program=np.fromiter((programs.setdefault(t.symbol_steps, len(programs)) for t in terms), np.intp, n),
        programs=list(programs),
        news_chain=np.fromiter((chains.setdefault(t.news_filters, len(chains)) for t in terms), np.intp, n),
        news_chains=list(chains),
        expression=np.fromiter((expressions.setdefault(t.expression, len(expressions)) for t in terms), np.intp, n),
        expressions=list(expressions),
        stop_limits=stop_limits,
        stop_class=stop_class.astype(np.intp),
        columns=columns,
        key_hash=np.fromiter((hash_key(key) for key in keys), np.uint64, n),
        index={key: row for row, key in enumerate(keys)},
    )


def hash_key(key: RouteKey) -> int:
    """64 bits that depend on the key only, the same in every process."""
    text = "\x1f".join((key.subscriber_id, key.strategy_id, *key.path))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


FLOATS = (
    "multiplier",
    "amount",
    "scaling_multiplier",
    "max_risk_coefficient",
    "min_volume",
    "max_volume",
    "max_trade_risk",
    "max_leverage",
    "max_stop_pips",
    "delay_min_s",
    "delay_max_s",
    "reserved_margin",
    "min_amount",
)
KINDS: dict[str, type] = {
    "mode": np.intp,
    "reversed": bool,
    "force_tiny": bool,
    "pending_refusal": np.uint16,
    "buy_refusal": np.uint16,
    "sell_refusal": np.uint16,
    "removed_refusal": np.uint16,
    "removed_by_symbol": bool,
    "copy_stop_loss": bool,
    "copy_take_profit": bool,
    "correlations": np.uint8,
    "mode_level": np.uint8,
    "delay_level": np.uint8,
}
CODES = {
    "max_volume_code": (Reason.MAX_TRADE_VOLUME, "max_volume_level"),
    "min_volume_code": (Reason.MIN_TRADE_VOLUME, "min_volume_level"),
    "max_trade_risk_code": (Reason.MAX_TRADE_RISK, "max_trade_risk_level"),
    "stop_needed_code": (Reason.STOP_LOSS_NEEDED, "max_trade_risk_level"),
    "max_leverage_code": (Reason.MAX_LEVERAGE, "max_leverage_level"),
    "correlations_code": (Reason.CORRELATION, "correlations_level"),
    "close_only_code": (Reason.CLOSE_ONLY, "close_only_level"),
    "no_stop_code": (Reason.NO_STOP_LOSS, "mode_level"),
    "expression_code": (Reason.EXPRESSION_FAILED, "mode_level"),
    "coefficient_code": (Reason.MAX_RISK_COEFFICIENT, "mode_level"),
}
