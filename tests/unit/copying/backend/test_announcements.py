"""Nobody misses what happened between a look and the wait that follows it."""

from __future__ import annotations

import asyncio

from copying.backend.core.announcements import Changes

TOPIC, OTHER = ("log", "t"), ("log", "u")


def test_a_change_before_the_wait_ends_it_at_once() -> None:
    async def story() -> list[bool]:
        changes = Changes()
        listener = changes.subscribe(TOPIC)
        changes.announce(TOPIC)
        first = await listener.wait(0)
        return [first, await listener.wait(0)]

    assert asyncio.run(story()) == [True, False]


def test_a_change_of_another_topic_wakes_nobody() -> None:
    async def story() -> bool:
        changes = Changes()
        listener = changes.subscribe(TOPIC)
        changes.announce(OTHER)
        return await listener.wait(0)

    assert asyncio.run(story()) is False


def test_a_change_during_the_wait_ends_it() -> None:
    async def story() -> bool:
        changes = Changes()
        listener = changes.subscribe(TOPIC)
        waiting = asyncio.ensure_future(listener.wait(30))
        await asyncio.sleep(0)
        changes.announce(TOPIC)
        return await waiting

    assert asyncio.run(story()) is True


def test_who_waits_at_the_end_goes_with_nothing() -> None:
    async def story() -> list[bool]:
        changes = Changes()
        listener = changes.subscribe(TOPIC)
        waiting = asyncio.ensure_future(listener.wait(30))
        await asyncio.sleep(0)
        changes.close()
        first = await waiting
        changes.announce(TOPIC)
        return [first, await listener.wait(30)]

    assert asyncio.run(story()) == [False, False]
