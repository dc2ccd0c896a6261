"""Why the books refuse something, and what a person is asked before they do it all the same."""

from __future__ import annotations

from datetime import date

from reporting.rates import FRESH_BUSINESS_DAYS


class CannotBook(Exception):
    """The books do not allow it.

    text: a sentence for the user. transient: trying again does not help.
    """

    transient = False

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)


class NeedsConsent(CannotBook):
    """Something that a person has to agree to first. consent: the argument that says so; question: for the form."""

    consent = ""
    question = ""


class OldRate(NeedsConsent):
    """A rate older than three business days."""

    consent = "accepts_old_rate"
    question = "Use that rate all the same"

    def __init__(self, currency: str, day: date) -> None:
        super().__init__(
            f"The newest rate for {currency} is of {day}: older than {FRESH_BUSINESS_DAYS} business days."
            " Accept it, or enter or fetch newer ones in Settings > Exchange rates."
        )
