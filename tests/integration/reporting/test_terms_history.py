"""A deal, a day, a step of a mark is charged by the terms of its own time, whenever it is computed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from editing.models import Change, ChangeOutcome
from reporting.commission.observing import observe
from reporting.commission.recompute import recompute
from reporting.models import AccrualState, BillingPeriod, TermsSource, TermsVersion
from tests import builders
from tests.firm import D, Firm, at

pytestmark = pytest.mark.django_db


def scheme_of(kind, rate, length="month"):
    return {"commissionScheme": {"type": kind, "commissionRate": rate, "billingPeriod": length}}


class Agreed(Firm):
    """A firm whose terms change as it is told, each seen at once."""

    def accrue(self, now):
        self.now = now
        return super().accrue(now)

    def agree(self, now, kind="", rate=0, length="month"):
        """Other terms at the backend, first seen at `now`."""
        self.strategy.document = scheme_of(kind, rate, length) if kind else {}
        self.strategy.save()
        self.accrue(now)

    def save_terms(self, now, start, kind="", rate=0, length="month", seen=None):
        """Other terms saved here, which are to hold from `start`: now, next or a day. seen: by a run of that time."""
        after = scheme_of(kind, rate, length) if kind else {}
        change = Change.objects.create(
            workspace=self.workspace,
            connection=self.connection,
            kind="strategy",
            before=self.strategy.document,
            after=after,
            backend_id=self.strategy.backend_id,
            name="Alpine",
            proposed_at=now,
            saved_at=now,
            sent_at=now,
            outcome=ChangeOutcome.DONE,
            terms_from=start,
        )
        self.agree(seen or now, kind, rate, length)
        return change

    def pass_to(self, now):
        """Everything until `now` is mirrored and computed."""
        self.complete_until(now)
        self.accrue(now)

    def versions(self, **only):
        return TermsVersion.objects.filter(workspace=self.workspace, subject="commission", **only).order_by("number")

    @property
    def by_line(self):
        return [(line.period_start, line.amount) for line in self.lines if line.amount]


def agreed(kind="amount-won", rate=0.1, length="month", **more):
    firm = Agreed(kind, rate, length, **more)
    if not kind:
        firm.strategy.document = {}
        firm.strategy.save()
    return firm


def joined(firm, moment, **more):
    subscriber = builders.subscriber(firm.connection, first_seen_at=moment, **more)
    builders.subscription(subscriber, firm.strategy, first_seen_at=moment)
    return subscriber


def owed_by(firm, subscriber):
    return sum(line.amount for line in firm.lines.filter(subscriber_id=subscriber.backend_id))


def assert_sound(firm):
    """What must hold whatever happens: lines agree with themselves, no two overlap, computing again changes nothing."""
    lines = list(firm.lines)
    assert all(recompute(line) == line.amount for line in lines)
    spans = sorted({(line.period_start, line.period_end) for line in lines})
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    contents = firm.contents()
    AccrualState.objects.filter(connection=firm.connection).update(terms="")  # so that everybody is computed
    firm.accrue(firm.now)
    assert firm.contents() == contents


# --- 1. Switched on ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("was", ["none", "rate 0"])
@pytest.mark.parametrize(
    ("kind", "rate", "owed"),
    [("amount-won", 0.2, 20), ("flat-fee", 31, 12), ("high-water-mark", 0.2, 20), ("lots-won", 7, 7)],
)
def test_a_fee_switched_on_charges_nothing_of_before(was, kind, rate, owed):
    firm = agreed("" if was == "none" else "amount-won", 0)
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1))
    firm.deal(at(2, 10), "1000")
    firm.pass_to(at(5, 19))
    firm.agree(at(5, 20), kind, rate)
    firm.deal(at(5, 19), "400", number="before")
    firm.deal(at(5, 21), "100", lots="1")
    firm.pass_to(at(6, 5))
    firm.deal(at(2, 20), "500", number="late")
    firm.pass_to(at(6, 6))
    assert sum(line.amount for line in firm.lines.filter(period_end__lte=at(6, 1, 0))) == owed
    assert firm.lines.first().period_start == at(5, 1, 0)
    assert_sound(firm)


def test_a_mark_that_begins_later_starts_at_the_value_of_then():
    firm = agreed("")
    firm.deal(at(2, 10), "-500")
    firm.pass_to(at(3, 10))
    firm.agree(at(3, 20), "high-water-mark", 0.2)
    firm.deal(at(3, 21), "100")
    firm.pass_to(at(4, 5))
    assert firm.total == D(20)  # the loss of before need not be earned back


# --- 2. to 4. Other lengths -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("closes", [False, True])
def test_a_late_deal_after_a_longer_period_is_charged_alone(closes):
    firm = agreed(length="week")
    firm.deal(at(3, 1), "95")
    firm.pass_to(at(4, 1))
    if closes:
        firm.close(at(3, 30), now=at(4, 1))
    firm.agree(at(4, 2), "amount-won", 0.1, "month")
    firm.pass_to(at(4, 20))
    firm.deal(at(3, 25), "10", number="late")
    firm.pass_to(at(4, 21))
    assert [line.amount for line in firm.lines] == [D("9.50"), D("1.00")]
    assert_sound(firm)


@pytest.mark.parametrize(
    ("kind", "rate", "owed"), [("flat-fee", 90, "31.00"), ("high-water-mark", 0.2, "0"), ("amount-won", 0.2, "10.00")]
)
def test_a_client_who_joins_after_a_longer_period_pays_each_day_and_result_once(kind, rate, owed):
    firm = agreed(kind, rate)
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1))
    firm.pass_to(at(2, 19))
    firm.agree(at(2, 20), kind, rate, "quarter")
    client = joined(firm, at(3, 1, 0))
    firm.deal(at(3, 2), "100", subscriber=client, number="first")
    firm.pass_to(at(3, 3))
    firm.deal(at(3, 4), "50", subscriber=client, number="second")
    firm.pass_to(at(3, 5))
    firm.deal(at(3, 2), "-100", subscriber=client, number="first")
    firm.pass_to(at(4, 1))
    owing = firm.lines.filter(subscriber_id=client.backend_id, period_end__lte=at(4, 1, 0))
    assert sum(line.amount for line in owing) == D(owed)
    assert_sound(firm)


@pytest.mark.parametrize("kind", ["amount-won", "high-water-mark"])
@pytest.mark.parametrize(("length", "longer"), [("month", "quarter"), ("week", "quarter"), ("week", "month")])
def test_closing_inside_a_longer_period_charges_each_deal_once(kind, length, longer):
    firm = agreed(kind, 0.2, length)
    for day in (3, 10, 17):
        firm.deal(at(2, day), "100")
    firm.pass_to(at(2, 19))
    firm.strategy.document = scheme_of(kind, 0.2, longer)
    firm.strategy.save()
    firm.complete_until(at(3, 3))
    firm.close(at(3, 1, 0), now=at(3, 3))  # before any accrual has seen the other length
    firm.deal(at(2, 10), "150", number="late")
    firm.deal(at(3, 4), "100")
    firm.pass_to(at(3, 9))
    firm.close(at(3, 9), now=at(3, 9))
    firm.pass_to(at(7, 9))
    assert firm.total == D(110)
    assert not firm.lines.filter(is_provisional=True, period_end__lte=at(7, 1, 0)).exists()
    assert_sound(firm)


def test_an_open_adjustment_moves_with_the_period_that_it_stands_in():
    firm = agreed("high-water-mark", 0.2, "week")
    firm.deal(at(5, 5), "100")
    firm.pass_to(at(5, 12))
    firm.deal(at(5, 4), "50", number="late")
    firm.pass_to(at(5, 13))
    firm.agree(at(5, 14), "high-water-mark", 0.2, "quarter")
    ends = set(
        BillingPeriod.objects.filter(closed_at=None, period_end__gt=at(5, 11)).values_list("period_end", flat=True)
    )
    assert ends <= {at(5, 14), at(7, 1, 0)}
    firm.close(at(5, 18), now=at(5, 18))
    firm.deal(at(5, 20), "100")
    firm.pass_to(at(7, 9))
    assert firm.total == D(50)
    assert not firm.lines.filter(is_provisional=True, period_end__lte=at(7, 1, 0)).exists()
    assert_sound(firm)


# --- 5. and 6. Late deals ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "UTC", "Asia/Tokyo"])
@pytest.mark.parametrize("hour", [0, 4, 5, 12, 15, 23])
def test_a_late_deal_on_the_first_local_day_becomes_an_adjustment(zone, hour):
    firm = agreed("amount-won", 0.2, timezone=zone)
    firm.deal(at(1, 10), "100")
    firm.pass_to(at(3, 10))
    firm.deal(datetime(2026, 2, 1, hour, tzinfo=UTC), "50")
    firm.pass_to(at(3, 11))
    assert firm.total == D(30)


@pytest.mark.parametrize("closes", [False, True])
def test_a_late_deal_of_a_client_without_a_line_is_charged_by_the_rate_of_its_time(closes):
    firm = agreed()
    firm.deal(at(1, 5), "10")
    firm.pass_to(at(2, 3))
    if closes:
        firm.close(at(2, 1, 0), now=at(2, 3))
    firm.agree(at(2, 4), "amount-won", 0.3)
    client = joined(firm, at(1, 1))
    firm.deal(at(1, 20), "100", subscriber=client)
    firm.deal(at(2, 3), "100", subscriber=client)
    firm.deal(at(2, 4, 11), "100", subscriber=client)
    firm.pass_to(at(2, 6))
    assert owed_by(firm, client) == D(10 + 10 + 30)
    assert_sound(firm)


def test_a_correction_is_booked_although_nothing_is_charged_any_more():
    firm = agreed("amount-won", 0.2)
    firm.deal(at(1, 10), "100", number="a")
    firm.pass_to(at(2, 3))
    firm.close(at(2, 1, 0), now=at(2, 3))
    firm.agree(at(2, 10))
    firm.deal(at(1, 10), "40", number="a")
    firm.pass_to(at(2, 20))
    (correction,) = firm.lines.filter(key__startswith="adjustment")
    assert correction.amount == D(-12)
    firm.pass_to(at(3, 9))
    firm.close(at(3, 1, 0), now=at(3, 9))
    assert not BillingPeriod.objects.filter(closed_at=None).exists()


# --- 7. Another rate --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "before", "after", "owed"),
    [
        ("amount-won", 0.1, 0.5, [100, 25]),
        ("flat-fee", 31, 62, [30, 2]),
        ("high-water-mark", 0.1, 0.5, [100, 25]),
        ("lots-won", 5, 50, [5, 50]),
    ],
)
def test_a_rate_that_rises_leaves_what_was_before(kind, before, after, owed):
    firm = agreed(kind, before)
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1, 0))
    firm.deal(at(1, 5), "1000", lots="1")
    firm.pass_to(at(1, 30))
    firm.agree(at(1, 31), kind, after)
    firm.deal(at(1, 31, 12), "50", lots="1")
    firm.pass_to(at(2, 1))
    assert [line.amount for line in firm.lines if line.period_end == at(2, 1, 0)] == owed
    assert [line.policy["terms"] for line in firm.lines if line.period_end == at(2, 1, 0)] == [1, 3]
    assert_sound(firm)


@pytest.mark.parametrize(
    ("kind", "rate", "owed"), [("amount-won", 0.2, 20), ("flat-fee", 31, 21), ("high-water-mark", 0.2, 20)]
)
def test_a_commission_that_is_removed_leaves_what_was_earned(kind, rate, owed):
    firm = agreed(kind, rate)
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1, 0))
    firm.deal(at(1, 5), "100")
    firm.pass_to(at(1, 20))
    firm.agree(at(1, 21))
    firm.deal(at(1, 25), "100")
    firm.pass_to(at(3, 1))
    assert firm.total == D(owed)
    assert not firm.lines.filter(is_provisional=True).exists()


def test_terms_that_begin_with_the_next_period_leave_the_running_one_whole():
    firm = agreed("high-water-mark", 0.1)
    firm.deal(at(1, 5), "1000")
    firm.pass_to(at(1, 9))
    change = firm.save_terms(at(1, 10), "next", "high-water-mark", 0.5)
    firm.deal(at(1, 20), "-600")
    firm.pass_to(at(1, 25))
    assert firm.by_line == [(at(1, 1, 0), D(40))]
    firm.deal(at(2, 5), "700")
    firm.pass_to(at(2, 6))
    assert firm.by_line == [(at(1, 1, 0), D(40)), (at(2, 1, 0), D(350))]
    version = firm.versions().last()
    assert (version.source, version.change_id, version.valid_from) == (TermsSource.PORTAL, change.pk, at(2, 1, 0))


@pytest.mark.parametrize(("has_clients", "begins"), [(True, at(2, 1, 0)), (False, at(1, 10))])
def test_where_nobody_chose_the_next_period_begins_them_if_there_are_clients(has_clients, begins):
    firm = agreed()
    if has_clients:
        builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1))
    firm.pass_to(at(1, 9))
    firm.save_terms(at(1, 10), "", "amount-won", 0.2)
    assert firm.versions().last().valid_from == begins


@pytest.mark.parametrize(
    ("day", "begins"), [("2026-01-20", at(1, 20, 0)), ("2025-12-01", at(1, 10)), ("2026-04-15", at(4, 15, 0))]
)
def test_a_chosen_day_begins_terms_and_never_one_that_is_past(day, begins):
    firm = agreed()
    firm.pass_to(at(1, 9))
    firm.save_terms(at(1, 10), day, "amount-won", 0.5)
    assert firm.versions().last().valid_from == begins
    firm.deal(begins - timedelta(microseconds=1), "100")
    firm.deal(begins, "100")
    firm.pass_to(begins + timedelta(days=1))
    assert firm.amounts() == [D(10), D(50)]


def test_a_change_at_the_backend_begins_when_it_was_seen_and_calls_off_what_was_planned():
    firm = agreed()
    firm.pass_to(at(1, 9))
    firm.save_terms(at(1, 10), "next", "amount-won", 0.5)
    firm.agree(at(1, 15), "amount-won", 0.3)
    firm.deal(at(1, 14), "100")
    firm.deal(at(1, 16), "100")
    firm.deal(at(2, 3), "100")
    firm.pass_to(at(2, 4))
    assert firm.amounts() == [D(10), D(30), D(30)]
    newest = firm.versions().last()
    assert (newest.source, newest.valid_from, newest.change_id) == (TermsSource.BACKEND, at(1, 15), None)


@pytest.mark.parametrize(
    ("decided", "begins"),
    [
        (at(2, 19, 23), at(4, 1, 0)),
        (at(2, 20, 0), at(3, 8, 0)),
        (at(2, 21), at(3, 8, 0)),
    ],
)
def test_what_a_plan_called_off_stays_called_off_when_the_plan_itself_is(decided, begins):
    firm = agreed("amount-won", 0.1, "quarter")
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1))
    firm.pass_to(at(1, 10))
    firm.save_terms(at(1, 11), "2026-02-20", "amount-won", 0.2, "week")
    firm.save_terms(decided, "2026-03-25", "amount-won", 0.3, "month")
    firm.save_terms(at(3, 3), "next", "amount-won", 0.4, "quarter")
    assert firm.versions().last().valid_from == begins
    firm.deal(at(3, 7), "100")
    firm.deal(at(4, 2), "100")
    firm.pass_to(at(4, 3))
    assert firm.amounts() == [D(10) if begins == at(4, 1, 0) else D(20), D(40)]
    assert_sound(firm)


def test_plans_called_off_in_turn_cut_no_period():
    firm = agreed("amount-won", 0.1, "quarter")
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1))
    firm.pass_to(at(1, 10))
    for day, planned in enumerate(["2026-02-10", "2026-02-05", "2026-02-20", "2026-03-25"], 11):
        firm.save_terms(at(1, day), planned, "amount-won", (day - 5) / 100, "week")
    firm.save_terms(at(3, 3), "next", "amount-won", 0.4)
    firm.deal(at(2, 26), "100")
    firm.pass_to(at(4, 2))
    assert (firm.versions().last().valid_from, firm.by_line) == (at(4, 1, 0), [(at(1, 1, 0), D(10))])
    assert_sound(firm)


def test_a_rise_is_marked_where_there_are_clients():
    firm = agreed()
    firm.pass_to(at(1, 9))
    firm.agree(at(1, 10), "amount-won", 0.2)
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 11))
    firm.agree(at(1, 12), "amount-won", 0.3)
    firm.agree(at(1, 13), "amount-won", 0.25)
    assert list(firm.versions().values_list("needs_consent", flat=True)) == [False, False, True, False]


@pytest.mark.parametrize(("rate", "rises"), [(0.05, False), (0.1, False), (0.11, True), (0.2, True), (0.31, True)])
def test_a_rise_is_measured_by_what_is_charged_and_not_by_what_was_planned(rate, rises):
    firm = agreed("amount-won", 0.1)
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1))
    firm.pass_to(at(1, 9))
    firm.save_terms(at(1, 10), "next", "amount-won", 0.3)
    firm.save_terms(at(1, 12), "now", "amount-won", rate)
    assert firm.versions().last().needs_consent is rises


@pytest.mark.parametrize("sent", [at(1, 9, 23), at(1, 10), at(1, 10, 11)])
def test_a_change_that_is_saved_while_an_accrual_runs_begins_when_its_author_chose(sent):
    firm = agreed()
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1))
    firm.pass_to(at(1, 9))
    change = firm.save_terms(sent, "next", "amount-won", 0.3, seen=at(1, 10))
    version = firm.versions().last()
    assert (version.source, version.change_id, version.valid_from) == (TermsSource.PORTAL, change.pk, at(2, 1, 0))


# --- 8. Pauses --------------------------------------------------------------------------------------------------------
def test_a_fixed_fee_over_a_pause_is_owed_for_the_days_of_each_stay():
    firm = agreed("flat-fee", 31)
    subscription = builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1, 0))
    firm.pass_to(at(1, 2))
    subscription.is_removed = True
    subscription.save()
    firm.pass_to(at(1, 3))
    firm.pass_to(at(1, 20))
    assert firm.amounts() == [D(3)]
    subscription.is_removed = False
    subscription.save()
    firm.pass_to(at(1, 25))
    firm.pass_to(at(2, 1, 0))
    assert firm.amounts(period_start=at(1, 1, 0)) == [D(10)]
    assert firm.lines.first().inputs["stretches"] == [["2026-01-01", "2026-01-03"], ["2026-01-25", "2026-01-31"]]


def test_months_of_a_pause_between_are_free_and_the_first_one_after_it_is_not_whole():
    firm = agreed("flat-fee", 31)
    subscription = builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1, 0))
    firm.pass_to(at(1, 2))
    subscription.is_removed = True
    subscription.save()
    firm.pass_to(at(1, 3))
    firm.pass_to(at(3, 2))
    firm.close(at(3, 1, 0), now=at(3, 2))
    subscription.is_removed = False
    subscription.save()
    firm.pass_to(at(3, 20))
    firm.pass_to(at(4, 1, 0))
    assert [amount for _, amount in firm.by_line] == [D(3), D(12)]


@pytest.mark.parametrize("leaves", ["subscription", "account"])
def test_who_leaves_pays_to_the_day_of_leaving(leaves):
    firm = agreed("flat-fee", 31)
    subscription = builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1, 0))
    firm.deal(at(1, 2))
    firm.pass_to(at(1, 29))
    left = subscription if leaves == "subscription" else firm.subscriber
    left.is_removed = True
    left.save()
    firm.pass_to(at(1, 30))
    firm.pass_to(at(2, 3))
    assert firm.amounts() == [D(30)]


# --- 9. Another zone --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize(("kind", "rate", "owed"), [("high-water-mark", 0.2, "30.00"), ("flat-fee", 28, "17.00")])
def test_a_client_who_joins_in_the_month_of_another_zone_is_charged_once(zone, kind, rate, owed):
    firm = agreed(kind, rate)
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1, 0))
    firm.pass_to(at(2, 9))
    firm.workspace.timezone = zone
    firm.workspace.save()
    firm.accrue(at(2, 10))
    client = joined(firm, at(2, 12))
    firm.deal(at(2, 12), "100", subscriber=client)
    firm.deal(at(2, 12, 11), "50", subscriber=client)
    firm.pass_to(at(2, 13))
    firm.pass_to(at(3, 1, 6))
    owing = firm.lines.filter(subscriber_id=client.backend_id, period_end__lte=at(3, 1, 6))
    assert sum(line.amount for line in owing) == D(owed)
    assert_sound(firm)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_a_late_deal_after_another_zone_is_charged_alone(zone):
    firm = agreed("amount-won", 0.2)
    firm.deal(datetime(2026, 1, 31, 23, 30, tzinfo=UTC), "100")
    firm.pass_to(at(2, 3))
    firm.close(at(2, 1, 0), now=at(2, 3))
    firm.workspace.timezone = zone
    firm.workspace.save()
    firm.pass_to(at(3, 9))
    firm.deal(at(2, 1), "10")
    firm.pass_to(at(3, 10))
    assert [line.amount for line in firm.lines] == [D(20), D(2)]
    assert_sound(firm)


# --- 10. A mark that pauses -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("between", ["amount-won", ""])
@pytest.mark.parametrize(("gap", "then", "fee"), [(-80, 50, 0), (-80, 90, 2), (200, 50, 10), (0, 50, 10), (-80, 80, 0)])
def test_a_mark_counts_the_results_of_the_time_between(between, gap, then, fee):
    firm = agreed("high-water-mark", 0.2)
    firm.deal(at(1, 10), "100")
    firm.pass_to(at(2, 1))
    firm.agree(at(2, 1), between, 0.1)
    firm.deal(at(2, 10), str(gap))
    firm.pass_to(at(3, 1))
    firm.agree(at(3, 1), "high-water-mark", 0.2)
    firm.deal(at(3, 10), str(then))
    firm.pass_to(at(4, 5))
    marks = firm.lines.filter(scheme="high-water-mark")
    assert [line.amount for line in marks if line.amount] == [D(each) for each in (20, fee) if each]
    firm.deal(at(2, 11), "-10", number="late")
    firm.pass_to(at(4, 6))
    incremental = sum(line.amount for line in marks.all())
    firm.from_nothing(at(4, 6))
    assert sum(line.amount for line in marks.all()) == incremental


# --- What is kept -----------------------------------------------------------------------------------------------------
def test_closed_lines_stay_and_the_ledger_of_nothing_agrees_whatever_was_agreed():
    firm = agreed("amount-won", 0.1)
    firm.deal(at(1, 5), "100")
    firm.pass_to(at(2, 3))
    firm.close(at(2, 1, 0), now=at(2, 3))
    closed = list(firm.lines.values())
    for number, terms in enumerate([("amount-won", 0.5), ("flat-fee", 9, "week"), (), ("lots-won", 3, "quarter")]):
        firm.agree(at(2, 10 + number), *terms)
    firm.deal(at(1, 6), "10", number="late")
    firm.pass_to(at(3, 1))
    assert list(firm.lines.filter(period_end__lte=at(2, 1, 0)).values()) == closed
    assert firm.lines.get(key__startswith="adjustment").amount == D(1)


def test_two_who_look_at_once_note_a_change_once():
    firm = agreed()
    firm.pass_to(at(1, 9))
    firm.change_scheme(commissionRate=0.3)
    for _ in range(2):
        observe(firm.connection.pk, at(1, 10))
    assert firm.versions().count() == 2
    assert AccrualState.objects.get().settled_until == at(1, 1, 0)


def test_a_member_taken_out_of_a_portfolio_is_owed_for_its_time():
    firm = agreed("amount-won", 0.1)
    member = firm.strategy
    firm.strategy = builders.strategy(
        firm.connection, kind="portfolio", document={"members": [{"strategyId": member.backend_id}]}
    )
    source = {"extra": {"sourceStrategy": {"id": member.backend_id}}}
    firm.deal(at(1, 5), "100", **source)
    firm.pass_to(at(1, 9))
    firm.strategy.document = {"members": []}
    firm.strategy.save()
    firm.pass_to(at(1, 10))
    firm.deal(at(1, 12), "100", **source)
    firm.pass_to(at(2, 3))
    assert [line.amount for line in firm.lines.exclude(member_id="")] == [D(10)]


@pytest.mark.parametrize("joins", ["first", "later"])
def test_a_member_taken_into_an_empty_portfolio_is_owed_from_then_on(joins):
    firm = agreed("flat-fee", 31)
    member = firm.strategy
    members = [{"strategyId": member.backend_id}]
    firm.strategy = builders.strategy(
        firm.connection, kind="portfolio", document={"members": members if joins == "first" else []}
    )
    builders.subscription(firm.subscriber, firm.strategy, first_seen_at=at(1, 1, 0))
    firm.pass_to(at(1, 9))
    firm.strategy.document = {"members": members}
    firm.strategy.save()
    firm.pass_to(at(1, 20))
    firm.pass_to(at(2, 1, 0))
    owed = firm.lines.exclude(member_id="").filter(period_start=at(1, 1, 0))
    assert [line.amount for line in owed] == [D(31 if joins == "first" else 12)]


def test_a_deal_stays_with_the_member_it_came_through_when_the_leaf_moves_into_another():
    firm = agreed("amount-won", 0.1)
    leaf = firm.strategy
    inner = builders.strategy(
        firm.connection,
        kind="portfolio",
        document=scheme_of("amount-won", 0.5) | {"members": [{"strategyId": leaf.backend_id}]},
    )
    firm.strategy = builders.strategy(
        firm.connection, kind="portfolio", document={"members": [{"strategyId": leaf.backend_id}]}
    )
    source = {"extra": {"sourceStrategy": {"id": leaf.backend_id}}}
    firm.deal(at(1, 5), "100", **source)
    firm.pass_to(at(1, 9))
    firm.strategy.document = {"members": [{"strategyId": inner.backend_id}]}
    firm.strategy.save()
    firm.pass_to(at(1, 10))
    firm.deal(at(1, 10) - timedelta(microseconds=1), "10", number="before", **source)
    firm.deal(at(1, 10), "10", number="after", **source)
    firm.pass_to(at(2, 3))
    firm.deal(at(1, 6), "20", number="late", **source)
    firm.pass_to(at(2, 4))
    owed = {leaf.backend_id: D(10 + 1 + 2), inner.backend_id: D(5)}
    rows = firm.lines.exclude(member_id="").values_list("member_id", "amount")
    assert {member: sum(amount for each, amount in rows if each == member) for member in owed} == owed
    firm.from_nothing(at(2, 4))
    assert {member: sum(amount for each, amount in rows.all() if each == member) for member in owed} == owed
