"""The standing job that reconstructs decisions of connections whose backend keeps them to itself, slice by slice.

History that was mirrored before that was known is taken up once, day by day, oldest first; what comes later is noted
where it is stored (collecting.py). A slice is a day of history or some signals, so others have their turn in between.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Exists, Max, Min, OuterRef

from jobs.kinds import JobKind, JobStep, Result, Work, nobody, register, staff
from reporting.mirrored_signals import MirroredSignal
from reporting.models import Decision, LogRecord, OpenTrade, SyncKind, SyncState, Transaction
from reporting.reconstruction.collecting import collect_deals, collect_lines, collect_open
from reporting.retention import RecordKind, kept_from
from subscribers.models import Subscriber
from users.models import Connection

PAUSE_S = 20.0
STRETCH = timedelta(days=1)
TOLD = "told"  # in the job's cursor: the newest decision that a backend had told when they were compared last
TAKEN_UP = "taken_up"  # in the job's cursor: up to when history was taken up, by connection
ALL = datetime.max.replace(tzinfo=UTC)  # what comes now is noted where it is stored
MOST_ROUTES = 5_000  # signals times accounts of a slice: a second of work
MOST_FORGOTTEN = 1_000  # in a turn
MESSAGE = "Decisions are worked out from the mirrored deals."


def slices(work: Work) -> Iterator[JobStep]:
    """Slices of one workspace until nothing is due."""
    workspace_id, cursor = work.job.workspace_id, dict(work.job.cursor)
    taken_up: dict[str, str] = cursor.setdefault(TAKEN_UP, {})
    states = SyncState.objects.filter(connection__workspace=workspace_id, kind=SyncKind.DECISIONS)
    connections = Connection.objects.filter(workspace=workspace_id, is_enabled=True).order_by("pk")
    offering = states.filter(cursor__is_offered__isnull=True, last_success_at__isnull=False)
    done = 0
    for backend in connections.filter(sync_states__in=offering):
        done += yield from _drop_told(backend, cursor)
    for backend in connections.filter(sync_states__in=states.filter(cursor__is_offered=False)):
        while (moment := _next_stretch(backend, taken_up.get(str(backend.pk)), work.now)) is not None:
            end = moment + STRETCH
            collect_deals(workspace_id, backend.pk, moment, end, now=work.now)
            collect_lines(workspace_id, backend.pk, moment, end, now=work.now)
            taken_up[str(backend.pk)] = (end if end < work.now else ALL).isoformat()
            yield JobStep(cursor, done=done, message="Signals of the past are collected.")
        forget_old(backend)
        collect_open(backend.pk, now=work.now)
        yield JobStep(cursor, done=done)
        done += yield from _decide(backend, work.now, cursor, done)
    yield JobStep(cursor, done=done, result=Result("Every decision that can be worked out is."))


def forget_old(backend: Connection, *, most: int = MOST_FORGOTTEN) -> int:
    """Remove some signals whose decisions are kept no more, but for those still open; returns how many."""
    if (oldest := kept_from(backend.workspace_id, RecordKind.DECISIONS)) is None:
        return 0
    still_open = OpenTrade.objects.filter(
        connection=backend, strategy_id=OuterRef("strategy_id"), signal_id=OuterRef("signal_id")
    )
    old = MirroredSignal.objects.filter(~Exists(still_open), connection=backend, time__lt=oldest).order_by("time")
    return MirroredSignal.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:most])).delete()[0]


def _next_stretch(backend: Connection, taken_up: str | None, now: datetime) -> datetime | None:
    """Where the next stretch of history that was not taken up begins; None: it is there up to now."""
    since = datetime.fromisoformat(taken_up) if taken_up else kept_from(backend.workspace_id, RecordKind.DECISIONS)
    if since is not None and since > now:
        return None
    moments = []
    for model in (Transaction, LogRecord):  # a signal that nobody copied is in the log only
        own = model._default_manager.filter(workspace_id=backend.workspace_id, connection=backend)
        own = own.exclude(position_id="")
        moments.append((own.filter(time__gte=since) if since else own).aggregate(first=Min("time"))["first"])
    return min((moment for moment in moments if moment is not None), default=None)


def _decide(backend: Connection, now: datetime, cursor: dict[str, Any], done: int) -> Generator[JobStep, None, int]:
    # late: the engine is compiled code, which no other task of a worker needs
    from reporting.reconstruction.deciding import MOST_SIGNALS, decide_signals, due_signals

    number = 0
    accounts = Subscriber.objects.filter(connection=backend, is_removed=False).count()
    most = min(max(MOST_ROUTES // max(accounts, 1), 1), MOST_SIGNALS)
    while signals := due_signals(backend.pk, now=now, most=most):
        decide_signals(backend, signals, now=now)
        number += len(signals)
        yield JobStep(cursor, done=done + number, message=MESSAGE)
    return number


def _drop_told(backend: Connection, cursor: dict[str, Any]) -> Generator[JobStep, None, int]:
    """What the backend tells itself now replaces what was concluded."""
    own = Decision.objects.filter(workspace_id=backend.workspace_id, connection=backend)
    if not own.filter(is_reconstructed=True).exists():
        return 0
    newest = own.filter(is_reconstructed=False).aggregate(newest=Max("id"))["newest"]
    compared: dict[str, int | None] = cursor.setdefault(TOLD, {})
    if compared.get(str(backend.pk)) == newest:
        return 0  # what it never told stays, and need not be compared again
    from reporting.reconstruction.keeping import drop_told

    number = 0
    while dropped := drop_told(backend):
        number += dropped
        yield JobStep(cursor, done=number, message="The backend tells its decisions now: they replace these.")
    compared[str(backend.pk)] = newest
    return number


RECONSTRUCTION = register(
    JobKind(
        key="reconstruction",
        words="Reconstruction of decisions",
        unit="signals",
        slices=slices,
        may_see=staff,
        may_ask=nobody,
        repeats_after_s=PAUSE_S,
    )
)
