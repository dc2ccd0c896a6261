"""What a manager should look at: one list of lines, each bounded, each with a way to what it is about.

A check is a function of `CHECKS` that yields lines; another one is another line of attention. "Everything is in order"
is said only when every check ran on a mirror that is known to be fresh: what is not known is a line of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import CharField, Count, F, Max, Q, Sum, Value
from django.db.models.functions import Concat
from django.urls import reverse

from editing.limits import reason_words
from editing.targets import PORTFOLIO, STRATEGY, SUBSCRIBER
from reporting.attention_books import documents_on_their_way, open_disputes, runs_to_approve
from reporting.attention_lines import MOST_COUNTED, AttentionLine, address, counted
from reporting.books import BillingPeriod, DocumentKind, Statement, StatementState
from reporting.commission.consent import read_waiting
from reporting.corrections import needed_corrections
from reporting.decisions import reason_label
from reporting.models import (
    Decision,
    LogRecord,
    QuarantinedPage,
    Subject,
    SyncKind,
    SyncState,
    TermsSource,
    TermsVersion,
)
from reporting.rates import in_use, rates_of
from reporting.states import STALE_AFTER
from reporting.waiting import waiting_deals
from strategies.models import Strategy
from subscribers.causes import cause_of
from subscribers.headroom import CLOSE
from subscribers.models import Stopout, Subscriber
from subscribers.states import NEW_FOR, SILENT_AFTER
from users.models import Connection, Membership
from users.permissions import can_bill

MOST_STOPOUTS = MOST_CLOSE = MOST_FAILING = 5
MOST_NOT_OFFERED = 5
MOST_ERRORS = MOST_REASONS = 3
MOST_CHANGED_TERMS = 5
TERMS_SHOWN_FOR = timedelta(days=7)
UNASKED_RISE = ". Clients may pay more: they should have agreed"
DAY = timedelta(days=1)
BOOKS_KEPT_S = 30


@dataclass(frozen=True)
class Attention:
    """The lines, worst first within their order, and how many accounts are stopped."""

    lines: list[AttentionLine]
    stopout_count: int

    def __bool__(self) -> bool:
        return bool(self.lines)


def attention(membership: Membership, *, now: datetime) -> Attention:
    """Everything that the checks find."""
    lines = [line for check in CHECKS for line in check(membership, now)]
    return Attention(lines, Stopout.objects.visible_to(membership).active(now).count())


# --- Checks -----------------------------------------------------------------------------------------------------------
def connections(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """No backend, or one that is switched off."""
    own = list(Connection.objects.filter(workspace_id=membership.workspace_id).defer("token").order_by("name"))
    if not any(connection.is_enabled for connection in own):
        yield AttentionLine("warn", "plug-connected", "No backend", "is connected", reverse("users:connections"))
    for connection in own:
        if not connection.is_enabled:
            note = "Nothing of it is known at the moment"
            yield AttentionLine(
                "warn", "cloud-off", connection.name, "is switched off", reverse("users:connections"), note
            )


def stopouts(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """Accounts that take no new trades."""
    active = Stopout.objects.visible_to(membership).active(now)
    newest = active.select_related("subscriber", "strategy").order_by("-stopped_at", "-id")[: MOST_STOPOUTS + 1]
    rows = list(newest)
    for stopout in rows[:MOST_STOPOUTS]:
        cause = cause_of(stopout.reason) + (f" on {stopout.strategy.name}" if stopout.strategy else "")
        href = reverse("subscribers:detail", args=[stopout.subscriber_id])
        yield AttentionLine("bad", "shield-x", stopout.subscriber.name, "is stopped", href, cause, stopout.stopped_at)
    if len(rows) > MOST_STOPOUTS:
        left = active.count() - MOST_STOPOUTS
        yield AttentionLine(
            "bad", "dots", counted(left, "more stopout"), href=address("subscribers:stopouts", state="active")
        )


def failed_copies(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """Copies of the last 24 hours that failed, by reason."""
    failed = Decision.objects.visible_to(membership).filter(outcome="failed", time__gte=now - DAY, time__lte=now)
    newest = failed.order_by("-time", "-id").values_list("reason", "time")[: MOST_COUNTED + 1]
    rows = list(newest)
    if not rows:
        return
    reasons = Counter(reason for reason, _ in rows).most_common()
    from_day = (now - DAY).date()
    href = address("reporting:decisions", outcome="failed", **{"from": from_day})
    if len(reasons) == 1:
        href = address("reporting:decisions", outcome="failed", reason=reasons[0][0], **{"from": from_day})
    counts = [f"{number:,} {reason_label(reason).lower()}" for reason, number in reasons[:MOST_REASONS]]
    note = ", ".join(counts) + (
        f" and {len(reasons) - MOST_REASONS} more reasons" if len(reasons) > MOST_REASONS else ""
    )
    yield AttentionLine(
        "bad", "alert-triangle", counted(len(rows), "copy", "copies"), "failed within 24 hours", href, note, rows[0][1]
    )


def not_offered(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """Accounts with a subscription to a strategy that its owner does not offer: nothing new is copied there."""
    accounts = Subscriber.objects.visible_to(membership).filter(is_removed=False)
    withheld = accounts.filter(document__subscriptions__contains=[{"offered": False}]).order_by("name", "id")
    # it reads every document, so not at every look at the page
    key = f"attention-offers:{membership.workspace_id}:{membership.pk}"
    rows = cache.get_or_set(key, lambda: list(withheld.values_list("pk", "name")[:MOST_COUNTED]), BOOKS_KEPT_S) or []
    note = "Nothing new is copied. Ask the provider to offer it to you, or end the subscription"
    for pk, name in rows[:MOST_NOT_OFFERED]:
        href = reverse("subscribers:subscriptions", args=[pk])
        yield AttentionLine("warn", "cloud-off", name, "copies a strategy that is not offered", href, note)
    if len(rows) > MOST_NOT_OFFERED:
        left = counted(len(rows) - MOST_NOT_OFFERED, "more account")
        yield AttentionLine("warn", "dots", left, "with a strategy that is not offered")


def corrections(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """Strategies and accounts that break a rule which is younger than they are: they copy on until somebody edits."""
    needed = needed_corrections(membership, now)
    if not needed:
        return
    nouns = {STRATEGY: ("strategy", "strategies"), PORTFOLIO: ("portfolio", ""), SUBSCRIBER: ("account", "")}
    numbers = Counter(correction.kind for correction in needed)
    texts = [counted(numbers[kind], *nouns[kind]) for kind in nouns if numbers[kind]]
    title = " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))
    first = needed[0]
    note = f"{first.name}: {first.fault.setting}" if len(needed) == 1 else f"First {first.name}: {first.fault.setting}"
    rest = "needs a correction" if len(needed) == 1 else "need a correction"
    yield AttentionLine(
        "warn",
        "alert-triangle",
        title,
        rest,
        first.address(membership),
        f"{note}. Copied as before, but changes may be refused until it is corrected",
    )


def changed_terms(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """Commissions that somebody changed at the backend itself, for a week: nobody chose here from when they hold."""
    own = TermsVersion.objects.visible_to(membership).filter(
        source=TermsSource.BACKEND, subject=Subject.COMMISSION, seen_at__gt=now - TERMS_SHOWN_FOR
    )
    named = ("connection_id", "strategy_id", "seen_at", "needs_consent", "asks_consent")
    newest = own.order_by("-seen_at", "-id").values_list(*named)
    key = f"attention-terms:{membership.workspace_id}:{membership.is_staff_role}"
    rows = cache.get_or_set(key, lambda: list(newest[:MOST_COUNTED]), BOOKS_KEPT_S) or []
    if not rows:
        return
    changed = Strategy.objects.visible_to(membership).filter(backend_id__in={row[1] for row in rows})
    names = {
        (backend, leaf): (pk, name)
        for pk, name, backend, leaf in changed.values_list("pk", "name", "connection_id", "backend_id")
    }
    rises = {row[:2]: row[4] for row in reversed(rows) if row[3]}  # whether the newest of them waits for consent
    seen_at: dict[tuple[int, str], datetime] = {}  # of the newest change of each strategy
    for connection_id, strategy_id, moment, *_ in rows:
        if (connection_id, strategy_id) in names:
            seen_at.setdefault((connection_id, strategy_id), moment)
    for strategy in list(seen_at)[:MOST_CHANGED_TERMS]:
        pk, name = names[strategy]
        note = "They hold from the moment they were first seen"
        if strategy in rises:
            note += ", for those who pay more once they agree" if rises[strategy] else UNASKED_RISE
        href = reverse("reporting:strategy-terms", args=[pk])
        yield AttentionLine(
            "warn", "coin", name, "has other terms, changed at the backend", href, note, seen_at[strategy]
        )
    if len(seen_at) > MOST_CHANGED_TERMS:
        left = counted(len(seen_at) - MOST_CHANGED_TERMS, "more strategy", "more strategies")
        yield AttentionLine("warn", "dots", left, "with terms that were changed at the backend")


def missing_consent(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """Rises of fees that clients have not answered to: they pay by the earlier terms until they do."""
    key = f"attention-consent:{membership.workspace_id}:{membership.is_staff_role}"
    rows = cache.get_or_set(key, lambda: read_waiting(membership), BOOKS_KEPT_S) or []
    asked = Strategy.objects.visible_to(membership).filter(backend_id__in={row.strategy_id for row in rows})
    names = (
        {(backend, leaf): name for backend, leaf, name in asked.values_list("connection_id", "backend_id", "name")}
        if rows
        else {}
    )
    for row in rows[:MOST_CHANGED_TERMS]:
        href = reverse("reporting:terms-consent", args=[row.version.pk])
        name = names.get((row.connection_id, row.strategy_id), row.strategy_id)
        pay = "pays" if row.clients == 1 else "pay"
        note = f"{counted(row.clients, 'client')} {pay} by the earlier terms until you record an answer"
        yield AttentionLine("warn", "coin", name, "waits for consent to its fee", href, note, row.version.seen_at)


def close_to_limits(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """Accounts with little left of a risk limit."""
    accounts = Subscriber.objects.visible_to(membership).filter(is_removed=False, headroom__gt=0, headroom__lte=CLOSE)
    rows = list(accounts.order_by("headroom", "id").defer("document", "limits")[:MOST_CLOSE])
    for account in rows:
        account.limit_words = reason_words(account.limit_reason)
        if account.limit_amount is not None and account.limit_measured is not None:
            account.left = account.limit_amount - account.limit_measured
        else:
            account.left = None
        href = f"{reverse('subscribers:detail', args=[account.pk])}#limits"
        yield AttentionLine("warn", "shield-check", account.name, "is close to a limit", href, account=account)
    if rows:
        yield AttentionLine(
            "warn", "dots", "All accounts by headroom", href=address("subscribers:list", sort="headroom")
        )


def syncs(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """Kinds that fail, that are late, and that never succeeded: what the mirror says may be wrong."""
    states = SyncState.objects.filter(connection__workspace_id=membership.workspace_id, connection__is_enabled=True)
    href = reverse("reporting:sync")
    marked = states.filter(Q(failing_since__isnull=False) | Q(kind=SyncKind.ACCOUNTS, cursor__is_offered=False))
    marked = marked.select_related("connection").defer("connection__token")
    rows = list(marked.order_by(F("failing_since").asc(nulls_last=True))[: 2 * MOST_FAILING])
    failing = [state for state in rows if state.failing_since]
    for state in failing[:MOST_FAILING]:
        note = f"{state.connection.name}. {state.error.rstrip('.')}"
        yield AttentionLine(
            "bad", "refresh", SyncKind(state.kind).label, "does not sync", href, note, state.failing_since
        )
    yield from (unmeasurable(state) for state in rows if not state.failing_since)
    offered = states.filter(failing_since=None, cursor__is_offered__isnull=True)
    late = Q(last_success_at__lt=now - STALE_AFTER)
    sums = offered.aggregate(
        late=Count("id", filter=late),
        oldest=Max("last_success_at", filter=late),
        never=Count("id", filter=Q(last_success_at=None)),
        all=Count("id"),
    )
    if sums["late"]:
        kinds = counted(sums["late"], "kind of data", "kinds of data")
        yield AttentionLine(
            "warn", "clock", kinds, "not up to date", href, "What the pages say may be old", sums["oldest"]
        )
    if sums["never"] or (not sums["all"] and not failing):
        note = "What the backend has is not known before the first sync is complete"
        yield AttentionLine("muted", "clock", "Not synced yet", href=href, note=note)
    pages = QuarantinedPage.objects.filter(connection__workspace_id=membership.workspace_id, resolved_at=None)
    if unread := pages.count():
        yield AttentionLine("warn", "refresh", counted(unread, "answer"), "of the backend could not be read", href)


def unmeasurable(state: SyncState) -> AttentionLine:
    """A connection that offers no balances: no account of it can ever be measured, whoever waits."""
    note = "Equity, return and drawdown of its accounts are not known. It needs access to the accounts' API"
    href = reverse("reporting:rights", args=[state.connection_id])
    return AttentionLine("muted", "cloud-off", state.connection.name, "offers no balances", href, note)


def silent_accounts(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """Accounts without a sign of life, and deals that wait for the currency of theirs.

    One that was just added has its first measurement before it; what no call can measure is told once (unmeasurable).
    """
    missing = SyncState.objects.filter(kind=SyncKind.ACCOUNTS, cursor__is_offered=False).values("connection")
    never = Q(measured_at=None, first_seen_at__lt=now - NEW_FOR)
    is_silent = Q(is_removed=False) & (never | Q(measured_at__lt=now - SILENT_AFTER)) & ~Q(connection__in=missing)
    accounts = Subscriber.objects.visible_to(membership)
    says_another = Q(entered__reported__gt="") & ~Q(entered__reported=F("entered__currency"))
    sums = accounts.aggregate(
        silent=Count("id", filter=is_silent),
        unknown=Count("id", filter=Q(currency="")),
        contradicted=Count("id", filter=says_another),
    )
    if sums["silent"]:
        note = "Their equity and limits are not known at the moment"
        title = counted(sums["silent"], "account")
        href = address("subscribers:list", state="unconfirmed")
        yield AttentionLine("warn", "cloud-off", title, "not measured for 2 hours", href, note)
    waiting = waiting_deals(membership) if sums["unknown"] else None
    if waiting:
        deals, _, rest = waiting.words.partition(" wait")
        note = "They are in no sum of money, and no commission is worked out for them"
        yield AttentionLine(
            "warn", "receipt-2", deals, f"wait{rest}", address("reporting:currencies", state="waiting"), note
        )
    if sums["contradicted"]:
        title, href = counted(sums["contradicted"], "account"), address("reporting:currencies", state="contradicted")
        verb, rest = "has" if sums["contradicted"] == 1 else "have", "another currency than was entered for them"
        yield AttentionLine("warn", "receipt-2", title, f"{verb} {rest}", href)


def log_errors(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """The last day's errors."""
    errors = LogRecord.objects.visible_to(membership).filter(level="ERROR", time__gte=now - DAY)
    href = address("reporting:log", level="ERROR")
    for record in errors.order_by("-time", "-id")[:MOST_ERRORS]:
        yield AttentionLine("warn", "alert-triangle", "Error", "", href, record.message, record.time)


