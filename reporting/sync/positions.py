"""What is open now: positions of all accounts and the signals they are copies of.

A backend of our kind tells all of them in pages; where it does not, accounts are asked one by one within the credits:
those on an open page first, then those that wait longest. Positions are read before signals, so that a copy of a signal
that is not open any more is not taken for one of a signal that was not there yet.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from django.db import connection, transaction
from django.db.models import F

from copying.client import Client, ClientError, Forbidden, NotConnected, NotFound
from copying.client.terminal import Where
from copying.contract.accounts import AccountPosition, OpenSignalRecord
from copying.contract.documents import ExternalSignal
from copying.contract.terminal import TerminalPosition
from reporting import open_sums
from reporting.models import PositionReading, SyncKind
from reporting.rights import REFUSED_BY
from reporting.sync import quarantine
from reporting.sync.accounts import ASKED_AGAIN_AFTER, AT_ONCE, LIST_ASKED_AGAIN_AFTER, MOST_ASKED, TURN_S
from reporting.sync.keeping_positions import (
    drop_other_accounts,
    drop_positions,
    keep_positions,
    keep_signals,
    link_copies,
    link_members,
    providing,
    row_of_external,
    row_of_record,
    rows_of_provider,
)
from reporting.sync.provider_deals import ProviderDeals, keep_provider_deals, read_provider_deals
from reporting.sync.source import PAGE_SIZE, Source, UnreadableAnswer
from reporting.sync.states import Lease, SyncOutcome
from reporting.sync.turns import CONCERNS_ALL, claim_turn, note_answers, paused, regions_of
from reporting.watching import BY_ACCOUNT, watched
from strategies.chains import leaf_ids, strategies_of
from strategies.models import Kind
from subscribers.models import Subscriber
from users.models import Connection

ALL = "/users/current/positions"
SIGNALS = "/users/current/open-signals"
MOST_STRATEGIES = 5  # asked for their external signals in a run, which costs no credits
SUMS_AGAIN_AFTER = timedelta(minutes=1)  # who copies what, and in which currency, changes without any position
SUMMED_AT = "summed_at"
UNREADABLE = "The open positions could not be read; the answer is kept in quarantine and tried again."


def sync_positions(lease: Lease, *, source: Source, backend: Connection, now: datetime) -> SyncOutcome:
    """Mirror what is open. Raises the client's errors."""
    said_at = lease.cursor.get(BY_ACCOUNT)
    if said_at is None or now - datetime.fromisoformat(said_at) >= LIST_ASKED_AGAIN_AFTER:
        try:
            outcome = _sync_all(lease, source=source, backend=backend, now=now)
            lease.cursor.pop(BY_ACCOUNT, None)
            return outcome
        except (NotFound, Forbidden):
            lease.cursor[BY_ACCOUNT] = now.isoformat()
    return _sync_some(lease, client=source.client, backend=backend, now=now)


def _sync_all(lease: Lease, *, source: Source, backend: Connection, now: datetime) -> SyncOutcome:
    seen: set[tuple[str, str]] = set()
    after, changed, is_last = 0, 0, False
    while not is_last:
        page = source.page(ALL, AccountPosition, {"limit": PAGE_SIZE, "after": after})
        if isinstance(page, UnreadableAnswer):
            return _put_away(lease, page, now)
        with transaction.atomic():
            rows, keys = keep_positions(backend, [(account.account_id, account) for account in page], now=now)
            lease.save(rows=rows)
        seen |= keys
        changed += rows
        is_last = len(page) < PAGE_SIZE or int(page[-1].id) <= after
        after = int(page[-1].id) if page else after
    signals = _read_signals(source)
    if isinstance(signals, UnreadableAnswer):
        return _put_away(lease, signals, now)
    with transaction.atomic():
        open_sums.take_turn(backend)
        rows = drop_positions(backend, but=seen) + link_copies(backend)
        rows += keep_signals(backend, map(row_of_record, signals))
        PositionReading.objects.filter(connection=backend).delete()
        rows += _work_out(lease, backend, changed=changed + rows, is_list=True, now=now)
        lease.save(rows=rows)
    quarantine.resolve(lease.connection_id, lease.kind, now=now)
    return SyncOutcome(complete_until=now)


def _put_away(lease: Lease, answer: UnreadableAnswer, now: datetime) -> SyncOutcome:
    quarantine.put_away(lease.connection_id, lease.kind, answer, now=now)
    return SyncOutcome(error=UNREADABLE)


def _read_signals(source: Source) -> list[OpenSignalRecord] | UnreadableAnswer:
    signals: list[OpenSignalRecord] = []
    while True:
        params = {"limit": PAGE_SIZE, "after": signals[-1].number if signals else 0}
        page = source.page(SIGNALS, OpenSignalRecord, params)
        if isinstance(page, UnreadableAnswer):
            return page
        is_last = len(page) < PAGE_SIZE or (bool(signals) and page[-1].number <= signals[-1].number)
        signals += page
        if is_last:
            return signals


