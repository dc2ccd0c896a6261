"""Risk limits whose startTime lies in the past: what was lost since then counts, as far back as it is known."""

from __future__ import annotations

import msgspec
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.http import reads
from copying.backend.http.reads import risk_limits
from copying.backend.risk import periods
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import Deposit, PutSubscriber, Remove
from copying.backend.state.times import iso
from tests.unit.copying.backend.desk import DAY, Desk

START, MINUTE = 1_772_452_800.0, 60.0  # Monday 2026-03-02 12:00, when a desk opens


def lose(desk: Desk, signal_id: str, dollars: int, strategy_id: str = "S") -> None:
    """0.1 lots of EURUSD lose so much and 0.60 of commission."""
    desk.quote(EURUSD=(1.1, 1.1001))
    desk.signal(signal_id, strategy_id)
    desk.quote(EURUSD=(1.1001 - dollars * 1e-4, 1.1002 - dollars * 1e-4))
    desk.close_signal(signal_id, strategy_id)


def limit(since: float, kind: str = "day", basis: str = "balance-difference", **terms) -> dict:
    terms = {"maxAbsoluteRisk": 1_000, "closePositions": False, **terms}
    return {"riskLimits": [{"type": kind, "applyTo": basis, "startTime": iso(since), **terms}]}


def told(desk: Desk) -> dict:
    """The only limit with its numbers."""
    [account] = risk_limits(desk.book, "t")
    [found] = account["limits"]
    return found


@pytest.fixture
def losing(desk: Desk) -> Desk:
    """An hour after the start 40 were lost, after a day 30, an hour later 20, with commissions of 0.60 each."""
    desk.strategy()
    desk.subscriber()
    for number, (seconds, dollars) in enumerate(((3600, 40), (DAY - 3600, 30), (3600, 20))):
        desk.tick(seconds)
        lose(desk, f"sig0000{number}", dollars)
    return desk


@pytest.mark.parametrize("where", ["subscriber", "subscription", "strategy"])
@pytest.mark.parametrize("basis", periods.BASES)
@pytest.mark.parametrize(
    ("kind", "since", "lost"),
    [
        # the period of a day that began yesterday at noon repeats today at noon
        ("day", START, 51.2),
        ("day", START + 40 * MINUTE, 20.6),  # from 12:40 of today
        ("day", START + 90 * MINUTE, 51.2),  # from yesterday 13:30
        ("week", START, 91.8),
        ("week", START + 90 * MINUTE, 51.2),
        ("month", START, 91.8),
        ("lifetime", START, 91.8),
        ("lifetime", START + DAY + 30 * MINUTE, 20.6),
        ("lifetime", START - 300 * DAY, 91.8),  # the account had no past then
        ("week-to-date", START + 90 * MINUTE, 51.2),
        ("date", START + 90 * MINUTE, 51.2),  # from midnight
        ("date", START + DAY + 30 * MINUTE, 20.6),
    ],
)
def test_a_limit_counts_from_its_period_not_from_when_it_is_set(
    losing: Desk, where: str, basis: str, kind: str, since: float, lost: float
) -> None:
    terms = limit(since, kind, basis)
    if where == "strategy":
        losing.strategy(**terms)
    else:
        losing.subscriber("a", "S", **({"settings": terms} if where == "subscriber" else terms))
    assert told(losing)["drawdown"] == pytest.approx(lost)


def test_what_was_lost_before_it_was_set_makes_a_limit_fire(losing: Desk) -> None:
    losing.subscriber("a", "S", settings=limit(START, "lifetime", maxAbsoluteRisk=90))
    losing.tick(1)
    assert [each["reason"] for each in reads.stopouts(losing.book, "t", "a")] == ["lifetime-balance-difference"]


def test_relative_limits_are_fractions_of_the_balance_at_the_start(losing: Desk) -> None:
    losing.subscriber("a", "S", settings=limit(START + 90 * MINUTE, "lifetime", maxRelativeRisk=0.5))
    assert told(losing)["startBalance"] == 9_959.4


def test_money_that_was_paid_in_since_is_no_gain(losing: Desk) -> None:
    losing.do(Deposit(tenant="t", account_id="a", amount=5_000))
    losing.subscriber("a", "S", settings=limit(START + 90 * MINUTE, "lifetime"))
    assert told(losing)["drawdown"] == pytest.approx(51.2)


