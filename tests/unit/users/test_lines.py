"""Texts of one line: what would read otherwise than it is stored is refused, and told."""

from __future__ import annotations

from datetime import date

import pytest
from django.core.exceptions import ValidationError

from reporting.forms import PaymentForm, ReasonForm
from users.lines import LineField


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\u202eabc", "a\u2067b", "a\x1bb"])
def test_what_is_not_one_line_is_refused(text):
    with pytest.raises(ValidationError, match="one line"):
        LineField().clean(text)
    assert "reason" in ReasonForm({"reason": text}).errors
    assert "reference" in PaymentForm({"reference": text}, today=date(2026, 1, 31)).errors


@pytest.mark.parametrize("text", ["Überweisung 12/2026", "حوالة ١٢", "=1+1", "👩\u200d💻"])
def test_every_language_is_one_line(text):
    assert LineField().clean(f" {text}\n") == text
