"""Strategies, portfolios, subscribers and webhooks: checking and taking over documents.

A document in the book is never changed in place: whoever changes one puts a new object there. Fields that only the
backend sets are kept on replacement (contract, section 8, 2).
"""

from __future__ import annotations

from typing import Any

from copying.backend.risk import limits
from copying.backend.state import parts
from copying.backend.state.accounts import ensure_account
from copying.backend.state.book import Book
from copying.backend.state.commands import (
    PutPortfolio,
    PutStrategy,
    PutSubscriber,
    PutWebhook,
    RemoveWebhook,
)
from copying.backend.state.effects import Effects, LogLine
from copying.backend.state.entities import StoredStrategy, StoredSubscriber, StoredWebhook
from copying.backend.state.errors import invalid, not_found
from copying.backend.state.trading_accounts import check_role

from . import commission
from .nesting import above, check_circle, check_size, tree_of
from .offers import consent_changed, may_follow, withheld

STOPOUT_RISK_IGNORED = (
    "stopOutRisk is not a setting any more and was ignored: nothing stops at it. Use riskLimits, whose type lifetime "
    "with applyTo equity-difference comes closest."
)
_OWNED = ("_id", "platformCommissionRate", "closeOnRemovalMode", "removed")


def _without_owned(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in _OWNED}


# -------------------------------------------------------------------------------------------------------- strategies


def own_strategy(book: Book, tenant: str, strategy_id: str, *, portfolio: bool | None = None) -> StoredStrategy:
    """A strategy (or portfolio) of the caller, also while it winds down. Raises 404."""
    strategy = book.strategies_by_id.get(strategy_id)
    if strategy is None or strategy.tenant != tenant or (portfolio is not None and strategy.is_portfolio != portfolio):
        raise not_found("Portfolio strategy" if portfolio else "Strategy")
    return strategy


def check_put_strategy(book: Book, command: PutStrategy | PutPortfolio) -> None:
    """The id is free or the caller's own, of the same kind and not being removed; accounts are the caller's.

    Over HTTP a free one must have been handed out to the caller before (http/configuration.py).
    """
    is_portfolio = isinstance(command, PutPortfolio)
    known = book.strategies_by_id.get(command.strategy_id)
    if known is not None:
        if known.tenant != command.tenant:
            raise not_found("Portfolio strategy" if is_portfolio else "Strategy")
        if known.is_portfolio != is_portfolio:
            kind = "a portfolio strategy" if known.is_portfolio else "a strategy"
            raise invalid("strategyId", command.strategy_id, f"is the id of {kind}")
        if known.removal_mode:
            raise invalid("strategyId", command.strategy_id, "is being removed")
    if isinstance(command, PutPortfolio):
        check_members(book, command)
        return
    account_id = command.document.get("accountId", "")
    account = book.account_rows.get(account_id)
    if account is not None and book.account_meta[account].tenant != command.tenant:
        raise not_found("Account")
    if known is None or known.document.get("accountId") != account_id:
        check_role(book, account_id, "PROVIDER", "accountId")


def check_members(book: Book, command: PutPortfolio) -> None:
    """Members exist and may be copied, and portfolios stay within the bounds of nesting.py.

    Members that the portfolio has already stay, whatever became of the consent: else nothing of it could be changed.
    """
    members = [member["strategyId"] for member in command.document.get("members") or ()]
    present = {command.strategy_id, *_parts(book.strategies_by_id.get(command.strategy_id), "members")}
    for number, member in enumerate(members):
        is_kept = member in present and (member in book.strategies_by_id or member == command.strategy_id)
        if not is_kept and not may_follow(book, command.tenant, member):
            raise invalid(f"members.{number}.strategyId", member, "there is no such strategy")
    tree = {**tree_of(book), command.strategy_id: members}
    check_circle(tree, command.strategy_id)
    check_size(tree, command.strategy_id)


def _parts(known: StoredStrategy | StoredSubscriber | None, name: str) -> list[str]:
    """What a document copies already: ids of its `members` or `subscriptions`."""
    return [part["strategyId"] for part in known.document.get(name) or ()] if known else []


