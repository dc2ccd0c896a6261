"""What the owner of a portfolio owes its members' providers for one subscription. Pure.

Each member charges by its own scheme for its own part of the deals. Everything is booked in the portfolio's billing
periods, so that closing one closes all of it: a profit share is measured at their ends, a fixed fee is counted by the
member's own periods and booked where these end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from reporting.commission.history import History, SpannedCalendar
from reporting.commission.parts import lines_of, parts_of
from reporting.commission.periods import MOMENT
from reporting.commission.policy import Basis, Scheme
from reporting.commission.schemes import PERIOD_KEY, BilledSubscription, Line, Marked, flat_fee_line

NOT_FIXED = frozenset(Scheme) - {Scheme.FLAT_FEE}


@dataclass(frozen=True, slots=True)
class MemberTerms:
    """The terms of a portfolio's member while it is one, and the calendar that its own periods are cut by."""

    history: History
    calendar: SpannedCalendar


def part_of(
    subscription: BilledSubscription, member: str, marks: dict[Basis, Marked] | None = None
) -> BilledSubscription:
    """One member's part of a subscription to a portfolio, with its own marks."""
    deals = [deal for deal in subscription.deals if deal.source == member]
    return replace(subscription, deals=deals, marks=marks or {})


def incoming_lines(
    members: dict[str, MemberTerms],
    subscription: BilledSubscription,
    calendar: SpannedCalendar,
    marks: dict[str, dict[Basis, Marked]],
    *,
    now: datetime,
    since: datetime | None,
    settled_until: datetime | None,
) -> Iterator[Line]:
    """Every line that is owed to a member's provider from `since` (None: from the start) to now.

    calendar: the portfolio's. marks: by member.
    """
    for member, terms in members.items():
        part = part_of(subscription, member, marks.get(member))
        charged = lines_of(
            terms.history, part, calendar, now=now, since=since, settled_until=settled_until, only=NOT_FIXED
        )
        fees = _fixed_fees(terms, part, calendar, now=now, since=since, settled_until=settled_until)
        for line in (*charged, *fees):
            line.member = member
            yield line


def _fixed_fees(
    member: MemberTerms,
    subscription: BilledSubscription,
    calendar: SpannedCalendar,
    *,
    now: datetime,
    since: datetime | None,
    settled_until: datetime | None,
) -> Iterator[Line]:
    """By the periods of the member; what ended before `since` was booked then."""
    for period in member.calendar.between(since or subscription.started_at, now):
        for part in parts_of(member.history, member.calendar, period):
            if part.terms.scheme is not Scheme.FLAT_FEE or part.start >= now:
                continue
            terms = part.terms.in_currency(subscription.currency)
            line = flat_fee_line(terms, subscription, part.days, calendar=calendar, now=now, settled=False)
            if line is None:
                continue
            line.key = f"{PERIOD_KEY}:{part.first_day}"
            line.period = calendar.clipped(calendar.containing(period.end - MOMENT), since)
            line.is_provisional = settled_until is None or line.period.end > settled_until
            yield line
