"""What is written down of every signal so that it can be decided again later (simulation/run.py).

And what the routes of accounts are told that an entry is carried out without (core/faults.py).

Decisions say what was decided; a simulation also needs what the decision knew: prices, the money of the provider and of
every account that was asked, stopouts and news. All of it is of the moment of the signal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.effects import Decided, Effects, SignalEvent
from copying.backend.state.entities import OpenSignal
from copying.engine import model
from copying.engine.model import Decisions, Level, Outcome, Step
from copying.engine.reasons import Reason
from copying.engine.routes import walk_branches

from .plans import Plan, configuration

MONEY = ("balance", "equity", "margin", "position_value")
FEW = 8


class RecordedFacts(msgspec.Struct, array_like=True):
    """accounts: rows of the book as int32; money: float64 columns of `MONEY` over them, one after another.

    stopouts: (account row, strategy id or "", level). news: (time, currency, priority, is_breaking). barred: rows of
    accounts that the signal came through. scopes: of the stopouts, the end of the path of a member's, else "".
    """

    provider_balance: float
    provider_equity: float
    provider_rate: float  # US dollars for one unit of the provider's currency
    accounts: bytes
    money: bytes
    stopouts: list[tuple[int, str, int]]
    news: list[tuple[float, str, str, bool]]
    barred: list[int] = []
    scopes: list[str] = []


def record(book: Book, effects: Effects, signal: OpenSignal, what: str, facts: Any = None) -> None:
    """Tell what happened to a signal."""
    strategy = book.strategies_by_id.get(signal.strategy_id)
    effects.events.append(
        SignalEvent(
            time=book.time,
            what=what,
            row=signal.row,
            signal_id=signal.id,
            strategy_id=signal.strategy_id,
            symbol=signal.symbol,
            side=signal.side,
            kind=signal.kind,
            volume=signal.volume,
            price=signal.price,
            stop_loss=signal.stop_loss,
            take_profit=signal.take_profit,
            magic=signal.magic,
            quotes=dict(book.quotes),
            tenant=strategy.tenant if strategy else "",
            facts=facts,
        )
    )


@dataclass(slots=True)
class Noted:
    """What the engine was told at one moment, in a form that can be kept; made while an order waits, packed later.

    few: `Facts` without accounts and money. account: (n_routes,) rows, -1 for none. columns: `MONEY`, by account row,
    or by route where the routes are few among the accounts.
    """

    few: RecordedFacts
    account: np.ndarray
    columns: list[np.ndarray]
    is_by_route: bool

    def packed(self) -> RecordedFacts:
        """All of it."""
        known = self.account >= 0
        rows = self.account[known]
        money = b"".join((column[known] if self.is_by_route else column[rows]).tobytes() for column in self.columns)
        return msgspec.structs.replace(self.few, accounts=rows.astype(np.int32).tobytes(), money=money)


def note_facts(book: Book, plan: Plan, signal: OpenSignal, facts: model.Facts) -> Noted:
    """What the engine is told. Prices are in the event.

    Whole columns are copied unless that is much more than the routes need: picking ten thousand numbers out of memory
    that has gone cold takes ten times as long.
    """
    columns = [getattr(book.accounts, name) for name in MONEY]
    is_by_route = len(plan.account) * FEW < book.accounts.size
    few = RecordedFacts(
        facts.provider_balance,
        facts.provider_equity,
        facts.provider_balance_base / facts.provider_balance if facts.provider_balance else 0.0,
        b"",
        b"",
        [
            (
                stopout.account,
                book.subscription_keys[stopout.subscription][1] if stopout.subscription >= 0 else "",
                stopout.level,
            )
            for stopout in book.active_stopouts
        ],
        [(event.time, event.currency, event.priority, event.is_breaking) for event in facts.news],
        signal.accounts,
        [book.paths.texts[stopout.scope] if stopout.scope >= 0 else "" for stopout in book.active_stopouts],
    )
    picked = [column[plan.account] if is_by_route else column.copy() for column in columns]
    return Noted(few, plan.account, picked, is_by_route)


# ----------------------------------------------------------------------------------- accounts that are left out
def tell_routes(book: Book, effects: Effects, signal: OpenSignal) -> None:
    """A failed decision for every subscription by which an account that is left out copies the signal's strategy."""
    rows = []
    for account_id in book.left_out_ids():
        subscriber = book.subscribers_by_id.get(account_id)
        if subscriber is None:
            continue
        ways = ways_to(book, signal.strategy_id, subscriber.tenant)
        rows += [
            book.subscription(account_id, subscription["strategyId"])
            for subscription in subscriber.document["subscriptions"]
            if subscription["strategyId"] in ways
        ]
    rows = [row for row in rows if row >= 0]
    if rows:
        shown = msgspec.structs.replace(signal)
        leaf, count = book.strategy_names.number(signal.strategy_id), len(rows)
        decisions = failed(signal, count)
        effects.events.append(
            Decided(book.time, shown, decisions, np.arange(count), np.array(rows, dtype=np.intp), leaf, False)
        )


def failed(signal: OpenSignal, count: int) -> Decisions:
    """Decisions of routes that a fault kept from being decided."""
    steps = np.zeros((count, len(Step)))
    steps[:, Step.PROVIDER] = signal.volume
    return Decisions(
        outcome=np.full(count, Outcome.FAILED, np.uint8),
        reason=np.full(count, Reason.PROGRAM_FAULT, np.uint8),
        level=np.full(count, Level.SUBSCRIBER, np.uint8),
        steps=steps,
        limit_value=np.full(count, math.nan),
        symbols=[signal.symbol],
        symbol=np.zeros(count, np.intp),
        side=np.full(count, signal.side, np.int8),
        kind=np.full(count, signal.kind, np.uint8),
        stop_loss=np.full(count, math.nan),
        take_profit=np.full(count, math.nan),
        delay_s=np.zeros(count),
        notes=np.zeros(count, np.uint8),
    )


def ways_to(book: Book, leaf: str, tenant: str) -> set[str]:
    """What a tenant may subscribe to so that signals of the leaf reach it: the leaf, and portfolios above it."""
    documents = configuration(book)
    return {way.strategy_id for way in walk_branches(leaf, documents) if documents.may_copy(way.path, tenant)}
