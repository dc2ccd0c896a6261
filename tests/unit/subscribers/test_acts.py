"""What an act does to the document of one account, before, at and after each boundary."""

from __future__ import annotations

import pytest

from subscribers.acts import ACTS, NO_SUBSCRIPTION, NOT_COPIED, SMALLEST_RATIO

TWO = {"subscriptions": [{"strategyId": "a", "multiplier": 2}, {"strategyId": "b"}]}
DAY = {"type": "day", "applyTo": "balance-difference"}


def plan(document, **request):
    return ACTS[request["act"]].plan(request, document)


def test_a_ratio_is_set_or_multiplied_by_subscription():
    assert plan(TWO, act="set-ratio", value=0.5).patches == {"a": {"multiplier": 0.5}, "b": {"multiplier": 0.5}}
    assert plan(TWO, act="multiply-ratio", value=0.5).patches == {"a": {"multiplier": 1}, "b": {"multiplier": 0.5}}
    assert plan(TWO, act="multiply-ratio", value=0.1, strategy="a").patches == {"a": {"multiplier": 0.2}}


def test_a_ratio_never_becomes_nothing():
    document = {"subscriptions": [{"strategyId": "a", "multiplier": SMALLEST_RATIO}]}
    assert plan(document, act="multiply-ratio", value=0.001).patches == {"a": {"multiplier": SMALLEST_RATIO}}
    third = {"subscriptions": [{"strategyId": "a", "multiplier": 0.1}]}
    assert plan(third, act="multiply-ratio", value=3).patches == {"a": {"multiplier": 0.3}}, "no 0.30000000000000004"


@pytest.mark.parametrize(
    ("document", "strategy", "refusal"),
    [
        ({}, "", NO_SUBSCRIPTION),
        ({"subscriptions": []}, "", NO_SUBSCRIPTION),
        ({"subscriptions": [{"strategyId": "a", "removed": True}]}, "", NO_SUBSCRIPTION),
        (TWO, "c", NOT_COPIED),
        ({"subscriptions": [{"strategyId": "a", "removed": True}]}, "a", NOT_COPIED),
    ],
)
def test_what_copies_nothing_is_refused_with_its_reason(document, strategy, refusal):
    made = plan(document, act="set-ratio", value=1, strategy=strategy)
    assert (made.patches, made.refusal) == ({}, refusal)


def test_a_limit_is_on_the_account_where_it_may_stand_there():
    assert plan(TWO, act="limit", setting="maxLeverage", value=5).patches == {"": {"maxLeverage": 5}}
    free = plan(TWO, act="limit", setting="maxLeverage", value=None, strategy="b")
    assert free.patches == {"b": {"maxLeverage": None}}
    both = {"a": {"maxTradeRisk": 0.01}, "b": {"maxTradeRisk": 0.01}}
    assert plan(TWO, act="limit", setting="maxTradeRisk", value=0.01).patches == both


def test_a_risk_limit_takes_the_place_of_its_like_and_leaves_the_others():
    other = {"type": "month", "applyTo": "balance-difference", "maxRelativeRisk": 0.2, "closePositions": False}
    old = {**DAY, "maxAbsoluteRisk": 50, "closePositions": False}
    document = {"riskLimits": [old, other]}
    request = {"act": "risk-limit", "limit": DAY, "closes": True}
    wanted = [other, {**DAY, "maxRelativeRisk": 0.05, "closePositions": True}]
    assert plan(document, **request, value=0.05).patches == {"": {"riskLimits": wanted}}
    assert plan(document, **request, value=None).patches == {"": {"riskLimits": [other]}}
    assert plan({"riskLimits": [old]}, **request, value=None).patches == {"": {"riskLimits": None}}


def test_pausing_is_of_the_account_or_of_one_strategy():
    assert plan(TWO, act="close-only", mode="by-position").patches == {"": {"closeOnly": "by-position"}}
    assert plan(TWO, act="close-only", mode="", strategy="b").patches == {"b": {"closeOnly": None}}


def test_every_act_says_what_it_does():
    requests = {
        "set-ratio": ({"value": 0.5}, "Ratio × 0.5"),
        "multiply-ratio": ({"value": 2}, "Ratio 2 times what it is"),
        "limit": ({"setting": "maxTradeRisk", "value": 0.025}, "Risk per trade 2.5\u202f%"),
        "risk-limit": ({"limit": DAY, "value": None}, "no limit"),
        "close-only": ({"mode": ""}, "Go on copying"),
    }
    assert set(requests) == set(ACTS)
    for key, (request, words) in requests.items():
        assert words in ACTS[key].title({"act": key, **request}), key
