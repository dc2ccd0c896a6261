"""What two documents differ in, in words; and two edits of one document brought together."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from editing.differences import differences
from editing.merging import merged, writable

LIMIT = {"type": "day", "applyTo": "balance-difference", "maxRelativeRisk": 0.1, "closePositions": True}
ACCOUNT = {
    "_id": "a1",
    "name": "Dora",
    "riskLimits": [LIMIT],
    "subscriptions": [{"strategyId": "s1", "multiplier": 2}, {"strategyId": "s2"}],
}


def sentences(kind, before, after, names=None):
    return [one.sentence for one in differences(kind, before, after, names)]


def test_the_same_differs_in_nothing_and_emptiness_is_no_difference():
    assert sentences("subscriber", ACCOUNT, copy.deepcopy(ACCOUNT)) == []
    assert sentences("subscriber", ACCOUNT, ACCOUNT | {"phoneNumbers": [], "signalDelay": None}) == []


def test_settings_are_said_with_their_units():
    after = {"name": "S", "maxTradeRisk": 0.025, "allowedSides": ["sell"], "copyStopLoss": False}
    after["commissionScheme"] = {"type": "amount-won", "billingPeriod": "week", "commissionRate": 0.2}
    after["symbolMapping"] = [{"from": "EURUSD", "to": "EURUSDm"}]
    assert sentences("strategy", {"name": "S"}, after) == [
        "Risk per trade not set → 2.5\u202f%",
        "Sides not set → Only sell",
        "Copy stop loss not set → No",
        "Symbols under another name not set → from EURUSD, to EURUSDm",
        "Commission not set → scheme Share of profits, settled Weekly, rate 20\u202f%",
    ]


def test_a_limit_is_said_row_by_row():
    after = ACCOUNT | {"riskLimits": [LIMIT | {"maxRelativeRisk": 0.05}, LIMIT | {"type": "month"}]}
    [found] = differences("subscriber", ACCOUNT, after)
    assert found.before.count("\n") == 0
    assert found.after.split("\n")[0] == (
        "period Within a day, measured as Closed loss, share 5\u202f%, close open positions Yes"
    )


def test_subscriptions_are_named_added_and_taken_away():
    kept = [{"strategyId": "s1", "multiplier": 3, "closeOnly": "by-position"}, {"strategyId": "s3"}]
    assert sentences("subscriber", ACCOUNT, ACCOUNT | {"subscriptions": kept}, {"s1": "Trend"}) == [
        "Subscription Trend: Ratio 2\u202f× → 3\u202f×",
        "Subscription Trend: Close-only not set → Only closes: no new position",
        "Subscription s2: Subscription there → taken away",
        "Subscription s3: Subscription not there → added",
    ]


def test_what_the_table_does_not_know_is_shown_as_it_is_but_secrets_never():
    before = {"name": "S", "future": {"a": 1}, "apiToken": "abc"}
    after = {"name": "S", "future": {"a": 2, "password": "xyz"}, "apiToken": "def"}
    told = " ".join(sentences("strategy", before, after))
    assert 'future {"a":1} → {"a":2,"password":"····"}' in told
    assert "abc" not in told + "xyz"
    assert "def" not in told


def test_a_new_secret_is_told_without_saying_it():
    before = {"name": "S", "telegram": {"publishing": {"token": "12:old", "chatId": "@a"}}}
    after = {"name": "S", "telegram": {"publishing": {"token": "34:new", "chatId": "@a"}}}
    [found] = differences("strategy", before, after)
    assert "(a new secret)" in found.after
    assert "12:old" not in found.sentence
    assert "34:new" not in found.sentence


# --- Two edits of one document ---------------------------------------------------------------------------------------
def test_different_settings_of_two_people_are_brought_together():
    mine = copy.deepcopy(ACCOUNT) | {"name": "Dora K."}
    mine["subscriptions"][0]["multiplier"] = 5
    theirs = copy.deepcopy(ACCOUNT)
    theirs["subscriptions"] = [theirs["subscriptions"][0] | {"reverse": True}, {"strategyId": "s3"}]
    found, conflicts = merged(ACCOUNT, mine, theirs)
    assert conflicts == []
    assert found["name"] == "Dora K."
    assert found["subscriptions"] == [{"strategyId": "s1", "multiplier": 5, "reverse": True}, {"strategyId": "s3"}]


def test_the_same_setting_of_two_people_is_named_and_mine_stands():
    found, conflicts = merged(ACCOUNT, ACCOUNT | {"name": "Mine"}, ACCOUNT | {"name": "Theirs"})
    assert (found["name"], conflicts) == ("Mine", ["name"])


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), DOCUMENTS, max_size=4)


@given(OBJECTS, OBJECTS)
def test_an_edit_alone_is_the_edit_and_an_undo_alone_is_the_former_document(before, after):
    assert merged(before, after, before) == (after, [])
    assert merged(after, before, after) == (before, [])
    assert merged(before, before, after) == (after, [])


def test_what_only_a_backend_sets_is_not_compared():
    assert writable({"_id": "1", "removed": True, "platformCommissionRate": 0, "name": "a"}) == {"name": "a"}
