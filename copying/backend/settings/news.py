"""The economic calendar: each user's own, replaced as a whole, known to the book so that a replay sees the same events.

newsFilter asks the calendar of the strategy's owner. Opening is refused by the engine's rule, positions are closed by
news_closing.py.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Any

from msgspec.structs import astuple

from copying.backend.state.book import Book
from copying.backend.state.commands import AddNews, PutNews
from copying.backend.state.effects import Effects
from copying.backend.state.entities import FAR_FUTURE, CalendarEvent
from copying.backend.state.errors import Refused, invalid
from copying.backend.state.times import iso, moment_of
from copying.contract import wire
from copying.engine.model import NewsEvent

from .uploads import UnreadableTable, read_table

MOST_EVENTS = 5_000
WEEK = 604_800.0  # events further away concern nobody: a gap beyond a week counts as a week
PRIORITIES = ("election", "high", "medium", "low")
COLUMNS = ("time", "currency", "priority", "breaking", "title")
CURRENCY = re.compile(r"[A-Z]{3}")
LONGEST_TITLE = 200
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")  # line breaks among them
WORDS = {
    "1": True,
    "true": True,
    "yes": True,
    "y": True,
    "": False,
    "0": False,
    "false": False,
    "no": False,
    "n": False,
}


def read_csv(content: str | bytes, charset: str = "") -> list[dict[str, Any]]:
    """Events of a CSV with the head time,currency,priority[,breaking][,title]. Raises Refused, naming the line."""
    return [event for _, event in numbered_events(content, charset)]


def numbered_events(content: str | bytes, charset: str = "") -> list[tuple[int, dict[str, Any]]]:
    """As `read_csv`, each event with the number of its line; of what the cells say only `breaking` is looked at."""
    if isinstance(content, str):
        content, charset = content.encode(), ""
    try:
        rows = read_table(content, COLUMNS[:3], COLUMNS[3:], charset=charset)
    except UnreadableTable as error:
        raise invalid("events", None, str(error)) from error
    events = []
    for place, (line, row) in enumerate(rows):
        is_breaking = WORDS.get(row["breaking"].lower())
        if is_breaking is None:
            raise invalid(f"events.{place}.breaking", row["breaking"][:200], f"line {line}: must be yes, no or empty")
        events.append((line, {**row, "breaking": is_breaking}))
    return events


def tidied(event: dict[str, Any], place: int, line: int = 0, *, is_timeless: bool = False) -> dict[str, Any]:
    """An event as somebody sent it, in the form in which it is kept. Raises Refused with its place.

    Known words in any case; what is no known word is refused, never left out. is_timeless: may be without a time.
    """

    def refused(name: str, message: str) -> Refused:
        value = event.get(name)
        shown = value[:200].replace("\0", "") if isinstance(value, str) else None
        return invalid(f"events.{place}.{name}", shown, f"line {line}: {message}" if line else message)

    currency, priority, title = event.get("currency"), event.get("priority"), event.get("title") or ""
    if not isinstance(currency, str) or not CURRENCY.fullmatch(currency.strip().upper()):
        raise refused("currency", "must be a currency such as USD")
    if not isinstance(priority, str) or priority.strip().lower() not in PRIORITIES:
        raise refused("priority", f"must be one of {', '.join(PRIORITIES)}")
    if not isinstance(event.get("breaking") or False, bool):
        raise refused("breaking", "must be true or false")
    if not isinstance(title, str) or len(title) > LONGEST_TITLE or CONTROL.search(title):
        raise refused("title", f"must be a text of one line and at most {LONGEST_TITLE} characters")
    time = event.get("time") or ""
    if time or not is_timeless:
        try:
            time = wire.format_time(wire.parse_sane_time(time))
        except ValueError as error:
            raise refused("time", str(error)) from None
    checked = {"time": time, "currency": currency.strip().upper(), "priority": priority.strip().lower()}
    return {**checked, "breaking": bool(event.get("breaking")), "title": title}


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


def joined(book: Book, command: AddNews) -> list[CalendarEvent]:
    """The calendar with the new events. When it would be too long, events of more than a week ago are left out."""
    events = [*book.news.get(command.tenant, ()), *events_of(command)]
    events = list({astuple(event): event for event in events}.values())
    if len(events) > MOST_EVENTS:
        events = [event for event in events if event.time >= book.time - WEEK]
    return events


def events_of(command: PutNews | AddNews) -> list[CalendarEvent]:
    """The events of a command."""
    return [
        CalendarEvent(
            moment_of(str(event["time"])),
            event["currency"],
            event["priority"],
            bool(event.get("breaking")),
            str(event.get("title") or "")[:LONGEST_TITLE],
        )
        for event in command.events
    ]


def keep_calendar(book: Book, tenant: str, events: list[CalendarEvent]) -> None:
    """A user's calendar by time; none when it is empty."""
    book.news[tenant] = sorted(events, key=lambda event: event.time)
    if not events:
        del book.news[tenant]


def calendar(book: Book, tenant: str) -> list[dict[str, Any]]:
    """A user's calendar as it is served."""
    return [
        {
            "time": iso(event.time),
            "currency": event.currency,
            "priority": event.priority,
            "breaking": event.is_breaking,
            "title": event.title,
        }
        for event in book.news.get(tenant, ())
    ]


def events_near(book: Book, tenant: str, now: float) -> tuple[NewsEvent, ...]:
    """What the engine is told: the tenant's events within a week before and after."""
    events = book.news.get(tenant)
    if not events:
        return ()
    first = bisect_left(events, now - WEEK, key=lambda event: event.time)
    last = bisect_left(events, now + WEEK, key=lambda event: event.time)
    return tuple(
        NewsEvent(event.time, event.currency, event.priority, event.is_breaking) for event in events[first:last]
    )
