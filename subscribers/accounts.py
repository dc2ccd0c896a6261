"""What subscribers say of trading accounts: the one that an account is."""

from __future__ import annotations

from django.urls import reverse

from accounts.models import BrokerAccount
from accounts.uses import AccountUse
from subscribers.models import Subscriber


def subscribers_of(account: BrokerAccount) -> list[AccountUse]:
    """The subscriber of this account, while it copies."""
    own = Subscriber.objects.filter(
        connection_id=account.connection_id, backend_id=account.backend_id, is_removed=False
    )
    return [
        AccountUse(
            "SUBSCRIBER",
            "Copies, as the subscriber",
            subscriber.name,
            reverse("subscribers:detail", args=[subscriber.pk]),
        )
        for subscriber in own
    ]