def test_the_result_of_a_subscription_that_ended_does_not_count_for_the_next(losing: Desk) -> None:
    losing.do(Remove(tenant="t", what="subscription", id="a", part="S"))
    losing.subscriber("a", "S", **limit(START, "lifetime"))
    assert told(losing)["drawdown"] == 0
    lose(losing, "sig00009", 10)
    assert told(losing)["drawdown"] == pytest.approx(10.6)


def test_losses_of_others_do_not_count(losing: Desk) -> None:
    losing.subscriber("b", "S")
    lose(losing, "sig00009", 10)
    losing.subscriber("b", "S", settings=limit(START, "lifetime"))
    assert told(losing)["drawdown"] == pytest.approx(10.6)


def test_a_member_counts_what_came_through_it(desk: Desk) -> None:
    desk.strategy("S")
    desk.strategy("T", "prov2")
    desk.portfolio("P", [{"strategyId": "S"}, {"strategyId": "T"}])
    desk.subscriber("a", "P")
    for number, strategy_id in enumerate("STS"):
        desk.tick(3600)
        lose(desk, f"sig0000{number}", 10 * (number + 1), strategy_id)
    desk.portfolio("P", [{"strategyId": "S", **limit(START + 90 * MINUTE, "week")}, {"strategyId": "T"}])
    assert told(desk)["drawdown"] == pytest.approx(30.6)


@pytest.mark.parametrize(
    ("since", "lost"),
    [
        (START + 40 * MINUTE, 51.2),  # nothing is kept of the first day: from midnight
        (START - 300 * DAY, 91.8),  # but of the whole account and subscription
        (START + DAY + 30 * MINUTE, 20.6),
    ],
)
@pytest.mark.parametrize("where", ["subscriber", "subscription"])
def test_results_that_are_not_kept_count_from_the_earliest_known_moment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, since: float, lost: float, where: str
) -> None:
    monkeypatch.setattr(periods, "KEPT_RESULTS", 2)  # of the last trade only, at times of the last two
    desk.strategy()
    desk.subscriber()
    for number, (seconds, dollars) in enumerate(((3600, 40), (DAY - 3600, 30), (3600, 20))):
        desk.tick(seconds)
        lose(desk, f"sig0000{number}", dollars)
    terms = limit(since, "lifetime")
    desk.subscriber("a", "S", **({"settings": terms} if where == "subscriber" else terms))
    assert len(desk.book.results) <= 4
    assert told(desk)["drawdown"] == pytest.approx(lost)


def test_a_snapshot_from_before_results_were_kept_still_knows_the_calendar(losing: Desk) -> None:
    state = msgspec.msgpack.decode(snapshot.pack(losing.book))
    del state["results"], state["results_since"]
    losing.book = snapshot.unpack(msgspec.msgpack.encode(state), PaperBroker())
    losing.subscriber("a", "S", settings=limit(START + 40 * MINUTE, "week"))
    assert told(losing)["drawdown"] == pytest.approx(51.2)


def test_a_replay_and_a_restored_snapshot_count_the_same(losing: Desk) -> None:
    held, place = snapshot.pack(losing.book), len(losing.entries)
    losing.subscriber("a", "S", settings=limit(START + 40 * MINUTE, "week"))
    lose(losing, "sig00009", 10)
    fresh, restored = Book(PaperBroker(), slippage_spreads=0.0), snapshot.unpack(held, PaperBroker())
    for sequence, entry in enumerate(losing.entries, 1):
        apply(fresh, entry, sequence)
    for sequence, entry in enumerate(losing.entries[place:], place + 1):
        apply(restored, entry, sequence)
    assert snapshot.pack(fresh) == snapshot.pack(restored) == snapshot.pack(losing.book)


def test_a_limit_that_stays_as_it_is_keeps_what_it_counts_from(losing: Desk) -> None:
    losing.subscriber("a", "S", settings=limit(START, "week"))
    lose(losing, "sig00009", 10)
    losing.subscriber("a", "S", settings=limit(START, "week", maxAbsoluteRisk=2_000))
    assert told(losing)["drawdown"] == pytest.approx(102.4)


def test_subscriptions_that_begin_together_each_count_for_themselves(losing: Desk) -> None:
    losing.strategy("T", "prov2")
    losing.strategy("U", "prov3")
    terms = limit(START, "lifetime")
    document = {"name": "b", "subscriptions": [{"strategyId": each, **terms} for each in "STU"]}
    losing.do(PutSubscriber(tenant="t", subscriber_id="b", document=document))
    [account] = risk_limits(losing.book, "t")
    assert [each["drawdown"] for each in account["limits"]] == [0, 0, 0]
