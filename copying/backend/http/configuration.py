"""Strategies, portfolios, subscribers and webhooks (contract, 2.1: C1 to C19)."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http.once import carry_out
from copying.backend.http.options import present, service
from copying.backend.http.parameters import Query, body_bytes, document, new_id, path_id
from copying.backend.http.replies import page_of, reply
from copying.backend.http.webhooks import times_of
from copying.backend.settings.offers import MOST_OFFERED, offered_to
from copying.backend.settings.rules import may_put
from copying.backend.settings.sealing import seal, unseal
from copying.backend.state.book import Book
from copying.backend.state.commands import (
    PutPortfolio,
    PutStrategy,
    PutSubscriber,
    PutWebhook,
    Removable,
    Remove,
    RemoveWebhook,
    ReserveStrategyId,
)
from copying.backend.state.errors import Refused, invalid, not_found
from copying.contract import wire
from copying.contract.validation import load_json
from copying.engine.expressions import ExpressionError, check

from . import reads

ALPHABET = string.ascii_letters + string.digits
Document = dict[str, Any]


def random_id(length: int) -> str:
    """A random id of letters and digits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


async def unused_strategy_id(request: Request) -> Response:
    """C1: kept for the caller, who alone may make a strategy or portfolio of it."""
    for _ in range(100):
        command = ReserveStrategyId(tenant=request.scope["tenant"], strategy_id=random_id(4))
        try:
            await service(request).core.submit(command)
        except Refused:  # somebody has it
            continue
        return reply({"id": command.strategy_id})
    raise not_found("Unused strategy id")


# ------------------------------------------------------------------------------------------------- lists and objects


async def list_strategies(request: Request) -> Response:
    """C2."""
    return _list(request, reads.strategies)


async def list_portfolios(request: Request) -> Response:
    """C6."""
    return _list(request, reads.portfolios)


async def list_subscribers(request: Request) -> Response:
    """C11."""
    return _list(request, reads.subscribers)


def _list(request: Request, read: Callable[..., list[Document]]) -> Response:
    query = Query.of(request)
    version = request.headers.get("api-version", "").strip() or "1"
    if version not in ("1", "2"):
        raise invalid("api-version", version, "must be 1 or 2")
    book = service(request).core.book
    documents = read(book, request.scope["tenant"], include_removed=query.boolean("includeRemoved"))
    return page_of(documents, query, is_classic=version == "2", shown=unseal)


async def list_offered(request: Request) -> Response:
    """E12: strategies and portfolios of others that the caller may follow; `after`: the last id of the page before."""
    query = Query.of(request)
    limit = query.integer("limit", MOST_OFFERED, 1, MOST_OFFERED)
    book = service(request).core.book
    return reply(offered_to(book, request.scope["tenant"], after=query.text("after"), limit=limit))


async def get_strategy(request: Request) -> Response:
    """C3."""
    return _get(request, "strategy_id", "Strategy", reads.strategy)


async def get_portfolio(request: Request) -> Response:
    """C7."""
    return _get(request, "strategy_id", "Portfolio strategy", reads.portfolio)


async def get_subscriber(request: Request) -> Response:
    """C12."""
    return _get(request, "subscriber_id", "Subscriber", reads.subscriber)


def _get(request: Request, name: str, what: str, read: Callable[[Book, str, str], Document | None]) -> Response:
    content = read(service(request).core.book, request.scope["tenant"], path_id(request, name, what))
    if content is None:
        raise not_found(what)
    return reply(unseal(content))


async def names_stopout_risk(request: Request) -> bool:
    """Whether the body has `stopOutRisk`, anywhere: older clients set it, and it is not to be ignored in silence."""
    content = request.state.content = await body_bytes(request)
    return b"stopOutRisk" in content and _has(load_json(content), "stopOutRisk")


def _has(value: Any, name: str) -> bool:
    if isinstance(value, dict):
        return name in value or any(_has(part, name) for part in value.values())
    return isinstance(value, list) and any(_has(part, name) for part in value)


async def put_strategy(request: Request) -> Response:
    """C4. What is secret in it is kept encrypted."""
    strategy_id = new_id(request, "strategy_id")
    known = stored_strategy(service(request).core.book, request.scope["tenant"], strategy_id)
    is_old = await names_stopout_risk(request)
    written = computable(wire.to_wire(await document(request, "strategy", stored=known)))
    usable(request, strategy_id, "Strategy")
    command = PutStrategy(
        tenant=request.scope["tenant"], strategy_id=strategy_id, document=seal(written), names_stopout_risk=is_old
    )
    return await carry_out(request, command)


async def put_portfolio(request: Request) -> Response:
    """C8."""
    strategy_id = new_id(request, "strategy_id")
    known = stored_strategy(service(request).core.book, request.scope["tenant"], strategy_id)
    is_old = await names_stopout_risk(request)
    written = computable(wire.to_wire(await document(request, "portfolio", stored=known)))
    usable(request, strategy_id, "Portfolio strategy")
    command = PutPortfolio(
        tenant=request.scope["tenant"], strategy_id=strategy_id, document=written, names_stopout_risk=is_old
    )
    return await carry_out(request, command)


async def put_subscriber(request: Request) -> Response:
    """C13."""
    subscriber_id = new_id(request, "subscriber_id")
    known = stored_subscriber(service(request).core.book, request.scope["tenant"], subscriber_id)
    is_old = await names_stopout_risk(request)
    written = computable(wire.to_wire(await document(request, "subscriber", stored=known)))
    command = PutSubscriber(
        tenant=request.scope["tenant"], subscriber_id=subscriber_id, document=written, names_stopout_risk=is_old
    )
    return await carry_out(request, command)


