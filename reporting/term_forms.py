"""Forms of what a fee counts in each currency, of the rules of a high-water mark, and of fees beside the commission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms

from reporting.commission.fee_terms import AMOUNTS, FeeTerms
from reporting.commission.policy import IN_MONEY, Hurdle, Policy
from reporting.commission.wording import HOW_OFTEN, RULES
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
        other = _other_currency(self, cleaned, self.currencies)
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


class FeesForm(forms.Form):
    """Fees beside a strategy's commission, and what lowers its rate. scheme: of the commission, "" where there is none.

    is_own: of one client, which may also follow the strategy. has_begun: it copied the strategy before; what concerns a
    client's beginning is behind it.
    """

    management = NumberField(
        label="Management fee, % a year",
        required=False,
        most=Decimal(100),
        decimals=6,
        help_text="By days / 365, on the equity of the whole account on each day.",
    )
    discount = NumberField(
        label="Discount, %",
        required=False,
        most=Decimal(100),
        decimals=4,
        help_text="Off every rate but a minimum.",
    )
    trial_days = WholeNumberField(
        label="Free days",
        required=False,
        smallest=1,
        largest=366,
        help_text="From a client's first day on. What it loses in them is earned back before new profit counts.",
    )
    labels = {"joining": "Joining fee", "minimum": "Minimum of a period", "cap": "Cap of a period"}

    def __init__(
        self,
        data: Any,
        *,
        fees: FeeTerms,
        currencies: Sequence[str],
        scheme: str,
        plain: str = "",
        is_own: bool = False,
        follows: bool = False,
        has_begun: bool = False,
    ) -> None:
        initial: dict[str, Any] = {"trial_days": fees.trial_days or None}
        initial |= {name: _percent(getattr(fees, name)) for name in ("management", "discount")}
        super().__init__(data, initial=initial)
        self.scheme, self.is_own, self.fees = scheme, is_own, fees
        self.currencies = sorted({*currencies, *(currency for name in AMOUNTS for currency, _ in getattr(fees, name))})
        self.amounts = [name for name in AMOUNTS if not (has_begun and name == "joining")]
        if has_begun:
            del self.fields["trial_days"]
        if not is_own:
            lengths = [(length, words.capitalize()) for length, words in HOW_OFTEN.items()]
            self.fields["billing_period"] = forms.ChoiceField(
                label="Billing period",
                choices=[("", "As in the settings of the strategy"), *lengths],
                required=False,
                initial=fees.billing_period,
                help_text="For all clients, from a new period on. The backend goes on with the one of its settings.",
            )
        if is_own:
            self.fields["follows"] = forms.BooleanField(
                label="Follow the strategy", required=False, initial=follows, help_text="Nothing below counts then."
            )
            if scheme:
                self._add_rate(plain)
        for currency in self.currencies:
            for name in self.amounts:
                amount = fees.amount(name, currency)
                self._add_amount(f"{name}_{currency}", f"{self.labels[name]}, {currency}", amount)
        if not is_own:
            self.fields["other"] = forms.CharField(
                label="Another currency", required=False, max_length=3, help_text="Three letters, like JPY."
            )
            for name in self.amounts:
                self._add_amount(f"{name}_other", f"{self.labels[name]}, in it", None)

    def _add_amount(self, name: str, label: str, amount: Decimal | None) -> None:
        self.fields[name] = NumberField(
            label=label,
            required=False,
            is_positive=True,
            most=MOST,
            decimals=4,
            initial="" if amount is None else f"{amount.normalize():f}",
        )

    def _add_rate(self, plain: str) -> None:
        own, is_money = self.fees.rate if self.fees.rate_scheme == self.scheme else None, self.scheme in IN_MONEY
        shown = "" if own is None else f"{own.normalize():f}" if is_money else _percent(own)
        self.fields["rate"] = NumberField(
            label="Rate of the commission" if is_money else "Rate of the commission, %",
            required=False,
            most=MOST if is_money else Decimal(100),
            decimals=8 if is_money else 6,
            initial=shown,
            help_text=f"Empty: that of the strategy, {plain}.",
        )

    @property
    def currency_fields(self) -> list[tuple[str, list[Any]]]:
        """By currency, the fields of its amounts."""
        return [(code, [self[f"{name}_{code}"] for name in self.amounts]) for code in self.currencies]

    @property
    def other_fields(self) -> list[Any]:
        return [] if self.is_own else [self["other"], *(self[f"{name}_other"] for name in self.amounts)]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        other = _other_currency(self, cleaned, self.currencies)
        has_amount = any(cleaned.get(f"{name}_other") is not None for name in self.amounts)
        if bool(other) != has_amount and not self.is_own and "other" not in self.errors:
            self.add_error("other", "A currency and its amounts belong together.")
        for code in [*self.currencies, *(["other"] if not self.is_own else [])]:
            least, most = cleaned.get(f"minimum_{code}"), cleaned.get(f"cap_{code}")
            if least is not None and most is not None and least > most:
                self.add_error(f"cap_{code}", "The cap is less than the minimum.")
        for name in ("management", "discount", "rate"):
            value = cleaned.get(name)
            if value is not None and value < 0:
                self.add_error(name, "It is not below zero.")
        return cleaned

    @property
    def follows(self) -> bool:
        return bool(self.cleaned_data.get("follows"))

    @property
    def terms(self) -> FeeTerms:
        """What was entered."""
        entered, other = self.cleaned_data, (self.cleaned_data.get("other") or "").upper()
        amounts: dict[str, Any] = {}
        for name in self.amounts:
            sums = {code: entered[f"{name}_{code}"] for code in self.currencies}
            if other:
                sums[other] = entered[f"{name}_other"]
            amounts[name] = tuple((code, amount) for code, amount in sorted(sums.items()) if amount is not None)
        rate = entered.get("rate")
        if rate is not None and self.scheme not in IN_MONEY:
            rate = rate / 100
        return FeeTerms(
            management=(entered["management"] or Decimal(0)) / 100,
            discount=(entered["discount"] or Decimal(0)) / 100,
            trial_days=entered.get("trial_days") or 0,
            rate=rate,
            rate_scheme=self.scheme if rate is not None else "",
            billing_period=entered.get("billing_period") or "",
            **amounts,
        )


def _other_currency(form: forms.Form, cleaned: Mapping[str, Any], currencies: Sequence[str]) -> str:
    """The currency that was named beside those with fields of their own; wrong ones are said at its field."""
    other = (cleaned.get("other") or "").upper()
    if other and not (len(other) == 3 and other.isascii() and other.isalpha()):
        form.add_error("other", "A currency has three letters, like JPY.")
    elif other in currencies:
        form.add_error("other", f"{other} has fields of its own above.")
    return other


def _percent(fraction: Decimal) -> str:
    return f"{(fraction * 100).normalize():f}" if fraction else ""
