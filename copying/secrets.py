"""Secrets at rest: text under the keys of FIELD_KEYS, for the portal's fields and for the embedded backend alike.

The first key encrypts, every key decrypts, so keys can be rotated (docs/operations.md). Must not be used for what a
person signs in with: passwords are hashed.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


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


def has_newest_key(text: str) -> bool:
    """Whether the newest key alone decrypts it."""
    try:
        _fernet(tuple(settings.FIELD_KEYS[:1])).decrypt(text.encode())
    except InvalidToken:
        return False
    return True