def books(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """Statements that are overdue, periods that wait to be closed, closed ones that wait for statements."""
    key = f"attention-books:{membership.workspace_id}"
    sums = cache.get(key)
    if sums is None:
        sums = read_books(membership, now)
        cache.set(key, sums, BOOKS_KEPT_S)
    overdue, to_close, to_issue = sums
    if overdue:
        number = sum(row["number"] for row in overdue)
        amounts = tuple((row["owed"], row["currency"]) for row in overdue)
        href = address("reporting:debt", state="overdue")
        yield AttentionLine(
            "bad", "receipt-2", counted(number, "account"), "overdue", href, "Still owed:", amounts=amounts
        )
    may_bill = can_bill(membership)
    if to_close:
        href = reverse("reporting:close-review") if may_bill else address("reporting:periods", state="ended")
        waits = "waits to be closed" if to_close == 1 else "wait to be closed"
        yield AttentionLine("warn", "receipt-2", counted(to_close, "billing period"), waits, href)
    if to_issue:
        href = reverse("reporting:issue-review") if may_bill else address("reporting:periods", state="closed")
        waits = "waits for its statements" if to_issue == 1 else "wait for their statements"
        yield AttentionLine("warn", "receipt-2", counted(to_issue, "closed period"), waits, href)


def read_books(membership: Membership, now: datetime) -> tuple[list[Any], int, int]:
    """(accounts with overdue statements by currency, periods to close, periods to issue)."""
    statements = Statement.objects.visible_to(membership).filter(
        kind=DocumentKind.STATEMENT, is_void=False, due_on__lt=now + DAY
    )
    overdue = statements.with_balance().filter(state=StatementState.OVERDUE).order_by().values("currency")
    periods = BillingPeriod.objects.visible_to(membership)
    # an account has one currency, so none is counted in two
    accounts = Count(Concat("connection_id", Value("/"), "subscriber_id", output_field=CharField()), distinct=True)
    sums = overdue.annotate(number=accounts, owed=Sum("payable"))
    return (
        list(sums.order_by("-number", "currency")),
        periods.to_close(now).count(),
        periods.filter(state="closed").count(),
    )


def old_rates(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """Exchange rates in use that are older than three business days; simulated money needs none."""
    if membership.workspace.is_demo:
        return
    key = f"attention-rates:{membership.workspace_id}"
    used = cache.get(key)
    if used is None:
        used = in_use(membership.workspace, rates_of(membership.workspace), now.date())
        cache.set(key, used, BOOKS_KEPT_S)
    if used.is_old:
        note = "Sums over currencies use them, and closing a period keeps them"
        yield AttentionLine(
            "warn", "coin", "Exchange rates", f"are of {used.rate_day}", reverse("reporting:rates"), note
        )


CHECKS: tuple[Callable[[Membership, datetime], Iterator[AttentionLine]], ...] = (
    connections,
    stopouts,
    failed_copies,
    not_offered,
    corrections,
    changed_terms,
    missing_consent,
    close_to_limits,
    syncs,
    silent_accounts,
    log_errors,
    old_rates,
    books,
    runs_to_approve,
    open_disputes,
    documents_on_their_way,
)
