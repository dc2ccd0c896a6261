"""Forms of what a fee counts in each currency, and of the rules of a high-water mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms

from reporting.commission.policy import Hurdle, Policy
from reporting.commission.wording import RULES
from reporting.forms import MOST
from users.numbers import NumberField, WholeNumberField


class RatesForm(forms.Form):
    """A rate for each currency of the clients; empty: the number of the strategy's settings."""

    def __init__(self, data: Any, *, currencies: Sequence[str], rates: Mapping[str, str], plain: str) -> None:
        super().__init__(data)
        self.currencies = list(currencies)
        for currency in self.currencies:
            self.fields[currency] = NumberField(
                label=f"In {currency}",
                required=False,
                is_positive=True,
                most=MOST,
                decimals=8,
                initial=rates.get(currency, ""),
                help_text=f"Empty: {plain} {currency}.",
            )
        self.fields["other"] = forms.CharField(
            label="Another currency", required=False, max_length=3, help_text="Three letters, like JPY."
        )
        self.fields["other_rate"] = NumberField(
            label="Its rate", required=False, is_positive=True, most=MOST, decimals=8
        )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        other = (cleaned.get("other") or "").upper()
        if other and not (len(other) == 3 and other.isascii() and other.isalpha()):
            self.add_error("other", "A currency has three letters, like JPY.")
        if bool(other) != (cleaned.get("other_rate") is not None) and "other_rate" not in self.errors:
            self.add_error("other_rate", "A currency and its rate belong together.")
        return cleaned

    @property
    def rates(self) -> dict[str, str]:
        """By currency, as a version keeps them."""
        chosen = {currency: self.cleaned_data[currency] for currency in self.currencies}
        if self.cleaned_data["other"]:
            chosen[self.cleaned_data["other"].upper()] = self.cleaned_data["other_rate"]
        return {currency: f"{rate.normalize():f}" for currency, rate in sorted(chosen.items()) if rate is not None}


class MarkForm(forms.Form):
    """The rules of a high-water mark. is_own: of one client, which may also follow the strategy."""

    loss_memory_periods = WholeNumberField(
        label="Losses are forgotten after",
        required=False,
        smallest=1,
        largest=520,
        help_text="Billing periods; the oldest loss is earned back first. Empty: never.",
    )
    hurdle_rate = NumberField(
        label="Minimum return, % a year",
        required=False,
        most=Decimal(1000),
        decimals=6,
        help_text="By days / 365, since a fee last moved the mark; only where a minimum return is chosen.",
    )

    def __init__(self, data: Any, *, policy: Policy, follows: bool, is_own: bool) -> None:
        rate = f"{(policy.hurdle_rate * 100).normalize():f}" if policy.hurdle_rate else ""
        super().__init__(data, initial={"loss_memory_periods": policy.loss_memory_periods, "hurdle_rate": rate})
        for name, (label, words) in RULES.items():
            field = forms.ChoiceField(label=label, choices=list(words.items()), widget=forms.RadioSelect)
            field.initial = str(getattr(policy, name))
            self.fields[name] = field
        if is_own:
            self.fields["follows"] = forms.BooleanField(
                label="Follow the rules of the strategy", required=False, initial=follows
            )

    def clean_hurdle_rate(self) -> Decimal:
        rate: Decimal | None = self.cleaned_data["hurdle_rate"]
        if rate is not None and rate < 0:
            raise forms.ValidationError("A minimum return is not negative.")
        return (rate or Decimal(0)) / 100

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("hurdle") == Hurdle.NONE:
            cleaned["hurdle_rate"] = Decimal(0)
        elif cleaned.get("hurdle") and not cleaned.get("hurdle_rate") and "hurdle_rate" not in self.errors:
            self.add_error("hurdle_rate", "Which minimum return? In percent a year, like 5.")
        return cleaned

    @property
    def follows(self) -> bool:
        return bool(self.cleaned_data.get("follows"))

    @property
    def policy(self) -> Policy:
        """What was chosen."""
        chosen = {name: self.cleaned_data[name] for name in (*RULES, "loss_memory_periods", "hurdle_rate")}
        return Policy.parse(chosen)
