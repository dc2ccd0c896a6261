"""What the strategy's own filters are told about the provider, and news: facts that follow from the journal alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core import ticks
from copying.backend.core.apply import apply
from copying.backend.core.faults import without
from copying.backend.settings import news
from copying.backend.state import provider_balances, snapshot
from copying.backend.state.commands import (
    NEWEST_RULES,
    AddNews,
    CommandEntry,
    Deposit,
    PutNews,
    SetConnection,
    Tick,
)
from copying.backend.state.effects import Deals, Decided
from copying.backend.state.entities import NEVER
from copying.backend.state.errors import Refused
from copying.engine.reasons import Reason
from tests.unit.copying.backend.desk import Desk

HOUR = 3600.0
HIGH = {
    "priorities": ["high"],
    "openPositionPrecedingTimeGapInMinutes": 60,
    "openPositionFollowingTimeGapInMinutes": 120,
}


def put_news(desk: Desk, minutes: float, currency: str = "USD", **fields: object) -> None:
    """An event so many minutes from now."""
    moment = datetime.fromtimestamp(desk.now + minutes * 60, UTC).isoformat()
    desk.do(PutNews(tenant="t", events=[{"time": moment, "currency": currency, "priority": "high", **fields}]))


CLOSED = "news are near: newsFilter"
CLOSES = {"calendarNewsFilter": {**HIGH, "closePositionTimeGapInMinutes": 30}}


def follow_news(desk: Desk, *accounts: str) -> None:
    """Copies on some accounts, and news in 20 minutes that close them."""
    desk.strategy()
    for account_id in accounts:
        desk.subscriber(account_id, newsFilter=CLOSES)
    desk.signal()
    put_news(desk, 20)


def last_reason(desk: Desk) -> Reason:
    told = desk.told(Decided)[-1]
    return Reason(told.decisions.reason[told.rows[-1]])


@pytest.mark.parametrize(
    ("minutes", "currency", "reason"),
    [
        (61, "USD", Reason.COPIED),
        (59, "USD", Reason.NEWS),
        (59, "JPY", Reason.COPIED),
        (-119, "EUR", Reason.NEWS),
        (-121, "EUR", Reason.COPIED),
    ],
)
def test_nothing_is_opened_around_news(desk: Desk, minutes: float, currency: str, reason: Reason) -> None:
    desk.strategy()
    desk.subscriber(newsFilter={"calendarNewsFilter": HIGH})
    put_news(desk, minutes, currency)
    desk.signal()
    assert last_reason(desk) == reason


def test_positions_are_closed_before_news_only_with_a_gap(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber("a", newsFilter={"calendarNewsFilter": {**HIGH, "closePositionTimeGapInMinutes": 30}})
    desk.subscriber("b", newsFilter={"calendarNewsFilter": HIGH})
    desk.signal("sig00001")
    desk.signal("sig00002", symbol="EURGBP")
    put_news(desk, 45)
    assert desk.tick(14 * 60) is None
    desk.tick(2 * 60)
    assert desk.held("a") == [("EURGBP", 1, 0.1)]
    assert len(desk.held("b")) == 2
    assert [deals.cause for deals in desk.told(Deals) if deals.kind == "close"] == ["news are near: newsFilter"]


@pytest.mark.parametrize("rules", [1, NEWEST_RULES])
def test_a_close_near_news_is_kept_for_accounts_that_are_away(desk: Desk, rules: int) -> None:
    """Entries of older rules keep none for a copy without a lifetime (an order that filled after its signal ended)."""
    follow_news(desk, "online", "offline", "unlimited", "left")
    rows, positions = desk.book.account_rows, desk.book.positions
    positions.expires[positions.account == rows["unlimited"]] = NEVER
    for account_id in ("offline", "unlimited"):
        desk.do(SetConnection(tenant="t", account_id=account_id, is_connected=False))
    desk.now += 1
    entry = CommandEntry(time=desk.now, rules=rules, quotes={}, command=Tick(tenant=""), left_out=["left"])
    desk.effects.append(apply(desk.book, entry, desk.book.sequence + 1))
    assert [len(desk.held(each)) for each in ("online", "offline", "unlimited", "left")] == [0, 1, 1, 1]
    waiting = ["offline"] if rules == 1 else ["offline", "unlimited"]
    assert [each.account for each in desk.book.missed] == [rows[each] for each in waiting]
    desk.book.rules = rules
    with without(desk.book, ["left"]):
        assert not ticks.due(desk.book, desk.now), "kept, and not asked again"
    desk.book.rules = NEWEST_RULES
    if rules == NEWEST_RULES:
        desk.tick(1)
        assert desk.held("left") == [], "closed as soon as it takes part again"
    desk.now += 3 * HOUR  # the news are over
    for account_id in ("offline", "unlimited"):
        entry = CommandEntry(
            time=desk.now,
            rules=rules,
            quotes={},
            command=SetConnection(tenant="t", account_id=account_id, is_connected=True),
        )
        desk.effects.append(apply(desk.book, entry, desk.book.sequence + 1))
    assert [len(desk.held(each)) for each in ("offline", "unlimited")] == ([0, 1] if rules == 1 else [0, 0])
    late = [deals.cause for deals in desk.told(Deals) if deals.kind == "close" and deals.cause != CLOSED]
    assert late == [f"{CLOSED}, made up for"] * len(waiting)


@pytest.mark.parametrize("rules", [1, NEWEST_RULES])
@pytest.mark.parametrize(("part", "lots"), [(0.1, 0.2), (0.29, 0.01), (0.3, 0.0)])
def test_news_close_all_of_a_copy_of_which_a_part_is_to_be_closed(
    desk: Desk, rules: int, part: float, lots: float
) -> None:
    desk.strategy()
    for account_id in ("a", "b"):
        desk.subscriber(account_id, newsFilter=CLOSES)
    ticket = desk.trade("ORDER_TYPE_BUY", volume_lots=0.3)["positionId"]
    desk.do(SetConnection(tenant="t", account_id="a", is_connected=False))
    desk.trade("POSITION_PARTIAL", position_id=ticket, volume_lots=part)
    assert desk.held("b") == ([("EURUSD", 1, pytest.approx(lots))] if lots else [])
    put_news(desk, 20)
    desk.now += 1
    entry = CommandEntry(time=desk.now, rules=rules, quotes={}, command=Tick(tenant=""))
    apply(desk.book, entry, desk.book.sequence + 1)
    assert not ticks.due(desk.book, desk.now), "kept, and not asked again"
    desk.tick(2 * HOUR)
    desk.do(SetConnection(tenant="t", account_id="a", is_connected=True))
    assert (desk.held("a"), desk.held("b")) == ([], [])


def test_breaking_news_close_after_the_event(desk: Desk) -> None:
    breaking = {"priorities": ["high"], "closePositionTimeGapInMinutes": 10}
    desk.strategy(newsFilter={"breakingNewsFilter": breaking})
    desk.subscriber()
    desk.signal()
    put_news(desk, 5, breaking=True)
    assert desk.tick(4 * 60) is None
    desk.tick(2 * 60)
    assert desk.held() == []


def test_only_the_calendar_of_the_strategys_owner_counts(desk: Desk) -> None:
    desk.strategy(newsFilter={"calendarNewsFilter": HIGH})
    desk.subscriber()
    moment = datetime.fromtimestamp(desk.now + 60, UTC).isoformat()
    desk.do(PutNews(tenant="stranger", events=[{"time": moment, "currency": "USD", "priority": "high"}]))
    desk.signal()
    assert last_reason(desk) == Reason.COPIED


def add_news(desk: Desk, *minutes: float, **fields: object) -> None:
    moments = [datetime.fromtimestamp(desk.now + each * 60, UTC).isoformat() for each in minutes]
    events = [{"time": moment, "currency": "USD", "priority": "high", **fields} for moment in moments]
    desk.do(AddNews(tenant="t", events=events))


def test_breaking_news_that_a_feed_posts_count_at_once(desk: Desk) -> None:
    gaps = {"closePositionTimeGapInMinutes": 10, "openPositionFollowingTimeGapInMinutes": 20}
    desk.strategy(newsFilter={"breakingNewsFilter": {"priorities": ["high"], **gaps}})
    desk.subscriber()
    desk.signal("sig00001")
    add_news(desk, 0, breaking=False)  # of the calendar: another filter's business
    desk.tick(1)
    assert len(desk.held()) == 1
    add_news(desk, 0, breaking=True)
    desk.tick(1)
    assert desk.held() == []
    desk.signal("sig00002")
    assert last_reason(desk) == Reason.NEWS
    desk.tick(20 * 60)
    desk.signal("sig00003")
    assert len(desk.held()) == 1


def test_news_are_added_once_and_the_oldest_go_when_it_is_too_much(desk: Desk) -> None:
    put_news(desk, 60, title="Payrolls")
    add_news(desk, 30, title="Rates")
    desk.now -= 1
    add_news(desk, 30, title="Rates")
    assert [event["title"] for event in news.calendar(desk.book, "t")] == ["Rates", "Payrolls"]
    old = [-8 * 24 * 60 - number for number in range(news.MOST_EVENTS - 2)]
    add_news(desk, *old)
    assert len(news.calendar(desk.book, "t")) == news.MOST_EVENTS
    add_news(desk, 90)
    assert len(news.calendar(desk.book, "t")) == 3
    with pytest.raises(Refused):
        add_news(desk, *range(100, 100 + news.MOST_EVENTS))


def test_a_calendar_is_replaced_and_survives_a_snapshot(desk: Desk) -> None:
    put_news(desk, 60, title="Payrolls")
    put_news(desk, 90, "EUR", title="Rates")
    restored = snapshot.unpack(snapshot.pack(desk.book), PaperBroker())
    assert [event["title"] for event in news.calendar(restored, "t")] == ["Rates"]
    desk.do(PutNews(tenant="t", events=[]))
    assert news.calendar(desk.book, "t") == []


@pytest.mark.parametrize(
    ("event", "parameter"),
    [
        ({"time": "soon", "currency": "USD", "priority": "high"}, "events.0.time"),
        ({"currency": "USD", "priority": "high"}, "events.0.time"),
        ({"time": "2026-03-02T12:00:00Z", "currency": "usd", "priority": "high"}, "events.0.currency"),
        ({"time": "2026-03-02T12:00:00Z", "currency": "USD", "priority": "urgent"}, "events.0.priority"),
    ],
)
def test_a_calendar_that_cannot_be_read_is_refused(desk: Desk, event: dict, parameter: str) -> None:
    with pytest.raises(Refused) as refused:
        desk.do(PutNews(tenant="t", events=[event]))
    assert refused.value.details[0]["parameter"] == parameter


def test_a_csv_is_read_with_its_head() -> None:
    text = "\ufefftime,currency,priority,breaking,title\n2026-03-02T13:30:00Z,USD,high,yes,Payrolls\n"
    [event] = news.read_csv(text)
    assert event == {
        "time": "2026-03-02T13:30:00Z",
        "currency": "USD",
        "priority": "high",
        "breaking": True,
        "title": "Payrolls",
    }
    with pytest.raises(Refused):
        news.read_csv("when,what\n")


def test_the_average_is_of_the_closes_of_the_timeframe() -> None:
    changes = [(0.0, 100.0), (2.5 * HOUR, 200.0), (3.5 * HOUR, 400.0)]
    settings = {"period": 4, "timeframe": "1h"}
    assert provider_balances.average(changes, settings, 3.75 * HOUR) == (400 + 200 + 100 + 100) / 4
    assert provider_balances.average(changes, {"period": 6, "timeframe": "1h"}, 3.75 * HOUR) is None
    assert provider_balances.average(changes, {"period": 1, "timeframe": "2h"}, 3.75 * HOUR) == 400
    assert provider_balances.average(changes, None, 3.75 * HOUR) is None


def test_equity_below_the_average_of_the_balance_opens_nothing(desk: Desk) -> None:
    desk.strategy(equityCurveFilter={"period": 3, "timeframe": "1h"})
    desk.subscriber()
    desk.signal("sig00001")
    assert last_reason(desk) == Reason.COPIED  # too little history
    desk.tick(4 * HOUR)
    desk.do(Deposit(tenant="t", account_id="prov", amount=10_000))
    desk.signal("sig00002")
    assert last_reason(desk) == Reason.COPIED  # 110 000 is above the average 103 333
    desk.trade("ORDER_TYPE_BUY", symbol="GBPUSD", volume_lots=5)
    desk.tick(1, GBPUSD=(1.23, 1.2301))
    desk.signal("sig00003")
    assert last_reason(desk) == Reason.EQUITY_CURVE_FILTER


def test_drawdown_of_the_provider_opens_nothing(desk: Desk) -> None:
    desk.strategy(drawdownFilter={"maxRelativeDrawdown": 0.05, "action": "exclude"})
    desk.subscriber()
    desk.trade("ORDER_TYPE_BUY", symbol="GBPUSD", volume_lots=5)
    desk.tick(1, GBPUSD=(1.23, 1.2301))
    desk.signal()
    assert last_reason(desk) == Reason.DRAWDOWN_FILTER
