"""Who and what records speak of, as JSON that is encoded once per strategy and subscription, not for every record."""

from __future__ import annotations

from typing import Any

import msgspec

from copying.backend.state.book import Book


def text(value: Any) -> str:
    """A value as JSON."""
    return msgspec.json.encode(value).decode()


class Fragments:
    """Encoded fragments of what many records say; made when needed, void after a change of configuration."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.version = -1
        self.subscriptions: dict[int, tuple[str, str, str, str, str]] = {}
        self.leaves: dict[int, tuple[str, str, str, str]] = {}

    def refresh(self) -> None:
        if self.version != self.book.version:
            self.version = self.book.version
            self.subscriptions.clear()
            self.leaves.clear()

    def leaf(self, number: int) -> tuple[str, str, str, str]:
        """(id, tenant, `{"id":…,"name":…}`, name) of a strategy."""
        known = self.leaves.get(number)
        if known is None:
            strategy_id = self.book.strategy_names.texts[number]
            strategy = self.book.strategies_by_id.get(strategy_id)
            name = strategy.name if strategy else strategy_id
            tenant = self.book.strategy_owners.get(strategy_id, "")
            known = self.leaves[number] = (strategy_id, tenant, text({"id": strategy_id, "name": name}), name)
        return known

    def subscription(self, row: int) -> tuple[str, str, str, str, str]:
        """(subscriber id, its tenant, strategy id, provider tenant, fragment of a transaction)."""
        known = self.subscriptions.get(row)
        if known is None:
            book = self.book
            subscriber_id, strategy_id = book.subscription_keys[row]
            account = book.account_meta[int(book.subscriptions.account[row])]
            subscriber = book.subscribers_by_id.get(subscriber_id)
            tenant = subscriber.tenant if subscriber else account.tenant
            _, provider, strategy, _ = self.leaf(int(book.subscriptions.strategy[row]))
            provider = provider or tenant
            users = [
                f'{{"id":{text(user)},"name":{text(book.tenant_name(user))},"strategies":[{strategy}]}}'
                for user in (tenant, provider)
            ]
            fragment = (
                f'"subscriberId":{text(subscriber_id)},"subscriberUser":{users[0]},"providerUser":{users[1]},'
                f'"demo":{"true" if account.demo else "false"},"strategy":{strategy}'
            )
            known = self.subscriptions[row] = (subscriber_id, tenant, strategy_id, provider, fragment)
        return known
