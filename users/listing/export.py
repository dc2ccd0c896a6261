"""CSV downloads: PostgreSQL writes the file and we pass it on, so memory does not grow with rows.

A byte order mark comes first. Texts that a spreadsheet would run as a formula get an apostrophe before them; numbers
are plain decimals, times ISO 8601 in UTC. The database transaction is read-only, time-limited, and ended when the
client leaves.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain
from typing import TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import BooleanField, CharField, DateTimeField, DecimalField, TextField
from django.db.models.expressions import Combinable, Expression
from django.http import HttpResponse, StreamingHttpResponse

from users.listing.columns import output_field

STATEMENT_TIMEOUT_S = 300
LONGEST_FILTERS = 80
_SEPARATORS = re.compile('[,;"\t\r\n]')  # also those of other locales: an unquoted one splits the cell
_NO_LETTERS = re.compile(r"[^a-z0-9]+")
PIECE_BYTES = 256 * 1024
CSV_TYPE = "text/csv; charset=utf-8"
Answer = TypeVar("Answer", HttpResponse, StreamingHttpResponse)
BOM = b"\xef\xbb\xbf"  # without it Excel reads UTF-8 as the machine's own code page
# what a spreadsheet takes for the start of a formula, in both widths
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# what some spreadsheets drop before they look: blanks of every kind, control characters, signs without width
SKIPPED_STARTS = (
    *map(chr, (*range(1, 9), 11, 12, *range(14, 33), 127, 0x85, 0xA0, 0xAD, 0x1680, *range(0x2000, 0x2010))),
    *map(chr, (*range(0x2028, 0x2030), *range(0x205F, 0x2065), 0x3000, 0xFEFF)),
)


class _Wrapped(Expression):
    """An expression inside a piece of SQL; `{}` in `template` stands for it, as often as wanted."""

    def __init__(self, inner, template: str):
        super().__init__(output_field=TextField())
        self.inner, self.template = inner, template

    def get_source_expressions(self) -> list:
        return [self.inner]

    def set_source_expressions(self, exprs: Sequence[Combinable | Expression]) -> None:
        (self.inner,) = exprs

    def as_sql(self, compiler, connection):
        sql, parameters = compiler.compile(self.inner)
        return self.template.format(*[sql] * self.template.count("{}")), list(parameters) * self.template.count("{}")


# compared as numbers, which costs a fraction of comparing text; the pattern is tried only where a cell starts strangely
FORMULA_CODES = ", ".join(str(ord(start)) for start in FORMULA_STARTS)
SKIPPED_CODES = ", ".join(str(ord(start)) for start in SKIPPED_STARTS)
_SKIPPED_CLASS = "".join(f"\\u{ord(start):04X}" for start in SKIPPED_STARTS)
_FORMULA_CLASS = "".join(f"\\u{ord(start):04X}" for start in FORMULA_STARTS)
HARMLESS = (
    f"CASE WHEN ascii({{}}) IN ({FORMULA_CODES}) THEN '''' || {{}}"
    f" WHEN ascii({{}}) IN ({SKIPPED_CODES}) AND {{}} ~ '^[{_SKIPPED_CLASS}]+[{_FORMULA_CLASS}]' THEN '''' || {{}}"
    " ELSE {} END"
)
_DANGEROUS = re.compile(f"[{re.escape(''.join(SKIPPED_STARTS))}]*[{re.escape(''.join(FORMULA_STARTS))}]")
ISO_UTC = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
PLAIN = "trim_scale({})"
YES_NO = "CASE WHEN {} THEN 'true' WHEN NOT {} THEN 'false' END"


def as_text(expression, field):
    """The expression as it is written into the file, by the type of its field."""
    if isinstance(field, CharField | TextField):
        return _Wrapped(expression, HARMLESS)
    if isinstance(field, DateTimeField):
        return _Wrapped(expression, ISO_UTC)
    if isinstance(field, DecimalField):
        return _Wrapped(expression, PLAIN)
    if isinstance(field, BooleanField):
        return _Wrapped(expression, YES_NO)
    return expression


def copy_statement(queryset, columns) -> tuple[str, tuple]:
    """`COPY (SELECT ...) TO STDOUT` of the columns, and its parameters. Raises EmptyResultSet."""
    names = {f"csv_{n}": as_text(c.expression, output_field(queryset, c.key)) for n, c in enumerate(columns)}
    rows = queryset.annotate(**names).values_list(*names)
    sql, parameters = rows.query.get_compiler(using=queryset.db).as_sql()
    return f"COPY ({sql}) TO STDOUT WITH (FORMAT csv)", parameters


def header_line(columns) -> bytes:
    """The names of the columns."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([column.heading for column in columns])
    return text.getvalue().encode()


