"""The history of a strategy's terms as spans: what of its versions holds at some time, by what they are about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from reporting.commission.fee_terms import FOLLOWS, FeeSpan, FeeTerms
from reporting.commission.fees import merged_fees
from reporting.commission.history import (
    BEGINNING,
    CalendarSpan,
    CurrencyRates,
    History,
    TermsSpan,
    calendar_spans,
    has_begun,
    in_force,
)
from reporting.commission.periods import MOMENT, Calendar, PeriodLength, stated_length
from reporting.commission.policy import Policy, Scheme, Terms, read_terms
from reporting.models import Subject, TermsVersion
from subscribers.models import Subscription

Document = dict[str, Any]  # as the backend sent it
Key = tuple[str, str]
"""What a row of versions is about: (subject, subscriber id or empty)."""


@dataclass(slots=True)
class KnownTerms:
    """The versions of one strategy that hold at some time, by what they are about, oldest first."""

    versions: dict[Key, list[TermsVersion]] = field(default_factory=dict)

    @property
    def history(self) -> History:
        """What the strategy charges; members of a portfolio go by it whatever the strategy's own policy is."""
        spans = tuple(span_of(version, version.valid_from) for version in self.commissions)
        history = History(spans).with_lengths(
            [(version.valid_from, length_of(version)) for version in self.of(Subject.FEES)]
        )
        return history.with_rates([rates_of(version, version.valid_from) for version in self.of(Subject.RATES)])

    @property
    def commissions(self) -> list[TermsVersion]:
        return self.of(Subject.COMMISSION)

    def of(self, subject: str, subscriber_id: str = "") -> list[TermsVersion]:
        """The versions of one subject, of the strategy or of one subscription alone."""
        return self.versions.get((subject, subscriber_id), [])

    @property
    def zones(self) -> tuple[CalendarSpan, ...]:
        """In which zone its days were counted, whatever the length of its periods."""
        calendars = [
            (version.valid_from, _calendar(version)) for version in self.versions.get((Subject.CALENDAR, ""), [])
        ]
        return calendar_spans([TermsSpan(None, None)], calendars)

    @property
    def calendar(self) -> tuple[CalendarSpan, ...]:
        """How its periods are cut."""
        calendars = [
            (version.valid_from, _calendar(version)) for version in self.versions.get((Subject.CALENDAR, ""), [])
        ]
        return calendar_spans(self.history.spans, calendars)

    def without_plans(self, subject: str, now: datetime) -> KnownTerms:
        """The same without versions of a subject that have not begun by `now`, as a new decision calls them off.

        What those had called off stays called off: so plans are left out of what is in force, not of the rows.
        """
        return KnownTerms(
            {
                key: [version for version in versions if key[0] != subject or has_begun(version, now)]
                for key, versions in self.versions.items()
            }
        )

    def commission_before(self, moment: datetime) -> Document:
        """What is charged by until `moment`, as a version keeps it: that may not be what a plan's document says."""
        begun = [version for version in self.versions[(Subject.COMMISSION, "")] if has_begun(version, moment - MOMENT)]
        terms: Document = begun[-1].terms
        return terms

    def plan(self, now: datetime) -> TermsVersion | None:
        """The version of the commission that has not begun by `now`: the next decision calls it off."""
        newest = self.versions[(Subject.COMMISSION, "")][-1]
        return None if has_begun(newest, now) else newest

    def policies(self, subscriber_id: str = "") -> list[tuple[datetime | None, Policy]]:
        """The policies of a strategy, or of one subscription: its own where it has one."""
        own = self.of(Subject.POLICY, subscriber_id) if subscriber_id else []
        return merged_policies(
            [(version.valid_from, version) for version in self.of(Subject.POLICY)],
            [(version.valid_from, version) for version in own],
        )

    def fees(self, subscriber_id: str = "") -> tuple[FeeSpan, ...]:
        """The fees beside the commission of a strategy, or of one subscription: its own where it has some."""
        own = self.of(Subject.FEES, subscriber_id) if subscriber_id else []
        return dated_fees(
            [(version.valid_from, version) for version in self.of(Subject.FEES)],
            [(version.valid_from, version) for version in own],
        )

    @property
    def overridden(self) -> list[str]:
        """Subscribers with a policy or fees of their own."""
        own = (Subject.POLICY, Subject.FEES)
        return list(dict.fromkeys(client for subject, client in self.versions if subject in own and client))

    @property
    def members(self) -> list[tuple[datetime | None, dict[str, str]]]:
        """Through which member each leaf strategy came, from each moment on."""
        return [(version.valid_from, version.terms) for version in self.versions.get((Subject.MEMBERS, ""), [])]


