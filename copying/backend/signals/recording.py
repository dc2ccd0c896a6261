"""What is written down of every signal so that it can be decided again later (simulation.py).

Decisions say what was decided; a simulation also needs what the decision knew: prices, the money of the provider and of
every account that was asked, stopouts and news. All of it is of the moment of the signal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.effects import Effects, SignalEvent
from copying.backend.state.entities import OpenSignal
from copying.engine import model

from .plans import Plan

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
