"""High-water-mark lines of one subscription: measures it at each crystallisation and takes the step. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import NamedTuple

from reporting.commission.highwater import CashFlow, Mark, crystallise
from reporting.commission.money import EXACT, round_money
from reporting.commission.periods import Period
from reporting.commission.policy import Basis, Crystallised, Floating, Policy, Terms
from reporting.commission.schemes import PERIOD_KEY, Line, Subscription, Valuation

ZERO = Decimal(0)


class Span(NamedTuple):
    """What one crystallisation covers: [start, end) and the key of its line."""

    start: datetime
    end: datetime
    key: str


class Measurement(NamedTuple):
    """The measured value at the end of a span and what it was made of."""

    value: Decimal
    realised: Decimal
    result: Decimal
    deals: int


def high_water_lines(
    terms: Terms,
    subscription: Subscription,
    periods: Iterable[Period],
    *,
    now: datetime,
    settled_until: datetime | None,
) -> Iterator[Line]:
    """One line per crystallisation, also where nothing is owed: the line then shows how far below the mark it is.

    periods: without a gap, oldest first. A period that has not settled is measured as far as `now`, provisionally.
    """
    mark = subscription.mark
    if subscription.deals:  # clocks differ: a deal that is known has happened
        now = max(now, subscription.deals[-1].occurred_at + timedelta(microseconds=1))
    for period in periods:
        for span in spans_of(terms.policy, subscription, period):
            if span.start >= now:
                return
            mark = mark or first_mark(terms.policy, subscription, span)
            if mark is None:
                continue
            settled = settled_until is not None and period.end <= settled_until
            line = _line(terms, subscription, period, span._replace(end=min(span.end, now)), mark, settled)
            if line is not None:
                mark = Mark.parse(line.inputs["after"])
                yield line


def spans_of(policy: Policy, subscription: Subscription, period: Period) -> list[Span]:
    """The crystallisations of a period: where the policy cuts it, and its end, which has the period's own key."""
    cuts = []
    if policy.crystallised is Crystallised.WITHDRAWAL:
        cuts = sorted({at for at, amount in subscription.flows if amount < 0 and at in period and at > period.start})
    elif policy.crystallised is Crystallised.SUBSCRIPTION_END and subscription.ended_at is not None:
        cuts = [subscription.ended_at] if subscription.ended_at in period else []
    starts = [period.start, *cuts]
    keys = [f"{policy.crystallised}:{cut.isoformat()}" for cut in cuts] + [PERIOD_KEY]
    return [Span(*span) for span in zip(starts, [*cuts, period.end], keys, strict=True)]


def first_mark(policy: Policy, subscription: Subscription, span: Span) -> Mark | None:
    """Where a subscription begins: at zero profit, or at the account's value when it was first measured."""
    start = max(span.start, subscription.started_at)
    if policy.basis is Basis.PROFIT:
        return Mark(ZERO, min(start, span.end))
    valuation = valuation_at(subscription, start) or next(iter(subscription.valuations), None)
    if valuation is None or valuation.at >= span.end:
        return None
    return Mark(account_value(valuation, policy), max(valuation.at, start))


def valuation_at(subscription: Subscription, moment: datetime) -> Valuation | None:
    """The newest valuation that is not later than `moment`."""
    found = bisect_right(subscription.valuations, moment, key=lambda valuation: valuation.at)
    return subscription.valuations[found - 1] if found else None


def account_value(valuation: Valuation, policy: Policy) -> Decimal:
    """Balance, equity, or the smaller of them, as the policy counts the result of open positions."""
    if policy.floating is Floating.REALISED:
        return valuation.balance
    if policy.floating is Floating.REALISED_AND_FLOATING:
        return valuation.equity
    return min(valuation.balance, valuation.equity)


def measure(policy: Policy, subscription: Subscription, mark: Mark, span: Span) -> Measurement | None:
    """Cumulative net profit (with the floating result the policy counts) or the account's value at a span's end."""
    deals = subscription.deals
    first = bisect_left(deals, span.start, key=lambda deal: deal.occurred_at)
    last = bisect_left(deals, span.end, key=lambda deal: deal.occurred_at)
    valuation = valuation_at(subscription, span.end)
    with localcontext(EXACT):
        result = sum((deal.net for deal in deals[first:last]), ZERO)
        realised = mark.realised + result
        if policy.basis is Basis.PROFIT:
            floating = account_value(valuation, policy) - valuation.balance if valuation else ZERO
            return Measurement(realised + floating, realised, result, last - first)
    return Measurement(account_value(valuation, policy), realised, result, last - first) if valuation else None


def _line(
    terms: Terms, subscription: Subscription, period: Period, span: Span, mark: Mark, settled: bool
) -> Line | None:
    measured = measure(terms.policy, subscription, mark, span)
    if measured is None:
        return None
    flows = _flows(subscription, max(span.start, mark.set_at), span.end)
    opening = valuation_at(subscription, span.start)
    capital = opening.equity if opening else ZERO
    step = crystallise(
        mark, measured.value, rate=terms.rate, policy=terms.policy, at=span.end, flows=flows, capital=capital,
        ends_period=span.key == PERIOD_KEY,
    )  # fmt: skip
    inputs = {
        "from": span.start.isoformat(),
        "at": span.end.isoformat(),
        "before": mark.serialise(),
        "result": str(measured.result),
        "deals": measured.deals,
        "flows": [flow.serialise() for flow in flows],
        "capital": str(capital),
        "measured": str(measured.value),
        "mark_before": str(step.before.value),
        "hurdle": str(step.hurdle),
        "chargeable": str(step.chargeable),
        "mark_after": str(step.after.value),
        "after": replace(step.after, realised=measured.realised).serialise(),
    }
    return Line(
        period, span.key, max(span.start, mark.set_at), terms.scheme.value, terms.serialise(), inputs, terms.rate,
        step.fee, round_money(step.fee, subscription.currency), subscription.currency, not settled,
    )  # fmt: skip


def _flows(subscription: Subscription, start: datetime, end: datetime) -> list[CashFlow]:
    flows = []
    for at, amount in subscription.flows:
        if start <= at < end:
            before = valuation_at(subscription, at)
            flows.append(CashFlow(at, amount, before.equity if before else ZERO))
    return flows
