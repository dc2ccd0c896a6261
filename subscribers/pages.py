"""What every page of one subscriber begins with: the account, or 404, and its head."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404

from subscribers.models import Subscriber
from users.permissions import can_manage
from users.requests import MemberRequest


def visible_subscriber(request: MemberRequest, pk: int) -> Subscriber:
    """The account, or 404."""
    visible = Subscriber.objects.visible_to(request.membership).select_related("connection", "entered")
    return get_object_or_404(visible.defer("connection__token"), pk=pk)


def own_page(account_pk: int) -> str:
    """The client's own page of an account. Its address is written out: the app that serves it stands above this one."""
    return f"/me/?account={account_pk}"


def page_of(request: MemberRequest, subscriber: Subscriber, tab: str, **more: Any) -> dict[str, Any]:
    """What the head of its pages needs. tab: the one that is open."""
    return {"subscriber": subscriber, "tab": tab, "may_manage": can_manage(request.membership), **more}
