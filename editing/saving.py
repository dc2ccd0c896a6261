"""Saving a proposed change so that a lost answer, a dead process or two people leave no wrong word about it.

1. claim: the intent is committed as `sending`; it is the only one in flight for its object (a unique index).
2. compare: what the backend has now with what the proposal started from; another document is never overwritten.
3. send: one PUT or DELETE, outside any database transaction.
4. record: done, with its audit entry; refused; or unknown, where the answer was lost.
5. mirror: what the backend has now. Where that fails the change is saved all the same, and the sync brings it.

Whatever stops between these steps leaves the row in flight. `settle` reads the backend's document to say what became
of it: the page's button calls it, whoever saves the same object next, and a periodic task (editing/tasks.py).
"""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from copying.client import Client, ClientError, Rejected
from copying.contract import wire
from editing.backend import NotDone
from editing.evidence import Verdict, verdict_on_removal, verdict_on_write
from editing.merging import writable
from editing.models import IN_FLIGHT, Action, Change, ChangeOutcome
from editing.proposals import TYPE_AGAIN, summary_of
from editing.scopes import scope_of
from editing.secrets import holds_new_secret
from editing.targets import SUBSCRIBER, Document, RemovalInstructions, current_document, target_of
from users import acting
from users.events import emit
from users.models import User
from users.services import record_audit

# a request takes 35 s at most (editing.proposals.PATIENCE): by then it has arrived, or its process is gone
MAY_ARRIVE_FOR = timedelta(seconds=60)  # after it was sent and its answer lost
IS_SENDING_FOR = timedelta(seconds=120)  # without a word from the process that sends it
WAIT_S = 8.0  # for somebody else's save of the same object
LOOK_EVERY_S = 0.1
ASK_EVERY = timedelta(seconds=10)
DEFAULT_MODE = "close-immediately"
AUDITED = {
    ChangeOutcome.DONE: "",
    ChangeOutcome.UNKNOWN: ": not confirmed",
    ChangeOutcome.NOT_DONE: ": not carried out",
    ChangeOutcome.OVERTAKEN: ": overtaken",
}
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conflict:
    """The object is another one now. current: as the backend has it, None: it is gone."""

    current: Document | None


@dataclass(frozen=True)
class Busy:
    """Another save of the object is in flight. rival: the change that it belongs to."""

    rival: Change


@dataclass(frozen=True)
class Attempt:
    """How far a change came before this attempt to save it."""

    outcome: str
    sent_at: datetime | None
    sent_by_id: int | None

    @property
    def was_in_flight(self) -> bool:
        return self.outcome in IN_FLIGHT


class InFlight(Exception):
    """Something of the object is being saved. rival: None where it was over before it could be read."""

    def __init__(self, rival: Change | None):
        super().__init__("in flight")
        self.rival = rival


def save_change(change: Change, *, client: Client, by: User | None, now: datetime) -> Change | Conflict | Busy:
    """Do at the backend what was proposed; saving twice does it once. It must not be called in a transaction.

    The change comes back with `saved_at`, or in flight where nobody knows whether it was carried out. Raises the
    client's errors where it is known that it was not; NotDone where it would tell a secret to another backend than it
    was typed for.
    """
    attempt = _claim_in_turn(change, client=client, by=by, now=now)
    if isinstance(attempt, Busy) or change.saved_at is not None:
        return attempt if isinstance(attempt, Busy) else change
    try:
        current = current_document(client, change)
    except ClientError:
        _release(change, attempt)
        raise
    if attempt.sent_at is not None and change.is_of_destination and verdict_of(change, current) == Verdict.DONE:
        _release(change, attempt)  # it was carried out then, for whoever saved it then
        return _finish(change, client=client, now=now)
    if writable(current or {}) != writable(change.before):
        _release(change, attempt)
        if change.is_in_flight and not may_arrive(change, now):
            record(change, ChangeOutcome.OVERTAKEN, now=now)
        return Conflict(current)
    if not change.is_of_destination and holds_new_secret(change.after, current or {}):
        _release(change, attempt)
        raise NotDone(TYPE_AGAIN.format(name=change.connection.name), is_refusal=True)
    try:
        write(change, client=client)
    except ClientError as error:
        return _failed(change, attempt, error, client=client, now=now)
    return _finish(change, client=client, now=now)


