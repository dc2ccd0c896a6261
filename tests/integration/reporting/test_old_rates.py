"""Rates older than three business days: marked where they are used, and accepted by a person before they are issued."""

import io
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from reporting.commission.credit_notes import issue_credit_note
from reporting.commission.refusals import OldRate
from reporting.models import CommissionLine, OwnRate, RateFetch, ReferenceRate, Statement
from reporting.rates import rates_of
from tests import builders
from tests.firm import Firm, at

MAY = at(6, 1, 0)
ISSUED = datetime(2026, 6, 2, 9, tzinfo=UTC)
D = Decimal


def kuwait(rate_day, **workspace):
    """A firm with an account in dinars, whose only rate is of that day, and a fee in May that is closed."""
    firm = Firm(currency="KWD", **workspace)
    OwnRate.objects.create(
        workspace=firm.workspace,
        currency="KWD",
        day=rate_day,
        against="USD",
        value=D("3.25"),
        source="Central Bank of Kuwait",
        entered_at=ISSUED,
    )
    firm.deal(at(5, 28), 100)
    firm.accrue(ISSUED)
    firm.close(MAY, ISSUED)
    return firm


# 29 May 2026 is a Friday, the last day of the period a Sunday
@pytest.mark.parametrize(("rate_day", "waits"), [(date(2026, 5, 26), False), (date(2026, 5, 25), True)])
def test_a_statement_waits_for_somebody_to_accept_a_rate_of_four_business_days(db, rate_day, waits, alice):
    firm = kuwait(rate_day)
    (line,) = firm.lines
    assert (line.reporting_rate, line.reporting_source) == (D("3.25"), "ECB, Central Bank of Kuwait")
    issued = firm.issue(MAY, ISSUED)
    assert len(issued) == (not waits)
    if waits:
        (statement,) = firm.issue(MAY, ISSUED, accepts_old_rates=True, by=alice)
        assert (statement.rates_accepted_by, statement.rates_accepted_at, statement.rate_day) == (
            alice,
            ISSUED,
            rate_day,
        )
    else:
        assert (issued[0].rates_accepted_at, issued[0].rate_day) == (None, rate_day)


def test_an_account_in_the_reporting_currency_needs_no_rate(db):
    firm = Firm()
    firm.deal(at(5, 28), 100)
    firm.accrue(ISSUED)
    firm.close(MAY, ISSUED)
    (statement,) = firm.issue(MAY, ISSUED)
    assert (statement.rate_day, statement.rates_accepted_at) == (None, None)


def test_a_credit_note_and_a_payment_ask_too(db, alice):
    firm = kuwait(date(2026, 5, 28))
    (statement,) = firm.issue(MAY, ISSUED)
    later = ISSUED + timedelta(days=14)
    with pytest.raises(OldRate, match="KWD is of 2026-05-28"):
        issue_credit_note(statement, amount=D(1), reason="x", now=later)
    note = issue_credit_note(statement, amount=D(1), reason="x", now=later, accepts_old_rate=True, by=alice)
    assert (note.rates_accepted_by, note.reporting_amount) == (alice, D("-3.25"))
    with pytest.raises(OldRate):
        firm.pay(1, statement, "USD", received_on=later.date(), now=later)
    firm.pay(1, statement, "USD", received_on=later.date(), now=later, accepts_old_rate=True)
    firm.pay(1, statement, "KWD", received_on=later.date(), now=later)


# --- Pages ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def owner(db, workspace, alice, sign_in):
    """The owner's browser, in a firm with an account in roubles, whose ECB rate ended in 2022."""
    connection = builders.connection(workspace)
    builders.strategy(connection)
    builders.subscriber(connection, currency="RUB", equity=D(1000), balance=D(1000))
    return sign_in(alice)


@pytest.mark.parametrize("address", ["/", "/strategies/results/", "/settings/rates/"])
def test_pages_mark_old_rates(owner, address, text_of):
    assert "older than 3 business days" in text_of(owner.get(address)).replace("three", "3")


def test_the_overview_names_the_day_and_leads_to_the_rates(owner, text_of):
    response = owner.get("/")
    assert "Exchange rates are of 2022-03-01" in " ".join(re.sub("<[^>]+>", "", text_of(response)).split())
    assert 'href="/settings/rates/"' in response.content.decode()


def form(client, **values):
    body = client.get("/settings/rates/").content.decode()
    return {"once": re.search(r'name="once" value="([0-9a-f]+)"', body)[1], **values}


RUB = {"currency": "rub", "value": "0.0125", "against": "USD", "source": "Bank of Russia"}


