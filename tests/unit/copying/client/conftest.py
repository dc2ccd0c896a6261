"""A backend of canned answers and a clock that moves only when somebody sleeps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from copying.client import Client

TOKEN = "aaa.bbb.ccc"
BASE = "http://backend:7270"


class Clock:
    """Time for a test."""

    def __init__(self):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.pauses: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += timedelta(seconds=seconds)


class Backend:
    """Answers one after another, the last one for ever; a function or an exception is also an answer."""

    def __init__(self):
        self.answers: list = []
        self.requests: list[httpx.Request] = []

    def will(self, *answers) -> Backend:
        self.answers = list(answers)
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Callable):
            answer = answer(request)
        return httpx.Response(answer) if isinstance(answer, int) else answer

    @property
    def paths(self) -> list[str]:
        return [request.url.raw_path.decode() for request in self.requests]

    @property
    def hosts(self) -> list[str]:
        return [request.url.host for request in self.requests]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def backend():
    return Backend()


@pytest.fixture
def open_client(backend, clock):
    """A function that makes a client of `backend`; options are those of Client."""
    opened = []

    def make(token: str = TOKEN, **options):
        options = {"base_url": BASE, "clock": clock, "sleep": clock.sleep, "jitter": lambda: 1.0} | options
        client = Client(token, transport=httpx.MockTransport(backend), **options)
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def client(open_client):
    return open_client()
