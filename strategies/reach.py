"""How far a signal of a strategy reaches: who copies it, which an app above this one knows and registers here."""

from __future__ import annotations

from collections.abc import Callable, Collection
from decimal import Decimal

from django.db.models import QuerySet

from strategies.chains import portfolios_with, strategies_of
from strategies.models import Strategy

CopyingAccounts = Callable[[int, Collection[str]], QuerySet]
"""(connection, backend ids of strategies) to the accounts that copy any of them, with their currency and equity."""
_accounts: list[CopyingAccounts] = []


def register_accounts(accounts: CopyingAccounts) -> None:
    """Ask this for the accounts that copy from now on."""
    _accounts[:] = [accounts]


def reached_by(strategy: Strategy) -> QuerySet:
    """The accounts that a signal of the strategy reaches, through portfolios too."""
    reaching = [strategy.backend_id, *portfolios_with(strategy.backend_id, strategies_of(strategy.connection_id))]
    return _accounts[0](strategy.connection_id, reaching)


def copying_accounts(strategy: Strategy) -> int:
    """How many accounts a signal of the strategy reaches."""
    return reached_by(strategy).count()


def copied_equity(strategy: Strategy) -> list[tuple[str, Decimal]]:
    """The equity of these accounts by currency; those that were not measured yet are left out."""
    sums: dict[str, Decimal] = {}
    for currency, equity in reached_by(strategy).values_list("currency", "equity"):
        if currency and equity is not None:
            sums[currency] = sums.get(currency, Decimal(0)) + equity
    return sorted(sums.items())
