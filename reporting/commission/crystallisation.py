"""High-water-mark lines of one subscription: measures it at each crystallisation and takes the step. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, localcontext
from typing import NamedTuple

from reporting.commission.highwater import CashFlow, Mark, apply_cash_flow, crystallise
from reporting.commission.money import EXACT, round_money
from reporting.commission.periods import MOMENT, Period
from reporting.commission.policy import Basis, Crystallised, Floating, Policy, Terms
from reporting.commission.schemes import PERIOD_KEY, BilledSubscription, Lifetime, Line, Marked, Valuation

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


@dataclass(slots=True)
class Marks:
    """Where the marks of a subscription stand, by what they measure.

    is_measured(basis, start, end): whether such a mark was in force all that time.
    """

    standing: dict[Basis, Marked]
    is_measured: Callable[[Basis, datetime, datetime], bool]

    def at(self, policy: Policy, subscription: BilledSubscription, span: Span) -> Mark | None:
        """The mark at the beginning of a span; None while nothing can be measured."""
        marked = self.standing.get(policy.basis)
        if marked is None:
            return first_mark(policy, subscription, span)
        was_there = policy.basis is Basis.PROFIT or _stays_all_of(subscription, marked.at, span.start)
        if marked.at >= span.start or (was_there and self.is_measured(policy.basis, marked.at, span.start)):
            return marked.mark
        return _taken_up_again(marked, policy, subscription, span.start)

    def move(self, policy: Policy, mark: Mark, at: datetime) -> None:
        self.standing[policy.basis] = Marked(mark, at)


def _taken_up_again(marked: Marked, policy: Policy, subscription: BilledSubscription, start: datetime) -> Mark:
    """The mark after a time under other terms, or, of an account value, without a subscription: results of that time
    count, but are charged by none but its terms.

    Losses are to be earned back; a gain above the mark lifts it to the value of the moment it begins again.
    """
    mark = marked.mark
    with localcontext(EXACT):
        deals = [deal for deal in subscription.deals if marked.at <= deal.occurred_at < start]
        mark = replace(mark, realised=mark.realised + sum((deal.net for deal in deals), ZERO))
        for flow in _flows(policy, subscription, marked.at, start):
            mark = apply_cash_flow(mark, flow, policy)
    value = _value(policy, mark.realised, valuation_before(policy, subscription, start))
    if value is None or value <= mark.value:
        return mark
    return replace(mark, level=value, deficits=(), set_at=start)


def high_water_lines(
    terms: Terms,
    subscription: BilledSubscription,
    period: Period,
    start: datetime,
    end: datetime,
    key: str,
    marks: Marks,
    *,
    now: datetime,
    settled: bool,
    due: bool = True,
) -> Iterator[Line]:
    """One line per crystallisation, also where nothing is owed: the line then shows how far below the mark it is.

    [start, end): what of the period is measured. What has not settled is measured as far as `now`, provisionally. due:
    whether a fee may fall due at the end.
    """
    for span in spans_of(terms.policy, subscription, start, end, key):
        if span.start >= now:
            return
        if span.end <= subscription.started_at:
            continue  # a mark begins with its client, not with the period in which it came
        mark = marks.at(terms.policy, subscription, span)
        if mark is None:
            continue
        is_due = due or span.key != key
        line = _line(terms, subscription, period, span._replace(end=min(span.end, now)), mark, settled, is_due)
        if line is not None:
            marks.move(terms.policy, Mark.parse(line.inputs["after"]), span.end)
            yield line


def spans_of(policy: Policy, subscription: BilledSubscription, start: datetime, end: datetime, key: str) -> list[Span]:
    """The crystallisations from start to end: where the policy cuts it, and the end, which has the given key.

    An account's value is measured while there is a subscription, and no longer: it goes on to change without one.
    """
    named: list[tuple[datetime, str]] = []
    if policy.crystallised is Crystallised.WITHDRAWAL:
        paid_out = {at for at, amount in subscription.flows if amount < 0 and at not in subscription.fee_payments}
        named = [(at, f"{policy.crystallised}:{at.isoformat()}") for at in sorted(paid_out) if start < at < end]
    stays = stays_of(subscription)
    if policy.crystallised is Crystallised.SUBSCRIPTION_END or policy.basis is Basis.EQUITY:
        ends = [stay.ended_at for stay in stays if stay.ended_at is not None and start <= stay.ended_at < end - MOMENT]
        # the last deal may be the end itself
        named += [(at + MOMENT, f"{Crystallised.SUBSCRIPTION_END}:{at.isoformat()}") for at in ends]
    spans = []
    for cut, name in [*sorted(named), (end, key)]:
        spans.append(Span(start, cut, name))
        start = cut
    return spans if policy.basis is Basis.PROFIT else list(_while_there(spans, stays))


def stays_of(subscription: BilledSubscription) -> list[Lifetime]:
    """The stretches of time in which it was there, oldest first; of several strategies together where they overlap."""
    stays: list[Lifetime] = []
    for stay in subscription.lifetimes or [Lifetime(subscription.started_at, subscription.ended_at)]:
        before = stays[-1] if stays else None
        if before is None or (before.ended_at is not None and before.ended_at < stay.started_at):
            stays.append(stay)
        elif before.ended_at is not None and (stay.ended_at is None or stay.ended_at > before.ended_at):
            stays[-1] = before._replace(ended_at=stay.ended_at)
    return stays


def _stays_all_of(subscription: BilledSubscription, start: datetime, end: datetime) -> bool:
    """Whether the subscription was there all the time from `start` to `end`."""
    return any(
        stay.started_at <= start and (stay.ended_at is None or end <= stay.ended_at + MOMENT)
        for stay in stays_of(subscription)
    )


def _while_there(spans: Sequence[Span], stays: Sequence[Lifetime]) -> Iterator[Span]:
    """What of the spans lies in a stay. None goes beyond the end of one; the first stay begins with the first span."""
    for span in spans:
        for number, stay in enumerate(stays):
            if stay.ended_at is not None and stay.ended_at < span.start:
                continue
            start = max(span.start, stay.started_at) if number else span.start
            if start < span.end and stay.started_at < span.end:
                yield span._replace(start=start)
            break


def first_mark(policy: Policy, subscription: BilledSubscription, span: Span) -> Mark | None:
    """Where a subscription begins: at zero profit and the positions that were open then, or at the account's value when
    it was first measured."""
    opening = opening_of(policy, subscription, span)
    start = max(span.start, subscription.started_at)
    if policy.basis is Basis.PROFIT:
        was_known = opening is not None and opening.at <= start
        return Mark(counted_floating(opening, policy) if opening and was_known else ZERO, min(start, span.end))
    if opening is None:
        return None
    return Mark(account_value(opening, policy), start if opening.at <= start else opening.at + MOMENT)


def opening_of(policy: Policy, subscription: BilledSubscription, span: Span) -> Valuation | None:
    """What the account was worth when a span or the subscription in it began, or when that was first known in it."""
    opening = valuation_before(policy, subscription, max(span.start, subscription.started_at))
    if opening is None and subscription.valuations and subscription.valuations[0].at < span.end:
        # a snapshot that came later has what moved by then
        opening = valuation_before(policy, subscription, subscription.valuations[0].at + MOMENT)
    return opening


def valuation_at(subscription: BilledSubscription, moment: datetime) -> Valuation | None:
    """The newest valuation that is not later than `moment`."""
    count = bisect_right(subscription.valuations, moment, key=lambda valuation: valuation.at)
    return subscription.valuations[count - 1] if count else None


def flows_of(policy: Policy, subscription: BilledSubscription) -> list[tuple[datetime, Decimal]]:
    """Money that moved without any result, as far as what is measured has it: credits are a part of the equity only."""
    if policy.floating is not Floating.REALISED_AND_FLOATING:
        return subscription.flows
    return sorted([*subscription.flows, *subscription.credits])


def valuation_before(policy: Policy, subscription: BilledSubscription, moment: datetime) -> Valuation | None:
    """What the account was worth just before a moment: before money that moved then, with what moved since measured.

    A snapshot of that very moment is what the account was worth after it: the money that moved is taken off again.
    """
    valuation = valuation_at(subscription, moment)
    if valuation is None:
        return None
    with localcontext(EXACT):
        moved, credited = (
            sum((amount for at, amount in flows if valuation.at < at < moment), ZERO)
            - sum((amount for at, amount in flows if valuation.at == at == moment), ZERO)
            for flows in (subscription.flows, subscription.credits)
        )
        lent = sum((amount for at, amount in subscription.credits if at < moment), ZERO)
        equity = valuation.equity + moved + credited
        return Valuation(valuation.at, valuation.balance + moved, equity, lent)


def account_value(valuation: Valuation, policy: Policy) -> Decimal:
    """Balance, equity, or the balance less a floating loss, as the policy counts the result of open positions."""
    if policy.floating is Floating.REALISED_AND_FLOATING:
        return valuation.equity
    return valuation.balance + counted_floating(valuation, policy)


def counted_floating(valuation: Valuation, policy: Policy) -> Decimal:
    """The result of open positions, as far as the policy counts it: what a broker lent is none."""
    if policy.floating is Floating.REALISED:
        return ZERO
    with localcontext(EXACT):
        floating = valuation.equity - valuation.balance - valuation.credit
    return floating if policy.floating is Floating.REALISED_AND_FLOATING else min(ZERO, floating)


def measure(policy: Policy, subscription: BilledSubscription, mark: Mark, span: Span) -> Measurement | None:
    """Cumulative net profit (with the floating result the policy counts) or the account's value at a span's end."""
    deals = subscription.deals
    first = bisect_left(deals, span.start, key=lambda deal: deal.occurred_at)
    last = bisect_left(deals, span.end, key=lambda deal: deal.occurred_at)
    with localcontext(EXACT):
        result = sum((deal.net for deal in deals[first:last]), ZERO)
        number = sum(deal.number for deal in deals[first:last])
        realised = mark.realised + result
    value = _value(policy, realised, valuation_before(policy, subscription, span.end))
    return None if value is None else Measurement(value, realised, result, number)


def _value(policy: Policy, realised: Decimal, valuation: Valuation | None) -> Decimal | None:
    """What is measured against the mark; None where the account's value counts and is not known."""
    if policy.basis is Basis.EQUITY:
        return account_value(valuation, policy) if valuation else None
    with localcontext(EXACT):
        return realised + (counted_floating(valuation, policy) if valuation else ZERO)


