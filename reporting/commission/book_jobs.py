"""Closing and issuing as jobs: slices that are whole by themselves, so that a kill or a cancelling leaves clear books.

A strategy's periods are closed in one transaction, after its lines were made final some subscribers at a time. Issuing
is so many accounts a transaction, in the order in which one transaction would have numbered their statements. What is
closed or issued stays so; what is not is as it was before, and trying the job again goes on there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from jobs.kinds import JobKind, JobRefused, JobStep, Result, Work, register, staff
from reporting.commission.closing import close_strategy, settle_slice
from reporting.commission.drafts import Among, accounts_to_issue, closed_periods, drafts_of
from reporting.commission.services import Bounds
from reporting.commission.statements import issue_statements
from reporting.models import ApprovalState, BillingPeriod, RunRequest
from users.models import Membership, Workspace
from users.permissions import can_bill

SLICE = Bounds()
ACCOUNTS_PER_SLICE = 100
CLOSE, ISSUE = "close-periods", "issue-statements"


def _refuse_unapproved(work: Work) -> None:
    """A run that was begun, or is tried again, while nobody approved it. Raises JobRefused."""
    job = work.job
    if not job.workspace.asks_approval:
        return
    if not RunRequest.objects.filter(job=job, state=ApprovalState.APPROVED).exists():
        raise JobRefused("Nothing more is done: a second person has to approve it. Ask for it again.")


def close_slices(work: Work) -> Iterator[JobStep]:
    """Close what is open and ended by `until`, of one strategy or of all; counted in periods.

    A slice is some subscribers of a strategy, the last one with the closing of its periods. Which strategies and until
    when is settled by the first slice: making lines final may bring periods to light that nobody has looked at.
    """
    _refuse_unapproved(work)
    workspace, cursor = work.job.workspace, work.job.cursor
    waiting, total, closed = cursor.get("waiting"), cursor.get("total", 0), cursor.get("closed", 0)
    if waiting is None:
        waiting, total = _to_close(work)
    while waiting:
        connection_id, strategy_id, name, until = waiting[0]
        end = datetime.fromisoformat(until)
        while settle_slice(workspace, connection_id, strategy_id, until=end, now=work.now, bounds=SLICE):
            cursor = {"waiting": waiting, "total": total, "closed": closed}
            yield JobStep(cursor, done=closed, total=total, message=_words_so_far(closed, name))
        outcome = close_strategy(
            workspace, connection_id, strategy_id, until=end, by=work.job.asked_by, now=work.now, closed_at=work.now
        )
        closed += len(outcome.periods)
        total = max(total, closed)  # deals that were not accrued yet make periods of their own
        waiting = waiting[1:]
        cursor = {"waiting": waiting, "total": total, "closed": closed}
        yield JobStep(cursor, done=closed, total=total, message=_words_so_far(closed))
    yield JobStep(done=closed, total=total, result=_result(closed_words(closed), closed, "reporting:periods"))


def periods_to_close(asker: Membership, parameters: Mapping[str, Any], now: datetime) -> QuerySet[BillingPeriod]:
    """The periods that a job with these parameters closes."""
    until = datetime.fromisoformat(parameters["until"])
    periods = BillingPeriod.objects.visible_to(asker).to_close(now).filter(period_end__lte=until)
    if strategy_id := parameters.get("strategy_id"):
        periods = periods.filter(connection_id=parameters["connection_id"], strategy_id=strategy_id)
    return periods


def _to_close(work: Work) -> tuple[list[list[Any]], int]:
    """([connection, strategy, its name, end of its last period to close], how many periods these are)."""
    periods = periods_to_close(work.asker, work.job.parameters, work.now)
    ends: dict[tuple[int, str], list[Any]] = {}
    rows = list(
        periods.order_by("period_end").values_list("connection_id", "strategy_id", "strategy__name", "period_end")
    )
    for connection_id, strategy_id, name, end in rows:
        ends[connection_id, strategy_id] = [connection_id, strategy_id, name or strategy_id, end.isoformat()]
    return [ends[key] for key in sorted(ends)], len(rows)


def _result(text: str, number: int, page: str) -> Result:
    return Result(text, href=reverse(page), details={"number": number})


def closed_words(number: int) -> str:
    """What closing did."""
    if not number:
        return "Nothing was left to close: no open period has ended."
    return f"{_periods_are(number)} closed."


def _words_so_far(number: int, following: str = "") -> str:
    """What is closed for good: it stays in the row of a job that is cancelled or fails."""
    return f"{_periods_are(number)} closed so far" + (f"; {following} is next." if following else ".")


def _periods_are(number: int) -> str:
    return f"{number} billing {'period is' if number == 1 else 'periods are'}"


def issue_slices(work: Work) -> Iterator[JobStep]:
    """Issue to every account with something closed by `until` on no statement; counted in accounts.

    All are issued at the moment of the first slice, as in one go. An account that is renamed to stand before those that
    are done already waits for the next issuing.
    """
    _refuse_unapproved(work)
    workspace, cursor = work.job.workspace, work.job.cursor
    until, due_on = datetime.fromisoformat(work.job.parameters["until"]), work.job.parameters["due_on"]
    now = datetime.fromisoformat(cursor.get("now") or work.now.isoformat())
    # as they were at the start: a period whose last amount is issued is closed no more, its lines of nothing go along
    # where a second person approved it: what that person saw
    chosen = work.job.parameters.get("periods")
    periods = cursor.get("periods") or (closed_periods(workspace, until) if chosen is None else chosen)
    issued, done, after = cursor.get("issued", 0), cursor.get("done", 0), cursor.get("after")
    waiting = [key for key in accounts_to_issue(workspace, periods) if after is None or list(key) > after]
    if (accounts := work.job.parameters.get("accounts")) is not None:
        seen = {(connection_id, subscriber_id) for connection_id, subscriber_id in accounts}
        waiting = [key for key in waiting if (key[2], key[1]) in seen]
    total = done + len(waiting)
    for start in range(0, len(waiting), ACCOUNTS_PER_SLICE):
        part = waiting[start : start + ACCOUNTS_PER_SLICE]
        accounts = [(connection_id, subscriber_id) for _, subscriber_id, connection_id in part]
        documents = issue_statements(
            workspace,
            until=until,
            due_on=date.fromisoformat(due_on),
            by=work.job.asked_by,
            now=now,
            among=Among(accounts, periods),
            accepts_old_rates=bool(work.job.parameters.get("accepts_old_rates")),
            with_small=bool(work.job.parameters.get("with_small")),
        )
        issued, done = issued + len(documents), done + len(part)
        cursor = {"after": list(part[-1]), "now": now.isoformat(), "periods": periods, "issued": issued, "done": done}
        yield JobStep(cursor, done=done, total=total, message=issued_words(issued))
    words = issued_words(issued, _count_waiting(workspace, until))
    yield JobStep(done=done, total=total, result=_result(words, issued, "reporting:statements"))


def _count_waiting(workspace: Workspace, until: datetime) -> int:
    """Accounts whose statement waits for somebody to accept its rates."""
    return sum(1 for draft in drafts_of(workspace, until) if draft.amount and draft.is_rate_old)


def issued_words(number: int, waiting: int = 0) -> str:
    """What issuing did. waiting: statements at rates that nobody has accepted."""
    if waiting:
        wait = "1 waits: its rates are" if waiting == 1 else f"{waiting} wait: their rates are"
        return f"{issued_words(number) if number else 'Nothing is issued.'} {wait} older than 3 business days."
    if not number:
        return "Nothing to issue: everything closed and owed is on a statement already."
    return f"{number} {'statement is' if number == 1 else 'statements are'} issued."


CLOSING = register(
    JobKind(
        key=CLOSE,
        words="Closing of periods",
        unit="periods",
        slices=close_slices,
        may_see=staff,
        may_ask=can_bill,
        waits_for=(CLOSE,),
    )
)
ISSUING = register(
    JobKind(
        key=ISSUE,
        words="Issuing of statements",
        unit="accounts",
        slices=issue_slices,
        may_see=staff,
        may_ask=can_bill,
        waits_for=(CLOSE, ISSUE),
    )
)
