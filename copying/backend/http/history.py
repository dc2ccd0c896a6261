"""Transactions by period (contract, 2.2: H1, H2) and the logs by period (T6, T7)."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http.options import service
from copying.backend.http.pages import Selection, newest_first
from copying.backend.http.parameters import Query
from copying.backend.http.streams import known_strategy, known_subscriber, log_selection


async def provided_transactions(request: Request) -> Response:
    """H1: transactions on the caller's strategies, whoever copied them."""
    return await _transactions(request, "provider_tenant")


async def subscription_transactions(request: Request) -> Response:
    """H2: transactions of the caller's subscribers, whoever provided them."""
    return await _transactions(request, "subscriber_tenant")


async def _transactions(request: Request, tenant_column: str) -> Response:
    query = Query.of(request)
    selection = Selection(
        "copying_transactionrecord",
        (f"{tenant_column} = %(tenant)s", "time >= %(start)s"),
        {"tenant": request.scope["tenant"], "start": query.required_moment("from")},
    )
    till = query.required_moment("till")
    selection = selection.by_ids("strategy_id", query.texts("strategyId"))
    selection = selection.by_ids("subscriber_id", query.texts("subscriberId"))
    return await _page(request, query, selection, till)


async def subscriber_log(request: Request) -> Response:
    """T6."""
    return await _log(request, "subscriber_id", known_subscriber(request))


async def strategy_log(request: Request) -> Response:
    """T7."""
    return await _log(request, "strategy_id", known_strategy(request))


async def _log(request: Request, column: str, key: str) -> Response:
    query = Query.of(request)
    selection = Selection(
        "copying_userlogrecord",
        (f"{column} = %(key)s", "tenant = %(tenant)s"),
        {"key": key, "tenant": request.scope["tenant"]},
    )
    if start := query.moment("startTime"):
        selection = selection.narrowed("time >= %(start)s", start=start)
    selection = log_selection(selection, query, of_subscriber=column == "subscriber_id")
    return await _page(request, query, selection, query.moment("endTime"))


async def _page(request: Request, query: Query, selection: Selection, end: datetime | None) -> Response:
    limit, offset = query.page()
    here = service(request)
    await here.core.caught_up()
    body = await newest_first(
        selection, end, limit, offset, database=here.database, positions=here.positions, locate=here.depths.locate
    )
    return Response(body, media_type="application/json")
