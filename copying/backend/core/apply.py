"""One entry onto the book: deterministic, so that a replay of the journal gives the state and effects of the first
time.

Each command has a check (no change, may refuse) and an act. The core checks before it journals; the act checks again,
because commands that were journalled together may depend on each other. A refused entry changes nothing, on replay
too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from copying.backend.broker import deferred
from copying.backend.risk import limits, periods
from copying.backend.settings import documents, news, rules
from copying.backend.signals import (
    deployment,
    lifecycle,
    orphans,
    reconnection,
    relays,
    removal,
    trading,
)
from copying.backend.signals.fan_out import ask_again
from copying.backend.signals.plans import plan_for
from copying.backend.state import accounts, provider_balances, trading_accounts
from copying.backend.state.book import Book
from copying.backend.state.commands import (
    NEWEST_RULES,
    AddNews,
    AddNote,
    Command,
    CommandEntry,
    ConfigureAccount,
    CreateAccount,
    DeleteAccount,
    Deposit,
    FindOrphans,
    MakeConfigurationLink,
    OpenAccount,
    PutNews,
    PutPortfolio,
    PutSignal,
    PutStrategy,
    PutSubscriber,
    PutWebhook,
    Remove,
    RemoveSignal,
    RemoveWebhook,
    ReserveStrategyId,
    ResetStopouts,
    Resynchronise,
    SetBrokerClock,
    SetConnection,
    SetDeployment,
    SetRules,
    Tick,
    Trade,
)
from copying.backend.state.effects import Effects, LogLine, Watch
from copying.backend.state.errors import Refused, invalid, not_found

from . import idempotency, ticks
from .faults import tell_faults, without


def apply(book: Book, entry: CommandEntry, sequence: int, watch: Watch | None = None) -> Effects:
    """Carry out journal entry `sequence` by its own rules. watch: to measure with, nothing else; None on replay."""
    book.rules = entry.rules
    try:
        return apply_by_rules(book, entry, sequence, watch)
    finally:
        book.rules = NEWEST_RULES


def apply_by_rules(book: Book, entry: CommandEntry, sequence: int, watch: Watch | None) -> Effects:
    """The effects of an entry, by the rules that the book has been told."""
    book.time = max(book.time, entry.time)
    book.received = entry.received
    book.sequence = sequence
    book.set_quotes(entry.quotes)
    effects = Effects(sequence, book.time, watch=watch, secret=book.secret)
    ticks.set_midnights(book)
    try:
        HANDLERS[type(entry.command)][0](book, entry.command)
    except Refused as refused:
        effects.refused = refused
        return effects
    tell_faults(book, effects, entry)
    with without(book, [*entry.faulty, *entry.left_out]):
        carry_out(book, entry.command, effects)
    if entry.once is not None:
        effects.answer = idempotency.keep(book, entry.once, effects.answer)
    return effects


def carry_out(book: Book, command: Command, effects: Effects) -> None:
    """The act of a command that was checked, and what follows from it."""
    newest = book.counters["ticket"]
    effects.answer = HANDLERS[type(command)][1](book, command, effects)
    relays.follow(book, effects, newest)
    if book.removals and not isinstance(command, Tick):
        removal.finish_removals(book, effects)
    provider_balances.note_balances(book)


def check(book: Book, command: Command) -> None:
    """Raise Refused when the command cannot be carried out now."""
    HANDLERS[type(command)][0](book, command)


def look_ahead(book: Book, command: Command) -> None:
    """Decide what can be decided before the entry is durable; changes nothing that anybody is told."""
    if isinstance(command, PutSignal):
        lifecycle.foresee_signal(book, command)


def nothing_to_check(book: Book, command: Any) -> None:
    """Ticks are always allowed."""


def put_subscriber(book: Book, command: PutSubscriber, effects: Effects) -> None:
    """Take the document over, end what it leaves out, close what it says must be closed now."""
    dropped = documents.put_subscriber(book, command, effects)
    removal.drop_subscriptions(book, effects, dropped)
    document = book.subscribers_by_id[command.subscriber_id].document
    for subscription in document["subscriptions"]:
        mode = subscription.get("closeOnly") or document.get("closeOnly")
        if mode:
            close_only(book, effects, book.subscription(command.subscriber_id, subscription["strategyId"]), mode)


def close_only(book: Book, effects: Effects, row: int, mode: str) -> None:
    """Withdraw the orders of a subscription that would open what close-only refuses, and close what it says (4.4)."""
    copies = np.flatnonzero(book.positions.subscription == row)
    refused = book.orders.subscription == row
    if mode == "by-symbol":
        refused &= ~np.isin(book.orders.symbol, book.positions.symbol[copies])
    if refused.any():
        book.broker.cancel(book, np.flatnonzero(refused))
    if mode == "immediately":
        book.broker.close(book, effects, copies, "close-only: immediately")


def check_reset(book: Book, command: ResetStopouts) -> None:
    """The reason is one of the 33; subscriber and subscription are known."""
    documents.own_subscriber(book, command.tenant, command.subscriber_id)
    kind, basis = split_reason(command.reason)
    if kind not in limits.KINDS or basis not in limits.BASES:
        raise invalid("reason", command.reason, "is not a reason of a stopout")
    if command.strategy_id and book.subscription(command.subscriber_id, command.strategy_id) < 0:
        raise not_found("Subscription")


def split_reason(reason: str) -> tuple[str, str]:
    """(type, applyTo) of a stopout's reason."""
    for basis in limits.BASES:
        if reason.endswith(f"-{basis}"):
            return reason[: -len(basis) - 1], basis
    return reason, ""


