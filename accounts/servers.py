"""Names of broker servers, as the backend knows them: asked while somebody types, remembered for ten minutes."""

from __future__ import annotations

import hashlib

from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured

from copying.client import ClientError
from users.models import Connection

KEPT_S = 600
SHORTEST_QUERY, LONGEST_QUERY, MOST_SERVERS = 2, 100, 50
CLIENT_OPTIONS = {"timeout_s": 6, "retries": 0, "wait_budget_s": 0}
PAPER = "paper"  # how a backend with paper accounts calls their broker


def servers_like(connection: Connection, platform: str, query: str) -> list[str]:
    """Servers with the text in their name or their broker's; [] also where the backend does not tell any."""
    query = query.strip().casefold()[:LONGEST_QUERY]
    if len(query) < SHORTEST_QUERY:
        return []
    version = 4 if platform == "mt4" else 5
    digest = hashlib.sha256(query.encode()).hexdigest()[:32]
    key = f"broker-servers:{connection.pk}:{connection.token_hint}:{version}:{digest}"
    names = cache.get(key)
    if names is None:
        try:
            with Connection.objects.get(pk=connection.pk).client(**CLIENT_OPTIONS) as client:
                by_broker = client.servers_like(version, query)
        except (ClientError, ImproperlyConfigured):
            return []  # a help while typing, and nothing that a person has to know of
        names = [name for of_broker in by_broker.values() for name in of_broker][:MOST_SERVERS]
        cache.set(key, names, KEPT_S)
    return names