def settle(change: Change, *, client: Client, now: datetime) -> Change:
    """Ask the backend what became of a change in flight, and record it as soon as that is certain.

    Only what is in force is certain at once: what is not may still be on its way. Raises the client's errors.
    """
    if not change.is_in_flight:
        return change
    # the connection leads to another backend now, whose document says nothing about what the former one did
    verdict = verdict_of(change, current_document(client, change)) if change.is_of_destination else Verdict.OVERTAKEN
    if verdict == Verdict.DONE:
        return _finish(change, client=client, now=now, has_sent=False)
    Change.objects.filter(pk=change.pk).update(looked_at=now)
    change.looked_at = now
    if not may_arrive(change, now):
        record(change, ChangeOutcome(verdict.value), now=now)
    elif change.outcome == ChangeOutcome.SENDING and now >= sent_moment(change) + IS_SENDING_FOR:
        record(change, ChangeOutcome.UNKNOWN, now=now)
    return change


def sent_moment(change: Change) -> datetime:
    """When a change in flight was sent: that is written before anything is."""
    if change.sent_at is None:
        raise ValueError(f"Change {change.pk} is in flight and was never sent.")
    return change.sent_at


def may_arrive(change: Change, now: datetime) -> bool:
    """Whether the request may still be on its way, so that a document without it proves nothing."""
    return now < sent_moment(change) + (IS_SENDING_FOR if change.outcome == ChangeOutcome.SENDING else MAY_ARRIVE_FOR)


def due_to_settle(now: datetime) -> QuerySet[Change]:
    """Changes in flight that a process has left, those first that were asked for longest ago."""
    left = Q(outcome=ChangeOutcome.UNKNOWN) | Q(sent_at__lte=now - IS_SENDING_FOR)
    due = Change.objects.in_flight().filter(left).filter(Q(looked_at=None) | Q(looked_at__lte=now - ASK_EVERY))
    return due.select_related("connection", "workspace", "sent_by").order_by(F("looked_at").asc(nulls_first=True), "id")


def verdict_of(change: Change, current: Document | None) -> Verdict:
    """What the backend's document (None: there is none) says about a change that was sent."""
    mode = change.instructions.get("mode") or DEFAULT_MODE
    if change.action == Action.REMOVE:
        return verdict_on_removal(change.before, current, mode)
    if change.action == Action.TAKE_OUT:
        scope = scope_of(change, change.part)
        return verdict_on_removal(scope.settings_in(change.before), scope.settings_in(current or {}), mode)
    return verdict_on_write(change.before, change.after, current)


def write(change: Change, *, client: Client) -> None:
    """The one call that does it."""
    target, until = target_of(change.kind), change.instructions.get("removeAfter")
    instructions = RemovalInstructions(
        change.instructions.get("mode") or None, wire.parse_time(until) if until else None
    )
    if change.action == Action.REMOVE:
        target.remove(client, change.backend_id, instructions)
    elif change.action == Action.TAKE_OUT:
        target.remove_part(client, change.backend_id, change.part, instructions)
    else:
        document = {name: value for name, value in change.after.items() if name != "_id"}
        target.put(client, change.backend_id, document)


def mirror(change: Change, *, client: Client, now: datetime) -> Document:
    """Take over what the backend now has; {} when the object is gone."""
    document = current_document(client, change)
    target_of(change.kind).mirror(change.connection, change.backend_id, document, now=now)
    return document or {}


# --- The intent -----------------------------------------------------------------------------------------------------
def _claim_in_turn(change: Change, *, client: Client, by: User | None, now: datetime) -> Attempt | Busy:
    """Claim the object for this save; whoever saves it at the same moment is waited for, what was left is settled."""
    stop_at = time.monotonic() + WAIT_S
    while True:
        try:
            return _claim(change, by=by, now=now)
        except InFlight as error:
            rival = error.rival
        if rival is not None and (rival.outcome == ChangeOutcome.UNKNOWN or now >= sent_moment(rival) + IS_SENDING_FOR):
            settle(rival, client=client, now=now)
            if rival.is_in_flight:
                return Busy(rival)
        elif time.monotonic() >= stop_at and rival is not None:
            return Busy(rival)
        else:
            time.sleep(LOOK_EVERY_S)


def _claim(change: Change, *, by: User | None, now: datetime) -> Attempt:
    """Commit that it is being sent. Raises InFlight where it, or another change of the object, already is."""
    same = Change.objects.select_related("connection", "workspace", "sent_by").filter(
        connection_id=change.connection_id, kind=change.kind, backend_id=change.backend_id
    )
    try:
        with transaction.atomic():
            row = Change.objects.select_for_update().get(pk=change.pk)
            attempt = Attempt(row.outcome, row.sent_at, row.sent_by_id)
            if row.saved_at is None:
                if row.outcome == ChangeOutcome.SENDING and now < sent_moment(row) + IS_SENDING_FOR:
                    raise InFlight(row)
                if rival := same.in_flight().exclude(pk=row.pk).first():
                    raise InFlight(rival)
                row.outcome, row.sent_at, row.sent_by, row.sent_with = ChangeOutcome.SENDING, now, by, token_in_use()
                row.save(update_fields=["outcome", "sent_at", "sent_by", "sent_with"])
    except IntegrityError:  # another one of the object was claimed between our look and our write
        raise InFlight(same.in_flight().exclude(pk=change.pk).first()) from None
    _copy_row(change, row)
    return attempt


