"""Balances, equity and the history of equity, from calls that our backend adds to the contract.

A backend that does not offer the list of accounts is asked account by account, a bounded number a run, those that wait
longest first, and for its list once an hour; one that keeps no equity history gets one here, of a point an hour.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet

from accounts.mirror import AccountFigures, keep_figures, note_asked
from copying.client import (
    BackendFailed,
    Client,
    ClientError,
    Forbidden,
    NotConnected,
    NotFound,
)
from copying.client.answers import public_text
from copying.client.terminal import Where
from copying.contract.accounts import AccountInformation, AccountSnapshot
from copying.contract.terminal import TerminalInformation
from reporting import equity_sums
from reporting.entering import follow_reported
from reporting.rights import REFUSED_BY
from reporting.sync import quarantine
from reporting.sync.currencies import keep_balances
from reporting.sync.past import fill_past
from reporting.sync.source import PAGE_SIZE, Source, UnreadableAnswer
from reporting.sync.states import Lease, SyncOutcome
from reporting.sync.turns import CONCERNS_ALL, claim_turn, learn_limits, note_answers, paused, regions_of
from subscribers.models import Subscriber
from users.models import Connection

ALL = "/users/current/account-information"
HEALTH = "/healthz"
STREAM = "/users/current/account-snapshots/stream"
MOST_ASKED = 20  # a run; how soon the next one follows is a matter of credits (turns.py)
ASKED_AGAIN_AFTER = timedelta(seconds=20)
AT_ONCE = 5  # one after another, slow answers would make the whole kind slow: it pauses ten times as long as it takes
LIST_ASKED_AGAIN_AFTER = timedelta(hours=1)
TURN_S = 20  # where answers are slow, the rest of a turn waits for the next one
CLOCK_UNCONFIRMED = (
    "The clock of the copying backend has jumped and is not confirmed by its database: new external signals are "
    "refused until both agree. Set the clocks of both machines by a time server."
)
UNREADABLE = "The balances could not be read; the answer is kept in quarantine and tried again."


def sync_accounts(lease: Lease, *, source: Source, backend: Connection, now: datetime) -> SyncOutcome:
    """Mirror balances and equity. Raises the client's errors."""
    cursor = lease.cursor
    if _is_list_due(cursor, now):
        try:
            outcome = _sync_all(lease, source=source, backend=backend, now=now)
            cursor["clock"] = clock_trouble(source)
            cursor.pop("one_by_one", None)
            return outcome
        except NotFound:
            cursor["one_by_one"] = now.isoformat()
            cursor.pop("clock", None)  # nobody says any more how it is
    return _sync_some(lease, source=source, backend=backend, now=now)


def _is_list_due(cursor: dict[str, Any], now: datetime) -> bool:
    """Whether to ask for the list of balances: always, or an hour after the backend said that it has none.

    cursor: `one_by_one` is when it said so; `true`, as an earlier version noted it, is long ago.
    """
    said_at = cursor.get("one_by_one")
    return not isinstance(said_at, str) or now - datetime.fromisoformat(said_at) >= LIST_ASKED_AGAIN_AFTER


def clock_trouble(source: Source) -> str:
    """What a backend of our kind says is wrong with its clock, "" for nothing; 503 when it refuses signals."""
    try:
        message = str(source.document(HEALTH).get("message") or "")
        return public_text(message) if "clock" in message else ""
    except BackendFailed as error:
        return CLOCK_UNCONFIRMED if error.status == 503 and "clock" in error.said else ""
    except (ClientError, msgspec.DecodeError):
        return ""


def _sync_all(lease: Lease, *, source: Source, backend: Connection, now: datetime) -> SyncOutcome:
    after: str | None = None
    kinds: set[bool | None] = set()
    while True:
        params = {"limit": PAGE_SIZE} | ({"after": after} if after else {})
        page = source.page(ALL, AccountInformation, params)
        if isinstance(page, UnreadableAnswer):
            quarantine.put_away(lease.connection_id, lease.kind, page, now=now)
            return SyncOutcome(error=UNREADABLE)
        with transaction.atomic():
            keep_figures(backend, [AccountFigures.of_list(account, now) for account in page])
            lease.save(rows=keep_balances(backend, page, now=now))
            follow_reported(backend, codes_of(page), now=now)
        kinds |= {account.simulated for account in page}
        if len(page) < PAGE_SIZE or page[-1].account_id == after:
            break
        after = page[-1].account_id
    note_simulated(backend, kinds)
    quarantine.resolve(lease.connection_id, lease.kind, now=now)
    return SyncOutcome(complete_until=now)


def codes_of(accounts: Iterable[AccountInformation]) -> dict[str, str]:
    """The currencies that accounts tell, by id; "" for a name that is no code."""
    return {account.account_id: account.currency if len(account.currency) == 3 else "" for account in accounts}


