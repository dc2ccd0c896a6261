"""Why signals were or were not copied (E3, beyond the contract): keyset pages, newest first."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.errors import invalid
from copying.backend.http.options import service
from copying.backend.http.pages import Position, Selection, joined
from copying.backend.http.parameters import Query

OUTCOMES = ("", "copied", "resized", "delayed", "skipped", "failed")
FILTERS = (
    ("strategy_id", "strategyId"),
    ("subscriber_id", "subscriberId"),
    ("signal_id", "signalId"),
    ("reason", "reason"),
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CURSOR = re.compile(r"(\d{1,17})\.(\d{1,18})")


async def list_decisions(request: Request) -> Response:
    """E3."""
    query = Query.of(request)
    limit = query.integer("limit", 100, 1, 1000)
    here = service(request)
    await here.core.caught_up()
    selection = _selection(request, query)
    rows = await here.database.rows(
        f"SELECT document, time, id, sequence, ordinal FROM {selection.table} WHERE {selection.where}"
        " ORDER BY time DESC, id DESC LIMIT %(limit)s",
        {**selection.parameters, "limit": limit + 1},
    )
    page = rows[:limit]
    following = b'"%s"' % _cursor(page[-1][1:3]).encode() if len(rows) > limit else b"null"
    body = b'{"items":' + joined([_identified(*row) for row in page]) + b',"next":' + following + b"}"
    return Response(body, media_type="application/json")


def _identified(document: bytes, _: datetime, __: int, sequence: int, ordinal: int) -> bytes:
    """The stored object with its id: journal entry and position among its effects, the same after every replay."""
    return b'{"id":"%d-%d",' % (sequence, ordinal) + document[1:]


def _selection(request: Request, query: Query) -> Selection:
    selection = Selection("copying_decisionrecord", ("tenant = %(tenant)s",), {"tenant": request.scope["tenant"]})
    for column, name in FILTERS:
        selection = selection.by_ids(column, query.texts(name))
    if outcome := query.choice("outcome", OUTCOMES):
        selection = selection.narrowed("outcome = %(outcome)s", outcome=outcome)
    if start := query.moment("startTime"):
        selection = selection.narrowed("time >= %(start)s", start=start)
    cursor = query.text("before")
    return selection.older_than(query.moment("endTime"), _position(cursor) if cursor else None)


def _cursor(position: Position) -> str:
    """The last record of a page as text: microseconds since the epoch and record id."""
    return f"{(position[0] - EPOCH) // timedelta(microseconds=1)}.{position[1]}"


def _position(cursor: str) -> Position:
    matched = CURSOR.fullmatch(cursor)
    if not matched:
        raise invalid("before", cursor[:200], "must be the `next` of an earlier page")
    return EPOCH + timedelta(microseconds=int(matched[1])), int(matched[2])
