"""Finds what people are to be told of: stopouts, limits, copies that fail, backends and accounts that are down, books.

Each look says what is so now; what is new, what is over and who hears of it is decided below (users/notice_telling.py).
A turn that is missed loses nothing that is still so, and of statements that were issued it looks hours back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.db.models import Count, Max, Min, Q
from django.urls import reverse

from accounts.models import BrokerAccount
from accounts.states import BROKER_STATES, account_state
from editing.limits import reason_words
from reporting.attention_lines import address
from reporting.books import BillingPeriod, DocumentKind, Statement
from reporting.commission.mailing import overdue_statements
from reporting.decisions import reason_label
from reporting.drift import drifting
from reporting.models import Decision, SyncKind, SyncState
from subscribers.causes import cause_of
from subscribers.headroom import CLOSE
from subscribers.models import Stopout, Subscriber
from users.models import Workspace
from users.notice_rules import KINDS
from users.notice_telling import NoticeCause, begin_workspace, has_begun, take_up
from users.notices import NoticeStart

log = structlog.get_logger(__name__)

MOST = 5_000  # causes of a kind and workspace
BACK = timedelta(hours=6)
FAILING_FOR = timedelta(minutes=2)  # a restart takes a moment, and is no news
COPIES_WITHIN = timedelta(hours=1)
MOST_BACK = timedelta(days=3)  # what came while nobody looked, or nothing came
DOWN = ("broker-lost", "offline", "start-failed", "restart-failed")
Accounts = dict[tuple[int, str], Subscriber]


@dataclass
class NoticeLook:
    """What a look found. uncertain: keys that are neither known to be there nor to be gone.

    known_until: {connection: moment} up to which what it looks back at is mirrored: the next look goes back to that.
    """

    causes: list[NoticeCause]
    uncertain: set[str] = field(default_factory=set)
    known_until: dict[str, str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether all that there is was looked at."""
        return len(self.causes) < MOST


def collect(now: datetime) -> int:
    """Look in every workspace; returns how many causes are new."""
    number = 0
    for workspace in Workspace.objects.order_by("pk"):
        is_silent = not has_begun(workspace)
        for kind, look in SOURCES.items():
            try:
                seen = look(workspace, now)
                number += take_up(
                    workspace,
                    KINDS[kind],
                    seen.causes,
                    uncertain=seen.uncertain,
                    is_whole=seen.is_whole,
                    now=now,
                    is_silent=is_silent,
                )
                if seen.known_until:
                    NoticeStart.objects.filter(workspace=workspace).update(known_until=seen.known_until)
            except Exception:  # whatever is wrong with rows of one firm and kind: people hear of the others
                log.exception("notifications were not collected", workspace=workspace.pk, kind=kind)
        if is_silent:  # when all was looked at: a first look that is cut off is one still
            begin_workspace(workspace, now=now)
    return number


def accounts_by_id(workspace: Workspace, pairs: Iterable[tuple[int, str]]) -> Accounts:
    """The accounts of (connection, backend id)."""
    wanted = set(pairs)
    own = Subscriber.objects.filter(workspace=workspace, backend_id__in={backend_id for _, backend_id in wanted})
    return {
        (account.connection_id, account.backend_id): account
        for account in own.only("pk", "name", "connection_id", "backend_id", "workspace_id")
        if (account.connection_id, account.backend_id) in wanted
    }


# --- Accounts that copy -----------------------------------------------------------------------------------------------
def stopouts(workspace: Workspace, now: datetime) -> NoticeLook:
    """Accounts that take no new trades."""
    active = Stopout.objects.filter(workspace=workspace).active(now).select_related("subscriber", "strategy")
    causes = []
    for row in active.order_by("-stopped_at", "-pk")[:MOST]:
        strategy = f" on {row.strategy.name}" if row.strategy else ""
        closes = " Its positions are closed." if row.close_positions else ""
        causes.append(
            NoticeCause(
                key=f"stopout:{row.pk}",
                title=f"{row.subscriber.name} is stopped{strategy}",
                text=f"{cause_of(row.reason)}. It takes no new trades.{closes}",
                began_at=row.stopped_at,
                account=row.subscriber_id,
                path=reverse("subscribers:detail", args=[row.subscriber_id]),
                own_path=reverse("reporting:me"),
            )
        )
    return NoticeLook(causes)


def limits(workspace: Workspace, now: datetime) -> NoticeLook:
    """Accounts with little left of a risk limit. One whose limit fired meanwhile is told as a stopout, not as saved."""
    near = Subscriber.objects.filter(workspace=workspace, is_removed=False, headroom__lte=CLOSE)
    causes, uncertain = [], set()
    for account in near.order_by("headroom", "pk").defer("document", "limits")[:MOST]:
        assert account.headroom is not None
        if account.headroom <= 0:
            uncertain.add(f"limit:{account.pk}")
            continue
        left = ""
        if account.limit_amount is not None and account.limit_measured is not None:
            left = f", {account.limit_amount - account.limit_measured:,.2f} {account.currency}".rstrip()
        causes.append(
            NoticeCause(
                key=f"limit:{account.pk}",
                title=f"{account.name} is close to a limit",
                text=f"{reason_words(account.limit_reason)}: {account.headroom:.0%} of it is left{left}.",
                began_at=now,
                account=account.pk,
                path=f"{reverse('subscribers:detail', args=[account.pk])}#limits",
                own_path=reverse("reporting:me"),
            )
        )
    return NoticeLook(causes, uncertain)


