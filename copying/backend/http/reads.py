"""What the API may ask the state: documents in creation order, signals, stopouts, accounts. Changes nothing.

Every function takes the caller's tenant and answers None (or an empty list) for what is not the caller's.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np

from copying.backend.risk.headroom import served_limit
from copying.backend.risk.limits import drawdowns, served
from copying.backend.settings.offers import marked, withheld, withheld_keys
from copying.backend.signals.plans import plan_for
from copying.backend.state.book import Book
from copying.backend.state.entities import OpenSignal, StoredSubscriber
from copying.backend.state.times import iso
from copying.backend.state.valuation import value
from copying.engine.model import Level
from copying.engine.timing import close_after
from copying.symbols.instruments import ACCOUNT_CURRENCIES

Document = dict[str, Any]
KIND_WORDS = ("market", "limit", "stop")
OWN_LEVELS = (Level.SUBSCRIPTION, Level.SUBSCRIBER)  # the others are terms of a provider, who may not offer them


def strategies(book: Book, tenant: str, *, include_removed: bool = False) -> list[Document]:
    """C2: with `_id`, `platformCommissionRate`; while winding down `removed` and `closeOnRemovalMode`."""
    return _strategies(book, tenant, False, include_removed)


def portfolios(book: Book, tenant: str, *, include_removed: bool = False) -> list[Document]:
    """C6."""
    return _strategies(book, tenant, True, include_removed)


def _strategies(book: Book, tenant: str, is_portfolio: bool, include_removed: bool) -> list[Document]:
    return [
        strategy.document
        for strategy in book.strategies_by_id.values()
        if strategy.tenant == tenant
        and strategy.is_portfolio == is_portfolio
        and (include_removed or not strategy.removal_mode)
    ]


def subscribers(book: Book, tenant: str, *, include_removed: bool = False) -> list[Document]:
    """C11: with `_id` and each subscription's `removed` flag."""
    hidden = withheld_keys(book)
    return [
        marked(subscriber, hidden)
        for subscriber in book.subscribers_by_id.values()
        if subscriber.tenant == tenant and (include_removed or not subscriber.removal_mode)
    ]


def strategy(book: Book, tenant: str, strategy_id: str) -> Document | None:
    """C3, also while it is winding down."""
    return _strategy(book, tenant, strategy_id, False)


def portfolio(book: Book, tenant: str, strategy_id: str) -> Document | None:
    """C7."""
    return _strategy(book, tenant, strategy_id, True)


def _strategy(book: Book, tenant: str, strategy_id: str, is_portfolio: bool) -> Document | None:
    stored = book.strategies_by_id.get(strategy_id)
    return stored.document if stored and stored.tenant == tenant and stored.is_portfolio == is_portfolio else None


def subscriber(book: Book, tenant: str, subscriber_id: str) -> Document | None:
    """C12."""
    stored = book.subscribers_by_id.get(subscriber_id)
    return marked(stored, withheld_keys(book)) if stored and stored.tenant == tenant else None


def knows_strategy(book: Book, strategy_id: str) -> bool:
    """True when a strategy or portfolio of anybody has this id (C1 must not hand it out)."""
    return strategy_id in book.strategies_by_id


def webhooks(book: Book, tenant: str, strategy_id: str) -> list[Document] | None:
    """C16: {_id, createdAt, magic?, symbolMapping?}; the API adds `url`. None: no such strategy of the caller."""
    if strategy(book, tenant, strategy_id) is None:
        return None
    return [
        {"_id": webhook.id, "createdAt": iso(webhook.created_at), **webhook.document}
        for webhook in book.webhooks_by_id.values()
        if webhook.strategy_id == strategy_id
    ]


def webhook(book: Book, webhook_id: str) -> tuple[str, str, Document] | None:
    """(tenant, strategy id, webhook) for the public post (S5)."""
    stored = book.webhooks_by_id.get(webhook_id)
    if stored is None:
        return None
    return stored.tenant, stored.strategy_id, {"_id": stored.id, "createdAt": iso(stored.created_at), **stored.document}


def external_signals(book: Book, tenant: str, strategy_id: str) -> list[Document] | None:
    """S2: active ones, oldest first."""
    if strategy(book, tenant, strategy_id) is None:
        return None
    return [
        {**signal.document, "id": signal.id, "volume": signal.volume}
        for signal in book.signals.values()
        if signal.strategy_id == strategy_id and not signal.ticket
    ]


