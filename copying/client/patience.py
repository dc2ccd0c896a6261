"""How long one page waits for backends in all, however many calls it makes.

A page that asks a hung backend three times would wait three time limits in a row. Who serves a page opens a
budget; each call in the same thread may use what is left of it, and one that gets no answer leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

LEAST_S = 0.5  # a call that has less is not sent


@dataclass
class Budget:
    """Seconds that are left."""

    left_s: float


_budget: ContextVar[Budget | None] = ContextVar("budget", default=None)


def current() -> Budget | None:
    """The budget of the page that is being served; None outside of pages: a call then has its own limits only."""
    return _budget.get()


@contextmanager
def patience(seconds: float) -> Iterator[Budget]:
    """Serve a page within a budget."""
    token = _budget.set(budget := Budget(seconds))
    try:
        yield budget
    finally:
        _budget.reset(token)


def is_used_up() -> bool:
    """Whether the page that is being served can wait for no further call."""
    budget = current()
    return budget is not None and budget.left_s < LEAST_S
