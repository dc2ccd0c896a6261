"""History calls and transaction streams (contract, 2.2)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar, Unpack

from ..contract.history import TransactionDocument
from .chosen import Following, PageOfParties, Parties, named, page_of
from .exchange import PAGE_LIMIT, Exchange, path_of
from .following import followed

T = TypeVar("T")

_PROVIDED = "/users/current/provided-transactions"
_SUBSCRIBED = "/users/current/subscription-transactions"
_STRATEGY = "/users/current/strategies/{strategy_id}/transactions/stream"
_SUBSCRIBER = "/users/current/subscribers/{subscriber_id}/transactions/stream"


def transaction_identity(transaction: TransactionDocument) -> tuple[str, str, str]:
    """What makes a transaction one: deal ids repeat across subscribers and strategies."""
    return transaction.subscriber_id, transaction.strategy.id, transaction.id


class HistoryCalls(Exchange):
    """H1 to H4. Provided: on strategies we provide; subscription: on those our accounts copy. Newest first."""

    def provided_transactions_body(self, start: datetime, end: datetime, **chosen: Unpack[PageOfParties]) -> bytes:
        """H1, one page as it came; `exchange.decode_answer(body, list[TransactionDocument])` reads it."""
        return self._history(_PROVIDED, bytes, start, end, chosen)

    def provided_transactions_page(
        self, start: datetime, end: datetime, **chosen: Unpack[PageOfParties]
    ) -> list[TransactionDocument]:
        """H1, one page. start inclusive, end exclusive."""
        return self._history(_PROVIDED, list[TransactionDocument], start, end, chosen)

    def provided_transactions(
        self, start: datetime, end: datetime, *, page_size: int = PAGE_LIMIT, **chosen: Unpack[Parties]
    ) -> Iterator[list[TransactionDocument]]:
        """H1, page by page, each transaction once."""
        return self._history_pages(_PROVIDED, start, end, page_size, chosen)

    def subscription_transactions_body(self, start: datetime, end: datetime, **chosen: Unpack[PageOfParties]) -> bytes:
        """H2, one page as it came."""
        return self._history(_SUBSCRIBED, bytes, start, end, chosen)

    def subscription_transactions_page(
        self, start: datetime, end: datetime, **chosen: Unpack[PageOfParties]
    ) -> list[TransactionDocument]:
        """H2, one page. start inclusive, end exclusive."""
        return self._history(_SUBSCRIBED, list[TransactionDocument], start, end, chosen)

    def subscription_transactions(
        self, start: datetime, end: datetime, *, page_size: int = PAGE_LIMIT, **chosen: Unpack[Parties]
    ) -> Iterator[list[TransactionDocument]]:
        """H2, page by page, each transaction once."""
        return self._history_pages(_SUBSCRIBED, start, end, page_size, chosen)

    def _history(self, path: str, type: type[T], start: datetime, end: datetime, chosen: PageOfParties) -> T:
        params = {"from": start, "till": end, **page_of(chosen)}
        return self._call("GET", path, type=type, params=params, extended=True)

    def _history_pages(
        self, path: str, start: datetime, end: datetime, page_size: int, chosen: Parties
    ) -> Iterator[list[TransactionDocument]]:
        """What is recorded meanwhile pushes older ones to the next page: pages may overlap, but leave no gap."""
        params = {"from": start, "till": end, **named(chosen)}
        before: set[tuple[str, str, str]] = set()
        for page in self._pages(path, list[TransactionDocument], params, page_size):
            names = {transaction_identity(transaction): transaction for transaction in page}
            fresh = [transaction for name, transaction in names.items() if name not in before]
            before = names.keys() | before if len(fresh) < len(page) else set(names)
            if fresh:
                yield fresh

    # ----------------------------------------------------------------------------------------------------- streams

    def strategy_transactions_stream(
        self, strategy_id: str, *, start: datetime | None = None, limit: int = PAGE_LIMIT, hold_s: float | None = None
    ) -> list[TransactionDocument]:
        """H3, one poll: records at or after `start`, newest first; empty when nothing came while it was held."""
        path = path_of(_STRATEGY, strategy_id=strategy_id)
        return self._stream(path, list[TransactionDocument], {"startTime": start, "limit": limit}, hold_s)

    def subscriber_transactions_stream(
        self, subscriber_id: str, *, start: datetime | None = None, limit: int = PAGE_LIMIT, hold_s: float | None = None
    ) -> list[TransactionDocument]:
        """H4, one poll."""
        path = path_of(_SUBSCRIBER, subscriber_id=subscriber_id)
        return self._stream(path, list[TransactionDocument], {"startTime": start, "limit": limit}, hold_s)

    def follow_strategy_transactions(
        self, strategy_id: str, **wanted: Unpack[Following]
    ) -> Iterator[list[TransactionDocument]]:
        """H3 for ever: new transactions, oldest first, nothing lost or repeated (following.follow)."""
        return followed(self.strategy_transactions_stream, strategy_id, transaction_identity, wanted)

    def follow_subscriber_transactions(
        self, subscriber_id: str, **wanted: Unpack[Following]
    ) -> Iterator[list[TransactionDocument]]:
        """H4 for ever."""
        return followed(self.subscriber_transactions_stream, subscriber_id, transaction_identity, wanted)
