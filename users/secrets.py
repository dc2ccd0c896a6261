"""Secrets at rest: a text field that the database only ever sees encrypted, with keys that can be rotated.

The first key of FIELD_KEYS encrypts, every key decrypts. Values are write-only in pages and APIs.
"""

from __future__ import annotations

import json
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ImproperlyConfigured("FIELD_KEYS is empty: set at least one Fernet key (docs/operations.md).")
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(text: str) -> str:
    """Encrypt with the newest key."""
    return _fernet(tuple(settings.FIELD_KEYS)).encrypt(text.encode()).decode()


def decrypt(text: str) -> str:
    """Decrypt with any known key. Raises ImproperlyConfigured when none fits."""
    try:
        return _fernet(tuple(settings.FIELD_KEYS)).decrypt(text.encode()).decode()
    except InvalidToken:
        raise ImproperlyConfigured("A stored secret fits none of FIELD_KEYS: was a key removed too early?") from None


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

    def get_prep_value(self, value):
        return super().get_prep_value(None if value is None else json.dumps(value))

    def from_db_value(self, value, expression, connection):
        text = super().from_db_value(value, expression, connection)
        return None if text is None else json.loads(text)
