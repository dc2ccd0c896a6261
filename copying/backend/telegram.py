"""Publishes a strategy's signals to its Telegram chat (contract, 3.11): beside the trading path, never in its way.

A message is sent at most once: what was waiting when the process ended is lost, and a replay publishes nothing. What
cannot be delivered is told at WARN in the strategy's log, without the token.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.core.exceptions import ImproperlyConfigured

from .core.render import KIND_WORDS, SIDE_WORDS
from .core.writer import Core
from .settings.sealing import unsealed
from .state.commands import AddNote
from .state.effects import Effects, SignalEvent
from .state.errors import Refused

log = logging.getLogger(__name__)
HOST = "api.telegram.org"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
MOST_WAITING = 100  # per strategy
LONGEST_TEXT = 4096
TIMEOUT_SECONDS = 10.0
PAUSES = (1.0, 5.0)  # before the second and the third try
LONGEST_PAUSE = 60.0
WARN = 2
_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,100}")
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
OPERATIONS = {
    "open": "opened",
    "change": "changed",
    "fill": "filled",
    "part": "partly closed",
    "close": "closed",
}


class ForbiddenHost(ValueError):
    """The address is neither Telegram's nor this machine's; `str()` is a sentence for the operator."""


class Undelivered(Exception):
    """Telegram did not take a message. text: why, without secrets; transient: worth trying again, after `pause_s`."""

    def __init__(self, text: str, *, transient: bool = False, pause_s: float = 0.0) -> None:
        super().__init__(text)
        self.text, self.transient, self.pause_s = text, transient, pause_s


@dataclass(slots=True, frozen=True)
class Message:
    """Where a text goes. token: as the book has it, sealed."""

    tenant: str
    strategy_id: str
    token: str
    chat_id: str
    text: str


def allowed_base(url: str) -> str:
    """The API's base address, if it is Telegram's own over TLS or one on this machine. Raises ForbiddenHost."""
    parts = urlsplit(url)
    is_telegram = parts.scheme == "https" and parts.hostname == HOST and parts.port in (None, 443)
    if not (is_telegram or (parts.scheme in ("http", "https") and parts.hostname in LOOPBACK)):
        raise ForbiddenHost(f"Telegram messages may go to https://{HOST} or to this machine only, not to {url[:100]}.")
    return url.rstrip("/")


def message_of(event: SignalEvent, tenant: str, document: dict[str, Any]) -> Message | None:
    """What is to be published of an event; None when the strategy publishes nothing."""
    publishing = (document.get("telegram") or {}).get("publishing") or {}
    token, chat_id = publishing.get("token") or "", publishing.get("chatId") or ""
    if not token or not chat_id:
        return None
    values = placeholders(event)
    template = publishing.get("template") or "${description}"
    text = _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), template)
    return Message(tenant, event.strategy_id, token, chat_id, text[:LONGEST_TEXT])


def placeholders(event: SignalEvent) -> dict[str, str]:
    """The values of the template's placeholders (contract, 3.11); "-" for a price that is not there."""
    values = {
        "operation": OPERATIONS[event.what],
        "orderId": event.signal_id,
        "side": SIDE_WORDS[event.side],
        "type": KIND_WORDS[event.kind],
        "volume": f"{event.volume:g}",
        "symbol": event.symbol,
        "openPrice": price(event.price),
        "stopLoss": price(event.stop_loss),
        "takeProfit": price(event.take_profit),
    }
    kind = "" if event.kind == 0 else f" {values['type']}"
    at = f" at {values['openPrice']}" if event.price else ""
    stops = "".join(
        f", {words} {values[name]}"
        for words, name in (("stop loss", "stopLoss"), ("take profit", "takeProfit"))
        if values[name] != "-"
    )
    values["description"] = (
        f"{values['side'].capitalize()}{kind} {values['volume']} {event.symbol}{at}{stops}: {values['operation']}"
    )
    return values


