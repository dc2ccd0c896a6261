"""Compares what the mirror says of terms now with the newest version, and adds a version where it differs.

What is seen for the first time holds from the beginning. A change saved here begins when its author chose; one made at
the backend itself begins when it was first seen here, and never earlier.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection as database

from editing.models import Change, ChangeOutcome
from editing.targets import PORTFOLIO, STRATEGY
from reporting.commission.beginning import begins_at, is_rise
from reporting.commission.history import SpannedCalendar, takes_over
from reporting.commission.periods import MOMENT, Calendar
from reporting.commission.policy import Policy
from reporting.commission.versions import Document, Key, clients_of, commission_of, known_terms, read_versions
from reporting.models import AccrualState, CommissionPolicy, Subject, TermsSource, TermsVersion
from strategies.models import Strategy
from users.models import AuditEntry, User
from users.services import WORKSPACE_CHANGED

OF_STRATEGIES = (STRATEGY, PORTFOLIO)
CARRIED_OUT = (ChangeOutcome.SENDING, ChangeOutcome.UNKNOWN, ChangeOutcome.DONE)

_FOLLOW_SUBSCRIPTIONS = """
WITH seen AS (
    SELECT account.backend_id AS subscriber_id, own.strategy_backend_id AS strategy_id, own.first_seen_at,
           own.is_removed OR account.is_removed AS is_over
    FROM subscribers_subscription own JOIN subscribers_subscriber account ON account.id = own.subscriber_id
    WHERE account.connection_id = %(connection)s
), ended AS (
    UPDATE reporting_subscriptionlifetime life SET ended_at = greatest(%(now)s, life.started_at)
    FROM seen WHERE life.connection_id = %(connection)s AND life.subscriber_id = seen.subscriber_id
      AND life.strategy_id = seen.strategy_id AND life.ended_at IS NULL AND seen.is_over
)
INSERT INTO reporting_subscriptionlifetime (connection_id, subscriber_id, strategy_id, started_at, ended_at)
SELECT %(connection)s, seen.subscriber_id, seen.strategy_id,
       CASE WHEN newest.started_at IS NULL THEN seen.first_seen_at ELSE %(now)s END,
       CASE WHEN seen.is_over THEN seen.first_seen_at END
FROM seen LEFT JOIN LATERAL (
    SELECT life.started_at, life.ended_at FROM reporting_subscriptionlifetime life
    WHERE life.connection_id = %(connection)s AND life.subscriber_id = seen.subscriber_id
      AND life.strategy_id = seen.strategy_id ORDER BY life.started_at DESC LIMIT 1
) newest ON true
WHERE newest.started_at IS NULL OR (newest.ended_at IS NOT NULL AND NOT seen.is_over)
ON CONFLICT DO NOTHING
"""


@dataclass(slots=True)
class Stated:
    """What the mirror says of one strategy now: its document's commission and members, and the content by key.

    chosen_at: when the newest policy was chosen, by subscriber. has_no_members: a portfolio that says so, other than
    one whose members are not mirrored yet: who becomes its member later was none before.
    """

    workspace_id: int
    commission: Document
    members: list[Document]
    calendar: Calendar
    contents: dict[Key, Any] = field(default_factory=dict)
    chosen_at: dict[str, datetime] = field(default_factory=dict)
    has_no_members: bool = False
    asks_consent: bool = True


# --- Reading ----------------------------------------------------------------------------------------------------------
def read_stated(connection_id: int) -> dict[str, Stated]:
    """By strategy, what the mirror says now."""
    stated: dict[str, Stated] = {}
    rows = (
        Strategy.objects.filter(connection_id=connection_id)
        .order_by("backend_id")
        .values_list(
            "backend_id",
            "workspace_id",
            "document__commissionScheme",
            "document__members",
            "workspace__timezone",
            "workspace__week_starts_monday",
            "workspace__asks_consent",
        )
    )
    for strategy_id, workspace_id, scheme, members, zone, starts_monday, asks_consent in rows:
        stated[strategy_id] = Stated(
            workspace_id,
            scheme or {},
            members or [],
            Calendar(zone, starts_monday),
            has_no_members=members == [],
            asks_consent=asks_consent,
        )
    for terms in stated.values():
        terms.contents[(Subject.COMMISSION, "")] = commission_of(terms.commission)
        terms.contents[(Subject.CALENDAR, "")] = {
            "zone": terms.calendar.zone,
            "week_starts_monday": terms.calendar.week_starts_monday,
        }
    for strategy_id, terms in stated.items():
        through = leaves_of(strategy_id, stated)
        if through or terms.has_no_members:
            terms.contents[(Subject.MEMBERS, "")] = through
    for row in CommissionPolicy.objects.filter(connection_id=connection_id).order_by("version"):
        if row.strategy_id in stated:
            policy = Policy.parse(row.choices | {"name": row.name, "version": row.version})
            stated[row.strategy_id].contents[(Subject.POLICY, row.subscriber_id)] = policy.serialise()
            stated[row.strategy_id].chosen_at[row.subscriber_id] = row.created_at
    return stated


def leaves_of(portfolio_id: str, stated: dict[str, Stated]) -> dict[str, str]:
    """The member of a portfolio through which each strategy below it comes, the member itself included.

    A portfolio in the portfolio is a member like any other: its owner is owed by its scheme, whatever it owes in turn
    (docs/copying.md, "Commissions on transactions"). A leaf that comes through several members counts for the first.
    """
    through: dict[str, str] = {}
    for member in _members_of(portfolio_id, stated):
        asked, seen = [member], {portfolio_id}
        while asked:
            below = asked.pop()
            if below not in seen:
                seen.add(below)
                asked += _members_of(below, stated)
                through.setdefault(below, member)
    return through


def _members_of(strategy_id: str, stated: dict[str, Stated]) -> list[str]:
    """Ids of a portfolio's members that are known; none of a single strategy."""
    asked = [member.get("strategyId", "") for member in stated[strategy_id].members]
    return [member for member in asked if member in stated and member != strategy_id]