def _work_out(lease: Lease, backend: Connection, *, changed: int, is_list: bool, now: datetime) -> int:
    """Bring what pages read to the rows, where they differ or that is long ago; returns how many rows differ.

    Account by account, every reading says more of what is missing or left over.
    """
    summed_at = lease.cursor.get(SUMMED_AT)
    if is_list and not changed and summed_at and now - datetime.fromisoformat(summed_at) < SUMS_AGAIN_AFTER:
        return 0
    lease.cursor[SUMMED_AT] = now.isoformat()
    strategies = strategies_of(backend.pk)
    portfolios = [key for key, strategy in strategies.items() if strategy.kind == Kind.PORTFOLIO]
    link_members(backend, {key: sorted(leaf_ids(key, strategies)) for key in portfolios})
    return open_sums.rebuild(backend, is_list=is_list)


# ------------------------------------------------------------------------------------------------ account by account


@dataclass
class PositionTurn:
    """What some accounts and strategies answered. of_all: what concerns everybody, such as a limit; None: nothing."""

    positions: dict[str, list[TerminalPosition]] = field(default_factory=dict)
    signals: dict[str, list[ExternalSignal]] = field(default_factory=dict)
    troubles: dict[tuple[bool, str], ClientError] = field(default_factory=dict)  # by (is a strategy, id)
    of_all: ClientError | None = None

    @property
    def account_troubles(self) -> dict[str, ClientError]:
        return {backend_id: error for (is_strategy, backend_id), error in self.troubles.items() if not is_strategy}

    @property
    def is_refused(self) -> bool:
        """Whether every account that was asked answered that there is no such call, or not for this token."""
        refusals = [_is_refusal(error) for error in self.account_troubles.values()]
        return bool(refusals) and all(refusals) and not self.positions


def _is_refusal(error: ClientError) -> bool:
    return isinstance(error, NotFound | Forbidden) and not isinstance(error, NotConnected)


def _sync_some(lease: Lease, *, client: Client, backend: Connection, now: datetime) -> SyncOutcome:
    accounts = _accounts_of(backend)
    with transaction.atomic():
        _follow_readings(backend, accounts)
    readings = PositionReading.objects.filter(connection=backend, is_strategy=False)
    # whether there is such a call is found out with a few accounts
    most = MOST_ASKED if readings.filter(read_at__isnull=False).exists() else AT_ONCE
    due = _due(backend, False, now)
    ids = due[:MOST_ASKED]
    claimed = claim_turn(backend, lease.kind, len(ids), now=now)
    if ids and not claimed.count:
        return SyncOutcome(has_turns=True, waits_s=claimed.wait_s)
    ids, turn = ids[: claimed.count], PositionTurn()
    ask = partial(_positions_of, client, regions_of(backend, ids))
    _ask(turn, False, ids[:most], ask)
    if turn.positions and turn.of_all is None:
        _ask(turn, False, ids[most:], ask)
    if turn.is_refused and not readings.filter(read_at__gt=now - LIST_ASKED_AGAIN_AFTER).exists():
        status = 403 if any(isinstance(error, Forbidden) for error in turn.account_troubles.values()) else 404
        lease.cursor |= {"is_offered": False, REFUSED_BY: status}
        lease.cursor.pop(BY_ACCOUNT, None)  # next time the list is tried again, too
        with transaction.atomic():
            open_sums.take_turn(backend)
            lease.save(rows=open_sums.forget(backend))
        return SyncOutcome(next_in_s=LIST_ASKED_AGAIN_AFTER.total_seconds())
    if turn.of_all is None:
        _ask(turn, True, _due(backend, True, now)[:MOST_STRATEGIES], client.external_signals)
    traded: list[ProviderDeals] = []
    if turn.of_all is None and turn.positions:
        traded, turn.of_all = read_provider_deals(lease, client=client, backend=backend, now=now)
    with transaction.atomic():
        open_sums.take_turn(backend)
        rows = _keep_turn(lease, turn, backend, accounts, now)
        lease.save(rows=rows + keep_provider_deals(lease, backend, traded, now=now))
    outcome = _outcome_of(turn, backend)
    return replace(outcome, waits_s=claimed.wait_s) if len(due) > len(turn.positions) else outcome


def _positions_of(client: Client, regions: Mapping[str, str], account_id: str) -> list[TerminalPosition]:
    where: Where = {"region": regions[account_id]} if account_id in regions else {}
    return client.terminal_positions(account_id, **where)


def _accounts_of(backend: Connection) -> list[str]:
    """Clients' accounts, and those that strategies follow."""
    clients = Subscriber.objects.filter(connection=backend, is_removed=False).values_list("backend_id", flat=True)
    providers = providing(backend).exclude(account_id="").values_list("account_id", flat=True)
    return sorted({*clients, *providers})


def _follow_readings(backend: Connection, accounts: list[str]) -> None:
    """A reading for every account and strategy that is there, and for none that is not."""
    for is_strategy, ids in ((False, accounts), (True, list(providing(backend).values_list("backend_id", flat=True)))):
        own = PositionReading.objects.filter(connection=backend, is_strategy=is_strategy)
        own.exclude(backend_id__in=ids).delete()
        known = set(own.values_list("backend_id", flat=True))
        PositionReading.objects.bulk_create(
            [
                PositionReading(connection=backend, is_strategy=is_strategy, backend_id=backend_id)
                for backend_id in ids
                if backend_id not in known
            ],
            ignore_conflicts=True,
        )


