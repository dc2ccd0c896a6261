"""What is mirrored how often and why, and one run of what is due, with the truth about it in its row.

PACES is the one table of the sync's schedule. A kind that took long waits at least ten times as long, so that no
connection keeps a worker busy; a kind with more to fetch goes on at once, after those that wait already. Where nothing
happens, kinds rest longer (RESTS): most connections of many firms are idle at any moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog
from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, InternalError, OperationalError, connection
from django.utils import timezone

from copying.client import Client, ClientError, Forbidden, RateLimited
from reporting.models import SyncKind
from reporting.rights import REFUSED_BY
from reporting.states import STALE_AFTER
from reporting.sync import states
from reporting.sync.accounts import sync_accounts, sync_equity
from reporting.sync.configuration import sync_configuration
from reporting.sync.decisions import sync_decisions
from reporting.sync.history import sync_history
from reporting.sync.limits import sync_limits
from reporting.sync.logs import sync_logs
from reporting.sync.positions import sync_positions
from reporting.sync.provisioning import sync_trading_accounts
from reporting.sync.source import Source
from reporting.sync.states import Lease, LeaseLost, SyncOutcome
from reporting.sync.stopouts import sync_stopouts
from reporting.sync.turns import hold_credits
from reporting.sync.windows import KeepsRepeating
from users.models import Connection

log = structlog.get_logger(__name__)

PACES: dict[str, tuple[float, str]] = {
    SyncKind.CONFIGURATION: (60, "Edits made here are mirrored at once; this finds those made elsewhere."),
    SyncKind.PROVIDED: (5, "A copied trade is to be seen within seconds."),
    SyncKind.SUBSCRIBED: (5, "As above, for strategies of other providers."),
    SyncKind.LOGS: (10, "Explains what just happened; one request per strategy."),
    SyncKind.STOPOUTS: (5, "A stopped client is the first thing a manager must know; one request."),
    SyncKind.ACCOUNTS: (10, "Equity moves all the time; a request per 1,000 accounts."),
    SyncKind.LIMITS: (15, "What is left of a limit moves with equity; a request per 1,000 accounts."),
    SyncKind.PROVISIONING: (
        60,
        "States of accounts change by the minute; a request per 1,000 accounts, free of credits.",
    ),
    SyncKind.EQUITY: (60, "Points are hourly."),
    SyncKind.DECISIONS: (5, "Why a trade was not copied is asked when it was not; one request."),
    SyncKind.POSITIONS: (10, "What is open moves with every price; every 2 s while a page of it is open."),
}
# How long a kind rests at most while nothing new comes: a tenth of the time for which nothing has come. As soon as one
# of EVENTS brings something, all are asked at their pace again. Configuration always is: nothing announces its edits.
RESTS: dict[str, float] = {
    SyncKind.PROVIDED: 10,
    SyncKind.SUBSCRIBED: 15,
    SyncKind.LOGS: 60,
    SyncKind.STOPOUTS: 10,
    SyncKind.ACCOUNTS: 30,
    SyncKind.LIMITS: 60,
    SyncKind.EQUITY: 150,
    SyncKind.DECISIONS: 15,
    SyncKind.POSITIONS: 30,
}
RESTING_SHARE = 10
EVENTS = (SyncKind.PROVIDED, SyncKind.SUBSCRIBED, SyncKind.LOGS, SyncKind.STOPOUTS, SyncKind.DECISIONS)
ASKED_AGAIN_S = 3600  # a call that the token may not use
# what pages can do without: refused, it is a right that is missing and no fault (reporting/rights.py)
OPTIONAL = {
    SyncKind.ACCOUNTS,
    SyncKind.LIMITS,
    SyncKind.EQUITY,
    SyncKind.DECISIONS,
    SyncKind.POSITIONS,
    SyncKind.PROVISIONING,
}
# what terminals of accounts are asked for, within credits that copying does not use
BY_ACCOUNT = (SyncKind.ACCOUNTS, SyncKind.EQUITY, SyncKind.POSITIONS, SyncKind.PROVISIONING)
MANY_ROWS = 5_000  # of one run: lists estimate their length from statistics that autovacuum refreshes a minute later
SHARE = 10  # a kind may keep a worker busy for one part in so many
SLACK_S = 20  # between the end of a run that was planned and the moment when what it brings is called late
SHORTEST_WAIT_S = 1
# the sync waits in its own rows, not inside a request
CLIENT_OPTIONS = {"retries": 0, "wait_budget_s": 0, "extended_timeout_s": 30}


def client_for(backend: Connection) -> Client:
    """The client of a sync: no waiting inside, whatever fails is tried again by the schedule."""
    return backend.client(**CLIENT_OPTIONS)


def run_due(*, budget_s: float = 45, open_client: Callable[[Connection], Client] = client_for) -> int:
    """Run what is due until nothing is or the time is up; returns how many syncs were run."""
    stop_at, runs = time.monotonic() + budget_s, 0
    while time.monotonic() < stop_at:
        lease = states.claim_due()
        if lease is None:
            break
        run_one(lease, open_client=open_client, now=timezone.now())
        runs += 1
    return runs


def run_one(lease: Lease, *, open_client: Callable[[Connection], Client], now: datetime) -> None:
    """Run a claimed sync and record how it went. Raises only when the database itself is away."""
    started = time.monotonic()
    backend = Connection.objects.get(pk=lease.connection_id)
    try:
        with lease.kept_alive(), open_client(backend) as client:
            outcome = _run(lease, source=Source(client), backend=backend, now=now)
        took_s = time.monotonic() - started
        pause_s = 0.0 if outcome.more else outcome.next_in_s or _pause_s(lease, took_s, outcome)
        states.finish(lease, next_in_s=pause_s, complete_until=outcome.complete_until, error=outcome.error)
        if lease.rows and lease.kind in EVENTS:
            states.wake_resting(lease.connection_id, {kind: PACES[kind][0] for kind in RESTS})
        _say_well(lease, outcome.error)
        if lease.rows >= MANY_ROWS:
            _refresh_statistics(lease.kind)
    except LeaseLost:
        log.info("sync taken over", connection=lease.connection_id, kind=lease.kind)
    except RateLimited as error:
        _fail(lease, error.text)
        _hold(lease, backend, until=error.retry_at)
    except (ClientError, KeepsRepeating) as error:
        _fail(lease, error.text, said=getattr(error, "said", ""))
    except ImproperlyConfigured as error:
        _fail(lease, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _fail(lease, f"An answer could not be read: {error}.")
    except (OperationalError, InterfaceError):
        raise
    except InternalError as error:  # among them: the database has become read-only
        _fail(lease, f"The database did not take the rows: {str(error).splitlines()[0]}.")
    except Exception:
        log.exception("sync failed", connection=lease.connection_id, kind=lease.kind)
        _fail(lease, "The sync met an error of its own; the log of the worker names it.")


def _hold(lease: Lease, backend: Connection, *, until: datetime) -> None:
    """Too many requests: the account APIs have limits of their own, and copying itself goes on beside them."""
    if lease.kind in BY_ACCOUNT:
        hold_credits(backend, until=until)
        states.hold_back(backend.pk, until=until, kinds=BY_ACCOUNT)
    else:
        states.hold_back(backend.pk, until=until)


def _fail(lease: Lease, error: str, *, said: str = "") -> None:
    """Record a failure; the first one in a row is told to whoever watches the log, with what the backend said."""
    states.fail(lease, error=error)
    if not lease.failures:
        log.warning("sync begins to fail", connection=lease.connection_id, kind=lease.kind, error=error, said=said)


def _say_well(lease: Lease, error: str) -> None:
    """After failures: tell the log, and let the connection's other kinds try at once, as the backend answers again."""
    if lease.failures and not error:
        woken = states.wake_failing(lease.connection_id)
        log.warning(
            "sync is well again", connection=lease.connection_id, kind=lease.kind, tries=lease.failures, woken=woken
        )


