"""A link by which the owner of an account enters its login: made at the backend, shown once, kept nowhere."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone

from accounts.models import BrokerAccount
from accounts.pages import page_of
from editing.backend import backend_of
from users.models import Connection
from users.requests import MemberRequest
from users.services import record_audit

TTL_DAYS = 7


def make_link(request: MemberRequest, account: BrokerAccount, *, is_new: bool = False) -> HttpResponse:
    """Make a link and show it. Raises NotDone. is_new: the account was added by the same form."""
    with backend_of(Connection.objects.get(pk=account.connection_id)) as client:
        link = client.configuration_link(account.backend_id, ttl_days=TTL_DAYS).configuration_link
    record_audit(
        account.workspace,
        user=request.user,
        action="configuration link made",
        subject=account.name,
        details={"id": account.backend_id, "days": TTL_DAYS},
        now=timezone.now(),
    )
    context = page_of(request, account, link=link, days=TTL_DAYS, is_new=is_new)
    return render(request, "accounts/link.html", context)
