"""Resynchronisation, stopouts and their resets (contract, 2.3: T1 to T4)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http.once import carry_out
from copying.backend.http.options import service
from copying.backend.http.parameters import Query, path_id
from copying.backend.http.replies import reply
from copying.backend.http.streams import known_subscriber
from copying.backend.state.commands import ResetStopouts, Resynchronise
from copying.backend.state.errors import invalid, not_found
from copying.contract.settings import STOPOUT_REASONS

from . import reads


async def resynchronise(request: Request) -> Response:
    """T1; only the account's owner may (403)."""
    query = Query.of(request)
    subscriber_id = path_id(request, "subscriber_id", "Subscriber")
    command = Resynchronise(
        tenant=request.scope["tenant"],
        subscriber_id=subscriber_id,
        strategy_ids=query.texts("strategyId"),
        position_ids=query.texts("positionId"),
    )
    return await carry_out(request, command)


async def list_stopouts(request: Request) -> Response:
    """T2."""
    subscriber_id = path_id(request, "subscriber_id", "Subscriber")
    documents = reads.stopouts(service(request).core.book, request.scope["tenant"], subscriber_id)
    if documents is None:
        raise not_found("Subscriber")
    return reply(documents)


async def reset_subscription_stopouts(request: Request) -> Response:
    """T3."""
    return await _reset(request, path_id(request, "strategy_id", "Subscription"))


async def reset_subscriber_stopouts(request: Request) -> Response:
    """T4."""
    return await _reset(request, "")


async def _reset(request: Request, strategy_id: str) -> Response:
    subscriber_id = known_subscriber(request)
    reason = request.path_params["reason"]
    if reason not in STOPOUT_REASONS:
        raise invalid("reason", reason.replace("\0", "")[:200], "must be the type and applyTo of a risk limit")
    command = ResetStopouts(
        tenant=request.scope["tenant"], subscriber_id=subscriber_id, strategy_id=strategy_id, reason=reason
    )
    return await carry_out(request, command)
