"""A file has at least what its page shows: every list that is declared anywhere."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module

import pytest

from reporting.models import DailyResult
from subscribers.listings import SUBSCRIBERS
from subscribers.models import Subscriber
from tests import builders
from users.listing import Listing
from users.listing.columns import with_columns
from users.listing.export import stream_csv

MODULES = (
    "subscribers.listings",
    "strategies.views",
    "reporting.views.history",
    "reporting.views.decisions",
    "reporting.views.commissions",
    "reporting.views.payments",
    "reporting.views.periods",
    "reporting.views.statements",
    "reporting.views.strategies",
    "reporting.views.subscribers",
)
# shown in another shape in the file
STANDS_FOR = {
    ("statements", "number"): {"label"},
    ("my-statements", "number"): {"label"},
    ("billing-periods", "amounts"): {"amounts_text"},
    # no business of a client's, whose page shows neither
    ("decisions", "text"): set(),
    ("decisions", "provider_lots"): set(),
    ("stopouts", "ends_at"): {"stopped_till", "ended_at"},
}


def listings() -> dict[str, Listing]:
    declared = [one for module in MODULES for one in vars(import_module(module)).values() if isinstance(one, Listing)]
    return {one.name: one for one in declared}


@pytest.mark.parametrize("name", sorted(listings()))
def test_every_column_with_a_heading_is_in_the_file(name):
    listing = listings()[name]
    in_file = {column.key for column in listing.columns if column.in_csv}
    shown = {column.key for column in listing.columns if column.in_table and column.label}
    left_out = {key for key in shown - in_file if not STANDS_FOR.get((name, key), {"-"}) <= in_file}
    assert left_out == set()
    headings = [column.heading for column in listing.columns if column.in_csv]
    assert len(headings) == len(set(headings))


@pytest.mark.django_db
def test_the_file_of_subscribers_has_the_results_of_today_and_of_the_month(connection):
    one, today = builders.subscriber(connection), datetime.now(UTC).date()
    for day, profit in ((today, 5), (today.replace(day=1), 7), (today.replace(year=today.year - 1), 100)):
        row, _ = DailyResult.objects.get_or_create(
            workspace=connection.workspace,
            connection=connection,
            subscriber_id=one.backend_id,
            strategy_id="s",
            day=day,
        )
        row.profit += Decimal(profit)
        row.save()
    builders.subscriber(connection, name="Quiet")
    columns = [column for column in SUBSCRIBERS.columns if column.in_csv]
    rows = Subscriber.objects.filter(connection=connection).order_by("id")

    text = b"".join(stream_csv(with_columns(rows, SUBSCRIBERS.columns), columns)).decode()
    first, second = csv.DictReader(io.StringIO(text))
    assert first["result_month"] == "12"
    assert first["result_today"] == ("12" if today.day == 1 else "5")
    assert (second["result_today"], second["result_month"]) == ("0", "0")


@pytest.fixture
def connection(workspace):
    return builders.connection(workspace)
