"""What history, log and stream calls may be narrowed by: the keyword arguments they share, and their names on the wire.

A call takes them as `**chosen: Unpack[...]`, so that one list of arguments serves every call of a kind and a type
checker still knows each name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict

from .exchange import PAGE_LIMIT

_NAMES = {
    "start": "startTime",
    "end": "endTime",
    "strategy_id": "strategyId",
    "position_id": "positionId",
    "level": "level",
    "strategy_ids": "strategyId",
    "subscriber_ids": "subscriberId",
    "offset": "offset",
    "limit": "limit",
}


class Parties(TypedDict, total=False):
    """Of these strategies and subscribers; without any: of all."""

    strategy_ids: Sequence[str]
    subscriber_ids: Sequence[str]


class PageOfParties(Parties, total=False):
    """One page of them. limit: 1000 unless given."""

    offset: int
    limit: int


class LogSince(TypedDict, total=False):
    """Lines from `start` on, about one position, of one severity and above."""

    start: datetime | None
    position_id: str | None
    level: str | None


class Log(LogSince, total=False):
    """Lines before `end` only."""

    end: datetime | None


class LogPage(Log, total=False):
    """One page of them. limit: 1000 unless given."""

    offset: int
    limit: int


class LogPoll(LogSince, total=False):
    """One poll. limit: 1000 unless given."""

    limit: int


class Following(TypedDict, total=False):
    """A stream that is followed. overlap: how far back each poll looks; should_stop: asked before each poll."""

    start: datetime | None
    limit: int
    hold_s: float | None
    overlap: timedelta
    should_stop: Callable[[], bool]


def named(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments under the names of the wire, for every page. Raises TypeError for one that no call has."""
    unknown = [name for name in chosen if name not in _NAMES]
    if unknown:
        raise TypeError(f"Unexpected keyword argument {unknown[0]!r}")
    return {_NAMES[name]: value for name, value in chosen.items()}


def page_of(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """As `named`, for one page: the first one is not numbered, and its length is always said."""
    params = {"limit": PAGE_LIMIT, **named(chosen)}
    return {name: value for name, value in params.items() if name != "offset" or value}
