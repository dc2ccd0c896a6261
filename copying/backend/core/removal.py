"""Removes decisions and log lines that are older than the operator keeps them: in small slices, beside everything else.

Nothing is decided from these rows: the state is rebuilt from snapshots and the journal, whose effects up to the mark of
progress are never made again. Transactions, deals, account snapshots, stopouts and the journal itself are kept.
"""

from __future__ import annotations

import asyncio
import logging

import psycopg

log = logging.getLogger(__name__)
TABLES = {"decisions": "copying_decisionrecord", "log": "copying_userlogrecord"}
FEWEST_DAYS = 30  # the portal and other clients have to have fetched them
SLICE_ROWS = 2_000
PAUSE_SECONDS = 0.1  # between slices: signals go first
EVERY_SECONDS = 600.0
# rows are numbered in the order of their times: once one of the oldest rows is young enough, all that follow are
SLICE = """
WITH oldest AS (SELECT id, time FROM {table} ORDER BY id LIMIT %s)
DELETE FROM {table} r USING oldest
WHERE r.id = oldest.id
 AND oldest.time < least(now(), (SELECT time FROM {table} ORDER BY id DESC LIMIT 1)) - %s::interval
"""


def checked(keep: dict[str, int]) -> dict[str, int]:
    """Days by kind, without those that are kept for ever (0). Raises ValueError with a sentence for the operator."""
    for kind, days in keep.items():
        if kind not in TABLES:
            raise ValueError(f"BACKEND_KEEP_DAYS knows {' and '.join(TABLES)}, not “{kind}”.")
        if days and days < FEWEST_DAYS:
            raise ValueError(f"BACKEND_KEEP_DAYS: {kind}={days} is too few: at least {FEWEST_DAYS}, or 0 for ever.")
    return {kind: days for kind, days in keep.items() if days}


async def remove_old(database_url: str, keep: dict[str, int]) -> None:
    """Until cancelled. A database that does not answer is asked again later; copying goes on without this."""
    while keep:
        try:
            for kind, days in keep.items():
                if number := await remove_kind(database_url, kind, days):
                    log.info("%s rows of %s older than %s days were removed", number, kind, days)
        except psycopg.Error as error:
            log.warning("Old records could not be removed: %s", str(error).strip().partition("\n")[0])
        await asyncio.sleep(EVERY_SECONDS)


async def remove_kind(database_url: str, kind: str, days: int) -> int:
    """Remove what is older than so many days, before the newest row or now, whichever is earlier; returns how many."""
    total = 0
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        while True:
            statement = SLICE.format(table=TABLES[kind]).encode()
            cursor = await connection.execute(statement, [SLICE_ROWS, f"{days} days"])
            total += cursor.rowcount
            if cursor.rowcount < SLICE_ROWS:
                return total
            await asyncio.sleep(PAUSE_SECONDS)
