"""Has closing and issuing approved by a second person: asking, looking at what would be done, answering.

What an approver saw is what is done: an answer names the digest of the run that was shown, and one that has changed
since is not carried out; closing alone still takes up deals that came last. Whoever asked cannot approve.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from jobs.models import Job
from jobs.services import TooMany, ask
from reporting.commission.book_jobs import CLOSE, ISSUE, periods_to_close
from reporting.commission.drafts import Fate, closed_periods, drafts_of, fate_of
from reporting.commission.money import round_money
from reporting.commission.refusals import CannotBook
from reporting.commission.services import calendar_of
from reporting.commission.statements import clients_of
from reporting.identity import parties_of
from reporting.models import ApprovalState, BillingIdentity, CommissionLine, RunRequest
from users.models import Membership, User, Workspace
from users.permissions import billing_members
from users.services import record_audit

NOUNS = {CLOSE: ("billing period", "billing periods"), ISSUE: ("statement", "statements")}


@dataclass(slots=True)
class Outlook:
    """What a run would do now. number: of periods or statements; sums: {currency: amount}, of statements without tax.

    periods, accounts (connection's id, subscriber's id): what is looked at for it.
    """

    number: int = 0
    sums: dict[str, Decimal] = field(default_factory=dict)
    periods: list[int] = field(default_factory=list)
    accounts: list[tuple[int, str]] = field(default_factory=list)
    digest: str = ""

    def add(self, currency: str, amount: Decimal) -> None:
        self.sums[currency] = self.sums.get(currency, Decimal(0)) + amount


def outlook(asker: Membership, kind: str, parameters: Mapping[str, Any], now: datetime) -> Outlook:
    """What a run of these parameters would do, for whoever asks."""
    run, facts = (_issuing if kind == ISSUE else _closing)(asker, parameters, now)
    run.sums = dict(sorted(run.sums.items()))
    run.digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
    return run


def _issuing(asker: Membership, parameters: Mapping[str, Any], now: datetime) -> tuple[Outlook, list[Any]]:
    workspace, run, facts = asker.workspace, Outlook(), []
    until, identity = datetime.fromisoformat(parameters["until"]), BillingIdentity.of(workspace)
    consents = {name: bool(parameters.get(name)) for name in ("accepts_old_rates", "with_small")}
    clients = clients_of(workspace)
    for draft in drafts_of(workspace, until):
        account = draft.account
        key = account.connection_id, account.subscriber_id
        run.accounts.append(key)
        if fate_of(draft, identity.minimum(account.currency), **consents) == Fate.ISSUED:
            run.number += 1
            run.add(account.currency, draft.amount)
            parties = parties_of(identity, clients.get(key), account_name=draft.subscriber_name)  # and the rate of tax
            facts.append((key, account.currency, str(draft.amount), parties, [item.period_id for item in draft.items]))
    run.periods = closed_periods(workspace, until)
    return run, facts


def _closing(asker: Membership, parameters: Mapping[str, Any], now: datetime) -> tuple[Outlook, list[Any]]:
    names = ("connection_id", "strategy_id", "period_start", "period_end")
    rows = list(periods_to_close(asker, parameters, now).order_by("pk").values("pk", *names))
    run = Outlook(len(rows), periods=[row["pk"] for row in rows])
    if not rows:
        return run, []
    wanted = {tuple(row[name] for name in names) for row in rows}
    lines = CommissionLine.objects.visible_to(asker).filter(
        period_start__gte=min(row["period_start"] for row in rows),
        strategy_id__in={row["strategy_id"] for row in rows},
        member_id="",
    )
    for sums in lines.totals(*names):
        if tuple(sums[name] for name in names) in wanted:
            run.add(sums["currency"], sums["total"])
    facts = [run.periods, sorted((key, str(amount)) for key, amount in run.sums.items())]
    return run, facts


def others_who_may_approve(workspace: Workspace, requester: User) -> list[User]:
    """People who may approve what one asks for."""
    return [member.user for member in billing_members(workspace).exclude(user=requester).order_by("pk")]


def nobody_else(workspace: Workspace, requester: User) -> str:
    """What to do where nobody can approve, a sentence; empty: somebody can."""
    if others_who_may_approve(workspace, requester):
        return ""
    return (
        "Nobody else here may approve it. Invite a second owner, manager or accountant under Settings > Members, or an"
        " owner switches the approval off under Settings > Workspace."
    )


def _scope_of(parameters: Mapping[str, Any]) -> str:
    strategy = parameters.get("strategy_id")
    return f"{parameters['connection_id']}/{strategy}" if strategy else ""


@transaction.atomic
def request_run(
    asker: Membership, kind: str, *, title: str, parameters: Mapping[str, Any], origin: str, now: datetime
) -> tuple[RunRequest, bool]:
    """(the request, whether it is new): one waits for a kind of run and what it is about, whoever asks again."""
    run = outlook(asker, kind, parameters, now)
    values = {
        "title": title[:200],
        "parameters": dict(parameters),
        "origin": origin,
        "number": run.number,
        "sums": {currency: str(round_money(amount, currency)) for currency, amount in run.sums.items()},
        "requested_at": now,
        "requested_by": asker.user,
    }
    own, is_new = RunRequest.objects.get_or_create(
        workspace=asker.workspace,
        kind=kind,
        scope=_scope_of(parameters),
        state=ApprovalState.WAITING,
        defaults=values,
    )
    if is_new:
        record_audit(asker.workspace, user=asker.user, action="approval requested", subject=own.title, now=now)
    return own, is_new


def _lock_waiting(request: RunRequest) -> RunRequest:
    """Lock a request. Raises CannotBook where it was answered before."""
    own = RunRequest.objects.select_for_update().get(pk=request.pk)
    if own.state == ApprovalState.WAITING:
        return own
    who = f" by {own.settled_by}" if own.settled_by else ""
    raise CannotBook(f"Nothing was done: {own.get_state_display().lower()} already{who}.")


def _settle(own: RunRequest, state: str, action: str, *, by: User, note: str, now: datetime) -> None:
    own.state, own.settled_at, own.settled_by, own.note = state, now, by, note
    own.save(update_fields=["state", "settled_at", "settled_by", "note", "job"])
    details = {"note": note} if note else {}
    record_audit(own.workspace, user=by, action=action, subject=own.title, details=details, now=now)


@transaction.atomic
def approve_run(request: RunRequest, *, by: Membership, seen: str, note: str = "", now: datetime) -> Job:
    """Let the run be carried out, in the name of whoever asked; returns its job, which waits for `run_now`.

    seen: the digest of the outlook that was shown. Raises CannotBook.
    """
    own = _lock_waiting(request)
    if own.requested_by_id == by.user_id:
        raise CannotBook("You asked for this run yourself: somebody else has to approve it.")
    asker = billing_members(own.workspace).filter(user=own.requested_by_id).first()
    if asker is None:
        raise CannotBook(
            f"{own.requested_by} may not close or issue here any more. Decline it, and ask for it yourself."
        )
    run = outlook(asker, own.kind, own.parameters, now)
    if run.digest != seen:
        raise CannotBook("What the run would do has changed since this page was shown. Look at it again.")
    if not run.number:
        raise CannotBook("Nothing is left to do. Decline it.")
    due_on = own.parameters.get("due_on")
    if due_on and date.fromisoformat(due_on) < calendar_of(own.workspace).day_of(now):
        raise CannotBook(f"They would be due on {due_on}, which is over. Decline it, and ask with a later day.")
    seen_by_approver = {"periods": run.periods, "accounts": run.accounts} if own.kind == ISSUE else {}
    parameters = own.parameters | seen_by_approver
    try:
        own.job = ask(
            own.kind,
            asker,
            title=own.title,
            parameters=parameters,
            origin=own.origin,
            key=f"approval-{own.pk}",
            now=now,
            wakes=False,
        )
    except TooMany as error:
        raise CannotBook(f"{own.requested_by} has too many unfinished jobs. Approve it when one has ended.") from error
    _settle(own, ApprovalState.APPROVED, "run approved", by=by.user, note=note, now=now)
    return own.job


@transaction.atomic
def decline_run(request: RunRequest, *, by: Membership, note: str, now: datetime) -> None:
    """Say no, and why. Raises CannotBook."""
    own = _lock_waiting(request)
    if own.requested_by_id == by.user_id:
        raise CannotBook("You asked for this run yourself: withdraw it instead.")
    _settle(own, ApprovalState.DECLINED, "run declined", by=by.user, note=note, now=now)


@transaction.atomic
def withdraw_run(request: RunRequest, *, by: Membership, now: datetime) -> None:
    """Take back what one asked for. Raises CannotBook."""
    own = _lock_waiting(request)
    if own.requested_by_id != by.user_id:
        raise CannotBook(f"Only {own.requested_by} can withdraw it. Decline it instead.")
    _settle(own, ApprovalState.WITHDRAWN, "approval withdrawn", by=by.user, note="", now=now)
