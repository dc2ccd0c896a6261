"""What a client may change: every bound with a row before, at and after it, and everything that nobody named."""

from __future__ import annotations

import copy

import pytest

from subscribers.own_rules import ELSE, HELD, OWN_LIMIT, OwnBounds, why_not_changed, why_not_left

LIMIT = {**OWN_LIMIT, "maxRelativeRisk": 0.05, "closePositions": True}
MONTH = {"type": "month", "applyTo": "balance-difference", "maxRelativeRisk": 0.3, "closePositions": False}
FORE = {
    "name": "Hers",
    "subscriptions": [
        {"strategyId": "a", "multiplier": 2, "riskLimits": [MONTH, LIMIT]},
        {"strategyId": "b"},
    ],
}
WIDE = OwnBounds.of(
    {
        "may_pause": True,
        "may_close": False,
        "ranges": {
            "ratio": {"from": "0.1", "to": "1"},
            "trade": {"from": "0.01", "to": None},
            "risk": {"from": "0.001", "to": "0.02"},
            "loss": {"from": "0.01", "to": "0.1"},
        },
        "closing": ["close-gracefully-by-position", "preserve"],
    }
)
CLOSING = OwnBounds.of({"may_pause": False, "may_close": True, "ranges": {}, "closing": ["preserve"]})


def changed(part: int | None, **settings) -> dict:
    """FORE with other settings of a subscription, or of the account (None)."""
    document = copy.deepcopy(FORE)
    level = document if part is None else document["subscriptions"][part]
    for name, value in settings.items():
        level.pop(name, None)
        if value is not None:
            level[name] = value
    return document


def refused(after: dict, before: dict = FORE, liftable=(), **bounds: OwnBounds) -> list[str]:
    return why_not_changed(before, after, bounds or {"a": WIDE, "b": WIDE}, liftable=liftable)


@pytest.mark.parametrize(
    ("value", "is_allowed"),
    [
        (0.0999999, False),
        (0.1, True),
        (0.5, True),
        (1, True),
        (1.0000001, False),
        (None, True),
        (2, True),
        (2.1, False),
    ],
)
def test_a_ratio_lies_within_its_range_or_stays_as_it_was(value, is_allowed):
    assert (refused(changed(0, multiplier=value)) == []) is is_allowed


@pytest.mark.parametrize(
    ("setting", "value", "is_allowed"),
    [
        ("maxTradeVolume", 0.009, False),
        ("maxTradeVolume", 0.01, True),
        ("maxTradeVolume", 1e6, True),
        ("maxTradeRisk", 0.0009, False),
        ("maxTradeRisk", 0.001, True),
        ("maxTradeRisk", 0.02, True),
        ("maxTradeRisk", 0.0201, False),
    ],
)
def test_limits_lie_within_their_ranges(setting, value, is_allowed):
    assert (refused(changed(0, **{setting: value})) == []) is is_allowed


def test_a_limit_is_taken_out_only_where_its_range_has_no_end():
    limited = changed(0, maxTradeVolume=1, maxTradeRisk=0.01)
    assert refused(changed(0, maxTradeRisk=0.01), limited) == []
    assert refused(changed(0, maxTradeVolume=1), limited) == [
        "Risk per trade: your account manager allows 0.1\u202f% to 2\u202f%."
    ]


@pytest.mark.parametrize(
    ("limits", "is_allowed"),
    [
        ([MONTH, LIMIT | {"maxRelativeRisk": 0.1}], True),
        ([MONTH, LIMIT | {"maxRelativeRisk": 0.1001}], False),
        ([MONTH, LIMIT | {"maxRelativeRisk": 0.009}], False),
        ([MONTH, LIMIT | {"maxRelativeRisk": 0.06, "closePositions": False}], False),
        ([MONTH, LIMIT | {"closePositions": False}], False),
        ([MONTH | {"maxRelativeRisk": 0.1}, LIMIT], False),
        ([LIMIT], False),
        ([MONTH], False),  # taken out, and its range has an end
        ([MONTH, LIMIT, LIMIT], False),
    ],
)
def test_of_the_risk_limits_only_the_share_of_the_clients_own_changes(limits, is_allowed):
    assert (refused(changed(0, riskLimits=limits)) == []) is is_allowed


