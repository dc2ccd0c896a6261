"""Tables as numpy columns of equal length: appended in bulk, filtered in one step, kept in order.

A table is a class that declares its columns (tables.py). `table.name` is a view of the filled part, a plain attribute:
writing into it writes the table. Views are replaced when rows come or go, so nobody may hold one across a change.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np


class ColumnType(NamedTuple):
    """kind: a numpy type; default: what rows have where nothing is said."""

    kind: str
    default: float


def column(kind: str, default: float) -> Any:
    """Declare a column of a table: `volume: np.ndarray = column("f8", 0.0)`."""
    return ColumnType(kind, default)


class Columns:
    """A table; its subclasses declare the columns."""

    schema: ClassVar[dict[str, ColumnType]] = {}

    def __init_subclass__(cls) -> None:
        """Take the declarations out of the class, whose attributes would stand before those of its tables."""
        own = {name: declared for name, declared in vars(cls).items() if isinstance(declared, ColumnType)}
        for name in own:
            delattr(cls, name)
        cls.schema = {**cls.schema, **own}

    def __init__(self, capacity: int = 16) -> None:
        self._store = {name: np.empty(capacity, dtype=column.kind) for name, column in self.schema.items()}
        self._capacity = capacity
        self.size = 0
        self._resize(0)

    def __len__(self) -> int:
        return self.size

    def append(self, **values: Any) -> int:
        """One row; its number is returned."""
        return int(self.extend(1, **values)[0])

    def extend(self, count: int, **values: Any) -> np.ndarray:
        """`count` rows from arrays or scalars; the (count,) row numbers are returned."""
        start, end = self.size, self.size + count
        if end > self._capacity:
            self._grow(end)
        for name, (_, default) in self.schema.items():
            self._store[name][start:end] = values.get(name, default)
        self._resize(end)
        return np.arange(start, end)

    def keep(self, mask: np.ndarray) -> None:
        """Drop the rows where `mask` is False; the rest keep their order."""
        count = int(np.count_nonzero(mask))
        if count == self.size:
            return
        for name in self.schema:
            self._store[name][:count] = self._store[name][: self.size][mask]
        self._resize(count)

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Copies of some rows, by column."""
        return {name: self._store[name][rows] for name in self.schema}

    def pack(self) -> dict[str, bytes]:
        """All columns as bytes, for a snapshot."""
        return {name: np.ascontiguousarray(getattr(self, name)).tobytes() for name in self.schema}

    def unpack(self, packed: dict[str, bytes], size: int) -> None:
        """The reverse of `pack`; columns that a newer version added get their default."""
        self._grow(max(size, 16))
        for name, (kind, default) in self.schema.items():
            self._store[name][:size] = np.frombuffer(packed[name], dtype=kind) if name in packed else default
        self._resize(size)

    def _grow(self, needed: int) -> None:
        self._capacity = max(needed, self._capacity * 2)
        for name, old in self._store.items():
            fresh = np.empty(self._capacity, dtype=old.dtype)
            fresh[: len(old)] = old
            self._store[name] = fresh

    def _resize(self, size: int) -> None:
        self.size = size
        for name, column in self._store.items():
            setattr(self, name, column[:size])


class Interned:
    """Texts as small numbers that never change: symbols, strategy ids."""

    def __init__(self, texts: list[str] | None = None) -> None:
        self.texts = texts or []
        self._numbers = {text: number for number, text in enumerate(self.texts)}

    def __len__(self) -> int:
        return len(self.texts)

    def number(self, text: str) -> int:
        """The number of a text, given out now if it is new."""
        known = self._numbers.get(text)
        if known is None:
            known = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return known

    def find(self, text: str) -> int:
        """The number of a text, -1 when it has none."""
        return self._numbers.get(text, -1)
