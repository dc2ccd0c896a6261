"""Closing billing periods: once, by a person, for good; what comes late is an adjustment in the open one."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, close_old_connections, connections, transaction
from django.db.models import Sum

from reporting.commission.closing import close_periods, problems_of
from reporting.commission.recompute import recompute
from reporting.models import AccrualState, BillingPeriod, CommissionLine, DailyResult
from strategies.models import Strategy
from tests import builders
from tests.firm import NOW, D, Firm, at

pytestmark = pytest.mark.django_db
MAY = at(5, 1, 0)


def frozen(firm):
    return list(firm.lines.filter(period_end__lte=MAY).values())


def test_a_period_appears_with_its_first_line_and_goes_with_its_last():
    firm = Firm()
    firm.deal(at(5, 4), "10", number="a")
    firm.accrue()
    assert [period.state for period in BillingPeriod.objects.all()] == ["open"]
    firm.deal(at(5, 4), "-10", number="a")
    firm.accrue()
    assert not BillingPeriod.objects.exists()


def test_closing_writes_down_the_sums_and_the_rate_of_the_last_day():
    firm = Firm(currency="EUR")
    firm.deal(at(4, 4), "10.05")
    firm.deal(at(4, 5), "10")
    firm.accrue()
    (period,) = firm.close(MAY).periods
    period.refresh_from_db()
    assert (period.state, period.lines, period.subscribers) == ("closed", 2, 1)
    assert period.amounts == {"EUR": "4.0100"}
    assert period.reporting_currency == "USD"
    lines = list(firm.lines)
    assert {line.reporting_source for line in lines} == {"ECB"}
    assert all(line.reporting_day <= at(4, 30).date() for line in lines)
    assert [line.reporting_amount for line in lines] == [round(line.amount * line.reporting_rate, 2) for line in lines]
    assert period.reporting_amount == sum(line.reporting_amount for line in lines)


def test_a_currency_without_a_rate_is_said_and_left_without_an_amount():
    firm = Firm(currency="BTC")
    firm.deal(at(4, 4), "10")
    firm.accrue()
    period = BillingPeriod.objects.get()
    assert "no reference rate for BTC" in problems_of(firm.workspace, [period], NOW)[0].text
    firm.close(MAY)
    period.refresh_from_db()
    assert (period.reporting_amount, "BTC" in period.problems[0]) == (None, True)


def test_a_period_that_has_not_ended_cannot_be_closed():
    firm = Firm()
    firm.deal(at(5, 4), "10")
    firm.accrue()
    assert firm.close(at(6, 1)).periods == []
    assert problems_of(firm.workspace, BillingPeriod.objects.all(), NOW)[0].blocks


def test_closing_what_is_not_complete_is_said_and_makes_its_lines_final():
    firm = Firm("high-water-mark", 0.1)
    firm.complete_until(at(4, 20))
    firm.deal(at(4, 4), "1000")
    firm.accrue()
    assert firm.lines.first().is_provisional
    (problem,) = problems_of(firm.workspace, BillingPeriod.objects.filter(period_end=MAY), NOW)
    assert "complete only until 2026-04-20" in problem.text
    firm.close(MAY)
    before = frozen(firm)
    assert [row["is_provisional"] for row in before] == [False]
    firm.deal(at(4, 25), "500")
    firm.accrue()
    assert frozen(firm) == before
    late = firm.lines.get(key__startswith="adjustment:")
    assert (late.amount, late.inputs["corrects"]["line"]) == (D(50), before[0]["id"])
    assert recompute(late) == D(50)
    assert firm.total == D(150)


def test_an_account_without_currency_is_named():
    firm = Firm()
    firm.deal(at(4, 4), "10")
    unknown = builders.subscriber(firm.connection, currency="")
    firm.deal(at(4, 4), "10", subscriber=unknown)
    firm.accrue()
    texts = [each.text for each in problems_of(firm.workspace, BillingPeriod.objects.all(), NOW)]
    assert any("the currency of 1 account is not known" in text for text in texts)


@pytest.mark.parametrize("scheme", ["amount-won", "high-water-mark"])
def test_who_is_heard_of_first_after_closing_is_charged_in_the_open_period(scheme):
    firm = Firm(scheme, 0.2)
    firm.deal(at(4, 4), "10")
    firm.accrue()
    firm.close(MAY)
    before = frozen(firm)
    newcomer = builders.subscriber(firm.connection)
    firm.deal(at(4, 6), "30", subscriber=newcomer)
    firm.deal(at(5, 6), "40", subscriber=newcomer)
    firm.accrue()
    assert frozen(firm) == before
    theirs = firm.lines.filter(subscriber_id=newcomer.backend_id)
    assert theirs.aggregate(total=Sum("amount"))["total"] == D(14)
    assert {line.period_start for line in theirs} == {MAY}


def test_closing_the_later_period_closes_the_earlier_ones_with_it():
    firm = Firm()
    for month in (2, 3, 4):
        firm.deal(at(month, 4), "10")
    firm.accrue()
    closed = close_periods(firm.workspace, BillingPeriod.objects.filter(period_end=at(4, 1, 0)), now=NOW)
    assert len(closed.periods) == 2
    assert BillingPeriod.objects.get(period_end=MAY).state == "open"


def test_the_second_closing_says_that_it_is_done():
    firm = Firm()
    firm.deal(at(4, 4), "10")
    firm.accrue()
    assert len(firm.close(MAY).periods) == 1
    again = firm.close(MAY, now=NOW + timedelta(hours=1))
    assert (again.periods, len(again.before)) == ([], 1)
    assert BillingPeriod.objects.get().closed_at == NOW


def test_a_crash_leaves_the_period_open():
    firm = Firm()
    firm.deal(at(4, 4), "10")
    firm.accrue()
    with transaction.atomic():
        firm.close(MAY)
        transaction.set_rollback(True)
    assert BillingPeriod.objects.get().state == "open"
    assert AccrualState.objects.get().closed_until is None
    assert len(firm.close(MAY).periods) == 1


def test_the_database_refuses_to_change_what_is_closed():
    firm = Firm()
    firm.deal(at(4, 4), "10")
    firm.accrue()
    firm.close(MAY)
    (line,) = firm.lines
    copy = CommissionLine.objects.get(pk=line.pk)
    copy.pk, copy.key = None, "another"
    for change in (
        lambda: CommissionLine.objects.update(amount=1),
        lambda: CommissionLine.objects.all().delete(),
        copy.save,
        lambda: BillingPeriod.objects.update(closed_at=None),
        lambda: BillingPeriod.objects.all().delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()
    assert firm.amounts() == [D(2)]


@pytest.mark.django_db(transaction=True)
def test_closing_twice_at_once_closes_once():
    firm = Firm()
    for day in range(1, 29):
        firm.deal(at(4, day), "10")
    firm.accrue()
    closings, failures = [], []

    def run():
        try:
            closings.append(firm.close(MAY))
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close_old_connections()
    assert not failures
    assert sorted(len(closed.periods) for closed in closings) == [0, 0, 1]
    assert sorted(len(closed.before) for closed in closings) == [0, 1, 1]


# --- What a portfolio's owner owes -----------------------------------------------------------------------------------
def portfolio(own_rate=0.3):
    firm = Firm()  # the member: 20 % of each gain
    member = firm.strategy
    document = {"members": [{"strategyId": member.backend_id}]}
    if own_rate:
        document["commissionScheme"] = {"type": "amount-won", "commissionRate": own_rate, "billingPeriod": "month"}
    firm.strategy = builders.strategy(firm.connection, kind="portfolio", document=document)
    return firm, {"extra": {"sourceStrategy": {"id": member.backend_id}}}


def test_a_portfolios_owner_owes_its_members_providers_by_their_schemes():
    firm, through_member = portfolio()
    firm.deal(at(4, 4), "100", **through_member)
    firm.accrue()
    owed, incoming = firm.lines.order_by("member_id")
    assert (owed.amount, owed.member_id, incoming.amount) == (D(30), "", D(20))
    assert recompute(incoming) == D(20)
    firm.close(MAY)
    (statement,) = firm.issue(MAY)
    assert statement.amount == D(30)
    firm.deal(at(4, 5), "10", **through_member)
    firm.accrue()
    late = firm.lines.filter(key__startswith="adjustment:").order_by("member_id")
    assert [(line.member_id != "", line.amount) for line in late] == [(False, D(3)), (True, D(2))]
    DailyResult.objects.update(is_accrued=False)
    assert firm.accrue().lines_written == 0


def test_a_members_fixed_fee_is_counted_by_its_own_periods():
    firm, _ = portfolio()
    member = Strategy.objects.get(kind="single")
    scheme = {"type": "flat-fee", "commissionRate": 30, "billingPeriod": "month"}
    member.document = {"commissionScheme": scheme}
    member.save()
    firm.strategy.document["commissionScheme"]["billingPeriod"] = "quarter"
    firm.strategy.save()
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(2, 15))
    firm.accrue(at(5, 4))
    assert firm.amounts() == [D("15.00"), D("30.00"), D("30.00"), D("3.87")]
    assert [line.is_provisional for line in firm.lines] == [False, False, True, True]
    assert {line.period_start for line in firm.lines} == {at(1, 1, 0), at(4, 1, 0)}
    assert all(recompute(line) == line.amount for line in firm.lines)
    firm.close(at(4, 1, 0), now=at(5, 4))
    firm.accrue(at(5, 5))
    assert firm.amounts() == [D("15.00"), D("30.00"), D("30.00"), D("4.84")]


def test_a_member_with_a_high_water_mark_is_measured_by_its_own_part_of_the_deals():
    firm, through_member = portfolio()
    member = Strategy.objects.get(kind="single")
    scheme = {"type": "high-water-mark", "commissionRate": 0.1, "billingPeriod": "month"}
    member.document = {"commissionScheme": scheme}
    member.save()
    firm.deal(at(3, 4), "1000", **through_member)
    firm.deal(at(3, 5), "500")
    firm.deal(at(4, 4), "-300", **through_member)
    firm.accrue(at(5, 1, 2))
    own = firm.lines.exclude(member_id="")
    assert [line.amount for line in own] == [D(100), D(0), D(0)]
    firm.close(MAY, now=at(5, 2))
    firm.deal(at(5, 4), "400", **through_member)
    firm.accrue()
    assert own.last().amount == D(10)
    firm.deal(at(3, 6), "50", **through_member)
    firm.accrue()
    assert sum(line.amount for line in own.all()) == D(115)
    assert all(recompute(line) == line.amount for line in firm.lines)


def test_a_portfolio_without_a_commission_still_owes_its_members():
    firm, through_member = portfolio(own_rate=None)
    firm.deal(at(4, 4), "100", **through_member)
    firm.accrue()
    assert [(line.member_id != "", line.amount) for line in firm.lines] == [(True, D(20))]
    (period,) = firm.close(MAY).periods
    assert (period.state, firm.issue(MAY)) == ("paid", [])


def test_a_portfolio_inside_a_portfolio_is_owed_by_its_own_scheme():
    firm, through_leaf = portfolio(own_rate=0.25)
    inner = firm.strategy
    document = {
        "members": [{"strategyId": inner.backend_id}],
        "commissionScheme": {"type": "amount-won", "commissionRate": 0.3, "billingPeriod": "month"},
    }
    firm.strategy = builders.strategy(firm.connection, kind="portfolio", document=document)
    firm.deal(at(4, 4), "100", **through_leaf)
    firm.accrue()
    owed, incoming = firm.lines.order_by("member_id")
    assert (owed.amount, incoming.member_id, incoming.amount) == (D(30), inner.backend_id, D(25))
    assert recompute(incoming) == D(25)
