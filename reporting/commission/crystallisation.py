"""High-water-mark lines of one subscription: measures it at each crystallisation and takes the step. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, localcontext
from typing import NamedTuple

from reporting.commission.highwater import CashFlow, Mark, apply_cash_flow, crystallise
from reporting.commission.money import EXACT, round_money
from reporting.commission.periods import MOMENT, Period
from reporting.commission.policy import Basis, Crystallised, Floating, Policy, Terms
from reporting.commission.schemes import PERIOD_KEY, Lifetime, Line, Marked, Subscription, Valuation

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

    def at(self, policy: Policy, subscription: Subscription, span: Span) -> Mark | None:
        """The mark at the beginning of a span; None while nothing can be measured."""
        marked = self.standing.get(policy.basis)
        if marked is None:
            return first_mark(policy, subscription, span)
        if marked.at >= span.start or self.is_measured(policy.basis, marked.at, span.start):
            return marked.mark
        return _taken_up_again(marked, policy, subscription, span.start)

    def move(self, policy: Policy, mark: Mark, at: datetime) -> None:
        self.standing[policy.basis] = Marked(mark, at)


def _taken_up_again(marked: Marked, policy: Policy, subscription: Subscription, start: datetime) -> Mark:
    """The mark after a time under other terms: results of that time count, but are charged by none but its terms.

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
    subscription: Subscription,
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
        mark = marks.at(terms.policy, subscription, span)
        if mark is None:
            continue
        is_due = due or span.key != key
        line = _line(terms, subscription, period, span._replace(end=min(span.end, now)), mark, settled, is_due)
        if line is not None:
            marks.move(terms.policy, Mark.parse(line.inputs["after"]), span.end)
            yield line


def spans_of(policy: Policy, subscription: Subscription, start: datetime, end: datetime, key: str) -> list[Span]:
    """The crystallisations from start to end: where the policy cuts it, and the end, which has the given key."""
    names: list[datetime] = []
    cuts: list[datetime] = []
    if policy.crystallised is Crystallised.WITHDRAWAL:
        paid_out = {at for at, amount in subscription.flows if amount < 0 and at not in subscription.fee_payments}
        names = cuts = sorted(at for at in paid_out if start < at < end)
    elif policy.crystallised is Crystallised.SUBSCRIPTION_END:
        stays = subscription.lifetimes or [Lifetime(subscription.started_at, subscription.ended_at)]
        names = [stay.ended_at for stay in stays if stay.ended_at is not None and start <= stay.ended_at < end - MOMENT]
        cuts = [ended_at + MOMENT for ended_at in names]  # the last deal may be the end itself
    starts = [start, *cuts]
    keys = [f"{policy.crystallised}:{name.isoformat()}" for name in names] + [key]
    return [Span(*span) for span in zip(starts, [*cuts, end], keys, strict=True)]


def first_mark(policy: Policy, subscription: Subscription, span: Span) -> Mark | None:
    """Where a subscription begins: at zero profit, or at the account's value when it was first measured."""
    start = max(span.start, subscription.started_at)
    if policy.basis is Basis.PROFIT:
        return Mark(ZERO, min(start, span.end))
    valuation = valuation_before(policy, subscription, start) or next(iter(subscription.valuations), None)
    if valuation is None or valuation.at >= span.end:
        return None
    # a snapshot that came later has what moved by then
    begun = start if valuation.at <= start else valuation.at + MOMENT
    return Mark(account_value(valuation, policy), begun)


def valuation_at(subscription: Subscription, moment: datetime) -> Valuation | None:
    """The newest valuation that is not later than `moment`."""
    count = bisect_right(subscription.valuations, moment, key=lambda valuation: valuation.at)
    return subscription.valuations[count - 1] if count else None


def flows_of(policy: Policy, subscription: Subscription) -> list[tuple[datetime, Decimal]]:
    """Money that moved without any result, as far as what is measured has it: credits are no part of the balance."""
    if policy.floating is Floating.REALISED:
        return subscription.flows
    return sorted([*subscription.flows, *subscription.credits])


def valuation_before(policy: Policy, subscription: Subscription, moment: datetime) -> Valuation | None:
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
        return Valuation(valuation.at, valuation.balance + moved, valuation.equity + moved + credited)


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
    with localcontext(EXACT):
        result = sum((deal.net for deal in deals[first:last]), ZERO)
        realised = mark.realised + result
    value = _value(policy, realised, valuation_before(policy, subscription, span.end))
    return None if value is None else Measurement(value, realised, result, last - first)


def _value(policy: Policy, realised: Decimal, valuation: Valuation | None) -> Decimal | None:
    """What is measured against the mark; None where the account's value counts and is not known."""
    if policy.basis is Basis.EQUITY:
        return account_value(valuation, policy) if valuation else None
    with localcontext(EXACT):
        return realised + (account_value(valuation, policy) - valuation.balance if valuation else ZERO)


def _line(
    terms: Terms, subscription: Subscription, period: Period, span: Span, mark: Mark, settled: bool, is_due: bool
) -> Line | None:
    measured = measure(terms.policy, subscription, mark, span)
    if measured is None:
        return None
    flows = _flows(terms.policy, subscription, max(span.start, mark.set_at), span.end)
    opening = valuation_before(terms.policy, subscription, span.start)
    capital = opening.equity if opening else ZERO
    step = crystallise(
        mark, measured.value, rate=terms.rate, policy=terms.policy, at=span.end, flows=flows, capital=capital,
        ends_period=span.key == PERIOD_KEY, is_due=is_due,
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
    if not is_due:
        inputs["is_due"] = False
    return Line(
        period, span.key, max(span.start, mark.set_at), terms.scheme.value, terms.serialise(), inputs, terms.rate,
        step.fee, round_money(step.fee, subscription.currency), subscription.currency, not settled,
    )  # fmt: skip


def _flows(policy: Policy, subscription: Subscription, start: datetime, end: datetime) -> list[CashFlow]:
    flows = []
    for at, amount in flows_of(policy, subscription):
        if start <= at < end:
            before = valuation_before(policy, subscription, at)
            flows.append(CashFlow(at, amount, before.equity if before else ZERO, at in subscription.fee_payments))
    return flows
