"""Risk limits as a backend measured them: what each allows, and what it and its level are called."""

from __future__ import annotations

from decimal import Decimal

from copying.contract.accounts import MeasuredLimit
from editing.terms import BASES, PERIODS

LEVEL_WORDS = {
    "strategy": "set by the strategy",
    "member": "set by the portfolio's member",
    "portfolio": "set by the portfolio",
    "subscription": "set by the subscription",
    "subscriber": "set by the account",
}


def allowed(limit: MeasuredLimit) -> Decimal | None:
    """What the drawdown may come to: min(maxAbsoluteRisk, maxRelativeRisk x start balance); None: it bounds nothing."""
    bounds = [] if limit.max_absolute_risk is None else [limit.max_absolute_risk]
    if limit.max_relative_risk is not None and limit.start_balance > 0:
        bounds.append(limit.max_relative_risk * limit.start_balance)
    return min(bounds, default=None)


def limit_words(kind: str, basis: str) -> str:
    """ "date", "balance-minus-equity" -> "Loss with open positions within a calendar day"."""
    return f"{BASES.get(basis, basis.replace('-', ' '))} {PERIODS.get(kind, kind)}".capitalize()


def reason_words(reason: str) -> str:
    """As `limit_words`, for the two in one code: `date-balance-minus-equity`."""
    for basis in BASES:
        if reason.endswith(f"-{basis}"):
            return limit_words(reason.removesuffix(f"-{basis}"), basis)
    return reason.replace("-", " ").capitalize()
