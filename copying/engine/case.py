"""One decision in the making: the prices of the moment, the volumes so far, and who has been refused or limited why.

Rules (`decide.py`, `sizing.py`, `limits.py`) write through `refuse`, `refuse_all` and `cap`; the first refusal of a
route stays, the smallest cap counts.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan

import numpy as np

from copying.engine.model import Accounts, Facts, Level, Outcome, Signal
from copying.engine.prices import Prices, Specs
from copying.engine.reasons import Reason, pack, refusal
from copying.engine.routes import RouteTable
from copying.engine.views import Group, View

Codes = np.ndarray | int
COPIED = pack(Outcome.COPIED, Reason.COPIED, Level.NONE)


class Case:
    """The working state of `decide`. Arrays are over routes."""

    __slots__ = (
        "accounts", "balance", "cap", "cap_code", "cap_value", "changed", "equity", "facts", "final", "finished",
        "gated", "is_after_delay", "limit_value", "limited", "multiplied", "prices", "rate", "refused", "rounded",
        "scaled", "signal", "specs", "steps", "stop_loss", "table", "take_profit", "view",
    )  # fmt: skip

    def __init__(self, table: RouteTable, view: View, signal: Signal, facts: Facts, is_after_delay: bool) -> None:
        n = len(table)
        self.table, self.view, self.signal, self.facts = table, view, signal, facts
        self.accounts: Accounts = facts.accounts
        self.is_after_delay = is_after_delay
        self.finished = False
        self.refused = view.verdict.copy()
        self.changed = np.full(n, COPIED, np.uint16)
        self.limit_value = np.full(n, nan)
        self.steps = np.empty((6, n))
        self.steps[0] = signal.volume_lots
        _, self.scaled, self.multiplied, self.limited, self.rounded, self.final = self.steps
        self.gated: list[np.ndarray] | None = []  # who was refused before there were volumes
        self.prices: Prices
        self.specs: Specs
        self.stop_loss: np.ndarray | None = None
        self.take_profit: np.ndarray | None = None

    def refuse_all(self, reason: Reason, level: Level, value: float = nan) -> None:
        """Every route is refused and no later rule is asked."""
        self.refused[:] = refusal(reason, level)
        self.limit_value[:] = value
        self.finished = True

    def group(self, name: str, choose: Callable[[RouteTable], np.ndarray]) -> Group:
        """The routes a rule concerns; see `View.group`."""
        return self.view.groups.get(name) or self.view.group(self.table, name, choose)

    def refuse(self, routes: np.ndarray | None, mask: np.ndarray, code: Codes, value: np.ndarray | float = nan) -> None:
        """Refuse those of `routes` (None: all) on which `mask` holds, unless an earlier rule has."""
        hit = mask.nonzero()[0]
        if not hit.size:
            return
        chosen = hit if routes is None else routes[hit]
        if self.gated is not None:
            self.gated.append(chosen)
        fresh = self.refused[chosen] == 0
        if not fresh.all():
            hit, chosen = hit[fresh], chosen[fresh]
        self.refused[chosen] = code[hit] if isinstance(code, np.ndarray) else code
        self.limit_value[chosen] = value[hit] if isinstance(value, np.ndarray) else value

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
        present = self.cap[routes]
        hit = (lots <= present if wins_ties else lots < present).nonzero()[0]
        if not hit.size:
            return
        chosen = routes[hit]
        self.cap[chosen] = np.maximum(lots[hit], 0.0)
        self.cap_code[chosen] = code[hit] if isinstance(code, np.ndarray) else code
        self.cap_value[chosen] = value[hit] if isinstance(value, np.ndarray) else value
