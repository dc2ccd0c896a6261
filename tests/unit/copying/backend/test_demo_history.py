"""The past of the demo goes hour by hour, with a snapshot a day, at the prices of the market."""

from __future__ import annotations

import random

import numpy as np
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.render import Renderer
from copying.backend.demo import history, prepare
from copying.backend.market.ecb import EcbMarket, quotes_of
from copying.backend.state.book import Book
from copying.backend.state.commands import OpenAccount, PutSubscriber, Tick
from copying.backend.state.effects import Deals, Effects
from tests.unit.copying.backend.desk import MONDAY, Desk
from tests.unit.copying.backend.test_bounds_of_fills import drawn

HOUR = 3600.0


@pytest.fixture(scope="module")
def hourly() -> history.HourlyMarket:
    return history.HourlyMarket(EcbMarket(), MONDAY, MONDAY + 100 * HOUR)


@pytest.mark.parametrize("hour", [0, 1, 17, 100])
def test_prices_of_an_hour_are_those_of_the_market(hourly: history.HourlyMarket, hour: int) -> None:
    moment = MONDAY + hour * HOUR
    assert hourly.quotes(moment) == quotes_of(EcbMarket().legs_at(moment))
    assert hourly.mids("EURUSD", np.array([moment])) == pytest.approx(EcbMarket().mids("EURUSD", np.array([moment])))


def test_hours_follow_each_other_with_a_snapshot_a_day(hourly: history.HourlyMarket) -> None:
    recorder = history.Recorder(Book(PaperBroker()))
    account = OpenAccount(tenant="t", account_id="a", name="a")
    history.run(recorder, hourly, MONDAY, MONDAY + 100 * HOUR, [(MONDAY + HOUR, account)], lambda words: None)
    times = [entry.time for entry in recorder.entries if isinstance(entry.command, Tick) and entry.command.snapshots]
    assert [(moment - MONDAY) / HOUR for moment in times] == [2, 26, 50, 74, 98]
    assert {(entry.time - MONDAY) % HOUR for entry in recorder.entries} == {0.0}


def test_every_other_subscription_changes_something_and_all_changes_occur() -> None:
    draw = random.Random(1)
    assert [prepare.override(number, draw) for number in (0, 2, 44)] == [{}, {}, {}]
    count = len(prepare.OVERRIDES)
    changed = [tuple(prepare.override(number, draw)) for number in range(1, 2 * count, 2)]
    assert sorted(changed) == sorted(tuple(make(draw)) for make in prepare.OVERRIDES)


def test_only_accounts_with_enough_money_copy_the_live_strategy() -> None:
    seen = set()
    for seed in range(60):
        planned = prepare.subscriber("t", 1, 0.0, 30, random.Random(seed))
        [opened] = [command for _, command in planned if isinstance(command, OpenAccount)]
        puts = [command for _, command in planned if isinstance(command, PutSubscriber)]
        has_enough = (
            opened.currency != "JPY" and opened.deposit >= prepare.LIVE_LEAST * prepare.CURRENCIES[opened.currency]
        )
        assert (len(puts) == 2) == has_enough
        seen.add(has_enough)
    assert seen == {True, False}


def test_modelled_latencies_follow_from_the_deals_numbers(desk: Desk) -> None:
    desk.strategy()
    for account in ("a", "b", "c"):
        desk.subscriber(account)
    desk.signal()
    [deals] = desk.told(Deals)
    effects = Effects(sequence=1, time=0.0, modelled_latency=True)
    spreads = [(drawn(int(number) * 7 + 1) + 1) / 2 for number in deals.number]
    texts = list(Renderer(desk.book).latencies(deals, effects))
    assert len(texts) == 3
    for text, spread in zip(texts, spreads, strict=True):
        for part in (12 + 30 * spread, 18 + 60 * spread**3):
            assert f"{round(part, 3):g}"[:5] in text
