"""Forms of bookkeeping: the days of an export, and the accounts that it is booked on."""

from __future__ import annotations

import re
from typing import Any

from django import forms

from reporting.bookkeeping import ROLES, BookkeepingSettings
from users.lines import LineField
from users.numbers import DayField, WholeNumberField

# source: beancount's language syntax: parts between colons begin with a capital letter or a digit, the first is a root
NAME = re.compile(r"(Assets|Liabilities|Equity|Income|Expenses)(:[A-Z0-9][A-Za-z0-9-]*)+")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


class ExportForm(forms.Form):
    """The days to export, both included."""

    first_day = DayField(label="From")
    last_day = DayField(label="To", help_text="The last day, included. It must be over.")


class BookkeepingForm(forms.Form):
    """Accounts of the journal: a name for beancount, a number for DATEV, each with its usual one where it is empty."""

    advisor = WholeNumberField(
        label="DATEV advisor number", required=False, smallest=1001, largest=9_999_999, help_text="“Beraternummer”."
    )
    client = WholeNumberField(
        label="DATEV client number", required=False, smallest=1, largest=99_999, help_text="“Mandantennummer”."
    )
    account_digits = WholeNumberField(label="Digits of an account's number", smallest=4, largest=8)
    year_begins = forms.TypedChoiceField(
        label="The fiscal year begins in", coerce=int, choices=[(n, name) for n, name in enumerate(MONTHS, 1)]
    )

    def __init__(self, data: Any = None, *, instance: BookkeepingSettings) -> None:
        accounts = instance.accounts()
        # as text, so that what was not touched does not count as changed
        own = {name: accounts[name] for name in ("advisor", "client", "account_digits", "year_begins")}
        initial = {name: "" if value is None else str(value) for name, value in own.items()}
        for role in ROLES:
            initial |= {
                f"name-{role.key}": accounts["names"][role.key],
                f"number-{role.key}": accounts["numbers"][role.key],
            }
        super().__init__(data, initial=initial)
        self.instance = instance
        for role in ROLES:
            self.fields[f"name-{role.key}"] = LineField(label=f"{role.label}: name", max_length=80)
            self.fields[f"number-{role.key}"] = LineField(label=f"{role.label}: number", max_length=8)

    def rows(self) -> list[tuple[Any, ...]]:
        """(role, field of its name, field of its number)."""
        return [(role, self[f"name-{role.key}"], self[f"number-{role.key}"]) for role in ROLES]

    def others(self) -> list[Any]:
        """The fields that belong to no account."""
        return [self[name] for name in ("advisor", "client", "account_digits", "year_begins")]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        digits = cleaned.get("account_digits")
        for role in ROLES:
            name, number = cleaned.get(f"name-{role.key}"), cleaned.get(f"number-{role.key}")
            if name and not NAME.fullmatch(name):
                self.add_error(
                    f"name-{role.key}",
                    "A name begins with Assets, Liabilities, Equity, Income or Expenses and goes on with parts like"
                    " :Fees, in letters, digits and hyphens, each with a capital letter first.",
                )
            if number and digits and not re.fullmatch(rf"[0-9]{{{digits}}}", number):
                self.add_error(f"number-{role.key}", f"A number has {digits} digits here.")
        if bool(cleaned.get("advisor")) != bool(cleaned.get("client")) and not {"advisor", "client"} & set(self.errors):
            self.add_error("client" if cleaned.get("advisor") else "advisor", "Enter both numbers or none.")
        return cleaned

    def save(self) -> BookkeepingSettings:
        cleaned = self.cleaned_data
        for name in ("advisor", "client", "account_digits", "year_begins"):
            setattr(self.instance, name, cleaned[name])
        # only what differs from the usual is stored
        names = {role.key: (cleaned[f"name-{role.key}"], role.name) for role in ROLES}
        numbers = {role.key: (cleaned[f"number-{role.key}"], role.number) for role in ROLES}
        self.instance.names = {key: own for key, (own, usual) in names.items() if own != usual}
        self.instance.numbers = {key: own for key, (own, usual) in numbers.items() if own != usual}
        self.instance.save()
        return self.instance
