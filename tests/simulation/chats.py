"""A stand-in of Telegram that refuses, stumbles and hangs, and remembers what each chat heard.

A message may be lost when the backend dies; it never comes twice, never late and never without its signal.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from random import Random

import httpx
import msgspec

TRIES = 3
MOST_WAITING = 100


class Chats:
    """Answers the publisher's requests by a script that the seed writes."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.transport = httpx.MockTransport(self.answer)
        self.heard: dict[str, list[str]] = defaultdict(list)
        self.checked: Counter[str] = Counter()  # how many of the messages heard are explained
        self.reached: Counter[str] = Counter()  # up to which event
        self.begun: dict[str, int] = {}  # how many events there were when the publisher began
        self.settled: Counter[str] = Counter()  # messages heard or given up since
        self.tries: Counter[str] = Counter()

    async def sleep(self, seconds: float) -> None:
        """The pause between two tries."""
        await self.pause()

    async def pause(self) -> None:
        for _ in range(self.random.randrange(6)):
            await asyncio.sleep(0)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """Take a message or not."""
        strategy_id = request.url.path.split("/")[1].removeprefix("bot1:")
        await self.pause()
        outcome = self.random.choices((200, 400, 429, 503, 0), (70, 6, 8, 8, 8))[0]
        self.tries[strategy_id] += 1
        if outcome == 200:
            self.heard[strategy_id].append(msgspec.json.decode(request.content)["text"])
        if outcome in (200, 400) or self.tries[strategy_id] == TRIES:
            self.settled[strategy_id] += 1
            self.tries[strategy_id] = 0
        await self.pause()
        if not outcome:
            raise httpx.ConnectError("no route", request=request)
        return httpx.Response(outcome, json={"description": "as the seed wants it", "parameters": {"retry_after": 1}})

    def begin(self, published: dict[str, list[str]]) -> None:
        """A new publisher: what the old one had waiting is lost."""
        self.begun = {strategy_id: len(texts) for strategy_id, texts in published.items()}
        self.settled.clear()
        self.tries.clear()

    def check(self, published: dict[str, list[str]], *, is_quiet: bool) -> None:
        """What was heard is a part of what was to be said, in its order.

        When nothing waits all of it was tried, but for what came while MOST_WAITING messages waited.
        """
        for strategy_id, heard in self.heard.items():
            texts = published[strategy_id]
            for text in heard[self.checked[strategy_id] :]:
                assert text in texts[self.reached[strategy_id] :], f"{strategy_id} said {text!r} twice or for nothing"
                self.reached[strategy_id] = texts.index(text, self.reached[strategy_id]) + 1
            self.checked[strategy_id] = len(heard)
        if is_quiet:
            for strategy_id, texts in published.items():
                wanted, settled = len(texts) - self.begun.get(strategy_id, 0), self.settled[strategy_id]
                assert min(wanted, MOST_WAITING) <= settled <= wanted, "messages were neither sent nor given up"
