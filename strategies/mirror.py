"""Brings strategy documents of a backend into the portal's rows, any number in one statement.

Documents are kept as the backend sent them, without their secrets; the columns beside them are only for finding. No
request is made here.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection, transaction

from strategies.models import Kind
from strategies.versions import Described, keep_versions
from users.models import Connection

NAME_LENGTH = 200
HIDDEN = "hidden"
DOCUMENT = 5  # where a row has its document


def revision_of(document: dict[str, Any]) -> str:
    """Digest of a document, whatever the order of its fields: edits carry the one they started from."""
    return hashlib.sha256(msgspec.json.encode(document, order="sorted")).hexdigest()


def is_removed(document: dict[str, Any]) -> bool:
    """Whether the backend is winding the object down."""
    return bool(document.get("removed") or document.get("closeOnRemovalMode"))


def text_of(document: dict[str, Any], name: str) -> str:
    """A field as text; empty when absent or no text."""
    value = document.get(name)
    return value if isinstance(value, str) else ""


def without_secrets(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the token of its bot hidden: whether there is one is all that pages need of it."""
    telegram = document.get("telegram")
    if not isinstance(telegram, dict):
        return document
    publishing = telegram.get("publishing")
    if not isinstance(publishing, dict) or not publishing.get("token"):
        return document
    return document | {"telegram": telegram | {"publishing": publishing | {"token": HIDDEN}}}


def described(kind: str) -> Described:
    """What the documents of a kind of strategies describe."""
    return Described.PORTFOLIO if kind == Kind.PORTFOLIO else Described.STRATEGY


def keep_strategies(
    backend: Connection, documents: list[dict[str, Any]], *, kind: str = Kind.SINGLE, now: datetime
) -> int:
    """Insert or change the rows of these documents (fields as in C2, C6); returns how many rows differ now.

    Every document needs its `_id`; an `_id` must not come twice. What was said before is kept: strategies/versions.py.
    """
    if not documents:
        return 0
    rows = {row[0]: row for row in map(_row, documents)}
    columns = zip(*rows.values(), strict=True)
    with transaction.atomic(), connection.cursor() as database:
        database.execute(
            "INSERT INTO strategies_strategy AS s (workspace_id, connection_id, kind, first_seen_at, synced_at,"
            " backend_id, name, description, account_id, scheme, document, revision, is_removed)"
            " SELECT %s, %s, %s, %s, %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[],"
            " %s::jsonb[], %s::text[], %s::bool[])"
            " ON CONFLICT (connection_id, backend_id) DO UPDATE SET kind = excluded.kind, name = excluded.name,"
            " description = excluded.description, account_id = excluded.account_id, scheme = excluded.scheme,"
            " document = excluded.document, revision = excluded.revision, is_removed = excluded.is_removed,"
            " synced_at = excluded.synced_at"
            " WHERE (s.revision, s.is_removed, s.kind) IS DISTINCT FROM"
            " (excluded.revision, excluded.is_removed, excluded.kind) RETURNING backend_id",
            [backend.workspace_id, backend.pk, str(kind), now, now, *map(list, columns)],
        )
        changed = [backend_id for (backend_id,) in database.fetchall()]
        keep_versions(backend, described(kind), [(key, rows[key][DOCUMENT]) for key in changed], now=now)
    return len(changed)


def _row(document: dict[str, Any]) -> tuple:
    scheme = document.get("commissionScheme")
    return (
        document["_id"],
        text_of(document, "name")[:NAME_LENGTH],
        text_of(document, "description"),
        text_of(document, "accountId")[:64],
        text_of(scheme, "type")[:16] if isinstance(scheme, dict) else "",
        msgspec.json.encode(without_secrets(document)).decode(),
        revision_of(document),
        is_removed(document),
    )
