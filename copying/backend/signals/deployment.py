"""Accounts that are started, stopped and deleted. One that does not run misses signals as one without a connection.

Starting and stopping takes its time, as at the vendor: a look at time and prices ends it.
"""

from __future__ import annotations

import numpy as np

from copying.backend.state.accounts import own_account
from copying.backend.state.book import Book
from copying.backend.state.commands import DeleteAccount, SetConnection, SetDeployment
from copying.backend.state.effects import Effects
from copying.backend.state.entities import NEVER
from copying.backend.state.errors import invalid
from copying.backend.state.trading_accounts import DEPLOY_SECONDS, forget, start, uses_of

from .reconnection import set_connection


def check_deployment(book: Book, command: SetDeployment) -> None:
    """The account is the caller's and has its login."""
    row = own_account(book, command.tenant, command.account_id)
    if book.account_meta[row].state == "DRAFT":
        raise invalid("", command.account_id, "The account is a draft: it waits for its login and password")


def set_deployment(book: Book, command: SetDeployment, effects: Effects) -> None:
    """Start or stop; what runs already or stands still already stays so."""
    row = book.account_rows[command.account_id]
    meta = book.account_meta[row]
    if command.action == "deploy":
        if meta.state not in ("DEPLOYED", "DEPLOYING"):
            start(book, row)
        return
    if command.action == "undeploy" and meta.state in ("UNDEPLOYED", "UNDEPLOYING"):
        return
    connect(book, effects, row, False)
    if command.action == "redeploy":
        start(book, row)
        return
    meta.state, meta.state_ends = "UNDEPLOYING", book.time + DEPLOY_SECONDS
    book.deployments[row] = meta.state_ends


def is_due(book: Book, now: float) -> bool:
    """Whether an account has started or stopped."""
    return any(moment <= now for moment in book.deployments.values())


def finish(book: Book, effects: Effects) -> None:
    """Starts and stops that are over."""
    for row in [row for row, moment in book.deployments.items() if moment <= book.time]:
        del book.deployments[row]
        meta = book.account_meta[row]
        meta.state_ends = NEVER
        if meta.state == "DEPLOYING":
            meta.state = "DEPLOYED"
            connect(book, effects, row, True)
        else:
            meta.state = "UNDEPLOYED"


def connect(book: Book, effects: Effects, row: int, is_connected: bool) -> None:
    """Tell the broker's side."""
    meta = book.account_meta[row]
    command = SetConnection(tenant=meta.tenant, account_id=meta.id, is_connected=is_connected)
    set_connection(book, command, effects)


def check_delete(book: Book, command: DeleteAccount) -> None:
    """The account is the caller's, and no strategy or subscriber needs it."""
    own_account(book, command.tenant, command.account_id)
    words = {"PROVIDER": "The account provides the strategy", "SUBSCRIBER": "The account copies, as the subscriber"}
    for role, name in uses_of(book, command.account_id).items():
        raise invalid("", command.account_id, f"{words[role]} {name!r}: remove that first")


def delete(book: Book, command: DeleteAccount, effects: Effects) -> None:
    """Close what is open, withdraw what waits, and let nobody know the account any more."""
    row = book.account_rows[command.account_id]
    book.accounts.connected[row] = True  # what was kept for the connection's return is closed now
    book.missed = [event for event in book.missed if event.account != row]
    orders = np.flatnonzero(book.orders.account == row)
    if len(orders):
        book.broker.cancel(book, orders)
    positions = np.flatnonzero(book.positions.account == row)
    if len(positions):
        book.positions.subscription[positions] = -1  # what was left to the owner: nobody subscribes any more
        book.positions.part[positions] = -1
        book.broker.close(book, effects, positions, "the account was deleted")
    forget(book, row)