def mirrored_until(workspace: Workspace, now: datetime) -> dict[str, str]:
    """Up to when what each backend decided is here."""
    own = SyncState.objects.filter(connection__workspace=workspace, kind=SyncKind.DECISIONS)
    known = own.exclude(complete_until=None).order_by("connection_id").values_list("connection_id", "complete_until")
    return {str(connection): min(until, now).isoformat() for connection, until in known if until is not None}


def looked_at_until(workspace: Workspace, now: datetime) -> dict[int, datetime]:
    """Up to when that was so at the look before: what is later may have come since, however old it is by now."""
    start = NoticeStart.objects.filter(workspace=workspace).first()
    stored = start.known_until if start else {}
    return {int(key): max(datetime.fromisoformat(until), now - MOST_BACK) for key, until in stored.items()}


def failed_copies(workspace: Workspace, now: datetime) -> NoticeLook:
    """Accounts whose copies failed within the hour, by reason; and earlier, where that was not seen at the time."""
    known_until = mirrored_until(workspace, now)  # before the rows are read
    window = Q(time__gt=now - COPIES_WITHIN)
    for connection_id, until in looked_at_until(workspace, now).items():
        window |= Q(connection_id=connection_id, time__gt=until)
    failed = Decision.objects.filter(window, workspace=workspace, outcome="failed", time__lte=now)
    groups = failed.order_by().values("connection_id", "subscriber_id", "reason")
    rows = list(groups.annotate(first=Min("time"), number=Count("pk"), symbol=Max("symbol")).order_by("-first")[:MOST])
    accounts = accounts_by_id(workspace, [(row["connection_id"], row["subscriber_id"]) for row in rows])
    causes = []
    for row in rows:
        account = accounts.get((row["connection_id"], row["subscriber_id"]))
        name = account.name if account else row["subscriber_id"]
        copies = "1 copy" if row["number"] == 1 else f"{row['number']:,} copies"
        causes.append(
            NoticeCause(
                key=f"copies:{row['connection_id']}:{row['subscriber_id']}:{row['reason']}"[:160],
                title=f"Copies of {name} fail",
                text=f"{reason_label(row['reason'])}: {copies} so far, {row['symbol']} among them.",
                began_at=row["first"],
                account=account.pk if account else None,
                path=address("reporting:decisions", outcome="failed", reason=row["reason"]),
                own_path=reverse("reporting:own-decisions"),
            )
        )
    return NoticeLook(causes, known_until=known_until)


def drift(workspace: Workspace, now: datetime) -> NoticeLook:
    """Accounts whose open copies differ from what their providers have; not known where positions are not heard."""
    failing = SyncState.objects.filter(kind=SyncKind.POSITIONS, failing_since__isnull=False)
    unheard = Subscriber.objects.filter(workspace=workspace, connection__in=failing.values("connection"))
    uncertain = {f"drift:{pk}" for pk in unheard.values_list("pk", flat=True)}
    causes = []
    for row in drifting(workspace, now, most=MOST):
        gone = f"{row.missing:,} {'copy is' if row.missing == 1 else 'copies are'} gone" if row.missing else ""
        extra = f"{row.extra:,} {'is' if row.extra == 1 else 'are'} open that the provider has closed"
        parts = [gone, extra if row.missing else f"Of its copies {extra}"] if row.extra else [gone]
        causes.append(
            NoticeCause(
                key=f"drift:{row.account}",
                title=f"Copies of {row.name} differ from its providers' trades",
                text=f"{', and '.join(filter(None, parts))}: {row.symbol} among them. Look at its positions.",
                began_at=now,
                account=row.account,
                path=reverse("reporting:subscriber-positions", args=[row.account]),
            )
        )
    return NoticeLook(causes, uncertain)


# --- What everything rests on -----------------------------------------------------------------------------------------
def connections(workspace: Workspace, now: datetime) -> NoticeLook:
    """Backends of which something is not heard: one cause for each, however many kinds of data fail."""
    own = SyncState.objects.filter(connection__workspace=workspace, connection__is_enabled=True)
    failing = own.filter(failing_since__lte=now - FAILING_FOR).select_related("connection").defer("connection__token")
    by_connection: dict[int, list[SyncState]] = {}
    for state in failing.order_by("failing_since", "pk")[:MOST]:
        by_connection.setdefault(state.connection_id, []).append(state)
    causes = []
    for connection_id, states in by_connection.items():
        kinds = ", ".join(str(SyncKind(state.kind).label).lower() for state in states)
        causes.append(
            NoticeCause(
                key=f"connection:{connection_id}",
                title=f"{states[0].connection.name} does not sync",
                text=f"{states[0].error.rstrip('.')[:300]}. What pages say of it may be old: {kinds}.",
                began_at=states[0].failing_since or now,
                path=reverse("reporting:sync"),
            )
        )
    return NoticeLook(causes)


