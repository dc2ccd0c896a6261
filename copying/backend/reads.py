"""What the API may ask the state: documents in creation order, signals, stopouts, accounts. Changes nothing.

Every method takes the caller's tenant and answers None (or an empty list) for what is not the caller's.
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


class Reads:
    """Mixed into Book."""

    def strategies(self, tenant: str, *, include_removed: bool = False) -> list[Document]:
        """C2: strategies with `_id`, `platformCommissionRate` and, while winding down, `removed`/`closeOnRemovalMode`."""
        raise NotImplementedError

    def portfolios(self, tenant: str, *, include_removed: bool = False) -> list[Document]:
        """C6."""
        raise NotImplementedError

    def subscribers(self, tenant: str, *, include_removed: bool = False) -> list[Document]:
        """C11: with `_id` and each subscription's `removed` flag."""
        raise NotImplementedError

    def strategy(self, tenant: str, strategy_id: str) -> Document | None:
        """C3, also while it is winding down."""
        raise NotImplementedError

    def portfolio(self, tenant: str, strategy_id: str) -> Document | None:
        """C7."""
        raise NotImplementedError

    def subscriber(self, tenant: str, subscriber_id: str) -> Document | None:
        """C12."""
        raise NotImplementedError

    def knows_strategy(self, strategy_id: str) -> bool:
        """True when a strategy or portfolio of anybody has this id (C1 must not hand it out)."""
        raise NotImplementedError

    def webhooks(self, tenant: str, strategy_id: str) -> list[Document] | None:
        """C16: {_id, createdAt, magic?, symbolMapping?}; the API adds `url`. None: no such strategy of the caller."""
        raise NotImplementedError

    def webhook(self, webhook_id: str) -> tuple[str, str, Document] | None:
        """(tenant, strategy id, webhook) for the public post (S5)."""
        raise NotImplementedError

    def external_signals(self, tenant: str, strategy_id: str) -> list[Document] | None:
        """S2: active ones, oldest first."""
        raise NotImplementedError

    def trading_signals(self, tenant: str, subscriber_id: str) -> list[Document] | None:
        """S1: open signals of the strategies the subscriber copies, with its own volume and profit."""
        raise NotImplementedError

    def stopouts(self, tenant: str, subscriber_id: str) -> list[Document] | None:
        """T2: active ones, oldest first (contract, 3.13)."""
        raise NotImplementedError

    def last_stopout(self, tenant: str) -> int:
        """The highest stopout sequence number of the tenant."""
        raise NotImplementedError

    def last_account_snapshot(self, tenant: str) -> int:
        """The highest account snapshot number of the tenant."""
        raise NotImplementedError

    def account_information(self, tenant: str, *, after: str = "", limit: int = 1000) -> list[Document]:
        """E1: ascending account id, ids greater than `after`."""
        raise NotImplementedError

    def account(self, tenant: str, account_id: str) -> Document | None:
        """E5: one row of E1."""
        raise NotImplementedError

    def account_positions(self, tenant: str, account_id: str) -> list[Document] | None:
        """E5: open positions in the vendor's words (id, type, symbol, volume, openPrice, profit, swap, ...)."""
        raise NotImplementedError

    def account_orders(self, tenant: str, account_id: str) -> list[Document] | None:
        """E5: pending orders."""
        raise NotImplementedError
