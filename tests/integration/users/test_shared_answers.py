"""A costly answer is worked out once for everybody who asks at the same time, and never older than its time allows."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import ConnectionError as NoRedis

from users import shared_answers
from users.shared_answers import shared_answer


def test_everybody_at_once_is_one_computation():
    started, go_on, calls = threading.Event(), threading.Event(), []

    def read():
        calls.append(1)
        started.set()
        assert go_on.wait(30)
        return "answer"

    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(shared_answer, "figure", read, fresh_s=60)
        assert started.wait(30)
        others = [pool.submit(shared_answer, "figure", read, fresh_s=60) for _ in range(4)]
        go_on.set()
        assert {first.result(30), *(other.result(30) for other in others)} == {"answer"}
    assert len(calls) == 1


def test_an_old_answer_is_given_while_the_next_is_worked_out(monkeypatch):
    assert shared_answer("figure", lambda: 1, fresh_s=60) == 1
    now = time.time()
    monkeypatch.setattr(shared_answers.time, "time", lambda: now + 61)

    def read():
        assert shared_answer("figure", lambda: 3, fresh_s=60) == 1  # somebody else, meanwhile
        return 2

    assert shared_answer("figure", read, fresh_s=60) == 2
    assert shared_answer("figure", lambda: 4, fresh_s=60) == 2


@pytest.mark.parametrize(("seconds", "calls"), [(59.9, 1), (60.0, 2), (60.1, 2)])
def test_an_answer_is_fresh_for_its_time(monkeypatch, seconds, calls):
    number, now = [], 1_000_000.0
    monkeypatch.setattr(shared_answers.time, "time", lambda: now)
    shared_answer("figure", lambda: number.append(1), fresh_s=60)
    now += seconds
    shared_answer("figure", lambda: number.append(1), fresh_s=60)
    assert len(number) == calls


def test_an_error_is_nobody_elses_and_frees_the_way():
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        shared_answer("figure", fail, fresh_s=60)
    assert shared_answer("figure", lambda: 5, fresh_s=60) == 5


def test_nothing_is_an_answer_too():
    assert shared_answer("figure", lambda: None, fresh_s=60) is None
    assert shared_answer("figure", lambda: 1, fresh_s=60) is None


def test_without_a_cache_everybody_works_it_out(monkeypatch):
    def refuse(*_, **__):
        raise NoRedis("gone")

    monkeypatch.setattr(shared_answers.cache, "get", refuse)
    assert shared_answer("figure", lambda: 6, fresh_s=60) == 6
