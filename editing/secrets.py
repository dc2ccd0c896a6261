"""Secrets in documents: which there are, which the backend has already, and documents without them.

A stored change may hold the token of a bot. It was typed for the backend that the connection led to at that moment and
goes to no other, so what is asked of a backend before saving goes without any, and saving checks the destination.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

WORDS = ("token", "password", "secret")


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret, also one that no form knows."""
    return any(word in name.lower() for word in WORDS)


def secrets_in(value: Any, is_secret: bool = False) -> Iterator[Any]:
    """Every secret of a document."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from secrets_in(inner, is_secret or is_secret_name(str(name)))
    elif isinstance(value, list):
        for inner in value:
            yield from secrets_in(inner, is_secret)
    elif is_secret and value not in (None, ""):
        yield value


def holds_new_secret(document: dict[str, Any], current: dict[str, Any]) -> bool:
    """Whether the document would tell a backend a secret that is not in what it has already."""
    known = list(secrets_in(current))
    return any(secret not in known for secret in secrets_in(document))


def without_secrets(value: Any) -> Any:
    """The document without its secrets: what they open decides no copy."""
    if isinstance(value, dict):
        return {name: without_secrets(inner) for name, inner in value.items() if not is_secret_name(str(name))}
    return [without_secrets(inner) for inner in value] if isinstance(value, list) else value


def without_new_secrets(document: dict[str, Any], current: dict[str, Any]) -> dict[str, Any]:
    """The document with what `current` has of each top-level setting in which it would tell a new secret."""
    safe = {}
    for name, value in document.items():
        if not holds_new_secret({name: value}, current):
            safe[name] = value
        elif name in current:
            safe[name] = current[name]
    return safe
