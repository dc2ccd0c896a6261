"""Terms that change reach nothing that is past: commission switched on, other lengths of period, other zones."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count, pairwise

import pytest
from django.test import Client

from editing.models import Change
from reporting.commission import services
from reporting.commission.recompute import recompute
from reporting.models import AccrualState, BillingPeriod, DailyResult, TermsVersion
from tests import builders
from tests.firm import D, Firm, at

pytestmark = pytest.mark.django_db
NUMBERS = count(1)
RATES = {
    "flat-fee": 31,
    "lots-traded": 7,
    "lots-won": 7,
    "amount-traded": 0.001,
    "amount-won": 0.2,
    "high-water-mark": 0.2,
}


def free_firm(rate=0, **more) -> Firm:
    """A strategy without a commission, with deals of February, accrued in the months after."""
    firm = Firm("amount-won", rate, **more)
    if not rate:
        firm.strategy.document = {}
        firm.strategy.save()
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1, 0))
    firm.deal(at(2, 3), side="open")
    firm.deal(at(2, 4), "1000")
    for month in (2, 3, 4):
        firm.complete_until(at(month, 20))
        firm.accrue(at(month, 20))
    return firm


MAY_20 = at(5, 20)


def switch_on(firm, scheme, now=MAY_20, **more):
    terms = {"type": scheme, "commissionRate": RATES[scheme], "billingPeriod": "month", **more}
    firm.strategy.document = {"commissionScheme": terms}
    firm.strategy.save()
    firm.complete_until(now)
    firm.accrue(now)


def zero_rate(firm):
    firm.strategy.document = {"commissionScheme": {"type": "amount-won", "commissionRate": 0, "billingPeriod": "month"}}
    firm.strategy.save()


@pytest.mark.parametrize("was", ["none", "rate 0"])
@pytest.mark.parametrize("scheme", RATES)
def test_a_commission_that_is_switched_on_leaves_the_past_free(scheme, was):
    firm = free_firm()
    if was == "rate 0":
        zero_rate(firm)
        firm.accrue(at(4, 21))
    assert firm.amounts() == []
    switch_on(firm, scheme)
    assert firm.total == 0
    assert not firm.lines.filter(period_end__lte=at(5, 20)).exists()
    assert not firm.lines.filter(is_provisional=False).exists()
    firm.deal(at(5, 19), "500", number="before")
    firm.deal(at(5, 19), number="before", side="open")
    firm.deal(at(2, 7), "900", number="late")
    firm.accrue(at(5, 21))
    assert firm.total == (2 if scheme == "flat-fee" else 0)
    firm.deal(at(5, 22), "100", number="after", lots="1")
    firm.deal(at(5, 22), number="after", side="open", lots="1")
    firm.accrue(at(5, 23))
    expected = {
        "flat-fee": 4,
        "lots-traded": 7,
        "lots-won": 7,
        "amount-traded": 1,
        "amount-won": 20,
        "high-water-mark": 20,
    }
    assert firm.total == expected[scheme]
    firm.complete_until(at(6, 20))
    firm.accrue(at(6, 20))
    firm.deal(at(2, 8), "900", number="very late")
    firm.deal(at(5, 2), "900", number="late in May")
    firm.accrue(at(6, 21))
    may = firm.lines.filter(period_end__lte=at(6, 1, 0))
    assert sum(line.amount for line in may) == {**expected, "flat-fee": 12}[scheme]
    assert not firm.lines.filter(key__startswith="adjustment").exclude(amount=0).exists()
    assert all(recompute(line) == line.amount for line in firm.lines)


def test_new_clients_of_a_strategy_that_charges_late_are_free_before_it_too():
    firm = free_firm()
    switch_on(firm, "amount-won")
    other = builders.subscriber(firm.connection)
    firm.deal(at(3, 3), "1000", subscriber=other)
    firm.deal(at(5, 21), "50", subscriber=other)
    firm.accrue(at(5, 22))
    assert firm.amounts() == [D("10.00")]


def test_off_and_on_again_leaves_the_time_between_free():
    firm = Firm("high-water-mark", 0.2)
    firm.deal(at(3, 4), "100")
    firm.complete_until(at(4, 10))
    firm.accrue(at(4, 10))
    firm.strategy.document = {}
    firm.strategy.save()
    firm.accrue(at(4, 11))
    firm.deal(at(4, 12), "1000")
    firm.accrue(at(4, 13))
    switch_on(firm, "high-water-mark", at(5, 20))
    firm.deal(at(5, 21), "50")
    firm.accrue(at(5, 22))
    assert [line.amount for line in firm.lines if line.amount] == [D("20.00"), D("10.00")]


def test_a_strategy_that_is_seen_for_the_first_time_charges_from_its_beginning():
    firm = Firm("amount-won", 0.2)
    firm.deal(at(2, 4), "1000")
    firm.accrue()
    assert firm.amounts() == [D(200)]


def test_data_of_the_version_before_keep_their_terms_from_the_beginning():
    firm = Firm("amount-won", 0.2)
    firm.deal(at(2, 4), "1000")
    firm.accrue()
    AccrualState.objects.update(terms_since={})
    TermsVersion.objects.all().delete()
    firm.accrue()
    firm.deal(at(2, 5), "100")
    firm.accrue()
    assert firm.total == D(220)


# --- Lengths and zones -----------------------------------------------------------------------------------------------
def spans(firm):
    return [(line.period_start, line.period_end) for line in firm.lines]


def running(scheme="amount-won", length="month", rate=0.2, zone="UTC"):
    """A strategy accrued until May 20, with a deal in each half of May."""
    firm = Firm(scheme, rate, billing_period=length, timezone=zone)
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(4, 1))
    firm.deal(at(4, 10), "100")
    firm.deal(at(5, 5), "10")
    firm.deal(at(5, 19), "20")
    firm.complete_until(at(5, 20))
    firm.accrue(at(5, 20))
    return firm


@pytest.mark.parametrize("scheme", ["flat-fee", "amount-won", "high-water-mark"])
@pytest.mark.parametrize(("length", "end"), [("week", at(5, 24, 0)), ("quarter", at(7, 1, 0))])
def test_a_period_is_cut_where_its_length_changes(scheme, length, end):
    firm = running(scheme, rate=0.2 if scheme != "flat-fee" else 31)
    final = list(firm.lines.filter(is_provisional=False, period_end__lte=at(5, 20)).values())
    firm.change_scheme(billingPeriod=length)
    firm.accrue(at(5, 21))
    firm.deal(at(5, 22), "30")
    firm.accrue(at(5, 23))
    cut = [(at(5, 1, 0), at(5, 21)), (at(5, 21), end)]
    assert sorted({span for span in spans(firm) if span[1] > at(5, 1, 0)}) == cut
    assert list(firm.lines.filter(period_end__lte=at(5, 20)).values()) == final
    firm.complete_until(at(7, 8))
    firm.accrue(at(7, 8))
    assert firm.accrue(at(7, 8)).lines_written == 0
    ends = sorted(set(spans(firm)))
    assert all(first[1] <= second[0] for first, second in pairwise(ends))
    if scheme == "flat-fee":
        whole, rest = (7, 3) if length == "week" else (91, 41)  # 24 to 30 May and so on, or the days left in June
        assert firm.amounts(period_start=at(5, 1, 0)) == [D(20)]  # the day of the change is charged by the new terms
        assert firm.amounts(period_start=at(5, 21)) == [round(D(31) * rest / whole, 2)]
    else:
        assert firm.total == D("32.00")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("UTC", "Europe/Berlin"),
        ("UTC", "America/New_York"),
        ("Europe/Berlin", "UTC"),
        ("America/New_York", "Asia/Tokyo"),
    ],
)
@pytest.mark.parametrize("scheme", ["flat-fee", "amount-won", "high-water-mark"])
def test_a_changed_zone_charges_no_day_twice_and_nothing_that_ended(scheme, old, new):
    firm = running(scheme, rate=0.2 if scheme != "flat-fee" else 31, zone=old)
    final = list(firm.lines.filter(is_provisional=False, period_end__lte=at(5, 20)).values())
    firm.workspace.timezone = new
    firm.workspace.save()
    firm.accrue(at(5, 21))
    assert list(firm.lines.filter(period_end__lte=at(5, 20)).values()) == final
    other = builders.subscriber(firm.connection, first_seen_at=at(5, 22))
    builders.subscription(other, firm.strategy, first_seen_at=at(5, 22))
    firm.deal(at(5, 22), "100", subscriber=other)
    firm.deal(at(5, 22), "50", subscriber=other)
    for now in (at(5, 23), at(6, 20), at(7, 20)):
        firm.complete_until(now)
        firm.accrue(now)
    ends = sorted(set(spans(firm)))
    assert all(first[1] <= second[0] for first, second in pairwise(ends))  # none overlap
    own = firm.lines.filter(subscriber_id=firm.subscriber.backend_id)
    if scheme == "flat-fee":
        assert [line.amount for line in own if at(5, 2) < line.period_end < at(7, 20)] == [31, 31]
    else:
        assert sum(line.amount for line in firm.lines.filter(subscriber_id=other.backend_id)) == D(30)


def test_a_new_client_after_a_longer_period_is_charged_once():
    firm = running()
    firm.change_scheme(billingPeriod="quarter")
    firm.accrue(at(5, 20))
    other = builders.subscriber(firm.connection, first_seen_at=at(6, 1))
    builders.subscription(other, firm.strategy, first_seen_at=at(6, 1))
    firm.deal(at(6, 1), "100", subscriber=other)
    firm.accrue(at(6, 2))
    firm.deal(at(6, 3), "50", subscriber=other)
    firm.accrue(at(6, 4))
    assert sum(line.amount for line in firm.lines.filter(subscriber_id=other.backend_id)) == D(30)


def test_a_late_deal_after_a_longer_period_charges_nothing_again():
    firm = Firm("amount-won", 0.1, billing_period="week")
    firm.deal(at(3, 1), "95")
    firm.complete_until(at(4, 10))
    firm.accrue(at(4, 10))
    firm.change_scheme(billingPeriod="month")
    firm.accrue(at(4, 11))
    firm.deal(at(3, 25), "10")
    firm.accrue(at(4, 12))
    assert firm.total == D("10.50")


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Europe/Berlin"])
def test_late_deals_at_the_edge_of_a_month_are_found_in_every_zone(zone):
    firm = Firm("amount-won", 0.2, timezone=zone)
    firm.deal(at(1, 10), "100")
    firm.complete_until(at(3, 10))
    firm.accrue(at(3, 10))
    firm.deal(datetime(2026, 2, 1, 12, tzinfo=UTC), "50")
    firm.accrue(at(3, 11))
    assert firm.total == D(30)


def test_closed_lines_stay_byte_for_byte_whatever_changes():
    firm = running()
    firm.close(at(5, 1, 0), now=at(5, 20))
    closed = list(firm.lines.filter(period_end__lte=at(5, 1, 0)).values())
    assert closed
    for change in ({"billingPeriod": "week"}, {"billingPeriod": "quarter"}, {"commissionRate": 0.5}):
        firm.change_scheme(**change)
        firm.accrue(at(5, 21))
    firm.workspace.timezone = "Asia/Tokyo"
    firm.workspace.save()
    firm.accrue(at(5, 22))
    assert list(firm.lines.filter(period_end__lte=at(5, 1, 0)).values()) == closed
    assert BillingPeriod.objects.filter(closed_at__isnull=False).count() == 1


def test_slices_and_one_transaction_agree_over_a_change():
    firm = running()
    for number in range(4):
        one = builders.subscriber(firm.connection)
        firm.deal(at(5, 10 + number), "100", subscriber=one)
    firm.change_scheme(billingPeriod="week")
    services.accrue_workspace(firm.workspace.pk, at(6, 10), services.Bounds(subscribers=1))
    sliced = firm.contents()
    DailyResult.objects.update(is_accrued=False)
    assert firm.accrue(at(6, 10)).lines_written == 0
    assert firm.contents() == sliced


def test_the_review_of_a_change_says_from_when_it_is_charged(sign_in_to):
    firm = free_firm()
    client = sign_in_to(firm)
    scheme = {"type": "lots-won", "commissionRate": 6, "billingPeriod": "month"}
    change = Change.objects.create(
        workspace=firm.workspace,
        connection=firm.connection,
        kind="strategy",
        backend_id=firm.strategy.backend_id,
        name="Alpine",
        before={},
        after={"commissionScheme": scheme},
        proposed_at=MAY_20,
    )
    path = f"/commissions/changes/{change.pk}/"
    page = client.get(f"/changes/{change.pk}/").content.decode()
    assert f'href="{path}"' in page
    assert "Deals before that stay free" in client.get(path).content.decode()
    yen = builders.subscriber(firm.connection, currency="JPY")
    builders.subscription(yen, firm.strategy, first_seen_at=MAY_20)
    assert "6 JPY and 6 USD" in client.get(path).content.decode()
    assert sign_in_to(Firm()).get(path).status_code == 404


@pytest.fixture
def sign_in_to():
    def sign_in(firm):
        client = Client()
        number = next(NUMBERS)
        client.force_login(builders.member(firm.workspace, f"owner{number}", "owner"))
        return client

    return sign_in
