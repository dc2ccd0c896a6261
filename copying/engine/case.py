"""One decision in the making: the prices of the moment, the volumes so far, and who has been refused or limited why.

Rules (`decide.py`, `sizing.py`, `limits.py`) write through `refuse`, `refuse_all` and `limit`; the first refusal of a
route stays, the smallest limit counts. What is not part of the answer lives in memory that is used again.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan

import numpy as np

from copying.engine.model import Accounts, Facts, Level, Signal
from copying.engine.prices import Prices, Specs
from copying.engine.reasons import REFUSED, WORD, Reason, refusal
from copying.engine.routes import RouteTable
from copying.engine.views import Group, View

Codes = np.ndarray | int


class Scratch:
    """Arrays over routes that a decision needs while it is made.

    Large arrays made anew are pages fetched anew from the system: more than the arithmetic on them.
    """

    __slots__ = ("balance", "bound", "cap", "cap_code", "cap_value", "equity", "most", "rate", "resized")

    def __init__(self, n: int) -> None:
        self.balance, self.equity, self.rate, self.cap, self.cap_value, self.most, self.bound = np.empty((7, n))
        self.cap_code, self.resized = np.empty((2, n), WORD)


class Case:
    """The working state of `decide`. Arrays are over routes.

    words: of `reasons.pack`, refusals from `REFUSED` on. gated: who was refused before there were volumes; None: there
    are volumes. refused_late: whether a route with a volume may have been refused before the limits.
    """

    __slots__ = (
        "accounts", "balance", "cap", "cap_code", "cap_value", "equity", "facts", "final", "finished", "gated",
        "is_after_delay", "limit_value", "limited", "multiplied", "prices", "rate", "refused_late", "rounded", "scaled",
        "scratch", "signal", "specs", "steps", "stop_loss", "table", "take_profit", "view", "words",
    )  # fmt: skip

    def __init__(self, table: RouteTable, view: View, signal: Signal, facts: Facts, is_after_delay: bool) -> None:
        n = len(table)
        self.table, self.view, self.signal, self.facts = table, view, signal, facts
        self.accounts: Accounts = facts.accounts
        self.is_after_delay = is_after_delay
        self.finished = self.refused_late = False
        self.words = view.start.copy()
        self.limit_value = np.full(n, nan)
        self.steps = np.empty((6, n))
        provider, self.scaled, self.multiplied, self.limited, self.rounded, self.final = self.steps
        provider.fill(signal.volume_lots)
        try:
            held = table.scratch.pop()
        except IndexError:
            held = Scratch(n)
        self.scratch: Scratch = held
        self.balance, self.equity, self.rate = held.balance, held.equity, held.rate
        self.cap, self.cap_code, self.cap_value = held.cap, held.cap_code, held.cap_value
        self.gated: list[np.ndarray] | None = []
        self.prices: Prices
        self.specs: Specs
        self.stop_loss: np.ndarray | None = None
        self.take_profit: np.ndarray | None = None

    def refuse_all(self, reason: Reason, level: Level, value: float = nan) -> None:
        """Every route is refused and no later rule is asked."""
        self.words[:] = refusal(reason, level)
        self.limit_value[:] = value
        self.finished = True

    def group(self, name: str, choose: Callable[[RouteTable], np.ndarray]) -> Group:
        """The routes a rule concerns; see `View.group`."""
        return self.view.groups.get(name) or self.view.group(self.table, name, choose)

    def refuse(self, routes: np.ndarray | None, mask: np.ndarray, code: Codes, value: np.ndarray | float = nan) -> None:
        """Refuse those of `routes` (None: all) on which `mask` holds, unless an earlier rule has."""
        hit = mask.nonzero()[0]
        if hit.size:
            chosen = hit if routes is None else routes.take(hit)
            codes = code.take(hit) if isinstance(code, np.ndarray) else code
            self.refuse_routes(chosen, codes, value.take(hit) if isinstance(value, np.ndarray) else value)

    def refuse_routes(self, routes: np.ndarray, code: Codes, value: np.ndarray | float = nan) -> None:
        """Refuse `routes`, unless an earlier rule has; code and value: one for all, or one for each."""
        if self.gated is not None:
            self.gated.append(routes)
        fresh = self.words.take(routes) < REFUSED
        if not fresh.all():
            routes = routes[fresh]
            code = code[fresh] if isinstance(code, np.ndarray) else code
            value = value[fresh] if isinstance(value, np.ndarray) else value
        self.words[routes] = code
        self.limit_value[routes] = value

    def limit(
        self,
        routes: np.ndarray,
        lots: np.ndarray,
        code: Codes,
        value: np.ndarray | float,
        *,
        wins_ties: bool = False,
    ) -> None:
        """Allow at most `lots` on `routes`; nan or inf: no limit. wins_ties: also when equal to the smallest so far."""
        present = self.cap.take(routes)
        hit = (lots <= present if wins_ties else lots < present).nonzero()[0]
        if not hit.size:
            return
        chosen = routes.take(hit)
        self.cap[chosen] = np.maximum(lots.take(hit), 0.0)
        self.cap_code[chosen] = code.take(hit) if isinstance(code, np.ndarray) else code
        self.cap_value[chosen] = value.take(hit) if isinstance(value, np.ndarray) else value
