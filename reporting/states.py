"""States of documents, periods, syncs and connections, each derived in one place from all that bears on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, CharField, F, Q, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from reporting.approvals import ApprovalState
from reporting.books import PeriodState, StatementState
from reporting.disputes import DisputeState
from reporting.models import SyncState
from users.models import Connection, MailState
from users.states import State, by_code

STALE_AFTER = timedelta(minutes=3)
STATEMENT_STATES = by_code(
    State(StatementState.OVERDUE, "Overdue", "bad"),
    State(StatementState.DUE, "To be paid", "warn"),
    State(StatementState.PARTLY_PAID, "Partly paid", "warn"),
    State(StatementState.DISPUTED, "In dispute", "info", "What is left to pay is in dispute: it is not due"),
    State(StatementState.PAID, "Settled", "good"),
    State(StatementState.VOID, "Void"),
)
DISPUTE_STATES = by_code(
    State(DisputeState.OPEN, "Waits for an answer", "warn"),
    State(DisputeState.REJECTED, "Rejected"),
    State(DisputeState.CREDITED, "Credited", "good"),
    State(DisputeState.WITHDRAWN, "Withdrawn"),
    State(DisputeState.VOID, "Statement voided"),
)
APPROVAL_STATES = by_code(
    State(ApprovalState.WAITING, "Waits for approval", "warn"),
    State(ApprovalState.APPROVED, "Approved", "good"),
    State(ApprovalState.DECLINED, "Declined", "bad"),
    State(ApprovalState.WITHDRAWN, "Withdrawn"),
)
CREDIT_NOTE = State("credit-note", "Credit note", "info")
CREDIT_NOTE_BACK = State("credit-note", "Credit note taken back", "quiet", "It takes nothing off any more")
MAIL_STATES = by_code(
    State(MailState.QUEUED, "Waiting", "info", "It is sent within seconds"),
    State("again", "Tried again", "warn"),
    State(MailState.SENT, "Sent", "good", "The mail server took it; whether it arrived nobody says"),
    State(MailState.REFUSED, "Refused", "bad"),
    State(MailState.GIVEN_UP, "Given up", "bad"),
    State(MailState.WITHDRAWN, "Not sent"),
)
PERIOD_STATES = by_code(
    State("running", "Running", "info"),
    State("ended", "Ended", "warn", "It waits to be closed"),
    State(PeriodState.CLOSED, "Closed", "warn", "Its statements wait to be issued"),
    State(PeriodState.ISSUED, "Issued", "info", "Its statements are not settled yet"),
    State(PeriodState.PAID, "Paid", "good"),
)
SYNC_STATES = by_code(
    State("off", "Switched off"),
    State("failing", "Failing", "bad"),
    State("not-offered", "Not offered", "quiet", "This backend has no such call; it is asked again once an hour"),
    State("waiting", "Waiting", "quiet", "It has not succeeded yet"),
    State("late", "Late", "warn", "The last success is longer ago than three minutes"),
    State("running", "Running", "info"),
    State("in-order", "In order", "good"),
)
CONNECTION_STATES = by_code(
    State("off", "Switched off"),
    State("failing", "Sync failing", "bad"),
    State("waiting", "Waiting for its first sync"),
    State("late", "Late", "warn", "Something was last synced longer ago than three minutes"),
    State("in-order", "In order", "good"),
)


def statement_state(row: Any) -> State:
    """Of a statement or credit note read `with_balance`: "Overdue, 12 days" from the day after it was due."""
    if row.kind == CREDIT_NOTE.code:
        return CREDIT_NOTE_BACK if row.state == StatementState.VOID else CREDIT_NOTE
    state = STATEMENT_STATES[row.state]
    if row.state != StatementState.OVERDUE:
        return state
    days = row.days_overdue
    words = f"Overdue, {days} {'day' if days == 1 else 'days'}"
    why = "Partly paid" if row.is_partly_paid else "Nothing has been paid on it"
    return State(state.code, words, state.tone, f"Due on {row.due_on}. {why}")


def mail_code() -> Case:
    """The code of a mail's state as an expression: one that a server did not take at once is tried again."""
    again = When(Q(state=MailState.QUEUED) & ~Q(refusal=""), then=Value("again"))
    return Case(again, default=F("state"), output_field=CharField())


def mail_state(mail: Any) -> State:
    """Of a mail of the outbox, with what the mail server said last."""
    state = MAIL_STATES["again" if mail.state == MailState.QUEUED and mail.refusal else mail.state]
    why = mail.refusal or state.why
    return state.because(f"{why}. It may have arrived twice".replace("..", ".") if mail.may_be_double else why)


def period_code() -> Case:
    """The code of a billing period's state as an expression: an open one is running or has ended."""
    ended = When(state=PeriodState.OPEN, period_end__lte=Now(), then=Value("ended"))
    running = When(state=PeriodState.OPEN, then=Value("running"))
    return Case(ended, running, default=F("state"), output_field=CharField())


def period_state(period: Any, now: datetime) -> State:
    """Of a period as stored, or as listed with `period_code`."""
    if period.state != PeriodState.OPEN:
        return PERIOD_STATES[period.state]
    return PERIOD_STATES["ended" if period.period_end <= now else "running"]


def sync_state(state: Any, *, is_enabled: bool = True, now: datetime | None = None) -> State:
    """Of one kind of sync."""
    now = now or timezone.now()
    if not is_enabled:
        code = "off"
    elif state.failing_since:
        code = "failing"
    elif state.cursor.get("is_offered") is False:
        code = "not-offered"
    elif state.last_success_at is None:
        code = "waiting"
    elif state.last_success_at < now - STALE_AFTER:
        code = "late"
    else:
        code = "running" if state.lease_until else "in-order"
    return SYNC_STATES[code]


def connection_state(connection: Connection, states: Iterable[Any], now: datetime | None = None) -> State:
    """Of a connection with its syncs: the worst of them that counts."""
    codes = {sync_state(state, is_enabled=connection.is_enabled, now=now).code for state in states}
    if not connection.is_enabled:
        return CONNECTION_STATES["off"]
    for code in ("failing", "late"):
        if code in codes:
            return CONNECTION_STATES[code]
    succeeded = codes & {"in-order", "running"}
    return CONNECTION_STATES["in-order" if succeeded and "waiting" not in codes else "waiting"]


def connection_states(connections: Sequence[Connection]) -> dict[int, State]:
    """The same of several connections by their keys. One query."""
    states: dict[int, list[SyncState]] = {connection.pk: [] for connection in connections}
    for state in SyncState.objects.filter(connection__in=connections).order_by("id"):
        states[state.connection_id].append(state)
    return {connection.pk: connection_state(connection, states[connection.pk]) for connection in connections}