def _due(backend: Connection, is_strategy: bool, now: datetime) -> list[str]:
    """Whom to ask, those on an open page first, then those that wait longest; nobody again within a while."""
    own = PositionReading.objects.filter(connection=backend, is_strategy=is_strategy)
    waiting = own.exclude(asked_at__gt=now - ASKED_AGAIN_AFTER).order_by(F("asked_at").asc(nulls_first=True), "id")
    if not is_strategy:
        waiting = waiting.exclude(backend_id__in=paused(backend, SyncKind.POSITIONS, now))
    on_page = [] if is_strategy else list(watched(backend.pk))
    first = list(waiting.filter(backend_id__in=on_page).values_list("backend_id", flat=True)) if on_page else []
    return [*first, *waiting.exclude(backend_id__in=first).values_list("backend_id", flat=True)[: MOST_ASKED + 1]]


def _ask(turn: PositionTurn, is_strategy: bool, ids: list[str], call) -> None:
    """A few at a time; after what concerns all, or where answers are slow, nobody else is asked in this turn."""
    until = time.monotonic() + TURN_S
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="positions") as pool:
        for start in range(0, len(ids), AT_ONCE):
            group = ids[start : start + AT_ONCE]
            for backend_id, answer in zip(group, pool.map(partial(_answer, call), group), strict=True):
                if isinstance(answer, CONCERNS_ALL):
                    turn.of_all = answer
                elif isinstance(answer, ClientError):
                    turn.troubles[is_strategy, backend_id] = answer
                elif is_strategy:
                    turn.signals[backend_id] = answer
                else:
                    turn.positions[backend_id] = answer
            if turn.of_all is not None or time.monotonic() > until:
                return


def _answer(call, backend_id: str) -> list | ClientError:
    try:
        answer: list = call(backend_id)
        return answer
    except ClientError as error:
        return error


def _keep_turn(lease: Lease, turn: PositionTurn, backend: Connection, accounts: list[str], now: datetime) -> int:
    positions = [(account, position) for account, own in turn.positions.items() for position in own]
    gone = [backend_id for backend_id, error in turn.account_troubles.items() if _is_refusal(error)]
    rows, keys = keep_positions(backend, positions, now=now)
    rows += drop_positions(backend, but=keys, accounts=[*turn.positions, *gone])
    rows += drop_other_accounts(backend, accounts)
    rows += link_copies(backend, list(turn.positions))
    provided, whole = rows_of_provider(backend, positions, list(turn.positions))
    external = [row_of_external(key, signal) for key, signals in turn.signals.items() for signal in signals]
    whole += [(strategy, True) for strategy in turn.signals]
    rows += keep_signals(backend, [*provided, *external], whole=whole)
    _note(backend, turn, now)
    note_answers(backend, lease.kind, list(turn.positions), turn.account_troubles, now=now)
    return rows + _work_out(lease, backend, changed=rows, is_list=False, now=now)


def _note(backend: Connection, turn: PositionTurn, now: datetime) -> None:
    """When each was read, and why it was not. Of an account that is gone nothing is known any more."""
    rows = [
        *((False, key, "", False) for key in turn.positions),
        *((True, key, "", False) for key in turn.signals),
        *((is_strategy, key, error.text, _is_refusal(error)) for (is_strategy, key), error in turn.troubles.items()),
    ]
    if not rows:
        return
    with connection.cursor() as database:
        database.execute(
            "UPDATE reporting_positionreading r SET asked_at = %s, problem = k.problem, read_at = CASE"
            " WHEN k.problem = '' THEN %s WHEN k.is_gone THEN NULL ELSE r.read_at END"
            " FROM unnest(%s::bool[], %s::text[], %s::text[], %s::bool[]) AS k (is_strategy, id, problem, is_gone)"
            " WHERE r.connection_id = %s AND r.is_strategy = k.is_strategy AND r.backend_id = k.id",
            [now, now, *[list(column) for column in zip(*rows, strict=True)], backend.pk],
        )


def _outcome_of(turn: PositionTurn, backend: Connection) -> SyncOutcome:
    """The figures are as old as the reading of the account that waits longest; trouble of all is raised."""
    if turn.of_all is not None:
        raise turn.of_all
    troubles = [error for error in turn.account_troubles.values() if not _is_refusal(error)]
    asked = len(turn.positions) + len(turn.account_troubles)
    if troubles and len(troubles) == asked:
        raise troubles[0]
    text = f"{len(troubles)} of {asked} accounts did not answer: {troubles[0].text}" if troubles else ""
    readings = PositionReading.objects.filter(connection=backend, is_strategy=False)
    oldest = readings.order_by(F("read_at").asc(nulls_first=True)).values_list("read_at", flat=True).first()
    return SyncOutcome(complete_until=oldest, error=text, has_turns=True)
