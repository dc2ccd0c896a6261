"""Lines of fees beside the commission for one subscription: management, joining, minimum, cap. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, localcontext
from typing import Any

from reporting.commission.fee_terms import LIMITS, ExtraFee, FeeTerms, LateDay, SettledFees
from reporting.commission.fees import day_of_year_share, fees_at, for_client, lowered_rate, trial_end
from reporting.commission.history import History, SpannedCalendar
from reporting.commission.money import EXACT, round_money
from reporting.commission.parts import lines_of
from reporting.commission.periods import DAY, MOMENT, Period
from reporting.commission.schemes import (
    BilledSubscription,
    Line,
    Valuation,
    days_by_period,
    days_of_subscription,
    fixed_fee,
)

ZERO = Decimal(0)
JOINING_KEY = "joining"


@dataclass(frozen=True, slots=True)
class Charging:
    """What all lines of one subscription are computed with: as `parts.lines_of` has it."""

    history: History
    subscription: BilledSubscription
    calendar: SpannedCalendar
    now: datetime
    since: datetime | None
    settled_until: datetime | None

    @property
    def periods(self) -> Iterator[Period]:
        """The open periods of the subscription, oldest first; the first one without what was settled."""
        start = self.subscription.started_at
        start = max(start, self.since) if self.since else start
        for period in self.calendar.between(start, self.now):
            yield self.calendar.clipped(period, self.since)

    def commission(self, history: History, subscription: BilledSubscription) -> Iterator[Line]:
        """The lines of the commission itself, by these terms."""
        now, since, settled_until = self.now, self.since, self.settled_until
        return lines_of(history, subscription, self.calendar, now=now, since=since, settled_until=settled_until)

    def days_in(self, period: Period) -> Iterator[date]:
        """The days of the subscription in a period that have begun and are not free."""
        started_at = self.subscription.started_at
        free_until = trial_end(self.history.fees, started_at, self.calendar)
        first_charged = self.calendar.day_of(free_until)
        for first, last in days_of_subscription(self.subscription, period, self.calendar, self.now):
            day = max(first, first_charged) if free_until > started_at else first
            while day <= last:
                yield day
                day += DAY

    def by_agreed_period(self, period: Period, days: Iterable[date]) -> dict[str, list[list[int]]]:
        """[days, days of the whole period] of each period that the client agreed to, where they are cut otherwise."""
        length = self.history.length_at(max(period.start, self.subscription.started_at))
        if length is None or length is self.calendar.length_at(period.start):
            return {}
        return {"by_period": days_by_period([(day, day) for day in days], self.calendar, length)}

    def line(self, period: Period, scheme: ExtraFee, key: str, exact: Decimal, **content: Any) -> Line:
        """A line of a fee. content: rate, policy and inputs."""
        currency = self.subscription.currency
        moment = max(self.subscription.started_at, period.start)
        policy = {"billing_period": str(self.calendar.length_at(period.start)), **content["policy"]}
        return Line(
            period,
            key,
            min(moment, period.end - MOMENT),
            str(scheme),
            policy,
            content["inputs"],
            content["rate"],
            exact,
            round_money(exact, currency),
            currency,
            self.settled_until is None or period.end > self.settled_until,
        )


# --- Management fee ---------------------------------------------------------------------------------------------------
def value_of_day(
    valuations: Sequence[Valuation], credits: Sequence[tuple[datetime, Decimal]], start: datetime, end: datetime
) -> Decimal | None:
    """Equity of an account as it was last read on a day, [start, end), without what a broker lent; None: it was not."""
    number = bisect_left(valuations, end, key=lambda valuation: valuation.at)
    if not number or valuations[number - 1].at < start:
        return None
    valuation = valuations[number - 1]
    with localcontext(EXACT):
        return valuation.equity - sum((amount for at, amount in credits if at <= valuation.at), ZERO)


def management_lines(charging: Charging, standing: SettledFees) -> Iterator[Line]:
    """A line for each period and version of the terms, of days that are over; and one of days that were waited for."""
    for period in charging.periods:
        if standing.late_days and period.start == charging.since:
            yield from _late_lines(charging, standing.late_days, period)
        days: dict[int, list[tuple[date, Decimal | None]]] = {}
        terms_of: dict[int, FeeTerms] = {}
        for day in charging.days_in(period):
            start, end = charging.calendar.midnight(day), charging.calendar.midnight(day + DAY)
            terms = fees_at(charging.history.fees, end - MOMENT)
            if end > charging.now or not terms.management:
                continue
            subscription = charging.subscription
            value = value_of_day(subscription.valuations, subscription.credits, start, end)
            days.setdefault(terms.number, []).append((day, value))
            terms_of[terms.number] = terms
        for number, values in days.items():
            rate, lowered = lowered_rate(terms_of[number].management, terms_of[number].discount)
            known = [(day, value) for day, value in values if value is not None]
            inputs: dict[str, Any] = {"days": [[day.isoformat(), f"{value:f}"] for day, value in known]}
            if waiting := [day.isoformat() for day, value in values if value is None]:
                inputs["waiting"] = waiting
            policy = {"terms": number, **lowered}
            exact = management_fee(rate, inputs)
            yield charging.line(
                period, ExtraFee.MANAGEMENT, f"management:{number}", exact, rate=rate, policy=policy, inputs=inputs
            )


def _late_lines(charging: Charging, late_days: Iterable[LateDay], period: Period) -> Iterator[Line]:
    by_terms: dict[int, list[LateDay]] = {}
    for late in late_days:
        by_terms.setdefault(late.policy["terms"], []).append(late)
    for number, days in by_terms.items():
        inputs = {"days": [[late.day.isoformat(), f"{late.value:f}"] for late in days], "late": True}
        policy = {name: value for name, value in days[0].policy.items() if name != "billing_period"}
        exact = management_fee(days[0].rate, inputs)
        yield charging.line(
            period, ExtraFee.MANAGEMENT, f"late:{number}", exact, rate=days[0].rate, policy=policy, inputs=inputs
        )


def management_fee(rate: Decimal, inputs: Mapping[str, Any]) -> Decimal:
    """The exact fee of a line: rate x equity / 365 for each day."""
    with localcontext(EXACT):
        return sum((day_of_year_share(rate, Decimal(value)) for _, value in inputs["days"]), ZERO)


def costs_of(line: Line | Any, calendar: SpannedCalendar) -> Iterator[tuple[datetime, Decimal]]:
    """What a line of a management fee takes off new profit: each day at its end, late days where they are charged."""
    period_start = line.period.start if isinstance(line, Line) else line.period_start
    for day, value in line.inputs["days"]:
        end = calendar.midnight(date.fromisoformat(day) + DAY) - MOMENT
        with localcontext(EXACT):
            cost = day_of_year_share(line.rate, Decimal(value))
        if cost:
            yield (period_start if line.inputs.get("late") else end), cost


# --- Joining fee ------------------------------------------------------------------------------------------------------
def joining_line(charging: Charging, standing: SettledFees) -> Line | None:
    """Once for a client, where it begins; where that period is settled by then, in the first one that is not."""
    subscription = charging.subscription
    terms = fees_at(charging.history.fees, subscription.started_at)
    amount = terms.amount("joining", subscription.currency)
    if not amount or standing.has_joined:
        return None
    period = next(charging.periods, None)
    if period is None:
        return None
    rate, lowered = lowered_rate(amount, terms.discount)
    inputs = {"started_at": subscription.started_at.isoformat()}
    policy = {"terms": terms.number, **lowered}
    return charging.line(period, ExtraFee.JOINING, JOINING_KEY, rate, rate=rate, policy=policy, inputs=inputs)


# --- Minimum and cap --------------------------------------------------------------------------------------------------
def limit_lines(charging: Charging, lines: Iterable[Line]) -> Iterator[Line]:
    """What is missing to the minimum of each open period, and what is above its cap. lines: all other lines."""
    if not any(span.terms.minimum or span.terms.cap for span in charging.history.fees):
        return
    sums: dict[datetime, Decimal] = {}
    for line in lines:
        if line.scheme not in (*LIMITS, ExtraFee.JOINING):
            sums[line.period.start] = sums.get(line.period.start, ZERO) + line.amount
    for period in charging.periods:
        yield from limits_of(charging, period, sums.get(period.start, ZERO))


def limits_of(charging: Charging, period: Period, fees: Decimal) -> Iterator[Line]:
    """Of one period whose other fees come to `fees`, by the terms in which it begins for the client.

    A minimum is owed by the client's days, a cap is that of the whole period; both by the length that was agreed on.
    """
    begins = max(period.start, charging.subscription.started_at)
    terms, currency = fees_at(charging.history.fees, begins), charging.subscription.currency
    minimum, cap = terms.amount("minimum", currency), terms.amount("cap", currency)
    policy = {"terms": terms.number}
    days = list(charging.days_in(period)) if minimum else []
    if minimum and days:
        inputs: dict[str, Any] = {"fees": str(fees), "days": len(days), "days_of_period": period.days}
        inputs |= charging.by_agreed_period(period, days)
        exact = minimum_fee(minimum, inputs)
        if exact > 0:
            line = charging.line(period, ExtraFee.MINIMUM, "minimum", exact, rate=minimum, policy=policy, inputs=inputs)
            fees += line.amount
            yield line
    if cap is None:
        return
    whole = [period.first_day + number * DAY for number in range((period.next_day - period.first_day).days)]
    inputs = {"fees": str(fees), **charging.by_agreed_period(period, whole)}
    exact = cap_fee(cap, inputs)
    if exact < 0:
        yield charging.line(period, ExtraFee.CAP, "cap", exact, rate=cap, policy=policy, inputs=inputs)


def minimum_fee(minimum: Decimal, inputs: Mapping[str, Any]) -> Decimal:
    """What is missing to the minimum: minimum x days / days of the period - other fees."""
    with localcontext(EXACT):
        return fixed_fee(minimum, inputs) - Decimal(inputs["fees"])


def cap_fee(cap: Decimal, inputs: Mapping[str, Any]) -> Decimal:
    """What is above the cap, taken off."""
    with localcontext(EXACT):
        return (fixed_fee(cap, inputs) if "by_period" in inputs else cap) - Decimal(inputs["fees"])


def exact_fee(scheme: str, rate: Decimal, inputs: Mapping[str, Any]) -> Decimal:
    """The exact amount of a line of a fee beside the commission, from the line alone."""
    if scheme == ExtraFee.MANAGEMENT:
        return management_fee(rate, inputs)
    if scheme == ExtraFee.MINIMUM:
        return minimum_fee(rate, inputs)
    return cap_fee(rate, inputs) if scheme == ExtraFee.CAP else rate


# --- All of them ------------------------------------------------------------------------------------------------------
def lines_with_fees(charging: Charging) -> Iterator[Line]:
    """Everything that a client owes: the commission, and with it, where there are any, other fees, in their order."""
    subscription, calendar = charging.subscription, charging.calendar
    if not charging.history.fees:
        yield from charging.commission(charging.history, subscription)
        return
    management = list(management_lines(charging, subscription.standing))
    costs = [*subscription.standing.costs, *(cost for line in management for cost in costs_of(line, calendar))]
    subscription = replace(subscription, costs=sorted(costs))
    lines = [
        *charging.commission(for_client(charging.history, subscription.started_at, calendar), subscription),
        *management,
    ]
    yield from lines
    joining = joining_line(charging, subscription.standing)
    if joining is not None:
        yield joining
    yield from limit_lines(charging, lines)
