"""Boundaries of the rules by which commissions are charged: what lies just on either side of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from reporting.commission.beginning import begins_at, is_rise
from reporting.commission.crystallisation import Marks, Span, first_mark, high_water_lines, spans_of, stays_of
from reporting.commission.effect import ProposedTerms, effect_of
from reporting.commission.history import CalendarSpan, History, SpannedCalendar, TermsSpan, calendar_spans
from reporting.commission.moved_money import fees_among
from reporting.commission.parts import lines_of
from reporting.commission.periods import MOMENT, Calendar, PeriodLength
from reporting.commission.policy import Basis, Crystallised, Hurdle, Policy, Scheme, Terms
from reporting.commission.schemes import BilledSubscription, Deal, Lifetime, Valuation

D = Decimal
WEEK, MONTH, QUARTER = PeriodLength.WEEK, PeriodLength.MONTH, PeriodLength.QUARTER
DAY = timedelta(days=1)


def at(month, day, hour=0):
    return datetime(2026, month, day, hour, tzinfo=UTC)


def terms(scheme="high-water-mark", rate="0.2", **more):
    return Terms(Scheme(scheme), D(rate), MONTH, **more)


def monthly(zone="UTC"):
    return SpannedCalendar.of((CalendarSpan(None, Calendar(zone), MONTH),))


def deal(name, moment, net, *, opens=False):
    return Deal(name, moment, opens, D("0.1"), D(1000), D(net))


@pytest.mark.parametrize(
    ("start", "first_day"),
    [
        (None, 1),
        (at(4, 1), 1),
        (at(5, 1) - MOMENT, 1),
        (at(5, 1), 1),
        (at(5, 2), 2),
        (at(5, 31), 31),
    ],
)
def test_what_is_left_of_a_period(start, first_day):
    calendar = monthly()
    period = calendar.containing(at(5, 10))
    left = calendar.clipped(period, start)
    assert (left.first_day, left.end, left.days) == (date(2026, 5, first_day), period.end, 31)
    assert left.start == (period.start if first_day == 1 else start)


def test_hours_between_two_midnights_belong_to_the_last_day_of_the_old_zone():
    since = at(5, 31, 10)  # midnight of 1 June on Kiritimati, and of 31 May in Honolulu
    spans = (
        CalendarSpan(None, Calendar("Pacific/Honolulu"), MONTH),
        CalendarSpan(since, Calendar("Pacific/Kiritimati"), MONTH),
    )
    calendar = SpannedCalendar.of(spans)
    assert calendar.last_day_before(since) == date(2026, 5, 30)
    assert calendar.last_day_before(since + DAY) == date(2026, 6, 1)


def test_what_was_before_all_spans_has_the_length_of_the_first():
    lengths = [TermsSpan(at(2, 1), None, WEEK), TermsSpan(at(4, 1), None, QUARTER)]
    spans = calendar_spans(lengths, [(None, Calendar())])
    assert [(span.since, span.length) for span in spans] == [(None, WEEK), (at(4, 1), QUARTER)]


@pytest.mark.parametrize(
    ("choice", "begins"),
    [
        ("now", at(5, 10, 8)),
        ("next", at(6, 1)),
        ("2026-05-09", at(5, 10, 8)),
        ("2026-05-11", at(5, 11)),
    ],
)
def test_when_terms_begin(choice, begins):
    spans = [CalendarSpan(None, Calendar(), MONTH)]
    assert begins_at(choice, spans, at(5, 10, 8), has_clients=True) == begins
    assert begins_at("", spans, at(5, 10, 8), has_clients=False) == at(5, 10, 8)


@pytest.mark.parametrize(
    ("before", "after", "rises"),
    [
        (Policy(), Policy(), False),
        (Policy(), Policy(hurdle=Hurdle.SOFT, hurdle_rate=D("0.1")), False),
        (Policy(hurdle=Hurdle.SOFT, hurdle_rate=D("0.1")), Policy(), True),
        (Policy(), Policy(basis=Basis.EQUITY), True),
        (None, Policy(), False),
        (Policy(), None, False),
    ],
)
def test_rules_that_may_cost_more_are_a_rise(before, after, rises):
    stated = {"scheme": Scheme.HIGH_WATER_MARK, "rate": "0.2", "billing_period": "month"}
    assert is_rise(stated | {"policy": before}, stated | {"policy": after}) is rises


@pytest.mark.parametrize("scheme", list(Scheme))
def test_only_a_mark_starts_at_the_result_of_the_moment(scheme):
    spans = [CalendarSpan(None, Calendar(), MONTH)]
    sentences = effect_of(ProposedTerms(None, terms(scheme), at(5, 10)), spans, at(5, 9))
    assert any("high-water mark starts" in sentence for sentence in sentences) is (scheme is Scheme.HIGH_WATER_MARK)


@pytest.mark.parametrize(
    ("stays", "merged"),
    [
        ([(1, 5), (6, 9)], [(1, 5), (6, 9)]),
        ([(1, 5), (5, 9)], [(1, 9)]),
        ([(1, 6), (5, 9)], [(1, 9)]),
        ([(1, 9), (5, 6)], [(1, 9)]),
        ([(1, 9), (5, None)], [(1, None)]),
        ([(1, None), (5, 6)], [(1, None)]),
    ],
)
def test_stays_that_touch_are_one(stays, merged):
    lifetimes = [Lifetime(at(5, first), last and at(5, last)) for first, last in stays]
    subscription = BilledSubscription("USD", at(5, 1), lifetimes=lifetimes)
    assert stays_of(subscription) == [Lifetime(at(5, first), last and at(5, last)) for first, last in merged]


@pytest.mark.parametrize(
    ("choices", "cuts"),
    [
        ({}, []),
        ({"crystallised": Crystallised.WITHDRAWAL}, []),
        ({"crystallised": Crystallised.SUBSCRIPTION_END}, [at(5, 20) + MOMENT]),
    ],
)
def test_an_end_cuts_a_period_only_where_it_is_chosen(choices, cuts):
    subscription = BilledSubscription("USD", at(5, 2), at(5, 20))
    spans = spans_of(Policy(**choices), subscription, at(5, 1), at(6, 1), "period")
    assert [span.end for span in spans] == [*cuts, at(6, 1)]


@pytest.mark.parametrize(
    ("start", "end", "measured"),
    [(at(4, 1), at(5, 1), 0), (at(4, 1), at(5, 2), 0), (at(4, 1), at(5, 2) + MOMENT, 1), (at(5, 1), at(6, 1), 1)],
)
def test_an_account_is_not_measured_before_its_client_came(start, end, measured):
    subscription = BilledSubscription("USD", at(5, 2))
    assert len(spans_of(Policy(basis=Basis.EQUITY), subscription, start, end, "period")) == measured


def test_a_mark_on_account_value_begins_when_that_is_first_known():
    subscription = BilledSubscription("USD", at(5, 2), valuations=[Valuation(at(5, 4), D(100), D(100))])
    policy = Policy(basis=Basis.EQUITY)
    mark = first_mark(policy, subscription, Span(at(5, 1), at(6, 1), "period"))
    assert mark is not None
    assert (mark.level, mark.set_at) == (100, at(5, 4) + MOMENT)
    assert first_mark(policy, subscription, Span(at(4, 1), at(5, 4), "period")) is None


@pytest.mark.parametrize("is_due", [True, False])
def test_a_line_says_where_no_fee_is_due(is_due):
    subscription = BilledSubscription("USD", at(5, 2), deals=[deal("1", at(5, 3), 100)])
    period = monthly().containing(at(5, 2))
    (line,) = high_water_lines(
        terms(),
        subscription,
        period,
        period.start,
        period.end,
        "period",
        Marks({}, lambda *_: True),
        now=at(6, 2),
        settled=True,
        due=is_due,
    )
    assert line.inputs.get("is_due", True) is is_due
    assert line.amount == (20 if is_due else 0)


def test_a_deal_from_before_its_client_was_seen_is_charged():
    history = History((TermsSpan(None, terms("amount-won")),))
    subscription = BilledSubscription("USD", at(5, 2), deals=[deal("1", at(4, 30), 10), deal("2", at(7, 1), 10)])
    lines = list(lines_of(history, subscription, monthly(), now=at(6, 2), since=None, settled_until=None))
    assert [(line.key, line.amount, line.is_provisional) for line in lines] == [("1", 2, False), ("2", 2, False)]


def test_what_has_not_settled_is_provisional():
    history = History((TermsSpan(None, terms()),))
    deals = [deal("1", at(4, 3), 10), deal("2", at(5, 3), 10), deal("3", at(6, 1), 10)]
    subscription = BilledSubscription("USD", at(4, 2), deals=deals)
    for settled_until, wanted in [(None, [1, 1, 1]), (at(5, 1), [0, 1, 1]), (at(6, 1), [0, 0, 1])]:
        lines = lines_of(history, subscription, monthly(), now=at(6, 2), since=None, settled_until=settled_until)
        assert [line.is_provisional for line in lines] == wanted


@pytest.mark.parametrize(
    ("amount", "day", "is_fee"),
    [("-20", 10, True), ("-20", 17, True), ("-20", 3, True), ("-20", 18, False), ("-20", 2, False), ("-19", 10, False)],
)
def test_a_withdrawal_pays_a_fee_of_its_amount_within_a_week(amount, day, is_fee):
    fees = fees_among([(at(5, 10, 9), D(amount))], [(date(2026, 5, day), D(20))])
    assert fees == ({at(5, 10, 9)} if is_fee else frozenset())
