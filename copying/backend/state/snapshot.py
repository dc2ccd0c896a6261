"""The book as bytes and back. A format number guards against reading another version's state."""

from __future__ import annotations

import msgspec
import numpy as np

from .book import Book
from .broker_port import Broker
from .columns import Columns
from .entities import (
    NEVER,
    AccountMeta,
    ActiveStopout,
    CalendarEvent,
    KeptAnswer,
    Missed,
    OpenSignal,
    Removal,
    StoredStrategy,
    StoredSubscriber,
    StoredWebhook,
)
from .parts import member_number
from .valuation import value

FORMAT = 1
UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, KeyError, IndexError)  # what `unpack` raises for no snapshot
_PLAIN = (
    "sequence",
    "time",
    "slippage_spreads",
    "counters",
    "tenant_names",
    "stopout_numbers",
    "snapshot_numbers",
    "snapshots_at",
    "strategy_owners",
    "next_midnight",
    "provider_balances",
    "quotes",
)
_TABLES = ("accounts", "subscriptions", "parts", "positions", "orders", "limits", "delayed", "results")
_OBJECTS = {
    "strategies_by_id": list[StoredStrategy],
    "subscribers_by_id": list[StoredSubscriber],
    "webhooks_by_id": list[StoredWebhook],
    "account_meta": list[AccountMeta],
    "signals": list[OpenSignal],
    "active_stopouts": list[ActiveStopout],
    "removals": list[Removal],
    "missed": list[Missed],
}


def pack(book: Book) -> bytes:
    """The state as msgpack, valued at its prices; caches are left out."""
    value(book)
    state = {name: getattr(book, name) for name in _PLAIN}
    for name in _OBJECTS:
        objects = getattr(book, name)
        state[name] = list(objects.values()) if isinstance(objects, dict) else objects
    for name in _TABLES:
        table: Columns = getattr(book, name)
        state[name] = {"size": table.size, "columns": table.pack()}
    state["broker_ahead"], state["next_broker_midnight"] = book.broker_ahead, book.next_broker_midnight
    state["privacy"], state["reserved"], state["secret"] = book.privacy, book.reserved, book.secret
    state["results_since"] = book.results_since
    state["subscription_keys"] = book.subscription_keys
    state["strategy_names"] = book.strategy_names.texts
    state["symbols"] = book.symbols.texts
    state["paths"] = book.paths.texts
    state["news"] = book.news
    state["kept"] = book.kept
    state["ended_signals"] = list(book.ended_signals.items())
    state["closed_signals"] = [(*key, moment) for key, moment in book.closed_signals.items()]
    return msgspec.msgpack.encode(state)


def unpack(packed: bytes, broker: Broker[Book]) -> Book:
    """The book of `pack`, with the broker that executes for it from now on."""
    state = msgspec.msgpack.decode(packed)
    book = Book(broker)
    for name in _PLAIN:
        setattr(book, name, state[name])
    book.provider_balances = {key: [tuple(pair) for pair in pairs] for key, pairs in state["provider_balances"].items()}
    book.strategy_names = type(book.strategy_names)(state["strategy_names"])
    book.symbols = type(book.symbols)(state["symbols"])
    book.paths = type(book.paths)(state.get("paths", []))
    objects = {name: msgspec.convert(state[name], kind) for name, kind in _OBJECTS.items() if name in state}
    book.strategies_by_id = {strategy.id: strategy for strategy in objects["strategies_by_id"]}
    book.subscribers_by_id = {subscriber.id: subscriber for subscriber in objects["subscribers_by_id"]}
    book.webhooks_by_id = {webhook.id: webhook for webhook in objects["webhooks_by_id"]}
    book.account_meta = objects["account_meta"]
    book.account_rows = {meta.id: row for row, meta in enumerate(book.account_meta) if meta.tenant}
    for row, meta in enumerate(book.account_meta):
        if meta.tenant:
            book.accounts_of.setdefault(meta.tenant, {})[row] = None
    book.deployments = {row: meta.state_ends for row, meta in enumerate(book.account_meta) if meta.state_ends < NEVER}
    book.signals = {signal.row: signal for signal in objects["signals"]}
    book.signal_rows = {(signal.strategy_id, signal.id): signal.row for signal in book.signals.values()}
    book.chained = {signal.row: None for signal in book.signals.values() if signal.source >= 0}
    book.active_stopouts = objects["active_stopouts"]
    book.removals = objects["removals"]
    book.missed = objects.get("missed", [])
    book.broker_ahead = state.get("broker_ahead", 0.0)
    book.next_broker_midnight = state.get("next_broker_midnight", book.next_midnight)
    book.privacy, book.reserved = state.get("privacy", 0), state.get("reserved", {})
    book.secret = state.get("secret", b"")
    book.results_since = state.get("results_since", book.time)
    book.news = msgspec.convert(state.get("news", {}), dict[str, list[CalendarEvent]])
    book.kept = msgspec.convert(state.get("kept", {}), dict[str, dict[str, KeptAnswer]])
    book.ended_signals = dict(state.get("ended_signals", ()))
    book.subscription_keys = [tuple(key) for key in state["subscription_keys"]]
    book.subscription_rows = {key: row for row, key in enumerate(book.subscription_keys)}
    book.closed_signals = {(strategy, signal): moment for strategy, signal, moment in state["closed_signals"]}
    for name in _TABLES:
        if name in state:
            getattr(book, name).unpack(state[name]["columns"], state[name]["size"])
    keys = zip(book.parts.subscription.tolist(), book.parts.path.tolist(), strict=True)
    book.part_rows = {key: row for row, key in enumerate(keys)}
    for row in np.flatnonzero(book.parts.member < 0).tolist():  # of a snapshot from before members were kept
        book.parts.member[row] = member_number(book, book.paths.texts[book.parts.path[row]])
    quotes = {symbol: tuple(pair) for symbol, pair in state["quotes"].items()}
    book.quotes = {}
    book.set_quotes(quotes)
    return book