def put_strategy(book: Book, command: PutStrategy | PutPortfolio, effects: Effects) -> None:
    """Create or replace a strategy or portfolio."""
    before = withheld(book)
    is_portfolio = isinstance(command, PutPortfolio)
    known = book.strategies_by_id.get(command.strategy_id)
    document = _without_owned(command.document)
    if is_portfolio:
        document["members"] = members_of(known, document)
    else:
        ensure_account(book, command.tenant, document.get("accountId", ""), document.get("name", ""), effects)
    rate = known.document.get("platformCommissionRate", 0) if known else 0
    document = {"_id": command.strategy_id, "platformCommissionRate": rate, **document}
    if known is None:
        strategy = StoredStrategy(command.strategy_id, command.tenant, is_portfolio, document, book.time)
        book.strategies_by_id[command.strategy_id] = strategy
        book.strategy_names.number(command.strategy_id)
        book.strategy_owners[command.strategy_id] = command.tenant
    else:
        known.document = document
    book.changed_configuration()
    refresh_subscriptions(book, command.strategy_id)
    consent_changed(book, effects, before)
    if command.names_stopout_risk:
        effects.events.append(LogLine(book.time, command.tenant, 2, STOPOUT_RISK_IGNORED, command.strategy_id))


def members_of(known: StoredStrategy | None, document: dict[str, Any]) -> list[dict[str, Any]]:
    """The members that a portfolio has once the document is taken over: those that wind down go on doing so."""
    modes = known.members_removed if known else {}
    return [_member(member, modes.get(member["strategyId"], "")) for member in document.get("members") or ()]


def _member(member: dict[str, Any], mode: str) -> dict[str, Any]:
    clean = {key: value for key, value in member.items() if key != "closeOnRemovalMode"}
    return {**clean, "closeOnRemovalMode": mode} if mode else clean


def refresh_subscriptions(book: Book, strategy_id: str) -> None:
    """Terms of a strategy changed: take them into the subscriptions that it reaches."""
    reached = above(tree_of(book), strategy_id)
    subscriptions = book.subscriptions
    for row, (subscriber_id, subscribed) in enumerate(book.subscription_keys):
        if subscribed in reached and subscriptions.active[row]:
            refresh_subscription(book, row, subscriber_id, subscribed)


def refresh_subscription(book: Book, row: int, subscriber_id: str, strategy_id: str) -> None:
    """Commission scheme and risk limits of one subscription."""
    strategy = book.strategies_by_id.get(strategy_id)
    subscriber = book.subscribers_by_id.get(subscriber_id)
    if strategy is None or subscriber is None:
        return
    subscriptions = book.subscriptions
    scheme, period, rate = commission.scheme_of(strategy.document)
    subscriptions.scheme[row], subscriptions.period[row], subscriptions.rate[row] = scheme, period, rate
    own = strategy.tenant == subscriber.tenant
    subscriptions.platform_rate[row] = 0.0 if own else float(strategy.document.get("platformCommissionRate") or 0)
    limits.refresh_subscription(book, row, subscriber, strategy)


# ------------------------------------------------------------------------------------------------------- subscribers


def own_subscriber(book: Book, tenant: str, subscriber_id: str) -> StoredSubscriber:
    """A subscriber of the caller, also while it winds down. Raises 404."""
    subscriber = book.subscribers_by_id.get(subscriber_id)
    if subscriber is None or subscriber.tenant != tenant:
        raise not_found("Subscriber")
    return subscriber


def check_put_subscriber(book: Book, command: PutSubscriber) -> None:
    """The account is free or the caller's own; subscribed strategies exist and may be copied, once each.

    What is subscribed to already stays, whatever became of the consent: else nothing of the document could be changed.
    """
    known = book.subscribers_by_id.get(command.subscriber_id)
    account = book.account_rows.get(command.subscriber_id)
    owner = known.tenant if known else book.account_meta[account].tenant if account is not None else command.tenant
    if owner != command.tenant:
        raise not_found("Subscriber")
    if known is not None and known.removal_mode:
        raise invalid("subscriberId", command.subscriber_id, "is being removed")
    if known is None:
        check_role(book, command.subscriber_id, "SUBSCRIBER", "subscriberId")
    seen, present = set(), set(_parts(known, "subscriptions"))
    for number, subscription in enumerate(command.document.get("subscriptions") or ()):
        strategy_id = subscription["strategyId"]
        if strategy_id in seen:
            raise invalid(f"subscriptions.{number}.strategyId", strategy_id, "is subscribed to twice")
        seen.add(strategy_id)
        is_kept = strategy_id in present and strategy_id in book.strategies_by_id
        if not is_kept and not may_follow(book, command.tenant, strategy_id):
            raise invalid(f"subscriptions.{number}.strategyId", strategy_id, "there is no such strategy")


