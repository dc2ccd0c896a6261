"""Failed decisions: what the routes of accounts that an entry is carried out without are told (core/faults.py)."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.effects import Decided, Effects
from copying.backend.state.entities import OpenSignal
from copying.backend.state.left_out import left_out_ids
from copying.engine.model import Decisions, Level, Outcome, Step
from copying.engine.reasons import Reason
from copying.engine.routes import walk_branches

from .plans import configuration


def tell_routes(book: Book, effects: Effects, signal: OpenSignal) -> None:
    """A failed decision for every subscription by which an account that is left out copies the signal's strategy."""
    rows = []
    for account_id in left_out_ids(book):
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
