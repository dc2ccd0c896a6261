"""Who sees what is open: staff all of their firm, a client their own accounts, nobody anything of another firm."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest

from reporting.models import OpenPosition, OpenTrade, SyncKind, SyncState
from reporting.open_sums import rebuild
from tests import builders

pytestmark = pytest.mark.django_db
MADE_UP = 987654321


def open_position(account, strategy, number, *, signal="sig1", now, **fields):
    """A copy at an account."""
    values = {
        "symbol": "EURUSD",
        "side": "buy",
        "lots": Decimal("0.2"),
        "open_price": Decimal("1.1001"),
        "current_price": Decimal("1.1051"),
        "floating": Decimal("10.5"),
        "swap": 0,
        "commission": 0,
        "strategy_id": strategy.backend_id,
        "source_strategy_id": strategy.backend_id,
        "signal_id": signal,
        "opened_at": now - timedelta(hours=2),
        "changed_at": now,
    }
    return OpenPosition.objects.create(
        workspace=account.workspace,
        connection=account.connection,
        subscriber_id=account.backend_id,
        position_id=f"{account.pk}-{number}",
        **{**values, **fields},
    )


def open_signal(strategy, signal="sig1", *, now, **fields):
    """A provider's trade."""
    values = {
        "symbol": "EURUSD",
        "side": "buy",
        "state": "open",
        "lots": Decimal("0.4"),
        "open_price": Decimal("1.1"),
        "opened_at": now - timedelta(hours=2),
    }
    return OpenTrade.objects.create(
        workspace=strategy.workspace,
        connection=strategy.connection,
        strategy_id=strategy.backend_id,
        signal_id=signal,
        **{**values, **fields},
    )


@pytest.fixture
def book(business):
    """Two accounts with a copy of one signal each, one more position of Dora's by hand, all read just now."""
    now = business.now
    signal = open_signal(business.alpine, now=now)
    copy = open_position(business.hers, business.alpine, 1, now=now)
    euros = open_position(business.other, business.alpine, 1, now=now, floating=Decimal("-3.25"))
    by_hand = open_position(
        business.hers,
        business.alpine,
        2,
        now=now,
        symbol="USDJPY",
        side="sell",
        strategy_id="",
        source_strategy_id="",
        signal="",
    )
    rebuild(business.connection, is_list=True)
    SyncState.objects.create(
        connection=business.connection, kind=SyncKind.POSITIONS, due_at=now, last_success_at=now, complete_until=now
    )
    return SimpleNamespace(signal=signal, copy=copy, euros=euros, by_hand=by_hand, **vars(business))


PAGES = (
    "/positions/",
    "/positions/all/",
    "/positions/cells/?ids={signal}",
    "/positions/{signal}/",
    "/strategies/{strategy}/positions/",
    "/strategies/{portfolio}/positions/",
    "/subscribers/{subscriber}/positions/",
)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("form", ["page", "part", "csv"])
def test_staff_see_it_and_nobody_else(book, sign_in, alice, bob, dora, charlie, text_of, page, form):
    path = page.format(
        signal=book.signal.pk, strategy=book.alpine.pk, portfolio=book.portfolio.pk, subscriber=book.hers.pk
    )
    if form == "csv" and ("cells" in page or "{signal}" in page):
        return
    path += "?format=csv" if form == "csv" else ""
    headers = {"HX-Request": "true"} if form == "part" else {}
    for person in (alice, bob):
        assert sign_in(person).get(path, headers=headers).status_code == 200, path
    assert sign_in(dora).get(path, headers=headers).status_code == 404
    away = sign_in(charlie).get(path, headers=headers)
    text = text_of(away)
    assert "EURUSD" not in text
    assert "Alpine" not in text
    assert away.status_code == (200 if "{" not in page or "cells" in page else 404)


@pytest.mark.parametrize("page", ["/positions/{}/", "/strategies/{}/positions/", "/subscribers/{}/positions/"])
def test_a_made_up_id_answers_like_another_firms(book, sign_in, alice, charlie, page):
    connection = builders.connection(charlie.memberships.get().workspace)
    strategy = builders.strategy(connection)
    theirs = {
        "/positions/{}/": open_signal(strategy, now=book.now).pk,
        "/strategies/{}/positions/": strategy.pk,
        "/subscribers/{}/positions/": builders.subscriber(connection).pk,
    }[page]
    assert sign_in(charlie).get(page.format(theirs)).status_code == 200
    answers = [sign_in(alice).get(page.format(pk)) for pk in (theirs, MADE_UP)]
    assert [answer.status_code for answer in answers] == [404, 404]


def test_a_client_sees_their_own_and_nothing_of_the_provider(book, sign_in, dora, text_of):
    page = sign_in(dora).get("/me/positions/").content.decode()
    assert page.count("<tr>") >= 2
    assert "USDJPY" in page
    assert "Other account" not in page
    assert "Ratio" not in page
    assert "bp" not in page.partition("<tbody>")[2].partition("</tbody>")[0]
    rows = text_of(sign_in(dora).get("/me/positions/?format=csv"))
    assert "Other account" not in rows
    assert "sig1" not in rows
    assert "signal" not in rows.splitlines()[0]
    assert len(rows.splitlines()) == 3


