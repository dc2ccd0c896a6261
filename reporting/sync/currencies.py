"""Balances with their currencies: when an account's currency changes, its points so far keep the one they are in."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from copying.contract.accounts import AccountInformation
from subscribers import mirror
from users.models import Connection

# points from before currencies were noted are in the account's present one, until it changes
NOTE_CURRENCY = """
UPDATE reporting_equitypoint p SET currency = u.currency
FROM subscribers_subscriber u JOIN unnest(%s::text[], %s::text[]) AS k (account_id, currency)
  ON k.account_id = u.backend_id AND k.currency <> u.currency
WHERE u.connection_id = %s AND u.currency <> '' AND p.connection_id = u.connection_id
  AND p.account_id = u.backend_id AND p.currency = ''
"""


def keep_balances(backend: Connection, accounts: list[AccountInformation], *, now: datetime) -> int:
    """As `subscribers.mirror.keep_balances`, with the points of accounts whose currency changes."""
    if accounts:
        columns = [[account.account_id for account in accounts], [account.currency for account in accounts]]
        with connection.cursor() as database:
            database.execute(NOTE_CURRENCY, [*columns, backend.pk])
    return mirror.keep_balances(backend, accounts, now=now)
