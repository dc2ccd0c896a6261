"""Commission of one span of time for pages: by strategy, by subscription, and the backend's own figures beside it.

A span is what is open now, or every billing period whose last day is in one month, by the zone that the period was cut
by; so each line is in exactly one of them, whatever the lengths of the periods. Every read starts with `visible_to`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection as database
from django.db.models import Count, Max, Min, Q, Sum

from reporting.commission.fee_terms import COMBINED, EXTRA_FEES
from reporting.commission.periods import DAY, Calendar
from reporting.commission.zones import read_changed_zones, read_zones
from reporting.models import CommissionLine, CommissionLineQuerySet
from strategies.models import Strategy
from subscribers.models import Subscriber
from users.models import Membership, Workspace
from users.shared_answers import shared_answer

OPEN = "open"
KEPT_S = 20
# the backend's own commission by currency over the days of each span asked for; `{}` narrows it to one account. Most
# days have none, and an account's currency is looked for once and not for each of its days
BACKEND_SUMS = """
SELECT sums.n, u.currency, sum(sums.total)
FROM (
    SELECT asked.n, r.connection_id, r.subscriber_id, sum(r.provider_commission) AS total
    FROM unnest(%(numbers)s::int[], %(connections)s::bigint[], %(strategies)s::text[], %(subscribers)s::text[],
                %(starts)s::date[], %(ends)s::date[])
         AS asked (n, connection_id, strategy_id, subscriber_id, starts, ends)
    JOIN reporting_dailyresult r ON r.connection_id = asked.connection_id AND r.strategy_id = asked.strategy_id
     AND r.day >= asked.starts AND r.day < asked.ends AND r.provider_commission <> 0 {}
    GROUP BY 1, 2, 3
) sums
JOIN subscribers_subscriber u ON u.connection_id = sums.connection_id AND u.backend_id = sums.subscriber_id
GROUP BY sums.n, u.currency
"""
OF_ALL = BACKEND_SUMS.format("")
OF_ONE = BACKEND_SUMS.format("AND r.subscriber_id = asked.subscriber_id")


@dataclass(frozen=True)
class PageSpan:
    """What a commission page is about. key: `open` or `2026-10`. previous, next: keys, empty at the ends.

    start, end: of the month in the zone of today. elsewhere: (start, end, connection's id) of it where strategies had
    another zone then, and the ids of these.
    """

    key: str
    label: str
    start: datetime
    end: datetime
    previous: str
    next: str
    elsewhere: dict[tuple[datetime, datetime, int], list[str]] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        return self.key == OPEN

    @property
    def until(self) -> datetime:
        """The latest end of the month, where strategies had another zone then."""
        return max([self.end, *(end for _, end, _ in self.elsewhere)])

    def narrow(self, lines: CommissionLineQuerySet, now: datetime) -> CommissionLineQuerySet:
        """The lines of the span."""
        return lines.current(now) if self.is_open else lines.filter(self.ended(now))

    def ended(self, now: datetime) -> Q:
        """Of a month: lines or periods that ended in it, as far as `now`."""
        condition = Q(period_end__gt=self.start, period_end__lte=min(self.end, now))
        for (_, _, connection_id), strategies in self.elsewhere.items():
            condition &= ~Q(connection_id=connection_id, strategy_id__in=strategies)
        for (start, end, connection_id), strategies in self.elsewhere.items():
            own = Q(connection_id=connection_id, strategy_id__in=strategies)
            condition |= own & Q(period_end__gt=start, period_end__lte=min(end, now))
        return condition


def span_of(key: str, workspace: Workspace, now: datetime) -> PageSpan:
    """The span named in an address. Raises ValueError for a key that is none, or lies ahead."""
    calendar = Calendar(workspace.timezone)
    today = calendar.day_of(now)
    this_month = today.replace(day=1)
    if key in ("", OPEN):
        return PageSpan(OPEN, "Current periods", calendar.midnight(this_month), now, f"{this_month:%Y-%m}", "")
    first = date.fromisoformat(f"{key}-01")
    if len(key) != 7 or first > this_month or first.year < 1990:
        raise ValueError(key)
    following, before = _month_after(first), first - DAY
    start, end = calendar.midnight(first), calendar.midnight(following)
    elsewhere: dict[tuple[datetime, datetime, int], list[str]] = defaultdict(list)
    for (connection_id, strategy_id), own in read_changed_zones(workspace.pk).items():
        bounds = own.midnight(first), own.midnight(following)
        if bounds != (start, end):
            elsewhere[*bounds, connection_id].append(strategy_id)
    return PageSpan(
        key,
        f"{first:%B %Y}",
        start,
        end,
        f"{before:%Y-%m}",
        OPEN if first == this_month else f"{following:%Y-%m}",
        dict(elsewhere),
    )


def _month_after(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


@dataclass
class Owed:
    """What is owed for one strategy (and one account, where `subscriber` is known) in one currency.

    extra: of it, fees beside the commission, which the backend does not know.
    """

    connection_id: int
    strategy_id: str
    subscriber_id: str
    currency: str
    scheme: str
    lines: int
    provisional: int
    subscribers: int
    amount: Decimal
    start: datetime
    end: datetime
    period: str
    backends: Decimal = Decimal(0)
    extra: Decimal = Decimal(0)
    strategy: Strategy | None = None
    subscriber: Subscriber | None = None

    @property
    def difference(self) -> Decimal:
        return self.amount - self.backends

    @property
    def agrees(self) -> bool:
        """Whether both figures are the same to half a cent."""
        return abs(self.difference) < Decimal("0.005")


def owed_by_strategy(membership: Membership, span: PageSpan, now: datetime, **only: Any) -> list[Owed]:
    """One row per strategy and currency, by name; `only` narrows the lines. Kept for some seconds for all staff."""
    key = f"owed-by-strategy:{membership.workspace_id}:{span.key}:{sorted(only.items())}".replace(" ", "")

    def read() -> list[Owed]:
        lines = span.narrow(CommissionLine.objects.visible_to(membership), now).filter(**only)
        return _rows(membership, lines, ())

    return shared_answer(key, read, fresh_s=KEPT_S) if membership.is_staff_role else read()


def owed_by_subscription(membership: Membership, span: PageSpan, now: datetime, **only: Any) -> list[Owed]:
    """One row per subscription and currency, by names; `only` narrows the lines (connection_id, strategy_id, ...)."""
    lines = span.narrow(CommissionLine.objects.visible_to(membership), now).filter(**only)
    return _rows(membership, lines, ("subscriber_id",))


def _rows(membership: Membership, lines: CommissionLineQuerySet, by: tuple[str, ...]) -> list[Owed]:
    totals = lines.totals("connection_id", "strategy_id", *by).annotate(
        subscribers=Count("subscriber_id", distinct=True),
        start=Min("period_start"),
        end=Max("period_end"),
        kinds=Count("scheme", distinct=True),
        extra=Sum("amount", filter=Q(scheme__in=EXTRA_FEES)),
        scheme=Max("scheme"),
    )
    sums = list(totals)
    zones = read_zones(membership.workspace, {(row["connection_id"], row["strategy_id"]) for row in sums})
    rows = [
        Owed(
            row["connection_id"],
            row["strategy_id"],
            row.get("subscriber_id", ""),
            row["currency"],
            COMBINED if row["extra"] is not None and row["kinds"] > 1 else row["scheme"],
            row["lines"],
            row["provisional"],
            row["subscribers"],
            row["total"],
            row["start"],
            row["end"],
            zones.days_text((row["connection_id"], row["strategy_id"]), row["start"], row["end"]),
            extra=row["extra"] or Decimal(0),
        )
        for row in sums
    ]
    _name(membership.workspace_id, rows)
    _compare(membership, rows)
    return sorted(
        rows, key=lambda row: (_name_of(row.strategy, row.strategy_id), _name_of(row.subscriber, row.subscriber_id))
    )


def _name_of(named: Strategy | Subscriber | None, backend_id: str) -> str:
    return (named.name if named else backend_id).lower()


def _name(workspace_id: int, rows: list[Owed]) -> None:
    strategies = _by_key(Strategy, workspace_id, {row.strategy_id for row in rows})
    subscribers = _by_key(Subscriber, workspace_id, {row.subscriber_id for row in rows} - {""})
    for row in rows:
        row.strategy = strategies.get((row.connection_id, row.strategy_id))
        row.subscriber = subscribers.get((row.connection_id, row.subscriber_id))


def _by_key(model: Any, workspace_id: int, ids: Iterable[str]) -> dict[tuple[int, str], Any]:
    ids = list(ids)
    if not ids:
        return {}
    objects = model.objects.filter(workspace_id=workspace_id, backend_id__in=ids).defer("document")
    return {(row.connection_id, row.backend_id): row for row in objects}


def _compare(membership: Membership, rows: list[Owed]) -> None:
    """Put the backend's own figure beside each row. Its sums are kept by UTC day; only staff see all accounts."""
    if not rows or not (membership.is_staff_role or all(row.subscriber_id for row in rows)):
        return
    keys = [(row.connection_id, row.strategy_id, row.subscriber_id, row.start.date(), row.end.date()) for row in rows]
    asked = list(dict.fromkeys(keys))
    columns = [list(column) for column in zip(*asked, strict=True)]
    names = ("connections", "strategies", "subscribers", "starts", "ends")
    parameters = {"numbers": list(range(len(asked))), **dict(zip(names, columns, strict=True))}
    with database.cursor() as cursor:
        cursor.execute(OF_ONE if rows[0].subscriber_id else OF_ALL, parameters)
        sums = {(asked[number], currency): total for number, currency, total in cursor.fetchall()}
    for row, key in zip(rows, keys, strict=True):
        row.backends = sums.get((key, row.currency), Decimal(0))
