"""Ids of positions, orders, deals and decisions that tell nobody how much others do.

The book counts everything of everybody in one row. What is shown of a count is its place in a secret order of all
numbers (a Feistel network, so every number has exactly one place and the way back is known). The secret is journalled
with the rules (settings/rules.py), so a replay gives the same ids; what was numbered before keeps its plain number.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import numpy as np

HALF = 20  # bits: two halves make 10**12 numbers
MASK = np.uint64((1 << HALF) - 1)
FIRST = 10**15  # shown ids begin here, plain ones stay below
ROUNDS = 6


def scrambled(numbers: np.ndarray, secret: bytes) -> np.ndarray:
    """(n,) int64 ids of (n,) counts below 2**40."""
    counts = np.asarray(numbers).astype(np.uint64)
    left, right = counts >> np.uint64(HALF), counts & MASK
    for key in _keys(secret):
        left, right = right, left ^ _mixed(right, key)
    return ((left << np.uint64(HALF)) | right).astype(np.int64) + FIRST


def counts_of(ids: np.ndarray, secret: bytes) -> np.ndarray:
    """(n,) int64 counts of (n,) ids; plain ones are their own."""
    ids = np.asarray(ids, dtype=np.int64)
    if not secret:
        return ids
    shown = np.where(ids >= FIRST, ids - FIRST, 0).astype(np.uint64)
    left, right = shown >> np.uint64(HALF), shown & MASK
    for key in reversed(_keys(secret)):
        left, right = right ^ _mixed(left, key), left
    return np.where(ids >= FIRST, ((left << np.uint64(HALF)) | right).astype(np.int64), ids)


def record_id(sequence: int, place: int, secret: bytes) -> str:
    """The id of a record that an entry made; without a secret it tells both numbers."""
    plain = f"{sequence}-{place}"
    return blake2b(plain.encode(), key=secret, digest_size=12).hexdigest() if secret else plain


@lru_cache(maxsize=4)
def _keys(secret: bytes) -> tuple[np.uint64, ...]:
    stream = blake2b(secret, digest_size=8 * ROUNDS).digest()
    return tuple(np.uint64(int.from_bytes(stream[8 * place : 8 * place + 8], "little")) for place in range(ROUNDS))


def _mixed(half: np.ndarray, key: np.uint64) -> np.ndarray:
    """(n,) HALF bits that depend on all bits of the half and the key (the finish of splitmix64)."""
    mixed = half + key
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    mixed &= MASK
    return mixed
