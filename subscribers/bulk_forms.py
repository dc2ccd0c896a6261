"""The forms of what is done to many accounts at once, one for each act."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from django import forms

from editing.terms import BASES, CLOSE_ONLY, PERIODS
from subscribers.acts import LIMITS, SHARES, SMALLEST_RATIO
from users.numbers import NumberField

WHOLE = "All that they copy"
MOST_RATIO, MOST_VALUE = 1_000, 1_000_000


def choices(words: dict[str, str]) -> list[tuple[str, str]]:
    """Codes with what a person reads."""
    return [(key, text.capitalize()) for key, text in words.items()]


class ActForm(forms.Form):
    """One act; strategy: whose subscriptions it is on."""

    act: str
    title: str
    lead: str
    whole = WHOLE
    strategy = forms.ChoiceField(label="Strategy", required=False)

    def __init__(self, *args: Any, strategies: list[tuple[str, str]], only: str = "", **options: Any):
        super().__init__(*args, **{"auto_id": f"{self.act}_%s", **options})
        if only:
            del self.fields["strategy"]
        else:
            self.fields["strategy"].choices = [("", self.whole), *strategies]  # type: ignore[attr-defined]
            self.order_fields([*(name for name in self.fields if name != "strategy"), "strategy"])
        self.only = only

    @property
    def request(self) -> dict[str, Any]:
        """What was asked, as subscribers/acts.py takes it."""
        strategy = self.only or self.cleaned_data.get("strategy", "")
        return {"act": self.act, **self.value, **({"strategy": strategy} if strategy else {})}

    @property
    @abstractmethod
    def value(self) -> dict[str, Any]:
        """The act's own part of it."""


class RatioForm(ActForm):
    """How much of a provider's volume is copied."""

    act, title, lead = "ratio", "Ratio", "How much of the provider's volume they copy."
    how = forms.ChoiceField(
        label="Change", choices=(("set-ratio", "Set it to"), ("multiply-ratio", "Multiply what it is by"))
    )
    amount = NumberField(label="Ratio", decimals=8, is_positive=True, is_float=True)

    def clean_amount(self) -> float:
        value = float(self.cleaned_data["amount"])
        if not SMALLEST_RATIO <= value <= MOST_RATIO:
            raise forms.ValidationError(f"A ratio is between 0.000001 and {MOST_RATIO}.")
        return value

    @property
    def value(self) -> dict[str, Any]:
        return {"act": self.cleaned_data["how"], "value": self.cleaned_data["amount"]}

    @property
    def request(self) -> dict[str, Any]:
        return {**super().request, **self.value}


class LimitForm(ActForm):
    """A bound of single trades or of all of them."""

    act, title, lead = "limit", "Limit of trades", "Larger copies are cut, smaller ones are skipped."
    whole = "The account, or all that it copies"
    setting = forms.ChoiceField(
        label="Limit",
        choices=[(key, f"{words}, % of the balance" if key in SHARES else words) for key, words in LIMITS.items()],
    )
    amount = NumberField(
        label="At", decimals=8, is_positive=True, is_float=True, required=False, help_text="Empty: no such limit."
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        value = cleaned.get("amount")
        most = 100 if cleaned.get("setting") in SHARES else MOST_VALUE
        if value is not None and value > most:
            self.add_error("amount", f"At most {most:,}.")
        return cleaned

    @property
    def value(self) -> dict[str, Any]:
        setting, value = self.cleaned_data["setting"], self.cleaned_data["amount"]
        share = setting in SHARES and value is not None
        return {"setting": setting, "value": round(value / 100, 10) if share else value}


class RiskLimitForm(ActForm):
    """A loss at which nothing new is opened."""

    act, title = "risk-limit", "Risk limit"
    lead = "At such a loss nothing new is opened until the period ends. It takes the place of one of the same kind."
    whole = "The account as a whole"
    type = forms.ChoiceField(label="Period", choices=choices(PERIODS))
    applyTo = forms.ChoiceField(label="Measured as", choices=choices(BASES))
    amount = NumberField(
        label="Share, %", decimals=4, is_positive=True, is_float=True, required=False, help_text="Empty: no such limit."
    )
    closes = forms.BooleanField(label="Close open positions then", required=False)

    def clean_amount(self) -> float | None:
        value = self.cleaned_data["amount"]
        if value is not None and value > 100:
            raise forms.ValidationError("At most 100.")
        return value

    @property
    def value(self) -> dict[str, Any]:
        share, cleaned = self.cleaned_data["amount"], self.cleaned_data
        limit = {"type": cleaned["type"], "applyTo": cleaned["applyTo"]}
        value = None if share is None else round(share / 100, 10)
        return {"limit": limit, "value": value, "closes": bool(cleaned["closes"])}


class CloseOnlyForm(ActForm):
    """Pause, go on, or close everything."""

    act, title, lead = "close-only", "Pause or go on", "Positions that are open stay managed in a pause."
    whole = "The account as a whole"
    mode = forms.ChoiceField(
        label="From now on",
        required=False,
        initial="by-position",
        choices=[
            ("by-position", "Pause: no new positions"),
            ("by-symbol", "Close only: no new symbols"),
            ("", "Go on copying"),
            ("immediately", CLOSE_ONLY["immediately"]),
        ],
    )

    @property
    def value(self) -> dict[str, Any]:
        return {"mode": self.cleaned_data["mode"]}


FORMS: tuple[type[ActForm], ...] = (RatioForm, LimitForm, RiskLimitForm, CloseOnlyForm)