def note_simulated(backend: Connection, kinds: set[bool | None]) -> None:
    """Keep what the backend says of its accounts: one that is simulated marks it; silence about any is not "real"."""
    if not kinds:
        return  # no account yet: what was said at the set-up stays
    is_simulated = True if True in kinds else None if None in kinds else False
    other = Connection.objects.filter(pk=backend.pk).exclude(market_is_simulated=is_simulated)
    other.update(market_is_simulated=is_simulated)


def _sync_some(lease: Lease, *, source: Source, backend: Connection, now: datetime) -> SyncOutcome:
    """A few accounts a run, of their terminals; the equity history is kept along the way, an hour apart.

    What one account answers is its own: it has had its turn like the others, and they go on. Raises what concerns all
    (a limit, a token), or the first trouble when no account answered, after what is known is stored.
    """
    is_due = Q(asked_at=None) | Q(asked_at__lte=now - ASKED_AGAIN_AFTER)
    mirrored = Subscriber.objects.filter(connection=backend, is_removed=False)
    waiting = mirrored.filter(is_due).exclude(backend_id__in=paused(backend, lease.kind, now))
    due = waiting.order_by(F("asked_at").asc(nulls_first=True), "id").values_list("backend_id", flat=True)
    ids = list(due[:MOST_ASKED])
    regions = regions_of(backend, ids)
    if ids:
        learn_limits(backend, source.client, ids[0], region=regions.get(ids[0], ""), now=now)
    claimed = claim_turn(backend, lease.kind, len(ids), now=now)
    if ids and not claimed.count:
        return SyncOutcome(has_turns=True, waits_s=claimed.wait_s)
    ids = ids[: claimed.count]
    turn = _ask_terminals(source.client, ids, regions)
    with transaction.atomic():
        keep_figures(backend, [AccountFigures.of_terminal(*pair, now) for pair in turn.by_terminal.items()])
        note_asked(backend, dict.fromkeys(turn.by_terminal, ""), now=now)  # nobody else has to ask the same for a day
        rows = keep_balances(backend, turn.answers, now=now)
        follow_reported(backend, codes_of(turn.answers), now=now)
        Subscriber.objects.filter(connection=backend, backend_id__in=turn.asked).update(asked_at=now)
        note_answers(backend, lease.kind, [answer.account_id for answer in turn.answers], turn.silent, now=now)
        hour = now.replace(minute=0, second=0, microsecond=0)
        _keep_points(backend, [(a.account_id, hour, a.balance, a.equity, None) for a in turn.answers], replace=False)
        lease.save(rows=rows)
    _follow_members(lease, backend)
    if turn.is_refused and not mirrored.filter(measured_at__gt=now - LIST_ASKED_AGAIN_AFTER).exists():
        lease.cursor |= {"is_offered": False, REFUSED_BY: 403 if turn.troubles else 404}
        lease.cursor.pop("one_by_one", None)  # next time the list is tried again, too
        return SyncOutcome(next_in_s=LIST_ASKED_AGAIN_AFTER.total_seconds())
    outcome = _outcome_of(turn, mirrored, now)
    return replace(outcome, waits_s=claimed.wait_s) if waiting.filter(is_due).exists() else outcome


@dataclass(frozen=True)
class Turn:
    """What some accounts answered.

    by_terminal: as their terminals say it, by id; asked: who has had its turn; refused: 403, and 404 of no account or
    no such call; silent: why each that did not answer did not.
    """

    answers: list[AccountInformation] = field(default_factory=list)
    by_terminal: dict[str, TerminalInformation] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    troubles: list[ClientError] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    silent: dict[str, ClientError] = field(default_factory=dict)

    @property
    def is_refused(self) -> bool:
        """Whether nobody answers this call: there is none, or the token may not use it."""
        return bool(self.asked) and len(self.refused) == len(self.asked)


def _outcome_of(turn: Turn, mirrored: QuerySet[Subscriber], now: datetime) -> SyncOutcome:
    troubles = turn.troubles
    is_of_all = bool(troubles) and isinstance(troubles[0], CONCERNS_ALL)
    if is_of_all or (troubles and not turn.is_refused and len(troubles) == len(turn.asked)):
        raise next((trouble for trouble in troubles if not isinstance(trouble, Forbidden)), troubles[0])
    text = f"{len(troubles)} of {len(turn.asked)} accounts did not answer: {troubles[0].text}" if troubles else ""
    oldest = mirrored.order_by(F("asked_at").asc(nulls_first=True)).values_list("asked_at", flat=True).first()
    # the figures are as old as the turn of the account that waits longest; silence of all says nothing
    complete_until = oldest if turn.answers else None if mirrored.exists() else now
    return SyncOutcome(complete_until=complete_until, error=text, has_turns=True)


