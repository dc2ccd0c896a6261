"""What was answered to callers that name their requests with a key: asked again, it is answered again, not done again.

A key is kept with the command that it came with, so it survives what the command survives. Only what was carried out is
kept: a refusal changed nothing, so its key may be used again. Must not know of HTTP.
"""

from __future__ import annotations

from typing import Any

from copying.backend.state.book import Book
from copying.backend.state.commands import Once
from copying.backend.state.entities import KeptAnswer
from copying.backend.state.errors import Refused

KEPT_SECONDS = 86_400.0
MOST_KEPT = 10_000  # per caller; the oldest is forgotten for the next


def answer_before(book: Book, once: Once) -> KeptAnswer | None:
    """What the request of this key was answered; None: it was not carried out yet. Raises Refused (422)."""
    answer = book.kept.get(once.caller, {}).get(once.key)
    if answer is None or book.time - answer.time >= KEPT_SECONDS:
        return None
    if answer.digest != once.digest:
        raise Refused(
            422,
            "IdempotencyKeyReusedError",
            "The idempotency key was sent before with another request (address, query or body). "
            "Nothing was done: send a new key with a new request.",
        )
    return answer


def keep(book: Book, once: Once, answer: Any) -> Any:
    """Remember what a command that was carried out is answered; the answer."""
    reply = once.answer if answer is None else answer
    answers = book.kept.pop(once.caller, {})
    answers.pop(once.key, None)
    answers[once.key] = KeptAnswer(time=book.time, digest=once.digest, status=once.status, answer=reply)
    book.kept[once.caller] = answers  # callers in the order of their newest keys, keys in the order of their times
    while len(answers) > MOST_KEPT or is_over(book, next(iter(answers.values()))):
        del answers[next(iter(answers))]
    while is_over(book, newest(book.kept[caller := next(iter(book.kept))])):
        del book.kept[caller]
    return reply


def newest(answers: dict[str, KeptAnswer]) -> KeptAnswer:
    """The answer that was kept last."""
    return next(reversed(answers.values()))


def is_over(book: Book, answer: KeptAnswer) -> bool:
    """Whether an answer has been kept long enough."""
    return book.time - answer.time >= KEPT_SECONDS
