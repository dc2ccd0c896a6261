"""Texts of one line that people type: names, references, reasons."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from copying.contract.texts import ONE_LINE, is_one_line


def check_one_line(text: str) -> None:
    """A validator of forms: what does not read as it is stored is refused."""
    if not is_one_line(text):
        raise ValidationError(f"This {ONE_LINE}: delete what cannot be seen, or type it anew.")


class LineField(forms.CharField):
    """A text of one line."""

    def __init__(self, **options: Any):
        super().__init__(validators=[check_one_line], **options)
