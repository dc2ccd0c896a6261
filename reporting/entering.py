"""Currencies of accounts that people enter, where no account API tells them: read, checked, saved all or none.

What the account itself says always holds. A currency that was entered wrongly can be corrected until a billing period
is closed with it; then the account's open lines are computed anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, Sum

from reporting.currencies import problem_of
from reporting.models import AccrualState, BillingPeriod, CommissionLine, DailyResult, Payment
from subscribers.models import EnteredCurrency, Subscriber, Subscription
from users.models import Connection, User, Workspace
from users.numbers import Unclear, read_number
from users.services import record_audit
from users.table_files import BadRow, BadRows, lines_of

MOST_ROWS = 5_000
MOST_BYTES = 1_000_000
DECIMALS = 8
NEEDED = ("account", "currency")
# the file of the list can be filled in and sent: what it says beside them is not read
COLUMNS = (*NEEDED, "balance", "connection")
PASSED_OVER = ("name", "waiting_deals", "entered_by", "entered_at", "reported")


@dataclass(frozen=True)
class EntryRow:
    """What a person says of one account. line: where it stands; account: its id at the backend; connection: a name."""

    line: int
    account: str
    currency: str
    balance: Decimal | None = None
    connection: str = ""


@dataclass(frozen=True)
class PlannedEntry:
    """What saving a row does. deals: how many wait for it; before: what was entered earlier, "" for nothing."""

    row: EntryRow
    subscriber: Subscriber
    before: str
    deals: int

    @property
    def is_correction(self) -> bool:
        """Whether lines that were computed in another currency are computed anew."""
        return self.before not in ("", self.row.currency)


def read_entries(content: bytes) -> tuple[list[EntryRow], int]:
    """The rows of a CSV, and how many have no currency and are left out. Raises BadRows."""
    lines = lines_of(content, most_bytes=MOST_BYTES)
    heading = [cell.strip().lower() for cell in lines[0][1]] if lines else []
    if not set(NEEDED) <= set(heading) <= {*COLUMNS, *PASSED_OVER} or len(set(heading)) < len(heading):
        text = "The first line names the columns: account and currency, and balance and connection if you have them."
        raise BadRows([BadRow(1, text)])
    if len(lines) - 1 > MOST_ROWS:
        raise BadRows([BadRow(0, f"The file has more than {MOST_ROWS} accounts. Send it in parts.")])
    rows: list[EntryRow] = []
    bad: list[BadRow] = []
    for line, cells in lines[1:]:
        try:
            rows.append(_row(line, cells, heading))
        except ValueError as error:
            bad.append(BadRow(line, str(error)))
    filled = [row for row in rows if row.currency or row.balance is not None]
    bad += [*_unreadable(filled), *_repeated(filled)]
    if not filled and not bad:
        bad.append(BadRow(0, "No row of the file has a currency."))
    if bad:
        raise BadRows(sorted(bad, key=lambda row: row.line))
    return filled, len(rows) - len(filled)


def _row(line: int, cells: list[str], heading: list[str]) -> EntryRow:
    """Raises ValueError with a sentence."""
    if len(cells) != len(heading):
        raise ValueError(f"It has {len(cells)} cells, the first line {len(heading)}.")
    values = dict(zip(heading, (cell.strip() for cell in cells), strict=True))
    balance = None
    if typed := values.get("balance", ""):
        try:
            balance = read_number(typed, decimals=DECIMALS)
        except Unclear as error:
            raise ValueError(f"Balance: {error}") from error
    return EntryRow(line, values["account"], values["currency"].upper(), balance, values.get("connection", ""))


def _unreadable(rows: list[EntryRow]) -> Iterator[BadRow]:
    for row in rows:
        if not row.account:
            yield BadRow(row.line, "It names no account.")
        elif not row.currency:
            yield BadRow(row.line, "It has a balance but no currency.")
        elif text := problem_of(row.currency):
            yield BadRow(row.line, text)


def _repeated(rows: list[EntryRow]) -> Iterator[BadRow]:
    lines: dict[tuple[str, str], int] = {}
    for row in rows:
        first = lines.setdefault((row.account, row.connection), row.line)
        if first != row.line and row.account:
            yield BadRow(row.line, f"{row.account} stands in line {first} already.")


# ------------------------------------------------------------------------------------------------------ what it does


def plan_entries(workspace: Workspace, rows: list[EntryRow]) -> list[PlannedEntry]:
    """What saving these rows would do. Raises BadRows with every row that cannot be saved."""
    return _planned(workspace, rows, Subscriber.objects.all())


@transaction.atomic
def save_entries(workspace: Workspace, rows: list[EntryRow], *, by: User, now: datetime) -> list[PlannedEntry]:
    """Save all rows, each with its audit entry. Raises BadRows, and nothing is saved."""
    wanted = [row.account for row in rows]
    strategies = _strategies_of(Subscriber.objects.filter(workspace=workspace, backend_id__in=wanted))
    # nobody closes a period of theirs meanwhile
    list(AccrualState.objects.select_for_update().filter(strategies).order_by("pk").values_list("pk"))
    planned = _planned(workspace, rows, Subscriber.objects.select_for_update(of=("self",)).order_by("pk"))
    for entry in planned:
        _save(entry, by=by, now=now)
    AccrualState.objects.filter(strategies).update(accrued_at=None)  # fees that grow by days begin at once, too
    return planned


def _strategies_of(accounts: Iterable[Subscriber]) -> Q:
    """The accrual of every strategy that these accounts copy or have copied."""
    by_connection: dict[int, list[Subscriber]] = {}
    for account in accounts:
        by_connection.setdefault(account.connection_id, []).append(account)
    condition = Q(pk=None)
    for connection_id, own in by_connection.items():
        ids = [account.backend_id for account in own]
        days = DailyResult.objects.filter(connection_id=connection_id, subscriber_id__in=ids)
        terms = Subscription.objects.filter(subscriber__in=own)
        strategies = {*days.order_by().values_list("strategy_id", flat=True).distinct()}
        strategies |= {*terms.values_list("strategy_backend_id", flat=True)}
        condition |= Q(connection_id=connection_id, strategy_id__in=strategies)
    return condition


def _planned(workspace: Workspace, rows: list[EntryRow], accounts) -> list[PlannedEntry]:
    own = accounts.filter(workspace=workspace, backend_id__in=[row.account for row in rows])
    by_id: dict[str, list[Subscriber]] = {}
    for account in own.select_related("connection", "entered").defer("connection__token", "document", "limits"):
        by_id.setdefault(account.backend_id, []).append(account)
    entries = [(row, _account_of(row, by_id.get(row.account, []))) for row in rows]
    matched = [account for _, account in entries if isinstance(account, Subscriber)]
    closed, deals = _with_closed_books(matched), _waiting_deals(matched)
    planned, bad = [], []
    for row, account in entries:
        text = account if isinstance(account, str) else _refusal(row, account, is_closed=account.pk in closed)
        if text or isinstance(account, str):
            bad.append(BadRow(row.line, text))
            continue
        entered = getattr(account, "entered", None)
        planned.append(PlannedEntry(row, account, entered.currency if entered else "", deals.get(account.pk, 0)))
    if bad:
        raise BadRows(bad)
    return planned


def _account_of(row: EntryRow, accounts: list[Subscriber]) -> Subscriber | str:
    """The account of a row, or why there is none."""
    if row.connection:
        accounts = [account for account in accounts if account.connection.name == row.connection]
    if not accounts:
        at = f" at {row.connection}" if row.connection else ""
        return f"No account has the id {row.account}{at}."
    if len(accounts) > 1:
        return f"Several connections have an account {row.account}: name one in the column connection."
    return accounts[0]


def _refusal(row: EntryRow, account: Subscriber, *, is_closed: bool) -> str:
    """Why a currency cannot be entered for the account; empty where it can."""
    entered: EnteredCurrency | None = getattr(account, "entered", None)
    holds = account.currency if entered is None else entered.reported
    if holds:
        if entered is not None and row.currency == holds:
            return ""
        return f"{account.name}: the account itself says {holds}, and that holds."
    if entered is not None and entered.currency != row.currency and is_closed:
        return f"{account.name}: a billing period was closed with {entered.currency}, so it cannot be changed any more."
    return ""


def _with_closed_books(accounts: list[Subscriber]) -> set[int]:
    """Keys of accounts with a line of a closed period, or a payment."""
    entered = [account for account in accounts if getattr(account, "entered", None)]
    ids = [account.backend_id for account in entered]
    connections = {account.connection_id for account in entered}
    closed = BillingPeriod.objects.filter(
        connection_id=OuterRef("connection_id"),
        strategy_id=OuterRef("strategy_id"),
        period_start=OuterRef("period_start"),
        period_end=OuterRef("period_end"),
        closed_at__isnull=False,
    )
    named = {"connection_id__in": connections, "subscriber_id__in": ids}
    lines = CommissionLine.objects.filter(Exists(closed), **named).order_by()
    booked = {*lines.values_list("connection_id", "subscriber_id").distinct()}
    booked |= {*Payment.objects.filter(**named).values_list("connection_id", "subscriber_id")}
    return {account.pk for account in entered if (account.connection_id, account.backend_id) in booked}


def _waiting_deals(accounts: list[Subscriber]) -> dict[int, int]:
    """How many deals of each account the ledger has not seen."""
    key_of = {(account.connection_id, account.backend_id): account.pk for account in accounts}
    days = DailyResult.objects.filter(
        connection_id__in={connection for connection, _ in key_of},
        subscriber_id__in=[backend_id for _, backend_id in key_of],
        is_accrued=False,
    )
    sums = days.order_by().values_list("connection_id", "subscriber_id").annotate(number=Sum("deals"))
    return {
        key_of[connection, account]: number for connection, account, number in sums if (connection, account) in key_of
    }


def _save(entry: PlannedEntry, *, by: User, now: datetime) -> None:
    account, row = entry.subscriber, entry.row
    values = {"currency": row.currency, "balance": row.balance, "set_by": by, "set_at": now}
    EnteredCurrency.objects.update_or_create(subscriber=account, defaults=values)
    if account.currency != row.currency:
        if entry.is_correction:
            compute_anew(account.connection_id, account.backend_id)
        account.currency = row.currency
    if account.measured_at is None:
        account.balance = row.balance
    account.save(update_fields=["currency", "balance"])
    details = {"account": account.backend_id, "currency": row.currency, "before": entry.before}
    if row.balance is not None:
        details["balance"] = str(row.balance)
    action = "currency corrected" if entry.is_correction else "currency entered"
    record_audit(account.workspace, user=by, action=action, subject=account.name, details=details, now=now)


def compute_anew(connection_id: int, subscriber_id: str) -> None:
    """Have all lines of an account that has no closed ones computed anew by the next accrual."""
    named = {"connection_id": connection_id, "subscriber_id": subscriber_id}
    CommissionLine.objects.filter(**named).delete()
    DailyResult.objects.filter(**named).update(is_accrued=False)


# ------------------------------------------------------------------------------------------ what accounts say later


def follow_reported(backend: Connection, reported: dict[str, str], *, now: datetime) -> None:
    """After balances were read: note where an account says another currency than was entered for it.

    reported: currency by backend id, "" where the account tells none that has a code; then what was entered holds on
    (`subscribers.mirror.keep_balances`).
    """
    entries = EnteredCurrency.objects.filter(subscriber__connection=backend).select_related("subscriber__workspace")
    own = [entry for entry in entries if reported.get(entry.subscriber.backend_id, "") not in ("", entry.reported)]
    if not own:
        return
    closed = _with_closed_books([entry.subscriber for entry in own])
    for entry in own:
        code, account = reported[entry.subscriber.backend_id], entry.subscriber
        before, entry.reported = entry.reported or entry.currency, code
        entry.save(update_fields=["reported"])
        if code != before:
            if account.pk not in closed:
                compute_anew(backend.pk, account.backend_id)
            details = {"account": account.backend_id, "currency": code, "before": before}
            record_audit(
                account.workspace,
                user=None,
                action="currency reported by the account",
                subject=account.name,
                details=details,
                now=now,
            )
