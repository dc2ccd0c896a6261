"""Paper accounts: opening, re-configuring, balance operations and snapshots."""

from __future__ import annotations

import math

import numpy as np

from copying.symbols.instruments import ACCOUNT_CURRENCIES

from .account_deals import tell_balance
from .book import Book
from .commands import Deposit, OpenAccount
from .effects import AccountSnapshots, Effects, LogLine
from .entities import AccountMeta
from .errors import Refused, invalid, not_found
from .valuation import MINOR_UNITS, value

DEFAULT_DEPOSIT = 10_000.0
DEFAULT_LEVERAGE = 100.0
STARTS = ("balance", "equity", "broker_balance")  # what is kept of the starts of calendar periods


def check_open_account(book: Book, command: OpenAccount) -> None:
    """Sane numbers; a known account must be the caller's and keeps its currency once it has had money."""
    if command.currency not in ACCOUNT_CURRENCIES:
        raise invalid("currency", command.currency, f"must be one of {', '.join(ACCOUNT_CURRENCIES)}")
    if not (math.isfinite(command.leverage) and 1 <= command.leverage <= 1000):
        raise invalid("leverage", command.leverage, "must be between 1 and 1000")
    if not (math.isfinite(command.deposit) and 0 <= command.deposit <= 1e12):
        raise invalid("deposit", command.deposit, "must be between 0 and 1e12")
    row = book.account_rows.get(command.account_id)
    if row is None:
        return
    if book.account_meta[row].tenant != command.tenant:
        raise not_found("Account")
    if ACCOUNT_CURRENCIES[book.accounts.currency[row]] != command.currency:
        raise invalid("currency", command.currency, "the currency of an account cannot be changed")


def open_account(book: Book, command: OpenAccount, effects: Effects) -> None:
    """Open an account with its deposit, or change name, leverage, demo mark and robot of a known one."""
    row = book.account_rows.get(command.account_id)
    if row is None:
        add_account(book, command, effects)
        return
    meta = book.account_meta[row]
    meta.name, meta.demo, meta.robot = command.name, command.demo, command.robot
    book.accounts.leverage[row] = command.leverage
    book.valued = False


def add_account(book: Book, command: OpenAccount, effects: Effects) -> int:
    """A new account; its row."""
    row = book.accounts.append(
        currency=ACCOUNT_CURRENCIES.index(command.currency),
        balance=command.deposit,
        equity=command.deposit,
        deposits=command.deposit,
        leverage=command.leverage,
        **{f"{what}_{period}": command.deposit for what in STARTS for period in range(5)},
    )
    book.account_meta.append(
        AccountMeta(command.account_id, command.tenant, command.name, command.demo, command.robot, book.time)
    )
    book.account_rows[command.account_id] = row
    book.accounts_of.setdefault(command.tenant, {})[row] = None
    tell_balance(book, effects, row, command.deposit, "Deposit at the opening")
    book.changed_configuration()
    book.valued = False
    return row


def ensure_account(book: Book, tenant: str, account_id: str, name: str, effects: Effects) -> int:
    """Row of an account; an unknown one is opened with 10,000 USD and a leverage of 100."""
    row = book.account_rows.get(account_id)
    if row is not None:
        return row
    return add_account(
        book,
        OpenAccount(
            tenant=tenant, account_id=account_id, name=name, leverage=DEFAULT_LEVERAGE, deposit=DEFAULT_DEPOSIT
        ),
        effects,
    )


def own_account(book: Book, tenant: str, account_id: str) -> int:
    """Row of the caller's account. Raises 404."""
    row = book.account_rows.get(account_id)
    if row is None or book.account_meta[row].tenant != tenant:
        raise not_found("Account")
    return row


def check_deposit(book: Book, command: Deposit) -> None:
    """Money out must be there."""
    row = own_account(book, command.tenant, command.account_id)
    if not math.isfinite(command.amount) or abs(command.amount) > 1e12:
        raise invalid("amount", None, "must be a number of at most 1e12")
    if book.accounts.balance[row] + command.amount < 0:
        raise Refused(
            400,
            "ValidationError",
            "The balance does not cover this withdrawal",
            [{"parameter": "amount", "value": command.amount, "message": "more than the balance"}],
        )


def deposit(book: Book, command: Deposit, effects: Effects) -> None:
    """Balance operation: moves the balance and the starts of all periods, so that it is never a loss or a gain."""
    row = book.account_rows[command.account_id]
    accounts = book.accounts
    currency = ACCOUNT_CURRENCIES[accounts.currency[row]]
    amount = round(command.amount, int(MINOR_UNITS[accounts.currency[row]]))
    accounts.balance[row] += amount
    accounts.deposits[row] += amount
    for period in range(5):
        for what in STARTS:
            accounts.starts(what, period)[row] += amount
    limits = book.limits
    whole = (limits.account == row) & (limits.subscription < 0)
    limits.base[whole] += amount
    book.valued = False
    words = "Deposit" if amount >= 0 else "Withdrawal"
    tell_balance(book, effects, row, amount, command.comment or words)
    note = f" ({command.comment})" if command.comment else ""
    effects.events.append(
        LogLine(
            book.time,
            command.tenant,
            1,
            f"{words} of {abs(amount):.2f} {currency}{note}.",
            subscriber_id=command.account_id,
        )
    )
    take_snapshots(book, effects, np.array([row]))  # the moment is known, so it is never taken for a result


def take_snapshots(book: Book, effects: Effects, rows: np.ndarray) -> None:
    """Balance, equity and net deposits of some accounts, numbered per tenant."""
    value(book)
    accounts = book.accounts
    numbers = np.empty(len(rows), dtype=np.int64)
    for place, row in enumerate(rows.tolist()):
        tenant = book.account_meta[row].tenant
        numbers[place] = book.snapshot_numbers[tenant] = book.snapshot_numbers.get(tenant, 0) + 1
    effects.events.append(
        AccountSnapshots(
            book.time, rows, numbers, accounts.balance[rows], accounts.equity[rows], accounts.deposits[rows]
        )
    )
