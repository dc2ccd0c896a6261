"""What a trading account is used for: apps above know what hangs on it, and register here how to find it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from accounts.models import BrokerAccount


@dataclass(frozen=True)
class AccountUse:
    """One thing that hangs on an account. role: PROVIDER or SUBSCRIBER; words: what it does; href: its page."""

    role: str
    words: str
    name: str
    href: str


Uses = Callable[[BrokerAccount], Iterable[AccountUse]]
_uses: dict[str, Uses] = {}


def register_uses(kind: str, uses: Uses) -> None:
    """Have this asked for what hangs on an account. kind: whose it is, so that registering again replaces."""
    _uses[kind] = uses


def uses_of(account: BrokerAccount) -> list[AccountUse]:
    """Strategies of an account and the subscriber that it is."""
    return [use for uses in _uses.values() for use in uses(account)]