def _line(
    terms: Terms, subscription: BilledSubscription, period: Period, span: Span, mark: Mark, settled: bool, is_due: bool
) -> Line | None:
    measured = measure(terms.policy, subscription, mark, span)
    if measured is None:
        return None
    flows = _flows(terms.policy, subscription, max(span.start, mark.set_at), span.end)
    opening = opening_of(terms.policy, subscription, span)
    capital = opening.equity if opening else ZERO
    step = crystallise(
        mark,
        measured.value,
        rate=terms.rate,
        policy=terms.policy,
        at=span.end,
        flows=flows,
        capital=capital,
        ends_period=span.key == PERIOD_KEY,
        is_due=is_due,
    )
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
    if not is_due:
        inputs["is_due"] = False
    return Line(
        period,
        span.key,
        max(span.start, mark.set_at),
        terms.scheme.value,
        terms.serialise(),
        inputs,
        terms.rate,
        step.fee,
        round_money(step.fee, subscription.currency),
        subscription.currency,
        not settled,
    )


def _flows(policy: Policy, subscription: BilledSubscription, start: datetime, end: datetime) -> list[CashFlow]:
    """Money that moved in a stretch, each with what was measured just before it: the share that a withdrawal takes."""
    flows = []
    for at, amount in flows_of(policy, subscription):
        if start <= at < end:
            before = valuation_before(policy, subscription, at)
            value = ZERO
            if before is not None:
                value = account_value(before, policy) if policy.basis is Basis.EQUITY else before.equity
            flows.append(CashFlow(at, amount, value, at in subscription.fee_payments))
    costs = [CashFlow(at, cost, ZERO, is_cost=True) for at, cost in subscription.costs if start <= at < end]
    return sorted([*flows, *costs], key=lambda flow: flow.occurred_at) if costs else flows
