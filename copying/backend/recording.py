"""What is written down of every signal so that it can be decided again later (simulation.py).

Decisions say what was decided; a simulation also needs what the decision knew: prices, the money of the provider and of
every account that was asked, stopouts and news. All of it is of the moment of the signal.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from copying.engine import model

from .book import Book
from .effects import Effects, SignalEvent
from .news import events_near
from .routing import Plan
from .state import Signal

MONEY = ("balance", "equity", "margin", "position_value")


class Facts(msgspec.Struct, array_like=True):
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


def record(book: Book, effects: Effects, signal: Signal, what: str, facts: Any = None) -> None:
    """Tell what happened to a signal."""
    strategy = book.strategies_by_id.get(signal.strategy_id)
    effects.told.append(
        SignalEvent(
            book.time, strategy.tenant if strategy else "", what, signal.row, signal.id, signal.strategy_id,
            signal.symbol, signal.side, signal.kind, signal.volume, signal.price, signal.stop_loss,
            signal.take_profit, signal.magic, dict(book.quotes), facts,
        )
    )  # fmt: skip


def facts_of(book: Book, plan: Plan, signal: Signal, facts: model.Facts) -> Facts:
    """What the engine is told, in a form that can be kept, and news also where no filter asks for them yet. Prices are
    in the event.
    """
    rows = plan.account[plan.account >= 0]
    columns = book.accounts
    events = events_near(book, book.strategies_by_id[signal.strategy_id].tenant, book.time)
    rate = facts.provider_balance_base / facts.provider_balance if facts.provider_balance else 0.0
    return Facts(
        facts.provider_balance,
        facts.provider_equity,
        rate,
        rows.astype(np.int32).tobytes(),
        b"".join(getattr(columns, name).take(rows).data for name in MONEY),
        [
            (each.account, book.subscription_keys[each.subscription][1] if each.subscription >= 0 else "", each.level)
            for each in book.active_stopouts
        ],
        [(each.time, each.currency, each.priority, each.is_breaking) for each in events],
        signal.accounts,
        [book.paths.texts[each.scope] if each.scope >= 0 else "" for each in book.active_stopouts],
    )
