"""An accelerated run: months of market, robots and copying through the same `apply` and renderer as live, stored in
one go.

The steps are whole hours. Everything is written in one database transaction, so an interrupted run leaves nothing
behind. Latencies cannot be measured in accelerated time: they are modelled and seeded (docs/copying.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np
import psycopg

from copying.backend.broker.paper import PaperBroker
from copying.backend.core import apply as application
from copying.backend.core import ticks
from copying.backend.core.journal import LOCK, AlreadyRunning, decode_entry, encode_entries
from copying.backend.core.projector import COLUMNS, MOVE_PROGRESS
from copying.backend.core.render import Renderer, Rows
from copying.backend.market.ecb import LEGS, EcbMarket, quotes_of
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import NEWEST_RULES, AnyCommand, CommandEntry, Tick

from .robots import (
    BARS,
    HOUR,
    RULES,
    Rule,
    decide,
    rule_of,
)

LONGEST_BAR = max(rule.bar_seconds for rule in RULES.values())


class HourlyMarket:
    """The ECB market at whole hours, looked up from a table that is made once."""

    simulated = True

    def __init__(self, market: EcbMarket, start: float, end: float) -> None:
        self._first = start - (BARS + 1) * LONGEST_BAR
        count = int((end - self._first) / HOUR) + 1
        self._legs = np.array([market.legs_at(self._first + place * HOUR) for place in range(count)])
        zeros = np.zeros(count)
        self._columns = {"EUR": zeros, **{leg: self._legs[:, place] for place, leg in enumerate(LEGS)}}

    def quotes(self, now: float) -> dict[str, tuple[float, float]]:
        """Every pair at the hour."""
        return quotes_of(self._legs[int((now - self._first) / HOUR)])

    def mids(self, symbol: str, times: np.ndarray) -> np.ndarray:
        """(n,) mid prices at whole hours."""
        places = ((times - self._first) / HOUR).astype(np.intp)
        return np.exp(self._columns[symbol[3:]][places] - self._columns[symbol[:3]][places])


class Recorder:
    """Applies commands to a book and keeps what the journal and the tables will hold."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.first = book.sequence + 1
        self.entries: list[CommandEntry] = []
        self.tables: dict[str, list[tuple]] = {name: [] for name in COLUMNS}
        self._renderer = Renderer(book)
        self._quotes: dict[str, tuple[float, float]] = {}

    def market(self, quotes: dict[str, tuple[float, float]]) -> None:
        """Prices moved."""
        self._quotes.update(quotes)
        self.book.set_quotes(quotes)

    def do(self, command: AnyCommand, moment: float) -> None:
        """One entry. A refusal is kept out: it would change nothing."""
        entry = CommandEntry(time=moment, rules=NEWEST_RULES, quotes=self._quotes, command=command)
        effects = application.apply(self.book, entry, self.book.sequence + 1)
        if effects.refused is not None and not isinstance(command, Tick):
            self.book.sequence -= 1
            return
        self._quotes = {}
        self.entries.append(entry)
        effects.modelled_latency = True
        rows = Rows()
        for _ in self._renderer.render(effects, rows):
            pass
        for name, table in self.tables.items():
            table += [(*row, effects.sequence, place) for place, row in enumerate(getattr(rows, name))]


def run(
    recorder: Recorder,
    market: HourlyMarket,
    start: float,
    end: float,
    scheduled: list[tuple[float, AnyCommand]],
    progress: Callable[[str], None],
) -> None:
    """Hour by hour from `start` to `end`: prices, what is due, what is scheduled, what robots do."""
    book = recorder.book
    waiting = sorted(scheduled, key=lambda command: command[0])
    place, hours = 0, int((end - start) / HOUR)
    for hour in range(hours + 1):
        now = start + hour * HOUR
        recorder.market(market.quotes(now))
        snapshots = now - book.snapshots_at >= 24 * HOUR and bool(book.account_meta)
        if snapshots or ticks.due(book, now):
            recorder.do(Tick(tenant="", snapshots=snapshots), now)
        while place < len(waiting) and waiting[place][0] <= now:
            recorder.do(waiting[place][1], now)
            place += 1
        for rule, tenant, account_id in robots(book, now):
            for command in decide(rule, book, market, tenant, account_id, now):
                recorder.do(command, now)
        if hour % 720 == 0:
            progress(f"Copying {datetime.fromtimestamp(now, UTC):%B %Y} ({100 * hour // max(hours, 1)} %)")


def robots(book: Book, now: float) -> Iterator[tuple[Rule, str, str]]:
    """Robots whose bar ends now; those with bars shorter than an hour only trade live."""
    for meta in book.account_meta:
        rule = rule_of(meta.robot) if meta.robot else None
        if rule is not None and rule.bar_seconds >= HOUR and now % rule.bar_seconds == 0:
            yield rule, meta.tenant, meta.id


def store(connection: psycopg.Connection, recorder: Recorder) -> None:
    """Journal, records, progress and a snapshot, in the caller's transaction."""
    book = recorder.book
    with connection.cursor() as cursor:
        with cursor.copy("COPY copying_journalentry (sequence, time, payload) FROM STDIN") as copy:
            for row in encode_entries(recorder.first, recorder.entries):
                copy.write_row(row)
        for name, (table, columns) in COLUMNS.items():
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in recorder.tables[name]:
                    copy.write_row(row)
        cursor.execute(MOVE_PROGRESS, [book.sequence])
        cursor.execute(
            "INSERT INTO copying_snapshot (sequence, format, taken_at, state) VALUES (%s, %s, %s, %b)",
            [book.sequence, snapshot.FORMAT, datetime.now(UTC), snapshot.pack(book)],
        )


def recover(connection: psycopg.Connection) -> Book:
    """Lock the data set and bring the book up to the journal. Raises AlreadyRunning."""
    if connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK]).fetchone() != (True,):
        raise AlreadyRunning
    row = connection.execute(
        "SELECT state FROM copying_snapshot WHERE format = %s ORDER BY sequence DESC LIMIT 1", [snapshot.FORMAT]
    ).fetchone()
    book = snapshot.unpack(row[0], PaperBroker()) if row else Book(PaperBroker())
    behind = connection.execute(
        "SELECT sequence, payload FROM copying_journalentry WHERE sequence > %s ORDER BY sequence", [book.sequence]
    )
    for sequence, payload in behind:
        application.apply(book, decode_entry(payload), sequence)
    book.tenant_names = dict(connection.execute("SELECT id, name FROM copying_tenant").fetchall())
    return book
