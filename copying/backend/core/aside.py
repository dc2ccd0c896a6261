"""Accounts that a kind of command failed for shortly before: such commands are carried out without them for a while.

Else every tick would fail again, and everybody would wait while it is found out for whom.
"""

from __future__ import annotations

from copying.backend.state.commands import AnyCommand, PutSubscriber

from .faults import trading_account


class Aside:
    """By kind of command: accounts, and until when they are left out."""

    def __init__(self) -> None:
        self._until: dict[type[AnyCommand], dict[str, float]] = {}

    def add(self, kind: type[AnyCommand], accounts: list[str], until: float) -> None:
        """These accounts are left out from now on."""
        self._until.setdefault(kind, {}).update(dict.fromkeys(accounts, until))

    def of(self, command: AnyCommand, now: float) -> list[str]:
        """Accounts to leave out of a command. An account with new settings is tried again."""
        if not self._until:
            return []
        if isinstance(command, PutSubscriber):
            for accounts in self._until.values():
                accounts.pop(command.subscriber_id, None)
        accounts = dict(self._until.get(type(command), {}))
        accounts.pop(trading_account(command), None)
        return sorted(account_id for account_id, until in accounts.items() if now < until)
