"""Calendars that change, and the words a review has for it: no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting.commission.periods import BillingPeriod, Calendar
from reporting.commission.policy import Scheme, Terms
from reporting.commission.since import (
    CalendarSpan,
    SpannedCalendar,
    calendar_since,
    charged_since,
    observed,
    with_calendar,
    words_of_change,
)

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Auckland"]


def terms(scheme=Scheme.AMOUNT_WON, rate="0.2", length=BillingPeriod.MONTH):
    return Terms(scheme, Decimal(rate), length)


def test_what_is_seen_first_holds_from_the_beginning_and_what_begins_later_from_then():
    first = observed({}, {"": terms()}, terms(), Calendar(), NOW)
    assert charged_since(first) == {"": None}
    later = observed(first, {"": terms(), "m": terms()}, terms(), Calendar(), NOW + timedelta(days=1))
    assert charged_since(later) == {"": None, "m": NOW + timedelta(days=1)}
    off = observed(later, {"m": terms()}, terms(rate="0"), Calendar(), NOW)
    again = observed(off, {"": terms(rate="0.1")}, terms(rate="0.1"), Calendar(), NOW + timedelta(days=2))
    assert charged_since(again) == {"": NOW + timedelta(days=2)}
    assert again["charged"][""]["rate"] == "0.1"


changes = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from(ZONES), st.booleans(), st.sampled_from(list(BillingPeriod))),
    min_size=1,
    max_size=4,
)


@given(changes=changes, hours=st.lists(st.integers(0, 24 * 300), min_size=1, max_size=20))
def test_periods_of_any_past_follow_each_other_without_gap_or_overlap(changes, hours):
    spans: list[CalendarSpan] = []
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for day, zone, monday, length in sorted(changes, key=lambda change: change[0]):
        now = start + timedelta(days=day, hours=3)
        before = [SpannedCalendar(spans=tuple(spans)).containing(start, spans[-1].length)] if spans else []
        spans = with_calendar(spans, Calendar(zone, monday), length, now)
        if before and before[0].end <= now:  # what had ended stays cut as it was
            kept = SpannedCalendar(spans=tuple(spans)).containing(start, spans[-1].length)
            assert (kept.start, kept.end) == (before[0].start, before[0].end)
    calendar = SpannedCalendar(spans[-1].calendar.zone, spans[-1].calendar.week_starts_monday, tuple(spans))
    periods = calendar.between(start, start + timedelta(days=300), spans[-1].length)
    for one, following in pairwise(periods):
        assert one.end == following.start
        assert one.next_day == following.first_day
    for hour in hours:
        moment = start + timedelta(hours=hour)
        assert moment in calendar.containing(moment, spans[-1].length)


def test_a_cut_is_crossed_by_no_period():
    stored = observed({}, {"": terms()}, terms(), Calendar("Europe/Berlin"), NOW)
    cut = datetime(2026, 5, 1, tzinfo=UTC)
    calendar = calendar_since(stored, Calendar("Europe/Berlin"), (None, cut))
    assert calendar.containing(NOW, BillingPeriod.MONTH).start == cut
    assert calendar.containing(cut - timedelta(hours=1), BillingPeriod.MONTH).end == cut


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, terms(), "the month until 2026-05-31 is the first one, charged from 2026-05-20 on."),
        (terms(), None, "Nothing is charged from now on."),
        (
            terms(),
            terms(length=BillingPeriod.WEEK),
            "The running month ends on 2026-05-31 as it would have; the first week",
        ),
        (terms(), terms(length=BillingPeriod.QUARTER), "becomes part of the quarter until 2026-06-30."),
        (terms(), terms(rate="0.3"), "The new scheme and rate hold for the whole running period, from 2026-05-01 on."),
        (terms(), terms(Scheme.FLAT_FEE, "5"), "for the whole running period, from 2026-05-01 on."),
    ],
)
def test_a_review_says_from_when_other_terms_are_charged(before, after, words):
    sentences = words_of_change({}, before, after, Calendar(), NOW)
    assert words in " ".join(sentences)
    assert any("ended" in sentence for sentence in sentences)


def test_a_review_says_nothing_where_nothing_changes():
    assert words_of_change({}, terms(), terms(), Calendar(), NOW) == []
