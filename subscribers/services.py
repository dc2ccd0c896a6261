"""Writes about subscribers: each goes to the backend first and is mirrored from what the backend then says."""

from __future__ import annotations

import contextlib
import logging
from datetime import datetime
from typing import Any

from django.db import transaction

from copying.client import Client, ClientError, NotFound
from copying.contract import wire
from editing.backend import Unconfirmed
from strategies.models import Strategy
from subscribers.mirror import keep_subscribers
from subscribers.models import Stopout
from users.models import User
from users.services import record_audit

logger = logging.getLogger(__name__)


def reset_stopout(stopout: Stopout, *, client: Client, by: User | None, now: datetime) -> Stopout:
    """Let the account trade again: begin the limit that fired anew, then end the stopout.

    Without the first step the same drawdown would stop the account again at once. A limit that the subscription
    inherits from its strategy is begun anew for this subscription alone, so that other subscribers keep what they have
    used. Repeating it does no harm. Raises the client's errors while it is stopped for certain, Unconfirmed where that
    is not known; whatever was or may have been written is noted, and `limit_begun_anew` says of both whether the first
    step was done.
    """
    account = stopout.subscriber.backend_id
    restarted = begin_limit_anew(client.subscriber(account), stopout, now=now)
    try:
        if restarted is not None:
            client.put_subscriber(account, {name: value for name, value in restarted.items() if name != "_id"})
    except ClientError as error:
        if not error.may_be_done:
            raise
        _note(stopout, "stopout reset: not confirmed", by=by, now=now)
        raise Unconfirmed(error.text) from error
    stopout.limit_begun_anew = restarted is not None
    try:
        _end_at_backend(stopout, client=client)
    except ClientError as error:
        if not error.may_be_done:
            if stopout.limit_begun_anew:
                _note(stopout, "stopout reset: limit begun anew only", by=by, now=now)
            raise
        if not _has_ended(stopout, client=client):
            _note(stopout, "stopout reset: not confirmed", by=by, now=now)
            raise Unconfirmed(error.text) from error
    _end(stopout, by=by, now=now)
    try:
        keep_subscribers(stopout.connection, [client.subscriber(account)], now=now)
    except ClientError as error:  # the next sync reads it
        logger.warning("account %s was reset, but could not be read: %s", account, error.text)
    stopout.refresh_from_db()
    return stopout


def _end_at_backend(stopout: Stopout, *, client: Client) -> None:
    account = stopout.subscriber.backend_id
    with contextlib.suppress(NotFound):  # it ended meanwhile, which is what was wanted
        if stopout.strategy_backend_id:
            client.reset_subscription_stopouts(account, stopout.strategy_backend_id, stopout.reason)
        else:
            client.reset_subscriber_stopouts(account, stopout.reason)


def _has_ended(stopout: Stopout, *, client: Client) -> bool:
    """Whether the backend is seen to list it no more."""
    try:
        active = client.stopouts(stopout.subscriber.backend_id)
    except ClientError:
        return False
    same = (stopout.reason, stopout.strategy_backend_id)
    return all((other.reason, other.strategy.id if other.strategy else "") != same for other in active)


@transaction.atomic
def _end(stopout: Stopout, *, by: User | None, now: datetime) -> None:
    """It is over, here as at the backend."""
    same = Stopout.objects.filter(subscriber=stopout.subscriber, strategy_backend_id=stopout.strategy_backend_id)
    same.filter(reason=stopout.reason, ended_at=None).update(ended_at=now)
    _note(stopout, "stopout reset", by=by, now=now)


def _note(stopout: Stopout, action: str, *, by: User | None, now: datetime) -> None:
    record_audit(
        stopout.workspace,
        user=by,
        action=action,
        subject=f"{stopout.subscriber.name}: {stopout.reason}"[:200],
        details={
            "account": stopout.subscriber.backend_id,
            "strategy": stopout.strategy_backend_id,
            "stopped_at": stopout.stopped_at.isoformat(),
        },
        now=now,
    )


def begin_limit_anew(document: dict[str, Any], stopout: Stopout, *, now: datetime) -> dict[str, Any] | None:
    """The subscriber document with `startTime` = now at the limits behind `stopout`; None when no limit is found."""
    start = wire.format_time(now)
    if not stopout.strategy_backend_id:
        limits = _started(document.get("riskLimits"), stopout.reason, start)
        return None if limits is None else document | {"riskLimits": limits}
    subscriptions, has_limit = [], False
    for terms in document.get("subscriptions") or []:
        if terms.get("strategyId") == stopout.strategy_backend_id:
            own = terms.get("riskLimits") or []
            limits = _started(own, stopout.reason, start)
            if limits is None:
                inherited = _started(_inherited_limits(stopout), stopout.reason, start, only=True)
                limits = None if inherited is None else [*own, *inherited]
            if limits is not None:
                terms, has_limit = terms | {"riskLimits": limits}, True
        subscriptions.append(terms)
    return document | {"subscriptions": subscriptions} if has_limit else None


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
