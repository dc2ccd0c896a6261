"""What strategies say of trading accounts: which of them take their trades from one."""

from __future__ import annotations

from django.urls import reverse

from accounts.models import BrokerAccount
from accounts.uses import AccountUse
from strategies.models import Strategy

MOST_STRATEGIES = 20


def strategies_on(account: BrokerAccount) -> list[AccountUse]:
    """The strategies whose signals are the trades of this account."""
    own = Strategy.objects.filter(
        connection_id=account.connection_id, account_id=account.backend_id, is_removed=False
    ).order_by("name", "id")
    return [
        AccountUse("PROVIDER", "Provides the strategy", strategy.name, reverse("strategies:detail", args=[strategy.pk]))
        for strategy in own[:MOST_STRATEGIES]
    ]
