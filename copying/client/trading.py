"""Trading calls: resynchronise, stopouts, logs and their streams (contract, 2.3)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Unpack

import msgspec

from ..contract.documents import LogDocument, StopoutDocument
from .chosen import Following, Log, LogPage, LogPoll, named, page_of
from .exchange import PAGE_LIMIT, Exchange, path_of
from .following import followed, never

_SUBSCRIBER = "/users/current/subscribers/{subscriber_id}"
_STRATEGY = "/users/current/strategies/{strategy_id}"


def _log_identity(record: LogDocument) -> Hashable:
    return msgspec.structs.astuple(record)


class TradingCalls(Exchange):
    """T1 to T9. level: the least severity wanted, DEBUG < INFO < WARN < ERROR."""

    def resynchronize(
        self,
        subscriber_id: str,
        *,
        strategy_ids: Sequence[str] = (),
        position_ids: Sequence[str] = (),
        key: str | None = None,
    ) -> None:
        """T1; without ids everything. Re-opens what was closed by hand, so it is sent again only with a key."""
        path = path_of(_SUBSCRIBER + "/resynchronize", subscriber_id=subscriber_id)
        self._call("POST", path, params={"strategyId": strategy_ids, "positionId": position_ids}, key=key)

    def stopouts(self, subscriber_id: str) -> list[StopoutDocument]:
        """T2: what is active, of the subscriber and of its subscriptions."""
        path = path_of(_SUBSCRIBER + "/stopouts", subscriber_id=subscriber_id)
        return self._call("GET", path, type=list[StopoutDocument], extended=True)

    def reset_subscription_stopouts(self, subscriber_id: str, strategy_id: str, reason: str) -> None:
        """T3. First set `startTime` of the limit to now (2.3), else it fires again."""
        template = _SUBSCRIBER + "/subscription-strategies/{strategy_id}/stopouts/{reason}/reset"
        self._call("POST", path_of(template, subscriber_id=subscriber_id, strategy_id=strategy_id, reason=reason))

    def reset_subscriber_stopouts(self, subscriber_id: str, reason: str) -> None:
        """T4. First set `startTime` of the limit to now (2.3), else it fires again."""
        template = _SUBSCRIBER + "/stopouts/{reason}/reset"
        self._call("POST", path_of(template, subscriber_id=subscriber_id, reason=reason))

    def stopouts_stream(
        self,
        *,
        previous_sequence_number: int | None = None,
        subscriber_id: str | None = None,
        strategy_id: str | None = None,
        limit: int = PAGE_LIMIT,
        hold_s: float | None = None,
    ) -> list[StopoutDocument]:
        """T5, one poll: ascending sequence numbers above the given one (None: only what is new; 0: from the start)."""
        params = {
            "previousSequenceNumber": previous_sequence_number,
            "subscriberId": subscriber_id,
            "strategyId": strategy_id,
            "limit": limit,
        }
        return self._stream("/users/current/stopouts/stream", list[StopoutDocument], params, hold_s)

    def follow_stopouts(
        self,
        *,
        previous_sequence_number: int | None = None,
        hold_s: float | None = None,
        should_stop: Callable[[], bool] = never,
    ) -> Iterator[list[StopoutDocument]]:
        """T5 for ever; empty lists when nothing came. The cursor to keep is the last sequence number."""
        cursor = previous_sequence_number
        while not should_stop():
            page = self.stopouts_stream(previous_sequence_number=cursor, hold_s=hold_s)
            fresh = [
                stopout
                for stopout in page
                if cursor is None or stopout.sequence_number is None or stopout.sequence_number > cursor
            ]
            yield fresh
            cursor = max(
                (stopout.sequence_number for stopout in fresh if stopout.sequence_number is not None), default=cursor
            )

    # -------------------------------------------------------------------------------------------------------- logs

    def subscriber_log_page(
        self, subscriber_id: str, *, strategy_id: str | None = None, **chosen: Unpack[LogPage]
    ) -> list[LogDocument]:
        """T6, one page, newest first. start inclusive, end exclusive."""
        path = path_of(_SUBSCRIBER + "/user-log", subscriber_id=subscriber_id)
        params = {"strategyId": strategy_id, **page_of(chosen)}
        return self._call("GET", path, type=list[LogDocument], params=params, extended=True)

    def subscriber_log(
        self, subscriber_id: str, *, strategy_id: str | None = None, page_size: int = PAGE_LIMIT, **chosen: Unpack[Log]
    ) -> Iterator[list[LogDocument]]:
        """T6, page by page, newest first. Give an `end`: what is logged meanwhile would push lines across pages."""
        path = path_of(_SUBSCRIBER + "/user-log", subscriber_id=subscriber_id)
        return self._pages(path, list[LogDocument], {"strategyId": strategy_id, **named(chosen)}, page_size)

    def strategy_log_page(self, strategy_id: str, **chosen: Unpack[LogPage]) -> list[LogDocument]:
        """T7, one page, newest first."""
        path = path_of(_STRATEGY + "/user-log", strategy_id=strategy_id)
        return self._call("GET", path, type=list[LogDocument], params=page_of(chosen), extended=True)

    def strategy_log(
        self, strategy_id: str, *, page_size: int = PAGE_LIMIT, **chosen: Unpack[Log]
    ) -> Iterator[list[LogDocument]]:
        """T7, page by page, newest first."""
        path = path_of(_STRATEGY + "/user-log", strategy_id=strategy_id)
        return self._pages(path, list[LogDocument], named(chosen), page_size)

    def subscriber_log_stream(
        self,
        subscriber_id: str,
        *,
        strategy_id: str | None = None,
        hold_s: float | None = None,
        **chosen: Unpack[LogPoll],
    ) -> list[LogDocument]:
        """T8, one poll: records at or after `start`, newest first."""
        path = path_of(_SUBSCRIBER + "/user-log/stream", subscriber_id=subscriber_id)
        return self._stream(path, list[LogDocument], {"strategyId": strategy_id, **page_of(chosen)}, hold_s)

    def strategy_log_stream(
        self, strategy_id: str, *, hold_s: float | None = None, **chosen: Unpack[LogPoll]
    ) -> list[LogDocument]:
        """T9, one poll: records at or after `start`, newest first."""
        path = path_of(_STRATEGY + "/user-log/stream", strategy_id=strategy_id)
        return self._stream(path, list[LogDocument], page_of(chosen), hold_s)

    def follow_subscriber_log(self, subscriber_id: str, **wanted: Unpack[Following]) -> Iterator[list[LogDocument]]:
        """T8 for ever: new lines, oldest first, nothing lost or repeated (following.follow)."""
        return followed(self.subscriber_log_stream, subscriber_id, _log_identity, wanted)

    def follow_strategy_log(self, strategy_id: str, **wanted: Unpack[Following]) -> Iterator[list[LogDocument]]:
        """T9 for ever."""
        return followed(self.strategy_log_stream, strategy_id, _log_identity, wanted)
