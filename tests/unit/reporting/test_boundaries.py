"""Every comparison of the schemes: one step before, exactly at, and one step after."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from reporting.commission.highwater import Mark, crystallise
from reporting.commission.history import History, SpannedCalendar, TermsSpan, calendar_spans
from reporting.commission.money import round_money
from reporting.commission.parts import parts_of
from reporting.commission.periods import Calendar, PeriodLength
from reporting.commission.policy import Basis, Hurdle, Policy, Scheme, Terms
from reporting.commission.schemes import BilledSubscription, Deal, deal_lines, flat_fee_line

D = Decimal
CALENDAR = Calendar()
APRIL = CALENDAR.containing(datetime(2026, 4, 10, tzinfo=UTC), PeriodLength.MONTH)
MOMENT, DAY = timedelta(microseconds=1), timedelta(days=1)


def terms(scheme: Scheme, rate: str = "3") -> Terms:
    return Terms(scheme, D(rate), PeriodLength.MONTH)


def lines_of(scheme: Scheme, *, at: datetime = APRIL.start, is_opening: bool, **fields):
    deal = Deal("d", at, is_opening, **{"lots": D("0.1"), "amount": D(1000), "net": D(0), **fields})
    return list(deal_lines(terms(scheme), [deal], calendar=CALENDAR, currency="USD"))


@pytest.mark.parametrize("scheme", [Scheme.LOTS_WON, Scheme.AMOUNT_WON])
@pytest.mark.parametrize(("net", "is_charged"), [("-0.01", False), ("0", False), ("0.01", True)])
def test_only_a_result_above_zero_is_won(scheme, net, is_charged):
    assert bool(lines_of(scheme, is_opening=False, net=D(net))) is is_charged


@pytest.mark.parametrize("scheme", [Scheme.LOTS_TRADED, Scheme.AMOUNT_TRADED])
@pytest.mark.parametrize(("quantity", "is_charged"), [("-0.01", True), ("0", False), ("0.01", True)])
def test_only_a_deal_of_nothing_is_not_traded(scheme, quantity, is_charged):
    lines = lines_of(scheme, is_opening=True, lots=D(quantity), amount=D(quantity))
    assert [line.exact_amount for line in lines] == ([D("0.03")] if is_charged else [])


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        (APRIL.start - MOMENT, 3),
        (APRIL.start, 4),
        (APRIL.start + MOMENT, 4),
        (APRIL.end - MOMENT, 4),
        (APRIL.end, 5),
        (APRIL.end + MOMENT, 5),
    ],
)
def test_a_deal_at_midnight_belongs_to_the_day_that_begins(moment, month):
    [line] = lines_of(Scheme.LOTS_TRADED, is_opening=True, at=moment)
    assert line.period.first_day.month == month
    assert moment in line.period


@pytest.mark.parametrize(("step", "deals"), [(-MOMENT, 0), (timedelta(), 1), (MOMENT, 1)])
def test_terms_from_a_moment_on_charge_the_deals_of_that_moment(step, deals):
    since = APRIL.start + DAY
    deal = Deal("d", since + step, True, D(1), D(1), D(0))
    history = History((TermsSpan(None, None), TermsSpan(since, terms(Scheme.LOTS_TRADED))))
    calendar = SpannedCalendar.of(calendar_spans(history.spans, [(None, CALENDAR)]))
    (part,) = parts_of(history, calendar, calendar.containing(since))
    assert (len(part.deals_of([deal])), part.start, part.end) == (deals, since, APRIL.end)


@pytest.mark.parametrize(("days_after", "days"), [(-1, 1), (0, None), (1, None)])
def test_a_fixed_fee_needs_a_day(days_after, days):
    """A subscription that begins on the last day pays for one; one that begins when the period is over for none."""
    started = APRIL.end + days_after * DAY
    assert days_of_fee(BilledSubscription("USD", started), now=APRIL.end + 9 * DAY) == days


@pytest.mark.parametrize(("days_after", "days"), [(-1, None), (0, 1), (1, 2)])
def test_a_fixed_fee_of_a_subscription_that_ended(days_after, days):
    """The day on which it ends is paid; one that ended on the day before the period is not."""
    ended = APRIL.start + days_after * DAY
    subscription = BilledSubscription("USD", APRIL.start - 20 * DAY, ended)
    assert days_of_fee(subscription, now=APRIL.end) == days


@pytest.mark.parametrize(("step", "days"), [(-MOMENT, None), (timedelta(), 1), (DAY - MOMENT, 1), (DAY, 2)])
def test_a_fixed_fee_grows_at_midnight(step, days):
    assert days_of_fee(BilledSubscription("USD", APRIL.start - 20 * DAY), now=APRIL.start + step) == days


def days_of_fee(subscription: BilledSubscription, *, now: datetime) -> int | None:
    line = flat_fee_line(terms(Scheme.FLAT_FEE), subscription, APRIL, calendar=CALENDAR, now=now, settled=False)
    return line.inputs["days"] if line else None


@pytest.mark.parametrize(
    ("hurdle", "measured", "chargeable"),
    [
        (Hurdle.NONE, "99.99", "0"),
        (Hurdle.NONE, "100", "0"),
        (Hurdle.NONE, "100.01", "0.01"),
        (Hurdle.SOFT, "104.99", "0"),
        (Hurdle.SOFT, "105", "0"),
        (Hurdle.SOFT, "105.01", "5.01"),
        (Hurdle.HARD, "104.99", "0"),
        (Hurdle.HARD, "105", "0"),
        (Hurdle.HARD, "105.01", "0.01"),
    ],
)
def test_what_only_reaches_the_hurdle_is_free(hurdle, measured, chargeable):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    policy = Policy(basis=Basis.EQUITY, hurdle=hurdle, hurdle_rate=D("0.05"))
    step = crystallise(Mark(D(100), start), D(measured), rate=D("0.2"), policy=policy, at=start + 365 * DAY)
    assert (step.chargeable, step.fee) == (D(chargeable), D(chargeable) * D("0.2"))
    assert (step.after.set_at > start) is (step.fee > 0)


@pytest.mark.parametrize(("periods", "chargeable"), [(1, "0"), (2, "0"), (3, "10")])
def test_a_loss_is_remembered_through_its_last_period(periods, chargeable):
    """Lost 10 in the first period, nothing for some, then won 10: earned back as long as the loss is remembered."""
    policy, mark, value = Policy(loss_memory_periods=2), Mark(D(0), APRIL.start), D(-10)
    mark = crystallise(mark, value, rate=D(1), policy=policy, at=APRIL.end).after
    for _ in range(periods - 1):
        mark = crystallise(mark, value, rate=D(1), policy=policy, at=APRIL.end).after
    assert crystallise(mark, D(0), rate=D(1), policy=policy, at=APRIL.end).chargeable == D(chargeable)


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("0.0049999", "USD", "0.00"),
        ("0.005", "USD", "0.01"),
        ("0.0050001", "USD", "0.01"),
        ("0.015", "USD", "0.02"),
        ("0.025", "USD", "0.03"),
        ("0.5", "JPY", "1"),
        ("1.5", "JPY", "2"),
        ("2.5", "JPY", "3"),
        ("0.0005", "KWD", "0.001"),
        ("0.0015", "KWD", "0.002"),
    ],
)
def test_a_half_is_rounded_away_from_zero(sign, amount, currency, rounded):
    assert round_money(D(sign + amount), currency) == D(sign + rounded)


@pytest.mark.parametrize("length", list(PeriodLength))
def test_digests_of_terms_name_a_length_as_ever(length):
    """Another text would be another digest, and everybody's commission would be computed anew at an upgrade."""
    assert repr(length) == f"<BillingPeriod.{length.name}: '{length.value}'>"