def token_in_use() -> str:
    """Name of the access token that is acting; "" where a person does on a page."""
    origin = acting.current()
    return origin.name[:80] if origin.via == "token" else ""


def _release(change: Change, attempt: Attempt) -> None:
    """This attempt sent nothing: what was known before it holds. One that a dead process left is not known."""
    outcome = ChangeOutcome.UNKNOWN if attempt.was_in_flight else attempt.outcome
    own = Change.objects.filter(pk=change.pk, saved_at=None, outcome=ChangeOutcome.SENDING)
    own.update(outcome=outcome, sent_at=attempt.sent_at, sent_by=attempt.sent_by_id)
    change.refresh_from_db(fields=["outcome", "sent_at", "sent_by", "saved_at", "saved_by"])


def _failed(change: Change, attempt: Attempt, error: ClientError, *, client: Client, now: datetime) -> Change:
    """The write failed: raises the error where that is certain, else the change stays in flight unless it shows."""
    if error.may_be_done:
        with contextlib.suppress(ClientError):  # the answer was lost, not necessarily what was asked
            settle(change, client=client, now=now)
        record(change, ChangeOutcome.UNKNOWN, now=now)
        return change
    if isinstance(error, Rejected) and not attempt.was_in_flight:
        record(change, ChangeOutcome.REFUSED, now=now, problems=error.details)
    else:
        _release(change, attempt)
    raise error


def _finish(change: Change, *, client: Client, now: datetime, has_sent: bool = True) -> Change:
    """It is carried out: record that first, then take over what the backend has.

    has_sent: it was written a moment ago, so the backend's form of it is what an undo starts from.
    """
    record(change, ChangeOutcome.DONE, now=now)
    try:
        document = mirror(change, client=client, now=now)
    except ClientError as error:
        logger.warning("change %s is saved, but what the backend has now could not be read: %s", change.pk, error.text)
        return change
    change.is_mirrored = True
    if has_sent:
        change.after = document
        change.save(update_fields=["after"])
    return change


@transaction.atomic
def record(change: Change, outcome: ChangeOutcome, *, now: datetime, problems: list | None = None) -> None:
    """Write down how far it came, once, with its audit entry. That it is carried out holds against anything else."""
    row = Change.objects.select_for_update().get(pk=change.pk)
    is_news = row.saved_at is None and (outcome == ChangeOutcome.DONE or (row.is_in_flight and row.outcome != outcome))
    if is_news:
        row.outcome, row.problems = outcome, problems or []
        if outcome == ChangeOutcome.DONE:
            row.saved_by_id, row.saved_at, row.summary = row.sent_by_id, row.sent_at, summary_of(row)
        row.save(update_fields=["outcome", "problems", "saved_by", "saved_at", "summary"])
        _note(row, outcome, now)
    _copy_row(change, row)


def _note(change: Change, outcome: ChangeOutcome, now: datetime) -> None:
    """The audit entry; a refusal changes nothing and has none."""
    if outcome not in AUDITED:
        return
    if outcome == ChangeOutcome.DONE and change.kind == SUBSCRIBER:
        emit(change.workspace_id, "subscription.changed", told_of(change), now=now)
    record_audit(
        change.workspace,
        user=change.sent_by,
        action=f"{change.kind} {change.get_action_display().lower()}{AUDITED[outcome]}",
        subject=change.name,
        details={"id": change.backend_id, "part": change.part, "change": change.pk}
        | ({"token": change.sent_with} if change.sent_with else {})
        | ({"as": "client"} if change.as_client else {}),
        now=now,
    )


def told_of(change: Change) -> dict[str, str | int | bool]:
    """A change of an account as programs are told of it: what is different, in words, and nothing that is secret."""
    return {
        "change": change.pk,
        "subscriber_backend_id": change.backend_id,
        "subscriber_name": change.name,
        "strategy_backend_id": change.part,
        "action": change.action,
        "as_client": change.as_client,
        "differences": change.summary,
    }


def _copy_row(change: Change, row: Change) -> None:
    """What the row says, in the object that the caller holds."""
    same = (
        "outcome",
        "sent_at",
        "sent_by_id",
        "sent_with",
        "looked_at",
        "saved_at",
        "saved_by_id",
        "summary",
        "problems",
    )
    for name in same:
        setattr(change, name, getattr(row, name))
