"""What fees beside the commission do for one client, and what lowers the commission's rate. Pure.

They are charged in this order: the commission's own lines at the client's rate less its discount, the management fee
(which a share of new profit has to earn first), the joining fee, what is missing to the minimum, what is above the cap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from reporting.commission.fee_terms import AMOUNTS, FeeSpan, FeeTerms
from reporting.commission.history import BEGINNING, History, TermsSpan
from reporting.commission.periods import DAY, Calendar
from reporting.commission.policy import Terms, discounted

ZERO, ONE = Decimal(0), Decimal(1)
DAYS_OF_YEAR = 365


def merged_fees(
    of_strategy: Sequence[tuple[datetime | None, FeeTerms]], own: Sequence[tuple[datetime | None, FeeTerms | None]]
) -> tuple[FeeSpan, ...]:
    """The fees of each time: a client's own, where that has none (None: it follows again) the strategy's."""
    moments = sorted({since or BEGINNING for since, _ in (*of_strategy, *own)})
    spans: list[FeeSpan] = []
    for moment in moments:
        begun = [
            [terms for since, terms in rows if (since or BEGINNING) <= moment] or [None] for rows in (of_strategy, own)
        ]
        terms = begun[1][-1] or begun[0][-1] or FeeTerms()
        spans.append(FeeSpan(None if moment == BEGINNING else moment, terms))
    return tuple(spans)


def fees_at(spans: Iterable[FeeSpan], moment: datetime) -> FeeTerms:
    """What holds at a moment."""
    terms = FeeTerms()
    for span in spans:
        if (span.since or BEGINNING) > moment:
            break
        terms = span.terms
    return terms


def trial_end(spans: Sequence[FeeSpan], started_at: datetime, calendar: Calendar) -> datetime:
    """Until when a client that began at `started_at` pays nothing; the days are those of its beginning for good."""
    days = fees_at(spans, started_at).trial_days
    return calendar.midnight(calendar.day_of(started_at) + days * DAY) if days else started_at


def for_client(history: History, started_at: datetime, calendar: Calendar) -> History:
    """The terms of a client by its own rate, discount and trial time; the same object where it has none of them.

    A trial is a time with a discount of everything: so losses in it are to be earned back, and gains of it are free.
    """
    spans, free_until = history.fees, trial_end(history.fees, started_at, calendar)
    is_plain = free_until == started_at and not any(
        span.terms.discount or span.terms.rate is not None for span in spans
    )
    if is_plain:
        return history
    moments = {since or BEGINNING for since in (*(s.since for s in history.spans), *(s.since for s in spans))}
    changed: list[TermsSpan] = []
    own_moments = {span.since or BEGINNING for span in history.spans}
    for moment in sorted(moments | {free_until}):
        begun = [span for span in history.spans if (span.since or BEGINNING) <= moment]
        if not begun:
            continue
        terms = _lowered(begun[-1].terms, fees_at(spans, moment), is_free=moment < free_until)
        if changed and moment not in own_moments and changed[-1].terms == terms:
            continue
        since = None if moment == BEGINNING else moment
        changed.append(replace(begun[-1], since=since, terms=terms))
    return History(tuple(changed), history.fees)


def _lowered(terms: Terms | None, fees: FeeTerms, *, is_free: bool) -> Terms | None:
    """Terms at a client's own rate and with its discount."""
    if terms is None:
        return None
    if fees.rate is not None and fees.rate_scheme == terms.scheme:
        terms = replace(terms, rate=fees.rate, number=fees.number, rates=(), rates_number=0)
    discount = Decimal(1) if is_free else fees.discount
    return replace(terms, discount=discount) if discount else terms


def lowered_rate(rate: Decimal, discount: Decimal) -> tuple[Decimal, dict[str, str]]:
    """A rate less a discount, and what a line keeps of that."""
    if not discount:
        return rate, {}
    return discounted(rate, discount), {"list_rate": f"{rate.normalize():f}", "discount": f"{discount.normalize():f}"}


def costs_more(
    before: FeeTerms, after: FeeTerms, currency: str = "", periods: tuple[Decimal, Decimal] = (ONE, ONE)
) -> bool:
    """Whether a client that is there already may pay more. currency: of the client; empty: of any.

    periods: how many billing periods a year has by either. A minimum of shorter ones is owed in a bad week of a good
    month, a cap of longer ones lets a good month cost more. Joining fee and trial time are matters of a client's
    beginning: who is there has it behind.
    """
    old_periods, new_periods = periods
    names = {currency for terms in (before, after) for name in AMOUNTS for currency, _ in getattr(terms, name)}
    for code in [currency] if currency else sorted(names):
        old_cap, cap = before.amount("cap", code), after.amount("cap", code)
        old_minimum, minimum = (terms.amount("minimum", code) or ZERO for terms in (before, after))
        is_shorter = new_periods > old_periods
        if minimum and (is_shorter or minimum * new_periods > old_minimum * old_periods):
            return True
        years = periods if is_shorter else (ONE, ONE)
        if old_cap is not None and (cap is None or cap * years[1] > old_cap * years[0]):
            return True
    return after.management > before.management or after.discount < before.discount


def day_of_year_share(rate: Decimal, value: Decimal) -> Decimal:
    """What a day costs of a yearly rate: rate x value / 365. To be called in the context of exact numbers."""
    return rate * max(ZERO, value) / DAYS_OF_YEAR
