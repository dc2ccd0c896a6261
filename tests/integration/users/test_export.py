"""CSV downloads: exactly what is filtered, harmless in a spreadsheet, readable by a program, streamed, read-only."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection as database

from subscribers.models import Subscriber
from tests import builders
from users.listing import Column
from users.listing.export import computed_csv, csv_response, file_name, plain_csv, stream_csv

COLUMNS = (
    Column("name"),
    Column("currency"),
    Column("equity"),
    Column("first_seen_at", csv_name="seen"),
    Column("is_removed"),
    Column("subscription_count"),
)
SEEN = datetime(2026, 3, 1, 12, 30, 5, 250_000, tzinfo=UTC)


@pytest.fixture
def connection(workspace):
    return builders.connection(workspace)


def rows_of(queryset, columns=COLUMNS):
    text = b"".join(stream_csv(queryset, columns)).decode()
    return list(csv.reader(io.StringIO(text, newline="")))


FORMULAS = ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"]
SKIPPED = [" ", "  ", "\u00a0", "\u3000", "\u200b", "\ufeff", "\x0b", "\x0c", "\x1c", "\u2003", "\u2060", "\u200b \x1c"]
STARTS = [*FORMULAS, *(f"{blank}=" for blank in SKIPPED), " ＝", "\u3000-"]
HARMLESS = ["Ann", " Ann", "\u3000李", "a=1", "5 - 3", "'=1", "–5", "ß=", "#1"]


@pytest.mark.parametrize("start", STARTS)
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(connection, start):
    builders.subscriber(connection, name=f"{start}HYPERLINK(1)")
    [_, row] = rows_of(Subscriber.objects.filter(connection=connection))
    assert row[0] == f"'{start}HYPERLINK(1)"


def test_values_come_back_as_they_were(connection):
    name = 'O"Neil, Zoë\n北京 😀'
    builders.subscriber(connection, name=name, equity=Decimal("-1234567.50000000"), first_seen_at=SEEN)
    header, row = rows_of(Subscriber.objects.filter(connection=connection))
    assert header == ["name", "currency", "equity", "seen", "is_removed", "subscription_count"]
    assert row == [name, "USD", "-1234567.5", "2026-03-01T12:30:05.250Z", "false", "0"]


def test_an_unknown_value_is_an_empty_cell(connection):
    builders.subscriber(connection, name="Ann")
    assert rows_of(Subscriber.objects.filter(connection=connection))[1][2] == ""


def test_an_empty_list_is_a_header(connection):
    assert len(rows_of(Subscriber.objects.none())) == 1
    assert len(rows_of(Subscriber.objects.filter(connection=connection))) == 1


def test_filters_with_quotes_in_their_values_stay_values(connection):
    builders.subscriber(connection, name="it's; DROP TABLE")
    assert len(rows_of(Subscriber.objects.filter(connection=connection, name="it's; DROP TABLE"))) == 2


def test_the_answer_is_a_stream_in_pieces_and_the_order_is_kept(connection):
    given = [
        Subscriber(
            workspace=connection.workspace,
            connection=connection,
            backend_id=f"s{number}",
            name=f"{number:06}" + "x" * 150,
            revision="1",
            first_seen_at=SEEN,
            synced_at=SEEN,
        )
        for number in range(4_000)
    ]
    Subscriber.objects.bulk_create(given)
    response = csv_response(Subscriber.objects.filter(connection=connection).order_by("-name"), COLUMNS, "x.csv")
    assert response.streaming
    pieces = list(response.streaming_content)
    assert max(map(len, pieces)) < 300_000
    assert len(pieces) > 3
    names = [row[0] for row in csv.reader(io.StringIO(b"".join(pieces).decode()))][1:]
    assert names == sorted(names, reverse=True)
    assert len(names) == 4_000


def test_leaving_in_the_middle_ends_the_copy_and_leaves_the_connection_usable(connection):
    for number in range(50):
        builders.subscriber(connection, name=f"{number}" + "x" * 190)
    stream = stream_csv(Subscriber.objects.filter(connection=connection), COLUMNS)
    next(stream)
    next(stream)
    stream.close()
    assert Subscriber.objects.filter(connection=connection).count() == 50


def test_settings_of_the_download_do_not_outlive_it(connection):
    builders.subscriber(connection)
    rows_of(Subscriber.objects.filter(connection=connection))
    with database.cursor() as cursor:
        cursor.execute("SELECT current_setting('transaction_read_only'), current_setting('statement_timeout')")
        assert cursor.fetchone() == ("off", "0")


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_cell_stays_as_it_is(connection, name):
    builders.subscriber(connection, name=name)
    [_, row] = rows_of(Subscriber.objects.filter(connection=connection))
    short = plain_csv(("name",), [(name,)], "x.csv").content.decode("utf-8-sig")
    assert row[0] == name
    assert list(csv.reader(io.StringIO(short, newline="")))[1] == [name]


@pytest.mark.parametrize("name", ["a;=1+1", "a\t=1+1", "Smith; Jones"])
def test_separators_of_other_locales_are_quoted(connection, name):
    builders.subscriber(connection, name=name)
    text = b"".join(stream_csv(Subscriber.objects.filter(connection=connection), COLUMNS)).decode()
    assert f'"{name}"' in text
    assert f'"{name}"' in plain_csv(("name",), [(name,)], "x.csv").content.decode()


def test_every_file_begins_with_a_byte_order_mark(connection):
    builders.subscriber(connection, name="Zoë")
    rows = [("Zoë",)]
    streamed = csv_response(Subscriber.objects.filter(connection=connection), COLUMNS, "x.csv").streaming_content
    computed = computed_csv(("name",), rows, "x.csv").streaming_content
    for body in (b"".join(streamed), b"".join(computed), plain_csv(("name",), rows, "x.csv").content):
        assert body.startswith(b"\xef\xbb\xbfname")
        assert body.count(b"\xef\xbb\xbf") == 1
        assert "Zoë" in body.decode("utf-8-sig")


def test_numbers_stay_plain_in_every_file(connection):
    builders.subscriber(connection, equity=Decimal("-216.5"))
    text = b"".join(stream_csv(Subscriber.objects.filter(connection=connection), COLUMNS)).decode()
    assert ",-216.5," in text
    short = plain_csv(("a", "b", "c", "d"), [(Decimal("-216.50"), -3, 0.5, None)], "x.csv").content.decode()
    assert short.splitlines()[1] == "-216.5,-3,0.5,"


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ([], "deals-2026-03-01.csv"),
        (["EURUSD", "2026-01-01 to 2026-01-31"], "deals-eurusd-2026-01-01-to-2026-01-31-2026-03-01.csv"),
        (['"; x=\r\n', "Zoë"], "deals-x-zo-2026-03-01.csv"),
        (["é"], "deals-2026-03-01.csv"),
    ],
)
def test_a_file_is_named_after_its_filters_and_the_day(parts, name):
    assert file_name("deals", parts, on=SEEN.date()) == name
    assert len(file_name("deals", ["x" * 500], on=SEEN.date())) < 120


@pytest.mark.parametrize("start", STARTS)
def test_a_short_file_keeps_the_same_promises(start):
    text = plain_csv(("name", "code", "nothing", "amount"), [(f"{start}A1", "61,43", "", Decimal("-5.10"))], "x.csv")
    assert list(csv.reader(io.StringIO(text.content.decode(), newline="")))[1] == [f"'{start}A1", "61,43", "", "-5.1"]
