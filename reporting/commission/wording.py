"""The history of terms in words, as a page lists it. Nothing is read here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from editing.terms import BILLED, SCHEMES, number, percent
from reporting.commission.fee_terms import COMBINED, FOLLOWS, ExtraFee, FeeTerms
from reporting.commission.history import in_force
from reporting.commission.policy import IN_MONEY, Hurdle, Policy
from reporting.terms import Subject, TermsVersion


@dataclass(frozen=True, slots=True)
class TermsEntry:
    """One version: what it says, from when to when it held, how that stands now, and where it comes from.

    since: None is the beginning. until: None where nothing follows.
    """

    version: TermsVersion
    text: str
    since: datetime | None
    until: datetime | None
    state: str
    tone: str


def history_in_words(versions: Sequence[TermsVersion], names: Mapping[str, str], now: datetime) -> list[TermsEntry]:
    """Every version, the newest decision first. names: of strategies, by id."""
    rows: dict[tuple[str, str], list[TermsVersion]] = defaultdict(list)
    for version in versions:
        rows[(version.subject, version.subscriber_id)].append(version)
    ends: dict[int, datetime | None] = {}
    for row in rows.values():
        lasting = in_force(row)
        following = [version.valid_from for version in lasting[1:]] + [None]
        ends |= {version.pk: end for version, end in zip(lasting, following, strict=True)}
    return [_entry(version, names, ends, now) for version in sorted(versions, key=lambda newer: -newer.number)]


def _entry(
    version: TermsVersion, names: Mapping[str, str], ends: Mapping[int, datetime | None], now: datetime
) -> TermsEntry:
    since, until = version.valid_from, ends.get(version.pk)
    if version.pk not in ends:
        state, tone = "called off", "quiet"
    elif since is not None and since > now:
        state, tone = "begins later", "info"
    elif until is not None and until <= now:
        state, tone = "ended", "quiet"
    else:
        state, tone = "current", "good"
    return TermsEntry(version, text_of(version, names), since, until, state, tone)


def plan_words(plan: TermsVersion, begins_on: date) -> str:
    """What a review says of terms that another decision calls off before they begin."""
    return f"The change planned for {begins_on} is called off: {commission_words(plan.terms)}."


def text_of(version: TermsVersion, names: Mapping[str, str]) -> str:
    """What a version says: "Share of profits, 20 %, monthly"."""
    terms = version.terms
    if version.subject == Subject.COMMISSION:
        return commission_words(terms)
    if version.subject == Subject.CALENDAR:
        first = "Monday" if terms["week_starts_monday"] else "Sunday"
        return f"Periods begin at midnight in {terms['zone']}, weeks on {first}"
    if version.subject == Subject.POLICY:
        mark = f"High-water mark: {policy_words(Policy.parse(terms))}" if terms else "High-water mark: as the strategy"
        return f"{mark}, for {version.subscriber_id} alone" if version.subscriber_id else mark
    if version.subject == Subject.RATES:
        return rates_words(terms)
    if version.subject == Subject.FEES:
        words = fee_words(terms)
        return f"{words}, for {version.subscriber_id} alone" if version.subscriber_id else words
    members = sorted({names.get(member, member) for member in terms.values()})
    return f"Members: {', '.join(members)}" if members else "No members"


def commission_words(terms: Mapping[str, Any]) -> str:
    """Scheme, rate and period of a commission."""
    if not terms["scheme"]:
        return "Nothing is charged"
    rate = float(terms["rate"])
    charged = number(rate) if terms["scheme"] in IN_MONEY else percent(rate)
    return f"{SCHEMES[terms['scheme']]}, {charged}, {BILLED[terms['billing_period']]}"


def rates_words(terms: Mapping[str, Any]) -> str:
    """Rates by currency: "Per lot won, by currency: 600 JPY"."""
    rates = [f"{number(float(rate))} {currency}" for currency, rate in sorted(terms["rates"].items())]
    return f"{SCHEMES[terms['scheme']]}, by currency: {', '.join(rates) or 'the same number in all'}"


CHARGES = SCHEMES | {
    ExtraFee.MANAGEMENT.value: "Management fee",
    ExtraFee.JOINING.value: "Joining fee",
    ExtraFee.MINIMUM.value: "Minimum of a period",
    ExtraFee.CAP.value: "Cap of a period",
    COMBINED: "Several fees",
}
"""What lines and sums of statements are for: the backend's schemes, and the fees that only the portal knows."""


