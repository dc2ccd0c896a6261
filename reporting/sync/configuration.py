"""Strategies, portfolios and subscribers: read as lists, kept as documents, set by set.

An object that a list no longer holds is asked for by its id before it counts as removed: a list that is read by offsets
may skip one while another is removed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import connection, models, transaction

from copying.client import NotFound
from reporting.commission.observing import follow_subscriptions, observe
from reporting.sync import quarantine
from reporting.sync.source import PAGE_SIZE, Source, UnreadableAnswer, name_request
from reporting.sync.states import Lease, SyncOutcome
from strategies.mirror import keep_strategies
from strategies.models import Kind, Strategy
from strategies.versions import Described, end_versions, note_look
from subscribers.mirror import keep_subscribers, link_subscriptions
from subscribers.models import Subscriber
from users.models import Connection

ROOT = "/users/current/configuration/"
MOST_ASKED = 50
ENDING = "closeOnRemovalMode"
DESCRIBED = {
    "strategies": Described.STRATEGY,
    "portfolio-strategies": Described.PORTFOLIO,
    "subscribers": Described.SUBSCRIBER,
}
# one look into an index for each; history comes oldest first, so what is noted once stays right
FIRST_OF_STRATEGIES = """
UPDATE strategies_strategy s SET traded_since = found.day
FROM strategies_strategy own CROSS JOIN LATERAL (
    SELECT min(r.day) AS day FROM reporting_dailyresult r
    WHERE r.connection_id = own.connection_id AND r.strategy_id = own.backend_id
) found
WHERE own.connection_id = %s AND own.traded_since IS NULL AND found.day IS NOT NULL AND s.id = own.id
"""
FIRST_OF_SUBSCRIPTIONS = """
UPDATE subscribers_subscription b SET traded_since = found.day
FROM subscribers_subscription own JOIN subscribers_subscriber u ON u.id = own.subscriber_id CROSS JOIN LATERAL (
    SELECT min(r.day) AS day FROM reporting_dailyresult r
    WHERE r.connection_id = u.connection_id AND r.subscriber_id = u.backend_id
      AND r.strategy_id = own.strategy_backend_id
) found
WHERE u.connection_id = %s AND own.traded_since IS NULL AND found.day IS NOT NULL AND b.id = own.id
"""


def sync_configuration(lease: Lease, *, source: Source, backend: Connection, now: datetime) -> SyncOutcome:
    """Mirror all configuration. Raises the client's errors."""
    errors = []
    singles = Strategy.objects.filter(connection=backend, kind=Kind.SINGLE)
    portfolios = Strategy.objects.filter(connection=backend, kind=Kind.PORTFOLIO)
    subscribers = Subscriber.objects.filter(connection=backend)
    lists: tuple[tuple[str, models.QuerySet, Callable], ...] = (
        ("strategies", singles, lambda documents: keep_strategies(backend, documents, kind=Kind.SINGLE, now=now)),
        (
            "portfolio-strategies",
            portfolios,
            lambda documents: keep_strategies(backend, documents, kind=Kind.PORTFOLIO, now=now),
        ),
        ("subscribers", subscribers, lambda documents: keep_subscribers(backend, documents, now=now)),
    )
    for name, mirrored, keep in lists:
        errors += _sync_list(lease, name, mirrored, keep, source=source, now=now)
    link_subscriptions(backend)
    note_first_trades(backend)
    if not errors:
        note_look(backend, now=now)
    observe(backend.pk, now)
    follow_subscriptions(backend.pk, now)
    return SyncOutcome(complete_until=None if errors else now, error=" ".join(errors))


def _sync_list(
    lease: Lease, name: str, mirrored: models.QuerySet, keep: Callable, *, source: Source, now: datetime
) -> list:
    seen: set[str] = set()
    errors: list[str] = []
    offset = 0
    while True:
        params = {"includeRemoved": "true", "limit": PAGE_SIZE, "offset": offset}
        page = source.page(ROOT + name, dict[str, Any], params)
        if isinstance(page, UnreadableAnswer):
            quarantine.put_away(lease.connection_id, lease.kind, page, now=now)
            return [*errors, f"A page of {name} could not be read; it is kept in quarantine and tried again."]
        sound = {d["_id"]: d for d in page if isinstance(d.get("_id"), str) and 0 < len(d["_id"]) <= 64}
        with transaction.atomic():
            changed = keep([document for key, document in sound.items() if key not in seen])
            quarantine.resolve(
                lease.connection_id, lease.kind, request_prefix=name_request(ROOT + name, params), now=now
            )
            lease.save(rows=changed)
        seen.update(sound)
        offset += PAGE_SIZE
        if len(page) < PAGE_SIZE:
            break
    offered_or_ending = models.Q(is_removed=False) | models.Q(is_removed=True, document__has_key=ENDING)
    missing = mirrored.filter(offered_or_ending).exclude(backend_id__in=seen)
    _mark_removed(name, missing, DESCRIBED[name], source=source, now=now)
    return errors


def note_first_trades(backend: Connection) -> int:
    """Note since when strategies and subscriptions trade, where that is not known yet; returns how many were found."""
    number = 0
    with connection.cursor() as database:
        for statement in (FIRST_OF_STRATEGIES, FIRST_OF_SUBSCRIPTIONS):
            database.execute(statement, [backend.pk])
            number += database.rowcount
    return number


def _mark_removed(name: str, missing: models.QuerySet, kind: Described, *, source: Source, now: datetime) -> None:
    for pk, backend_id in missing.order_by("id").values_list("id", "backend_id")[:MOST_ASKED]:
        try:
            source.document(f"{ROOT}{name}/{backend_id}")
        except NotFound:
            gone = missing.model.objects.get(pk=pk)
            gone.is_removed = True
            gone.document.pop(ENDING, None)  # it winds down no more
            with transaction.atomic():
                gone.save(update_fields=["is_removed", "document"])
                end_versions(gone.connection, kind, [backend_id], now=now)
