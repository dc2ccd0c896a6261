"""Trading signals, external signals and the public webhook post (contract, 2.4: S1 to S5)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http.configuration import random_id
from copying.backend.http.once import carry_out
from copying.backend.http.options import service
from copying.backend.http.parameters import body_bytes, document, path_id
from copying.backend.http.replies import reply
from copying.backend.state.commands import AddNote, PutSignal, RemoveSignal
from copying.backend.state.errors import Refused, invalid, not_found
from copying.contract import wire
from copying.contract.validation import Invalid, load_json, validate

from . import reads, webhooks

INFO = 1
SIGNAL_ID = re.compile(r"[A-Za-z0-9]{1,32}")


async def trading_signals(request: Request) -> Response:
    """S1."""
    subscriber_id = path_id(request, "subscriber_id", "Subscriber")
    documents = reads.trading_signals(service(request).core.book, request.scope["tenant"], subscriber_id)
    if documents is None:
        raise not_found("Subscriber")
    return reply(documents)


async def external_signals(request: Request) -> Response:
    """S2."""
    strategy_id = path_id(request, "strategy_id", "Strategy")
    documents = reads.external_signals(service(request).core.book, request.scope["tenant"], strategy_id)
    if documents is None:
        raise not_found("Strategy")
    return reply(documents)


async def put_signal(request: Request) -> Response:
    """S3."""
    strategy_id = path_id(request, "strategy_id", "Strategy")
    signal_id = request.path_params["signal_id"]
    if not SIGNAL_ID.fullmatch(signal_id):
        raise invalid("signalId", signal_id.replace("\0", "")[:200], "must consist of 1 to 32 letters and digits")
    written = wire.to_wire(await document(request, "external-signal"))
    command = PutSignal(tenant=request.scope["tenant"], strategy_id=strategy_id, signal_id=signal_id, document=written)
    return await carry_out(request, command)


async def remove_signal(request: Request) -> Response:
    """S4."""
    command = RemoveSignal(
        tenant=request.scope["tenant"],
        strategy_id=path_id(request, "strategy_id", "Strategy"),
        signal_id=path_id(request, "signal_id", "External signal"),
        time=(await document(request, "signal-removal")).time,
    )
    return await carry_out(request, command)


async def post_webhook(request: Request) -> Response:
    """S5: whoever knows the address may post; every post is a new signal, or closes (our extension)."""
    webhook_id = path_id(request, "webhook_id", "Webhook")
    webhook = reads.webhook(service(request).core.book, webhook_id)
    if webhook is None:
        raise not_found("Webhook")
    posts, digest = webhooks.posts_of(request, webhook_id), b""
    try:
        body = await body_bytes(request)
        digest = webhooks.take(posts, body, webhook[2].get("ignoreRepeatsInSeconds"))
        answer = await _carry_out_post(request, load_json(body), *webhook)
    except Exception as error:
        webhooks.give_back(posts, digest)
        if isinstance(error, Invalid):
            await webhooks.note_refusal(request, error.text)
        elif isinstance(error, Refused) and error.status < 500:
            await webhooks.note_refusal(request, error.message)
        raise
    posts.accepted_at = service(request).core.clock()
    return answer


async def _carry_out_post(
    request: Request, raw: Any, tenant: str, strategy_id: str, webhook: dict[str, Any]
) -> Response:
    """Open or close what a post says."""
    posted = webhooks.in_contract_words(raw)
    if webhooks.is_closing(posted):
        wanted = webhooks.signals_to_close(request, strategy_id, webhook, posted)
        return await _close_posted(request, tenant, strategy_id, wanted)
    written = webhook_signal(wire.to_wire(validate("webhook-signal", posted)), webhook)
    signal_id = random_id(8)
    command = PutSignal(tenant=tenant, strategy_id=strategy_id, signal_id=signal_id, document=written, posted=True)
    return await carry_out(request, command, {"signalId": signal_id}, status=201)


async def _close_posted(request: Request, tenant: str, strategy_id: str, wanted: list[str]) -> Response:
    """Close signals, as far as nobody else closes one meanwhile. The line in the log keeps the request's key."""
    closed = []
    for signal_id in wanted:
        command = RemoveSignal(tenant=tenant, strategy_id=strategy_id, signal_id=signal_id, time=datetime.now(UTC))
        try:
            await service(request).core.submit(command)
        except Refused as refused:
            if refused.status != 404:
                raise
        else:
            closed.append(signal_id)
    text = f"A post to a webhook closed {', '.join(closed) or 'nothing: no signal that it means was open'}."
    line = AddNote(tenant=tenant, strategy_id=strategy_id, severity=INFO, message=text)
    return await carry_out(request, line, {"closed": closed}, status=200)


def webhook_signal(posted: dict[str, Any], webhook: dict[str, Any]) -> dict[str, Any]:
    """The external signal that a post makes: with the webhook's magic, its symbol mapped; unmapped symbols pass."""
    renamed = {mapping["from"]: mapping["to"] for mapping in webhook.get("symbolMapping", ())}
    signal = {**posted, "symbol": renamed.get(posted["symbol"], posted["symbol"])}
    if webhook.get("magic") is not None:
        signal["magic"] = webhook["magic"]
    return signal
