"""Forms of the books: payments, credit notes and reasons. What an amount means is checked where it is booked."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

from django import forms

from reporting.commission.beginning import AT_ONCE, NEXT_PERIOD
from reporting.commission.money import MINOR_DIGITS
from reporting.commission.payments import PaidVoid
from reporting.commission.refusals import NeedsConsent, OldRate
from reporting.rates import FRESH_BUSINESS_DAYS, Rates
from users.lines import LineField
from users.numbers import DayField, NumberField, Unclear, read_number

MOST = Decimal("1000000000000")
MOST_YEARS_AHEAD = 5


def amount_field(**more) -> NumberField:
    """A sum of money that is more than nothing; `check_digits` compares it with its currency."""
    return NumberField(is_positive=True, most=MOST, **more)


def check_digits(form: forms.Form, currency: str) -> None:
    """Refuse an amount with more decimals than its currency has: money is asked about, never rounded."""
    if "amount" in form.errors or form.cleaned_data.get("amount") is None:
        return
    text = str(form.data.get(form.add_prefix("amount"), ""))
    try:
        read_number(text, decimals=MINOR_DIGITS.get(currency, 2), unit=currency)
    except Unclear as error:
        form.add_error("amount", str(error))


class ConsentForm(forms.Form):
    """A form that may ask its sender to agree to something first: then it is sent again with the answer."""

    consents: ClassVar[dict[str, str]] = {}

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        for name in self.consents:
            if name in self.data:
                self._add_consent(name)

    def _add_consent(self, name: str) -> None:
        self.fields[name] = forms.BooleanField(label=self.consents[name], required=False)

    def ask(self, error: NeedsConsent) -> None:
        """Show the question."""
        self._add_consent(error.consent)
        self.add_error(error.consent, error.text)


class PaymentForm(ConsentForm):
    """Money that was received. `token` makes sending the form twice harmless."""

    consents: ClassVar[dict[str, str]] = {case.consent: case.question for case in (OldRate, PaidVoid)}

    amount = amount_field(label="Amount received")
    currency = forms.CharField(label="Currency", min_length=3, max_length=3, help_text="Three letters, like USD.")
    received_on = DayField(label="Received on")
    reference = LineField(
        label="Reference",
        required=False,
        max_length=120,
        help_text="What the bank or the client wrote, to find it again.",
    )
    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def __init__(self, *args, today: date, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.today = today

    def clean_currency(self) -> str:
        currency = self.cleaned_data["currency"].upper()
        if not (currency.isascii() and currency.isalpha()):
            raise forms.ValidationError("A currency has three letters, like USD.")
        return currency

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("currency"):
            check_digits(self, cleaned["currency"])
        return cleaned

    def clean_received_on(self) -> date:
        day = self.cleaned_data["received_on"]
        if not date(1999, 1, 4) <= day <= self.today:
            raise forms.ValidationError(f"The day is between 1999-01-04 and today, {self.today}.")
        return day


class ReasonForm(forms.Form):
    """Why something is taken back: kept with the entry, and shown to the client."""

    reason = LineField(label="Reason", max_length=400, widget=forms.TextInput(attrs={"autocomplete": "off"}))


class DisputeForm(forms.Form):
    """What a client does not accept about a line: kept with the dispute, and read by whoever answers it."""

    reason = LineField(
        label="What is wrong",
        max_length=400,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Your account manager reads it and answers.",
    )


class CreditNoteForm(ConsentForm, ReasonForm):
    """What a credit note takes off a statement. `token` makes sending the form twice harmless."""

    consents: ClassVar[dict[str, str]] = {OldRate.consent: OldRate.question}

    amount = amount_field(label="Amount to credit", help_text="With the tax in it.")
    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4, required=False)
    field_order = ("amount", "reason")

    def __init__(self, *args, currency: str, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.currency = currency

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        check_digits(self, self.currency)
        return cleaned


class WriteOffForm(ReasonForm):
    """What of a statement is given up. `token` makes sending the form twice harmless."""

    amount = amount_field(label="Amount to write off", help_text="At most what is left to pay.")
    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4, required=False)
    field_order: Sequence[str] = ("amount", "reason")

    def __init__(self, *args, currency: str, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.currency = currency

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        check_digits(self, self.currency)
        return cleaned


class RefundForm(WriteOffForm):
    """Credit that was paid back to a client."""

    amount = amount_field(label="Amount paid back", help_text="At most the credit of the account.")
    paid_on = DayField(label="Paid on")
    field_order = ("amount", "paid_on", "reason")

    def __init__(self, *args, today: date, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.today = today
        self.fields["reason"].label = "Reference"
        self.fields["reason"].help_text = "What your bank wrote, or why."

    def clean_paid_on(self) -> date:
        day: date = self.cleaned_data["paid_on"]
        if not date(1999, 1, 4) <= day <= self.today:
            raise forms.ValidationError(f"The day is between 1999-01-04 and today, {self.today}.")
        return day


class TakeBackForm(ReasonForm):
    """Why something is taken back, once for each form."""

    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4, required=False)


class IssueForm(forms.Form):
    """Until when clients are asked to pay. old_rates: how many statements need their rates accepted, once for all."""

    due_on = DayField(label="To be paid by")

    def __init__(self, *args, today: date, old_rates: int = 0, small: int = 0, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.today = today
        if small:
            self.fields["with_small"] = forms.BooleanField(
                label=f"Issue {small} below the minimum all the same",
                required=False,
                help_text="Without it they wait, and go on the account's next statement.",
            )
        if old_rates:
            self.fields["accepts_old_rates"] = forms.BooleanField(
                label=f"Issue {old_rates} of them at rates that are older than {FRESH_BUSINESS_DAYS} business days",
                help_text="Without it they wait. Who accepts the rates, when and of which day they are stays with the"
                " statement.",
                required=False,
            )

    def clean_due_on(self) -> date:
        day = self.cleaned_data["due_on"]
        if not self.today <= day <= self.today.replace(year=self.today.year + 2, day=1):
            raise forms.ValidationError("The day is today or later, at most two years ahead.")
        return day


class BeginningForm(forms.Form):
    """From when another commission is to hold. chosen: as `reporting.commission.beginning` writes it."""

    start = forms.ChoiceField(
        label="From when",
        choices=((NEXT_PERIOD, "The next billing period"), (AT_ONCE, "Now"), ("day", "A later day")),
    )
    day = DayField(label="The day", required=False)

    def __init__(self, data: Any, *, chosen: str, today: date) -> None:
        is_day = chosen not in (AT_ONCE, NEXT_PERIOD)
        initial = {"start": "day", "day": date.fromisoformat(chosen)} if is_day else {"start": chosen}
        super().__init__(data, initial=initial)
        self.today = today

    def clean(self) -> dict[str, Any]:
        """A day is needed where one is chosen, and never lies back."""
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("start") == "day" and "day" not in self.errors:
            day = cleaned.get("day")
            if day is None:
                self.add_error("day", "Which day? Deals from its midnight on are charged by the new terms.")
            elif day <= self.today:
                self.add_error("day", "Terms never reach back: choose a day after today, or “Now”.")
            elif day > self.today.replace(year=self.today.year + MOST_YEARS_AHEAD, day=1):
                self.add_error("day", f"Choose a day within {MOST_YEARS_AHEAD} years.")
        return cleaned

    @property
    def choice(self) -> str:
        """What was chosen, as a change keeps it."""
        start: str = self.cleaned_data["start"]
        return self.cleaned_data["day"].isoformat() if start == "day" else start


class AnswerForm(forms.Form):
    """What clients answered to terms that cost them more; which clients is ticked in their list."""

    answer = forms.ChoiceField(label="Answer", choices=(("agreed", "They agreed"), ("refused", "They refused")))
    note = LineField(
        label="How you know",
        required=False,
        max_length=200,
        help_text="Like “e-mail of 3 May”: it is kept with the answer.",
    )
    is_everybody = forms.BooleanField(label="Everybody who has not answered yet", required=False)


class OwnRateForm(forms.Form):
    """A rate for a currency that the European Central Bank does not list."""

    currency = forms.CharField(label="One unit of", min_length=3, max_length=3, help_text="Three letters, like KWD.")
    value = NumberField(label="is worth", is_positive=True, decimals=10, most=Decimal(1_000_000_000))
    against = forms.CharField(label="of", min_length=3, max_length=3, initial="USD", help_text="A currency of the ECB.")
    day = DayField(label="On")
    source = LineField(label="Source", max_length=60, help_text="Who published it, like “Central Bank of Kuwait”.")

    def __init__(self, *args, rates: Rates, today: date, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.rates, self.today = rates, today

    def clean_currency(self) -> str:
        currency = self.cleaned_data["currency"].upper()
        if not (currency.isascii() and currency.isalpha()):
            raise forms.ValidationError("A currency has three letters, like KWD.")
        if self.rates.is_listed(currency):
            raise forms.ValidationError(f"The European Central Bank publishes rates of {currency}: they are used.")
        return currency

    def clean_against(self) -> str:
        against = self.cleaned_data["against"].upper()
        if not self.rates.is_listed(against):
            raise forms.ValidationError("Choose a currency that the European Central Bank lists, like USD or EUR.")
        return against

    def clean_day(self) -> date:
        day = self.cleaned_data["day"]
        if not date(1999, 1, 4) <= day <= self.today:
            raise forms.ValidationError(f"The day is between 1999-01-04 and today, {self.today}.")
        return day


class RateFileForm(forms.Form):
    """Many rates from a file: one row for each, currency, day, value, against."""

    file = forms.FileField(label="CSV file", help_text="Columns currency, day, value, against, with these names.")
    source = LineField(label="Source", max_length=60, help_text="Who published them.")
