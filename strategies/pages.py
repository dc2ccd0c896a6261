"""What every page of one strategy begins with: the strategy, or 404, and its head."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404

from editing.terms import commission_text
from strategies.models import Strategy
from users.requests import MemberRequest


def visible_strategy(request: MemberRequest, pk: int) -> Strategy:
    """The strategy, or 404."""
    visible = Strategy.objects.visible_to(request.membership).select_related("connection")
    return get_object_or_404(visible.defer("connection__token"), pk=pk)


def page_of(strategy: Strategy, tab: str, **more: Any) -> dict[str, Any]:
    """What the head of its pages needs. tab: the one that is open."""
    return {"strategy": strategy, "tab": tab, "commission": commission_text(strategy.document), **more}