# --- Observing --------------------------------------------------------------------------------------------------------
def observe(connection_id: int, now: datetime) -> tuple[dict[str, Stated], dict[str, list[TermsVersion]]]:
    """Add what changed since the last look: (what is stated, the versions with those that were added)."""
    stated, versions = read_stated(connection_id), read_versions(connection_id)
    added = [
        version
        for strategy_id, terms in stated.items()
        for version in _changed(connection_id, strategy_id, terms, versions.get(strategy_id, []), now)
    ]
    if not added:
        return stated, versions
    settled = dict(AccrualState.objects.filter(connection_id=connection_id).values_list("strategy_id", "settled_until"))
    for version in added:
        if version.source != TermsSource.INITIAL:
            rows, own = versions[version.strategy_id], stated[version.strategy_id]
            _begin(version, rows, own, settled.get(version.strategy_id), now)
    _name_authors_of_zones([version for version in added if version.source != TermsSource.INITIAL])
    TermsVersion.objects.bulk_create(added, ignore_conflicts=True)  # somebody else may have seen it, too
    return stated, read_versions(connection_id)


def follow_subscriptions(connection_id: int, now: datetime) -> None:
    """Note which subscriptions began, ended or began again since the last look."""
    with database.cursor() as cursor:
        cursor.execute(_FOLLOW_SUBSCRIPTIONS, {"connection": connection_id, "now": now})


def _changed(
    connection_id: int, strategy_id: str, stated: Stated, rows: list[TermsVersion], now: datetime
) -> list[TermsVersion]:
    """Versions of what differs from the newest ones. Their source says which of them do not hold from the beginning."""
    newest = {(row.subject, row.subscriber_id): row for row in rows}
    number, first_seen = len(rows), min((row.seen_at for row in rows), default=now)
    added: list[TermsVersion] = []
    for (subject, subscriber_id), content in _with_members(stated, newest).items():
        before = newest.get((subject, subscriber_id))
        if before is not None and _agree(subject, before.terms, content):
            continue
        if subject == Subject.POLICY and before is not None and before.seen_at >= stated.chosen_at[subscriber_id]:
            continue  # a later one was set by a page
        number += 1
        is_later = subject == Subject.POLICY and stated.chosen_at[subscriber_id] > first_seen
        begins_later = rows and (before is not None or is_later)
        added.append(
            TermsVersion(
                workspace_id=stated.workspace_id,
                connection_id=connection_id,
                strategy_id=strategy_id,
                number=number,
                subject=subject,
                subscriber_id=subscriber_id,
                terms=content,
                seen_at=now,
                source=TermsSource.BACKEND if begins_later else TermsSource.INITIAL,
            )
        )
    return added


