"""Times as they stand on the wire: ISO 8601 in UTC with milliseconds; inside they are seconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime

EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC).timestamp(), 253_402_300_799.0  # years 1 and 9999


def iso(moment: float) -> str:
    """ISO 8601 UTC with milliseconds, as the contract writes times; what lies beyond the calendar is its first or last
    moment.
    """
    within = min(max(moment, EARLIEST), LATEST)
    return datetime.fromtimestamp(within, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def moment_of(text: str | None) -> float:
    """Seconds since the epoch of an ISO time, 0 when absent."""
    if not text:
        return 0.0
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
