"""Consent: who may copy a strategy or portfolio besides its owner.

Every strategy on a way must be offered to everybody who copies on it: an offer to somebody who holds the strategy in a
portfolio is none to that portfolio's subscribers. Nothing is decided here about signals: ways without consent are no
routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]


@dataclass(slots=True, frozen=True)
class Owners:
    """Who owns what, by id. strategies: portfolios too."""

    strategies: Mapping[str, str]
    subscribers: Mapping[str, str]


def is_offered(document: Document, owner: str, tenant: str) -> bool:
    """Whether `tenant` may copy a strategy or portfolio of `owner`.

    >>> is_offered({"offer": {"to": "tenants", "tenants": ["b"]}}, "a", "b"), is_offered({}, "a", "b")
    (True, False)
    """
    if owner == tenant:
        return True
    offer = document.get("offer") or {}
    to = offer.get("to")
    return to == "everybody" or (to == "tenants" and tenant in (offer.get("tenants") or ()))


def first_withheld(
    path: Iterable[str], tenant: str, documents: Mapping[str, Document], owners: Mapping[str, str]
) -> str | None:
    """The first strategy of a way that is not offered to `tenant`; None: all are.

    path: ids, a second listing of one in the same portfolio with `#2` behind its id.
    """
    for part in path:
        strategy_id = part.partition("#")[0]
        if not is_offered(documents.get(strategy_id) or {}, owners.get(strategy_id, tenant), tenant):
            return strategy_id
    return None
