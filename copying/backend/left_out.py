"""Accounts that an entry is carried out without (faults.py): who they are, and that nothing of theirs is touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from .parts import learn_parts

if TYPE_CHECKING:
    from .book import Book


@contextmanager
def without(book: Book, account_ids: list[str]) -> Iterator[None]:
    """Leave some accounts out of what is done to the book meanwhile; unknown ones are nobody's."""
    if not account_ids:
        yield
        return
    book.left_out = np.zeros(book.accounts.size, dtype=bool)
    book.left_out[[book.account_rows[each] for each in account_ids if each in book.account_rows]] = True
    book.reduced.clear()
    try:
        yield
    finally:
        book.left_out = None
        for strategy_id in book.reduced:
            if strategy_id in book.plans:
                learn_parts(book, book.plans[strategy_id])
        book.reduced.clear()


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
