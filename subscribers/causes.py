"""Why an account was stopped, in words: the backend's 33 reasons are a period and what was measured in it."""

from __future__ import annotations

from datetime import datetime

from strategies.terms import BASES, PERIODS

FAR_FUTURE = 2090  # the embedded backend says 2100-01-01, others a later year


def cause_of(reason: str) -> str:
    """The reason as a sentence: day-balance-difference -> "The closed loss within a day reached its limit"."""
    for basis, what in BASES.items():
        period = reason.removesuffix(f"-{basis}")
        if period != reason and period in PERIODS:
            return f"The {what} {PERIODS[period]} reached its limit"
    return f"{reason.replace('-', ' ').capitalize()} reached its limit"


def is_endless(stopped_till: datetime) -> bool:
    """Whether the backend gave an end that nobody will see: it lasts until it is reset."""
    return stopped_till.year >= FAR_FUTURE
