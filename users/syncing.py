"""How far the mirror of a connection can be believed: the app that syncs knows, and registers it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from django.db.models import QuerySet

from users.models import Connection
from users.states import State

Failing = Callable[[], QuerySet]
"""Rows with the `connection_id` of every connection a sync of which fails now: a query that was not run yet."""
States = Callable[[Sequence[Connection]], Mapping[int, State]]
"""The state of each of these connections by its key, in a bounded number of queries."""
_failing: list[Failing] = []
_states: list[States] = []


def register_failing(failing: Failing) -> None:
    """Where syncs are kept; called while models load, because expressions of others are made of it."""
    _failing[:] = [failing]


def register_states(states: States) -> None:
    _states[:] = [states]


def failing_syncs() -> QuerySet:
    """Rows with a `connection_id` each, to narrow further."""
    return _failing[0]()


def states_of(connections: Sequence[Connection]) -> Mapping[int, State]:
    """What a page shows of each connection's sync, by the connection's key."""
    return _states[0](connections)
