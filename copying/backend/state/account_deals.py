"""Deals of accounts that are no copies: trades by hand, by robots and of providers, deposits and withdrawals.

Copies have records of their own (transactions). Together they are what an account's balance is the sum of, so what was
not recorded by earlier versions is told once, as one deposit and one correction, when deals begin to be recorded.
"""

from __future__ import annotations

import numpy as np

from .book import Book
from .effects import AccountDeals, Effects
from .privacy import RECORDED_DEALS
from .valuation import MINOR_UNITS

BALANCE, CORRECTION = "DEAL_TYPE_BALANCE", "DEAL_TYPE_CORRECTION"


def is_recording(book: Book) -> bool:
    """Whether the entry that is carried out is of a version that records deals."""
    return book.privacy >= RECORDED_DEALS


def tell_balance(book: Book, effects: Effects, row: int, amount: float, comment: str, kind: str = BALANCE) -> None:
    """A deposit, a withdrawal, or what else moves a balance without a trade."""
    if not is_recording(book) or amount == 0:
        return
    none = np.full(1, -1)
    zero = np.zeros(1)
    effects.events.append(
        AccountDeals(
            kind=kind,
            entry="",
            cause=comment,
            time=book.time,
            number=book.next_ids("deal", 1),
            account=np.array([row]),
            position=none,
            symbol=none,
            side=none,
            volume=zero,
            price=zero,
            profit=np.array([amount]),
            swap=zero,
            commission=zero,
            magic=np.zeros(1, dtype=int),
        )
    )


def tell_past(book: Book, effects: Effects) -> None:
    """What moved the balances until now and was not recorded."""
    subscriptions, accounts = book.subscriptions, book.accounts
    copied = np.bincount(subscriptions.account, subscriptions.realised, accounts.size)
    for row, meta in enumerate(book.account_meta):
        if not meta.tenant:
            continue
        tell_balance(book, effects, row, float(accounts.deposits[row]), "Paid in before deals were recorded")
        own = round(float(accounts.traded[row] - copied[row]), int(MINOR_UNITS[accounts.currency[row]]))
        tell_balance(book, effects, row, own, "Results of trades before deals were recorded", CORRECTION)
