"""Forms of who receives a part of the fees: a receiver, its shares, its clients, and what was paid to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms

from reporting.models import FeeReceiver, ReceiverKind
from users.lines import LineField
from users.numbers import DayField, NumberField

LEVELS = (
    "Of its own clients, %",
    "Of clients of agents right below it, %",
    "Two levels below, %",
    "Three levels below, %",
    "Four levels below, %",
)
MOST_ACCOUNTS = 1_000


class ReceiverForm(forms.Form):
    """Somebody who gets a part of the fees."""

    name = LineField(label="Name", max_length=100)
    kind = forms.ChoiceField(
        label="Who it is",
        choices=(
            (ReceiverKind.AGENT, "An agent: gets a part of what its clients pay, and clients of agents below it"),
            (ReceiverKind.PLATFORM, "A platform: gets a part of what every client pays"),
        ),
        widget=forms.RadioSelect,
        initial=ReceiverKind.AGENT,
    )
    note = LineField(label="Note", required=False, max_length=400, help_text="Only the firm reads it.")


class SharesForm(forms.Form):
    """What a receiver gets from a day on, and who is above it."""

    def __init__(
        self,
        data: Any,
        *,
        receiver: FeeReceiver,
        others: Sequence[FeeReceiver],
        shares: Sequence[str],
        above: Any,
        today: date,
    ) -> None:
        super().__init__(data)
        is_platform = receiver.kind == ReceiverKind.PLATFORM
        self.levels = 1 if is_platform else len(LEVELS)
        for level in range(self.levels):
            share = Decimal(shares[level]) * 100 if level < len(shares) else Decimal(0)
            self.fields[f"share_{level}"] = NumberField(
                label="Of every client's fees, %" if is_platform else LEVELS[level],
                required=False,
                most=Decimal(100),
                decimals=4,
                initial=f"{share.normalize():f}" if share else "",
            )
        if not is_platform:
            self.fields["above"] = forms.ModelChoiceField(
                label="Who is above it",
                queryset=FeeReceiver.objects.filter(pk__in=[other.pk for other in others]).order_by("name"),
                required=False,
                empty_label="Nobody",
                initial=above,
            )
        self.fields["day"] = DayField(
            label="From", initial=today, help_text="A day that is over counts, too: what was settled is corrected."
        )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for level in range(self.levels):
            if (share := cleaned.get(f"share_{level}")) is not None and share < 0:
                self.add_error(f"share_{level}", "It is not below zero.")
        return cleaned

    @property
    def shares(self) -> list[Decimal]:
        """Fractions by level, without what is nothing at the end."""
        fractions = [(self.cleaned_data[f"share_{level}"] or Decimal(0)) / 100 for level in range(self.levels)]
        while fractions and not fractions[-1]:
            fractions.pop()
        return fractions


class ClientsForm(forms.Form):
    """Which accounts are a receiver's clients from a day on, or are not any more."""

    accounts = forms.CharField(
        label="Accounts",
        widget=forms.Textarea(attrs={"rows": 4}),
        max_length=70_000,
        help_text="Their ids, one a line. Whose client an account was before ends that day.",
    )
    ends = forms.BooleanField(label="They are nobody's clients from then on", required=False)
    day = DayField(label="From")

    def __init__(self, data: Any, *, today: date) -> None:
        super().__init__(data, initial={"day": today})

    def clean_accounts(self) -> list[str]:
        ids = list(dict.fromkeys(line.strip() for line in self.cleaned_data["accounts"].splitlines() if line.strip()))
        if len(ids) > MOST_ACCOUNTS:
            raise forms.ValidationError(f"At most {MOST_ACCOUNTS} accounts at a time.")
        return ids


class PayoutForm(forms.Form):
    """When something was paid, and how."""

    paid_on = DayField(label="Paid on")
    note = LineField(label="Note", required=False, max_length=200, help_text="Like “bank transfer 4711”.")

    def __init__(self, data: Any, *, today: date) -> None:
        super().__init__(data, initial={"paid_on": today})
        self.today = today

    def clean_paid_on(self) -> date | None:
        day: date | None = self.cleaned_data["paid_on"]
        if day is not None and day > self.today:
            raise forms.ValidationError("This day has not come yet.")
        return day
