"""From configuration to records: every path from one leaf strategy to a subscriber, compiled when configuration
changes.

A route table holds everything about the routes that does not depend on a signal. What depends only on a signal's
symbol, side and kind is derived once and kept in the table's views (`views.py`), so that a decision is one pass over
records.
"""

from __future__ import annotations

import hashlib
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from copying.engine.compiled import record
from copying.engine.fold import CopyTerms, Document
from copying.engine.model import Level
from copying.engine.offers import Owners, first_withheld
from copying.engine.reasons import WORD, Reason, refusal

MAX_DEPTH = 8  # portfolios in portfolios (contract, section 8, 41)

ROUTE = record(
    amount="f8",
    scaling_multiplier="f8",
    max_volume="f8",
    min_volume="f8",
    max_risk_coefficient="f8",
    max_stop_pips="f8",
    reserved_margin="f8",
    mode="u1",
    force_tiny="?",
    copy_stop_loss="?",
    copy_take_profit="?",
    correlations="u1",
    mode_level="u1",
    max_volume_level="u1",
    min_volume_level="u1",
    max_trade_risk="f8",
    max_leverage="f8",
    min_amount="f8",
    delay_min_s="f8",
    delay_max_s="f8",
    key_hash="u8",
    max_trade_risk_level="u1",
    max_leverage_level="u1",
    correlations_level="u1",
    delay_level="u1",
    news_chain="i4",
    reads_levels="?",
)
"""What a decision reads of a route, by the names and in the units of `CopyTerms`. news_chain: into `news_chains`."""

GATE = record(
    pending_refusal=WORD,
    buy_refusal=WORD,
    sell_refusal=WORD,
    removed_refusal=WORD,
    removed_by_symbol="?",
    close_only_refusal=WORD,
    close_only_by_symbol="?",
    reversed="?",
    program="i4",
    formula="i4",
    multiplier="f8",
)
"""What views are made of. program: into `programs`; formula: into `expressions`."""


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
    """Raw documents by id, in creation order. Removed ones are included while they are wound down.

    owners: None where nobody asks for consent: everything may be copied.
    """

    strategies: Mapping[str, Document]
    portfolios: Mapping[str, Document]
    subscribers: Mapping[str, Document]
    owners: Owners | None = None

    def may_copy(self, path: Sequence[str], tenant: str) -> bool:
        """Whether everything on a way is offered to a tenant."""
        if self.owners is None:
            return True
        documents: Mapping[str, Document]
        documents = ChainMap(self.strategies, self.portfolios)  # type: ignore[arg-type]  # only read
        return first_withheld(path, tenant, documents, self.owners.strategies) is None


class Branch(NamedTuple):
    """A way from the leaf to something that can be subscribed to."""

    strategy_id: str
    path: tuple[str, ...]
    terms: CopyTerms
    documents: tuple[Document, ...]


@dataclass(slots=True)
class RouteTable:
    """All routes of one leaf strategy, a record each.

    strategy: the leaf's document. account: (n,) row in `Accounts`, -1 unknown. columns: (n,) `ROUTE`. gates: (n,)
    `GATE`. programs: distinct chains of symbol filters and mappings.
    """

    strategy_id: str
    strategy: Document
    keys: list[RouteKey]
    terms: list[CopyTerms]
    account: np.ndarray
    columns: np.ndarray
    gates: np.ndarray
    programs: list[tuple[tuple[Level, bytes], ...]]
    news_chains: list[tuple[tuple[Level, bytes], ...]]
    expressions: list[str]
    index: dict[RouteKey, int]
    views: dict[tuple[Any, ...], Any] = field(default_factory=dict)
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
    rows = collect_rows(configuration, branches, previous)
    accounts = [account_rows.get(key.subscriber_id, -1) for key in rows.keys]
    strategy = configuration.strategies[strategy_id]
    if previous is not None and strategy is previous.strategy and rows.are_all_of(previous, accounts):
        previous.spans = rows.spans
        return previous
    keys, terms = rows.keys, rows.terms
    fresh = [row for row, source in enumerate(rows.origin) if source < 0]
    if previous is None or len(fresh) == len(keys):
        table = build_table(strategy_id, strategy, keys, terms, accounts)
    else:
        added = build_table(strategy_id, strategy, [keys[row] for row in fresh], [terms[row] for row in fresh], [])
        table = merge_tables(previous, added, keys, terms, accounts, np.array(rows.origin, np.intp))
    table.branches, table.spans = branches, rows.spans
    return table