@pytest.mark.parametrize(
    "query", ["?account=account", "?strategy=alpine", "?symbol=EURUSD", "?q=Other", "?subscriber=x"]
)
def test_no_filter_of_a_client_reaches_another_account(book, sign_in, dora, text_of, query):
    assert "Other account" not in text_of(sign_in(dora).get(f"/me/positions/?{query}"))


def test_cells_of_positions_are_those_that_one_may_see(book, sign_in, alice, dora, charlie):
    ids = f"{book.copy.pk},{book.euros.pk},{book.by_hand.pk}"
    shown = {}
    for person in (alice, dora, charlie):
        answer = sign_in(person).get(f"/positions/all/cells/?ids={ids}", headers={"HX-Request": "true"})
        assert answer.status_code == 200
        shown[person] = set(re.findall(r'id="p(\d+)-price"', answer.content.decode()))
    every = {str(each.pk) for each in (book.copy, book.euros, book.by_hand)}
    assert shown == {alice: every, dora: every - {str(book.euros.pk)}, charlie: set()}
    assert sign_in(alice).get("/positions/all/cells/?ids=x").status_code == 400


def test_staff_and_strangers_have_no_page_of_a_client(book, sign_in, alice, charlie):
    for person in (alice, charlie):
        assert sign_in(person).get("/me/positions/").status_code == 404
    assert sign_in(None).get("/me/positions/").status_code == 302


def sums_of(page: str) -> list[str]:
    """The words of the sums by currency of a page."""
    totals = re.findall(r'<dl class="total[^"]*">(.*?)</dl>', page, re.S)
    return [" ".join(re.sub(r"<[^>]+>", " ", total).split()) for total in totals]


def test_sums_of_a_client_are_of_their_positions(book, sign_in, dora, alice):
    own = sums_of(sign_in(dora).get("/me/positions/").content.decode())
    assert own == ["USD Floating +21.00 Positions 2"]
    staff = sums_of(sign_in(alice).get("/positions/").content.decode())
    assert staff[:2] == ["EUR Floating \N{MINUS SIGN}3.25 Positions 1", "USD Floating +21.00 Positions 2"]
    assert staff[2].startswith("All in USD Floating +")


@pytest.mark.parametrize("cursor", [{}, {"summed_at": "2026-01-01T00:00:00+00:00"}])
def test_the_age_of_the_oldest_figure_is_said(book, sign_in, alice, cursor):
    SyncState.objects.update(cursor=cursor)
    page = sign_in(alice).get("/positions/").content.decode()
    assert "Figures are as of" in page
    assert "No position has been read yet" not in page


def test_where_nothing_is_told_it_says_why_and_shows_no_zero(business, sign_in, alice, dora):
    now = business.now
    SyncState.objects.create(
        connection=business.connection, kind=SyncKind.POSITIONS, due_at=now, cursor={"is_offered": False}
    )
    for path in (
        "/positions/",
        "/positions/all/",
        f"/strategies/{business.alpine.pk}/positions/",
        f"/subscribers/{business.hers.pk}/positions/",
    ):
        page = sign_in(alice).get(path).content.decode()
        assert "Open positions are not known" in page, path
        assert "does not offer “Open positions” to this token" in page
        assert "Nothing is open now" not in page
        assert "Floating" not in page.partition("<thead>")[0].partition("list-part")[2]
    own = sign_in(dora).get("/me/positions/").content.decode()
    assert "The copying service does not tell this" in own


def test_before_the_first_reading_nothing_is_promised(business, sign_in, alice):
    page = sign_in(alice).get("/positions/").content.decode()
    assert "Open positions have not been read yet" in page
    assert "/sync/" in page


def test_nothing_open_is_said_only_where_it_is_known(business, sign_in, alice):
    now = business.now
    SyncState.objects.create(
        connection=business.connection, kind=SyncKind.POSITIONS, due_at=now, last_success_at=now, complete_until=now
    )
    page = sign_in(alice).get("/positions/").content.decode()
    assert "Nothing is open now" in page


@pytest.mark.parametrize(
    ("path", "sums"),
    [
        ("/subscribers/{hers}/positions/", ["USD Floating +21.00 Positions 2"]),
        ("/subscribers/{hers}/positions/?symbol=USDJPY", ["USD Floating +10.50 Positions 1"]),
        ("/subscribers/{other}/positions/", ["EUR Floating \N{MINUS SIGN}3.25 Positions 1"]),
        (
            "/strategies/{alpine}/positions/",
            ["EUR Floating \N{MINUS SIGN}3.25 Positions 1", "USD Floating +10.50 Positions 1"],
        ),
        (
            "/strategies/{alpine}/positions/?symbol=EURUSD",
            ["EUR Floating \N{MINUS SIGN}3.25 Positions 1", "USD Floating +10.50 Positions 1"],
        ),
        ("/strategies/{portfolio}/positions/", []),
        ("/positions/?state=open", ["EUR Floating \N{MINUS SIGN}3.25 Positions 1", "USD Floating +10.50 Positions 1"]),
        ("/positions/all/?side=sell", ["USD Floating +10.50 Positions 1"]),
    ],
)
def test_sums_of_a_page_are_of_its_rows(book, sign_in, alice, path, sums):
    keys = {name: getattr(book, name).pk for name in ("hers", "other", "alpine", "portfolio")}
    page = sums_of(sign_in(alice).get(path.format(**keys)).content.decode())
    assert [line for line in page if not line.startswith("All in")] == sums
