"""What a reconstructed decision may rest on besides what was mirrored: a closed list, each with its sentence.

An assumption that is `decisive` leaves no expected volume; with the others the volume is the engine's over the best
that is known. Only those are named that the settings of the account make a difference for.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Assumption(StrEnum):
    """Codes as they are stored, in the API and in files."""

    SETTINGS_UNKNOWN = "settings-unknown"
    SETTINGS_CHANGING = "settings-changing"
    MEMBER_UNKNOWN = "member-unknown"
    PROVIDER_LOTS = "provider-lots"
    PROVIDER_MONEY = "provider-money"
    MONEY = "money"
    MONEY_NOW = "money-now"
    SPECIFICATION_UNKNOWN = "specification-unknown"
    SPECIFICATION = "specification"
    PRICE_UNKNOWN = "price-unknown"
    PRICE = "price"
    RATE_UNKNOWN = "rate-unknown"
    RATE = "rate"
    STOP = "stop"
    SYMBOL = "symbol"
    OPEN = "open"
    NEWS = "news"
    PROVIDER_FILTERS = "provider-filters"


WORDS: dict[Assumption, str] = {
    Assumption.SETTINGS_UNKNOWN: "The settings of that time are not known: they were seen here only later.",
    Assumption.SETTINGS_CHANGING: "The settings were changed about that time; those seen last before it are taken.",
    Assumption.MEMBER_UNKNOWN: "Which member of the portfolio the signal came from is not told.",
    Assumption.PROVIDER_LOTS: "The volume that the provider traded is not told.",
    Assumption.PROVIDER_MONEY: "The provider's balance at that time is not known.",
    Assumption.MONEY: "The balance of the account, or its currency, is not known.",
    Assumption.MONEY_NOW: "No balance was recorded before the signal: the present one is taken.",
    Assumption.SPECIFICATION_UNKNOWN: "Contract size and smallest volume of the symbol are not known.",
    Assumption.SPECIFICATION: "Contract size, smallest volume and volume step are those that are usual at brokers.",
    Assumption.PRICE_UNKNOWN: "No price of the symbol is known.",
    Assumption.PRICE: "The prices are those of the deals, not the quotes of the moment.",
    Assumption.RATE_UNKNOWN: "No exchange rate is known for the currency.",
    Assumption.RATE: "Currencies are converted at the reference rates of the day.",
    Assumption.STOP: "The provider's stop loss and take profit are not told.",
    Assumption.SYMBOL: "The provider's symbol is not told; it is concluded from the mapping of symbols.",
    Assumption.OPEN: "What was open at that moment is not known; the rules that ask for it take it that nothing was.",
    Assumption.NEWS: "The calendar of news of that time is not known; no news is taken to have been near.",
    Assumption.PROVIDER_FILTERS: "What the filters of the strategy itself compare (magic number, drawdown, equity "
    "curve) is not told; they are taken to have let the signal pass.",
}
DECISIVE = frozenset(
    {
        Assumption.SETTINGS_UNKNOWN,
        Assumption.MEMBER_UNKNOWN,
        Assumption.PROVIDER_LOTS,
        Assumption.PROVIDER_MONEY,
        Assumption.MONEY,
        Assumption.SPECIFICATION_UNKNOWN,
        Assumption.PRICE_UNKNOWN,
        Assumption.RATE_UNKNOWN,
    }
)
"""Without these there is no expected volume."""
WITH_TERMINALS = "Access to the accounts' API brings it"
REMEDIES: dict[Assumption, str] = {
    Assumption.SETTINGS_UNKNOWN: "Settings are kept from the first look on.",
    Assumption.MEMBER_UNKNOWN: "Signals that come while the portfolio has one member tell it.",
    Assumption.PROVIDER_LOTS: f"{WITH_TERMINALS}: the volume is then read while a signal is open.",
    Assumption.PROVIDER_MONEY: f"{WITH_TERMINALS}, for signals from then on.",
    Assumption.MONEY: f"{WITH_TERMINALS}; or enter currency and balance of the account by hand.",
    Assumption.SPECIFICATION_UNKNOWN: "The symbol is none that brokers usually have.",
    Assumption.PRICE_UNKNOWN: f"{WITH_TERMINALS}, or a deal that copies the signal.",
    Assumption.RATE_UNKNOWN: "Enter a rate in Settings, Exchange rates.",
}
"""What would bring what is decisive and not known, for staff."""
IN_LOG, NOT_IN_LOG, OTHER_VOLUME, NO_DEAL_YET = "told-in-log", "not-in-log", "other-volume", "no-deal-yet"
NOT_KNOWN = "settings-unknown"
REASONS = {
    IN_LOG: "The log tells why",
    NOT_IN_LOG: "No reason in the log",
    OTHER_VOLUME: "Another volume than expected",
    NO_DEAL_YET: "No deal of the order yet",
    NOT_KNOWN: "Settings of that time not known",
}
"""Reasons that only a reconstruction gives, beside those of the engine, in words."""


def sentences(codes: Iterable[str]) -> list[str]:
    """Assumptions in words, in the order of the list; what is not known here is left out."""
    named = set(codes)
    return [words for assumption, words in WORDS.items() if assumption.value in named]
