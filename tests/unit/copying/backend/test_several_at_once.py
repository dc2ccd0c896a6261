"""Where one of several is meant: accounts, tickets and filters before and behind it in the tables stay as they are.

The first row of a table is as good as any other.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from copying.backend.http import reads
from copying.backend.signals import plans
from copying.backend.signals.news_closing import closing_positions
from copying.backend.simulation import compare
from copying.backend.simulation.past import scene_of
from copying.backend.state.commands import OpenAccount, PutNews, PutSubscriber, SetConnection
from copying.backend.state.effects import Deals
from copying.backend.state.errors import Refused
from tests.unit.copying.backend.desk import Desk
from tests.unit.copying.backend.test_simulation import recorded, traded  # noqa: F401  # a fixture

ACCOUNTS = ["a", "b", "c"]
LIMIT = {"type": "date", "applyTo": "balance-minus-equity", "maxAbsoluteRisk": 50, "closePositions": True}


def copy_to_three(desk: Desk, **terms: dict[str, Any]) -> None:
    """Three subscribers of one strategy; the first has row 0 of accounts and of subscriptions."""
    for account_id in ACCOUNTS:
        desk.do(OpenAccount(tenant="t", account_id=account_id, name=account_id))
    desk.strategy()
    for account_id in ACCOUNTS:
        desk.subscriber(account_id, **terms.get(account_id, {}))
    assert (desk.book.account_rows["a"], desk.book.subscription("a", "S")) == (0, 0)


@pytest.mark.parametrize("stopped", ACCOUNTS)
@pytest.mark.parametrize("level", ["subscriber", "subscription"])
def test_a_stopout_concerns_its_own_account(desk: Desk, stopped: str, level: str) -> None:
    terms = {"settings": {"riskLimits": [LIMIT]}} if level == "subscriber" else {"riskLimits": [LIMIT]}
    copy_to_three(desk, **{stopped: terms})
    desk.signal()
    desk.tick(1, EURUSD=(1.09, 1.0901))
    for account_id in ACCOUNTS:
        assert bool(reads.stopouts(desk.book, "t", account_id)) is (account_id == stopped)
        assert (desk.held(account_id) == []) is (account_id == stopped)
    is_stopped, levels = plans.stopped_routes(desk.book, plans.plan_for(desk.book, "S"))
    assert is_stopped is not None
    assert levels is not None
    table = plans.plan_for(desk.book, "S").table
    assert [key.subscriber_id for key, is_so in zip(table.keys, is_stopped, strict=True) if is_so] == [stopped]
    desk.quote(EURUSD=(1.1, 1.1001))
    desk.signal("sig00002")
    [_, event] = [event for event in recorded(desk) if event.what == "open"]
    strategy_id = "" if level == "subscriber" else "S"
    assert [stopout[:2] for stopout in event.facts.stopouts] == [(desk.book.account_rows[stopped], strategy_id)]


@pytest.mark.parametrize("away", ACCOUNTS)
def test_what_an_account_missed_is_made_up_for_there_alone(desk: Desk, away: str) -> None:
    copy_to_three(desk)
    desk.signal("sig00001")
    desk.signal("sig00002", symbol="GBPUSD")
    for account_id in ACCOUNTS:
        desk.do(SetConnection(tenant="t", account_id=account_id, is_connected=False))
    desk.close_signal("sig00002")
    desk.close_signal("sig00001")
    assert sorted(missed.account for missed in desk.book.missed) == [0, 0, 1, 1, 2, 2]
    desk.do(SetConnection(tenant="t", account_id=away, is_connected=True))
    assert {account_id: len(desk.held(account_id)) for account_id in ACCOUNTS} == {
        **dict.fromkeys(ACCOUNTS, 2),
        away: 0,
    }
    closes = [deals for deals in desk.told(Deals) if deals.kind == "close"]
    assert {int(account) for deals in closes for account in deals.account} == {desk.book.account_rows[away]}


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_close_that_waits_is_of_its_own_position(desk: Desk, closed: int) -> None:
    """A partial close is followed by the whole one; what waits for other positions stays."""
    desk.strategy()
    desk.subscriber("a")
    symbols = ["EURUSD", "GBPUSD", "USDJPY"]
    for number, symbol in enumerate(symbols):
        desk.signal(f"sig{number}", symbol=symbol)
    desk.do(SetConnection(tenant="t", account_id="a", is_connected=False))
    for number, symbol in enumerate(symbols):
        desk.signal(f"sig{number}", symbol=symbol, volume=0.05)
    tickets = [missed.ticket for missed in desk.book.missed]
    desk.close_signal(f"sig{closed}")
    lots = {missed.ticket: missed.volume_lots for missed in desk.book.missed if missed.what == "close"}
    assert {ticket: lots[ticket] for ticket in tickets} == {
        ticket: 0.1 if place == closed else 0.05 for place, ticket in enumerate(tickets)
    }
    desk.do(SetConnection(tenant="t", account_id="a", is_connected=True))
    rest = [(symbol, 1, 0.05) for place, symbol in enumerate(symbols) if place != closed]
    assert sorted(desk.held("a")) == sorted(rest)


@pytest.mark.parametrize("closing", ACCOUNTS)
def test_news_close_where_the_filter_says_so(desk: Desk, closing: str) -> None:
    """Three accounts with three different filters, of which one closes."""

    def filter_of(account_id: str, minutes: int) -> dict[str, Any]:
        gaps = {"openPositionPrecedingTimeGapInMinutes": minutes, "openPositionFollowingTimeGapInMinutes": 1}
        close = {"closePositionTimeGapInMinutes": 30} if account_id == closing else {}
        return {"newsFilter": {"calendarNewsFilter": {"priorities": ["high"], **gaps, **close}}}

    copy_to_three(desk, **{name: filter_of(name, 31 + place) for place, name in enumerate(ACCOUNTS)})
    desk.signal()
    moment = datetime.fromtimestamp(desk.now + 20 * 60, UTC).isoformat()
    desk.do(PutNews(tenant="t", events=[{"time": moment, "currency": "USD", "priority": "high"}]))
    rows = closing_positions(desk.book, desk.book.time)
    assert desk.book.positions.account[rows].tolist() in ([desk.book.account_rows[closing]], [])
    desk.tick(1)
    assert [account_id for account_id in ACCOUNTS if not desk.held(account_id)] == [closing]


@pytest.mark.parametrize("seconds", [compare.MOST_SECONDS - 0.5, compare.MOST_SECONDS, compare.MOST_SECONDS + 0.5])
def test_a_simulation_takes_so_long_at_most(traded: Desk, seconds: float) -> None:  # noqa: F811
    times = iter([0.0, *[seconds] * 100])
    scene = scene_of(traded.book, "t")

    def run() -> compare.Comparison:
        return compare.simulate(scene, scene.configuration, recorded(traded), clock=lambda: next(times))

    if seconds > compare.MOST_SECONDS:
        with pytest.raises(compare.TooManyDecisions):
            run()
    else:
        assert len(run().answers) == 2


@pytest.mark.parametrize("spare", [-1, 0, 1])
def test_a_simulation_makes_so_many_decisions_at_most(traded: Desk, monkeypatch, spare: int) -> None:  # noqa: F811
    """Two signals with two subscribers, decided twice each."""
    monkeypatch.setattr(compare, "MOST_DECISIONS", 8 + spare)
    scene = scene_of(traded.book, "t")
    if spare < 0:
        with pytest.raises(compare.TooManyDecisions):
            compare.simulate(scene, scene.configuration, recorded(traded))
    else:
        assert len(compare.simulate(scene, scene.configuration, recorded(traded)).answers) == 2


@pytest.mark.parametrize("kind", ["POSITION_TYPE", "ORDER_TYPE"])
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_signal_keeps_its_side(desk: Desk, side: str, kind: str) -> None:
    """Buy or sell; a pending order may become its position, and no other kind of order."""
    desk.strategy()
    price = {"openPrice": 1.05 if side == "BUY" else 1.15}
    ending = "" if kind == "POSITION_TYPE" else "_LIMIT"
    opened = {"type": f"{kind}_{side}{ending}", **(price if ending else {})}
    desk.signal(**opened)
    other = {"BUY": "SELL", "SELL": "BUY"}[side]
    for wrong in (f"POSITION_TYPE_{other}", f"ORDER_TYPE_{other}_LIMIT", f"ORDER_TYPE_{side}_STOP"):
        with pytest.raises(Refused) as refused:
            desk.signal(**{**opened, "type": wrong})
        assert (refused.value.status, refused.value.details[0]["parameter"]) == (400, "type")
    desk.signal(**{**opened, "type": f"POSITION_TYPE_{side}"})
    [signal] = desk.book.signals.values()
    assert (signal.kind, signal.ticket, signal.side) == (0, 0, 1 if side == "BUY" else -1)
    desk.close_signal()  # still external
    assert not desk.book.signals


@pytest.mark.parametrize("place", [0, 1, 2])
def test_every_subscription_of_an_edit_is_looked_at(desk: Desk, place: int) -> None:
    """One that is new stands before, between or behind those that are known and close at once."""
    for name in ("S", "T", "U"):
        desk.strategy(name, f"p{name}")
    known = [name for number, name in enumerate(("S", "T", "U")) if number != place]
    scaling = {"tradeSizeScaling": {"mode": "none"}}

    def document(names: list[str], **terms: Any) -> dict[str, Any]:
        return {"name": "a", "subscriptions": [{"strategyId": name, **scaling, **terms} for name in names]}

    desk.account("a")
    desk.do(PutSubscriber(tenant="t", subscriber_id="a", document=document(known)))
    for name in known:
        desk.signal(f"sig{name}", name)
    assert len(desk.held("a")) == 2
    desk.do(PutSubscriber(tenant="t", subscriber_id="a", document=document(["S", "T", "U"], closeOnly="immediately")))
    assert desk.held("a") == []


@pytest.mark.parametrize("late", ACCOUNTS)
@pytest.mark.parametrize("source", ["signal", "trade"])
def test_one_waits_and_the_others_copy_at_once(desk: Desk, source: str, late: str) -> None:
    """Of an external signal, which is decided ahead, and of a trade of the provider's, which is not."""
    copy_to_three(desk, **{late: {"signalDelay": {"minInSeconds": 10, "maxInSeconds": 10}}})
    if source == "signal":
        desk.signal()
    else:
        desk.trade("ORDER_TYPE_BUY", "prov")
    assert [account_id for account_id in ACCOUNTS if not desk.held(account_id)] == [late]
    desk.tick(20)
    assert [len(desk.held(account_id)) for account_id in ACCOUNTS] == [1, 1, 1]