@pytest.mark.parametrize(("closes", "is_allowed"), [(False, True), (True, False)])
def test_a_new_limit_of_a_client_closes_nothing(closes, is_allowed):
    after = changed(1, riskLimits=[{**OWN_LIMIT, "maxRelativeRisk": 0.05, "closePositions": closes}])
    assert (refused(after) == []) is is_allowed


@pytest.mark.parametrize(
    "after",
    [
        changed(None, name="Mine"),
        changed(None, maxLeverage=1),
        changed(None, subscriptions=[FORE["subscriptions"][0]]),
        changed(None, subscriptions=[*FORE["subscriptions"], {"strategyId": "c"}]),
        changed(None, subscriptions=FORE["subscriptions"][::-1]),
        changed(0, tradeSizeScaling={"mode": "none"}),
        changed(0, reverse=True),
        changed(0, symbolFilter={"included": ["EURUSD"]}),
    ],
)
def test_what_is_not_named_is_not_for_clients(after):
    assert refused(after) == [ELSE]


def test_each_strategy_has_its_own_bounds():
    assert refused(changed(1, multiplier=0.5), a=WIDE) == ["Ratio: your account manager changes this."]
    assert refused(changed(0, multiplier=0.5), a=WIDE) == []


@pytest.mark.parametrize(
    ("before", "after", "liftable", "problem"),
    [
        ("", "by-position", (), ""),
        ("", "by-symbol", (), ""),
        ("", "immediately", (), "Your account manager closes positions for you."),
        ("by-position", "", ("a",), ""),
        ("by-position", "", (), HELD),
        ("by-position", "", ("", "b"), HELD),
        ("by-position", "by-symbol", (), HELD),
        ("immediately", "", (), HELD),
    ],
)
def test_who_paused_it_lets_it_go_on(before, after, liftable, problem):
    held = changed(0, closeOnly=before or None)
    assert refused(changed(0, closeOnly=after or None), held, liftable) == ([problem] if problem else [])


def test_closing_is_another_right_than_pausing():
    bounds = {"a": CLOSING, "b": CLOSING}
    assert refused(changed(0, closeOnly="immediately"), **bounds) == []
    assert refused(changed(0, closeOnly="by-position"), **bounds) == ["Your account manager pauses copying for you."]


@pytest.mark.parametrize(("of_b", "is_allowed"), [(WIDE, True), (CLOSING, False), (OwnBounds(), False)])
def test_the_whole_account_is_paused_where_every_strategy_allows_it(of_b, is_allowed):
    assert (refused(changed(None, closeOnly="by-position"), a=WIDE, b=of_b) == []) is is_allowed


def test_what_winds_down_is_not_changed_and_does_not_count():
    winding = changed(1, removed=True)
    assert (
        refused(changed(None, closeOnly="by-position") | {"subscriptions": winding["subscriptions"]}, winding, a=WIDE)
        == []
    )
    after = copy.deepcopy(winding)
    after["subscriptions"][1]["multiplier"] = 0.5
    assert refused(after, winding) == ["Ratio: your account manager changes this."]


@pytest.mark.parametrize(
    ("part", "mode", "is_allowed"),
    [
        ("a", "preserve", True),
        ("a", "close-gracefully-by-position", True),
        ("a", "close-immediately", False),
        ("b", "preserve", True),
        ("b", "close-gracefully-by-position", False),
        ("c", "preserve", False),
        ("", "preserve", True),
        ("", "close-gracefully-by-position", False),
        ("", "", False),
    ],
)
def test_leaving_follows_what_each_strategy_allows(part, mode, is_allowed):
    assert (why_not_left(FORE, part, mode, {"a": WIDE, "b": CLOSING}) == "") is is_allowed


def test_nothing_is_allowed_where_nothing_was_set():
    assert refused(changed(0, multiplier=1), a=OwnBounds()) == ["Ratio: your account manager changes this."]
    assert why_not_left(FORE, "a", "preserve", {}) != ""
    assert why_not_left({"name": "Empty"}, "", "preserve", {"a": WIDE}) != ""
