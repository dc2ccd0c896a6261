"""What is owed at a result of nothing and around it, and which of several stopped members are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from copying.backend.settings import commission
from copying.backend.signals import plans
from copying.backend.state.effects import Deals
from copying.backend.state.entities import ActiveStopout
from tests.unit.copying.backend.desk import Desk
from tests.unit.copying.backend.test_commission import scheme


def deals_of(desk: Desk, kind: str) -> list[Deals]:
    return [deals for deals in desk.told(Deals) if deals.kind == kind]


@pytest.mark.parametrize(
    ("gain", "is_booked"), [(-0.01, False), (0.0, False), (0.004, False), (0.005, False), (0.006, True), (0.01, True)]
)
def test_less_than_the_smallest_coin_is_no_new_high(desk: Desk, gain: float, is_booked: bool) -> None:
    desk.strategy(**scheme("high-water-mark", 0.5))
    desk.subscriber()
    table = desk.book.subscriptions
    table.realised[0] = gain
    commission.settle_periods(desk.book, desk.effects[-1], [0])
    booked = deals_of(desk, "commission")
    assert [deals.improvement.tolist() for deals in booked] == ([[0.01]] if is_booked else [])
    assert table.mark[0] == (gain if is_booked else 0.0)
    commission.settle_periods(desk.book, desk.effects[-1], [0])
    assert len(deals_of(desk, "commission")) == len(booked), "a high is charged once"


@pytest.mark.parametrize(("kind", "of_gain"), [("lots-won", 0.5), ("amount-won", None)])
@pytest.mark.parametrize("result", [-0.01, 0.0, 0.01, 10.0])
def test_what_is_won_counts_after_swap_and_commission(desk: Desk, kind: str, of_gain: float | None, result) -> None:
    """0.1 lots; the parts of the result cancel each other but for it."""
    desk.strategy(**scheme(kind, 5.0 if kind == "lots-won" else 0.2))
    desk.subscriber()
    desk.signal()
    desk.close_signal()
    [deals] = deals_of(desk, "close")
    deals.profit, deals.swap, deals.commission = (np.array([part]) for part in (result + 7.0, -5.0, -2.0))
    commission.charge(desk.book, deals)
    expected = 0.0 if result <= 1e-12 else of_gain if of_gain is not None else round(result * 0.2 + 1e-9, 2)
    assert deals.provider_commission[0] == pytest.approx(expected)


def stopout(book: Any, level: int, *, subscription: int = -1, scope: str = "") -> ActiveStopout:
    row = book.paths.number(scope) if scope else -1
    account = book.account_rows["a"]
    return ActiveStopout("t", 1, account, subscription, level, "r", "d", True, 0.0, 1e12, row)


@pytest.mark.parametrize(
    ("stopped", "levels"),
    [
        ([], None),
        (["S"], {"S": 3, "T": 0, "U": 0}),
        (["S", "T"], {"S": 3, "T": 3, "U": 0}),
        (["U", "T", "S"], {"S": 3, "T": 3, "U": 3}),
        (["T", "subscription"], {"S": 1, "T": 1, "U": 1}),
        (["account"], {"S": 4, "T": 4, "U": 4}),
        (["T", "account"], {"S": 4, "T": 3, "U": 4}),
        (["subscription", "account"], {"S": 1, "T": 1, "U": 1}),
    ],
)
def test_every_stopped_member_is_stopped(desk: Desk, stopped: list[str], levels: dict[str, int] | None) -> None:
    """The nearest level is told: a subscription's before a member's, and both before the account's."""
    for name in "STU":
        desk.strategy(name, f"p{name}")
    desk.portfolio("P", [{"strategyId": name} for name in "STU"])
    desk.account("first")
    desk.subscriber("a", "P")
    book = desk.book
    subscription = book.subscription("a", "P")
    stopouts = {
        "subscription": lambda: stopout(book, 1, subscription=subscription),
        "account": lambda: stopout(book, 4),
        **{
            name: lambda name=name: stopout(book, 3, subscription=subscription, scope=path_of(book, name))
            for name in "STU"
        },
    }
    book.active_stopouts = [stopouts[name]() for name in stopped]
    shown = {}
    for name in "STU":
        is_stopped, level = plans.stopped_routes(book, plans.plan_for(book, name))
        assert (is_stopped is None) is (levels is None)
        if level is not None and is_stopped is not None:
            assert (is_stopped == (level > 0)).all()
            [shown[name]] = level.tolist()
    assert (shown or None) == levels


def path_of(book: Any, leaf: str) -> str:
    """The end of the ways on which a member is reached."""
    [key] = plans.plan_for(book, leaf).table.keys
    return plans.path_text(key.path)


@pytest.mark.parametrize(
    ("rate", "share", "owed"), [(5.0, 0.0, 0.0), (5.0, 0.2, 0.1), (5.0, 1.0, 0.5), (0.0, 0.2, 0.0)]
)
def test_the_platform_takes_a_share_of_what_the_provider_gets(desk: Desk, rate, share, owed) -> None:
    desk.strategy(**scheme("lots-traded", rate))
    desk.subscriber()
    desk.book.subscriptions.platform_rate[:] = share
    desk.signal()
    [deals] = deals_of(desk, "open")
    assert deals.provider_commission.tolist() == [rate * 0.1]
    assert deals.platform_commission.tolist() == [owed]
