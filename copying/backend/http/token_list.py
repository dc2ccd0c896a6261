"""The listed tokens as the gate asks for them: in memory, read anew every few seconds, never while a request waits.

A revocation therefore counts within seconds. While the database does not answer, what was read last goes on counting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache

import psycopg

from copying.backend import tokens

log = logging.getLogger(__name__)
EVERY_SECONDS = 5.0
USES_EVERY_SECONDS = 60.0
READING_METHODS = ("GET", "HEAD", "OPTIONS")
_digest_of = lru_cache(maxsize=10_000)(tokens.digest_of)

_LISTED = """SELECT digest, scope, coalesce(extract(epoch FROM expires_at), 'Infinity')::float8, revoked_at IS NOT NULL
    FROM copying_backendtoken"""
_STRICT = "SELECT id FROM copying_tenant WHERE takes_listed_only"
_USED = """UPDATE copying_backendtoken t SET last_used_at = u.used_at
    FROM (SELECT unnest(%s::text[]) AS digest, to_timestamp(unnest(%s::float8[])) AS used_at) u
    WHERE t.digest = u.digest AND (t.last_used_at IS NULL OR t.last_used_at < u.used_at)"""


@dataclass(frozen=True, slots=True)
class ListedToken:
    """Of a row. expires_at: UTC seconds, infinity: never."""

    scope: str
    expires_at: float
    is_revoked: bool


@dataclass(slots=True)
class TokenRefusal:
    """Why a token does not open something."""

    status: int
    text: str


REVOKED = TokenRefusal(401, "The authorization token was revoked.")
EXPIRED = TokenRefusal(401, "The authorization token has expired.")
UNLISTED = TokenRefusal(401, "The authorization token is not among those of this user: ask for one with a name.")
GONE = TokenRefusal(401, "The authorization token is not in the list: a new one works within seconds, another never.")
READS_ONLY = TokenRefusal(403, "The authorization token may only read.")


@dataclass
class TokenList:
    """listed: by digest; strict: tenants that take listed tokens only; used: when each was used since it was noted."""

    listed: dict[str, ListedToken] = field(default_factory=dict)
    strict: Collection[str] = frozenset()
    used: dict[str, float] = field(default_factory=dict)

    def refusal(self, token: str, tenant: str, method: str, now: float) -> TokenRefusal | None:
        """None: it may. The token is signed for this tenant."""
        digest = _digest_of(token)
        row = self.listed.get(digest)
        if row is None and tokens.has_name(token):  # not read yet, deleted, or not in the backup that was restored
            return GONE
        if row is None:
            return UNLISTED if tenant in self.strict else None
        if row.is_revoked:
            return REVOKED
        if now >= row.expires_at:
            return EXPIRED
        if row.scope == "read" and method not in READING_METHODS:
            return READS_ONLY
        self.used[digest] = now
        return None

    async def refresh(self, connection: psycopg.AsyncConnection) -> None:
        """Read the rows."""
        rows = await (await connection.execute(_LISTED)).fetchall()
        strict = await (await connection.execute(_STRICT)).fetchall()
        self.listed = {digest: ListedToken(scope, ends, revoked) for digest, scope, ends, revoked in rows}
        self.strict = frozenset(tenant for (tenant,) in strict)

    async def note_uses(self, connection: psycopg.AsyncConnection) -> None:
        """Write down when tokens were used."""
        used, self.used = self.used, {}
        if used:
            await connection.execute(_USED, [list(used), list(used.values())])


async def read_list(database_url: str, token_list: TokenList) -> None:
    """Read the rows once. Raises psycopg.Error."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await token_list.refresh(connection)


async def keep_list(database_url: str, token_list: TokenList) -> None:
    """Until cancelled. A database that does not answer is asked again."""
    turns = 0
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
                while True:
                    await token_list.refresh(connection)
                    turns += 1
                    if turns % round(USES_EVERY_SECONDS / EVERY_SECONDS) == 0:
                        await token_list.note_uses(connection)
                    await asyncio.sleep(EVERY_SECONDS)
        except psycopg.Error as error:
            log.warning("The list of tokens could not be read: %s", str(error).strip().partition("\n")[0])
        await asyncio.sleep(EVERY_SECONDS)
