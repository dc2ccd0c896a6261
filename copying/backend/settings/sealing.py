"""The tokens of strategies' Telegram bots, encrypted before anything keeps them.

The API seals a document before it becomes a command, so the book, the journal, its snapshots and a dump of the
database know the token as ciphertext only. It is opened in two places: where a message is sent, and in what the owner
reads back. Applying an entry does neither: ciphertext is drawn at random, and a replay must not be.

What an older version kept in plain stays readable; `reseal_tables` rewrites it (a migration, `manage.py reencrypt`).
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from django.core.exceptions import ImproperlyConfigured

from copying.backend.state.book import Book
from copying.secrets import decrypt, encrypt, has_newest_key

log = logging.getLogger(__name__)
MARK = "sealed:"  # no bot's token begins so
HINT = b"publishing"  # stands in every document that has a token
TABLES = (("copying_journalentry", "payload"), ("copying_journalentry", "original"), ("copying_snapshot", "state"))
Document = dict[str, Any]


def token_of(document: Document) -> str:
    """The token as it stands in a document; empty when there is none."""
    return ((document.get("telegram") or {}).get("publishing") or {}).get("token") or ""


def _with_token(document: Document, token: str | None) -> Document:
    """A copy with another token; without one for None. Everything else is shared."""
    telegram = document["telegram"]
    publishing = {name: value for name, value in telegram["publishing"].items() if name != "token"}
    if token is not None:
        publishing = {"token": token, **publishing}
    return {**document, "telegram": {**telegram, "publishing": publishing}}


def seal(document: Document) -> Document:
    """What may be kept of a document as a user wrote it."""
    token = token_of(document)
    return _with_token(document, MARK + encrypt(token)) if token else document


def unsealed(token: str) -> str:
    """A kept token in plain. Raises ImproperlyConfigured when its key is gone."""
    return decrypt(token.removeprefix(MARK)) if token.startswith(MARK) else token


def unseal(document: Document) -> Document:
    """A kept document as its owner wrote it; without the token when its key is gone."""
    token = token_of(document)
    if not token.startswith(MARK):
        return document
    try:
        return _with_token(document, unsealed(token))
    except ImproperlyConfigured as error:
        log.error("strategy %s: %s", document.get("_id", ""), error)
        return _with_token(document, None)


def reseal(document: Document) -> Document:
    """The document with its token under the newest key: the same object where it is so already or never can be."""
    token = token_of(document)
    if not token or (token.startswith(MARK) and has_newest_key(token.removeprefix(MARK))):
        return document
    try:
        return seal(_with_token(document, unsealed(token)))
    except ImproperlyConfigured as error:
        log.error("strategy %s: %s", document.get("_id", ""), error)
        return document


def reseal_book(book: Book) -> None:
    """After a start: the snapshots to come are under the newest key, whatever the journal behind them is under."""
    for strategy in book.strategies_by_id.values():
        strategy.document = reseal(strategy.document)


def reseal_packed(packed: bytes) -> bytes | None:
    """A journal entry or a snapshot as it is kept, under the newest key; None when it is so already."""
    content = msgspec.msgpack.decode(packed)
    command = content.get("command")
    holders = content["strategies_by_id"] if command is None else [command]
    is_changed = False
    for holder in holders:
        document = holder.get("document")
        if isinstance(document, dict) and (fresh := reseal(document)) is not document:
            holder["document"], is_changed = fresh, True
    return msgspec.msgpack.encode(content) if is_changed else None


def reseal_tables(cursor: Any) -> int:
    """Rewrite what the tables hold in plain or under older keys, in the caller's transaction; the number of rows.

    Harmless beside a running backend, which reads them at its start only.
    """
    count = 0
    for table, column in TABLES:
        cursor.execute(f"SELECT sequence FROM {table} WHERE position(%s in {column}) > 0", [HINT])
        for (sequence,) in cursor.fetchall():
            cursor.execute(f"SELECT {column} FROM {table} WHERE sequence = %s FOR UPDATE", [sequence])
            row = cursor.fetchone()
            fresh = reseal_packed(bytes(row[0])) if row else None
            if fresh is not None:
                cursor.execute(f"UPDATE {table} SET {column} = %s WHERE sequence = %s", [fresh, sequence])
                count += 1
    return count
