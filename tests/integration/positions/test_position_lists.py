"""The lists of what is open: filters, sorts, pages and files give exactly the rows that a plain reading gives."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from decimal import Decimal

import pytest

from reporting.models import OpenPosition, OpenTrade
from reporting.open_sums import rebuild
from tests import builders
from tests.integration.positions.test_access_to_positions import (
    book,  # noqa: F401
    open_position,
    open_signal,
    sums_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def many(book):  # noqa: F811
    """60 signals of two symbols, each with a copy at one of two accounts; some were closed by the provider."""
    for number in range(60):
        at = book.now - timedelta(minutes=number)
        symbol = "EURUSD" if number % 3 else "XAUUSD"
        state = "closed" if number % 7 == 0 else "open"
        open_signal(book.alpine, f"m{number}", now=book.now, symbol=symbol, state=state, opened_at=at)
        account = book.hers if number % 2 else book.other
        open_position(
            account, book.alpine, f"m{number}", signal=f"m{number}", now=book.now, symbol=symbol, opened_at=at
        )
    rebuild(book.connection, is_list=True)
    return book


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", lambda row: True),
        ("symbol=XAUUSD", lambda row: row.symbol == "XAUUSD"),
        ("side=sell", lambda row: row.side == "sell"),
        ("strategy=alpine", lambda row: row.strategy_id == "alpine"),
        ("subscriber=Dora", lambda row: row.subscriber.name == "Dora's account"),
        ("q=usdjpy", lambda row: row.symbol == "USDJPY"),
        ("q=m12", lambda row: "m12" in row.signal_id),
        ("signal=m12", lambda row: row.signal_id == "m12"),
        (
            "subscriber=Dora&symbol=XAUUSD",
            lambda row: row.symbol == "XAUUSD" and row.subscriber.name.startswith("Dora"),
        ),
        ("symbol=NOTHING", lambda row: False),
    ],
)
def test_filters_leave_the_rows_that_they_say_and_sums_are_of_those(many, sign_in, alice, text_of, query, wanted):
    rows = [row for row in OpenPosition.objects.select_related("subscriber") if wanted(row)]
    browser = sign_in(alice)
    listed = rows_of(text_of(browser.get(f"/positions/all/?format=csv&{query}")))
    assert sorted(row["position_id"] for row in listed) == sorted(row.position_id for row in rows)
    for row in listed:
        own = next(each for each in rows if each.position_id == row["position_id"])
        assert (Decimal(row["lots"]), row["currency"]) == (own.lots, own.subscriber.currency)
        assert Decimal(row["floating"]) == own.floating
    page = sums_of(browser.get(f"/positions/all/?{query}").content.decode())
    for currency in {row.subscriber.currency for row in rows}:
        count = sum(row.subscriber.currency == currency for row in rows)
        assert any(line.startswith(currency) and line.endswith(f"Positions {count}") for line in page), (currency, page)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", lambda row: True),
        ("state=extra", lambda row: row.state == "closed"),
        ("state=missing", lambda row: (row.missing or 0) > 0),
        ("symbol=XAUUSD", lambda row: row.symbol == "XAUUSD"),
        ("q=m12", lambda row: "m12" in row.signal_id),
        ("subscriber=Dora", lambda row: row.signal_id == "sig1" or int(row.signal_id[1:]) % 2 == 1),
    ],
)
def test_signals_are_filtered_as_they_say(many, sign_in, alice, text_of, query, wanted):
    expected = sorted(row.signal_id for row in OpenTrade.objects.all() if wanted(row))
    listed = rows_of(text_of(sign_in(alice).get(f"/positions/?format=csv&{query}")))
    assert sorted(row["signal_id"] for row in listed) == expected


@pytest.mark.parametrize("path", ["/positions/", "/positions/all/"])
@pytest.mark.parametrize("sort", ["opened_at", "-opened_at", "symbol", "-symbol"])
def test_pages_hold_every_row_once_in_order(many, sign_in, alice, path, sort):
    browser, shown, address = sign_in(alice), [], f"{path}?sort={sort}"
    while address:
        page = browser.get(address).content.decode()
        shown += map(int, re.findall(r'<span id="[gp](\d+)-price"', page))
        address = page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    rows = (OpenTrade if path == "/positions/" else OpenPosition).objects.order_by(
        sort, "-pk" if sort.startswith("-") else "pk"
    )
    assert shown == list(rows.values_list("pk", flat=True))


def test_an_account_elsewhere_with_the_same_ids_is_not_mixed_in(many, workspace, sign_in, alice):
    """Two backends of one firm may use the same ids for accounts, strategies and signals."""
    second = builders.connection(workspace, name="Second")
    strategy = builders.strategy(second, backend_id="alpine", name="Namesake")
    account = builders.subscriber(second, backend_id=many.hers.backend_id, name="Namesake account")
    open_signal(strategy, "sig1", now=many.now, symbol="GBPUSD")
    open_position(account, strategy, 1, now=many.now, symbol="GBPUSD")
    rebuild(second, is_list=True)
    theirs = OpenTrade.objects.get(connection=second)
    assert (theirs.copies, theirs.accounts) == (1, 1)
    browser = sign_in(alice)
    page = browser.get(f"/positions/{theirs.pk}/").content.decode()
    assert "Namesake account" in page
    assert "Dora" not in page
    own = browser.get(f"/subscribers/{many.hers.pk}/positions/").content.decode()
    assert "GBPUSD" not in own
    assert "GBPUSD" not in browser.get(f"/strategies/{many.alpine.pk}/positions/").content.decode()


def test_who_has_no_copy_is_named_with_the_reason(many, sign_in, alice):
    from reporting.models import Decision

    signal = OpenTrade.objects.get(signal_id="m1")
    Decision.objects.create(
        workspace=many.workspace,
        connection=many.connection,
        backend_id="1",
        time=many.now,
        signal_id="m1",
        strategy_id="alpine",
        source_strategy_id="alpine",
        subscriber_id=many.other.backend_id,
        symbol="EURUSD",
        subscriber_symbol="EURUSD",
        side="buy",
        outcome="skipped",
        reason="tiny-trade",
        level="subscriber",
        text="It was too small.",
    )
    assert (signal.copies, signal.missing) == (1, 1)
    page = sign_in(alice).get(f"/positions/{signal.pk}/").content.decode()
    listed = page.partition("missing-copies")[2]
    assert "Other account" in listed
    assert "/decisions/" in listed
    without = OpenTrade.objects.get(signal_id="m2")
    page = sign_in(alice).get(f"/positions/{without.pk}/").content.decode()
    assert "No decision about it is known" in page