def _ask_terminals(client: Client, ids: list[str], regions: Mapping[str, str]) -> Turn:
    """A few accounts at a time.

    What concerns all is then the only trouble: whoever was asked beside it has had their turn, nobody else is asked.
    """
    turn, until = Turn(), time.monotonic() + TURN_S
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="terminals") as pool:
        for start in range(0, len(ids), AT_ONCE):
            group = ids[start : start + AT_ONCE]
            results = [*zip(group, pool.map(partial(_ask_terminal, client, regions), group), strict=True)]
            turn.by_terminal.update({key: result for key, result in results if isinstance(result, TerminalInformation)})
            turn.answers.extend(_from_terminal(key, turn.by_terminal[key]) for key in group if key in turn.by_terminal)
            of_all: list[ClientError] = [result for _, result in results if isinstance(result, CONCERNS_ALL)]
            turn.asked.extend(backend_id for backend_id, result in results if not isinstance(result, CONCERNS_ALL))
            turn.refused.extend(backend_id for backend_id, result in results if _is_refusal(result))
            turn.silent.update({key: result for key, result in results if isinstance(result, ClientError)})
            turn.troubles.extend(
                result for _, result in results if isinstance(result, ClientError) and not isinstance(result, NotFound)
            )
            if of_all:
                return replace(turn, troubles=of_all)
            if time.monotonic() > until:
                break
    return turn


def _ask_terminal(client: Client, regions: Mapping[str, str], backend_id: str) -> TerminalInformation | ClientError:
    """NotFound: it is not known, or not connected; it is not measured, and waits."""
    where: Where = {"region": regions[backend_id]} if backend_id in regions else {}
    try:
        return client.terminal_information(backend_id, **where)
    except ClientError as error:
        return error


def _is_refusal(result: TerminalInformation | ClientError) -> bool:
    return isinstance(result, NotFound | Forbidden) and not isinstance(result, NotConnected)


def _from_terminal(backend_id: str, information: TerminalInformation) -> AccountInformation:
    return AccountInformation(
        account_id=backend_id,
        currency=information.currency,
        balance=information.balance,
        equity=information.equity,
        margin=information.margin,
        leverage=information.leverage,
    )


def sync_equity(lease: Lease, *, source: Source, backend: Connection, now: datetime) -> SyncOutcome:
    """Mirror the equity history from its stream. Raises the client's errors."""
    cursor = lease.cursor
    while True:
        try:
            page = source.poll_numbered(STREAM, AccountSnapshot, cursor)
        except NotFound:  # not offered: points are kept where balances are polled
            cursor["is_offered"] = False
            _follow_members(lease, backend)
            return fill_past(lease, client=source.client, backend=backend, now=now)
        if isinstance(page, UnreadableAnswer):
            quarantine.put_away(lease.connection_id, lease.kind, page, now=now)
            return SyncOutcome(error="The equity history could not be read; the answer is kept in quarantine.")
        cursor.pop("is_offered", None)
        with transaction.atomic():
            points = [(p.account_id, p.time, p.balance, p.equity, p.net_deposits) for p in page]
            rows = _keep_points(backend, points, replace=True)
            cursor["sequence"] = max([cursor.get("sequence", 0), *(point.sequence_number for point in page)])
            lease.save(rows=rows)
        if len(page) < PAGE_SIZE:
            quarantine.resolve(lease.connection_id, lease.kind, now=now)
            is_complete = _follow_members(lease, backend)
            return SyncOutcome(complete_until=now, more=not is_complete)


def _follow_members(lease: Lease, backend: Connection) -> bool:
    """Bring the sums of equity to who copies what now; returns whether they are."""
    is_complete = equity_sums.follow_members(backend, save=lease.save)
    if is_complete:
        lease.cursor[equity_sums.CURSOR_KEY] = True
    return is_complete


def _keep_points(backend: Connection, points: list[tuple], *, replace: bool) -> int:
    """Add points (account, time, balance, equity, net deposits) in a transaction; returns how many rows differ now."""
    points = list({point[:2]: point for point in points}.values())
    if not points:
        return 0
    conflict = "NOTHING"
    if replace:
        conflict = (
            "UPDATE SET balance = excluded.balance, equity = excluded.equity, net_deposits = excluded.net_deposits"
        )
    with equity_sums.booked(backend.pk, points), connection.cursor() as database:
        database.execute(
            "INSERT INTO reporting_equitypoint"
            " (connection_id, account_id, time, balance, equity, net_deposits, currency)"
            " SELECT %s, k.*, coalesce(u.currency, '') FROM unnest(%s::text[], %s::timestamptz[], %s::numeric[],"
            " %s::numeric[], %s::numeric[]) AS k (account_id, time, balance, equity, net_deposits)"
            " LEFT JOIN subscribers_subscriber u ON u.connection_id = %s AND u.backend_id = k.account_id"
            f" ON CONFLICT (connection_id, account_id, time) DO {conflict}",
            [backend.pk, *[list(column) for column in zip(*points, strict=True)], backend.pk],
        )
        return database.rowcount