def reset_stopouts(book: Book, command: ResetStopouts, effects: Effects) -> None:
    """End active stopouts of a reason; nothing when there is none."""
    account = book.account_rows[command.subscriber_id]
    row = book.subscription(command.subscriber_id, command.strategy_id) if command.strategy_id else -1
    if limits.reset(book, account, row, command.reason):
        text = f"The stopout {command.reason} was reset: trading goes on."
        effects.events.append(LogLine(book.time, command.tenant, 1, text, command.strategy_id, command.subscriber_id))


def check_resynchronise(book: Book, command: Resynchronise) -> None:
    """The subscriber is the caller's. The vendor answers 403 for somebody else's; here it does not exist."""
    documents.own_subscriber(book, command.tenant, command.subscriber_id)


def resynchronise(book: Book, command: Resynchronise, effects: Effects) -> None:
    """Close orphans; open what is missing: late trades, and positions that were closed by hand."""
    orphans.close_gone(book, effects)
    orphans.close_orphans(book, effects, book.account_rows[command.subscriber_id])
    for signal in list(book.signals.values()):
        if command.position_ids and signal.id not in command.position_ids:
            continue
        plan = plan_for(book, signal.strategy_id)
        wanted = np.fromiter(
            (
                key.subscriber_id == command.subscriber_id
                and (not command.strategy_ids or key.strategy_id in command.strategy_ids)
                for key in plan.table.keys
            ),
            dtype=bool,
            count=len(plan.table),
        )
        if wanted.any():
            ask_again(book, effects, signal, wanted)


def tick(book: Book, command: Tick, effects: Effects) -> None:
    """Time and prices, after what accounts missed that were left out."""
    for account in deferred.to_catch_up(book):
        reconnection.catch_up(book, effects, account)
    ticks.tick(book, effects, snapshots=command.snapshots)


HANDLERS: dict[type, tuple[Callable, Callable]] = {
    PutStrategy: (documents.check_put_strategy, documents.put_strategy),
    PutPortfolio: (documents.check_put_strategy, documents.put_strategy),
    PutSubscriber: (documents.check_put_subscriber, put_subscriber),
    Remove: (removal.check_remove, removal.remove),
    PutWebhook: (documents.check_put_webhook, documents.put_webhook),
    RemoveWebhook: (documents.check_remove_webhook, documents.remove_webhook),
    PutSignal: (lifecycle.check_put_signal, lifecycle.put_signal),
    RemoveSignal: (lifecycle.check_remove_signal, lifecycle.remove_signal),
    ResetStopouts: (check_reset, reset_stopouts),
    Resynchronise: (check_resynchronise, resynchronise),
    OpenAccount: (accounts.check_open_account, accounts.open_account),
    CreateAccount: (trading_accounts.check_create, trading_accounts.create),
    ConfigureAccount: (trading_accounts.check_configure, trading_accounts.configure),
    MakeConfigurationLink: (trading_accounts.check_link, trading_accounts.make_link),
    SetDeployment: (deployment.check_deployment, deployment.set_deployment),
    DeleteAccount: (deployment.check_delete, deployment.delete),
    Deposit: (accounts.check_deposit, accounts.deposit),
    Trade: (trading.check_trade, trading.trade),
    PutNews: (news.check_put_news, news.put_news),
    AddNews: (news.check_add_news, news.add_news),
    SetConnection: (reconnection.check_connection, reconnection.set_connection),
    AddNote: (reconnection.check_note, reconnection.note),
    SetBrokerClock: (periods.check_broker_clock, periods.set_broker_clock),
    SetRules: (rules.check_set_rules, rules.set_rules),
    ReserveStrategyId: (rules.check_reserve, rules.reserve),
    FindOrphans: (orphans.nothing_to_check, orphans.find_orphans),
    Tick: (nothing_to_check, tick),
}
