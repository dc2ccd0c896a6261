"""The whole state of copying in memory. Changed only by `apply`; serialisable as one snapshot."""

from __future__ import annotations

from .reads import Reads


class Book(Reads):
    """Tenants, documents, accounts, positions, orders, signals, limits and stopouts."""

    def __init__(self) -> None:
        self.sequence = 0
        self.time = 0.0
