"""Addresses and queries as the contract writes them (1.8), and as a text may show them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict
from urllib.parse import quote, urlencode, urlsplit

from ..contract import wire
from .errors import Rejected, Unreachable

_SECRET_PATH = re.compile(r"(/webhooks/)[^/?]+\Z")

Params = Mapping[str, Any]


class Options(TypedDict, total=False):
    """What a call may say besides its method, path and the type of its answer: Exchange._call."""

    params: Params | None
    body: Any
    headers: Mapping[str, str] | None
    extended: bool
    timeout_s: float | None
    repeatable: bool | None
    host: str | None
    key: str | None
    is_held: bool
    is_read: bool
    is_polled: bool
    secrets: tuple[str, ...]


def path_of(template: str, **ids: str) -> str:
    """The path with the ids in it, each safe as one segment. Raises Rejected for what cannot be an id."""
    for name, value in ids.items():
        if not value or value in (".", ".."):
            raise Rejected(f"{value!r} is not an id.", [{"parameter": name, "value": value, "message": "is not an id"}])
    return template.format(**{name: quote(value, safe="") for name, value in ids.items()})


def query_of(params: Params | None) -> str:
    """The query as the contract writes it (1.8): repeated keys, ISO times, true and false; absent ones left out."""
    pairs = []
    for name, value in (params or {}).items():
        for item in value if isinstance(value, list | tuple | set | frozenset) else [value]:
            if item is not None:
                pairs.append((name, _as_text(item)))
    return "?" + urlencode(pairs) if pairs else ""


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return wire.format_time(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def checked_address(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_address = False
    if not is_address:
        raise Unreachable(f"{base_url!r} is not an address of a backend.", was_sent=False, transient=False)
    return base_url.rstrip("/")


def shown(address: str) -> str:
    """The address as a text may show it: the id of a webhook is a secret."""
    return _SECRET_PATH.sub(r"\1…", address)
