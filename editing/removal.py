"""Close instructions of a removal (contract, 2.1) in words, and the form that asks for them."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms

from copying.contract import wire
from users.numbers import DayField

MODES = (
    (
        "close-gracefully-by-position",
        "Wind down: positions stay managed and are closed when the provider closes them; nothing new is opened.",
    ),
    (
        "close-gracefully-by-symbol",
        "Wind down by symbol: as above, but symbols that already have a position may still be traded.",
    ),
    ("preserve", "Let go: positions stay open and nobody manages them any more."),
    ("close-immediately", "Close everything at once, at the prices of that moment."),
)
SOONEST, LATEST = timedelta(days=30), timedelta(days=90)


def mode_words(mode: str) -> str:
    """What becomes of copied positions."""
    return dict(MODES).get(mode, mode)


class RemovalForm(forms.Form):
    """What becomes of open positions, and until when at the latest."""

    mode = forms.ChoiceField(label="Copied positions", choices=MODES, widget=forms.RadioSelect)
    remove_after = DayField(
        label="At the latest",
        required=False,
        help_text="When winding down: the day on which it is dropped even if positions remain, 30 to 90 days from now."
        " Empty: after 30 days.",
    )

    def __init__(self, *args: Any, now: datetime, has_end: bool = True, **options: Any):
        super().__init__(*args, **options)
        self.now = now
        if not has_end:
            del self.fields["remove_after"]

    def clean_remove_after(self) -> datetime | None:
        day = self.cleaned_data["remove_after"]
        if day is None:
            return None
        moment = datetime.combine(day, time(), UTC)
        if not self.now + SOONEST <= moment <= self.now + LATEST:
            first, last = (self.now + SOONEST).date() + timedelta(days=1), (self.now + LATEST).date()
            raise forms.ValidationError(f"Choose a day from {first} to {last}.")
        return moment

    @property
    def instructions(self) -> dict[str, str]:
        """As they are kept and sent."""
        mode, until = self.cleaned_data["mode"], self.cleaned_data.get("remove_after")
        if until is None or not mode.startswith("close-gracefully"):
            return {"mode": mode}
        return {"mode": mode, "removeAfter": wire.format_time(until)}
