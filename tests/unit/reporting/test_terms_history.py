"""Terms and calendars that change, and the words a review has for it: no database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting.commission.beginning import begins_at, is_rise
from reporting.commission.effect import ProposedTerms, effect_of
from reporting.commission.history import (
    CalendarSpan,
    History,
    SpannedCalendar,
    TermsSpan,
    calendar_spans,
    in_force,
    takes_over,
)
from reporting.commission.parts import parts_of
from reporting.commission.periods import Calendar, PeriodLength
from reporting.commission.policy import Basis, Policy, Scheme, Terms
from reporting.commission.schemes import BilledSubscription, Lifetime, days_of_subscription

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)
MOMENT, DAY = timedelta(microseconds=1), timedelta(days=1)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Auckland"]
MONTH, WEEK, QUARTER = PeriodLength.MONTH, PeriodLength.WEEK, PeriodLength.QUARTER
MONTHLY = (CalendarSpan(None, Calendar(), MONTH),)


def terms(scheme=Scheme.AMOUNT_WON, rate="0.2", length=MONTH, number=1):
    return Terms(scheme, Decimal(rate), length, number=number)


@dataclass(frozen=True)
class Version:
    number: int
    valid_from: datetime | None
    seen_at: datetime


# --- Which version holds ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("versions", "left"),
    [
        ([(1, None, NOW), (2, NOW, NOW)], [1, 2]),
        ([(1, None, NOW), (2, NOW, NOW), (3, NOW, NOW)], [1, 3]),
        ([(1, None, NOW), (2, NOW, NOW), (3, NOW + MOMENT, NOW)], [1, 2, 3]),
        ([(1, None, NOW), (2, NOW + MOMENT, NOW), (3, NOW + DAY, NOW)], [1, 3]),  # the plan had not begun
        ([(1, None, NOW), (2, NOW + DAY, NOW), (3, NOW + DAY, NOW + DAY)], [1, 3]),
        ([(1, None, NOW), (2, NOW + DAY, NOW), (3, NOW + DAY + MOMENT, NOW + DAY)], [1, 2, 3]),
        ([(1, None, NOW), (2, NOW, NOW), (3, NOW - MOMENT, NOW)], [1, 3]),
        ([(2, NOW, NOW), (1, None, NOW)], [1, 2]),
        ([(1, None, NOW), (2, None, NOW)], [2]),
    ],
)
def test_a_later_decision_calls_off_what_has_not_begun(versions, left):
    assert [version.number for version in in_force([Version(*version) for version in versions])] == left


@pytest.mark.parametrize(("step", "number"), [(-MOMENT, 1), (timedelta(), 2), (MOMENT, 2)])
def test_a_span_holds_from_its_moment_on(step, number):
    history = History((TermsSpan(None, terms(), MONTH), TermsSpan(NOW, terms(number=2), MONTH)))
    assert history.at(NOW + step).number == number
    pieces = list(history.pieces(NOW + step, NOW + DAY))
    assert pieces[0][2].number == number
    assert sum((end - start for start, end, _ in pieces), timedelta()) == DAY - step


def test_choices_of_a_mark_cut_only_what_has_a_mark():
    equity = Policy(basis=Basis.EQUITY)
    plain = History((TermsSpan(None, terms(), MONTH), TermsSpan(NOW, terms(Scheme.HIGH_WATER_MARK, number=2), MONTH)))
    chosen = plain.with_policies([(NOW - DAY, equity), (NOW + DAY, Policy())])
    assert [span.since for span in chosen.spans] == [None, NOW, NOW + DAY]
    assert chosen.at(NOW).policy.basis is Basis.EQUITY
    assert chosen.at(NOW + DAY).policy.basis is Basis.PROFIT
    assert plain.with_policies([]) is plain


def test_a_members_terms_apply_while_it_is_a_member():
    history = History((TermsSpan(None, terms(), MONTH), TermsSpan(NOW, terms(number=2), MONTH)))
    member = history.during([(None, False), (NOW - DAY, True), (NOW + DAY, False)])
    numbers = [member.at(NOW + n * DAY) for n in (-2, -1, 0, 1)]
    assert [each and each.number for each in numbers] == [None, 1, 2, None]
    assert not history.during([]).charges


# --- Periods ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("length", "end"), [(WEEK, 24), (QUARTER, 61)])
def test_a_period_is_cut_where_the_length_changes(length, end):
    spans = calendar_spans(
        [TermsSpan(None, terms(), MONTH), TermsSpan(NOW, terms(length=length), length)], [(None, Calendar())]
    )
    calendar = SpannedCalendar.of(spans)
    before, after = calendar.containing(NOW - MOMENT), calendar.containing(NOW)
    assert (before.start, before.end) == (datetime(2026, 5, 1, tzinfo=UTC), NOW)
    assert (after.start, after.end) == (
        NOW,
        datetime(2026, 5, 1, tzinfo=UTC) + (end - 1 if length is WEEK else 61) * DAY,
    )
    assert (before.next_day, after.first_day) == (NOW.date(), NOW.date())
    assert (before.days, after.days) == (31, 7 if length is WEEK else 91)


def test_a_change_on_the_first_day_of_a_period_leaves_the_one_before_as_it_was():
    first = datetime(2026, 6, 1, 10, tzinfo=UTC)
    calendar = SpannedCalendar.of((*MONTHLY, CalendarSpan(first, Calendar(), WEEK)))
    assert calendar.containing(first - 11 * timedelta(hours=1)).end == datetime(2026, 6, 1, tzinfo=UTC)
    morning = calendar.containing(first - MOMENT)
    assert (morning.start, morning.end) == (datetime(2026, 6, 1, tzinfo=UTC), first)


changes = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from(ZONES), st.booleans(), st.sampled_from(list(PeriodLength))),
    min_size=1,
    max_size=4,
)


@given(changes=changes, hours=st.lists(st.integers(0, 24 * 300), min_size=1, max_size=20))
def test_periods_of_any_past_follow_each_other_without_gap_or_overlap(changes, hours):
    lengths: list[TermsSpan] = []
    zones: list[tuple[datetime | None, Calendar]] = []
    for day, zone, monday, length in sorted(changes, key=lambda change: change[0]):
        now, new = START + timedelta(days=day, hours=3), Calendar(zone, monday)
        if not lengths:
            lengths, zones = [TermsSpan(None, None, length)], [(None, new)]
            continue
        spans = calendar_spans(lengths, zones)
        before = SpannedCalendar.of(spans).between(START, now)
        zones = [each for each in zones if each[0] is None or each[0] < takes_over(spans, new, now)]
        zones.append((takes_over(spans, new, now), new))
        lengths.append(TermsSpan(now, None, length))
        after = SpannedCalendar.of(calendar_spans(lengths, zones)).between(START, now)
        assert [p for p in after if p.end < now] == [p for p in before if p.end < now]  # what had ended stays as it was
    calendar = SpannedCalendar.of(calendar_spans(lengths, zones))
    periods = calendar.between(START, START + timedelta(days=300))
    for one, following in pairwise(periods):
        assert one.end == following.start
        assert one.next_day == following.first_day
    for hour in hours:
        moment = START + timedelta(hours=hour)
        assert moment in calendar.containing(moment)


def test_another_length_between_the_midnights_of_two_zones_ends_the_running_period_there():
    cut, eve = datetime(2026, 4, 1, 3, tzinfo=UTC), date(2026, 4, 1)
    zones = [(None, Calendar("UTC")), (datetime(2026, 4, 1, 4, tzinfo=UTC), Calendar("America/New_York"))]
    lengths = [TermsSpan(None, None, PeriodLength.MONTH), TermsSpan(cut, None, PeriodLength.WEEK)]
    calendar = SpannedCalendar.of(calendar_spans(lengths, zones))
    march, hour = calendar.containing(cut - timedelta(hours=2)), calendar.containing(cut)
    assert (march.start, march.end, march.next_day) == (datetime(2026, 3, 1, tzinfo=UTC), cut, eve)
    assert (hour.start, hour.end, hour.first_day, hour.next_day) == (cut, zones[1][0], eve, eve)
    assert calendar.last_day_before(cut) == date(2026, 3, 31)


def test_a_cut_is_crossed_by_no_period():
    cut = datetime(2026, 5, 1, tzinfo=UTC)
    calendar = SpannedCalendar.of((CalendarSpan(None, Calendar("Europe/Berlin"), MONTH),), (None, cut))
    assert calendar.containing(NOW).start == cut
    assert calendar.containing(cut - timedelta(hours=1)).end == cut


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Europe/Berlin", "America/New_York"])
def test_another_zone_takes_over_where_a_period_ends_and_never_earlier_than_it_was_set(zone):
    late = datetime(2026, 5, 31, 20, tzinfo=UTC)  # June has begun on Kiritimati
    since = takes_over(MONTHLY, Calendar(zone), late)
    assert since > late
    assert since == Calendar(zone).midnight(datetime(2026, 7 if "Kir" in zone else 6, 1).date())


# --- Days -------------------------------------------------------------------------------------------------------------
def days_of(history, month=5):
    calendar = SpannedCalendar.of(calendar_spans(history.spans, [(None, Calendar())]))
    period = calendar.containing(datetime(2026, month, 1, tzinfo=UTC))
    return [(part.terms.number, (part.next_day - part.first_day).days) for part in parts_of(history, calendar, period)]


def flat(number=1, rate="31"):
    return terms(Scheme.FLAT_FEE, rate, number=number)


def test_the_day_of_a_change_belongs_to_the_new_terms_and_that_of_an_end_is_still_charged():
    noon = NOW
    midnight = datetime(2026, 5, 20, tzinfo=UTC)
    for moment in (noon, midnight, midnight + MOMENT, midnight + DAY - MOMENT):
        assert days_of(History((TermsSpan(None, flat()), TermsSpan(moment, flat(2, "62"))))) == [(1, 19), (2, 12)]
        assert days_of(History((TermsSpan(None, None), TermsSpan(moment, flat(2))))) == [(2, 12)]
    assert days_of(History((TermsSpan(None, flat()), TermsSpan(noon, None)))) == [(1, 20)]
    assert days_of(History((TermsSpan(None, flat()), TermsSpan(midnight, None)))) == [(1, 19)]
    again = History((TermsSpan(None, flat()), TermsSpan(noon, None), TermsSpan(noon + timedelta(hours=1), flat(3))))
    assert days_of(again) == [(1, 19), (3, 12)]


@pytest.mark.parametrize(
    ("lifetimes", "days"),
    [
        ([(1, 3), (25, None)], 3 + 7),
        ([(1, 3), (3, None)], 31),
        ([(1, 3), (4, 5)], 5),
        ([(1, 10), (5, 6), (9, 12)], 12),
        ([(31, None)], 1),
        ([(1, 1)], 1),
        ([], 0),
    ],
)
def test_days_of_a_subscription_that_pauses_are_counted_once(lifetimes, days):
    times = [
        Lifetime(datetime(2026, 5, first, 9, tzinfo=UTC), last and datetime(2026, 5, last, 10, tzinfo=UTC))
        for first, last in lifetimes
    ]
    started_at = times[0].started_at if times else NOW + 90 * DAY
    subscription = BilledSubscription("USD", started_at, lifetimes=times)
    may = Calendar().containing(NOW, MONTH)
    stretches = days_of_subscription(subscription, may, Calendar(), NOW + 30 * DAY)
    assert sum((last - first).days + 1 for first, last in stretches) == days


# --- From when --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("choice", "has_clients", "begins"),
    [
        ("now", True, NOW),
        ("next", False, datetime(2026, 6, 1, tzinfo=UTC)),
        ("", True, datetime(2026, 6, 1, tzinfo=UTC)),
        ("", False, NOW),
        ("2026-05-25", True, datetime(2026, 5, 25, tzinfo=UTC)),
        ("2026-05-21", True, datetime(2026, 5, 21, tzinfo=UTC)),
        ("2026-05-20", True, NOW),
        ("2026-01-01", True, NOW),
    ],
)
def test_terms_begin_when_their_author_chose_and_never_earlier(choice, has_clients, begins):
    assert begins_at(choice, MONTHLY, NOW, has_clients=has_clients) == begins


def test_a_day_begins_in_the_zone_of_its_time():
    berlin = CalendarSpan(datetime(2026, 5, 31, 22, tzinfo=UTC), Calendar("Europe/Berlin"), MONTH)
    for day, begins in (("2026-05-30", (5, 30, 0)), ("2026-06-10", (6, 9, 22))):
        assert begins_at(day, (*MONTHLY, berlin), NOW, has_clients=True) == datetime(2026, *begins, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "after", "rises"),
    [
        (("", "0", "month"), ("flat-fee", "1", "month"), True),
        (("amount-won", "0.1", "month"), ("amount-won", "0.2", "month"), True),
        (("amount-won", "0.2", "month"), ("amount-won", "0.2", "week"), False),
        (("flat-fee", "30", "month"), ("flat-fee", "30", "week"), True),
        (("flat-fee", "30", "month"), ("flat-fee", "30", "quarter"), False),
        (("amount-won", "0.1", "month"), ("lots-won", "0.1", "month"), True),
        (("amount-won", "0.2", "month"), ("amount-won", "0.1", "month"), False),
        (("amount-won", "0.2", "month"), ("", "0", "month"), False),
        (("flat-fee", "30", "month"), ("flat-fee", "90", "quarter"), False),
        (("flat-fee", "30", "month"), ("flat-fee", "90.01", "quarter"), True),
        (("flat-fee", "90", "quarter"), ("flat-fee", "30", "month"), False),
        (("flat-fee", "30", "week"), ("flat-fee", "60", "month"), False),
        (("high-water-mark", "0.2", "quarter"), ("high-water-mark", "0.2", "month"), True),
        (("high-water-mark", "0.2", "month"), ("high-water-mark", "0.2", "month"), False),
        (("high-water-mark", "0.2", "month"), ("high-water-mark", "0.2", "quarter"), False),
    ],
)
def test_a_rise_is_what_clients_may_pay_more_by(before, after, rises):
    names = ("scheme", "rate", "billing_period")
    assert is_rise(*(dict(zip(names, each, strict=True)) for each in (before, after))) is rises


@pytest.mark.parametrize(
    ("before", "after", "begins", "words"),
    [
        (None, terms(), NOW, "Fees are charged from the moment it is saved. Deals before that stay free, also those"),
        (terms(), None, NOW, "What was earned before that stays owed"),
        (terms(), terms(length=WEEK), NOW, "The month from 2026-05-01 ends there; the first week"),
        (terms(), terms(length=WEEK), NOW, "runs from there to 2026-05-23."),
        (terms(), terms(length=QUARTER), NOW, "the first quarter runs from there to 2026-06-30."),
        (terms(), terms(rate="0.3"), NOW, "earlier ones by the old terms, also those that arrive late."),
        (terms(Scheme.HIGH_WATER_MARK), terms(rate="0.3"), NOW, "New profit of the month from 2026-05-01 is measured"),
        (terms(), terms(Scheme.FLAT_FEE, "5"), NOW, "the day of the change is charged by the new terms."),
        (terms(), terms(rate="0.3"), datetime(2026, 6, 1, tzinfo=UTC), "to its last day, 2026-05-31."),
        (
            terms(),
            terms(rate="0.3"),
            datetime(2026, 6, 9, tzinfo=UTC),
            "from the beginning of 2026-06-09 are charged by the new",
        ),
        (terms(), terms(rate="0.3"), datetime(2026, 6, 9, tzinfo=UTC), "The backend knows no date"),
    ],
)
def test_a_review_says_from_when_other_terms_are_charged(before, after, begins, words):
    sentences = effect_of(ProposedTerms(before, after, begins), MONTHLY, NOW)
    assert words in " ".join(sentences)
    assert sentences[-1] == "Periods that have ended stay as they are."


def test_a_review_says_nothing_where_nothing_changes():
    assert effect_of(ProposedTerms(terms(), terms(), NOW), MONTHLY, NOW) == []


@pytest.mark.parametrize(
    ("before", "after", "takeover", "last"),
    [
        ("UTC", "Europe/Berlin", datetime(2026, 5, 31, 22, tzinfo=UTC), "2026-05-31"),
        ("Europe/Berlin", "America/New_York", datetime(2026, 6, 1, 4, tzinfo=UTC), "2026-05-31"),
        ("Europe/Berlin", "America/New_York", datetime(2026, 4, 1, 4, tzinfo=UTC), "2026-03-31"),  # summer time in both
        ("America/New_York", "Pacific/Auckland", datetime(2026, 3, 31, 11, tzinfo=UTC), "2026-03-31"),
    ],
)
def test_the_last_day_before_another_zone_is_counted_in_the_old_one(before, after, takeover, last):
    lengths = [TermsSpan(None, terms(), MONTH)]
    calendar = SpannedCalendar.of(calendar_spans(lengths, [(None, Calendar(before)), (takeover, Calendar(after))]))
    for moment in (takeover - timedelta(hours=1), takeover - MOMENT, takeover, takeover + MOMENT):
        period = calendar.containing(moment)
        assert calendar.last_day_before(period.end) == period.next_day - DAY
    assert str(calendar.last_day_before(takeover)) == last
    assert str(calendar.day_of(takeover)) == str(calendar.containing(takeover).first_day)
