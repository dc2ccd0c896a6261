"""Accounts that an entry is carried out without (core/faults.py): who they are. Nothing of theirs is touched."""

from __future__ import annotations

import numpy as np

from .book import Book


def taking_part(book: Book, accounts: np.ndarray) -> np.ndarray:
    """(n,) False for accounts that are left out. accounts: (n,) rows."""
    if book.left_out is None:
        return np.ones(len(accounts), dtype=bool)
    known = book.left_out
    if len(known) < book.accounts.size:  # an account was opened meanwhile
        known = np.append(known, np.zeros(book.accounts.size - len(known), dtype=bool))
    return ~known[accounts]


def left_out_ids(book: Book) -> list[str]:
    """Ids of the accounts that are left out."""
    rows = [] if book.left_out is None else np.flatnonzero(book.left_out).tolist()
    return [book.account_meta[row].id for row in rows]
