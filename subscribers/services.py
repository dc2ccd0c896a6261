"""Writes about subscribers: each goes to the backend first and is mirrored from what the backend then says."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from copying.client import Client, NotFound
from copying.contract import wire
from strategies.models import Strategy
from subscribers.mirror import keep_subscribers
from subscribers.models import Stopout
from users.models import User
from users.services import record_audit


def reset_stopout(stopout: Stopout, *, client: Client, by: User | None, now: datetime) -> Stopout:
    """Let the account trade again: begin the limit that fired anew, then end the stopout. Raises the client's errors.

    Without the first step the same drawdown would stop the account again at once. A limit that the subscription
    inherits from its strategy is begun anew for this subscription alone, so that other subscribers keep what they have
    used. Repeating it does no harm.
    """
    account = stopout.subscriber.backend_id
    document = client.subscriber(account)
    restarted = begin_limit_anew(document, stopout, now=now)
    if restarted is not None:
        client.put_subscriber(account, {name: value for name, value in restarted.items() if name != "_id"})
    try:
        if stopout.strategy_backend_id:
            client.reset_subscription_stopouts(account, stopout.strategy_backend_id, stopout.reason)
        else:
            client.reset_subscriber_stopouts(account, stopout.reason)
    except NotFound:
        pass  # it ended meanwhile, which is what was wanted
    mirrored = client.subscriber(account)
    with transaction.atomic():
        keep_subscribers(stopout.connection, [mirrored], now=now)
        same = Stopout.objects.filter(subscriber=stopout.subscriber, strategy_backend_id=stopout.strategy_backend_id)
        same.filter(reason=stopout.reason, ended_at=None).update(ended_at=now)
        record_audit(
            stopout.workspace,
            user=by,
            action="stopout reset",
            subject=f"{stopout.subscriber.name}: {stopout.reason}"[:200],
            details={
                "account": account,
                "strategy": stopout.strategy_backend_id,
                "stopped_at": stopout.stopped_at.isoformat(),
            },
            now=now,
        )
    stopout.refresh_from_db()
    return stopout


def begin_limit_anew(document: dict[str, Any], stopout: Stopout, *, now: datetime) -> dict[str, Any] | None:
    """The subscriber document with `startTime` = now at the limits behind `stopout`; None when no limit is found."""
    start = wire.format_time(now)
    if not stopout.strategy_backend_id:
        limits = _started(document.get("riskLimits"), stopout.reason, start)
        return None if limits is None else document | {"riskLimits": limits}
    subscriptions, found = [], False
    for terms in document.get("subscriptions") or []:
        if terms.get("strategyId") == stopout.strategy_backend_id:
            own = terms.get("riskLimits") or []
            limits = _started(own, stopout.reason, start)
            if limits is None:
                inherited = _started(_inherited_limits(stopout), stopout.reason, start, only=True)
                limits = None if inherited is None else [*own, *inherited]
            if limits is not None:
                terms, found = terms | {"riskLimits": limits}, True
        subscriptions.append(terms)
    return document | {"subscriptions": subscriptions} if found else None


def _is_behind(limit: dict[str, Any], reason: str) -> bool:
    return f"{limit.get('type')}-{limit.get('applyTo')}" == reason


def _started(limits: list | None, reason: str, start: str, *, only: bool = False) -> list[dict[str, Any]] | None:
    """The limits with those behind `reason` begun at `start` (only those, with `only`); None when there is none."""
    limits = limits or []
    if not any(_is_behind(limit, reason) for limit in limits):
        return None
    begun = [limit | {"startTime": start} if _is_behind(limit, reason) else limit for limit in limits]
    return [limit for limit in begun if _is_behind(limit, reason)] if only else begun


def _inherited_limits(stopout: Stopout) -> list[dict[str, Any]]:
    """The limits of the strategy, or of a portfolio and below it, as far as mirrored; the nearest level wins."""
    strategies = {s.backend_id: s.document for s in Strategy.objects.filter(connection=stopout.connection)}
    nearest: dict[tuple, dict[str, Any]] = {}

    def collect(document: dict[str, Any], depth: int) -> None:
        for limit in document.get("riskLimits") or []:
            nearest.setdefault((limit.get("type"), limit.get("applyTo"), bool(limit.get("closePositions"))), limit)
        for member in document.get("members") or [] if depth else []:
            collect(member, 0)
            collect(strategies.get(member.get("strategyId"), {}), depth - 1)

    collect(strategies.get(stopout.strategy_backend_id, {}), 8)
    return list(nearest.values())
