"""Why an account was stopped, in words: the backend's 33 reasons are a period and what was measured in it."""

from __future__ import annotations

import re
from datetime import datetime

from strategies.terms import BASES, PERIODS

FAR_FUTURE = 2090  # the embedded backend says 2100-01-01, others a later year
CODE = re.compile(rf"\b({'|'.join(sorted(PERIODS, key=len, reverse=True))})-({'|'.join(BASES)})\b")


def cause_of(reason: str) -> str:
    """The reason as a sentence: day-balance-difference -> "The closed loss within a day reached its limit"."""
    for basis, what in BASES.items():
        period = reason.removesuffix(f"-{basis}")
        if period != reason and period in PERIODS:
            return f"The {what} {PERIODS[period]} reached its limit"
    return f"{reason.replace('-', ' ').capitalize()} reached its limit"


def in_words(text: str) -> str:
    """A sentence with the codes of limits in words: day-balance-difference -> closed loss within a day."""
    return CODE.sub(lambda found: f"{BASES[found[2]]} {PERIODS[found[1]]}", text)


def told_of(description: str, reason: str) -> str:
    """What the backend told of a stopout, without its reason, which `cause_of` says: its level stays."""
    return in_words(re.sub(rf" \({re.escape(reason)}, ([^()]+)\)", r", set by the \1", description))


def is_endless(stopped_till: datetime) -> bool:
    """Whether the backend gave an end that nobody will see: it lasts until it is reset."""
    return stopped_till.year >= FAR_FUTURE