def price(value: float | None) -> str:
    """A price as a person writes it.

    >>> price(1.1000), price(None)
    ('1.1', '-')
    """
    return f"{value:.10g}" if value else "-"


class Publisher:
    """Listens to the core and sends, one message after another per strategy.

    transport: how to reach the API (None: the network). sleep: between tries.
    """

    def __init__(
        self,
        core: Core,
        base_url: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._core = core
        self._base = allowed_base(base_url)
        self._client = httpx.AsyncClient(transport=transport, timeout=TIMEOUT_SECONDS, follow_redirects=False)
        self._sleep = sleep
        self._queues: dict[str, asyncio.Queue[Message]] = {}
        self._tasks: set[asyncio.Task] = set()
        core.listeners.append(self.take)

    def take(self, effects: Effects) -> None:
        """Queue what an entry has to publish; never waits."""
        for event in effects.events:
            if not isinstance(event, SignalEvent):
                continue
            strategy = self._core.book.strategies_by_id.get(event.strategy_id)
            message = message_of(event, strategy.tenant, strategy.document) if strategy else None
            if message is not None:
                self._queue(message)

    def _queue(self, message: Message) -> None:
        queue = self._queues.get(message.strategy_id)
        if queue is None:
            queue = self._queues[message.strategy_id] = asyncio.Queue(MOST_WAITING)
            self._start(self._send_all(message.strategy_id, queue))
        try:
            queue.put_nowait(message)
        except asyncio.QueueFull:
            log.warning("telegram: %s messages of strategy %s wait already", MOST_WAITING, message.strategy_id)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_all(self, strategy_id: str, queue: asyncio.Queue[Message]) -> None:
        """Until the strategy has nothing more to say."""
        while not queue.empty():
            message = queue.get_nowait()
            try:
                await self._deliver(message)
            except Undelivered as error:
                await self._complain(message, error.text)
            except Exception:
                log.exception("telegram: strategy %s", strategy_id)
        del self._queues[strategy_id]

    async def _deliver(self, message: Message) -> None:
        for pause in (*PAUSES, None):
            try:
                await self._send(message)
                return
            except Undelivered as error:
                if pause is None or not error.transient:
                    raise
                await self._sleep(min(max(pause, error.pause_s), LONGEST_PAUSE))

    async def _send(self, message: Message) -> None:
        """One try. Raises Undelivered."""
        try:
            token = unsealed(message.token)
        except ImproperlyConfigured:
            raise Undelivered("the token is encrypted with a key that is gone, enter it again") from None
        if not _TOKEN.fullmatch(token):
            raise Undelivered("the token is not one of a bot")
        try:
            answer = await self._client.post(
                f"{self._base}/bot{token}/sendMessage", json={"chat_id": message.chat_id, "text": message.text}
            )
        except httpx.HTTPError as error:
            raise Undelivered(f"Telegram cannot be reached ({type(error).__name__})", transient=True) from None
        if answer.is_success:
            return
        body = parsed(answer)
        description = str(body.get("description") or "no reason given").replace(token, "…")
        pause = (body.get("parameters") or {}).get("retry_after") or 0
        raise Undelivered(
            f"Telegram answered {answer.status_code}: {description[:200]}",
            transient=answer.status_code == 429 or answer.status_code >= 500,
            pause_s=float(pause) if isinstance(pause, int | float) else 0.0,
        )

    async def _complain(self, message: Message, reason: str) -> None:
        text = f"A signal could not be published to Telegram chat {message.chat_id[:64]}: {reason}."
        try:
            await self._core.submit(
                AddNote(tenant=message.tenant, strategy_id=message.strategy_id, severity=WARN, message=text)
            )
        except Refused:
            log.info("telegram: strategy %s is gone", message.strategy_id)

    async def close(self) -> None:
        """Stop sending; what waits is lost."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()


def parsed(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer; an empty one for anything else."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
