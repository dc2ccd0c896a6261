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
from copying.engine.reasons import WORD, Reason, refusal

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
    scratch: list[Any] = field(default_factory=list)  # working memory of decisions that are over (case.py)
    branches: dict[str, list[Branch]] = field(default_factory=dict)  # by what is subscribed to
    spans: dict[str, tuple[Document, int, int]] = field(default_factory=dict)  # subscriber -> document, its rows

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def has_news(self) -> bool:
        """Whether any route has a newsFilter."""
        return any(self.news_chains)


def compile_routes(
    strategy_id: str,
    configuration: Configuration,
    account_rows: Mapping[str, int],
    previous: RouteTable | None = None,
) -> RouteTable:
    """Every route of the leaf strategy `strategy_id`, subscribers in the order of the configuration.

    account_rows: account id -> row of `Accounts`; subscribers without a row get refusals. previous: the table before
    the change: while the documents above the subscriptions are the same objects, the rows of every subscriber whose
    document is the same object are taken over from it, and if nothing changed it is returned itself. Documents must
    not be changed in place.
    """
    branches: dict[str, list[Branch]] = {}
    for branch in walk_branches(strategy_id, configuration):
        branches.setdefault(branch.strategy_id, []).append(branch)
    known: dict[str, tuple[Document, int, int]] = {}
    if previous is not None and same_branches(previous.branches, branches):
        known = previous.spans
    keys: list[RouteKey] = []
    terms: list[Terms] = []
    origin: list[int] = []  # row in the previous table, -1: new
    spans: dict[str, tuple[Document, int, int]] = {}
    first_kept = end_kept = 0  # rows of the previous table that are next to be taken over, in one piece

    def take_over() -> None:
        if previous is not None and first_kept < end_kept:
            keys.extend(previous.keys[first_kept:end_kept])
            terms.extend(previous.terms[first_kept:end_kept])
            origin.extend(range(first_kept, end_kept))

    count = 0
    for subscriber_id, subscriber in configuration.subscribers.items():
        span = known.get(subscriber_id)
        if span is not None and span[0] is subscriber:
            _, first, end = span
            if first != end_kept:
                take_over()
                first_kept = first
            end_kept = end
            spans[subscriber_id] = span if first == count else (subscriber, count, count + end - first)
            count += end - first
            continue
        take_over()
        first_kept = end_kept
        made = routes_of(subscriber_id, subscriber, branches)
        keys += made
        terms += made.values()
        origin += [-1] * len(made)
        spans[subscriber_id] = (subscriber, count, len(keys))
        count = len(keys)
    take_over()
    accounts = [account_rows.get(key.subscriber_id, -1) for key in keys]
    strategy = configuration.strategies[strategy_id]
    fresh = [row for row, source in enumerate(origin) if source < 0]
    if (
        previous is not None
        and strategy is previous.strategy
        and origin == list(range(len(previous)))
        and accounts == previous.account.tolist()
    ):
        previous.spans = spans
        return previous
    if previous is None or len(fresh) == len(keys):
        table = build_table(strategy_id, strategy, keys, terms, accounts)
    else:
        added = build_table(strategy_id, strategy, [keys[row] for row in fresh], [terms[row] for row in fresh], [])
        table = merge_tables(previous, added, keys, terms, accounts, np.array(origin, np.intp))
    table.branches, table.spans = branches, spans
    return table


def same_branches(first: dict[str, list[Branch]], second: dict[str, list[Branch]]) -> bool:
    """Whether the chains above the subscriptions are made of the identical documents."""
    return list(first) == list(second) and all(
        len(first[name]) == len(second[name])
        and all(
            a.path == b.path and same_objects(a.documents, b.documents)
            for a, b in zip(first[name], second[name], strict=True)
        )
        for name in first
    )


def routes_of(subscriber_id: str, subscriber: Document, branches: dict[str, list[Branch]]) -> dict[RouteKey, Terms]:
    """The routes that end at one subscriber."""
    made: dict[RouteKey, Terms] = {}
    for subscription in subscriber.get("subscriptions") or ():
        for branch in branches.get(subscription["strategyId"], ()):
            key = RouteKey(subscriber_id, branch.strategy_id, branch.path)
            if key not in made:
                made[key] = branch.terms.at(Level.SUBSCRIPTION, subscription).at(Level.SUBSCRIBER, subscriber)
    return made


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

    def column(name: str, kind: Any = np.float64) -> np.ndarray:
        return np.fromiter((getattr(t, name) for t in terms), kind, n)

    def code(reason: Reason, level_name: str) -> np.ndarray:
        words = np.array([refusal(reason, level) for level in Level], WORD)
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


def merge_tables(
    old: RouteTable,
    added: RouteTable,
    keys: list[RouteKey],
    terms: list[Terms],
    accounts: list[int],
    origin: np.ndarray,
) -> RouteTable:
    """A table of rows of `old` where `origin` says which, and of `added`, in order, where it is negative."""
    rows = np.where(origin < 0, len(old) + np.cumsum(origin < 0) - 1, origin)

    def column(name: str) -> np.ndarray:
        return np.concatenate((getattr(old, name), getattr(added, name)))[rows]

    def interned(values: str, name: str) -> tuple[list, np.ndarray]:
        both = {value: None for table in (old, added) for value in getattr(table, values)}
        place = {value: number for number, value in enumerate(both)}
        moved = [np.array([place[value] for value in getattr(table, values)], np.intp) for table in (old, added)]
        numbers = np.concatenate((moved[0][getattr(old, name)], moved[1][getattr(added, name)]))[rows]
        used, numbers = compacted(numbers, len(both))
        distinct = list(both)
        return [distinct[number] for number in used.tolist()], numbers

    columns = {name: np.concatenate((old.columns[name], added.columns[name]))[rows] for name in old.columns}
    stop_limits = np.union1d(old.stop_limits, added.stop_limits)
    used, stop_class = compacted(np.searchsorted(stop_limits, columns["max_stop_pips"]), len(stop_limits))
    programs, program = interned("programs", "program")
    news_chains, news_chain = interned("news_chains", "news_chain")
    expressions, expression = interned("expressions", "expression")
    is_same = len(keys) == len(old) and keys == old.keys
    return RouteTable(
        strategy_id=added.strategy_id,
        strategy=added.strategy,
        keys=keys,
        terms=terms,
        account=np.array(accounts, np.intp),
        programs=programs,
        program=program,
        news_chains=news_chains,
        news_chain=news_chain,
        expressions=expressions,
        expression=expression,
        stop_limits=stop_limits[used],
        stop_class=stop_class,
        columns=columns,
        key_hash=column("key_hash"),
        index=old.index if is_same else {key: row for row, key in enumerate(keys)},
    )


def compacted(numbers: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of `count` numbers occur, ascending, and every number as its place among those."""
    is_used = np.bincount(numbers, minlength=count) > 0
    return is_used.nonzero()[0], (np.cumsum(is_used) - 1)[numbers]


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
KINDS: dict[str, Any] = {
    "mode": np.intp,
    "reversed": bool,
    "force_tiny": bool,
    "pending_refusal": WORD,
    "buy_refusal": WORD,
    "sell_refusal": WORD,
    "removed_refusal": WORD,
    "removed_by_symbol": bool,
    "copy_stop_loss": bool,
    "copy_take_profit": bool,
    "correlations": np.uint8,
    "mode_level": WORD,
    "delay_level": WORD,
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
