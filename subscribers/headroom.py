"""How much is left of every risk limit before it fires: kept beside the account by the mirror, read by pages.

The backend measures; nothing is computed over history here. What a limit allows is the smaller of its absolute bound
and its share of the balance at the start of its period. Amounts are in the account's currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import msgspec
from django.db import connection

from copying.contract.accounts import AccountLimits, MeasuredLimit
from editing.limits import LEVEL_WORDS, allowed, limit_words
from strategies.models import Strategy
from subscribers.models import Subscriber
from users.models import Connection

CLOSE = Decimal("0.25")  # less than this share left: worth a look
SIXTH = Decimal("0.000001")


# --- Kept -------------------------------------------------------------------------------------------------------------
def left_fraction(drawdown: Decimal, bound: Decimal, *, is_stopped: bool = False) -> Decimal:
    """The share of a limit that is left: 1 - drawdown / bound, from 0 (it fires) to 1 (no loss at all)."""
    if is_stopped or bound <= 0:
        return Decimal(0)
    return min(max(1 - drawdown / bound, Decimal(0)), Decimal(1)).quantize(SIXTH)


def nearest(account: AccountLimits) -> tuple[str, Decimal | None, Decimal | None, Decimal | None]:
    """(reason, drawdown, bound, share left) of the limit that is nearest to firing; empty without one that counts."""
    lowest: tuple = ("", None, None, None)
    for limit in account.limits:
        bound = allowed(limit)
        is_begun = limit.start_time is None or account.time is None or limit.start_time <= account.time
        if bound is None or not is_begun:
            continue
        left = left_fraction(limit.drawdown, bound, is_stopped=limit.stopped)
        if lowest[3] is None or left < lowest[3]:
            lowest = (f"{limit.type}-{limit.apply_to}"[:60], limit.drawdown, bound, left)
    return lowest


def keep_limits(backend: Connection, accounts: Iterable[AccountLimits]) -> int:
    """Note the limits of these accounts with what is left of them; returns how many accounts differ now."""
    rows = [
        (account.account_id, msgspec.json.encode(account.limits).decode(), *nearest(account))
        for account in {account.account_id: account for account in accounts}.values()
    ]
    if not rows:
        return 0
    with connection.cursor() as database:
        database.execute(
            "UPDATE subscribers_subscriber u SET limits = k.limits, limit_reason = k.reason,"
            " limit_measured = k.measured, limit_amount = k.bound, headroom = k.left_over"
            " FROM unnest(%s::text[], %s::jsonb[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[])"
            " AS k (account_id, limits, reason, measured, bound, left_over)"
            " WHERE u.connection_id = %s AND u.backend_id = k.account_id AND u.limits IS DISTINCT FROM k.limits",
            [*[list(column) for column in zip(*rows, strict=True)], backend.pk],
        )
        return database.rowcount


def forget_limits(backend: Connection, *, but: Sequence[str] = ()) -> int:
    """Empty the limits of all accounts except those named; returns how many had some."""
    without = Subscriber.objects.filter(connection=backend).exclude(limits=[]).exclude(backend_id__in=list(but))
    return without.update(limits=[], limit_reason="", limit_measured=None, limit_amount=None, headroom=None)


# --- Read -------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class LimitStanding:
    """One limit as a page shows it. measured: the loss so far, negative for a gain; left: until it fires.

    where: the strategy whose copies are watched, member: the part of it; empty: all of the account or strategy.
    """

    what: str
    where: str
    member: str
    level: str
    measured: Decimal
    bound: Decimal
    left: Decimal
    fraction: Decimal
    is_stopped: bool
    closes: bool
    begins_at: datetime | None
    ends_at: datetime | None


def standings_of(subscriber: Subscriber, *, now: datetime) -> list[LimitStanding]:
    """Every limit of the account and of its subscriptions, the nearest to firing first. At most one query."""
    limits = msgspec.convert(subscriber.limits, list[MeasuredLimit], strict=False)
    ids = {backend_id for limit in limits for backend_id in (limit.strategy_id, limit.source_strategy_id) if backend_id}
    copied = Strategy.objects.filter(connection_id=subscriber.connection_id, backend_id__in=ids)
    names = dict(copied.values_list("backend_id", "name")) if ids else {}
    standings = [standing for limit in limits if (standing := _standing(limit, names, now))]
    return sorted(standings, key=lambda standing: (bool(standing.begins_at), standing.fraction, standing.what))


def why_none(subscriber: Subscriber) -> str:
    """Why an account shows no limit: none is set, or the backend does not tell what is left. One query."""
    documents = [subscriber.document]
    for subscription in subscriber.current_subscriptions():
        above = subscription.strategy.document if subscription.strategy else {}
        documents += [subscription.document, above, *(above.get("members") or ())]
    if any(document.get("riskLimits") for document in documents if isinstance(document, dict)):
        return "Limits are set, but the copying backend does not tell how far they are used up."
    return "No risk limit is set for this account or for what it copies."


def _standing(limit: MeasuredLimit, names: Mapping[str, str], now: datetime) -> LimitStanding | None:
    bound = allowed(limit)
    if bound is None:
        return None
    return LimitStanding(
        what=limit_words(limit.type, limit.apply_to),
        where=names.get(limit.strategy_id or "", limit.strategy_id or ""),
        member=names.get(limit.source_strategy_id or "", limit.source_strategy_id or ""),
        level=LEVEL_WORDS.get(limit.level, ""),
        measured=limit.drawdown,
        bound=bound,
        left=max(bound - limit.drawdown, Decimal(0)),
        fraction=left_fraction(limit.drawdown, bound, is_stopped=limit.stopped),
        is_stopped=limit.stopped,
        closes=limit.close_positions,
        begins_at=limit.start_time if limit.start_time and limit.start_time > now else None,
        ends_at=limit.end_time,
    )
