"""The terms that hold for stops of open copies when their provider moves or removes its own (engine.held_stops)."""

from __future__ import annotations

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.entities import OpenSignal
from copying.backend.state.tables import TradeTable
from copying.backend.state.valuation import profit_rates
from copying.engine.held_stops import held_stops

from .plans import Plan, plan_for

KEEPS_STOP = 1  # entries of these rules and later keep a stop under maxStopLoss (commands.NEWEST_RULES)


def within_terms(book: Book, signal: OpenSignal, table: TradeTable, rows: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """(n,) new stops of some copies of a signal, each within the terms of its own route.

    Copies whose route is gone follow the provider alone.
    """
    plan = plan_for(book, signal.strategy_id)
    route = routes_of(book, plan, table.subscription[rows], table.part[rows])
    columns, known = plan.table.columns, route >= 0
    if not len(columns):
        return stop
    pips = np.where(known, columns["max_stop_pips"][route], np.inf)
    risk = np.where(known, columns["max_trade_risk"][route], np.nan)
    if np.isinf(pips).all() and np.isnan(risk).all():
        return stop
    symbol, account = table.symbol[rows], table.account[rows]
    return held_stops(
        table.side[rows],
        table.price[rows],
        stop,
        table.volume[rows],
        profit_rates(book, symbol, account),
        book.accounts.balance[account],
        pips,
        risk,
        book.symbol_facts()[symbol, 3],
        keeps_stop=book.rules >= KEEPS_STOP,
    )


def routes_of(book: Book, plan: Plan, subscription: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(n,) the routes by which copies came, -1 where there is none any more."""
    of_subscription, of_part = np.full(book.subscriptions.size + 1, -1), np.full(book.parts.size + 2, -1)
    of_subscription[plan.subscription[::-1]] = np.arange(len(plan.table))[::-1]
    of_part[plan.part] = np.arange(len(plan.table))
    return np.where(part >= 0, of_part[part], of_subscription[subscription])
