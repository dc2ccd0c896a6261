"""Why an account was stopped, in words: the backend's 33 reasons are a period and what was measured in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from editing.terms import BASES, PERIODS

FAR_FUTURE = 2090  # the embedded backend says 2100-01-01, others a later year
CODE = re.compile(rf"\b({'|'.join(sorted(PERIODS, key=len, reverse=True))})-({'|'.join(BASES)})\b")


def cause_of(reason: str) -> str:
    """The reason as a sentence: day-balance-difference -> "The closed loss within a day reached its limit"."""
    for basis, what in BASES.items():
        period = reason.removesuffix(f"-{basis}")
        if period != reason and period in PERIODS:
            return f"The {what} {PERIODS[period]} reached its limit"
    return f"{reason.replace('-', ' ').capitalize()} reached its limit"


SHORT_BASES = {
    "balance-difference": "Closed loss",
    "balance-minus-equity": "Open loss",
    "equity-difference": "Loss of equity",
}


def short_cause(reason: str) -> str:
    """The reason in a few words, for a column: date-balance-minus-equity -> "Open loss, calendar day"."""
    for basis, what in SHORT_BASES.items():
        period = reason.removesuffix(f"-{basis}")
        if period != reason and period in PERIODS:
            return f"{what}, {PERIODS[period].removeprefix('within a ')}"
    return reason.replace("-", " ").capitalize()


def in_words(text: str) -> str:
    """A sentence with the codes of limits in words: day-balance-difference -> closed loss within a day."""
    return CODE.sub(lambda code: f"{BASES[code[2]]} {PERIODS[code[1]]}", text)


def describe(description: str, reason: str) -> str:
    """What the backend told of a stopout, without its reason, which `cause_of` says: its level stays."""
    return in_words(re.sub(rf" \({re.escape(reason)}, ([^()]+)\)", r", set by the \1", description))


# what the embedded backend tells of a limit that fired; others are shown as they tell it
DESCRIPTION = re.compile(
    r"Drawdown (?P<measured>[\d.]+) (?P<currency>[A-Z]{3}) reached the limit "
    r"(?:(?P<absolute>[\d.]+)(?= or | \())?(?: or )?(?:(?P<percent>[\d.e+-]+) % of (?P<base>[\d.]+))?"
    r" \([\w-]+, (?P<level>[^()]*?)(?: in portfolio member (?P<member>.+))?\)\.?"
)


@dataclass(frozen=True)
class StopoutFigures:
    """A limit that fired: what was measured and what is allowed, in `currency`. relative: a fraction of `base`."""

    measured: Decimal
    currency: str
    absolute: Decimal | None
    relative: Decimal | None
    base: Decimal | None
    level: str
    member: str


def figures_of(description: str) -> StopoutFigures | None:
    """The figures of a stopout; None: the backend told them in words that are not known here."""
    match = DESCRIPTION.fullmatch(description.strip())
    if match is None:
        return None
    number = {name: Decimal(text) if (text := match[name]) else None for name in ("absolute", "percent", "base")}
    relative = None if number["percent"] is None else number["percent"] / 100
    return StopoutFigures(
        measured=Decimal(match["measured"]),
        currency=match["currency"],
        absolute=number["absolute"],
        relative=relative,
        base=number["base"],
        level=match["level"],
        member=match["member"] or "",
    )


def is_endless(stopped_till: datetime) -> bool:
    """Whether the backend gave an end that nobody will see: it lasts until it is reset."""
    return stopped_till.year >= FAR_FUTURE
