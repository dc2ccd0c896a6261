"""Trading accounts: the list, and one account with what its terminal told."""

from __future__ import annotations

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.listings import ACCOUNTS
from accounts.models import BrokerAccount
from accounts.offers import refusals_of
from accounts.pages import own_connections, page_of, visible_account, words
from accounts.states import BROKER_STATES
from accounts.uses import uses_of
from users.permissions import can_manage, staff_only
from users.requests import MemberRequest


@require_safe
@staff_only
def accounts(request: MemberRequest) -> HttpResponseBase:
    """Every trading account of the workspace's connections; removed ones only when they are asked for."""
    rows = BrokerAccount.objects.visible_to(request.membership)
    if request.GET.get("state") != "removed":
        rows = rows.filter(is_removed=False)
    table = ACCOUNTS.bind(request, rows)
    if table.wants_csv:
        return table.csv()
    connections = own_connections(request)
    context = {
        "table": table,
        "states": BROKER_STATES,
        "connections": connections,
        "refusals": refusals_of(connections),
        "may_manage": can_manage(request.membership),
        **words(),
    }
    return render(request, "accounts/_list.html" if request.partial else "accounts/list.html", context)


@require_safe
@staff_only
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    """One account: what it is, what it is used for, and what may be done with it."""
    account = visible_account(request, pk)
    context = page_of(request, account, uses=uses_of(account))
    return render(request, "accounts/_detail.html" if request.partial else "accounts/detail.html", context)
