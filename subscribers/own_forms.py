"""Forms of what clients may change themselves: the manager's bounds, and the client's own values within them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms

from editing.removal import MODES
from editing.targets import Document
from editing.widgets import plain_number
from subscribers.own_rules import SETTINGS, OwnBounds, OwnSetting, value_of
from users.numbers import NumberField

HUNDRED = Decimal(100)


def shown(setting: OwnSetting, value: Decimal | float | str | None) -> str:
    """As it is typed: a share in percent."""
    if value is None:
        return ""
    exact = Decimal(str(value))
    return plain_number(exact * HUNDRED if setting.is_share else exact)


def stored(setting: OwnSetting, typed: Decimal) -> Decimal:
    return typed / HUNDRED if setting.is_share else typed


class BoundsForm(forms.Form):
    """What the clients of a strategy may change themselves."""

    may_pause = forms.BooleanField(
        label="Pause, and let it go on",
        required=False,
        help_text="What you paused, only you let go on.",
    )
    may_close = forms.BooleanField(label="Close everything that is open, at once", required=False)
    closing = forms.MultipleChoiceField(
        label="Stop copying",
        required=False,
        choices=MODES,
        widget=forms.CheckboxSelectMultiple,
        help_text="Tick how they may leave; nothing ticked: only you end it.",
    )

    def __init__(self, *args: Any, content: Mapping[str, Any] | None = None, **options: Any):
        super().__init__(*args, **options)
        content = content or {"may_pause": False, "may_close": False, "ranges": {}, "closing": []}
        for name in ("may_pause", "may_close", "closing"):
            self.fields[name].initial = content[name]
        for setting in SETTINGS:
            self._add(setting, content["ranges"].get(setting.key))

    def _add(self, setting: OwnSetting, range_: Mapping[str, Any] | None) -> None:
        unit = setting.unit
        most = HUNDRED if setting.is_share else setting.most
        self.fields[f"{setting.key}_may"] = forms.BooleanField(
            label=setting.label, required=False, initial=range_ is not None, help_text=setting.help
        )
        end = "Empty: no end, and they may take the limit out." if setting.is_limit else ""
        for side, label, help_text in (("from", "From", ""), ("to", "To", end)):
            initial = shown(setting, range_[side]) if range_ else ""
            self.fields[f"{setting.key}_{side}"] = NumberField(
                label=f"{label}, {unit}",
                decimals=6,
                required=False,
                is_positive=True,
                most=most,
                initial=initial,
                help_text=help_text,
            )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for setting in SETTINGS:
            if not cleaned.get(f"{setting.key}_may"):
                continue
            low, high = cleaned.get(f"{setting.key}_from"), cleaned.get(f"{setting.key}_to")
            if low is None and f"{setting.key}_from" not in self.errors:
                self.add_error(f"{setting.key}_from", "Say from where on.")
            if high is None and not setting.is_limit and f"{setting.key}_to" not in self.errors:
                self.add_error(f"{setting.key}_to", "Say up to where.")
            if low is not None and high is not None and low > high:
                self.add_error(f"{setting.key}_to", f"This must be {plain_number(low)} or more.")
        return cleaned

    @property
    def content(self) -> dict[str, Any]:
        """As ClientBounds keeps it."""
        cleaned = self.cleaned_data
        ranges = {}
        for setting in SETTINGS:
            if cleaned[f"{setting.key}_may"]:
                low, high = cleaned[f"{setting.key}_from"], cleaned[f"{setting.key}_to"]
                ranges[setting.key] = {
                    "from": plain_number(stored(setting, low)),
                    "to": None if high is None else plain_number(stored(setting, high)),
                }
        return {
            "may_pause": cleaned["may_pause"],
            "may_close": cleaned["may_close"],
            "ranges": ranges,
            "closing": cleaned["closing"],
        }

    @property
    def rows(self) -> list[tuple[forms.BoundField, ...]]:
        """May, from and to of each setting."""
        return [tuple(self[f"{setting.key}_{side}"] for side in ("may", "from", "to")) for setting in SETTINGS]


class OwnTermsForm(forms.Form):
    """The values of a subscription that its client may change, with the bounds beside them."""

    def __init__(self, *args: Any, bounds: OwnBounds, terms: Document, **options: Any):
        super().__init__(*args, **options)
        self.settings = [setting for setting in SETTINGS if setting.key in bounds.ranges]
        for setting in self.settings:
            range_ = bounds.ranges[setting.key]
            unit = "" if setting.unit == "×" else f", {setting.unit}"
            empty = " Empty: no limit." if setting.is_limit and range_.high is None else ""
            self.fields[setting.key] = NumberField(
                label=f"{setting.label}{unit}",
                decimals=6,
                is_positive=True,
                required=not setting.is_limit,
                help_text=f"{setting.help} Allowed: {range_.words(setting)}.{empty}",
                initial=shown(setting, value_of(setting, terms)),
            )

    @property
    def values(self) -> list[tuple[OwnSetting, float | None]]:
        """What was typed otherwise than it was shown: whatever else changed meanwhile stays."""
        changed = []
        for setting in self.settings:
            typed: Decimal | None = self.cleaned_data[setting.key]
            text = "" if typed is None else plain_number(typed)
            if text != str(self.fields[setting.key].initial):
                changed.append((setting, None if typed is None else float(stored(setting, typed))))
        return changed


class OwnLeaveForm(forms.Form):
    """What becomes of open positions when a client stops copying, among what the manager allows."""

    mode = forms.ChoiceField(label="Copied positions", widget=forms.RadioSelect)

    def __init__(self, *args: Any, closing: tuple[str, ...], **options: Any):
        super().__init__(*args, **options)
        choices = [(mode, words) for mode, words in MODES if mode in closing]
        self.fields["mode"].choices = choices  # type: ignore[attr-defined]
        self.fields["mode"].initial = choices[0][0] if choices else None
