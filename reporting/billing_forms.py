"""Forms of what stands on documents: the firm's billing identity and a client's record."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from django import forms

from reporting.commission.money import MINOR_DIGITS
from reporting.identity import BillingIdentity, ClientRecord, TaxKind
from users.lines import LineField
from users.numbers import NumberField, Unclear, read_number

ROWS = forms.Textarea(attrs={"rows": 4})
FIRST_FIELDS = (
    "name",
    "address",
    "tax_number",
    "bank_details",
    "terms",
    "statement_prefix",
    "credit_note_prefix",
    "has_year",
    "tax_kind",
    "tax_name",
)
MOST_PERCENT = Decimal(50)
MOST_REMINDERS, MOST_REMINDER_DAYS = 6, 365


class TaxFields(forms.ModelForm):
    """A tax that is not charged needs its reason: it is printed."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("tax_kind") in (TaxKind.REVERSE_CHARGE, TaxKind.EXEMPT) and not cleaned.get("tax_reason"):
            self.add_error("tax_reason", "Say why no tax is charged, like the article of the law: it is printed.")
        return cleaned


class BillingIdentityForm(TaxFields):
    """What stands on documents from the next one on; those that are issued keep what they have."""

    name = LineField(label="Name of the firm", max_length=200, required=False, help_text="Empty: the workspace's name.")
    address = forms.CharField(label="Address", max_length=600, required=False, widget=ROWS)
    tax_number = LineField(label="Tax number", max_length=60, required=False)
    bank_details = forms.CharField(label="Bank details", max_length=600, required=False, widget=ROWS)
    terms = forms.CharField(
        label="Text at the end", max_length=2000, required=False, widget=ROWS, help_text="Terms of payment, a register."
    )
    statement_prefix = LineField(label="Statements are numbered", max_length=12, help_text="Before the number.")
    credit_note_prefix = LineField(label="Credit notes are numbered", max_length=12, help_text="Another one than that.")
    tax_name = LineField(label="Name of the tax", max_length=20)
    percent = NumberField(label="Rate, percent", required=False, decimals=4, most=MOST_PERCENT)
    tax_reason = LineField(label="Reason where none is charged", max_length=200, required=False)
    minimum_text = LineField(
        label="Smallest statement",
        required=False,
        max_length=200,
        help_text="For each currency, like “USD 5, JPY 500”. A smaller sum waits for the account's next statement.",
    )
    reply_to = forms.EmailField(
        label="Answers to mails go to", required=False, help_text="Empty: to the address that the portal sends from."
    )
    reminder_text = LineField(
        label="Reminders",
        required=False,
        max_length=60,
        help_text="Days after the day to pay by, like “3, 14, 30”: the client of an overdue statement is reminded by"
        " mail on each, once. Empty: nobody is reminded.",
    )

    class Meta:
        model = BillingIdentity
        fields = (
            *FIRST_FIELDS,
            "tax_reason",
            "reply_to",
        )
        labels = {"has_year": "The year stands in the number, and each year begins at 1", "tax_kind": "Tax on fees"}

    field_order = (
        *FIRST_FIELDS,
        "percent",
        "tax_reason",
        "minimum_text",
        "reply_to",
        "reminder_text",
    )

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        rate = self.instance.tax_rate * 100
        self.initial["percent"] = f"{rate.normalize():f}" if rate else ""
        self.initial["minimum_text"] = ", ".join(f"{name} {value}" for name, value in self.instance.minimums.items())
        self.initial["reminder_text"] = ", ".join(map(str, self.instance.reminder_days))

    def clean_statement_prefix(self) -> str:
        return _prefix(self.cleaned_data["statement_prefix"])

    def clean_credit_note_prefix(self) -> str:
        return _prefix(self.cleaned_data["credit_note_prefix"])

    def clean_minimum_text(self) -> dict[str, str]:
        """{currency: amount}."""
        minimums = {}
        for part in filter(None, (part.strip() for part in self.cleaned_data["minimum_text"].split(","))):
            match = re.fullmatch(r"([A-Za-z]{3})\s+(\S+)", part)
            if not match:
                raise forms.ValidationError(f"“{part}” is no currency and amount, like USD 5.")
            currency = match[1].upper()
            try:
                amount = read_number(match[2], decimals=MINOR_DIGITS.get(currency, 2), unit=currency)
            except Unclear as error:
                raise forms.ValidationError(str(error)) from error
            if not 0 < amount < 1_000_000:
                raise forms.ValidationError("A minimum is more than 0 and less than a million.")
            minimums[currency] = str(amount)
        return minimums

    def clean_reminder_text(self) -> list[int]:
        """Days, ascending."""
        parts = [part.strip() for part in self.cleaned_data["reminder_text"].split(",") if part.strip()]
        for part in parts:
            if not re.fullmatch(r"[0-9]{1,3}", part) or not 1 <= int(part) <= MOST_REMINDER_DAYS:
                raise forms.ValidationError(f"“{part}” is no number of days between 1 and {MOST_REMINDER_DAYS}.")
        if len(parts) > MOST_REMINDERS:
            raise forms.ValidationError(f"At most {MOST_REMINDERS} reminders.")
        return sorted({int(part) for part in parts})

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        percent = cleaned.get("percent")
        if cleaned.get("tax_kind") == TaxKind.RATE and not percent and "percent" not in self.errors:
            self.add_error("percent", "What is the rate? Choose “No tax” where none is charged.")
        if percent is not None and percent < 0:
            self.add_error("percent", "A rate is not negative.")
        prefixes = cleaned.get("statement_prefix"), cleaned.get("credit_note_prefix")
        if prefixes[0] and prefixes[0] == prefixes[1]:
            self.add_error("credit_note_prefix", "Credit notes need another beginning than statements.")
        return cleaned

    def save(self, commit: bool = True) -> BillingIdentity:
        self.instance.tax_rate = (self.cleaned_data["percent"] or Decimal(0)) / 100
        self.instance.minimums = self.cleaned_data["minimum_text"]
        self.instance.reminder_days = self.cleaned_data["reminder_text"]
        saved: BillingIdentity = super().save(commit)
        return saved


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9/._-]*[A-Za-z/._-]", text):
        raise forms.ValidationError("Letters, digits and - / . _, with none of the digits last: the number follows.")
    return text


class ClientRecordForm(TaxFields):
    """Who stands behind an account."""

    name = LineField(label="Name", max_length=200, required=False, help_text="Empty: the account's name.")
    address = forms.CharField(label="Address", max_length=600, required=False, widget=ROWS)
    tax_number = LineField(label="Tax number", max_length=60, required=False)
    email = forms.EmailField(label="E-mail", required=False)
    tax_reason = LineField(label="Reason where none is charged", max_length=200, required=False)
    notes = forms.CharField(
        label="Notes", max_length=4000, required=False, widget=ROWS, help_text="Only the firm reads them."
    )

    class Meta:
        model = ClientRecord
        fields = ("name", "address", "tax_number", "email", "tax_kind", "tax_reason", "notes")
        labels = {"tax_kind": "Tax on this client's fees"}

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tax_kind"].choices = [("", "As for everybody"), *TaxKind.choices]  # type: ignore[attr-defined]
