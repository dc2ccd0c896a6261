"""High-water marks: one pure step from a mark before to a mark after. No database, no clock, no rounding.

The mark is kept as what was measured last (`level`) plus losses not yet earned back (`deficits`), because losses may
expire one by one; mark = level + sum of deficits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

from reporting.commission.money import EXACT
from reporting.commission.policy import Basis, Hurdle, NewMark, Policy, Withdrawal

ZERO = Decimal(0)
SECONDS_OF_YEAR = Decimal(365 * 86_400)

Deficits = tuple[tuple[int, Decimal], ...]
"""Losses that are not made up for yet: (number of the period, amount), oldest first."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A subscriber's high-water mark at one moment, account currency.

    periods: billing periods that ended so far. set_at: when a fee last moved the mark (a hurdle runs from then).
    realised: cumulative net profit so far, which the next measurement on the profit basis continues.
    """

    level: Decimal
    set_at: datetime
    realised: Decimal = ZERO
    deficits: tuple[tuple[int, Decimal], ...] = ()  # (number of the period that made the loss, what is left of it)
    periods: int = 0

    @property
    def value(self) -> Decimal:
        """What must be exceeded before anything is owed."""
        with localcontext(EXACT):
            return self.level + sum((amount for _, amount in self.deficits), ZERO)

    def serialise(self) -> dict[str, Any]:
        return {
            "level": str(self.level),
            "set_at": self.set_at.isoformat(),
            "realised": str(self.realised),
            "deficits": [[period, str(amount)] for period, amount in self.deficits],
            "periods": self.periods,
        }

    @classmethod
    def parse(cls, stored: dict[str, Any]) -> Mark:
        deficits = tuple((period, Decimal(amount)) for period, amount in stored["deficits"])
        set_at = datetime.fromisoformat(stored["set_at"])
        return cls(Decimal(stored["level"]), set_at, Decimal(stored["realised"]), deficits, stored["periods"])


@dataclass(frozen=True, slots=True)
class CashFlow:
    """A deposit (positive) or withdrawal (negative) and the equity just before it, account currency.

    is_fee: a withdrawal that paid a fee of the ledger: it lowers the mark by what was paid, whatever the policy.
    is_cost: no money that moved, but a management fee: it has to be earned before a share of new profit is owed.
    """

    occurred_at: datetime
    amount: Decimal
    equity_before: Decimal
    is_fee: bool = False
    is_cost: bool = False

    def serialise(self) -> dict[str, Any]:
        stored = {"at": self.occurred_at.isoformat(), "amount": str(self.amount), "equity": str(self.equity_before)}
        kinds = {"is_fee": self.is_fee, "is_cost": self.is_cost}
        return stored | {name: True for name, holds in kinds.items() if holds}

    @classmethod
    def parse(cls, stored: dict[str, Any]) -> CashFlow:
        at, amount, equity = datetime.fromisoformat(stored["at"]), Decimal(stored["amount"]), Decimal(stored["equity"])
        return cls(at, amount, equity, stored.get("is_fee", False), stored.get("is_cost", False))


@dataclass(frozen=True, slots=True)
class Crystallisation:
    """The outcome of one step: mark before (cash flows included), what is charged for, the fee, the mark after."""

    before: Mark
    hurdle: Decimal
    chargeable: Decimal
    fee: Decimal
    after: Mark


def apply_cash_flow(mark: Mark, flow: CashFlow, policy: Policy) -> Mark:
    """The mark after a deposit or withdrawal; on the profit basis money moved changes nothing. A cost C: H + C.

    deposit D: H + D. withdrawal W: H - W (absolute), H x (E - W) / E (proportional, everything when E <= W)
    """
    if policy.basis is Basis.PROFIT and not flow.is_cost:
        return mark
    with localcontext(EXACT):
        if flow.amount >= 0 or flow.is_fee or policy.withdrawal is Withdrawal.ABSOLUTE:
            return replace(mark, level=mark.level + flow.amount)
        left = max(ZERO, flow.equity_before + flow.amount)
        factor = left / flow.equity_before if flow.equity_before > 0 else ZERO
        deficits = tuple((period, amount * factor) for period, amount in mark.deficits)
        return replace(mark, level=mark.level * factor, deficits=deficits)


def crystallise(
    mark: Mark,
    measured: Decimal,
    *,
    rate: Decimal,
    policy: Policy,
    at: datetime,
    flows: Iterable[CashFlow] = (),
    capital: Decimal = ZERO,
    ends_period: bool = True,
    is_due: bool = True,
) -> Crystallisation:
    """What is owed when `measured` meets the mark: fee = rate x max(0, measured - mark), less what a hurdle frees.

    measured: cumulative net profit or equity, account currency. capital: base of the hurdle on the profit basis (the
    equity basis uses the mark). A loss is remembered for `loss_memory_periods`; the oldest is earned back first.
    A soft or hard hurdle runs actual/365 since the mark was last set by a fee. is_due: whether a fee may fall due now;
    if not, the mark stays until it may.
    """
    with localcontext(EXACT):
        for flow in flows:
            mark = apply_cash_flow(mark, flow, policy)
        if not is_due:
            return Crystallisation(mark, ZERO, ZERO, ZERO, mark)
        number = mark.periods + 1
        mark = replace(mark, deficits=_remembered(mark.deficits, number, policy))
        hurdle = _hurdle(mark, policy, at, capital)
        gain, deficits = _repay(measured - mark.level, mark.deficits)
        chargeable = _chargeable(gain, hurdle, policy)
        fee = rate * chargeable
        after = _mark_after(mark, measured, deficits, gain, chargeable, fee, number, policy, at)
        return Crystallisation(mark, hurdle, chargeable, fee, replace(after, periods=number - (not ends_period)))


def _remembered(deficits: Deficits, number: int, policy: Policy) -> Deficits:
    """What is not forgotten. A loss of when none was forgotten (of period 0) ages from now on."""
    memory = policy.loss_memory_periods
    if memory is None:
        numbered = any(period for period, _ in deficits)
        return ((0, sum((amount for _, amount in deficits), ZERO)),) if numbered else deficits
    return tuple((period or number, amount) for period, amount in deficits if number - (period or number) <= memory)


def _repay(change: Decimal, deficits: Deficits) -> tuple[Decimal, Deficits]:
    """What remains of a gain after old losses, and the losses that remain; a negative change is returned as it is."""
    if change <= 0:
        return change, deficits
    left = []
    for period, amount in deficits:
        repaid = min(change, amount)
        change -= repaid
        if amount > repaid:
            left.append((period, amount - repaid))
    return change, tuple(left)


def _hurdle(mark: Mark, policy: Policy, at: datetime, capital: Decimal) -> Decimal:
    if policy.hurdle is Hurdle.NONE:
        return ZERO
    base = mark.value if policy.basis is Basis.EQUITY else capital
    elapsed = at - mark.set_at
    return max(ZERO, base) * policy.hurdle_rate * (Decimal(elapsed.total_seconds()) / SECONDS_OF_YEAR)


def _chargeable(gain: Decimal, hurdle: Decimal, policy: Policy) -> Decimal:
    if gain <= hurdle:
        return ZERO
    return gain - hurdle if policy.hurdle is Hurdle.HARD else gain


def _mark_after(
    mark: Mark,
    measured: Decimal,
    deficits: Deficits,
    gain: Decimal,
    chargeable: Decimal,
    fee: Decimal,
    number: int,
    policy: Policy,
    at: datetime,
) -> Mark:
    if gain < 0:
        return replace(mark, level=measured, deficits=_add_loss(deficits, number, -gain, policy))
    if chargeable == 0 and gain > 0:
        # below the hurdle: losses are earned back all the same, and the rest counts as gain until a fee is paid for it
        return replace(mark, level=measured - gain, deficits=deficits)
    if policy.new_mark is NewMark.GROSS and fee:
        deficits = _add_loss(deficits, number, fee, policy)
    return replace(mark, level=measured, deficits=deficits, set_at=at if chargeable else mark.set_at)


def _add_loss(deficits: Deficits, number: int, amount: Decimal, policy: Policy) -> Deficits:
    """Losses are kept apart only where they may expire apart."""
    if policy.loss_memory_periods is None:
        return ((0, sum((left for _, left in deficits), ZERO) + amount),)
    return (*deficits, (number, amount))
