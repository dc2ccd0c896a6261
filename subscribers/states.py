"""The states of an account and of its subscriptions: their codes, words and colours.

What comes first in a table holds. Which one that is follows from everything that decides about new trades: of an
account by `models.account_conditions`, of a subscription by `Subscription.state`. New kinds of subscriptions that do
not copy get a line here and one there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from users.states import State, by_code

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


class AccountFacts(NamedTuple):
    """What the states of an account's subscriptions follow from. stopped: (strategy, member) ids of active stopouts;
    an empty strategy is the whole account.
    """

    code: str
    is_unconfirmed: bool
    stopped: list[tuple[str, str]]
