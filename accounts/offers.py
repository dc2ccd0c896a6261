"""Whether a connection offers the accounts' API to its token: the app that syncs knows, and registers it here.

A connection whose token may not use it can list, add and start nothing; pages say so instead of trying.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from users.models import Connection

NOT_OFFERED = "{name} does not offer the accounts' API to this token"
Refusals = Callable[[Collection[int]], Mapping[int, str]]
"""Keys of connections to why each does not offer it, a sentence; those that do, or were not asked yet, are left out."""
_refusals: list[Refusals] = []


def register_refusals(refusals: Refusals) -> None:
    _refusals[:] = [refusals]


def refusals_of(connections: Collection[Connection]) -> dict[int, str]:
    """Why connections do not offer it, by key. One query."""
    return dict(_refusals[0]([connection.pk for connection in connections]))
