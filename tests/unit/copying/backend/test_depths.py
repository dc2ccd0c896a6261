"""How many records lie before a time, by hour and by second: as counting them all one by one says."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from copying.backend.http import depths
from copying.backend.http.depths import Depths
from copying.backend.http.pages import Selection

WHOLE = Selection("records", ("tenant = %(tenant)s",), {"tenant": "t"})
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
# seconds after START: five in the first hour, of which three in one second, none in the second, seven in the third
SECONDS = [0, 10, 10, 10.5, 3_599, 7_200, 7_200.5, 7_201, 7_300, 9_000, 9_000, 10_799.9]


class Records:
    """Answers the three questions of `Depths` by looking at every record; ids are in the order given."""

    def __init__(self, times: list[datetime]) -> None:
        self.times = times
        self.questions: list[str] = []

    async def rows(self, sql: str, parameters: dict[str, Any]) -> list[tuple]:
        first, last = parameters.get("hour"), parameters.get("end")
        records = [
            (number, time)
            for number, time in enumerate(self.times, 1)
            if number > parameters.get("last_id", 0) and (first is None or first <= time < last)
        ]
        if "SELECT count(*)" in sql:
            self.questions.append("count")
            return [(len(records),)]
        if "/ 3600" in sql:
            self.questions.append("hours")
            counts = Counter(int(time.timestamp() // 3600) for _, time in records)
            newest = {hour: max(n for n, t in records if t.timestamp() // 3600 == hour) for hour in counts}
            return [(hour, count, newest[hour]) for hour, count in counts.items()]
        self.questions.append("seconds")
        return sorted(Counter(int(time.timestamp()) for _, time in records).items(), reverse=True)


def moments(seconds: list[float]) -> list[datetime]:
    return [START + timedelta(seconds=second) for second in seconds]


def before(records: Records, end: datetime | None, time: datetime | None) -> int:
    """How many records before `end` are not before `time`: those that are passed over."""
    return sum((end is None or each < end) and (time is not None and each >= time) for each in records.times)


ENDS = [None, *moments([0, 10, 10.5, 3_600, 7_200, 7_200.25, 9_000.5, 10_800, 20_000])]


@pytest.mark.parametrize("crowded", [1, 2, 4, 5, 100])
@pytest.mark.parametrize("end", ENDS)
def test_a_jump_passes_over_as_many_as_it_says(monkeypatch, crowded: int, end: datetime | None) -> None:
    monkeypatch.setattr(depths, "CROWDED", crowded)
    records = Records(moments(SECONDS))
    known = Depths(records)  # type: ignore[arg-type]
    for offset in (0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 40, 3, 0):  # again from what is known by then
        rank, time = asyncio.run(known.locate(WHOLE, end, offset))
        assert rank <= offset
        assert rank == before(records, end, time if time != end else None)
        if crowded == 1 and end is None and time is not None:
            left = Counter(int(each.timestamp()) for each in records.times if each < time)
            assert offset - rank < max(left.values(), default=offset + 1), "no jump passes over a whole second"


def test_records_that_come_later_are_counted_alone(monkeypatch) -> None:
    monkeypatch.setattr(depths, "CROWDED", 2)
    records = Records(moments(SECONDS[:5]))
    known = Depths(records)  # type: ignore[arg-type]
    assert asyncio.run(known.locate(WHOLE, None, 4))[0] <= 4
    records.times += moments(SECONDS[5:])
    for offset in (7, 8, 11):
        rank, time = asyncio.run(known.locate(WHOLE, None, offset))
        assert rank == before(records, None, time)
    records.times += moments([3_598.0])  # into an hour whose seconds were counted
    rank, time = asyncio.run(known.locate(WHOLE, None, 12))
    assert rank == before(records, None, time)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_the_seconds_of_so_many_hours_are_remembered(monkeypatch, most: int) -> None:
    monkeypatch.setattr(depths, "CROWDED", 1)
    monkeypatch.setattr(depths, "MAX_CROWDED", most)
    records = Records(moments([0, 1, 3_600, 3_601, 7_200, 7_201]))
    known = Depths(records)  # type: ignore[arg-type]
    for offset in (1, 3, 5):
        asyncio.run(known.locate(WHOLE, None, offset))
    assert records.questions.count("seconds") == 3
    asyncio.run(known.locate(WHOLE, None, 1))
    assert records.questions.count("seconds") == (3 if most == 3 else 4)


def test_the_lower_bound_of_a_query_does_not_make_it_another(monkeypatch) -> None:
    monkeypatch.setattr(depths, "MAX_QUERIES", 2)
    records = Records(moments(SECONDS))
    known = Depths(records)  # type: ignore[arg-type]
    for start in (START, START + timedelta(hours=1)):
        narrowed = WHOLE.narrowed(depths.SINCE, start=start)
        assert asyncio.run(known.locate(narrowed, None, 3)) == asyncio.run(known.locate(WHOLE, None, 3))
    assert len(known._queries) == 1
    for number in range(4):
        other = Selection("records", ("tenant = %(tenant)s",), {"tenant": f"u{number}"})
        asyncio.run(known.locate(other, None, 3))
    assert len(known._queries) == 2
