"""Which settings act at once when they are saved: every setting of every level is either one of them or is not."""

from __future__ import annotations

import pytest

from copying.engine.model import Level
from editing.dangers import MEASURED, may_act, needs_measuring
from editing.fields import fields_of
from editing.immediate import document_effects
from editing.models import Action, Change

ONE, TWO = [{"strategyId": "s"}], [{"strategyId": "s"}, {"strategyId": "s"}]
LIMIT = {"type": "date", "applyTo": "balance-difference", "maxAbsoluteRisk": 5}
# the backend uses these for the next signal only, or they say something and copy nothing
NEXT_SIGNAL = {
    "allowedSides",
    "commissionScheme",
    "copyStopLoss",
    "copyTakeProfit",
    "description",
    "drawdownFilter",
    "equityCurveFilter",
    "magicFilter",
    "maxLeverage",
    "maxStopLoss",
    "maxTradeRisk",
    "maxTradeVolume",
    "minTradeVolume",
    "minTradeAmount",
    "multiplier",
    "name",
    "phoneNumbers",
    "reduceCorrelations",
    "reverse",
    "reservedMarginFraction",
    "signalDelay",
    "skipPendingOrders",
    "symbolFilter",
    "symbolMapping",
    "symbolsTraded",
    "telegram",
    "timeSettings",
    "tradeSizeScaling",
}


def change(kind, before, after, action=Action.CHANGE, **more):
    return Change(kind=kind, before=before, after=after, action=action, **more)


def test_every_setting_is_classified():
    at_once = {*MEASURED, "accountId", "members", "offer", "subscriptions"}
    keys = {
        field.key.split(".")[0]
        for level in (Level.STRATEGY, Level.MEMBER, Level.PORTFOLIO, Level.SUBSCRIPTION, Level.SUBSCRIBER)
        for field in fields_of(level)
    }
    assert keys - at_once - NEXT_SIGNAL == set()


@pytest.mark.parametrize(
    ("kind", "before", "after", "asks"),
    [
        ("strategy", {"accountId": "a"}, {"accountId": "b"}, True),
        ("strategy", {"accountId": "a"}, {"accountId": "a", "maxTradeVolume": 1}, False),
        ("subscriber", {}, {"closeOnly": "immediately"}, True),
        ("subscriber", {"closeOnly": "immediately"}, {"closeOnly": "immediately"}, False),
        ("subscriber", {"closeOnly": "by-symbol"}, {"closeOnly": "immediately"}, True),
        ("subscriber", {}, {"closeOnly": "by-position"}, False),
        (
            "subscriber",
            {"subscriptions": [{"strategyId": "s"}]},
            {"subscriptions": [{"strategyId": "s", "closeOnly": "immediately"}]},
            True,
        ),
        ("subscriber", {"subscriptions": [{"strategyId": "s"}]}, {"subscriptions": []}, True),
        ("subscriber", {"subscriptions": []}, {"subscriptions": [{"strategyId": "s"}]}, False),
        ("portfolio", {"members": TWO}, {"members": ONE}, True),
        (
            "portfolio",
            {"members": TWO},
            {"members": [{"strategyId": "s", "multiplier": 2}, {"strategyId": "s"}]},
            False,
        ),
    ],
)
def test_what_the_documents_alone_say(kind, before, after, asks):
    assert bool(document_effects(change(kind, before, after)).reasons) is asks


EVERYBODY, ONE_USER, TWO_USERS = (
    {"offer": offer}
    for offer in (
        {"to": "everybody"},
        {"to": "tenants", "tenants": ["a"]},
        {"to": "tenants", "tenants": ["a", "b"]},
    )
)


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        ({}, EVERYBODY, False),
        (EVERYBODY, {}, True),
        (EVERYBODY, {"offer": {"to": "nobody"}}, True),
        (EVERYBODY, ONE_USER, True),
        (ONE_USER, TWO_USERS, False),
        (TWO_USERS, ONE_USER, True),
        (ONE_USER, EVERYBODY, False),
        (ONE_USER, ONE_USER, False),
    ],
)
def test_an_offer_taken_back_is_said(before, after, ends):
    assert bool(document_effects(change("strategy", before, after)).notes) is ends


