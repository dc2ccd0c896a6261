"""The economic calendar of a user (E9, beyond the contract): replaced as a whole, or added to, by JSON or CSV."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http.once import carry_out
from copying.backend.http.options import present, service
from copying.backend.http.parameters import body_bytes, content_type
from copying.backend.http.replies import reply
from copying.backend.settings import news
from copying.backend.state.commands import AddNews, PutNews
from copying.backend.state.errors import invalid
from copying.contract import wire
from copying.contract.validation import load_json

CSV = ("text/csv", "application/csv", "text/comma-separated-values")


async def get_calendar(request: Request) -> Response:
    """E9: all events, by time."""
    return reply({"events": news.calendar(service(request).core.book, request.scope["tenant"])})


async def put_calendar(request: Request) -> Response:
    """E9: replaces everything."""
    return await carry_out(request, PutNews(tenant=request.scope["tenant"], events=await _read(request)))


async def add_to_calendar(request: Request) -> Response:
    """E9: adds what a feed has just heard; an event without a time is of now."""
    events = await _read(request, is_timeless=True)
    now = wire.format_time(present(request))
    stamped = [{**event, "time": event["time"] or now} for event in events]
    return await carry_out(request, AddNews(tenant=request.scope["tenant"], events=stamped))


async def _read(request: Request, *, is_timeless: bool = False) -> list[dict[str, Any]]:
    """The events of `{"events": [...]}`, a bare list, or text/csv with a head, in the form in which they are kept."""
    content = await body_bytes(request)
    kind, charset = content_type(request)
    if kind in CSV:
        numbered = news.numbered_events(content, charset)
    else:
        numbered = [(0, event) for event in _events(load_json(content))]
    return [news.tidied(event, place, line, is_timeless=is_timeless) for place, (line, event) in enumerate(numbered)]


def _events(raw: Any) -> list[dict[str, Any]]:
    events = raw.get("events") if isinstance(raw, dict) else raw
    if not isinstance(events, list):
        raise invalid("events", None, "must be a list of events")
    for number, event in enumerate(events):
        if not isinstance(event, dict):
            raise invalid(f"events.{number}", None, "must be an object")
    return events


async def delete_calendar(request: Request) -> Response:
    """E9: forget all events."""
    return await carry_out(request, PutNews(tenant=request.scope["tenant"], events=[]))
