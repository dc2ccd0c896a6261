"""The days of billing periods, each counted in the zone that its strategy had then. Writes nothing.

A workspace's zone is that of today: the last day of a period that was cut by another one may be another day by it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

from django.db.models import Exists, OuterRef

from reporting.commission.history import SpannedCalendar
from reporting.commission.periods import Calendar
from reporting.commission.versions import known_terms
from reporting.models import BillingPeriod, Subject, TermsVersion
from users.models import Workspace

Key = tuple[int, str]
"""A strategy: (connection's id, strategy's id)."""


@dataclass(frozen=True, slots=True)
class Zones:
    """How the periods of some strategies were cut. today: of strategies whose zone was never another one."""

    today: Calendar
    changed: dict[Key, SpannedCalendar] = field(default_factory=dict)

    def first_day(self, strategy: Key, start: datetime) -> date:
        """The local day on which a period begins."""
        return self.changed.get(strategy, self.today).day_of(start)

    def last_day(self, strategy: Key, end: datetime) -> date:
        """The last local day of a period that ends at `end`."""
        return self.changed.get(strategy, self.today).last_day_before(end)

    def days_text(self, strategy: Key, start: datetime, end: datetime) -> str:
        """First and last day: "2026-02-01 – 2026-02-28"."""
        return f"{self.first_day(strategy, start)} – {self.last_day(strategy, end)}"


def read_changed_zones(workspace_id: int) -> dict[Key, SpannedCalendar]:
    """By strategy of a workspace whose zone was once another one, how its days were counted; by one query."""
    own = TermsVersion.objects.filter(workspace_id=workspace_id, subject=Subject.CALENDAR)
    later = own.filter(
        connection_id=OuterRef("connection_id"), strategy_id=OuterRef("strategy_id"), valid_from__isnull=False
    )
    return _spanned(own.filter(Exists(later)))


def read_zones(workspace: Workspace, strategies: Collection[Key]) -> Zones:
    """The zones of these strategies, by one query."""
    today = Calendar(workspace.timezone, workspace.week_starts_monday)
    if not strategies:
        return Zones(today)
    rows = TermsVersion.objects.filter(
        connection_id__in={connection_id for connection_id, _ in strategies},
        strategy_id__in={strategy_id for _, strategy_id in strategies},
        subject=Subject.CALENDAR,
    )
    return Zones(today, _spanned(rows))


def _spanned(rows: Iterable[TermsVersion]) -> dict[Key, SpannedCalendar]:
    """The calendars of strategies with more than one. rows: all of each strategy."""
    versions: dict[Key, list[TermsVersion]] = defaultdict(list)
    for row in rows:
        versions[row.connection_id, row.strategy_id].append(row)
    return {key: SpannedCalendar.of(known_terms(own).zones) for key, own in versions.items() if len(own) > 1}


def period_days(workspace: Workspace, periods: Iterable[BillingPeriod]) -> Callable[[BillingPeriod], str]:
    """First and last day of each of these periods, as text."""
    zones = read_zones(workspace, {(period.connection_id, period.strategy_id) for period in periods})

    def days_of(period: BillingPeriod) -> str:
        return zones.days_text((period.connection_id, period.strategy_id), period.period_start, period.period_end)

    return days_of
