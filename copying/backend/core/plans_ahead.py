"""Routes that are compiled while nothing else is to do, so that the next signal need not wait for it."""

from __future__ import annotations

from copying.backend.signals.plans import Plans, plan_for
from copying.backend.state.book import Book


class PlansAhead:
    """Compiles one strategy at a time; one that fails is not tried again before the configuration changes."""

    def __init__(self) -> None:
        self._cannot_compile: dict[str, int] = {}  # strategy -> version of the configuration

    def compile_one(self, book: Book) -> None:
        """The configuration has come to rest: compile the routes of a strategy whose plan is old."""
        for strategy_id, strategy in book.strategies_by_id.items():
            plan = book.cache(Plans).whole.get(strategy_id)
            is_old = plan is None or plan.version != book.version
            if not strategy.is_portfolio and is_old and self._cannot_compile.get(strategy_id) != book.version:
                self._cannot_compile[strategy_id] = book.version  # until it has been done
                plan_for(book, strategy_id)
                del self._cannot_compile[strategy_id]
                return
