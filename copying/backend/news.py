"""The economic calendar: each user's own, replaced as a whole, known to the book so that a replay sees the same events.

newsFilter asks the calendar of the strategy's owner. Opening is refused by the engine's rule, positions are closed by
news_closing.py.
"""

from __future__ import annotations

import csv
import io
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from msgspec.structs import astuple

from copying.engine.model import NewsEvent

from .errors import invalid
from .limits import iso, moment_of
from .state import FAR_FUTURE, News

if TYPE_CHECKING:
    from .book import Book
    from .commands import AddNews, PutNews
    from .effects import Effects

MOST_EVENTS = 5_000
WEEK = 604_800.0  # events further away concern nobody: a gap beyond a week counts as a week
PRIORITIES = ("election", "high", "medium", "low")
COLUMNS = ("time", "currency", "priority", "breaking", "title")


def read_csv(text: str) -> list[dict[str, Any]]:
    """Events of a CSV with the head time,currency,priority[,breaking][,title]. Raises Refused."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    missing = {"time", "currency", "priority"} - set(reader.fieldnames or ())
    if missing:
        raise invalid("events", None, f"the first line must name time,currency,priority: {sorted(missing)} missing")
    rows = [{name: (row.get(name) or "").strip() for name in COLUMNS} for row in reader]
    return [{**row, "breaking": row["breaking"].lower() in ("1", "true", "yes")} for row in rows]


def check_put_news(book: Book, command: PutNews | AddNews) -> None:
    """Every event has a time, a currency and a known priority."""
    if len(command.events) > MOST_EVENTS:
        raise invalid("events", len(command.events), f"at most {MOST_EVENTS} events are kept")
    for number, event in enumerate(command.events):
        try:
            moment = moment_of(str(event.get("time") or "none"))
        except (ValueError, OverflowError):
            moment = -1.0
        if not 0 <= moment < FAR_FUTURE:
            raise invalid(f"events.{number}.time", None, "must be an ISO 8601 time between 1970 and 2100")
        currency = event.get("currency")
        if not (isinstance(currency, str) and len(currency) == 3 and currency.isascii() and currency.isupper()):
            raise invalid(f"events.{number}.currency", currency, "must be a currency such as USD")
        if event.get("priority") not in PRIORITIES:
            raise invalid(f"events.{number}.priority", event.get("priority"), f"must be one of {', '.join(PRIORITIES)}")


def put_news(book: Book, command: PutNews, effects: Effects) -> None:
    """Replace the caller's calendar."""
    keep_calendar(book, command.tenant, events_of(command))


def check_add_news(book: Book, command: AddNews) -> None:
    """As for a whole calendar; together they must not be too many, those that concern nobody any more left out."""
    check_put_news(book, command)
    if len(joined(book, command)) > MOST_EVENTS:
        raise invalid("events", len(command.events), f"at most {MOST_EVENTS} events are kept")


def add_news(book: Book, command: AddNews, effects: Effects) -> None:
    """Add events; those that are there already are not added again."""
    keep_calendar(book, command.tenant, joined(book, command))


def joined(book: Book, command: AddNews) -> list[News]:
    """The calendar with the new events. When it would be too long, events of more than a week ago are left out."""
    events = [*book.news.get(command.tenant, ()), *events_of(command)]
    events = list({astuple(each): each for each in events}.values())
    if len(events) > MOST_EVENTS:
        events = [each for each in events if each.time >= book.time - WEEK]
    return events


def events_of(command: PutNews | AddNews) -> list[News]:
    """The events of a command."""
    return [
        News(
            moment_of(str(event["time"])), event["currency"], event["priority"], bool(event.get("breaking")),
            str(event.get("title") or "")[:200],
        )
        for event in command.events
    ]  # fmt: skip


def keep_calendar(book: Book, tenant: str, events: list[News]) -> None:
    """A user's calendar by time; none when it is empty."""
    book.news[tenant] = sorted(events, key=lambda each: each.time)
    if not events:
        del book.news[tenant]


def calendar(book: Book, tenant: str) -> list[dict[str, Any]]:
    """A user's calendar as it is served."""
    return [
        {
            "time": iso(each.time), "currency": each.currency, "priority": each.priority,
            "breaking": each.is_breaking, "title": each.title,
        }
        for each in book.news.get(tenant, ())
    ]  # fmt: skip


def events_near(book: Book, tenant: str, now: float) -> tuple[NewsEvent, ...]:
    """What the engine is told: the tenant's events within a week before and after."""
    events = book.news.get(tenant)
    if not events:
        return ()
    first = bisect_left(events, now - WEEK, key=lambda each: each.time)
    last = bisect_left(events, now + WEEK, key=lambda each: each.time)
    return tuple(NewsEvent(each.time, each.currency, each.priority, each.is_breaking) for each in events[first:last])