def stream_csv(queryset, columns) -> Generator[bytes]:
    """The file in pieces of about 256 kB, the first one as soon as there is anything.

    Rows come in the order of the queryset when it has one.
    """
    yield header_line(columns)
    try:
        statement, parameters = copy_statement(queryset, columns)
    except EmptyResultSet:
        return
    try:
        yield from _copied(statement, parameters)
    finally:
        if not connection.in_atomic_block:
            connection.close()


def _copied(statement: str, parameters: tuple) -> Generator[bytes]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'; SET LOCAL transaction_read_only = on")
        piece = bytearray()
        with cursor.cursor.copy(statement, parameters) as rows:
            for row in map(bytes, rows):
                # COPY quotes no semicolon and no tab, which split a cell where these are the separators
                piece += _requoted(row) if b";" in row or b"\t" in row else row
                if len(piece) >= PIECE_BYTES:
                    yield bytes(piece)
                    piece.clear()
        yield bytes(piece)
        # nothing was written; rolling back also takes the two settings back when a test's transaction surrounds this
        transaction.set_rollback(True)


def _requoted(row: bytes) -> bytes:
    """A row of COPY with quotes around every cell that some locale would split."""
    cells = next(csv.reader(io.StringIO(row.decode(), newline="")))
    return (",".join(map(_quoted, cells)) + "\n").encode()


def plain_csv(headings: Sequence[str], rows: Iterable[Sequence], filename: str) -> HttpResponse:
    """A short file of rows that are in memory already, with the same promises as a streamed one."""
    body = BOM + "".join(_lines(headings, rows)).encode()
    return _download(HttpResponse(body, content_type=CSV_TYPE), filename)


def computed_csv(headings: Sequence[str], rows: Iterable[Sequence], filename: str) -> StreamingHttpResponse:
    """A file of rows that are worked out one after the other, sent as they come."""
    lines = (line.encode() for line in _lines(headings, rows))
    return _download(StreamingHttpResponse(chain([BOM], lines), content_type=CSV_TYPE), filename)


def _lines(headings: Sequence[str], rows: Iterable[Sequence]) -> Iterator[str]:
    """Lines as `stream_csv` has them."""
    for row in chain([headings], rows):
        yield ",".join(_quoted(_harmless(cell)) if isinstance(cell, str) else _plain(cell) for cell in row) + "\r\n"


def _quoted(text: str) -> str:
    return '"{}"'.format(text.replace('"', '""')) if _SEPARATORS.search(text) else text


def file_name(name: str, parts: Iterable[str] = (), *, on: date) -> str:
    """What a download is called: the list, its filters and the day, in letters that every system takes."""
    said = "-".join(filter(None, (_NO_LETTERS.sub("-", part.lower()).strip("-") for part in parts)))
    return "-".join(filter(None, (name, said[:LONGEST_FILTERS].strip("-"), on.isoformat()))) + ".csv"


def _download(response: Answer, filename: str) -> Answer:
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    response["Cache-Control"] = "no-store"
    return response


def _harmless(text: str) -> str:
    """A text as `as_text` would write it."""
    return f"'{text}" if _DANGEROUS.match(text) else text


def _plain(cell) -> str:
    """A cell that is no text, as `as_text` would write it."""
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        text = format(cell, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return _plain(Decimal(repr(cell)))
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def csv_response(queryset, columns, filename: str) -> StreamingHttpResponse:
    """The download."""
    return _download(StreamingHttpResponse(_with_bom(stream_csv(queryset, columns)), content_type=CSV_TYPE), filename)


def _with_bom(pieces: Generator[bytes]) -> Generator[bytes]:
    """The file with the mark in its first piece; closing it closes what it reads from."""
    try:
        yield BOM + next(pieces)
        yield from pieces
    finally:
        pieces.close()
