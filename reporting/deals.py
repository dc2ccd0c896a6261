"""What a deal did to its position: opened or closed it, and which side the position has.

The contract's deal id carries it as its suffix (section 6.1: `2235076744:close`); a deal without one is not told apart.
"""

from __future__ import annotations

from django.db.models import Case, CharField, F, Q, Value, When
from django.db.models.functions import Abs, Coalesce, NullIf

IN, OUT = "in", "out"
IS_IN, IS_OUT = Q(backend_id__endswith=":open"), Q(backend_id__endswith=":close")
IS_BUY, IS_SELL = Q(type="DEAL_TYPE_BUY"), Q(type="DEAL_TYPE_SELL")


def entry_of(deal_id: str) -> str:
    """in: it opened; out: it closed; "": the backend does not say."""
    return {"open": IN, "close": OUT}.get(deal_id.rpartition(":")[2], "")


def entry() -> Case:
    """`entry_of` as an expression."""
    return Case(When(IS_IN, then=Value(IN)), When(IS_OUT, then=Value(OUT)), default=Value(""), output_field=CharField())


def side() -> Case:
    """The side of the position: what closes a sell is a deal of type buy. Empty where no trade."""
    return Case(
        When(IS_BUY & ~IS_OUT | IS_SELL & IS_OUT, then=Value("buy")),
        When(IS_SELL & ~IS_OUT | IS_BUY & IS_OUT, then=Value("sell")),
        default=Value(""),
        output_field=CharField(),
    )


def position() -> Coalesce:
    """The position at the account, or at the provider where the backend does not tell that; empty: none."""
    return Coalesce(NullIf(F("subscriber_position_id"), Value("")), F("position_id"))


def lots() -> Abs:
    """The volume without the sign that the wire gives a sell."""
    return Abs("volume_lots")
