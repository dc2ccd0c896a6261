"""Risk limits: when they fire, what they close, how long they last, how they are reset (contract, 4.5)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from copying.backend.http import reads
from copying.backend.risk import limits
from copying.backend.risk.periods import BASES, KINDS, calendar_start, period_end
from copying.backend.state.commands import PutSubscriber, ResetStopouts
from copying.backend.state.effects import Decided, StopoutEvent
from copying.backend.state.errors import Refused
from copying.backend.state.times import iso
from copying.engine.model import Level
from copying.engine.reasons import Reason
from tests.unit.copying.backend.desk import DAY, MONDAY, Desk


def limit(kind: str = "date", basis: str = "balance-minus-equity", **terms) -> dict:
    return {"type": kind, "applyTo": basis, "maxAbsoluteRisk": 50, "closePositions": True, **terms}


def lose(desk: Desk, points: int = 60) -> None:
    """The open 0.1 lots of EURUSD fall by so many dollars."""
    desk.tick(1, EURUSD=(1.1001 - points * 1e-4, 1.1002 - points * 1e-4))


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_limit_fires_at_its_level_and_names_itself(desk: Desk, kind: str, basis: str) -> None:
    desk.strategy()
    desk.subscriber(settings={"riskLimits": [limit(kind, basis)]})
    desk.signal()
    lose(desk, 40)
    assert reads.stopouts(desk.book, "t", "a") == []
    lose(desk, 60)
    if basis == "balance-difference":
        assert desk.held() != []  # floating losses do not count
        desk.close_signal()
        desk.tick(1)
    stopout = reads.stopouts(desk.book, "t", "a")[0]
    assert stopout["reason"] == f"{kind}-{basis}"
    assert stopout["sequenceNumber"] == 1
    assert "strategy" not in stopout
    assert desk.held() == []
    desk.signal("sig00009")
    assert desk.held() == []


@pytest.mark.parametrize("level", ["strategy", "member", "portfolio", "subscription", "subscriber"])
@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_limit_stops_on_every_level(desk: Desk, kind: str, basis: str, closes: bool, level: str) -> None:
    at = {level: {"riskLimits": [limit(kind, basis, closePositions=closes)]}}
    desk.strategy(**at.get("strategy", {}))
    desk.portfolio("P", [{"strategyId": "S", **at.get("member", {})}], **at.get("portfolio", {}))
    desk.subscriber("a", "P", settings=at.get("subscriber"), **at.get("subscription", {}))
    desk.signal("sig00001")
    desk.signal("sig00002", volume=0.01)
    lose(desk, 60)
    desk.close_signal("sig00001")
    desk.tick(1)
    [stopout] = reads.stopouts(desk.book, "t", "a")
    assert (stopout["reason"], stopout["closePositions"], stopout["partial"]) == (f"{kind}-{basis}", closes, not closes)
    assert stopout["stoppedTill"] > stopout["stoppedAt"]
    assert ("strategy" in stopout) == (level != "subscriber")
    assert len(desk.held()) == (0 if closes else 1)
    desk.signal("sig00009")
    refused = desk.told(Decided)[-1]
    assert Reason(refused.decisions.reason[0]) is Reason.STOPPED_OUT
    assert Level(refused.decisions.level[0]).name.lower() == level


@pytest.mark.parametrize("level", ["strategy", "subscription"])
def test_limits_above_the_subscriber_look_at_the_subscription_only(desk: Desk, level: str) -> None:
    terms = {"riskLimits": [limit()]}
    desk.strategy("S", **(terms if level == "strategy" else {}))
    desk.strategy("T", "prov2")
    desk.subscriber("a", "S", **(terms if level == "subscription" else {}))
    document = reads.subscriber(desk.book, "t", "a")
    document = {key: each for key, each in document.items() if key != "_id"}
    other = {"strategyId": "T", "tradeSizeScaling": {"mode": "none"}}
    from copying.backend.state.commands import PutSubscriber

    document["subscriptions"] = [*document["subscriptions"], other]
    desk.do(PutSubscriber(tenant="t", subscriber_id="a", document=document))
    desk.signal("sig00001", "T", volume=1.0)
    lose(desk)
    assert reads.stopouts(desk.book, "t", "a") == []  # T's loss is not S's
    desk.signal("sig00002", "S")
    desk.tick(1, EURUSD=(1.08, 1.0801))
    stopout = reads.stopouts(desk.book, "t", "a")[0]
    assert stopout["strategy"] == {"id": "S", "name": "S"}
    assert desk.held() == [("EURUSD", 1, 1.0)]


def test_a_limit_that_only_stops_leaves_positions_open(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(settings={"riskLimits": [limit(closePositions=False)]})
    desk.signal()
    lose(desk)
    assert desk.held() == [("EURUSD", 1, 0.1)]
    desk.signal("sig00002")
    assert len(desk.held()) == 1
    desk.close_signal()  # closes are always copied
    assert desk.held() == []


def test_relative_limits_count_from_the_balance_at_the_start(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(settings={"riskLimits": [limit(maxAbsoluteRisk=None, maxRelativeRisk=0.005)]})
    desk.signal()
    lose(desk, 49)
    assert reads.stopouts(desk.book, "t", "a") == []
    lose(desk, 51)
    assert len(reads.stopouts(desk.book, "t", "a")) == 1


def test_a_stopout_ends_with_its_period_and_may_come_again(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(settings={"riskLimits": [limit()]})
    desk.signal()
    lose(desk)
    assert reads.stopouts(desk.book, "t", "a")[0]["stoppedTill"] == "2026-03-03T00:00:00.000Z"
    desk.tick(DAY / 2 + 60)
    assert reads.stopouts(desk.book, "t", "a") == []
    desk.signal("sig00002")
    lose(desk, 120)
    assert [event.number for event in desk.told(StopoutEvent)] == [1, 2]


def test_reset_takes_two_steps(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(settings={"riskLimits": [limit()]})
    desk.signal()
    lose(desk)
    reset = ResetStopouts(tenant="t", subscriber_id="a", reason="date-balance-minus-equity")
    desk.do(reset)
    assert reads.stopouts(desk.book, "t", "a") == []
    desk.tick(1)
    assert len(reads.stopouts(desk.book, "t", "a")) == 1  # the drawdown still counts
    desk.subscriber(settings={"riskLimits": [limit(startTime=iso(desk.now))]})
    desk.do(reset)
    desk.tick(1)
    assert reads.stopouts(desk.book, "t", "a") == []


def test_resetting_what_is_not_active_is_allowed_and_nonsense_is_not(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber()
    desk.do(ResetStopouts(tenant="t", subscriber_id="a", reason="year-equity-difference"))
    for reason in ("daily-equity", "day-balance", ""):
        with pytest.raises(Refused) as refused:
            desk.do(ResetStopouts(tenant="t", subscriber_id="a", reason=reason))
        assert refused.value.status == 400


def test_money_paid_out_is_not_a_drawdown(desk: Desk) -> None:
    from copying.backend.state.commands import Deposit

    desk.strategy()
    desk.subscriber(settings={"riskLimits": [limit("lifetime", "balance-difference")]})
    desk.do(Deposit(tenant="t", account_id="a", amount=-5000))
    desk.tick(1)
    assert reads.stopouts(desk.book, "t", "a") == []


def test_a_later_limit_of_the_same_kind_replaces_an_earlier_one(desk: Desk) -> None:
    desk.strategy(riskLimits=[limit(maxAbsoluteRisk=10)])
    desk.subscriber(riskLimits=[limit(maxAbsoluteRisk=500)])
    assert desk.book.limits.absolute.tolist() == [500]
    assert limits.LEVEL_WORDS[desk.book.limits.level[0]] == "subscription"


@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [
        ("date", (2026, 3, 2), (2026, 3, 3)),
        ("week-to-date", (2026, 3, 1), (2026, 3, 8)),  # weeks start on Sunday
        ("month-to-date", (2026, 3, 1), (2026, 4, 1)),
        ("quarter-to-date", (2026, 1, 1), (2026, 4, 1)),
        ("year-to-date", (2026, 1, 1), (2027, 1, 1)),
    ],
)
def test_calendar_periods(kind: str, start: tuple, end: tuple) -> None:
    number = KINDS.index(kind)
    assert calendar_start(number, MONDAY).timestamp() == at(*start)
    assert period_end(number, 0, MONDAY) == at(*end)


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("day", (2026, 3, 2, 13)),
        ("week", (2026, 3, 7, 13)),
        ("month", (2026, 3, 31, 13)),
        ("quarter", (2026, 4, 30, 13)),
        ("year", (2027, 1, 31, 13)),
    ],
)
def test_periods_from_a_start_repeat_with_their_length(kind: str, end: tuple) -> None:
    assert period_end(KINDS.index(kind), at(2026, 1, 31, 13), MONDAY) == at(*end)


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        (float("inf"), "9999-12-31T23:59:59.000Z"),
        (3.6e17, "9999-12-31T23:59:59.000Z"),
        (-62_135_596_800.0, "0001-01-01T00:00:00.000Z"),
        (float("-inf"), "0001-01-01T00:00:00.000Z"),
        (1_598_227_200.1234, "2020-08-24T00:00:00.123Z"),
    ],
)
def test_every_moment_is_told_as_a_time_of_the_contract(moment, told):
    assert iso(moment) == told


@pytest.mark.parametrize(
    ("account", "strategy_id", "reason", "left"),
    [
        ("a", "S", "date-balance-minus-equity", [("a", "S", "week"), ("a", "T", "date"), ("b", "S", "date")]),
        ("a", "S", "week-balance-minus-equity", [("a", "S", "date"), ("a", "T", "date"), ("b", "S", "date")]),
        ("a", "T", "date-balance-minus-equity", [("a", "S", "date"), ("a", "S", "week"), ("b", "S", "date")]),
        ("b", "S", "date-balance-minus-equity", [("a", "S", "date"), ("a", "S", "week"), ("a", "T", "date")]),
    ],
)
def test_a_reset_ends_what_it_names_and_nothing_else(desk: Desk, account, strategy_id, reason, left) -> None:
    own = {"S": [limit("date"), limit("week")], "T": [limit("date")]}
    scaling = {"mode": "none"}
    for number, each in enumerate(own):
        desk.strategy(each, f"prov{number}")
    for follower, names in (("a", ("S", "T")), ("b", ("S",))):
        limits_of = {name: own[name] if follower == "a" else [limit("date")] for name in names}
        parts = [{"strategyId": name, "tradeSizeScaling": scaling, "riskLimits": limits_of[name]} for name in names]
        document = {"name": follower, "subscriptions": parts}
        desk.do(PutSubscriber(tenant="t", subscriber_id=follower, document=document))
    for number, each in enumerate(own):
        desk.signal(f"sig0000{number}", each)
    lose(desk, 60)
    assert len(desk.book.active_stopouts) == 4
    desk.do(ResetStopouts(tenant="t", subscriber_id=account, strategy_id=strategy_id, reason=reason))
    known = [
        (*desk.book.subscription_keys[stopout.subscription], stopout.reason.partition("-")[0])
        for stopout in desk.book.active_stopouts
    ]
    assert sorted(known) == sorted(left)
    stopped = [bool(each) for each in desk.book.limits.stopped]
    assert stopped.count(False) == 1
