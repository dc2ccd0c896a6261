"""The broker's clock comes from a setting and is kept: a start that finds another one journals it, and only then."""

from __future__ import annotations

import pytest

from copying.backend.core.writer import Core
from copying.backend.http.options import database_url
from copying.backend.state.commands import OpenAccount

from .conftest import StillMarket, empty

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]


@pytest.fixture
def tables(django_db_setup):
    """Empty ones."""
    empty()
    yield
    empty()


async def run(hours: float) -> tuple[float, int]:
    """The clock that the book has after a start, and how many entries the start wrote before the first command."""
    core = Core(database_url(), StillMarket(), fail=pytest.fail, broker_offset_hours=hours)
    await core.start(ticking=False)
    before = core.sequence
    await core.submit(OpenAccount(tenant="firm", account_id="P-1", name="P"))
    found = core.book.broker_ahead / 3600, core.sequence - before - 1
    await core.stop()
    return found


async def test_a_start_takes_over_another_clock_once(tables):
    # a new data set writes once by which rules it begins
    assert await run(0) == (0, 1)
    assert await run(0) == (0, 0)
    assert await run(3) == (3, 1)
    assert await run(3) == (3, 0)
    assert await run(0) == (0, 1)
