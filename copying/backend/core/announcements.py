"""Who waits for what: long polls sleep on a topic and wake when the projector has written something under it."""

from __future__ import annotations

import asyncio


class Listener:
    """Remembers the version of a topic at its creation, so a change between a query and the wait is not missed."""

    def __init__(self, changes: Changes, topic: tuple) -> None:
        self._changes = changes
        self._topic = topic
        self._seen = changes.version(topic)

    async def wait(self, timeout: float) -> bool:
        """True as soon as the topic changed since creation (or the last True); False after `timeout` seconds."""
        if self._changes.version(self._topic) == self._seen and not await self._changes.sleep(self._topic, timeout):
            return False
        self._seen = self._changes.version(self._topic)
        return not self._changes.closed


class Changes:
    """Versions of topics and the futures of those who wait. One event loop, no locks."""

    def __init__(self) -> None:
        self._versions: dict[tuple, int] = {}
        self._waiting: dict[tuple, set[asyncio.Future]] = {}
        self.closed = False

    def version(self, topic: tuple) -> int:
        return self._versions.get(topic, 0)

    def subscribe(self, topic: tuple) -> Listener:
        return Listener(self, topic)

    def announce(self, topic: tuple) -> None:
        """Wake everybody who waits on `topic`."""
        self._versions[topic] = self.version(topic) + 1
        for future in self._waiting.pop(topic, ()):
            if not future.done():
                future.set_result(True)

    def close(self) -> None:
        """Let every waiter go with False, now and later: streams must not hold up a shutdown."""
        self.closed = True
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_result(False)
        self._waiting.clear()

    async def sleep(self, topic: tuple, timeout: float) -> bool:
        if self.closed:
            return False
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def end() -> None:
            if not future.done():
                future.set_result(False)

        handle = loop.call_later(timeout, end)
        self._waiting.setdefault(topic, set()).add(future)
        try:
            return await future
        finally:
            handle.cancel()
            waiting = self._waiting.get(topic)
            if waiting is not None:
                waiting.discard(future)
                if not waiting:
                    del self._waiting[topic]
