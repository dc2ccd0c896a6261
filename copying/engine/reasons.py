"""The closed list of reasons: why a signal was copied, changed, delayed or refused on a route.

Every decision carries exactly one. The code is what the wire, filters and counts use; the sentence is what a person
reads. Adding a reason is one member here, one rule, one scenario block. Nothing is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from copying.engine.model import Level, Outcome, Step


class Reason(IntEnum):
    """Why. The numbers are stored: never renumber, only add."""

    COPIED = 1
    MAGIC_FILTER = 2
    EQUITY_CURVE_FILTER = 3
    DRAWDOWN_FILTER = 4
    NO_ACCOUNT = 5
    SYMBOL_FILTER = 6
    PENDING_ORDERS_SKIPPED = 7
    SIDE_NOT_ALLOWED = 8
    REMOVED = 9
    CLOSE_ONLY = 10
    STOPPED_OUT = 11
    NEWS = 12
    UNKNOWN_SYMBOL = 13
    NO_PRICE = 14
    NO_EXCHANGE_RATE = 15
    NO_MONEY = 16
    PROVIDER_WITHOUT_MONEY = 17
    NO_STOP_LOSS = 18
    EXPRESSION_FAILED = 19
    STOP_LOSS_NEEDED = 20
    MAX_TRADE_RISK = 21
    MAX_TRADE_VOLUME = 22
    CORRELATION = 23
    MAX_LEVERAGE = 24
    BROKER_MAX_VOLUME = 25
    MAX_RISK_COEFFICIENT = 26
    TINY_TRADE = 27
    TINY_TRADE_FORCED = 28
    RESERVED_MARGIN = 29
    MIN_TRADE_VOLUME = 30
    MIN_TRADE_AMOUNT = 31
    DELAYED = 32
    NOT_OFFERED = 48  # of no signal: of those that are not copied for it nothing is told
    # what only the executor can know
    TOO_LATE = 33
    NOT_ENOUGH_MARGIN = 34
    BROKER_REFUSED = 35
    OFFLINE = 36
    CIRCULAR = 37
    ORPHAN = 38
    PROGRAM_FAULT = 39
    # decided by the engine again
    INVALID_PRICE = 40
    INVALID_STOPS = 41
    PRICES_OF_ANOTHER_SYMBOL = 42
    NO_PROVIDER_PRICE = 43

    @property
    def code(self) -> str:
        """The word on the wire, e.g. `max-trade-volume`."""
        return CODES[self]

    @property
    def about(self) -> About:
        """Texts, unit and outcome of the reason."""
        return REASONS[self]


@dataclass(frozen=True, slots=True)
class About:
    """What belongs to a reason.

    refused: the sentence when nothing is traded; changed: the sentence when something is. Placeholders: x, rounded, y
    (lots after multipliers, after rounding, in the end), limit, s (of its unit's plural), level (with article), symbol,
    provider.
    unit: of `limit_value`: lots, fraction, ratio, account currency, provider currency, price, minutes, seconds or none
    ("").
    failed: the refusal is a failure (somebody must repair something), not a setting doing its work.
    setting: the contract's name of the setting that the sentence tells in words; empty: no setting has decided.
    """

    refused: str
    changed: str = ""
    unit: str = ""
    failed: bool = False
    setting: str = ""


CODES = {reason: reason.name.lower().replace("_", "-") for reason in Reason}
BY_CODE = {code: reason for reason, code in CODES.items()}

REASONS: dict[Reason, About] = {
    Reason.COPIED: About("", "Copied with {y} lots."),
    Reason.MAGIC_FILTER: About(
        "The signal's magic number {limit} is not among those that the strategy offers.",
        unit="magic",
        setting="magicFilter",
    ),
    Reason.EQUITY_CURVE_FILTER: About(
        "The provider's equity is not above {limit}, its average balance: the equity curve filter of the strategy.",
        unit="provider currency",
        setting="equityCurveFilter",
    ),
    Reason.DRAWDOWN_FILTER: About(
        "The provider's drawdown is on the wrong side of {limit}: the drawdown filter of the strategy.",
        unit="fraction",
        setting="drawdownFilter",
    ),
    Reason.NO_ACCOUNT: About("The subscriber's trading account is not known.", failed=True),
    Reason.SYMBOL_FILTER: About("{provider} is not among the symbols of {level}.", setting="symbolFilter"),
    Reason.PENDING_ORDERS_SKIPPED: About(
        "Pending orders are not copied, as {level} says.", setting="skipPendingOrders"
    ),
    Reason.SIDE_NOT_ALLOWED: About("This side of the market is not copied, as {level} says.", setting="allowedSides"),
    Reason.REMOVED: About("No new trades: {level} is being removed."),
    Reason.NOT_OFFERED: About(
        "The strategy is not offered to you: nothing new is copied, what is open follows until it closes."
    ),
    Reason.CLOSE_ONLY: About("No new trades: {level} is close-only.", setting="closeOnly"),
    Reason.STOPPED_OUT: About("No new trades: a risk limit of {level} has stopped trading.", setting="riskLimits"),
    Reason.NEWS: About(
        "Too close to news ({limit} minute{s}) for the news filter of {level}.", unit="minutes", setting="newsFilter"
    ),
    Reason.UNKNOWN_SYMBOL: About("The subscriber's broker does not know {symbol}.", failed=True),
    Reason.NO_PRICE: About("There is no price of {symbol}.", failed=True),
    Reason.NO_EXCHANGE_RATE: About(
        "There is no exchange rate between the account, {symbol} and the base currency.", failed=True
    ),
    Reason.NO_MONEY: About("The account has no money: its balance or equity is {limit}.", unit="account currency"),
    Reason.PROVIDER_WITHOUT_MONEY: About(
        "The volume cannot be scaled: the provider's balance or equity is {limit}.", unit="base currency", failed=True
    ),
    Reason.NO_STOP_LOSS: About(
        "The fixed risk per trade of {level} needs a stop loss and the signal has none.", setting="tradeSizeScaling"
    ),
    Reason.EXPRESSION_FAILED: About(
        "The size formula of {level} gives no usable volume.", failed=True, setting="tradeSizeScaling"
    ),
    Reason.STOP_LOSS_NEEDED: About(
        "The largest risk per trade of {level} needs a stop loss: the signal has none and stop losses are not copied.",
        unit="fraction",
        setting="maxTradeRisk",
    ),
    Reason.MAX_TRADE_RISK: About(
        "Volume cut from {x} lots below the smallest possible: {level} risks at most {limit} per trade.",
        "Volume cut from {x} to {y} lots: {level} risks at most {limit} per trade.",
        "fraction",
        setting="maxTradeRisk",
    ),
    Reason.MAX_TRADE_VOLUME: About(
        "Volume cut from {x} lots below the smallest possible: the largest trade of {level} is {limit} lots.",
        "Volume cut from {x} to {y} lots: the largest trade of {level}.",
        "lots",
        setting="maxTradeVolume",
    ),
    Reason.CORRELATION: About(
        "{limit} lots of the same exposure are open: {level} reduces correlations and leaves nothing of {x} lots.",
        "Volume cut from {x} to {y} lots: {limit} lots of the same exposure are open and {level} reduces correlations.",
        "lots",
        setting="reduceCorrelations",
    ),
    Reason.MAX_LEVERAGE: About(
        "Volume cut from {x} lots below the smallest possible: {level} allows a leverage of at most {limit}.",
        "Volume cut from {x} to {y} lots: {level} allows a leverage of at most {limit}.",
        "ratio",
        setting="maxLeverage",
    ),
    Reason.BROKER_MAX_VOLUME: About(
        "Volume cut from {x} lots below the smallest possible: the broker takes at most {limit} lots.",
        "Volume cut from {x} to {y} lots, the most the broker takes.",
        "lots",
    ),
    Reason.MAX_RISK_COEFFICIENT: About(
        "The smallest possible volume is more than {limit} times the wanted {x} lots, the most that {level} allows.",
        "Rounded down from {x} to {y} lots: {level} allows at most {limit} times the wanted volume.",
        "ratio",
        setting="maxRiskCoefficient",
    ),
    Reason.TINY_TRADE: About("{x} lots are below {limit} lots, the smallest volume of the broker.", unit="lots"),
    Reason.TINY_TRADE_FORCED: About(
        "",
        "Volume raised from {x} to {y} lots, the smallest of the broker: {level} copies tiny trades as well.",
        "lots",
        setting="forceTinyTrades",
    ),
    Reason.RESERVED_MARGIN: About(
        "The trade would use the margin that the subscriber keeps back: {limit} times the balance.",
        unit="ratio",
        setting="reservedMarginFraction",
    ),
    Reason.MIN_TRADE_VOLUME: About(
        "{rounded} lots are below {limit} lots, the smallest trade of {level}.", unit="lots", setting="minTradeVolume"
    ),
    Reason.MIN_TRADE_AMOUNT: About(
        "The trade is worth less than {limit}, the smallest amount of the subscriber.",
        unit="account currency",
        setting="minTradeAmount",
    ),
    Reason.DELAYED: About("", "Waits {limit} second{s}: the delay of {level}.", "seconds", setting="signalDelay"),
    Reason.TOO_LATE: About(
        "Too late: more than {limit} minute{s} after the signal the opening window of {level} is over.",
        unit="minutes",
        setting="timeSettings",
    ),
    Reason.NOT_ENOUGH_MARGIN: About("The account's free margin does not carry {rounded} lots.", failed=True),
    Reason.BROKER_REFUSED: About("The broker refused the order.", failed=True),
    Reason.OFFLINE: About("The account is not connected to its broker.", failed=True),
    Reason.CIRCULAR: About("The account is one that this signal came through: copying it would go in a circle."),
    Reason.ORPHAN: About("The provider's position is gone: the copy that was left is closed."),
    Reason.PROGRAM_FAULT: About(
        "A fault of the program kept the signal from this account; the others were not affected. See the log.",
        failed=True,
    ),
    Reason.INVALID_PRICE: About(
        "Invalid price: the order's price is on the wrong side of the market ({limit}), so the broker refuses it.",
        unit="price",
        failed=True,
    ),
    Reason.INVALID_STOPS: About(
        "Invalid stops: the stop loss or take profit is on the wrong side of the price ({limit}) or is no price near "
        "it, so the broker refuses the order.",
        unit="price",
        failed=True,
    ),
    Reason.PRICES_OF_ANOTHER_SYMBOL: About(
        "The signal's prices are prices of {provider} and say nothing about {symbol}, to which it is mapped: a pending "
        "order, or a trade that needs the stop loss, cannot be copied.",
        failed=True,
        setting="symbolMapping",
    ),
    Reason.NO_PROVIDER_PRICE: About(
        "The volume cannot be scaled from {provider} to {symbol}: nobody knows what a lot of {provider} is worth.",
        failed=True,
        setting="symbolMapping",
    ),
}


class Note(IntEnum):
    """What was changed about a copy besides its volume; a bit each."""

    NO_TAKE_PROFIT = 1
    ASSUMED_LOT = 2


# whole sentences without placeholders, so that they are found again in a text that was stored
NOTES = {
    Note.NO_TAKE_PROFIT: "The take profit was left out: it is a price of another symbol.",
    Note.ASSUMED_LOT: "A lot of the provider was taken for one of the subscriber: nobody knows the provider's symbol.",
}

LEVEL_NAMES = {
    Level.NONE: "",
    Level.STRATEGY: "the strategy",
    Level.MEMBER: "the portfolio member",
    Level.PORTFOLIO: "the portfolio",
    Level.SUBSCRIPTION: "the subscription",
    Level.SUBSCRIBER: "the subscriber",
    Level.BROKER: "the broker",
}

# A word is outcome, reason and level, a byte each; its columns are views of the bytes, so their order is fixed.
WORD = np.dtype("<u4")
REASON_AND_LEVEL = 0xFFFF
REFUSED = int(Outcome.SKIPPED) << 16  # words from here on are refusals


def pack(outcome: Outcome, reason: Reason, level: Level) -> int:
    """Outcome, reason and level in one word."""
    return int(outcome) << 16 | int(reason) << 8 | int(level)


def refusal(reason: Reason, level: Level) -> int:
    """The word of a refusal for this reason."""
    return pack(Outcome.FAILED if REASONS[reason].failed else Outcome.SKIPPED, reason, level)


def number(value: float) -> str:
    """A number as a person writes it: at most 6 significant decimals, no trailing zeros.

    >>> number(0.30000000000000004), number(1250.0)
    ('0.3', '1250')
    """
    if not math.isfinite(value):
        return "?"
    return f"{value:.6f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def lots(value: float) -> str:
    """A volume as finely as it says something: four decimals, two from ten lots on.

    >>> lots(0.30000000000000004), lots(12.3456789), lots(0.0034567)
    ('0.3', '12.35', '0.0035')
    """
    return number(round(value, 2 if abs(value) >= 10 else 4))


def limit_text(value: float, unit: str) -> str:
    """The number of a rule by its unit: fractions in percent, money to the hundredth; the unit's own word is not said.

    >>> limit_text(0.02, "fraction"), limit_text(12.3456789, "lots"), limit_text(1234.5678, "account currency")
    ('2 %', '12.35', '1234.57')
    """
    if unit == "fraction":
        return f"{number(round(value * 100, 2))} %"
    if unit == "price":
        return number(value)
    return lots(value) if unit == "lots" else number(round(value, 2))


def sentence(
    reason: Reason,
    outcome: Outcome,
    level: Level,
    steps: Sequence[float],
    limit_value: float = math.nan,
    symbol: str = "",
    provider_symbol: str = "",
    notes: int = 0,
) -> str:
    """One sentence with the numbers of a decision, and one for each of its notes.

    steps: one row of `Decisions.steps`; the rest is of the same row.
    """
    about = REASONS[reason]
    template = (about.changed if outcome <= Outcome.DELAYED else about.refused) or about.changed or about.refused
    limit = limit_text(limit_value, about.unit)
    text = template.format(
        x=lots(steps[Step.MULTIPLIED]),
        rounded=lots(steps[Step.ROUNDED]),
        y=lots(steps[Step.FINAL]),
        limit=limit,
        s="" if limit == "1" else "s",
        level=LEVEL_NAMES[level],
        symbol=symbol,
        provider=provider_symbol,
    )
    extra = [words for note, words in NOTES.items() if notes & note] if outcome <= Outcome.DELAYED else []
    return " ".join([text, *extra])