def accounts_down(workspace: Workspace, now: datetime) -> NoticeLook:
    """Trading accounts whose terminal or broker is away; those that the backend has not confirmed may be well again."""
    own = BrokerAccount.objects.filter(workspace=workspace).annotate(code=account_state())
    # a connection that fails leaves all its accounts unconfirmed: they take no place of those that are down
    uncertain = {f"account:{pk}" for pk in own.filter(code="unconfirmed").values_list("pk", flat=True)}
    rows = own.filter(code__in=DOWN).order_by("pk").values_list("pk", "name", "backend_id", "code")
    causes = []
    for pk, name, backend_id, code in rows[:MOST]:
        state = BROKER_STATES[code]
        causes.append(
            NoticeCause(
                key=f"account:{pk}",
                title=f"{name or backend_id}: {state.words.lower()}",
                text=f"{state.why.rstrip('.')}.",
                began_at=now,
                path=reverse("accounts:detail", args=[pk]),
            )
        )
    return NoticeLook(causes, uncertain)


# --- The books --------------------------------------------------------------------------------------------------------
def issued(workspace: Workspace, now: datetime) -> NoticeLook:
    """Statements of the last hours."""
    own = Statement.objects.filter(workspace=workspace, kind=DocumentKind.STATEMENT, is_void=False)
    rows = list(own.filter(issued_at__gt=now - BACK, issued_at__lte=now).order_by("pk")[:MOST])
    accounts = accounts_by_id(workspace, [(row.connection_id, row.subscriber_id) for row in rows])
    causes = []
    for row in rows:
        account = accounts.get((row.connection_id, row.subscriber_id))
        due = f", to be paid by {row.due_on:%d %B %Y}" if row.due_on else ""
        causes.append(
            NoticeCause(
                key=f"issued:{row.pk}",
                title=f"Statement {row.label} of {row.subscriber_name}",
                text=f"{row.total:,.2f} {row.currency}{due}.",
                began_at=row.issued_at,
                account=account.pk if account else None,
                path=reverse("reporting:statement", args=[row.pk]),
                own_path=reverse("reporting:statement", args=[row.pk]),
            )
        )
    return NoticeLook(causes)


def voided(keys: Collection[str]) -> set[str]:
    """Which of the causes "Statement issued" are of statements that were voided since."""
    numbers = {int(key.partition(":")[2]): key for key in keys}
    void = Statement.objects.filter(pk__in=numbers, is_void=True)
    return {numbers[pk] for pk in void.values_list("pk", flat=True)}


def overdue(workspace: Workspace, now: datetime) -> NoticeLook:
    """Statements that were not paid by their day."""
    rows = list(overdue_statements(workspace)[:MOST])
    accounts = accounts_by_id(workspace, [(row.connection_id, row.subscriber_id) for row in rows])
    causes = []
    for row in rows:
        account = accounts.get((row.connection_id, row.subscriber_id))
        causes.append(
            NoticeCause(
                key=f"overdue:{row.pk}",
                title=f"Statement {row.label} of {row.subscriber_name} is overdue",
                text=f"{row.payable:,.2f} {row.currency} were due on {row.due_on:%d %B %Y}.",
                began_at=now,
                account=account.pk if account else None,
                path=reverse("reporting:statement", args=[row.pk]),
                own_path=reverse("reporting:statement", args=[row.pk]),
            )
        )
    return NoticeLook(causes)


def periods(workspace: Workspace, now: datetime) -> NoticeLook:
    """Billing periods that ended, those of a day together."""
    waiting = BillingPeriod.objects.filter(workspace=workspace).to_close(now)
    rows = waiting.order_by().values("period_end").annotate(number=Count("pk")).order_by("period_end")[:MOST]
    causes = []
    for row in rows:
        number = "1 billing period waits" if row["number"] == 1 else f"{row['number']:,} billing periods wait"
        causes.append(
            NoticeCause(
                key=f"period:{row['period_end'].isoformat()}",
                title=f"{number} to be closed",
                text="Look at them and close them under Commissions, Periods.",
                began_at=row["period_end"],
                path=reverse("reporting:periods"),
            )
        )
    return NoticeLook(causes)


SOURCES: dict[str, Callable[[Workspace, datetime], NoticeLook]] = {
    "stopout": stopouts,
    "limit": limits,
    "copies": failed_copies,
    "connection": connections,
    "account": accounts_down,
    "drift": drift,
    "issued": issued,
    "overdue": overdue,
    "period": periods,
}
