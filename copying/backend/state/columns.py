"""Tables as numpy columns of equal length: appended in bulk, filtered in one step, kept in order.

`table.name` is a view of the filled part; writing into it writes the table. Views are replaced when rows come or go, so
nobody may hold one across a change.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Columns:
    """Columns by a schema of name -> (type, value for what is not given)."""

    def __init__(self, schema: dict[str, tuple[str, Any]], capacity: int = 16) -> None:
        self._schema = schema
        self._store = {name: np.empty(capacity, dtype=kind) for name, (kind, _) in schema.items()}
        self._capacity = capacity
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
        for name, (_, default) in self._schema.items():
            self._store[name][start:end] = values.get(name, default)
        self._resize(end)
        return np.arange(start, end)

    def keep(self, mask: np.ndarray) -> None:
        """Drop the rows where `mask` is False; the rest keep their order."""
        kept = int(np.count_nonzero(mask))
        if kept == self.size:
            return
        for name in self._schema:
            self._store[name][:kept] = self._store[name][: self.size][mask]
        self._resize(kept)

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Copies of some rows, by column."""
        return {name: self._store[name][rows] for name in self._schema}

    def pack(self) -> dict[str, bytes]:
        """All columns as bytes, for a snapshot."""
        return {name: np.ascontiguousarray(getattr(self, name)).tobytes() for name in self._schema}

    def unpack(self, packed: dict[str, bytes], size: int) -> None:
        """The reverse of `pack`; columns that a newer version added get their default."""
        self._grow(max(size, 16))
        for name, (kind, default) in self._schema.items():
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
        views = self.__dict__
        for name, column in self._store.items():
            views[name] = column[:size]


class Names:
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
