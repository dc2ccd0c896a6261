"""Tables of the book: what is declared is there, as plain views, and nothing else; caches belong to a book."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field

import numpy as np
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.state import tables
from copying.backend.state.book import Book
from copying.backend.state.columns import Columns

TABLES = [each for each in vars(tables).values() if isinstance(each, type) and issubclass(each, Columns)]


@dataclass
class Notes:
    lines: list[str] = field(default_factory=list)


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
def test_a_table_has_the_columns_that_it_declares_and_no_others(kind):
    table = kind()
    table.append()
    declared = {name for each in kind.__mro__ for name in getattr(each, "__annotations__", {})} - {"schema"}
    assert declared == set(kind.schema)
    assert {name for name in vars(table) if not name.startswith("_")} == declared | {"size"}
    for name, (column_type, default) in kind.schema.items():
        column = vars(table)[name]  # in the instance: nothing of the class stands before it
        assert type(column) is np.ndarray
        assert column.dtype == np.dtype(column_type)
        np.testing.assert_array_equal(column, np.array([default], dtype=column_type))


@pytest.mark.parametrize("rows", [15, 16, 17, 40])
def test_views_write_the_table_before_and_after_it_grows(rows):
    table = tables.PositionTable(16)
    table.extend(rows, id=np.arange(rows), volume=0.5)
    table.volume[-1] = 2.0
    table.keep(table.id != 0)
    assert (len(table), table.id[0], table.volume[-1], table.side[0]) == (rows - 1, 1, 2.0, 1)
    again = tables.PositionTable()
    again.unpack(table.pack(), table.size)
    assert again.pack() == table.pack()


def test_a_column_that_is_newer_than_a_snapshot_has_its_default():
    table = tables.LimitTable()
    table.append(account=3)
    packed = table.pack()
    del packed["scope"]
    table.unpack(packed, 1)
    assert (table.account[0], table.scope[0]) == (3, -1)


def test_a_cache_is_made_once_per_book_and_can_be_forgotten():
    book = Book(PaperBroker())
    book.cache(Notes).lines.append("kept")
    other = copy(book)
    other.forget_caches()
    assert (book.cache(Notes).lines, other.cache(Notes).lines) == (["kept"], [])
