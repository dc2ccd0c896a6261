"""Which rules new journal entries go by, and the ids that were handed out.

The journal must replay to the state that it made, so a rule that changes what an entry means holds from an entry of its
own on: before its first own entry a version journals `SetRules`; before it everything is as it was. Reads go by the new
rules from the start on (`upcoming_privacy`). Add a rule as a number to privacy.py and ask `book.privacy` for it.
"""

from __future__ import annotations

from secrets import token_bytes

from copying.backend.state.account_deals import tell_past
from copying.backend.state.book import Book
from copying.backend.state.commands import ReserveStrategyId, SetRules
from copying.backend.state.effects import Effects
from copying.backend.state.errors import Refused, not_found
from copying.backend.state.privacy import CONSENT, NEWEST, PRIVATE_IDS, RECORDED_DEALS

from .offers import consent_changed, withheld

RESERVED_SECONDS = 30 * 86_400.0
MOST_RESERVED = 1_000  # per tenant; the oldest is forgotten for the next


def newer_rules(book: Book) -> list[SetRules]:
    """What is journalled before anything else: nothing where the book goes by the newest rules."""
    return [] if book.privacy >= NEWEST else [SetRules(tenant="", version=NEWEST, secret=token_bytes(16))]


def check_set_rules(book: Book, command: SetRules) -> None:
    """Rules are never taken back."""
    if command.version <= book.privacy:
        raise Refused(400, "ValidationError", "These rules hold already")


def set_rules(book: Book, command: SetRules, effects: Effects) -> None:
    """From here on entries go by newer rules."""
    before = {} if book.privacy < CONSENT else withheld(book)
    begins_recording = book.privacy < RECORDED_DEALS <= command.version
    book.privacy = command.version
    if command.version >= PRIVATE_IDS and not book.secret:
        book.secret = command.secret
    book.forget_caches()
    book.changed_configuration()
    consent_changed(book, effects, before)
    if begins_recording:
        tell_past(book, effects)


def check_reserve(book: Book, command: ReserveStrategyId) -> None:
    """Nobody has the id, had it, or was given it."""
    taken = command.strategy_id in book.strategies_by_id or command.strategy_id in book.strategy_owners
    if taken or any(is_reserved(book, tenant, command.strategy_id) for tenant in book.reserved):
        raise not_found("Unused strategy id")


def reserve(book: Book, command: ReserveStrategyId, effects: Effects) -> None:
    """Keep an id for a tenant."""
    reserved = {
        strategy_id: moment
        for strategy_id, moment in book.reserved.get(command.tenant, {}).items()
        if book.time - moment < RESERVED_SECONDS
    }
    while len(reserved) >= MOST_RESERVED:
        del reserved[next(iter(reserved))]
    book.reserved[command.tenant] = {**reserved, command.strategy_id: book.time}


def is_reserved(book: Book, tenant: str, strategy_id: str) -> bool:
    """Whether an id was handed out to a tenant and may still be used."""
    moment = book.reserved.get(tenant, {}).get(strategy_id)
    return moment is not None and book.time - moment < RESERVED_SECONDS


def may_put(book: Book, tenant: str, strategy_id: str) -> bool:
    """Whether a tenant may put a strategy or portfolio of this id: its own, now or before, or handed out to it."""
    known = book.strategies_by_id.get(strategy_id)
    if known is not None:
        return known.tenant == tenant
    return book.strategy_owners.get(strategy_id) == tenant or is_reserved(book, tenant, strategy_id)