@dataclass(slots=True)
class CollectedRows:
    """What a table will consist of. origin: rows in the previous table, -1 for new ones."""

    keys: list[RouteKey] = field(default_factory=list)
    terms: list[CopyTerms] = field(default_factory=list)
    origin: list[int] = field(default_factory=list)
    spans: dict[str, tuple[Document, int, int]] = field(default_factory=dict)

    def take_over(self, previous: RouteTable | None, first: int, end: int) -> None:
        """Rows of the table before, in one piece."""
        if previous is not None and first < end:
            self.keys.extend(previous.keys[first:end])
            self.terms.extend(previous.terms[first:end])
            self.origin.extend(range(first, end))

    def are_all_of(self, previous: RouteTable, accounts: list[int]) -> bool:
        """Whether nothing is new, gone or moved."""
        return self.origin == list(range(len(previous))) and accounts == previous.account.tolist()


def collect_rows(
    configuration: Configuration, branches: dict[str, list[Branch]], previous: RouteTable | None
) -> CollectedRows:
    """The routes of every subscriber, with neighbours that are taken over in one piece."""
    rows = CollectedRows()
    keys, terms, origin, spans = rows.keys, rows.terms, rows.origin, rows.spans
    known = previous.spans if previous is not None and same_branches(previous.branches, branches) else {}
    by_tenant: dict[str, dict[str, list[Branch]]] = {}
    first_kept = end_kept = count = 0  # the first two: the rows of the previous table that are next to be taken over
    for subscriber_id, subscriber in configuration.subscribers.items():
        span = known.get(subscriber_id)
        if span is not None and span[0] is subscriber:
            _, first, end = span
            if first != end_kept:
                rows.take_over(previous, first_kept, end_kept)
                first_kept = first
            end_kept = end
            spans[subscriber_id] = span if first == count else (subscriber, count, count + end - first)
            count += end - first
            continue
        rows.take_over(previous, first_kept, end_kept)
        first_kept = end_kept
        own = routes_of(subscriber_id, subscriber, offered(branches, configuration, subscriber_id, by_tenant))
        keys += own
        terms += own.values()
        origin += [-1] * len(own)
        spans[subscriber_id] = (subscriber, count, len(keys))
        count = len(keys)
    rows.take_over(previous, first_kept, end_kept)
    return rows


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


def offered(
    branches: dict[str, list[Branch]],
    configuration: Configuration,
    subscriber_id: str,
    by_tenant: dict[str, dict[str, list[Branch]]],
) -> dict[str, list[Branch]]:
    """The branches that a subscriber's owner may copy. by_tenant: what was worked out before."""
    if configuration.owners is None:
        return branches
    tenant = configuration.owners.subscribers.get(subscriber_id, "")
    if tenant not in by_tenant:
        by_tenant[tenant] = {
            name: [branch for branch in some if configuration.may_copy(branch.path, tenant)]
            for name, some in branches.items()
        }
    return by_tenant[tenant]


def routes_of(subscriber_id: str, subscriber: Document, branches: dict[str, list[Branch]]) -> dict[RouteKey, CopyTerms]:
    """The routes that end at one subscriber."""
    routes: dict[RouteKey, CopyTerms] = {}
    for subscription in subscriber.get("subscriptions") or ():
        for branch in branches.get(subscription["strategyId"], ()):
            key = RouteKey(subscriber_id, branch.strategy_id, branch.path)
            if key not in routes:
                routes[key] = branch.terms.at(Level.SUBSCRIPTION, subscription).at(Level.SUBSCRIBER, subscriber)
    return routes


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
    waiting = [Branch(strategy_id, (strategy_id,), CopyTerms().at(Level.STRATEGY, leaf), (leaf,))]
    while waiting:
        branch = waiting.pop(0)
        yield branch
        for portfolio_id, name, member, portfolio in parents.get(branch.strategy_id, ()):
            owner = configuration.owners.strategies.get(portfolio_id, "") if configuration.owners else ""
            if not configuration.may_copy(branch.path, owner):
                continue
            visited = {part.partition("#")[0] for part in branch.path}
            if portfolio_id in visited or len(branch.path) > MAX_DEPTH:
                continue
            terms = branch.terms.at(Level.MEMBER, member).at(Level.PORTFOLIO, portfolio)
            path = (*branch.path[:-1], name, portfolio_id)
            waiting.append(Branch(portfolio_id, path, terms, (*branch.documents, member, portfolio)))