def test_a_removal_says_what_becomes_of_positions_and_nothing_else():
    effects = document_effects(
        change(
            "subscriber", {"subscriptions": [{"strategyId": "s"}]}, {}, Action.REMOVE, instructions={"mode": "preserve"}
        )
    )
    assert len(effects.reasons) == 1
    assert effects.is_dangerous


@pytest.mark.parametrize(
    ("kind", "before", "after", "asked"),
    [
        ("strategy", {}, {"riskLimits": [LIMIT]}, True),
        ("strategy", {"riskLimits": [LIMIT]}, {"riskLimits": [LIMIT]}, False),
        ("strategy", {"riskLimits": [LIMIT]}, {"riskLimits": [LIMIT | {"startTime": "2020-01-01"}]}, True),
        ("strategy", {"riskLimits": []}, {}, False),
        ("strategy", {}, {"newsFilter": {"breakingNewsFilter": {"priorities": ["high"]}}}, False),
        ("strategy", {}, {"newsFilter": {"breakingNewsFilter": {"closePositionTimeGapInMinutes": 5}}}, True),
        ("portfolio", {"members": ONE}, {"members": [ONE[0] | {"riskLimits": [LIMIT]}]}, True),
        (
            "subscriber",
            {"subscriptions": [{"strategyId": "s"}]},
            {"subscriptions": [{"strategyId": "s", "riskLimits": [LIMIT]}]},
            True,
        ),
        ("subscriber", {}, {"riskLimits": [LIMIT]}, True),
        ("subscriber", {}, {"multiplier": 2}, False),
    ],
)
def test_when_the_backend_is_asked(kind, before, after, asked):
    assert needs_measuring(change(kind, before, after)) is asked


@pytest.mark.parametrize(
    ("before", "after", "acts"),
    [
        ([LIMIT], [LIMIT | {"maxAbsoluteRisk": 6}], False),
        ([LIMIT], [LIMIT | {"maxAbsoluteRisk": 5}], False),
        ([LIMIT], [LIMIT | {"maxAbsoluteRisk": 4}], True),
        ([LIMIT], [LIMIT | {"maxRelativeRisk": 0.5}], True),
        ([LIMIT], [LIMIT | {"startTime": "2020-01-01"}], True),
        ([LIMIT], [LIMIT | {"closePositions": True}], True),
        ([LIMIT], [], True),  # another level's limit may hold then
        ([], [LIMIT], True),
    ],
)
def test_only_what_may_act_is_feared_where_nobody_can_measure(before, after, acts):
    assert may_act(change("strategy", {"riskLimits": before}, {"riskLimits": after})) is acts
    found = change(
        "portfolio", {"members": [ONE[0] | {"riskLimits": before}]}, {"members": [ONE[0] | {"riskLimits": after}]}
    )
    assert may_act(found) is acts


def test_a_new_strategy_reaches_nobody_yet():
    assert not needs_measuring(change("strategy", {}, {"riskLimits": [LIMIT]}, Action.CREATE))


@pytest.mark.parametrize(
    ("before", "after", "acts"),
    [
        ({}, {"subscriptions": [{"strategyId": "s", "multiplier": 2}]}, False),
        ({}, {"subscriptions": [{"strategyId": "s"}], "riskLimits": [LIMIT]}, True),
        ({}, {"subscriptions": [{"strategyId": "s", "riskLimits": [LIMIT]}]}, True),
        ({}, {"subscriptions": [{"strategyId": "s", "closeOnly": "immediately"}]}, True),
        ({"subscriptions": ONE}, {"subscriptions": [{"strategyId": "new"}, *ONE]}, False),
        ({"subscriptions": [{"strategyId": "new"}, *ONE]}, {"subscriptions": ONE}, True),
        ({"subscriptions": [{"strategyId": "new"}, *ONE]}, {"subscriptions": [*ONE, {"strategyId": "new"}]}, False),
    ],
)
def test_what_is_added_acts_by_settings_of_its_own_only(before, after, acts):
    assert may_act(change("subscriber", before, after)) is acts
