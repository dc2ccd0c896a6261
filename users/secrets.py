"""Secrets at rest: a text field that the database only ever sees encrypted, with keys that can be rotated.

The keys are those of `copying.secrets`. Values are write-only in pages and APIs.
"""

from __future__ import annotations

import json
from typing import Any

from django.db import models

from copying.secrets import decrypt, encrypt


class EncryptedTextField(models.TextField):
    """Text that is encrypted in the database and plain in Python. Cannot be searched."""

    def get_prep_value(self, value):
        return None if value is None else encrypt(str(value))

    def from_db_value(self, value, expression, connection):
        return None if value is None else decrypt(value)

    def get_lookup(self, name):
        return super().get_lookup(name) if name == "isnull" else None


class EncryptedJSONField(EncryptedTextField):
    """A JSON document that is encrypted in the database and plain in Python. Cannot be searched."""

    # what a checker takes the attribute of a row for: a TextField's is text
    _pyi_private_set_type: dict[str, Any]  # type: ignore[assignment]
    _pyi_private_get_type: dict[str, Any]  # type: ignore[assignment]

    def get_prep_value(self, value):
        return super().get_prep_value(None if value is None else json.dumps(value))

    def from_db_value(self, value, expression, connection):
        text = super().from_db_value(value, expression, connection)
        return None if text is None else json.loads(text)