def stored_strategy(book: Book, tenant: str, strategy_id: str) -> Document | None:
    """The tenant's own strategy or portfolio as it is stored; None: there is none."""
    known = book.strategies_by_id.get(strategy_id)
    return known.document if known is not None and known.tenant == tenant else None


def stored_subscriber(book: Book, tenant: str, subscriber_id: str) -> Document | None:
    """The tenant's own subscriber as it is stored; None: there is none."""
    known = book.subscribers_by_id.get(subscriber_id)
    return known.document if known is not None and known.tenant == tenant else None


def usable(request: Request, strategy_id: str, what: str) -> None:
    """The caller has the id, had it, or was handed it by C1. Any other is 404, whether somebody has it or nobody."""
    if not may_put(service(request).core.book, request.scope["tenant"], strategy_id):
        raise not_found(what)


def computable(written: Document, prefix: str = "") -> Document:
    """The document, if the engine can evaluate every trade size expression in it. Raises 400 with their positions.

    prefix: of the parameters that are named, where the document is a part of what was sent.
    """
    places = [(prefix, written)]
    for name in ("members", "subscriptions"):
        places += [(f"{prefix}{name}.{number}.", part) for number, part in enumerate(written.get(name) or ())]
    details = []
    for path, settings in places:
        text = (settings.get("tradeSizeScaling") or {}).get("expression")
        if text is None:
            continue
        try:
            check(text)
        except ExpressionError as error:
            parameter = f"{path}tradeSizeScaling.expression"
            details.append({"parameter": parameter, "value": text[:200], "message": str(error)})
    if details:
        first = details[0]
        raise Refused(400, "ValidationError", f"{first['parameter']}: {first['message']}", details)
    return written


# ----------------------------------------------------------------------------------------------------------- removal


async def remove_strategy(request: Request) -> Response:
    """C5."""
    return await _remove(request, "strategy", path_id(request, "strategy_id", "Strategy"))


async def remove_portfolio(request: Request) -> Response:
    """C9."""
    return await _remove(request, "portfolio", path_id(request, "strategy_id", "Portfolio strategy"))


async def remove_member(request: Request) -> Response:
    """C10."""
    portfolio_id = path_id(request, "strategy_id", "Portfolio strategy")
    return await _remove(request, "member", portfolio_id, path_id(request, "member_id", "Portfolio member"))


async def remove_subscriber(request: Request) -> Response:
    """C14."""
    return await _remove(request, "subscriber", path_id(request, "subscriber_id", "Subscriber"))


async def remove_subscription(request: Request) -> Response:
    """C15; `removeAfter` is ignored."""
    subscriber_id = path_id(request, "subscriber_id", "Subscriber")
    return await _remove(request, "subscription", subscriber_id, path_id(request, "strategy_id", "Subscription"))


async def _remove(request: Request, what: Removable, owner_id: str, part: str = "") -> Response:
    is_bounded = what != "subscription"
    instructions = await document(
        request, "close-instructions", optional=True, now=present(request) if is_bounded else None
    )
    command = Remove(
        tenant=request.scope["tenant"],
        what=what,
        id=owner_id,
        part=part,
        mode=instructions.mode or "close-immediately",
        remove_after=instructions.remove_after if is_bounded else None,
    )
    return await carry_out(request, command)


# ---------------------------------------------------------------------------------------------------------- webhooks


async def list_webhooks(request: Request) -> Response:
    """C16."""
    query = Query.of(request)
    style = query.choice("paginationStyle", ("infiniteScroll", "classic"))
    webhooks = [
        {**webhook, "url": _url(request, webhook["_id"]), **times_of(request, webhook["_id"])}
        for webhook in _webhooks(request)
    ]
    return page_of(webhooks, query, is_classic=style == "classic")


async def create_webhook(request: Request) -> Response:
    """C17."""
    _webhooks(request)
    written = wire.to_wire(await document(request, "webhook", optional=True))
    webhook_id = random_id(32)
    command = _put_webhook(request, webhook_id, written)
    return await carry_out(request, command, {"id": webhook_id, "url": _url(request, webhook_id)}, status=201)


async def update_webhook(request: Request) -> Response:
    """C18: what the body does not name stays."""
    webhook = _webhook(request)
    written = wire.to_wire(await document(request, "webhook", optional=True))
    present: Document = {
        name: webhook[name] for name in ("magic", "symbolMapping", "ignoreRepeatsInSeconds") if name in webhook
    }
    return await carry_out(request, _put_webhook(request, webhook["_id"], {**present, **written}))


async def remove_webhook(request: Request) -> Response:
    """C19."""
    webhook_id = _webhook(request)["_id"]
    strategy_id = request.path_params["strategy_id"]
    command = RemoveWebhook(tenant=request.scope["tenant"], strategy_id=strategy_id, webhook_id=webhook_id)
    return await carry_out(request, command)


def _put_webhook(request: Request, webhook_id: str, written: Document) -> PutWebhook:
    strategy_id, tenant = request.path_params["strategy_id"], request.scope["tenant"]
    return PutWebhook(tenant=tenant, strategy_id=strategy_id, webhook_id=webhook_id, document=written)


def _webhooks(request: Request) -> list[Document]:
    strategy_id = path_id(request, "strategy_id", "Strategy")
    webhooks = reads.webhooks(service(request).core.book, request.scope["tenant"], strategy_id)
    if webhooks is None:
        raise not_found("Strategy")
    return webhooks


def _webhook(request: Request) -> Document:
    webhook_id = path_id(request, "webhook_id", "Webhook")
    for webhook in _webhooks(request):
        if webhook["_id"] == webhook_id:
            return webhook
    raise not_found("Webhook")


def _url(request: Request, webhook_id: str) -> str:
    return f"{service(request).options.public_url}/webhooks/{webhook_id}"
