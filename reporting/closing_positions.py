"""Closing positions at accounts by hand: one, or those of a signal at many clients as a job. Each is one trade call.

A position is closed by its id, which no other position ever has: asked twice, the second answer is that it is not open
any more. Where an answer is lost, the account is asked whether the position is still there. The provider's own trade
stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.urls import reverse

from copying.client import Client, ClientError, Forbidden, NotConnected, NotFound
from copying.client.credits import STATE_READ, TRADE_SENT
from copying.contract.accounts import TradeRequest
from copying.contract.terminal import TRADE_SUCCESSES
from editing.backend import PATIENCE
from jobs.kinds import JobKind, JobStep, Result, Work, register, staff
from reporting import open_sums
from reporting.models import OpenPosition, SyncKind, SyncState
from reporting.sync.states import request_sync
from reporting.sync.turns import draw_credits
from reporting.watching import BY_ACCOUNT
from users.models import Connection, User
from users.permissions import can_manage
from users.services import record_audit

CLOSE = "close-positions"
IN_PART, PLACED, NOT_OPEN = 10010, 10008, 10036
MOST_PROBLEMS = 5  # named in words; all of them are in the audit log
NOT_TRADED = "The backend does not trade at this account for this token: it needs access to the accounts' API."
CLOSED, GONE, REFUSED, UNCONFIRMED = "closed", "gone", "refused", "unconfirmed"


@dataclass(frozen=True)
class ClosingOutcome:
    """What became of one position. text: a sentence of the backend, or why it is not known."""

    code: str
    text: str = ""
    is_gone: bool = False  # nothing of it is open any more


def close_position(position: OpenPosition, *, client: Client, by: User | None, now: datetime) -> ClosingOutcome:
    """Close one position at its account and note who did. Raises nothing that the backend may answer."""
    outcome = _send(position, client, now)
    if outcome.code != GONE:
        word = {CLOSED: "", UNCONFIRMED: ": not confirmed", REFUSED: ": refused"}[outcome.code]
        _note(position, f"position closed{word}", outcome.text, by=by, now=now)
    if outcome.is_gone:
        with transaction.atomic():
            OpenPosition.objects.filter(pk=position.pk).delete()
    return outcome


def _send(position: OpenPosition, client: Client, now: datetime) -> ClosingOutcome:
    draw_credits(position.connection, TRADE_SENT, now=now)
    account = position.subscriber_id
    request = TradeRequest(action_type="POSITION_CLOSE_ID", position_id=position.position_id)
    try:
        result = client.terminal_trade(account, request)
    except NotConnected as error:
        return ClosingOutcome(REFUSED, error.text)
    except (NotFound, Forbidden):
        return ClosingOutcome(REFUSED, NOT_TRADED)
    except ClientError as error:
        return (
            _after_silence(position, client, error, now) if error.may_be_done else ClosingOutcome(REFUSED, error.text)
        )
    if result.numeric_code == NOT_OPEN:
        return ClosingOutcome(GONE, is_gone=True)
    if result.numeric_code not in TRADE_SUCCESSES:
        return ClosingOutcome(REFUSED, result.message or result.string_code)
    is_partial = result.numeric_code in (IN_PART, PLACED)
    return ClosingOutcome(CLOSED, "in part" if result.numeric_code == IN_PART else "", is_gone=not is_partial)


def _after_silence(position: OpenPosition, client: Client, error: ClientError, now: datetime) -> ClosingOutcome:
    """The answer was lost: whether the position is still there says whether it was closed."""
    draw_credits(position.connection, STATE_READ, now=now)
    try:
        open_now = {str(trade.id) for trade in client.terminal_positions(position.subscriber_id)}
    except ClientError:
        return ClosingOutcome(UNCONFIRMED, error.text)
    if position.position_id not in open_now:
        return ClosingOutcome(CLOSED, is_gone=True)
    return ClosingOutcome(UNCONFIRMED, error.text)


def _note(position: OpenPosition, action: str, text: str, *, by: User | None, now: datetime) -> None:
    account = position.subscriber
    details = {
        "account": position.subscriber_id,
        "position": position.position_id,
        "symbol": position.symbol,
        "side": position.side,
        "lots": str(position.lots),
        "strategy": position.source_strategy_id,
        "signal": position.signal_id,
    }
    if text:
        details["answer"] = text[:300]
    subject = account.name if account else position.subscriber_id
    record_audit(position.workspace, user=by, action=action, subject=subject, details=details, now=now)


def follow_up(backend: Connection) -> None:
    """After closing: what pages add up is brought to the rows, and the sync looks at once."""
    state = SyncState.objects.filter(connection=backend, kind=SyncKind.POSITIONS).first()
    with transaction.atomic():
        open_sums.take_turn(backend)
        open_sums.rebuild(backend, is_list=state is None or BY_ACCOUNT not in state.cursor)
    request_sync(backend, [SyncKind.POSITIONS])


# -------------------------------------------------------------------------------------------------------- many, a job


def close_slices(work: Work) -> Iterator[JobStep]:
    """Close the positions of `parameters["positions"]` one after another; counted in positions.

    A worker that was killed after a call had left asks for the same position again, which is not open any more then.
    """
    chosen: list[int] = list(work.job.parameters["positions"])
    cursor: dict[str, Any] = {"done": 0, CLOSED: 0, GONE: 0, "problems": [], "failed": 0} | work.job.cursor
    visible = OpenPosition.objects.visible_to(work.asker).select_related("subscriber", "connection", "workspace")
    clients: dict[int, Client] = {}
    touched: dict[int, Connection] = {}
    try:
        for pk in chosen[cursor["done"] :]:
            position = visible.filter(pk=pk).first()
            if position is None:
                outcome = ClosingOutcome(GONE)
            else:
                touched[position.connection_id] = position.connection
                client = clients.get(position.connection_id)
                if client is None:
                    client = clients[position.connection_id] = position.connection.client(**PATIENCE)
                outcome = close_position(position, client=client, by=work.job.asked_by, now=work.now)
            cursor = _counted(cursor, position, outcome)
            yield JobStep(cursor, done=cursor["done"], total=len(chosen), message=_words(cursor))
    finally:
        for client in clients.values():
            client.close()
        for backend in touched.values():
            follow_up(backend)
    href = str(work.job.parameters.get("href") or reverse("reporting:positions"))
    result = Result(_words(cursor), href=href, details={"number": 0 if cursor["failed"] else cursor[CLOSED]})
    yield JobStep(cursor, done=len(chosen), total=len(chosen), result=result)


def _counted(cursor: dict[str, Any], position: OpenPosition | None, outcome: ClosingOutcome) -> dict[str, Any]:
    cursor = {**cursor, "done": cursor["done"] + 1}
    if outcome.code in (CLOSED, GONE):
        cursor[outcome.code] += 1
        return cursor
    cursor["failed"] += 1
    name = position.subscriber.name if position is not None and position.subscriber else ""
    if len(cursor["problems"]) < MOST_PROBLEMS:
        doubt = "not confirmed" if outcome.code == UNCONFIRMED else "refused"
        cursor["problems"] = [*cursor["problems"], f"{name}: {doubt}. {outcome.text}"]
    return cursor


def _words(cursor: dict[str, Any]) -> str:
    """What was done: it stays in the row of a job that is cancelled or fails."""
    closed, gone, failed = cursor[CLOSED], cursor[GONE], cursor["failed"]
    parts = [f"{closed} {'position is' if closed == 1 else 'positions are'} closed"]
    if gone:
        parts.append(f"{gone} {'was' if gone == 1 else 'were'} not open any more")
    if failed:
        parts.append(f"{failed} {'is' if failed == 1 else 'are'} not closed")
    return f"{', '.join(parts)}. {' '.join(cursor['problems'])}".strip()


CLOSING = register(
    JobKind(
        key=CLOSE,
        words="Closing of positions",
        unit="positions",
        slices=close_slices,
        may_see=staff,
        may_ask=can_manage,
        is_stored_by_slice=False,
    )
)
