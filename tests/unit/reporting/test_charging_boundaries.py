"""Boundaries of who is charged by what, and of fees beside the commission: one step before, at and after each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from reporting.commission.charging import StrategyAccount
from reporting.commission.fee_lines import cap_fee, costs_of, minimum_fee, value_of_day
from reporting.commission.fee_terms import FeeSpan, FeeTerms
from reporting.commission.fees import costs_more, day_of_year_share, fees_at, for_client, merged_fees, trial_end
from reporting.commission.history import CalendarSpan, History, TermsSpan
from reporting.commission.periods import MOMENT, Calendar, PeriodLength
from reporting.commission.policy import Basis, Crystallised, Floating, Policy, Scheme, Terms
from reporting.commission.schemes import Valuation

D = Decimal
DAY = timedelta(days=1)
STEPS = (-MOMENT, timedelta(), MOMENT)


def at(month, day, hour=0):
    return datetime(2026, month, day, hour, tzinfo=UTC)


def span(since, scheme="high-water-mark", **policy):
    terms = Terms(Scheme(scheme), D("0.2"), PeriodLength.MONTH, Policy(**policy)) if scheme else None
    return TermsSpan(since, terms)


def account(*spans, fees=(), **more):
    calendar = (CalendarSpan(None, Calendar(), PeriodLength.MONTH),)
    return StrategyAccount(1, "s", History(spans, tuple(fees)), calendar, ["s"], **more)


@pytest.mark.parametrize(
    ("of_account", "needs_single"),
    [
        (account(span(None)), False),
        (account(span(None, "flat-fee")), False),
        (account(span(None), span(at(5, 2), "flat-fee")), False),
        (account(span(None, "amount-won")), True),
        (account(span(None), span(at(5, 2), "amount-won")), True),
        (account(span(None), overrides={"a": History((span(None, "lots-won"),))}), True),
        (account(span(None), agreed={"a": History((span(None, "lots-won"),))}), True),
        (account(span(None, crystallised=Crystallised.WITHDRAWAL)), True),
        (account(span(None, crystallised=Crystallised.SUBSCRIPTION_END)), True),
        (account(span(None, basis=Basis.EQUITY)), True),
        (account(span(None, floating=Floating.REALISED_AND_FLOATING)), True),
        (account(span(None, hurdle_rate=D("0.05"))), True),
        (account(span(None), fees=[FeeSpan(None, FeeTerms(trial_days=3))]), True),
        (account(span(None), members={"m": account(span(None))}), True),
    ],
)
def test_whose_deals_are_enough_as_sums(of_account, needs_single):
    assert of_account.needs_single_deals(at(5, 1)) is needs_single


@pytest.mark.parametrize(("step", "needs_single"), list(zip(STEPS, [True, False, False], strict=True)))
def test_what_charged_single_deals_before_does_not_matter(step, needs_single):
    changed = account(span(None, "amount-won"), span(at(5, 1)))
    assert changed.needs_single_deals(at(5, 1) + step) is needs_single


@pytest.mark.parametrize(("step", "member"), list(zip(STEPS, ["first", "second", "second"], strict=True)))
def test_a_deal_comes_through_the_member_of_its_moment(step, member):
    memberships = [(None, {"leaf": "first"}), (at(5, 1), {"leaf": "second"})]
    of_portfolio = account(span(None), memberships=memberships)
    assert of_portfolio.member_at("leaf", at(5, 1) + step) == member
    assert of_portfolio.member_at("other", at(5, 1) + step) == ""


@pytest.mark.parametrize(("step", "is_in_force"), list(zip(STEPS, [False, False, True], strict=True)))
def test_a_mark_is_in_force_from_its_moment_on(step, is_in_force):
    begins = account(span(None, "amount-won"), span(at(5, 1)))
    ends = account(span(None), span(at(5, 1), "amount-won"))
    assert begins.has_mark(at(4, 1), at(5, 1) + step) is is_in_force
    assert ends.has_mark(at(5, 1) + step, at(6, 1)) is (step < timedelta())


@pytest.mark.parametrize(("step", "grows"), list(zip(STEPS, [False, False, True], strict=True)))
def test_a_fixed_fee_grows_from_its_moment_on(step, grows):
    changed = account(span(None, "amount-won"), span(at(5, 1), "flat-fee"))
    assert changed.grows_with_time(at(4, 1), at(5, 1) + step) is grows


@pytest.mark.parametrize(("step", "days"), list(zip(STEPS, [3, 7, 7], strict=True)))
def test_fees_hold_from_their_moment_on(step, days):
    spans = [FeeSpan(None, FeeTerms(trial_days=3)), FeeSpan(at(5, 1), FeeTerms(trial_days=7))]
    assert fees_at(spans, at(5, 1) + step).trial_days == days
    assert fees_at(spans[1:], at(5, 1) + step).trial_days == (days if step >= timedelta() else 0)
    started = at(5, 1) + step
    assert trial_end(spans, started, Calendar()) == at(started.month, started.day) + days * DAY


@pytest.mark.parametrize(("step", "share"), list(zip(STEPS, [1, 0, 0], strict=True)))
def test_a_trial_is_free_to_its_last_moment(step, share):
    history = History((span(None, "amount-won"),), (FeeSpan(None, FeeTerms(trial_days=3)),))
    lowered = for_client(history, at(5, 1, 10), Calendar())
    (terms,) = [terms for _, _, terms in lowered.pieces(at(5, 4) + step, at(5, 4) + step + MOMENT)]
    assert terms.discount == share


def test_a_client_follows_the_strategy_until_it_has_fees_of_its_own_and_again_after():
    offered = [(None, FeeTerms(trial_days=1)), (at(5, 3), FeeTerms(trial_days=2))]
    own = [(at(5, 1), FeeTerms(trial_days=9)), (at(5, 5), None)]
    spans = merged_fees(offered, own)
    assert [(merged.since, merged.terms.trial_days) for merged in spans] == [
        (None, 1),
        (at(5, 1), 9),
        (at(5, 3), 9),
        (at(5, 5), 2),
    ]


@pytest.mark.parametrize(
    ("before", "after", "periods", "is_more"),
    [
        ({"minimum": "30"}, {"minimum": "30"}, (1, 1), False),
        ({"minimum": "30"}, {"minimum": "30.01"}, (1, 1), True),
        ({"minimum": "30"}, {"minimum": "29.99"}, (1, 1), False),
        ({}, {"minimum": "0.01"}, (1, 1), True),
        ({"minimum": "30"}, {"minimum": "90"}, (12, 4), False),
        ({"minimum": "30"}, {"minimum": "90.01"}, (12, 4), True),
        ({"minimum": "90"}, {"minimum": "1"}, (4, 12), True),
        ({"cap": "30"}, {"cap": "30"}, (1, 1), False),
        ({"cap": "30"}, {"cap": "30.01"}, (1, 1), True),
        ({"cap": "30"}, {"cap": "29.99"}, (1, 1), False),
        ({"cap": "30"}, {}, (1, 1), True),
        ({}, {"cap": "30"}, (1, 1), False),
        ({"cap": "90"}, {"cap": "30"}, (4, 12), False),
        ({"cap": "90"}, {"cap": "30.01"}, (4, 12), True),
        ({"cap": "30"}, {"cap": "30"}, (12, 4), False),
        ({"cap": "30"}, {"cap": "30.01"}, (12, 4), True),
    ],
)
def test_what_may_cost_a_client_more(before, after, periods, is_more):
    old, new = (FeeTerms(**{name: (("USD", D(amount)),) for name, amount in fees.items()}) for fees in (before, after))
    years = tuple(map(D, periods))
    assert costs_more(old, new, "USD", years) is is_more
    assert costs_more(old, new, "", years) is is_more
    assert costs_more(old, new, "EUR", years) is False


@pytest.mark.parametrize(("more", "is_more"), [("-0.01", False), ("0", False), ("0.01", True)])
def test_a_higher_yearly_fee_and_a_lower_discount_cost_more(more, is_more):
    half = D("0.5")
    assert costs_more(FeeTerms(management=half), FeeTerms(management=half + D(more))) is is_more
    assert costs_more(FeeTerms(discount=half), FeeTerms(discount=half - D(more))) is is_more


@pytest.mark.parametrize(("step", "is_known"), list(zip(STEPS, [False, True, True], strict=True)))
def test_a_value_of_a_day_was_read_on_it(step, is_known):
    first = Valuation(at(5, 1) + step, D(1), D(10))
    assert value_of_day([first], [], at(5, 1), at(5, 2)) == (10 if is_known else None)
    later = Valuation(at(5, 2) + step, D(1), D(20))
    assert value_of_day([Valuation(at(5, 1), D(1), D(10)), later], [], at(5, 1), at(5, 2)) == (10 if is_known else 20)


@pytest.mark.parametrize(("step", "value"), list(zip(STEPS, [7, 7, 10], strict=True)))
def test_what_a_broker_lent_by_then_is_no_value(step, value):
    valuation = Valuation(at(5, 1, 9), D(1), D(10))
    assert value_of_day([valuation], [(at(5, 1, 9) + step, D(3))], at(5, 1), at(5, 2)) == value


@pytest.mark.parametrize(("equity", "cost"), [("-0.01", 0), ("0", 0), ("365", 1)])
def test_a_day_below_zero_costs_nothing(equity, cost):
    assert day_of_year_share(D(1), D(equity)) == cost
    line = type("Row", (), {"inputs": {"days": [["2026-05-01", equity]]}, "rate": D(1), "period_start": at(5, 1)})
    assert list(costs_of(line, Calendar())) == ([(at(5, 2) - MOMENT, D(1))] if cost else [])


@pytest.mark.parametrize("fees", ["29.99", "30", "30.01"])
def test_a_minimum_and_a_cap_meet_at_the_fees(fees):
    inputs = {"fees": fees, "days": 31, "days_of_period": 31}
    assert minimum_fee(D(30), inputs) == cap_fee(D(30), inputs) == 30 - D(fees)
