"""equity-difference follows the broker's clock, the other limits UTC (contract, 4.5; section 8, 30)."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.http import reads
from copying.backend.http.reads import risk_limits
from copying.backend.risk.limits import KINDS
from copying.backend.risk.periods import calendar_start, period_of
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import Deposit, SetBrokerClock
from copying.backend.state.errors import Refused
from tests.unit.copying.backend.desk import DAY, Desk

HOUR = 3600.0
AHEAD = 3 * HOUR


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()


def limit(basis: str, kind: str = "date", **terms) -> dict:
    return {"type": kind, "applyTo": basis, "maxAbsoluteRisk": 50, "closePositions": False, **terms}


def clock(desk: Desk, hours: float) -> None:
    desk.do(SetBrokerClock(tenant="", offset_hours=hours))


def told(desk: Desk) -> list[dict]:
    return risk_limits(desk.book, "t")[0]["limits"]


@pytest.mark.parametrize(
    ("kind", "now", "start", "end"),
    [
        ("date", (2026, 3, 2, 20, 59), (2026, 3, 1, 21), (2026, 3, 2, 21)),
        ("date", (2026, 3, 2, 21), (2026, 3, 2, 21), (2026, 3, 3, 21)),
        ("week-to-date", (2026, 2, 28, 21), (2026, 2, 28, 21), (2026, 3, 7, 21)),  # Sunday by the broker's clock
        ("month-to-date", (2026, 2, 28, 20, 59), (2026, 1, 31, 21), (2026, 2, 28, 21)),
        ("month-to-date", (2026, 2, 28, 21), (2026, 2, 28, 21), (2026, 3, 31, 21)),
        ("quarter-to-date", (2026, 3, 31, 22), (2026, 3, 31, 21), (2026, 6, 30, 21)),
        ("year-to-date", (2026, 3, 1), (2025, 12, 31, 21), (2026, 12, 31, 21)),
    ],
)
def test_calendar_periods_of_a_clock_that_is_three_hours_ahead(kind, now, start, end) -> None:
    number = KINDS.index(kind)
    assert calendar_start(number, at(*now), AHEAD).timestamp() == at(*start)
    assert period_of(number, at(2025, 1, 1), at(*now), AHEAD) == (at(*start), at(*end))


@pytest.mark.parametrize(
    ("basis", "hours", "ends"),
    [
        ("equity-difference", 3, "2026-03-02T21:00:00.000Z"),
        ("equity-difference", -5, "2026-03-03T05:00:00.000Z"),
        ("equity-difference", 0, "2026-03-03T00:00:00.000Z"),
        ("balance-difference", 3, "2026-03-03T00:00:00.000Z"),
        ("balance-minus-equity", 3, "2026-03-03T00:00:00.000Z"),
    ],
)
@pytest.mark.parametrize("is_set_first", [True, False])
def test_only_equity_difference_follows_the_brokers_clock(desk: Desk, basis, hours, ends, is_set_first) -> None:
    desk.strategy()
    if is_set_first:
        clock(desk, hours)
    desk.subscriber(settings={"riskLimits": [limit(basis)]})
    if not is_set_first:
        clock(desk, hours)
    assert told(desk)[0]["endTime"] == ends


def test_equities_count_from_the_brokers_midnight_and_balances_from_the_utc_one(desk: Desk) -> None:
    clock(desk, 3)
    desk.strategy()
    desk.subscriber(settings={"riskLimits": [limit("equity-difference"), limit("balance-minus-equity")]})
    desk.signal()
    desk.tick(1, EURUSD=(1.0981, 1.0982))  # 20 lost by 12:00
    desk.tick(9.5 * HOUR)  # 21:30
    desk.tick(1, EURUSD=(1.0961, 1.0962))  # 20 more
    by_kind = {each["applyTo"]: each["drawdown"] for each in told(desk)}
    assert by_kind == {"equity-difference": 20.0, "balance-minus-equity": 40.3}
    desk.tick(4 * HOUR)  # 01:30, with a night's swap
    by_kind = {each["applyTo"]: each["drawdown"] for each in told(desk)}
    assert by_kind["equity-difference"] == pytest.approx(20.0, abs=2)
    assert by_kind["balance-minus-equity"] == pytest.approx(40, abs=2)  # the balance still has 0.30 of commission less


def test_a_stopout_ends_with_the_brokers_day(desk: Desk) -> None:
    clock(desk, 3)
    desk.strategy()
    desk.subscriber(settings={"riskLimits": [limit("equity-difference")]})
    desk.signal()
    desk.tick(1, EURUSD=(1.0941, 1.0942))
    assert [each["stoppedTill"] for each in reads.stopouts(desk.book, "t", "a")] == ["2026-03-02T21:00:00.000Z"]
    desk.tick(9 * HOUR)
    assert reads.stopouts(desk.book, "t", "a") == []


def test_relative_limits_take_the_balance_at_the_brokers_midnight(desk: Desk) -> None:
    clock(desk, 3)
    desk.strategy()
    desk.subscriber()
    desk.signal()
    desk.tick(9.5 * HOUR, EURUSD=(1.0941, 1.0942))
    desk.close_signal()
    desk.do(Deposit(tenant="t", account_id="a", amount=1_000))
    desk.subscriber(settings={"riskLimits": [limit("equity-difference", maxRelativeRisk=0.5)]})
    assert told(desk)[0]["startBalance"] == 10_999.7  # before the loss; money paid in is no result


@pytest.mark.parametrize("hours", [15, -14.5])
def test_no_clock_is_further_away(desk: Desk, hours: float) -> None:
    with pytest.raises(Refused):
        clock(desk, hours)


def test_a_replay_and_a_restored_snapshot_follow_the_same_clock(desk: Desk) -> None:
    clock(desk, 3)
    desk.strategy()
    desk.subscriber(settings={"riskLimits": [limit("equity-difference")]})
    desk.signal()
    held, place = snapshot.pack(desk.book), len(desk.entries)
    desk.tick(DAY, EURUSD=(1.0981, 1.0982))
    clock(desk, -2)
    desk.tick(DAY, EURUSD=(1.0941, 1.0942))
    fresh, restored = Book(PaperBroker(), slippage_spreads=0.0), snapshot.unpack(held, PaperBroker())
    for sequence, entry in enumerate(desk.entries, 1):
        apply(fresh, entry, sequence)
    for sequence, entry in enumerate(desk.entries[place:], place + 1):
        apply(restored, entry, sequence)
    assert snapshot.pack(fresh) == snapshot.pack(restored) == snapshot.pack(desk.book)


def test_older_snapshots_have_the_utc_clock(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(settings={"riskLimits": [limit("equity-difference")]})
    state = msgspec.msgpack.decode(snapshot.pack(desk.book))
    del state["broker_ahead"], state["next_broker_midnight"]
    for period in range(5):
        del state["accounts"]["columns"][f"broker_balance_{period}"]
    desk.book = snapshot.unpack(msgspec.msgpack.encode(state), PaperBroker())
    assert desk.book.next_broker_midnight == desk.book.next_midnight
    clock(desk, 3)
    desk.subscriber(settings={"riskLimits": [limit("equity-difference", maxRelativeRisk=0.5)]})
    assert told(desk)[0]["startBalance"] == 10_000