def _run(lease: Lease, *, source: Source, backend: Connection, now: datetime) -> SyncOutcome:
    if lease.kind in (SyncKind.PROVIDED, SyncKind.SUBSCRIBED):
        return sync_history(lease, source=source, workspace_id=backend.workspace_id, now=now)
    if lease.kind not in OPTIONAL:
        return _KINDS[SyncKind(lease.kind)](lease, source=source, backend=backend, now=now)
    for mark in ("is_offered", REFUSED_BY):
        lease.cursor.pop(mark, None)  # asked anew, and marked anew where it is refused
    try:
        return _KINDS[SyncKind(lease.kind)](lease, source=source, backend=backend, now=now)
    except Forbidden:
        lease.cursor |= {"is_offered": False, REFUSED_BY: 403}
        return SyncOutcome(next_in_s=ASKED_AGAIN_S)


_KINDS = {
    SyncKind.CONFIGURATION: sync_configuration,
    SyncKind.LOGS: sync_logs,
    SyncKind.STOPOUTS: sync_stopouts,
    SyncKind.ACCOUNTS: sync_accounts,
    SyncKind.LIMITS: sync_limits,
    SyncKind.EQUITY: sync_equity,
    SyncKind.DECISIONS: sync_decisions,
    SyncKind.POSITIONS: sync_positions,
    SyncKind.PROVISIONING: sync_trading_accounts,
}


_TABLES = {
    SyncKind.PROVIDED: ("reporting_transaction", "reporting_dailyresult"),
    SyncKind.SUBSCRIBED: ("reporting_transaction", "reporting_dailyresult"),
    SyncKind.DECISIONS: ("reporting_decision", "reporting_decisioncount"),
    SyncKind.LOGS: ("reporting_logrecord",),
    SyncKind.EQUITY: ("reporting_equitypoint",),
    SyncKind.POSITIONS: ("reporting_openposition", "reporting_opentrade"),
    SyncKind.CONFIGURATION: ("subscribers_subscriber", "subscribers_subscription", "strategies_strategy"),
}


def _refresh_statistics(kind: str) -> None:
    if kind in _TABLES:
        with connection.cursor() as database:
            for table in _TABLES[SyncKind(kind)]:
                database.execute("SELECT reporting_refresh_statistics(%s)", [table])


def _pause_s(lease: Lease, took_s: float, outcome: SyncOutcome) -> float:
    """Seconds until the next run: the pace, longer after a long run or where nothing new has come for long.

    Where accounts wait for their turn it is what the credits ask for, counted from when they were taken, and as long as
    the run took. Never so long that a run like the last would end after STALE_AFTER: what goes as planned is not late.
    """
    pace_s = PACES[lease.kind][0]
    longest_s = max(STALE_AFTER.total_seconds() - SLACK_S - took_s, pace_s)
    if outcome.waits_s is not None:
        return min(max(outcome.waits_s - took_s, took_s, SHORTEST_WAIT_S), longest_s)
    rests = not (lease.rows or outcome.has_turns)
    rest_s = min(lease.idle_s / RESTING_SHARE, RESTS.get(lease.kind, 0)) if rests else 0.0
    return min(max(pace_s, took_s * SHARE, rest_s), longest_s)
