"""Why signals were or were not copied (E3, beyond the contract): keyset pages, newest first, or oldest first to follow.

A tenant's decisions are written in the order of their times, so whoever follows with `after` misses none.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http.options import service
from copying.backend.http.pages import Database, Position, Selection, joined
from copying.backend.http.parameters import Query
from copying.backend.state.errors import invalid
from copying.backend.state.numbers import counts_of, scrambled
from copying.engine.reasons import BY_CODE

OUTCOMES = ("", "copied", "resized", "delayed", "skipped", "failed")
FILTERS = (
    ("strategy_id", "strategyId"),
    ("subscriber_id", "subscriberId"),
    ("signal_id", "signalId"),
    ("reason", "reason"),
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CURSOR = re.compile(r"([0-9]{1,17})\.([0-9]{1,18})")


async def list_decisions(request: Request) -> Response:
    """E3."""
    query = Query.of(request)
    limit = query.integer("limit", 100, 1, 1000)
    here = service(request)
    await here.core.caught_up()
    selection = _selection(request, query)
    if after := query.text("after"):
        return await _following(selection, after, limit, here.database, here.core.book.secret)
    rows = await _read(selection, "time DESC, id DESC", limit + 1, here.database)
    page = rows[:limit]
    return _page(page, _cursor(page[-1][1:], here.core.book.secret) if len(rows) > limit else None)


async def _following(selection: Selection, after: str, limit: int, database: Database, secret: bytes) -> Response:
    """The oldest records behind `after`; `next` is where to go on, also when there is nothing yet."""
    time, number = _position(after, "after", secret)
    newer = selection.narrowed("(time, id) > (%(after)s, %(after_id)s)", after=time, after_id=number)
    rows = await _read(newer, "time, id", limit, database)
    return _page(rows, _cursor(rows[-1][1:], secret) if rows else after)


async def _read(selection: Selection, order: str, limit: int, database: Database) -> list[tuple]:
    return await database.rows(
        f"SELECT document, time, id FROM {selection.table} WHERE {selection.where} ORDER BY {order} LIMIT %(limit)s",
        {**selection.parameters, "limit": limit},
    )


def _page(rows: list[tuple], following: str | None) -> Response:
    end = b'"%s"' % following.encode() if following else b"null"
    body = b'{"items":' + joined([row[0] for row in rows]) + b',"next":' + end + b"}"
    return Response(body, media_type="application/json")


def _selection(request: Request, query: Query) -> Selection:
    selection = Selection("copying_decisionrecord", ("tenant = %(tenant)s",), {"tenant": request.scope["tenant"]})
    for reason in query.texts("reason"):
        if reason not in BY_CODE:
            raise invalid("reason", reason[:200], "is not a reason")
    for column, name in FILTERS:
        selection = selection.by_ids(column, query.texts(name))
    if outcome := query.choice("outcome", OUTCOMES):
        selection = selection.narrowed("outcome = %(outcome)s", outcome=outcome)
    if start := query.moment("startTime"):
        selection = selection.narrowed("time >= %(start)s", start=start)
    cursor, secret = query.text("before"), service(request).core.book.secret
    return selection.older_than(query.moment("endTime"), _position(cursor, "before", secret) if cursor else None)


def _cursor(position: Position, secret: bytes) -> str:
    """The last record of a page as text: microseconds since the epoch and record id, which counts everybody's."""
    number = int(scrambled(np.array([position[1]]), secret)[0]) if secret else position[1]
    return f"{(position[0] - EPOCH) // timedelta(microseconds=1)}.{number}"


def _position(cursor: str, parameter: str, secret: bytes) -> Position:
    """What a cursor stands for, also one from before numbers were scrambled."""
    matched = CURSOR.fullmatch(cursor)
    if not matched:
        raise invalid(parameter, cursor[:200], "must be the `next` of an earlier page")
    return EPOCH + timedelta(microseconds=int(matched[1])), int(counts_of(np.array([int(matched[2])]), secret)[0])
