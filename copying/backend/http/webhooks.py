"""What charting services post to a webhook, in the contract's words; and what is known about the posts.

Beyond the contract (docs/copying.md, "Webhook posts"): `buy` and `sell` in any case, numbers in quotes, an action that
closes, a guard against the same alert twice. Nothing is guessed: what cannot be read is refused and told in the log.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from copying.backend.http.options import service
from copying.backend.state.commands import AddNote
from copying.backend.state.errors import Refused, invalid
from copying.backend.state.times import iso

from . import reads

TYPES = {
    "buy": "POSITION_TYPE_BUY",
    "long": "POSITION_TYPE_BUY",
    "sell": "POSITION_TYPE_SELL",
    "short": "POSITION_TYPE_SELL",
}
CLOSING = frozenset(("close", "exit", "flat"))
NUMBERS = ("volume", "openPrice", "stopLoss", "takeProfit")
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?")
_ADDRESS = re.compile(r"/webhooks/([A-Za-z0-9]{1,64})/?")
WARN, WARN_SECONDS, MOST_KNOWN = 2, 60.0, 10_000
MOST_TAKEN = 100  # bodies that are known again, per webhook


@dataclass(slots=True)
class Posts:
    """What came to one webhook since the backend started. Times are UTC seconds, 0: nothing yet."""

    accepted_at: float = 0.0
    refused_at: float = 0.0
    warned_at: float = float("-inf")  # monotonic
    untold: int = 0
    taken_at: dict[bytes, float] = field(default_factory=dict)  # digest of a body -> monotonic, oldest first


def posts_of(request: Request, webhook_id: str) -> Posts:
    """The posts of a webhook; the ones that were silent for longest are forgotten first."""
    state = request.app.state
    if not hasattr(state, "webhook_posts"):
        state.webhook_posts = OrderedDict()
    known: OrderedDict[str, Posts] = state.webhook_posts
    posts = known.setdefault(webhook_id, Posts())
    known.move_to_end(webhook_id)
    if len(known) > MOST_KNOWN:
        known.popitem(last=False)
    return posts


def times_of(request: Request, webhook_id: str) -> dict[str, str]:
    """When the last post was taken and the last one was refused, as far as is known since the start."""
    posts = getattr(request.app.state, "webhook_posts", {}).get(webhook_id, Posts())
    times = {"lastAcceptedAt": posts.accepted_at, "lastRefusedAt": posts.refused_at}
    return {name: iso(moment) for name, moment in times.items() if moment}


async def note_refusal(request: Request, sentence: str) -> None:
    """A refused post is a WARN in the strategy's log, once a minute per webhook with the count of the others."""
    match = _ADDRESS.fullmatch(request.url.path)
    webhook = reads.webhook(service(request).core.book, match[1]) if match else None
    if match is None or webhook is None:
        return
    posts, now = posts_of(request, match[1]), time.monotonic()
    posts.refused_at = service(request).core.clock()
    posts.untold += 1
    if now - posts.warned_at < WARN_SECONDS:
        return
    others = f" ({posts.untold - 1} more were refused since the last line.)" if posts.untold > 1 else ""
    posts.warned_at, posts.untold = now, 0
    text = f"A post to a webhook was refused: {sentence.rstrip('.')[:300]}.{others}"
    await service(request).core.submit(
        AddNote(tenant=webhook[0], strategy_id=webhook[1], severity=WARN, message=text.replace("\0", ""))
    )


def take(posts: Posts, body: bytes, seconds: float | None) -> bytes:
    """Take a post before anything is done, so that of two at the same moment one is refused; the body's digest.

    Raises Refused (409) when the same body came within the webhook's guard before.
    """
    digest, now = hashlib.blake2b(body, digest_size=16).digest(), time.monotonic()
    came_at = posts.taken_at.get(digest)
    if seconds and came_at is not None and now - came_at < seconds:
        message = f"The same alert came {now - came_at:.0f} s ago; this webhook takes it once in {seconds:g} s."
        raise Refused(409, "ConflictError", message)
    posts.taken_at.pop(digest, None)
    posts.taken_at[digest] = now
    if len(posts.taken_at) > MOST_TAKEN:
        del posts.taken_at[next(iter(posts.taken_at))]
    return digest


def give_back(posts: Posts, digest: bytes) -> None:
    """The post came to nothing: the same body may come again at once."""
    posts.taken_at.pop(digest, None)


def in_contract_words(raw: Any) -> Any:
    """A posted message with its type and numbers as the contract writes them. Raises Refused (400)."""
    if not isinstance(raw, dict):
        return raw
    posted = dict(raw)
    if posted.get("type") is None and "action" in posted:
        posted["type"] = posted["action"]
    for name, value in posted.items():
        if isinstance(value, str) and "{{" in value:
            raise invalid(name, value[:200], "still has a placeholder in {{ }}: the sender has not filled it in")
    kind = posted.get("type")
    if isinstance(kind, str):
        word = kind.strip()
        posted["type"] = word.lower() if word.lower() in CLOSING else TYPES.get(word.lower(), word.upper())
    for name in NUMBERS:
        if isinstance(posted.get(name), str):
            posted[name] = number_of(name, posted[name].strip())
    return posted


def is_closing(posted: Any) -> bool:
    """Whether a post in the contract's words asks to close."""
    kind = posted.get("type") if isinstance(posted, dict) else None
    return isinstance(kind, str) and kind in CLOSING


def number_of(name: str, text: str) -> float:
    """A number in quotes. Raises Refused (400) for everything that could be read in more than one way."""
    if _NUMBER.fullmatch(text):
        return float(text)
    if text.endswith("%"):
        raise invalid(name, text[:200], "must be a number, not a percentage")
    if "," in text:
        raise invalid(name, text[:200], "must be a number with a point and without commas")
    raise invalid(name, text[:200], "must be a number")


def signals_to_close(request: Request, strategy_id: str, webhook: dict[str, Any], posted: dict[str, Any]) -> list[str]:
    """Ids of the open external signals that an action to close means. Raises Refused (400).

    Those in the posted symbol, with the webhook's magic where it has one, of the side that is named (absent: both).
    """
    symbol = posted.get("symbol")
    if not isinstance(symbol, str) or not symbol.strip():
        raise invalid("symbol", None, "is required to close")
    symbol = symbol.strip()
    renamed = {mapping["from"]: mapping["to"] for mapping in webhook.get("symbolMapping", ())}
    symbol, side = renamed.get(symbol, symbol), posted.get("side")
    wanted = {"POSITION_TYPE_BUY": 1, "POSITION_TYPE_SELL": -1}.get(TYPES.get(str(side).strip().lower(), ""))
    if side is not None and wanted is None:
        raise invalid("side", str(side)[:200], "must be buy or sell")
    magic = webhook.get("magic")
    return [
        signal.id
        for signal in service(request).core.book.signals.values()
        if signal.strategy_id == strategy_id
        and not signal.ticket
        and signal.symbol == symbol
        and (wanted is None or signal.side == wanted)
        and (magic is None or signal.magic == magic)
    ]
