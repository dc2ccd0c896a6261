"""The state of an account and of its subscriptions, derived from everything that decides about new trades.

An account's is an expression of the database, so that its page, lists, filters and files cannot differ. What comes
first in `ACCOUNT_STATES` holds. New kinds of subscriptions that do not copy get a state here and a line in `_code`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from django.db.models import Case, CharField, Exists, OuterRef, Q, Value, When
from django.db.models.functions import Now

from users.models import Connection
from users.states import State, by_code

if TYPE_CHECKING:
    from subscribers.models import Subscriber, Subscription

SILENT_AFTER = timedelta(hours=2)
NEW_FOR = timedelta(minutes=10)  # the first measurement comes with the next sync
WINDS_DOWN = "Ended: nothing new is opened; what is open stays managed until the provider closes it"
BY_SYMBOL = (
    "Ended: only symbols that are open are still traded; what is open stays managed until the provider closes it"
)
NOT_MEASURED = (
    "Its balance was not measured yet or not for two hours, or the sync fails: whether it copies is not known"
)
NOT_OFFERED = "The provider does not offer it to you: nothing new is opened; what is open follows until it closes"
ACCOUNT_STATES = by_code(
    State("removed", "Removed"),
    State("ending", "Being removed", "warn", "What is open is wound down; nothing new is opened"),
    State("stopped", "Stopped", "bad", "A risk limit has fired"),
    State("close-only", "Close-only", "warn", "Nothing new is opened"),
    State("unconfirmed", "Not confirmed", "warn", NOT_MEASURED),
    State("copying", "Copying", "good"),
)
SUBSCRIPTION_STATES = by_code(
    State("ended", "Ended"),
    State("winding-down", "Winding down", "warn", WINDS_DOWN),
    State("winding-down-by-symbol", "Winding down by symbol", "warn", BY_SYMBOL),
    State("ending", "Being removed", "warn", "The account is being removed: nothing new is opened"),
    State("stopped", "Stopped", "bad", "A risk limit has fired: nothing new is opened until it is resumed or ends"),
    State("stopped-in-part", "Stopped in part", "bad", "A risk limit of one member of the portfolio has fired"),
    State("close-only", "Close-only", "warn", "Nothing new is opened"),
    State("not-offered", "Not offered", "bad", NOT_OFFERED),
    State("strategy-ending", "Strategy is ending", "warn", "The strategy is being removed: nothing new comes from it"),
    State("unconfirmed", "Not confirmed", "warn", NOT_MEASURED),
    State("copying", "Copying", "good"),
)


def account_conditions() -> dict[str, Q]:
    """What has to hold for each state but the last, in their order; each without those before it."""
    from subscribers.models import Stopout

    active = Q(ended_at=None, stopped_till__gt=Now())
    failing = Connection.objects.filter(pk=OuterRef("connection_id"), sync_states__failing_since__isnull=False)
    unconfirmed = Q(measured_at=None) | Q(measured_at__lt=Now() - SILENT_AFTER) | Q(connection__is_enabled=False)
    return {
        "ending": Q(is_removed=True, document__has_key="closeOnRemovalMode"),
        "removed": Q(is_removed=True),
        "stopped": Q(Exists(Stopout.objects.filter(active, subscriber=OuterRef("pk")))),
        "close-only": ~Q(close_only=""),
        "unconfirmed": unconfirmed | Q(Exists(failing)),
    }


def account_state() -> Case:
    """The code of the state as an expression over accounts."""
    cases = [When(condition, then=Value(code)) for code, condition in account_conditions().items()]
    return Case(*cases, default=Value("copying"), output_field=CharField())


class AccountFacts(NamedTuple):
    """What the states of an account's subscriptions follow from. stopped: (strategy, member) ids of active stopouts;
    an empty strategy is the whole account.
    """

    code: str
    is_unconfirmed: bool
    stopped: list[tuple[str, str]]


def facts_of(account: Subscriber) -> AccountFacts:
    """Two queries."""
    from subscribers.models import Stopout, Subscriber

    unconfirmed = Case(When(account_conditions()["unconfirmed"], then=True), default=False)
    states = Subscriber.objects.filter(pk=account.pk).values_list(account_state(), unconfirmed)
    code, is_unconfirmed = states.first() or ("removed", True)
    active = Stopout.objects.filter(subscriber_id=account.pk, ended_at=None, stopped_till__gt=Now())
    rows = active.values_list("strategy_backend_id", "document__sourceStrategy__id")
    return AccountFacts(code, is_unconfirmed, [(strategy, member or "") for strategy, member in rows])


def subscription_code(subscription: Subscription, facts: AccountFacts) -> str:
    """The first of `SUBSCRIPTION_STATES` that applies."""
    account, strategy_id = subscription.subscriber, subscription.strategy_backend_id
    if subscription.is_removed:
        if strategy_id not in account.winding_down:
            return "ended"
        by_symbol = subscription.document.get("closeOnRemovalMode") == "close-gracefully-by-symbol"
        return "winding-down-by-symbol" if by_symbol else "winding-down"
    if account.is_removed:
        return "ending" if facts.code == "ending" else "ended"
    own = [member for strategy, member in facts.stopped if strategy in ("", strategy_id)]
    if own:
        return "stopped" if "" in own else "stopped-in-part"
    if subscription.close_only or account.close_only:
        return "close-only"
    if subscription.document.get("offered") is False:
        return "not-offered"
    if subscription.strategy is not None and subscription.strategy.is_removed:
        return "strategy-ending"
    return "unconfirmed" if facts.is_unconfirmed else "copying"
