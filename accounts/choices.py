"""Choosing a trading account in a form: suggestions while somebody types, and why one cannot be used."""

from __future__ import annotations

from urllib.parse import urlencode

from django.db.models import Q
from django.urls import reverse

from accounts.models import BrokerAccount
from accounts.offers import refusals_of
from accounts.states import NETTING, ROLES
from users.models import Connection

MOST_CHOICES = 50
LONGEST_QUERY = 100
FLAGS = {"PROVIDER": "is_provider", "SUBSCRIBER": "is_subscriber"}


def account_choices(connection: Connection, role: str, query: str) -> list[tuple[str, str]]:
    """(id, label) of accounts with the role that may copy, by name; query: a part of name, login or id."""
    text = query.strip()[:LONGEST_QUERY]
    own = BrokerAccount.objects.filter(connection=connection, is_removed=False, **{FLAGS[role]: True})
    matching = Q(name__icontains=text) | Q(login__icontains=text) | Q(backend_id__icontains=text)
    rows = own.filter(matching).exclude(mode="netting").order_by("name", "id")[:MOST_CHOICES]
    return [(row.backend_id, label_of(row)) for row in rows]


def chosen_account(connection: Connection, role: str, query: str) -> tuple[str, str]:
    """(name and login of the account whose id was typed or chosen, why it cannot be used); empty texts: no such id."""
    text = query.strip()[:LONGEST_QUERY]
    account = BrokerAccount.objects.filter(connection=connection, backend_id=text).first() if text else None
    if account is None:
        return "", ""
    return label_of(account), problem_with_account(connection, account.backend_id, role)


def label_of(account: BrokerAccount) -> str:
    """Name, login and server, as far as they are known."""
    return ", ".join(filter(None, (account.name, account.login, account.server)))


def problem_with_account(connection: Connection, backend_id: str, role: str) -> str:
    """Why an account cannot be used in this role, and what to do; "": it can, as far as is known here.

    An account that is not mirrored is the backend's to judge: it may be a minute old, or opened by the document itself.
    """
    account = BrokerAccount.objects.filter(connection=connection, backend_id=backend_id).first()
    if account is None:
        return ""
    if account.is_removed:
        return "The backend does not have this account any more. Choose another one, or add it again under Accounts."
    if role not in account.roles:
        words = ROLES[FLAGS[role].removeprefix("is_")].lower()
        return f"{account} does not have the role {words}: give it the role first, on its page under Accounts."
    return NETTING if account.mode == "netting" else ""


def suggestions_address(connection: Connection | None, role: str) -> str:
    """Where a form asks for suggestions; "" where the connection does not offer accounts, and ids are typed."""
    if connection is None or connection.pk in refusals_of([connection]):
        return ""
    return f"{reverse('accounts:choices')}?{urlencode({'of': connection.pk, 'role': role})}"
