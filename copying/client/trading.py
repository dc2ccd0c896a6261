"""Trading calls: resynchronise, stopouts, logs and their streams (contract, 2.3)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from ..contract.documents import LogRecord, Stopout
from .exchange import PAGE_LIMIT, Exchange, path_of
from .following import follow

_SUBSCRIBER = "/users/current/subscribers/{subscriber_id}"
_STRATEGY = "/users/current/strategies/{strategy_id}"
_OVERLAP = timedelta(seconds=5)


def _never() -> bool:
    return False


def _is_after(stopout: Stopout, cursor: int | None) -> bool:
    return cursor is None or stopout.sequence_number is None or stopout.sequence_number > cursor


def _log_identity(record: LogRecord) -> Hashable:
    return msgspec.structs.astuple(record)


class TradingCalls(Exchange):
    """T1 to T9. level: the least severity wanted, DEBUG < INFO < WARN < ERROR."""

    def resynchronize(
        self, subscriber_id: str, *, strategy_ids: Sequence[str] = (), position_ids: Sequence[str] = ()
    ) -> None:
        """T1; without ids everything. Re-opens positions that were closed by hand, so it is never sent twice."""
        path = path_of(_SUBSCRIBER + "/resynchronize", subscriber_id=subscriber_id)
        self._call("POST", path, params={"strategyId": strategy_ids, "positionId": position_ids})

    def stopouts(self, subscriber_id: str) -> list[Stopout]:
        """T2: what is active, of the subscriber and of its subscriptions."""
        path = path_of(_SUBSCRIBER + "/stopouts", subscriber_id=subscriber_id)
        return self._call("GET", path, type=list[Stopout], extended=True)

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
    ) -> list[Stopout]:
        """T5, one poll: ascending sequence numbers above the given one (None: only what is new; 0: from the start)."""
        params = {
            "previousSequenceNumber": previous_sequence_number,
            "subscriberId": subscriber_id,
            "strategyId": strategy_id,
            "limit": limit,
        }
        return self._stream("/users/current/stopouts/stream", list[Stopout], params, hold_s)

    def follow_stopouts(
        self,
        *,
        previous_sequence_number: int | None = None,
        hold_s: float | None = None,
        should_stop: Callable[[], bool] = _never,
    ) -> Iterator[list[Stopout]]:
        """T5 for ever; empty lists when nothing came. The cursor to keep is the last sequence number."""
        cursor = previous_sequence_number
        while not should_stop():
            page = self.stopouts_stream(previous_sequence_number=cursor, hold_s=hold_s)
            fresh = [
                one for one in page if cursor is None or one.sequence_number is None or one.sequence_number > cursor
            ]
            yield fresh
            cursor = max((one.sequence_number for one in fresh if one.sequence_number is not None), default=cursor)

    # -------------------------------------------------------------------------------------------------------- logs

    def subscriber_log_page(
        self,
        subscriber_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        strategy_id: str | None = None,
        position_id: str | None = None,
        level: str | None = None,
        offset: int = 0,
        limit: int = PAGE_LIMIT,
    ) -> list[LogRecord]:
        """T6, one page, newest first. start inclusive, end exclusive."""
        params = {
            "startTime": start,
            "endTime": end,
            "strategyId": strategy_id,
            "positionId": position_id,
            "level": level,
            "offset": offset or None,
            "limit": limit,
        }
        path = path_of(_SUBSCRIBER + "/user-log", subscriber_id=subscriber_id)
        return self._call("GET", path, type=list[LogRecord], params=params, extended=True)

    def subscriber_log(
        self,
        subscriber_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        strategy_id: str | None = None,
        position_id: str | None = None,
        level: str | None = None,
        page_size: int = PAGE_LIMIT,
    ) -> Iterator[list[LogRecord]]:
        """T6, page by page, newest first. Give an `end`: what is logged meanwhile would push lines across pages."""
        params = {
            "startTime": start,
            "endTime": end,
            "strategyId": strategy_id,
            "positionId": position_id,
            "level": level,
        }
        path = path_of(_SUBSCRIBER + "/user-log", subscriber_id=subscriber_id)
        return self._pages(path, list[LogRecord], params, page_size)

    def strategy_log_page(
        self,
        strategy_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        position_id: str | None = None,
        level: str | None = None,
        offset: int = 0,
        limit: int = PAGE_LIMIT,
    ) -> list[LogRecord]:
        """T7, one page, newest first."""
        params = {
            "startTime": start,
            "endTime": end,
            "positionId": position_id,
            "level": level,
            "offset": offset or None,
            "limit": limit,
        }
        path = path_of(_STRATEGY + "/user-log", strategy_id=strategy_id)
        return self._call("GET", path, type=list[LogRecord], params=params, extended=True)

    def strategy_log(
        self,
        strategy_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        position_id: str | None = None,
        level: str | None = None,
        page_size: int = PAGE_LIMIT,
    ) -> Iterator[list[LogRecord]]:
        """T7, page by page, newest first."""
        params = {"startTime": start, "endTime": end, "positionId": position_id, "level": level}
        path = path_of(_STRATEGY + "/user-log", strategy_id=strategy_id)
        return self._pages(path, list[LogRecord], params, page_size)

    def subscriber_log_stream(
        self,
        subscriber_id: str,
        *,
        start: datetime | None = None,
        strategy_id: str | None = None,
        position_id: str | None = None,
        level: str | None = None,
        limit: int = PAGE_LIMIT,
        hold_s: float | None = None,
    ) -> list[LogRecord]:
        """T8, one poll: records at or after `start`, newest first."""
        params = {
            "startTime": start,
            "strategyId": strategy_id,
            "positionId": position_id,
            "level": level,
            "limit": limit,
        }
        path = path_of(_SUBSCRIBER + "/user-log/stream", subscriber_id=subscriber_id)
        return self._stream(path, list[LogRecord], params, hold_s)

    def strategy_log_stream(
        self,
        strategy_id: str,
        *,
        start: datetime | None = None,
        position_id: str | None = None,
        level: str | None = None,
        limit: int = PAGE_LIMIT,
        hold_s: float | None = None,
    ) -> list[LogRecord]:
        """T9, one poll: records at or after `start`, newest first."""
        params = {"startTime": start, "positionId": position_id, "level": level, "limit": limit}
        path = path_of(_STRATEGY + "/user-log/stream", strategy_id=strategy_id)
        return self._stream(path, list[LogRecord], params, hold_s)

    def follow_subscriber_log(
        self,
        subscriber_id: str,
        *,
        start: datetime | None = None,
        limit: int = PAGE_LIMIT,
        hold_s: float | None = None,
        overlap: timedelta = _OVERLAP,
        should_stop: Callable[[], bool] = _never,
    ) -> Iterator[list[LogRecord]]:
        """T8 for ever: new lines, oldest first, nothing lost or repeated (following.follow)."""

        def poll(cursor: datetime | None) -> list[LogRecord]:
            return self.subscriber_log_stream(subscriber_id, start=cursor, limit=limit, hold_s=hold_s)

        return follow(poll, start=start, identity=_log_identity, limit=limit, overlap=overlap, should_stop=should_stop)

    def follow_strategy_log(
        self,
        strategy_id: str,
        *,
        start: datetime | None = None,
        limit: int = PAGE_LIMIT,
        hold_s: float | None = None,
        overlap: timedelta = _OVERLAP,
        should_stop: Callable[[], bool] = _never,
    ) -> Iterator[list[LogRecord]]:
        """T9 for ever."""

        def poll(cursor: datetime | None) -> list[LogRecord]:
            return self.strategy_log_stream(strategy_id, start=cursor, limit=limit, hold_s=hold_s)

        return follow(poll, start=start, identity=_log_identity, limit=limit, overlap=overlap, should_stop=should_stop)
