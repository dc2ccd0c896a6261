"""Trading signals, external signals and the public webhook post (contract, 2.4: S1 to S5)."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.commands import PutSignal, RemoveSignal
from copying.backend.errors import invalid, not_found
from copying.backend.http.configuration import random_id
from copying.backend.http.options import service
from copying.backend.http.parameters import document, path_id
from copying.backend.http.replies import done, reply
from copying.contract import wire

SIGNAL_ID = re.compile(r"[A-Za-z0-9]{1,32}")


async def trading_signals(request: Request) -> Response:
    """S1."""
    subscriber_id = path_id(request, "subscriber_id", "Subscriber")
    found = service(request).core.book.trading_signals(request.scope["tenant"], subscriber_id)
    if found is None:
        raise not_found("Subscriber")
    return reply(found)


async def external_signals(request: Request) -> Response:
    """S2."""
    strategy_id = path_id(request, "strategy_id", "Strategy")
    found = service(request).core.book.external_signals(request.scope["tenant"], strategy_id)
    if found is None:
        raise not_found("Strategy")
    return reply(found)


async def put_signal(request: Request) -> Response:
    """S3."""
    strategy_id = path_id(request, "strategy_id", "Strategy")
    signal_id = request.path_params["signal_id"]
    if not SIGNAL_ID.fullmatch(signal_id):
        raise invalid("signalId", signal_id.replace("\0", "")[:200], "must consist of 1 to 32 letters and digits")
    written = wire.to_wire(await document(request, "external-signal"))
    command = PutSignal(tenant=request.scope["tenant"], strategy_id=strategy_id, signal_id=signal_id, document=written)
    await service(request).core.submit(command)
    return done()


async def remove_signal(request: Request) -> Response:
    """S4."""
    command = RemoveSignal(
        tenant=request.scope["tenant"],
        strategy_id=path_id(request, "strategy_id", "Strategy"),
        signal_id=path_id(request, "signal_id", "External signal"),
        time=(await document(request, "signal-removal")).time,
    )
    await service(request).core.submit(command)
    return done()


async def post_webhook(request: Request) -> Response:
    """S5: whoever knows the address may post; every post is a new signal."""
    found = service(request).core.book.webhook(path_id(request, "webhook_id", "Webhook"))
    if found is None:
        raise not_found("Webhook")
    tenant, strategy_id, webhook = found
    written = webhook_signal(wire.to_wire(await document(request, "webhook-signal")), webhook)
    signal_id = random_id(8)
    await service(request).core.submit(
        PutSignal(tenant=tenant, strategy_id=strategy_id, signal_id=signal_id, document=written, posted=True)
    )
    return reply({"signalId": signal_id}, 201)


def webhook_signal(posted: dict[str, Any], webhook: dict[str, Any]) -> dict[str, Any]:
    """The external signal that a post makes: with the webhook's magic, its symbol mapped; unmapped symbols pass."""
    renamed = {mapping["from"]: mapping["to"] for mapping in webhook.get("symbolMapping", ())}
    signal = {**posted, "symbol": renamed.get(posted["symbol"], posted["symbol"])}
    if webhook.get("magic") is not None:
        signal["magic"] = webhook["magic"]
    return signal
