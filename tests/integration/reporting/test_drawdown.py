"""A day's drawdown is one figure: from the peak since the beginning, whatever range, page, table or file shows it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from reporting.metrics import chart_columns
from reporting.models import EquityPoint
from reporting.overview import RANGES
from reporting.views.subscribers import curve_of
from tests import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def fallen(workspace, alice, dora):
    """An account at 1000 for two years, at its peak of 2000 four hundred days ago, at 1500 since; nothing moved in."""
    connection = builders.connection(workspace)
    strategy = builders.strategy(connection, name="Alpine")
    account = builders.subscriber(connection, access=dora, currency="USD", equity=1500, balance=1500)
    builders.subscription(account, strategy, first_seen_at=builders.LONG_AGO)
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    for days in range(700, -1, -1):
        equity = 1000 if days > 400 else 2000 if days == 400 else 1500
        point = {"account_id": account.backend_id, "time": midnight - timedelta(days=days), "balance": equity}
        EquityPoint.objects.create(connection=connection, equity=equity, net_deposits=1000, **point)
    return account, strategy


@pytest.mark.parametrize("name", ["reporting:subscriber-equity", "reporting:strategy-equity"])
def test_every_range_says_the_same_of_a_day(name, fallen, sign_in, alice):
    account, strategy = fallen
    address = reverse(name, args=[account.pk if "subscriber" in name else strategy.pk])
    client, days = sign_in(alice), {}
    for range in RANGES:
        times, _, drawdown, _ = client.get(address, {"range": range}).json()
        assert drawdown[-1] == 0.25
        assert "25.00\u202f%" in client.get(address, {"range": range, "as": "table"}).content.decode()
        for at, value in zip(times, drawdown, strict=True):
            assert days.setdefault(at, value) == value
    assert len(days) == 701


def test_pages_lists_and_files_say_it_too(fallen, sign_in, alice, dora, text_of):
    account, strategy = fallen
    staff = sign_in(alice)
    told = "25.00\u202f%"
    for range in RANGES:
        assert told in staff.get(f"/subscribers/{account.pk}/performance/", {"range": range}).content.decode()
        assert told in staff.get(f"/strategies/{strategy.pk}/performance/", {"range": range}).content.decode()
    assert told in staff.get("/strategies/results/").content.decode()
    [row] = csv.DictReader(io.StringIO(text_of(staff.get("/strategies/results/?format=csv")).removeprefix("\ufeff")))
    assert row["max_drawdown"] == "0.25"
    hers = sign_in(dora)
    page = hers.get("/me/?range=1W").content.decode()
    assert told in page
    assert "from the peak since the beginning" in page
    assert hers.get(reverse("reporting:subscriber-equity", args=[account.pk]) + "?range=1W").json()[2][-1] == 0.25


def test_the_window_crops_at_its_edge(fallen):
    curve = curve_of(fallen[0])
    last = datetime.fromtimestamp(int(curve.times[-1]), tz=UTC)
    second = timedelta(seconds=1)
    assert [len(chart_columns(curve, start=last + shift)[0]) for shift in (-second, 0 * second, second)] == [1, 1, 0]
    assert chart_columns(curve, start=last + second) == [[], [], [], []]


def test_thinning_keeps_the_deepest_point_of_the_window(fallen):
    curve = curve_of(fallen[0])
    middle = datetime.fromtimestamp(int(curve.times[350]), tz=UTC)
    times, _, drawdown, flows = chart_columns(curve, 10, start=middle)
    assert times[0] == curve.times[350]
    assert max(drawdown) == 0.25
    assert flows[0] == 0
