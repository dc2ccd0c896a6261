"""Slots for downloads: how many files one person may download from one workspace at the same time.

A slot is a key in the cache that all web processes share. It ends by itself when nobody renews it, so that a process
that was killed blocks nobody for longer than a minute.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.core.cache import cache

SLOTS = 2
LEASE_S = 60


@dataclass(frozen=True)
class Slot:
    """One running download."""

    key: str
    token: str

    def renew(self) -> None:
        """Keep it for another minute."""
        if cache.get(self.key) == self.token:
            cache.touch(self.key, LEASE_S)

    def release(self) -> None:
        """Give it back, unless its lease has ended and it is another download's by now."""
        if cache.get(self.key) == self.token:
            cache.delete(self.key)


def take_slot(user_id: int, workspace_id: int) -> Slot | None:
    """A free slot of the person in the workspace, or None while all are taken."""
    token = secrets.token_hex(8)
    for number in range(SLOTS):
        key = f"download:{workspace_id}:{user_id}:{number}"
        if cache.add(key, token, LEASE_S):
            return Slot(key, token)
    return None