def _with_members(stated: Stated, newest: dict[Key, TermsVersion]) -> dict[Key, Any]:
    """What is stated, with an empty list of members where a portfolio has none any more."""
    key = (Subject.MEMBERS.value, "")
    gone: dict[Key, Any] = {key: {}} if key in newest and key not in stated.contents else {}
    return {**stated.contents, **gone}


def _agree(subject: str, before: Any, content: Any) -> bool:
    """Whether both charge the same: where nothing is charged, for no matter how long a period."""
    if subject == Subject.COMMISSION and not before["scheme"] and not content["scheme"]:
        return True
    return bool(before == content)


def _begin(
    version: TermsVersion, rows: list[TermsVersion], stated: Stated, settled: datetime | None, now: datetime
) -> None:
    """From when a changed version holds, where it comes from, and what it asks for. rows: the versions before it."""
    calendar, asks_consent = stated.calendar, stated.asks_consent
    key = (version.subject, version.subscriber_id)
    before = next((row for row in reversed(rows) if (row.subject, row.subscriber_id) == key), None)
    # what has not begun of this subject is called off, so it cuts no period
    known = known_terms(rows).without_plans(version.subject, now)
    spans = known.calendar
    version.valid_from = now
    if version.subject == Subject.CALENDAR:
        version.source, version.valid_from = TermsSource.PORTAL, takes_over(spans, calendar, now)
    elif version.subject == Subject.POLICY:
        version.source = TermsSource.PORTAL
    elif version.subject == Subject.COMMISSION and before is not None:
        has_clients = clients_of(version.connection_id, version.strategy_id)
        if (change := _change_behind(version, before)) is not None:
            version.source, version.change = TermsSource.PORTAL, change
            version.set_by = change.saved_by or change.sent_by
            saved_at = change.saved_at or change.sent_at or now
            version.valid_from = begins_at(change.terms_from, spans, saved_at, has_clients=has_clients)
    # never back: not before what was settled, or what was decided before
    earliest = [moment for moment in (settled, before.seen_at if before else None) if moment is not None]
    version.valid_from = max([version.valid_from, *earliest])
    if version.subject != Subject.COMMISSION:
        return
    charged = known.commission_before(version.valid_from)
    version.needs_consent = has_clients and is_rise(charged, version.terms)
    # also where it is no rise for those who agreed to the last one: others may still pay by what was before that
    version.asks_consent = has_clients and asks_consent and bool(version.terms["scheme"])
    if not version.terms["scheme"]:  # an end cuts no period
        length = SpannedCalendar.of(spans).length_at(version.valid_from - MOMENT)
        version.terms = version.terms | {"billing_period": str(length)}


def _name_authors_of_zones(added: Iterable[TermsVersion]) -> None:
    """Who chose the zone and the first day of the week in the settings; None where no record says it."""
    authors: dict[tuple[str, bool], User | None] = {}  # all strategies of a workspace get another zone at once
    for version in added:
        if version.subject != Subject.CALENDAR:
            continue
        zone = version.terms["zone"], version.terms["week_starts_monday"]
        if zone not in authors:
            saved = AuditEntry.objects.filter(
                workspace_id=version.workspace_id,
                action=WORKSPACE_CHANGED,
                occurred_at__lte=version.seen_at,
                details__timezone=zone[0],
                details__week_starts_monday=zone[1],
            )
            entry = saved.select_related("user").order_by("-occurred_at").first()
            authors[zone] = entry.user if entry else None
        version.set_by = authors[zone]


def _change_behind(version: TermsVersion, before: TermsVersion) -> Change | None:
    """The change saved here that brought the terms about; None where the backend itself was changed."""
    sent = Change.objects.filter(
        connection_id=version.connection_id,
        backend_id=version.strategy_id,
        kind__in=OF_STRATEGIES,
        outcome__in=CARRIED_OUT,
        sent_at__gte=before.seen_at,  # and not only until now: a run may have begun earlier
    )
    for change in sent.order_by("-sent_at")[:5]:
        if _agree(Subject.COMMISSION, commission_of(change.after.get("commissionScheme") or {}), version.terms):
            return change
    return None