def trading_signals(book: Book, tenant: str, subscriber_id: str) -> list[Document] | None:
    """S1: open signals of the strategies the subscriber copies, with its own volume and profit."""
    subscriber = book.subscribers_by_id.get(subscriber_id)
    if subscriber is None or subscriber.tenant != tenant:
        return None
    value(book)
    documents = []
    for signal in book.signals.values():
        table = plan_for(book, signal.strategy_id).table
        _, first, end = table.spans.get(subscriber_id, (None, 0, 0))
        account = book.account_rows.get(subscriber_id, -1)
        if first == end or account in signal.accounts:  # the signal came from there
            continue
        subscribed = {key.strategy_id for key in table.keys[first:end]}
        closes_only = _closes_only(book, subscriber, signal, subscribed)
        wanted = sum(terms.wanted_lots(signal.volume) for terms in table.terms[first:end])
        documents.append(_trading_signal(book, signal, account, closes_only, wanted))
    return documents


def _closes_only(book: Book, subscriber: StoredSubscriber, signal: OpenSignal, subscribed: set[str]) -> bool:
    """Whether nothing but closes of a signal is copied: by closeOnly, or because a part of the way is removed."""
    document = subscriber.document
    if document.get("closeOnly") or subscriber.removal_mode or book.strategies_by_id[signal.strategy_id].removal_mode:
        return True
    mine = [subscription for subscription in document["subscriptions"] if subscription["strategyId"] in subscribed]
    return all(subscription.get("closeOnly") or subscription.get("removed") for subscription in mine)


def _trading_signal(book: Book, signal: OpenSignal, account: int, closes_only: bool, wanted: float) -> Document:
    positions = book.positions
    mine = (positions.signal == signal.row) & (positions.account == account) & (positions.subscription >= 0)
    strategy = book.strategies_by_id[signal.strategy_id]
    document = {
        "strategy": {"id": strategy.id, "name": strategy.name},
        "positionId": signal.id,
        "time": iso(signal.time),
        "symbol": signal.symbol,
        "type": KIND_WORDS[signal.kind],
        "side": "buy" if signal.side > 0 else "sell",
        "openPrice": signal.price or None,  # 0: no price was known
        "stopLoss": signal.stop_loss,
        "takeProfit": signal.take_profit,
        "signalVolume": round(wanted, 8),
        "subscriberVolume": round(float(positions.volume[mine].sum()), 8),
        "subscriberProfit": round(float(positions.profit[mine].sum()), 2),
        "closeAfter": iso(close_after(strategy.document, signal.time)),
        "closeOnly": closes_only or None,
    }
    return {key: value for key, value in document.items() if value is not None}


def stopouts(book: Book, tenant: str, subscriber_id: str) -> list[Document] | None:
    """T2: active ones, oldest first (contract, 3.13)."""
    if subscriber(book, tenant, subscriber_id) is None:
        return None
    account = book.account_rows.get(subscriber_id)
    return [served(book, stopout) for stopout in book.active_stopouts if stopout.account == account]


def last_stopout(book: Book, tenant: str) -> int:
    """The highest stopout sequence number of the tenant."""
    return book.stopout_numbers.get(tenant, 0)


def last_account_snapshot(book: Book, tenant: str) -> int:
    """The highest account snapshot number of the tenant."""
    return book.snapshot_numbers.get(tenant, 0)


def account_information(book: Book, tenant: str, *, after: str = "", limit: int = 1000) -> list[Document]:
    """E1: ascending account id, ids greater than `after`."""
    value(book)
    ids = sorted(book.account_meta[row].id for row in book.accounts_of.get(tenant, ()))
    page = ids[bisect_right(ids, after) :][:limit] if after else ids[:limit]
    counts = np.bincount(book.positions.account, minlength=book.accounts.size)
    return [
        _account(book, book.account_rows[account_id], int(counts[book.account_rows[account_id]])) for account_id in page
    ]


def account(book: Book, tenant: str, account_id: str) -> Document | None:
    """E5: one row of E1."""
    row = _own_account(book, tenant, account_id)
    if row is None:
        return None
    value(book)
    return _account(book, row, int(np.count_nonzero(book.positions.account == row)))


def _own_account(book: Book, tenant: str, account_id: str) -> int | None:
    row = book.account_rows.get(account_id)
    return row if row is not None and book.account_meta[row].tenant == tenant else None


