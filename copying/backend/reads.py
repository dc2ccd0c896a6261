"""What the API may ask the state: documents in creation order, signals, stopouts, accounts. Changes nothing.

Every method takes the caller's tenant and answers None (or an empty list) for what is not the caller's.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np

from copying.engine.timing import close_after

from .limits import iso, served
from .offers import marked, withheld_keys
from .pricing import value
from .state import ACCOUNT_CURRENCIES

if TYPE_CHECKING:
    from .book import Book
    from .state import Signal, Subscriber

Document = dict[str, Any]
KIND_WORDS = ("market", "limit", "stop")


class Reads:
    """Mixed into Book."""

    def strategies(self: Book, tenant: str, *, include_removed: bool = False) -> list[Document]:
        """C2: with `_id`, `platformCommissionRate`; while winding down `removed` and `closeOnRemovalMode`."""
        return self._strategies(tenant, False, include_removed)

    def portfolios(self: Book, tenant: str, *, include_removed: bool = False) -> list[Document]:
        """C6."""
        return self._strategies(tenant, True, include_removed)

    def _strategies(self: Book, tenant: str, is_portfolio: bool, include_removed: bool) -> list[Document]:
        return [
            each.document
            for each in self.strategies_by_id.values()
            if each.tenant == tenant
            and each.is_portfolio == is_portfolio
            and (include_removed or not each.removal_mode)
        ]

    def subscribers(self: Book, tenant: str, *, include_removed: bool = False) -> list[Document]:
        """C11: with `_id` and each subscription's `removed` flag."""
        hidden = withheld_keys(self)
        return [
            marked(each, hidden)
            for each in self.subscribers_by_id.values()
            if each.tenant == tenant and (include_removed or not each.removal_mode)
        ]

    def strategy(self: Book, tenant: str, strategy_id: str) -> Document | None:
        """C3, also while it is winding down."""
        return self._strategy(tenant, strategy_id, False)

    def portfolio(self: Book, tenant: str, strategy_id: str) -> Document | None:
        """C7."""
        return self._strategy(tenant, strategy_id, True)

    def _strategy(self: Book, tenant: str, strategy_id: str, is_portfolio: bool) -> Document | None:
        found = self.strategies_by_id.get(strategy_id)
        return found.document if found and found.tenant == tenant and found.is_portfolio == is_portfolio else None

    def subscriber(self: Book, tenant: str, subscriber_id: str) -> Document | None:
        """C12."""
        found = self.subscribers_by_id.get(subscriber_id)
        return marked(found, withheld_keys(self)) if found and found.tenant == tenant else None

    def knows_strategy(self: Book, strategy_id: str) -> bool:
        """True when a strategy or portfolio of anybody has this id (C1 must not hand it out)."""
        return strategy_id in self.strategies_by_id

    def webhooks(self: Book, tenant: str, strategy_id: str) -> list[Document] | None:
        """C16: {_id, createdAt, magic?, symbolMapping?}; the API adds `url`. None: no such strategy of the caller."""
        if self.strategy(tenant, strategy_id) is None:
            return None
        return [
            {"_id": each.id, "createdAt": iso(each.created_at), **each.document}
            for each in self.webhooks_by_id.values()
            if each.strategy_id == strategy_id
        ]

    def webhook(self: Book, webhook_id: str) -> tuple[str, str, Document] | None:
        """(tenant, strategy id, webhook) for the public post (S5)."""
        found = self.webhooks_by_id.get(webhook_id)
        if found is None:
            return None
        return found.tenant, found.strategy_id, {"_id": found.id, "createdAt": iso(found.created_at), **found.document}

    def external_signals(self: Book, tenant: str, strategy_id: str) -> list[Document] | None:
        """S2: active ones, oldest first."""
        if self.strategy(tenant, strategy_id) is None:
            return None
        return [
            {**signal.document, "id": signal.id, "volume": signal.volume}
            for signal in self.signals.values()
            if signal.strategy_id == strategy_id and not signal.ticket
        ]

    def trading_signals(self: Book, tenant: str, subscriber_id: str) -> list[Document] | None:
        """S1: open signals of the strategies the subscriber copies, with its own volume and profit."""
        subscriber = self.subscribers_by_id.get(subscriber_id)
        if subscriber is None or subscriber.tenant != tenant:
            return None
        from .routing import plan_for

        value(self)
        found = []
        for signal in self.signals.values():
            table = plan_for(self, signal.strategy_id).table
            _, first, end = table.spans.get(subscriber_id, (None, 0, 0))
            account = self.account_rows.get(subscriber_id, -1)
            if first == end or account in signal.accounts:  # the signal came from there
                continue
            subscribed = {key.strategy_id for key in table.keys[first:end]}
            closes_only = self._closes_only(subscriber, signal, subscribed)
            wanted = sum(each.wanted_lots(signal.volume) for each in table.terms[first:end])
            found.append(self._trading_signal(signal, account, closes_only, wanted))
        return found

    def _closes_only(self: Book, subscriber: Subscriber, signal: Signal, subscribed: set[str]) -> bool:
        """Whether nothing but closes of a signal is copied: by closeOnly, or because a part of the way is removed."""
        document = subscriber.document
        if (
            document.get("closeOnly")
            or subscriber.removal_mode
            or self.strategies_by_id[signal.strategy_id].removal_mode
        ):
            return True
        mine = [each for each in document["subscriptions"] if each["strategyId"] in subscribed]
        return all(each.get("closeOnly") or each.get("removed") for each in mine)

    def _trading_signal(self: Book, signal: Signal, account: int, closes_only: bool, wanted: float) -> Document:
        positions = self.positions
        mine = (positions.signal == signal.row) & (positions.account == account) & (positions.subscription >= 0)
        strategy = self.strategies_by_id[signal.strategy_id]
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
        return {key: each for key, each in document.items() if each is not None}

    def stopouts(self: Book, tenant: str, subscriber_id: str) -> list[Document] | None:
        """T2: active ones, oldest first (contract, 3.13)."""
        if self.subscriber(tenant, subscriber_id) is None:
            return None
        account = self.account_rows.get(subscriber_id)
        return [served(self, each) for each in self.active_stopouts if each.account == account]

    def last_stopout(self: Book, tenant: str) -> int:
        """The highest stopout sequence number of the tenant."""
        return self.stopout_numbers.get(tenant, 0)

    def last_account_snapshot(self: Book, tenant: str) -> int:
        """The highest account snapshot number of the tenant."""
        return self.snapshot_numbers.get(tenant, 0)

    def account_information(self: Book, tenant: str, *, after: str = "", limit: int = 1000) -> list[Document]:
        """E1: ascending account id, ids greater than `after`."""
        value(self)
        ids = sorted(meta.id for meta in self.account_meta if meta.tenant == tenant)
        page = ids[bisect_right(ids, after) :][:limit] if after else ids[:limit]
        counts = np.bincount(self.positions.account, minlength=self.accounts.size)
        return [
            self._account(self.account_rows[account_id], int(counts[self.account_rows[account_id]]))
            for account_id in page
        ]

    def account(self: Book, tenant: str, account_id: str) -> Document | None:
        """E5: one row of E1."""
        row = self._own_account(tenant, account_id)
        if row is None:
            return None
        value(self)
        return self._account(row, int(np.count_nonzero(self.positions.account == row)))

    def _own_account(self: Book, tenant: str, account_id: str) -> int | None:
        row = self.account_rows.get(account_id)
        return row if row is not None and self.account_meta[row].tenant == tenant else None

    def _account(self: Book, row: int, positions: int) -> Document:
        meta, accounts = self.account_meta[row], self.accounts
        balance, equity, margin = (
            round(float(each[row]), 2) for each in (accounts.balance, accounts.equity, accounts.margin)
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
            "time": iso(self.time),
        }

    def is_connected(self: Book, account_id: str) -> bool:
        """Whether an account reaches its broker; one that has never traded does."""
        row = self.account_rows.get(account_id)
        return row is None or bool(self.accounts.connected[row])

    def account_positions(self: Book, tenant: str, account_id: str) -> list[Document] | None:
        """E5: open positions in the vendor's words (id, type, symbol, volume, openPrice, profit, swap, ...)."""
        row = self._own_account(tenant, account_id)
        if row is None:
            return None
        value(self)
        positions = self.positions
        found = []
        for place in np.flatnonzero(positions.account == row).tolist():
            found.append(
                {
                    **self._trade(positions, place),
                    "type": "POSITION_TYPE_BUY" if positions.side[place] > 0 else "POSITION_TYPE_SELL",
                    "profit": round(float(positions.profit[place]), 2),
                    "swap": round(float(positions.swap[place]), 2),
                    "commission": round(float(positions.commission[place]), 2),
                }
            )
        return found

    def account_orders(self: Book, tenant: str, account_id: str) -> list[Document] | None:
        """E5: pending orders."""
        row = self._own_account(tenant, account_id)
        if row is None:
            return None
        orders = self.orders
        found = []
        for place in np.flatnonzero(orders.account == row).tolist():
            side = "BUY" if orders.side[place] > 0 else "SELL"
            kind = f"ORDER_TYPE_{side}_{KIND_WORDS[orders.kind[place]].upper()}"
            found.append({**self._trade(orders, place), "type": kind})
        return found

    def _trade(self: Book, table: Any, place: int) -> Document:
        """What a position and an order have in common."""
        document = {
            "id": str(int(table.id[place])),
            "symbol": self.symbols.texts[table.symbol[place]],
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
            document["strategyId"] = self.subscription_keys[subscription][1]
            document["sourceStrategyId"] = self.strategy_names.texts[table.leaf[place]]
            signal = self.signals.get(int(table.signal[place]))
            if signal:
                document["sourcePositionId"] = signal.id
        return document
