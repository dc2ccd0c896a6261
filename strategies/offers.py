"""What an account or portfolio may copy: the workspace's own strategies, and those that others offer to it."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured

from copying.client import ClientError
from strategies.models import Kind, Strategy
from users.models import Connection

MOST_OPTIONS = 1_000
OFFERS_LAST_S = 60


def strategy_options(connection: Connection, *, without: Iterable[str] = ()) -> list[tuple[str, str]]:
    """(id, name) of what may be copied: the workspace's own by name, then what others offer to it."""
    excluded = set(without)
    own = Strategy.objects.filter(connection=connection, is_removed=False).exclude(backend_id__in=excluded)
    rows = own.order_by("name", "id").values_list("backend_id", "name", "kind")[:MOST_OPTIONS]
    options = [
        (strategy_id, f"{name} (portfolio)" if kind == Kind.PORTFOLIO else name) for strategy_id, name, kind in rows
    ]
    return options + [option for option in offered_by_others(connection) if option[0] not in excluded]


def offered_by_others(connection: Connection) -> list[tuple[str, str]]:
    """Strategies of others that may be copied, asked for at most once a minute; none where the backend knows no offers.

    A backend that does not answer offers nothing for that minute: a form must open all the same.
    """

    def read() -> list[tuple[str, str]]:
        try:
            with connection.client(timeout_s=3, retries=0, wait_budget_s=0) as client:
                offers = client.offered_strategies()
        except (ClientError, ImproperlyConfigured):
            return []
        return [
            (offer.strategy_id, f"{offer.name} (offered by {offer.provider.name or offer.provider.id})")
            for offer in offers
        ]

    return cache.get_or_set(f"offered-strategies:{connection.pk}", read, OFFERS_LAST_S) or []