def test_a_rate_entered_by_hand_is_used_at_once_and_kept_with_its_source(owner, workspace, alice, text_of):
    today = timezone.now().date()
    response = owner.post("/settings/rates/new/", form(owner, day=today, **RUB), follow=True)
    assert "1 RUB is 0.0125 USD" in text_of(response)
    rate = rates_of(workspace).on(today, "RUB", "USD")
    assert (rate.value, rate.source) == (D("0.0125"), "ECB, Bank of Russia")
    assert OwnRate.objects.get().entered_by == alice
    owner.post("/settings/rates/new/", form(owner, day=today, **{**RUB, "value": "0.02"}))
    assert rates_of(workspace).on(today, "RUB", "USD").value == D("0.02")
    owner.post(f"/settings/rates/{OwnRate.objects.get().pk}/remove/", form(owner))
    assert rates_of(workspace).on(today, "RUB", "USD").day.year == 2022


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"currency": "GBP"}, "publishes rates of GBP"),
        ({"currency": "R1B"}, "three letters"),
        ({"against": "KWD"}, "that the European Central Bank lists"),
        ({"value": "0"}, "greater than 0"),
        ({"value": "1e3"}, "exponent"),
        ({"value": "0.00000000001"}, "at most"),
        ({"day": "2999-01-01"}, "today"),
        ({"source": ""}, "required"),
    ],
)
def test_a_rate_that_is_refused(owner, values, words, text_of):
    response = owner.post("/settings/rates/new/", form(owner, **{"day": "2026-05-20", **RUB, **values}))
    assert response.status_code == 422
    assert words in text_of(response)
    assert not OwnRate.objects.exists()


def upload(owner, text, source="Bank of Russia"):
    return owner.post("/settings/rates/file/", form(owner, source=source, file=io.BytesIO(text)))


def test_a_file_of_rates_is_taken_as_a_whole(owner, workspace):
    assert (
        upload(owner, b"currency,day,value,against\nRUB,2026-05-20,0.0125,USD\nKWD,2026-05-20,3.25,USD\n").status_code
        == 302
    )
    assert rates_of(workspace).on(date(2026, 5, 21), "RUB", "USD").value == D("0.0125")
    assert upload(owner, b"day,currency,against,value\n2026-05-20,RUB,USD,0.0126\n").status_code == 302
    assert [rate.value for rate in OwnRate.objects.order_by("currency")] == [D("3.25"), D("0.0126")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"currency,day,value,against\nRUB,2026-05-20,0.0125,USD\nGBP,2026-05-20,1.3,USD\n", "Row 3, currency"),
        (b"currency,day,value,against\nRUB,20.05.2026,0.0125,USD\n", "Row 2, day"),
        (b"currency,day,value,against\nRUB\n", "Row 2"),
        (b"currency,value\nRUB,1\n", "first row"),
        (b"currency,day,value,against\n", "1 to 20,000"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_a_file_with_one_wrong_row_stores_nothing(owner, content, words, text_of):
    response = upload(owner, content)
    assert response.status_code == 422
    assert words in text_of(response)
    assert not OwnRate.objects.exists()


def test_one_click_fetches_and_another_stops_it(owner, alice):
    owner.post("/settings/rates/fetching/", form(owner, on="1"))
    fetch = RateFetch.only()
    assert (fetch.is_on, fetch.switched_by) == (True, alice)
    owner.post("/settings/rates/fetching/", form(owner, on="0"))
    assert not RateFetch.only().is_on


ACTIONS = ("fetching/", "fetch/", "new/", "file/")


def test_who_may(owner, workspace, sign_in, bob, dora, charlie):
    own = OwnRate.objects.create(
        workspace=workspace,
        currency="KWD",
        day=date(2026, 5, 20),
        against="USD",
        value=3,
        source="x",
        entered_at=ISSUED,
    )
    manager = builders.member(workspace, "mary", "manager")
    assert [sign_in(one).get("/settings/rates/").status_code for one in (manager, bob, dora)] == [200, 200, 404]
    assert sign_in(manager).post("/settings/rates/fetching/", {"once": "a" * 32, "on": "1"}).status_code == 403
    for action in (*ACTIONS, f"{own.pk}/remove/"):
        assert sign_in(bob).post(f"/settings/rates/{action}", {"once": "b" * 32}).status_code == 403
        assert sign_in(dora).post(f"/settings/rates/{action}", {"once": "c" * 32}).status_code == 404
    assert sign_in(charlie).post(f"/settings/rates/{own.pk}/remove/", {"once": "d" * 32}).status_code == 404
    assert b"KWD</span>" not in sign_in(charlie).get("/settings/rates/").content
    assert OwnRate.objects.exists()
    assert not RateFetch.only().is_on


def test_two_firms_do_not_share_their_own_rates(owner, workspace):
    other = builders.workspace("Other")
    OwnRate.objects.create(
        workspace=other, currency="RUB", day=date(2026, 5, 20), against="USD", value=1, source="x", entered_at=ISSUED
    )
    assert rates_of(workspace).on(date(2026, 5, 20), "RUB", "USD").source == "ECB"
    assert rates_of(other).on(date(2026, 5, 20), "RUB", "USD").value == 1


def test_rates_that_arrive_later_never_change_what_was_closed(db):
    firm = kuwait(date(2026, 5, 25))
    before = list(CommissionLine.objects.values())
    OwnRate.objects.update(value=D(4))
    ReferenceRate.objects.create(currency="USD", day=date(2026, 5, 30), per_euro=2, stored_at=ISSUED)
    firm.issue(MAY, ISSUED, accepts_old_rates=True)
    assert list(CommissionLine.objects.values()) == before
    assert Statement.objects.get().reporting_amount == before[0]["reporting_amount"]
