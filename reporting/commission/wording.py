"""The history of terms in words, as a page lists it. Nothing is read here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from editing.terms import BILLED, SCHEMES, number, percent
from reporting.commission.history import in_force
from reporting.commission.policy import IN_MONEY
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
    return [_entry(version, names, ends, now) for version in sorted(versions, key=lambda each: -each.number)]


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
        mark = f"High-water mark: {terms['name']}, version {terms['version']}"
        return f"{mark}, for {version.subscriber_id} alone" if version.subscriber_id else mark
    members = sorted({names.get(member, member) for member in terms.values()})
    return f"Members: {', '.join(members)}" if members else "No members"


def commission_words(terms: Mapping[str, Any]) -> str:
    """Scheme, rate and period of a commission."""
    if not terms["scheme"]:
        return "Nothing is charged"
    rate = float(terms["rate"])
    charged = number(rate) if terms["scheme"] in IN_MONEY else percent(rate)
    return f"{SCHEMES[terms['scheme']]}, {charged}, {BILLED[terms['billing_period']]}"
