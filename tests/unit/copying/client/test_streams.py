"""Histories and streams: nothing lost, nothing doubled, whatever the order and timing of the records."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copying.client import NotFound
from copying.client.following import follow
from copying.contract import wire
from copying.contract.documents import LogDocument
from copying.contract.history import StrategyRef, TransactionDocument

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def deal(number: int, at_ms: int) -> TransactionDocument:
    return TransactionDocument(
        id=str(number),
        type="DEAL_TYPE_BUY",
        time=T0 + timedelta(milliseconds=at_ms),
        subscriber_id="sub",
        strategy=StrategyRef(id="AAAA"),
    )


def answer(records) -> httpx.Response:
    return httpx.Response(200, content=wire.encode(list(records)))


def test_pages_of_a_history_that_grows_meanwhile_give_each_once(client, backend):
    deals = [deal(number, number) for number in range(25)]

    def grow_and_answer(request):
        query = parse_qs(request.url.query.decode())
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        page = sorted(deals, key=lambda one: one.time, reverse=True)[offset : offset + limit]
        deals.append(deal(len(deals), len(deals)))  # pushes an old one to the next page
        return answer(page)

    backend.will(grow_and_answer)
    pages = list(client.provided_transactions(T0, T0 + timedelta(days=1), page_size=10))
    ids = [one.id for page in pages for one in page]
    assert len(ids) == len(set(ids))
    assert set(ids) >= {str(number) for number in range(25)}


def test_a_repeated_page_gives_nothing_twice(client, backend):
    page = [deal(number, number) for number in range(10)]
    backend.will(answer(page), answer(page), answer([]))
    pages = list(client.subscription_transactions(T0, T0 + timedelta(days=1), page_size=10))
    assert [len(page) for page in pages] == [10]


class Stream:
    """A backend's stream by the rules of 2.5; `arrivals` become visible one group per poll."""

    def __init__(self, arrivals, limit):
        self.arrivals, self.visible, self.limit, self.polls = list(arrivals), [], limit, 0

    def __call__(self, start: datetime | None) -> list:
        self.polls += 1
        if self.arrivals:
            self.visible += self.arrivals.pop(0)
        matching = sorted((one for one in self.visible if start is None or one.time >= start), key=lambda one: one.time)
        page = matching[: self.limit]
        return page[::-1]


def follow_all(stream: Stream, limit: int, polls: int, overlap=timedelta(seconds=5)) -> list:
    counter = iter(range(polls + 1))
    lists = follow(
        stream,
        start=None,
        identity=lambda one: one.id,
        limit=limit,
        overlap=overlap,
        should_stop=lambda: next(counter) == polls,
    )
    return [one for batch in lists for one in batch]


@given(
    st.lists(st.lists(st.integers(0, 40), max_size=6), max_size=8),
    st.integers(2, 5),
)
def test_following_delivers_every_record_exactly_once(times, limit):
    number = iter(range(1000))
    arrivals = [[deal(next(number), at) for at in group] for group in times]
    everything = [one for group in arrivals for one in group]
    if max(Counter(one.time for one in everything).values(), default=0) > limit:
        return  # more in one millisecond than a page holds cannot be asked for
    followed = [one.id for one in follow_all(Stream(arrivals, limit), limit, 150)]
    assert len(followed) == len(set(followed))
    assert set(followed) == {one.id for one in everything}


def test_a_late_record_inside_the_overlap_is_not_lost():
    stream = Stream([[deal(1, 3_000)], [deal(2, 1_000)]], 10)
    assert [one.id for one in follow_all(stream, 10, 6)] == ["1", "2"]


def test_when_nothing_is_new_the_backend_is_asked_to_hold():
    asked = []

    def poll(start):
        asked.append(start)
        return [deal(1, 0)] if start is None or start <= T0 else []

    counter = iter(range(6))
    list(
        follow(
            poll,
            start=None,
            identity=lambda one: one.id,
            limit=10,
            overlap=timedelta(seconds=5),
            should_stop=lambda: next(counter) == 5,
        )
    )
    held, looked_back = T0 + timedelta(milliseconds=1), T0 - timedelta(seconds=5)
    assert asked[2:] == [held, looked_back, held]


def test_lines_that_look_alike_are_kept(client, backend):
    line = LogDocument(time=T0, level="INFO", message="same")
    backend.will(answer([line, line]), answer([line, line]), answer([]))
    stopped = iter([False, False, False, True])
    batches = list(client.follow_subscriber_log("sub", should_stop=lambda: next(stopped)))
    assert [len(batch) for batch in batches] == [2, 0, 0]


def test_stopouts_go_on_after_the_last_number(client, backend):
    def packet(number):
        return {
            "reason": "day-balance-difference",
            "stoppedAt": "2026-01-01T00:00:00Z",
            "stoppedTill": "2026-01-02T00:00:00Z",
            "sequenceNumber": number,
        }

    backend.will(
        httpx.Response(200, json=[packet(1), packet(2)]),
        httpx.Response(200, json=[packet(2), packet(3)]),
        httpx.Response(200, json=[]),
    )
    stopped = iter([False, False, False, True])
    batches = list(client.follow_stopouts(previous_sequence_number=0, should_stop=lambda: next(stopped)))
    assert [[one.sequence_number for one in batch] for batch in batches] == [[1, 2], [3], []]
    assert [path.split("?")[1].split("&")[0] for path in backend.paths] == [
        "previousSequenceNumber=0",
        "previousSequenceNumber=2",
        "previousSequenceNumber=3",
    ]


def test_a_poll_that_is_held_too_long_means_nothing_new(client, backend, clock):
    backend.will(httpx.ReadTimeout("held"))
    assert client.strategy_transactions_stream("AAAA", hold_s=2) == []
    assert len(backend.requests) == 1
    assert clock.pauses == []


def test_a_stream_of_something_unknown_ends(client, backend):
    backend.will(404)
    with pytest.raises(NotFound):
        next(client.follow_strategy_transactions("AAAA"))
