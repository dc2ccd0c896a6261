"""Starting, stopping, restarting and removing an account: jobs, because the backend only takes the wish at once.

What is wished is sent, which may be repeated, and then looked for every few seconds, so that somebody who waits sees it
and somebody who left finds it under Jobs. A refusal is a sentence that says what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from accounts.mirror import keep_accounts, mark_removed
from accounts.models import BrokerAccount
from accounts.states import BROKER_STATES
from copying.client import Client, Forbidden, NotFound
from jobs import services
from jobs.kinds import JobKind, JobRefused, JobStep, Result, Work, register, staff
from jobs.models import Job
from users.models import Connection, Membership
from users.permissions import can_manage
from users.services import record_audit

LOOK_EVERY_S = 3.0
LONGEST = timedelta(minutes=15)
SETTLED_AFTER = timedelta(seconds=20)  # the state of before may still be told right after a wish was taken
CLIENT_OPTIONS = {"timeout_s": 10, "retries": 1, "wait_budget_s": 2}
GONE = "The backend does not have this account any more."
NOT_ALLOWED = "The backend does not let this token do that: it needs access to the accounts' API."


@dataclass(frozen=True)
class AccountAct:
    """One wish. words: in a job's title and the log; goal: codes of states in which it is done; done: a sentence."""

    words: str
    goal: tuple[str, ...]
    done: str
    send: Callable[[Client, str], None] | None = None


ACTS = {
    "deploy": AccountAct("Start", ("connected",), "It runs and is connected to its broker.", Client.deploy),
    "undeploy": AccountAct("Stop", ("stopped",), "It is stopped.", Client.undeploy),
    "redeploy": AccountAct("Restart", ("connected",), "It runs again and is connected to its broker.", Client.redeploy),
    "remove": AccountAct("Remove", ("removed",), "The backend has removed it.", Client.remove_trading_account),
    "follow": AccountAct("Connect", ("connected", "draft"), "It runs and is connected to its broker."),
}
FAILED = ("start-failed", "stop-failed", "restart-failed", "removal-failed")


def slices(work: Work) -> Iterator[JobStep]:
    """The wish is sent once a job, or again after a crash, which harms nothing; then the account is looked at."""
    account, act = _account(work), ACTS[work.job.parameters["act"]]
    cursor = dict(work.job.cursor)
    with Connection.objects.get(pk=account.connection_id).client(**CLIENT_OPTIONS) as client:
        if "sent_at" not in cursor:
            _send(act, account, client)
            cursor = {"sent_at": work.now.isoformat()}
            yield JobStep(cursor=cursor, message="The backend has accepted it.", pause_s=LOOK_EVERY_S)
        yield _look(act, account, client, sent_at=datetime.fromisoformat(cursor["sent_at"]), now=work.now)


def _account(work: Work) -> BrokerAccount:
    own = BrokerAccount.objects.visible_to(work.asker).select_related("workspace", "connection")
    account = own.filter(pk=work.job.parameters["account"]).first()
    if account is None:
        raise JobRefused(GONE)
    return account


def _send(act: AccountAct, account: BrokerAccount, client: Client) -> None:
    try:
        if act.send is not None:
            act.send(client, account.backend_id)
    except NotFound as error:
        if "removed" not in act.goal:
            raise JobRefused(GONE) from error
    except Forbidden as error:
        raise JobRefused(NOT_ALLOWED) from error


def _look(act: AccountAct, account: BrokerAccount, client: Client, *, sent_at: datetime, now: datetime) -> JobStep:
    """How far it is. Raises JobRefused where it cannot be reached any more."""
    code = _state_now(account, client, now=now)
    href, waited = reverse("accounts:detail", args=[account.pk]), now - sent_at
    if code in act.goal and (act.words != "Restart" or waited >= SETTLED_AFTER):
        is_draft = code == "draft"
        return JobStep(result=Result("It waits for its login." if is_draft else act.done, href=href))
    if code == "removed":
        raise JobRefused(GONE)
    state = BROKER_STATES[code]
    if code in FAILED and waited >= SETTLED_AFTER:
        raise JobRefused(f"{state.words}. {state.why}.")
    if waited >= LONGEST:
        raise JobRefused(f"It is still not done after 15 minutes: {state.words.lower()}. {state.why}".strip() + ".")
    return JobStep(message=f"{state.words}.", pause_s=LOOK_EVERY_S)


def _state_now(account: BrokerAccount, client: Client, *, now: datetime) -> str:
    """The code of its state as the backend tells it at this moment. Raises the client's errors."""
    try:
        document = client.trading_account_document(account.backend_id)
    except NotFound:
        mark_removed(account.connection, [account.backend_id])
        return "removed"
    keep_accounts(account.connection, [document], now=now)
    return BrokerAccount.objects.get(pk=account.pk).state_code


KIND = register(
    JobKind(
        key="trading-account",
        words="Trading account",
        unit="accounts",
        slices=slices,
        may_see=staff,
        may_ask=can_manage,
        is_stored_by_slice=False,
        stays=timedelta(days=30),
    )
)


def ask_for(name: str, account: BrokerAccount, membership: Membership, *, now: datetime, key: str = "") -> Job:
    """Have an act carried out. Raises jobs.services.TooMany. key: of the form, so that sending it twice is one job."""
    act = ACTS[name]
    job = services.ask(
        KIND.key,
        membership,
        title=f"{act.words} {account}",
        parameters={"account": account.pk, "act": name},
        origin=reverse("accounts:detail", args=[account.pk]),
        key=key,
        now=now,
    )
    if act.send is not None and job.created_at == now:
        action = f"trading account {act.words.lower()}"
        record_audit(
            account.workspace,
            user=membership.user,
            action=action,
            subject=account.name,
            details={"id": account.backend_id, "connection": account.connection.name},
            now=now,
        )
    return job
