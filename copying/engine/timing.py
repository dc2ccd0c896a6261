"""Delays and time windows of signals: arithmetic on times, and randomness that is a hash and therefore repeats."""

from __future__ import annotations

import hashlib
from math import inf

import numpy as np

from copying.engine.compiled import rule
from copying.engine.fold import Document

DEFAULT_LIFETIME_HOURS = 2160.0
DEFAULT_OPENING_MINUTES = 1.0
FIRST_FACTOR, SECOND_FACTOR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
HALF, TO_53_BITS = np.uint64(32), np.uint64(11)


def seed_of(signal_id: str) -> tuple[int, int]:
    """Twice 32 bits that depend on the signal's id only, the same in every process; the high ones first."""
    return divmod(int.from_bytes(hashlib.blake2b(signal_id.encode(), digest_size=8).digest(), "little"), 1 << 32)


@rule
def delay_of(signal, route):
    """Seconds to wait, evenly spread between the bounds by a hash of signal and route.  source: contract, 3.8
    signalDelay (last wins)
    """
    seed = np.uint64(signal.seed_high) << HALF | np.uint64(signal.seed_low)
    mixed = (route.key_hash ^ seed) * FIRST_FACTOR
    mixed = ((mixed ^ (mixed >> HALF)) * SECOND_FACTOR) >> TO_53_BITS
    return route.delay_min_s + (route.delay_max_s - route.delay_min_s) * (float(mixed) * 2.0**-53)


def opening_seconds(strategy: Document, is_pending: bool) -> float:
    """For how long an open signal may be applied, retries included; inf: for ever.

    Pending orders have such a window only with expirePendingOrderSignals.  source: contract, 3.8 timeSettings
    """
    settings = strategy.get("timeSettings") or {}
    if is_pending and not settings.get("expirePendingOrderSignals"):
        return inf
    minutes = settings.get("openingIntervalInMinutes")
    return 60 * (DEFAULT_OPENING_MINUTES if minutes is None else minutes)


def opening_deadline(strategy: Document, signal_time: float, delay_s: float, is_pending: bool) -> float:
    """Until when an open signal may be applied; the window starts after the delay.

    units: seconds since the epoch.  source: contract, 3.8 timeSettings, 4.4 signalDelay
    """
    return signal_time + delay_s + opening_seconds(strategy, is_pending)


def lifetime_seconds(strategy: Document) -> float:
    """How long a copied position stays open.  source: contract, 3.8"""
    hours = (strategy.get("timeSettings") or {}).get("lifetimeInHours")
    return 3600 * (DEFAULT_LIFETIME_HOURS if hours is None else hours)


def close_after(strategy: Document, signal_time: float) -> float:
    """When a copied position that is still open is closed.  units: seconds since the epoch"""
    return signal_time + lifetime_seconds(strategy)