def same_objects(first: Sequence[object], second: Sequence[object]) -> bool:
    """Whether both hold the identical objects."""
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))


def build_table(
    strategy_id: str, strategy: Document, keys: list[RouteKey], terms: list[CopyTerms], accounts: list[int]
) -> RouteTable:
    """Terms turned into records; what many routes share is interned."""
    columns, gates = records_of(ROUTE, terms), records_of(GATE, terms)
    columns["key_hash"] = [hash_key(key) for key in keys]
    close_only = [refusal(Reason.CLOSE_ONLY, route.close_only_level) if route.close_only else 0 for route in terms]
    gates["close_only_refusal"] = close_only
    gates["close_only_by_symbol"] = [route.close_only == "by-symbol" for route in terms]
    programs: dict[tuple[tuple[Level, bytes], ...], int] = {}
    news_chains: dict[tuple[tuple[Level, bytes], ...], int] = {}
    expressions: dict[str, int] = {}
    gates["program"] = [programs.setdefault(route.symbol_steps, len(programs)) for route in terms]
    columns["news_chain"] = [news_chains.setdefault(route.news_filters, len(news_chains)) for route in terms]
    gates["formula"] = [expressions.setdefault(route.expression, len(expressions)) for route in terms]
    return RouteTable(
        strategy_id=strategy_id,
        strategy=strategy,
        keys=keys,
        terms=terms,
        account=np.array(accounts, np.intp),
        columns=columns,
        gates=gates,
        programs=list(programs),
        news_chains=list(news_chains),
        expressions=list(expressions),
        index={key: row for row, key in enumerate(keys)},
    )


def records_of(kind: np.dtype, terms: list[CopyTerms]) -> np.ndarray:
    """Terms as records; fields that `CopyTerms` has not are 0."""
    records = np.zeros(len(terms), kind)
    for name in set(kind.names or ()) & set(CopyTerms.__slots__):
        records[name] = [getattr(route, name) for route in terms]
    return records


def merge_tables(
    old: RouteTable,
    added: RouteTable,
    keys: list[RouteKey],
    terms: list[CopyTerms],
    accounts: list[int],
    origin: np.ndarray,
) -> RouteTable:
    """A table of rows of `old` where `origin` says which, and of `added`, in order, where it is negative."""
    rows = np.where(origin < 0, len(old) + np.cumsum(origin < 0) - 1, origin)
    columns, gates = (np.concatenate((getattr(old, name), getattr(added, name)))[rows] for name in ("columns", "gates"))

    def interned(values: str, records: np.ndarray, name: str) -> list[Any]:
        both = list(dict.fromkeys([*getattr(old, values), *getattr(added, values)]))
        place = {value: number for number, value in enumerate(both)}
        moved = np.array([place[value] for value in (*getattr(old, values), *getattr(added, values))], np.intp)
        is_added = origin < 0
        used, records[name] = compacted(moved[records[name] + len(getattr(old, values)) * is_added], len(both))
        return [both[number] for number in used.tolist()]

    is_same = len(keys) == len(old) and keys == old.keys
    return RouteTable(
        strategy_id=added.strategy_id,
        strategy=added.strategy,
        keys=keys,
        terms=terms,
        account=np.array(accounts, np.intp),
        columns=columns,
        gates=gates,
        programs=interned("programs", gates, "program"),
        news_chains=interned("news_chains", columns, "news_chain"),
        expressions=interned("expressions", gates, "formula"),
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