def span_of(version: TermsVersion, since: datetime | None) -> TermsSpan:
    """The terms of a version of the commission, from a moment on."""
    length = PeriodLength(version.terms["billing_period"])
    return TermsSpan(since, terms_of(version.terms, version.number), length)


def rates_of(version: TermsVersion, since: datetime | None) -> CurrencyRates:
    """The rates of a version, from a moment on."""
    rates = sorted((currency, Decimal(rate)) for currency, rate in version.terms["rates"].items())
    return CurrencyRates(since, Scheme(version.terms["scheme"]), tuple(rates), version.number)


def length_of(version: TermsVersion) -> PeriodLength | None:
    """The billing period that a version of the fees sets; None: that of the commission."""
    stored = version.terms.get("billing_period")
    return PeriodLength(stored) if stored else None


Dated = tuple[datetime | None, TermsVersion]
"""A version and from when it holds."""


def dated_fees(of_strategy: Sequence[Dated], own: Sequence[Dated]) -> tuple[FeeSpan, ...]:
    """The fees of each time beside the commission: a subscription's own, where that has none the strategy's."""
    return merged_fees(
        [(since, FeeTerms.parse(version.terms, version.number)) for since, version in of_strategy],
        [
            (since, None if FOLLOWS in version.terms else FeeTerms.parse(version.terms, version.number))
            for since, version in own
        ],
    )


def merged_policies(of_strategy: Sequence[Dated], own: Sequence[Dated]) -> list[tuple[datetime | None, Policy]]:
    """The policy of each time: a subscription's own, where that is none the strategy's."""
    moments = sorted({since or BEGINNING for since, _ in (*of_strategy, *own)})
    policies = []
    for moment in moments:
        begun = [[version for since, version in rows if (since or BEGINNING) <= moment] for rows in (of_strategy, own)]
        terms: Document = next((rows[-1].terms for rows in reversed(begun) if rows and rows[-1].terms), {})
        policies.append((None if moment == BEGINNING else moment, Policy.parse(terms)))
    return policies


def terms_of(stored: Document, number: int = 0) -> Terms | None:
    """What a version of a commission charges by; None: nothing."""
    if not stored["scheme"]:
        return None
    return Terms(
        Scheme(stored["scheme"]), Decimal(stored["rate"]), PeriodLength(stored["billing_period"]), number=number
    )


def _calendar(version: TermsVersion) -> Calendar:
    return Calendar(version.terms["zone"], version.terms["week_starts_monday"])


def commission_of(scheme: Document) -> dict[str, str]:
    """A `commissionScheme` as a version keeps it."""
    terms = read_terms({"commissionScheme": scheme})
    if terms is not None:
        length = terms.billing_period
        return {"scheme": str(terms.scheme), "rate": f"{terms.rate.normalize():f}", "billing_period": str(length)}
    try:
        length = stated_length(scheme.get("billingPeriod", PeriodLength.MONTH))
    except ValueError:
        length = PeriodLength.MONTH
    return {"scheme": "", "rate": "0", "billing_period": str(length)}


def read_versions(connection_id: int) -> dict[str, list[TermsVersion]]:
    """By strategy, every version there ever was, oldest first."""
    versions: dict[str, list[TermsVersion]] = defaultdict(list)
    for row in TermsVersion.objects.filter(connection_id=connection_id).order_by("strategy_id", "number"):
        versions[row.strategy_id].append(row)
    return versions


def known_terms(rows: Iterable[TermsVersion]) -> KnownTerms:
    """The versions of one strategy that hold at some time."""
    by_key: dict[Key, list[TermsVersion]] = defaultdict(list)
    for row in rows:
        by_key[(row.subject, row.subscriber_id)].append(row)
    return KnownTerms({key: in_force(versions) for key, versions in by_key.items()})


def clients_of(connection_id: int, strategy_id: str) -> bool:
    """Whether anybody copies the strategy."""
    running = Subscription.objects.filter(
        subscriber__connection_id=connection_id, strategy_backend_id=strategy_id, is_removed=False
    )
    return running.exists()