def put_subscriber(book: Book, command: PutSubscriber, effects: Effects) -> list[int]:
    """Create or replace a subscriber. Returns the rows of subscriptions that the document no longer names."""
    known = book.subscribers_by_id.get(command.subscriber_id)
    document = _without_owned(command.document)
    dropped = _dropped(known, document)
    modes = known.subscriptions_removed if known else {}
    document["subscriptions"] = subscriptions_of(known, document)
    document = {"_id": command.subscriber_id, **document}
    account = ensure_account(book, command.tenant, command.subscriber_id, document.get("name", ""), effects)
    if known is None:
        book.subscribers_by_id[command.subscriber_id] = StoredSubscriber(
            command.subscriber_id, command.tenant, document, book.time
        )
    else:
        known.document = document
    book.changed_configuration()
    for subscription in document["subscriptions"]:
        row = add_subscription(book, account, command.subscriber_id, subscription["strategyId"])
        refresh_subscription(book, row, command.subscriber_id, subscription["strategyId"])
    limits.refresh_account(book, account, book.subscribers_by_id[command.subscriber_id])
    if command.names_stopout_risk:
        effects.events.append(LogLine(book.time, command.tenant, 2, STOPOUT_RISK_IGNORED, "", command.subscriber_id))
    gone = [subscription["strategyId"] for subscription in dropped if subscription["strategyId"] not in modes]
    return [book.subscription(command.subscriber_id, strategy_id) for strategy_id in gone]


def subscriptions_of(known: StoredSubscriber | None, document: dict[str, Any]) -> list[dict[str, Any]]:
    """The subscriptions once the document is taken over: those that wind down go on doing so, named in it or not."""
    modes = known.subscriptions_removed if known else {}
    named = [
        _subscription(subscription, modes.get(subscription["strategyId"], ""))
        for subscription in document.get("subscriptions") or ()
    ]
    return named + [subscription for subscription in _dropped(known, document) if subscription["strategyId"] in modes]


def _dropped(known: StoredSubscriber | None, document: dict[str, Any]) -> list[dict[str, Any]]:
    """Subscriptions that the document no longer names."""
    if known is None:
        return []
    names = {subscription["strategyId"] for subscription in document.get("subscriptions") or ()}
    return [
        subscription
        for subscription in known.document.get("subscriptions") or ()
        if subscription["strategyId"] not in names
    ]


def _subscription(subscription: dict[str, Any], mode: str) -> dict[str, Any]:
    clean = {key: value for key, value in subscription.items() if key not in ("removed", "closeOnRemovalMode")}
    return {**clean, "removed": True, "closeOnRemovalMode": mode} if mode else clean


def add_subscription(book: Book, account: int, subscriber_id: str, strategy_id: str) -> int:
    """The row of a subscription; one that ended before starts again with a fresh result and mark."""
    key = (subscriber_id, strategy_id)
    row = book.subscription_rows.get(key)
    if row is None:
        row = book.subscriptions.append(
            account=account, strategy=book.strategy_names.number(strategy_id), since=book.time
        )
        book.subscription_keys.append(key)
        book.subscription_rows[key] = row
        book.valued = False
    elif not book.subscriptions.active[row]:
        subscriptions = book.subscriptions
        subscriptions.active[row], subscriptions.since[row] = True, book.time
        subscriptions.realised[row] = subscriptions.mark[row] = 0.0
        for period in range(5):
            subscriptions.starts("balance", period)[row] = subscriptions.starts("equity", period)[row] = 0.0
        parts.forget_results(book, row)
    return row


# ---------------------------------------------------------------------------------------------------------- webhooks


def check_put_webhook(book: Book, command: PutWebhook) -> None:
    """The strategy is the caller's; a known webhook belongs to it."""
    own_strategy(book, command.tenant, command.strategy_id)
    known = book.webhooks_by_id.get(command.webhook_id)
    if known is not None and (known.tenant != command.tenant or known.strategy_id != command.strategy_id):
        raise not_found("Webhook")


def put_webhook(book: Book, command: PutWebhook, effects: Effects) -> None:
    """Create or change a webhook; a change keeps what it does not name."""
    known = book.webhooks_by_id.get(command.webhook_id)
    if known is None:
        book.webhooks_by_id[command.webhook_id] = StoredWebhook(
            command.webhook_id, command.tenant, command.strategy_id, command.document, book.time
        )
    else:
        known.document = {**known.document, **command.document}


def check_remove_webhook(book: Book, command: RemoveWebhook) -> None:
    """It exists and is the caller's."""
    known = book.webhooks_by_id.get(command.webhook_id)
    if known is None or known.tenant != command.tenant or known.strategy_id != command.strategy_id:
        raise not_found("Webhook")


def remove_webhook(book: Book, command: RemoveWebhook, effects: Effects) -> None:
    """Forget a webhook."""
    del book.webhooks_by_id[command.webhook_id]
