"""What every page of one trading account begins with: the account, or 404."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404

from accounts.models import BrokerAccount
from accounts.states import KINDS, MODES, NETTING, RESTARTABLE, ROLES, STARTABLE, STOPPABLE
from users.models import Connection
from users.permissions import can_manage
from users.requests import MemberRequest


def visible_account(request: MemberRequest, pk: int) -> BrokerAccount:
    """The account, or 404."""
    visible = BrokerAccount.objects.visible_to(request.membership).select_related("connection", "workspace")
    return get_object_or_404(visible.defer("connection__token"), pk=pk)


def own_connections(request: MemberRequest) -> list[Connection]:
    """The connections of the workspace that are switched on, without their tokens."""
    own = Connection.objects.filter(workspace=request.workspace, is_enabled=True)
    return list(own.defer("token").order_by("id"))


def page_of(request: MemberRequest, account: BrokerAccount, **more: Any) -> dict[str, Any]:
    """What the head of its pages needs, and which acts its state allows."""
    may_manage = can_manage(request.membership) and not account.is_removed
    acts = {"deploy": STARTABLE, "undeploy": STOPPABLE, "redeploy": RESTARTABLE}
    return {
        "account": account,
        "may_manage": may_manage,
        "acts": [act for act, codes in acts.items() if account.state_code in codes] if may_manage else [],
        **words(),
        **more,
    }


def words() -> dict[str, Any]:
    """The words of codes that lists and pages show."""
    return {"roles": ROLES, "modes": MODES, "kinds": KINDS, "netting": NETTING}
