"""Accrual as a job that repeats in every workspace: slices of all its strategies in turn, each stored with the lease.

A long history keeps at most one worker busy for a turn of some seconds; then the others have theirs (jobs/queue.py). It
gives way while somebody closes the workspace's periods: both take up the same subscribers one after the other, and each
would begin the other's pass anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime

import structlog
from django.db import InterfaceError, OperationalError, transaction

from jobs.kinds import JobKind, JobStep, Result, Work, nobody, register, staff
from reporting.commission.charging import StrategyAccount
from reporting.commission.open_periods import Run
from reporting.commission.services import Bounds, accrue_slice, due_accounts

log = structlog.get_logger(__name__)

PAUSE_S = 15  # fees follow the deals within the time that a person needs to open the page
SLICE = Bounds()


def slices(work: Work) -> Iterator[JobStep]:
    """Slices of one workspace until nothing is left.

    One strategy's trouble does not stop the others: it is logged, said in the row and tried again.
    """
    waiting = _in_order(work.job.workspace_id, work.job.cursor.get("position", ""), work.now)
    total, done, error = len(waiting), 0, ""
    while waiting:
        name, account, run = waiting.popleft()
        try:
            with transaction.atomic():
                _, more = accrue_slice(account, run, SLICE, waits=False)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            log.exception("accrual failed", workspace=work.job.workspace_id, strategy=account.strategy_id)
            error, more = f"The commission of {account.strategy_id} met an error; the worker's log names it.", False
        if more:
            waiting.append((name, account, run))  # behind the other strategies
        else:
            done += 1
        if waiting:
            yield JobStep({"position": name}, done=done, total=total, message="Fees of new deals are worked out.")
    result = Result(error or "Everything that is known is accrued.", details={"is_error": bool(error)})
    yield JobStep(done=0, total=None, result=result)


def _in_order(workspace_id: int, position: str, now: datetime) -> deque[tuple[str, StrategyAccount, Run]]:
    """(name, account, run) of all that is due, beginning behind `position`, which had the last slice."""
    named = [
        (f"{account.connection_id:012}:{account.strategy_id}", account, run)
        for account, run in due_accounts(workspace_id, now)
    ]
    named.sort(key=lambda entry: (entry[0] <= position, entry[0]))
    return deque(named)


ACCRUAL = register(
    JobKind(
        key="accrual",
        words="Accrual of commissions",
        unit="strategies",
        slices=slices,
        may_see=staff,
        may_ask=nobody,
        waits_for=("close-periods",),
        repeats_after_s=PAUSE_S,
    )
)