def _account(book: Book, row: int, positions: int) -> Document:
    meta, accounts = book.account_meta[row], book.accounts
    balance, equity, margin = (
        round(float(column[row]), 2) for column in (accounts.balance, accounts.equity, accounts.margin)
    )
    return {
        "accountId": meta.id,
        "name": meta.name,
        "currency": ACCOUNT_CURRENCIES[accounts.currency[row]],
        "balance": balance,
        "equity": equity,
        "margin": margin,
        "freeMargin": round(equity - margin, 2),
        "leverage": float(accounts.leverage[row]),
        "positions": positions,
        "demo": meta.demo,
        "simulated": True,
        "time": iso(book.time),
    }


def is_connected(book: Book, account_id: str) -> bool:
    """Whether an account reaches its broker; one that has never traded does."""
    row = book.account_rows.get(account_id)
    return row is None or bool(book.accounts.connected[row])


def account_positions(book: Book, tenant: str, account_id: str) -> list[Document] | None:
    """E5: open positions in the vendor's words (id, type, symbol, volume, openPrice, profit, swap, ...)."""
    row = _own_account(book, tenant, account_id)
    if row is None:
        return None
    value(book)
    return [position(book, place) for place in np.flatnonzero(book.positions.account == row).tolist()]


def position(book: Book, place: int) -> Document:
    """One open position; its profit is as of the last valuation."""
    positions = book.positions
    return {
        **_trade(book, positions, place),
        "type": "POSITION_TYPE_BUY" if positions.side[place] > 0 else "POSITION_TYPE_SELL",
        "profit": round(float(positions.profit[place]), 2),
        "swap": round(float(positions.swap[place]), 2),
        "commission": round(float(positions.commission[place]), 2),
    }


def account_orders(book: Book, tenant: str, account_id: str) -> list[Document] | None:
    """E5: pending orders."""
    row = _own_account(book, tenant, account_id)
    if row is None:
        return None
    orders = book.orders
    documents = []
    for place in np.flatnonzero(orders.account == row).tolist():
        side = "BUY" if orders.side[place] > 0 else "SELL"
        kind = f"ORDER_TYPE_{side}_{KIND_WORDS[orders.kind[place]].upper()}"
        documents.append({**_trade(book, orders, place), "type": kind})
    return documents


def _trade(book: Book, table: Any, place: int) -> Document:
    """What a position and an order have in common."""
    document = {
        "id": str(int(table.id[place])),
        "symbol": book.symbols.texts[table.symbol[place]],
        "volume": float(table.volume[place]),
        "openPrice": float(table.price[place]),
        "time": iso(float(table.time[place])),
        "magic": int(table.magic[place]),
    }
    for name, column in (("stopLoss", table.stop_loss), ("takeProfit", table.take_profit)):
        if not np.isnan(column[place]):
            document[name] = float(column[place])
    subscription = int(table.subscription[place])
    if subscription >= 0:
        document["strategyId"] = book.subscription_keys[subscription][1]
        document["sourceStrategyId"] = book.strategy_names.texts[table.leaf[place]]
        signal = book.signals.get(int(table.signal[place]))
        if signal:
            document["sourcePositionId"] = signal.id
    return document


def risk_limits(book: Book, tenant: str, *, after: str = "", limit: int = 1000) -> list[dict[str, Any]]:
    """E10: the tenant's accounts that have limits, by ascending id after `after`, each with all of its limits."""
    rows = book.limits
    own = {}
    for account in np.unique(rows.account).tolist():
        subscriber = book.subscribers_by_id.get(book.account_meta[account].id)
        if subscriber is not None and subscriber.tenant == tenant:
            own[subscriber.id] = account
    ids = sorted(own)
    page = ids[bisect_right(ids, after) :][:limit] if after else ids[:limit]
    if not page:
        return []
    drawdown, hidden = drawdowns(book), withheld(book)
    order = np.argsort(rows.account, kind="stable")
    accounts = rows.account[order]
    pages = []
    for account_id in page:
        account = own[account_id]
        mine = order[np.searchsorted(accounts, account) : np.searchsorted(accounts, account, side="right")]
        pages.append(
            {
                "accountId": account_id,
                "currency": ACCOUNT_CURRENCIES[book.accounts.currency[account]],
                "time": iso(book.time),
                "limits": [
                    served_limit(book, row, float(drawdown[row]))
                    for row in mine.tolist()
                    if rows.level[row] in OWN_LEVELS or int(rows.subscription[row]) not in hidden
                ],
            }
        )
    return pages