HOW_OFTEN = BILLED | {"day": "daily", "half-year": "half-yearly", "year": "yearly"}
"""Lengths of billing periods, those that only the portal has included."""


def fee_words(terms: Mapping[str, Any]) -> str:
    """Fees beside the commission: "Management fee 2 % a year; joining fee 50 USD"."""
    if FOLLOWS in terms:
        return "Fees beside the commission: as the strategy"
    fees = FeeTerms.parse(terms)
    words = []
    if fees.rate is not None:
        rate = float(fees.rate)
        charged = number(rate) if fees.rate_scheme in IN_MONEY else percent(rate)
        words.append(f"{SCHEMES.get(fees.rate_scheme, fees.rate_scheme)} at a rate of {charged}")
    if fees.discount:
        words.append(f"discount {percent(float(fees.discount))}")
    if fees.billing_period:
        words.append(f"billed {HOW_OFTEN[fees.billing_period]}")
    if fees.trial_days:
        words.append("first day free" if fees.trial_days == 1 else f"first {fees.trial_days} days free")
    if fees.management:
        words.append(f"management fee {percent(float(fees.management))} a year")
    for name, label in AMOUNT_WORDS.items():
        if amounts := getattr(fees, name):
            sums = ", ".join(f"{number(float(amount))} {currency}" for currency, amount in amounts)
            words.append(f"{label} {sums}")
    text = "; ".join(words) or "no fees beside the commission"
    return text[0].upper() + text[1:]


AMOUNT_WORDS = {"joining": "joining fee", "minimum": "at least", "cap": "at most"}
"""Amounts of fees by their name in `FeeTerms`; minimum and cap are of a billing period."""


RULES: dict[str, tuple[str, dict[str, str]]] = {
    "basis": (
        "What is measured",
        {
            "profit": "The result of copied trades",
            "equity": "The value of the account, with all on it: trades by hand and of other strategies, too",
        },
    ),
    "floating": (
        "Open positions",
        {
            "realised": "Do not count",
            "realised-and-floating": "Count with gains and losses, those of the whole account",
            "realised-and-negative-floating": "Count where they lose",
        },
    ),
    "new_mark": (
        "After a fee",
        {
            "net": "The mark is what was measured: the fee need not be earned back",
            "gross": "The fee has to be earned back first",
        },
    ),
    "withdrawal": (
        "A withdrawal (account value)",
        {
            "absolute": "Lowers the mark by the same amount",
            "proportional": "Lowers the mark by the same share as the account",
        },
    ),
    "crystallised": (
        "The fee falls due",
        {
            "period-end": "At the end of the billing period",
            "withdrawal": "Then, and before each withdrawal",
            "subscription-end": "Then, and when the subscription ends",
        },
    ),
    "hurdle": (
        "Minimum return",
        {
            "none": "None",
            "soft": "Nothing is owed below it; above it the whole gain counts",
            "hard": "Only what is above it counts",
        },
    ),
    "scope": (
        "One mark for",
        {"subscription": "Each subscription", "client": "All strategies of the firm that a client follows"},
    ),
}
"""Choices of a high-water mark by their name in `Policy`: heading, and words by value; the defaults come first."""


def policy_words(policy: Policy) -> str:
    """What differs from the standard rules."""
    standard = Policy()
    said = [
        words[str(getattr(policy, name))]
        for name, (_, words) in RULES.items()
        if getattr(policy, name) != getattr(standard, name)
    ]
    if policy.loss_memory_periods is not None:
        said.append(f"Losses are forgotten after {policy.loss_memory_periods} periods")
    if policy.hurdle is not Hurdle.NONE:
        said.append(f"Minimum return {percent(float(policy.hurdle_rate))} a year")
    return "; ".join(said) if said else "the standard rules"
