"""The version of settings: a short text that is another one as soon as a setting is, for edits by programs."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from editing.merging import writable
from editing.secrets import without_secrets


def version_of(settings: dict[str, Any]) -> str:
    """Digest of settings, whatever the order of their names and the spelling of their numbers.

    Secrets and what only a backend sets are no part of it: the mirror keeps no secret.
    """
    plain = without_secrets(writable(settings))
    return hashlib.sha256(msgspec.json.encode(_spelled(plain), order="sorted")).hexdigest()[:32]


def _spelled(value: Any) -> Any:
    """With every number as a float: what a database has kept as 1 a backend may send as 1.0."""
    if isinstance(value, dict):
        return {name: _spelled(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_spelled(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
