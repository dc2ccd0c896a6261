"""History calls and transaction streams (contract, 2.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from ..contract.history import Transaction
from .exchange import PAGE_LIMIT, Exchange, path_of
from .following import follow

_PROVIDED = "/users/current/provided-transactions"
_SUBSCRIBED = "/users/current/subscription-transactions"
_OVERLAP = timedelta(seconds=5)


def _never() -> bool:
    return False


def transaction_identity(transaction: Transaction) -> tuple[str, str, str]:
    """What makes a transaction one: deal ids repeat across subscribers and strategies."""
    return transaction.subscriber_id, transaction.strategy.id, transaction.id


class HistoryCalls(Exchange):
    """H1 to H4. Provided: on strategies we provide; subscription: on those our accounts copy. Newest first."""

    def _history(
        self,
        path: str,
        type: Any,
        start: datetime,
        end: datetime,
        strategy_ids: Sequence[str],
        subscriber_ids: Sequence[str],
        offset: int,
        limit: int,
    ) -> Any:
        params = {
            "from": start,
            "till": end,
            "strategyId": strategy_ids,
            "subscriberId": subscriber_ids,
            "offset": offset or None,
            "limit": limit,
        }
        return self._call("GET", path, type=type, params=params, extended=True)

    def provided_transactions_body(
        self,
        start: datetime,
        end: datetime,
        *,
        strategy_ids: Sequence[str] = (),
        subscriber_ids: Sequence[str] = (),
        offset: int = 0,
        limit: int = PAGE_LIMIT,
    ) -> bytes:
        """H1, one page as it came; `exchange.decode_answer(body, list[Transaction])` reads it."""
        return self._history(_PROVIDED, bytes, start, end, strategy_ids, subscriber_ids, offset, limit)

    def provided_transactions_page(
        self,
        start: datetime,
        end: datetime,
        *,
        strategy_ids: Sequence[str] = (),
        subscriber_ids: Sequence[str] = (),
        offset: int = 0,
        limit: int = PAGE_LIMIT,
    ) -> list[Transaction]:
        """H1, one page. start inclusive, end exclusive."""
        return self._history(_PROVIDED, list[Transaction], start, end, strategy_ids, subscriber_ids, offset, limit)

    def provided_transactions(
        self,
        start: datetime,
        end: datetime,
        *,
        strategy_ids: Sequence[str] = (),
        subscriber_ids: Sequence[str] = (),
        page_size: int = PAGE_LIMIT,
    ) -> Iterator[list[Transaction]]:
        """H1, page by page, each transaction once."""
        return self._history_pages(_PROVIDED, start, end, strategy_ids, subscriber_ids, page_size)

    def subscription_transactions_body(
        self,
        start: datetime,
        end: datetime,
        *,
        strategy_ids: Sequence[str] = (),
        subscriber_ids: Sequence[str] = (),
        offset: int = 0,
        limit: int = PAGE_LIMIT,
    ) -> bytes:
        """H2, one page as it came."""
        return self._history(_SUBSCRIBED, bytes, start, end, strategy_ids, subscriber_ids, offset, limit)

    def subscription_transactions_page(
        self,
        start: datetime,
        end: datetime,
        *,
        strategy_ids: Sequence[str] = (),
        subscriber_ids: Sequence[str] = (),
        offset: int = 0,
        limit: int = PAGE_LIMIT,
    ) -> list[Transaction]:
        """H2, one page. start inclusive, end exclusive."""
        return self._history(_SUBSCRIBED, list[Transaction], start, end, strategy_ids, subscriber_ids, offset, limit)

    def subscription_transactions(
        self,
        start: datetime,
        end: datetime,
        *,
        strategy_ids: Sequence[str] = (),
        subscriber_ids: Sequence[str] = (),
        page_size: int = PAGE_LIMIT,
    ) -> Iterator[list[Transaction]]:
        """H2, page by page, each transaction once."""
        return self._history_pages(_SUBSCRIBED, start, end, strategy_ids, subscriber_ids, page_size)

    def _history_pages(self, path, start, end, strategy_ids, subscriber_ids, page_size) -> Iterator[list[Transaction]]:
        """What is recorded meanwhile pushes older ones to the next page: pages may overlap, but leave no gap."""
        params = {"from": start, "till": end, "strategyId": strategy_ids, "subscriberId": subscriber_ids}
        before: set[tuple] = set()
        for page in self._pages(path, list[Transaction], params, page_size):
            names = {transaction_identity(transaction): transaction for transaction in page}
            fresh = [transaction for name, transaction in names.items() if name not in before]
            before = names.keys() | before if len(fresh) < len(page) else set(names)
            if fresh:
                yield fresh

    # ----------------------------------------------------------------------------------------------------- streams

    def strategy_transactions_stream(
        self,
        strategy_id: str,
        *,
        start: datetime | None = None,
        limit: int = PAGE_LIMIT,
        hold_s: float | None = None,
    ) -> list[Transaction]:
        """H3, one poll: records at or after `start`, newest first; empty when nothing came while it was held."""
        path = path_of("/users/current/strategies/{strategy_id}/transactions/stream", strategy_id=strategy_id)
        return self._stream(path, list[Transaction], {"startTime": start, "limit": limit}, hold_s)

    def subscriber_transactions_stream(
        self,
        subscriber_id: str,
        *,
        start: datetime | None = None,
        limit: int = PAGE_LIMIT,
        hold_s: float | None = None,
    ) -> list[Transaction]:
        """H4, one poll."""
        path = path_of("/users/current/subscribers/{subscriber_id}/transactions/stream", subscriber_id=subscriber_id)
        return self._stream(path, list[Transaction], {"startTime": start, "limit": limit}, hold_s)

    def follow_strategy_transactions(
        self,
        strategy_id: str,
        *,
        start: datetime | None = None,
        limit: int = PAGE_LIMIT,
        hold_s: float | None = None,
        overlap: timedelta = _OVERLAP,
        should_stop: Callable[[], bool] = _never,
    ) -> Iterator[list[Transaction]]:
        """H3 for ever: new transactions, oldest first, nothing lost or repeated (following.follow)."""

        def poll(cursor: datetime | None) -> list[Transaction]:
            return self.strategy_transactions_stream(strategy_id, start=cursor, limit=limit, hold_s=hold_s)

        return follow(
            poll, start=start, identity=transaction_identity, limit=limit, overlap=overlap, should_stop=should_stop
        )

    def follow_subscriber_transactions(
        self,
        subscriber_id: str,
        *,
        start: datetime | None = None,
        limit: int = PAGE_LIMIT,
        hold_s: float | None = None,
        overlap: timedelta = _OVERLAP,
        should_stop: Callable[[], bool] = _never,
    ) -> Iterator[list[Transaction]]:
        """H4 for ever."""

        def poll(cursor: datetime | None) -> list[Transaction]:
            return self.subscriber_transactions_stream(subscriber_id, start=cursor, limit=limit, hold_s=hold_s)

        return follow(
            poll, start=start, identity=transaction_identity, limit=limit, overlap=overlap, should_stop=should_stop
        )
