"""Tokens that tests plant, and where they look for them afterwards."""

from __future__ import annotations

import psycopg

from copying.backend.http.options import database_url

TOKENS = ("424242:PLANTED-one_bot", "424243:PLANTED-two_bot", "no bot's token: PLANTED-three")
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"


def publishing(token: str) -> dict:
    """The part of a strategy's document that holds a token."""
    return {"telegram": {"publishing": {"token": token, "chatId": "@signals"}}}


def dump() -> str:
    """Everything that the database holds, as text; bytes as hexadecimal digits."""
    found = []
    with psycopg.connect(database_url()) as database:
        for (table,) in database.execute(TABLES).fetchall():
            found += [row for (row,) in database.execute(f'SELECT each::text FROM "{table}" each').fetchall()]
    return "\n".join(found)


def assert_unknown(text: str) -> None:
    """No token stands there, neither as text nor as hexadecimal digits."""
    for token in TOKENS:
        assert token not in text
        assert token.encode().hex() not in text
