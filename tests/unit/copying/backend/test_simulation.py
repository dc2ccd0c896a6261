"""A simulation must agree with what was really copied, and tell what a change would have made of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from copying.backend import simulation
from copying.backend.core.render import Renderer, Rows
from copying.backend.http import reads
from copying.backend.signals.recording import RecordedFacts
from copying.backend.simulation import (
    Comparison,
    Event,
    leaves_of,
    scene_of,
    simulate,
)
from copying.backend.simulation.past import Past, PastMoney
from copying.backend.simulation.run import OUTCOMES
from copying.backend.state.commands import Deposit, PutSubscriber
from copying.backend.state.effects import Decided, SignalEvent
from copying.engine.reasons import Reason
from copying.engine.routes import Configuration
from tests.unit.copying.backend.desk import Desk


def recorded(desk: Desk) -> list[Event]:
    """The events as they are read from the table."""
    rows, renderer = Rows(), Renderer(desk.book)
    for effects in desk.effects:
        for told in effects.events:
            if isinstance(told, SignalEvent):
                list(renderer.signal_event(told, effects, rows))
    events = []
    for _, document, _, _, _, _, facts in rows.signals:
        event = msgspec.json.decode(document, type=Event)
        event.facts = msgspec.msgpack.decode(facts, type=RecordedFacts) if facts else None
        events.append(event)
    return events


def run(desk: Desk, **changed: dict[str, Any]) -> Comparison:
    """What `changed` subscribers or strategies would have made of everything so far."""
    scene = scene_of(desk.book, "t")
    now = scene.configuration
    laid = {
        name: {**getattr(now, name), **changed.get(name, {})} for name in ("strategies", "portfolios", "subscribers")
    }
    return simulate(scene, Configuration(**laid), recorded(desk))


def subscriber(strategy_id: str = "S", settings: dict[str, Any] | None = None, **terms: Any) -> dict[str, Any]:
    scaling = {"mode": "none"}
    subscription = {"strategyId": strategy_id, "tradeSizeScaling": scaling, **terms}
    return {"name": "a", "subscriptions": [subscription], **(settings or {})}


@pytest.fixture
def traded(desk: Desk) -> Desk:
    """A won trade of 0.2 lots, half of it closed before, and a lost one."""
    desk.strategy()
    desk.subscriber("a")
    desk.subscriber("b", multiplier=0.5)
    desk.signal("sig00001", volume=0.2)
    desk.tick(60, EURUSD=(1.105, 1.1051))
    desk.signal("sig00001", volume=0.1)
    desk.tick(60, EURUSD=(1.11, 1.1101))
    desk.close_signal("sig00001")
    desk.signal("sig00002", symbol="USDJPY", type="POSITION_TYPE_SELL")
    desk.tick(60, USDJPY=(151.0, 151.01))
    desk.close_signal("sig00002")
    return desk


def test_without_a_change_it_tells_what_really_happened(traded: Desk) -> None:
    result = run(traded)
    totals = result.summary()["totals"]
    assert totals["baseline"] == totals["changed"]
    assert (totals["signals"], totals["differs"], totals["difference"]["profit"]) == (2, 0, 0)
    assert [answer.tallies[0].volume for answer in result.answers] == pytest.approx([0.3, 0.15])
    for each in result.summary()["subscribers"]:
        earned = traded.balance(each["subscriberId"]) - 10_000
        assert each["baseline"]["profit"] == pytest.approx(earned, abs=0.05)
    lost = -sum(answer.tallies[0].profit for answer in result.answers[1:])
    assert totals["baseline"]["maxDrawdown"] == pytest.approx(lost, abs=0.01)


def test_a_doubled_multiplier_doubles_profit_and_drawdown(traded: Desk) -> None:
    result = run(traded, subscribers={"a": subscriber(multiplier=2)})
    one, other = result.summary()["subscribers"]
    assert one["changed"]["volume"] == pytest.approx(2 * one["baseline"]["volume"])
    assert one["changed"]["profit"] == pytest.approx(2 * one["baseline"]["profit"], abs=0.01)
    assert one["changed"]["maxDrawdown"] == pytest.approx(2 * one["baseline"]["maxDrawdown"], abs=0.01)
    assert other["difference"]["profit"] == 0
    assert [answer.differs for answer in result.answers] == [1, 1]


def test_a_filter_tells_what_would_have_been_skipped(traded: Desk) -> None:
    result = run(
        traded, strategies={"S": {**reads.strategy(traded.book, "t", "S"), "symbolFilter": {"excluded": ["USDJPY"]}}}
    )
    served = [answer.served() for answer in result.answers]
    assert [each["changed"]["skipped"] for each in served] == [0, 2]
    assert served[1]["changed"]["reasons"] == {"symbol-filter": 2}
    assert served[1]["profitDifference"] > 0
    assert result.summary()["totals"]["difference"]["maxDrawdown"] < 0


def test_a_removed_subscriber_would_have_traded_nothing(traded: Desk) -> None:
    scene = scene_of(traded.book, "t")
    now = scene.configuration
    kept = {key: document for key, document in now.subscribers.items() if key != "b"}
    result = simulate(scene, Configuration(now.strategies, now.portfolios, kept), recorded(traded))
    assert result.summary()["subscribers"][1]["changed"]["copied"] == 0
    assert [answer.differs for answer in result.answers] == [1, 1]


def test_a_new_subscriber_counts_with_what_it_has_now(traded: Desk) -> None:
    result = run(traded, subscribers={"new": subscriber()})
    new = result.summary()["subscribers"][-1]
    assert (new["subscriberId"], new["baseline"]["copied"], new["changed"]["copied"]) == ("new", 0, 2)


def test_reversed_copies_lose_what_the_others_win(traded: Desk) -> None:
    result = run(traded, subscribers={"a": subscriber(reverse=True)})
    one = result.summary()["subscribers"][0]
    assert one["baseline"]["profit"] * one["changed"]["profit"] < 0


def test_money_is_that_of_the_time_not_of_now(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber("a", tradeSizeScaling={"mode": "balance"})
    desk.signal("sig00001", volume=1.0)
    desk.close_signal("sig00001")
    desk.do(Deposit(tenant="t", account_id="a", amount=90_000))
    result = run(desk)
    assert result.answers[0].tallies[0].volume == pytest.approx(0.1)


def test_correlations_follow_from_what_the_simulation_decided(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber()
    desk.signal("sig00001")
    desk.signal("sig00002", symbol="USDJPY", type="POSITION_TYPE_SELL", volume=0.2)
    result = run(desk, subscribers={"a": subscriber(reduceCorrelations="by-strategy")})
    assert [answer.tallies[1].volume for answer in result.answers] == pytest.approx([0.1, 0.1])
    desk.close_signal("sig00001")
    desk.signal("sig00003", symbol="USDJPY", type="POSITION_TYPE_SELL", volume=0.3)
    result = run(desk, subscribers={"a": subscriber(reduceCorrelations="by-strategy")})
    assert [answer.tallies[1].volume for answer in result.answers] == pytest.approx([0.1, 0.1, 0.2])


def test_pending_orders_earn_from_their_fill_only(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber()
    desk.subscriber("b", skipPendingOrders=True)
    answer = desk.trade("ORDER_TYPE_BUY_LIMIT", price=1.09)
    never = desk.trade("ORDER_TYPE_BUY_LIMIT", price=1.05)
    desk.tick(60, EURUSD=(1.0898, 1.0899))
    position = next(signal for signal in desk.book.signals.values() if signal.kind == 0)
    desk.tick(60, EURUSD=(1.1, 1.1001))
    desk.trade("POSITION_CLOSE_ID", position_id=str(position.ticket))
    desk.trade("ORDER_CANCEL", order_id=never["orderId"])
    result = run(desk, subscribers={"b": subscriber(skipPendingOrders=False)})
    assert answer["orderId"] == result.answers[0].event.signal_id
    for each in result.summary()["subscribers"]:
        earned = desk.balance(each["subscriberId"]) - 10_000
        assert each["baseline"]["profit"] == pytest.approx(earned, abs=0.05)
        assert each["changed"]["profit"] == pytest.approx(earned, abs=0.05)
        counts = {"a": (2, 0), "b": (1, 1)}[each["subscriberId"]]
        assert (each["baseline"]["copied"], each["baseline"]["skipped"]) == counts
    assert [answer.tallies[0].counts for answer in result.answers] == [[2, 0, 0, 0], [1, 0, 1, 0]]
    assert [answer.tallies[0].reasons for answer in result.answers] == [
        {"copied": 2},  # skipped as an order, copied when it filled
        {"copied": 1, "pending-orders-skipped": 1},
    ]


def test_what_is_open_counts_apart_at_the_prices_of_now(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber()
    desk.signal()
    desk.tick(60, EURUSD=(1.11, 1.1101))
    [one] = run(desk).summary()["subscribers"]
    assert one["baseline"]["profit"] == 0
    assert one["baseline"]["floatingProfit"] == pytest.approx(0.1 * (0.0099 * 100_000 - 6), abs=0.01)


def test_a_chain_is_decided_again_hop_by_hop_and_never_in_a_circle(desk: Desk) -> None:
    desk.strategy("S", "a")
    desk.strategy("T", "b")
    desk.subscriber("a", "T")
    desk.subscriber("b", "S")
    desk.trade("ORDER_TYPE_BUY", "a")
    totals = run(desk).summary()["totals"]
    assert (totals["baseline"]["copied"], totals["baseline"]["skipped"], totals["differs"]) == (1, 1, 0)


@pytest.fixture
def nested(desk: Desk) -> Desk:
    """Q holds P and T, P holds S: a follows Q and S, b is stopped by a loss; parts are closed and things stay open."""
    desk.strategy("S", "prov")
    desk.strategy("T", "prov2")
    desk.portfolio("P", [{"strategyId": "S", "multiplier": 2}])
    desk.portfolio("Q", [{"strategyId": "P", "multiplier": 1}, {"strategyId": "T", "multiplier": 0.5}])
    a = subscriber("Q")
    a["subscriptions"] += subscriber("S", multiplier=0.5)["subscriptions"]
    desk.do(PutSubscriber(tenant="t", subscriber_id="a", document=a))
    limit = {"type": "lifetime", "applyTo": "balance-difference", "maxAbsoluteRisk": 50, "closePositions": True}
    desk.subscriber("b", "Q", riskLimits=[limit])
    for number, strategy_id in enumerate("STSTS"):
        name = f"sig0000{number}"
        desk.signal(name, strategy_id, volume=0.4)
        desk.tick(60, EURUSD=(1.1 - 0.004 * number, 1.1001 - 0.004 * number))
        desk.signal(name, strategy_id, volume=0.2)
        desk.tick(60, EURUSD=(1.098, 1.0981))
        if number < 3:
            desk.close_signal(name, strategy_id)
        desk.tick(60, EURUSD=(1.1, 1.1001))
    return desk


def without(desk: Desk, strategy_id: str) -> dict[str, Any]:
    """The subscriber a without one of its subscriptions."""
    document = reads.subscriber(desk.book, "t", "a")
    kept = [each for each in document["subscriptions"] if each["strategyId"] != strategy_id]
    return {"subscribers": {"a": {**document, "subscriptions": kept}}}


@pytest.mark.parametrize(
    "changes",
    [
        lambda desk: {},
        lambda desk: without(desk, "Q"),
        lambda desk: {"portfolios": {"P": {**reads.portfolio(desk.book, "t", "P"), "members": []}}},
        lambda desk: {"subscribers": {"b": subscriber("Q", reduceCorrelations="by-strategy", multiplier=3)}},
        lambda desk: {"strategies": {"S": {**reads.strategy(desk.book, "t", "S"), "allowedSides": ["sell"]}}},
    ],
)
def test_totals_are_the_sum_of_subscribers_and_of_signals(nested: Desk, changes: Any) -> None:
    changed = changes(nested)
    result = run(nested, **changed)
    told = result.summary()
    assert len(result.answers) == 5
    for place, name in enumerate(("baseline", "changed")):
        tallies = [answer.tallies[place].served() for answer in result.answers]
        for figure in ("copied", "resized", "skipped", "failed", "volume", "profit", "floatingProfit"):
            total = told["totals"][name][figure]
            assert total == pytest.approx(sum(each[name][figure] for each in told["subscribers"]), abs=0.03), figure
            assert total == pytest.approx(sum(each[figure] for each in tallies), abs=0.03), figure
    assert (told["totals"]["differs"] == 0) == (not changed)
    assert (told["totals"]["baseline"] == told["totals"]["changed"]) == (not changed)


def test_the_baseline_decides_what_was_decided_live(nested: Desk) -> None:
    """Through portfolios in portfolios, after partial closes, and while a risk limit has stopped a subscriber."""
    live = []
    for decided in nested.told(Decided):
        reasons = decided.decisions.reason[decided.rows].tolist()
        live.append((decided.signal.id, Counter(Reason(each).code for each in reasons)))
    result = run(nested)
    assert [(answer.event.signal_id, answer.tallies[0].reasons) for answer in result.answers] == live
    assert any("stopped-out" in reasons for _, reasons in live)


def test_the_book_is_not_touched(traded: Desk) -> None:
    from copying.backend.state import snapshot

    before = snapshot.pack(traded.book)
    run(traded, subscribers={"a": subscriber(multiplier=5)})
    assert snapshot.pack(traded.book) == before


def test_strangers_see_their_own_subscribers_only(traded: Desk) -> None:
    assert scene_of(traded.book, "stranger").configuration.subscribers == {}
    assert leaves_of(scene_of(traded.book, "stranger").configuration) == set()
    assert leaves_of(scene_of(traded.book, "t").configuration) == {"S"}


def test_it_gives_up_when_there_is_too_much(traded: Desk) -> None:
    ticks = iter(range(0, 1000, 30))
    scene = scene_of(traded.book, "t")
    with pytest.raises(simulation.TooManyDecisions):
        simulate(scene, scene.configuration, recorded(traded), clock=lambda: next(ticks))


@pytest.mark.parametrize("left", [0.2, 0.15, 0.1])
def test_what_is_open_counts_by_the_lots_that_are_left(desk: Desk, left: float) -> None:
    desk.strategy()
    desk.subscriber("a")
    desk.signal("sig00001", volume=0.2)
    desk.tick(60, EURUSD=(1.106, 1.1061))
    if left < 0.2:
        desk.signal("sig00001", volume=left)
    totals = run(desk).summary()["totals"]
    gain = desk.equity("a") - desk.balance("a")
    assert totals["baseline"]["floatingProfit"] == pytest.approx(
        gain - 6 * left, abs=0.01
    )  # 6 USD a lot for both sides


@pytest.mark.parametrize(
    ("symbol", "quote"), [("EURUSD", (1.1, 1.2)), ("EURUSDm", (1.1, 1.2)), ("GBPUSD", None), ("unheard of", None)]
)
def test_past_quotes_answer_to_every_name_of_a_symbol(symbol: str, quote: tuple | None) -> None:
    assert Past({"EURUSD": (1.1, 1.2)}).quote(symbol) == quote


@pytest.mark.parametrize("tenant", ["s", "t", "u"])
def test_a_simulation_is_of_the_own_subscribers_and_of_everybodys_strategies(desk: Desk, tenant: str) -> None:
    desk.strategy()
    for owner in ("s", "t", "u"):
        document = subscriber()
        desk.do(PutSubscriber(tenant=owner, subscriber_id=f"of-{owner}", document=document))
    now = scene_of(desk.book, tenant).configuration
    assert (list(now.strategies), list(now.subscribers)) == (["S"], [f"of-{tenant}"])


def test_an_account_that_does_not_exist_yet_begins_with_the_usual_money(desk: Desk) -> None:
    desk.strategy()
    for number, account in enumerate(("a", "b")):
        desk.account(account, deposit=500 + number, currency="JPY", leverage=30)
    money = PastMoney(scene_of(desk.book, "t"), ["new", "a", "b"])
    first = desk.book.account_rows["a"]
    columns = money.accounts
    assert columns.balance.tolist() == [10_000.0, 500.0, 501.0]
    assert columns.equity.tolist() == [10_000.0, 500.0, 501.0]
    assert columns.leverage.tolist() == [100.0, 30.0, 30.0]
    assert columns.margin.tolist() == [0.0, 0.0, 0.0]
    assert columns.currency.tolist() == [0, *[int(desk.book.accounts.currency[first])] * 2]
    assert [money.row_of(row) for row in (first, first + 1, 99)] == [1, 2, -1]


def test_what_has_no_price_now_is_worth_nothing_known(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber("a")
    desk.signal("sig00001", symbol="GBPUSD")
    desk.signal("sig00002")
    desk.tick(60, EURUSD=(1.106, 1.1061))
    del desk.book.quotes["GBPUSD"]
    gain = run(desk).summary()["totals"]["baseline"]["floatingProfit"]
    assert gain == pytest.approx(59 - 0.6, abs=0.01)


@pytest.mark.parametrize("waits", [1, 2, 3])
def test_a_copy_that_waited_is_counted_once(desk: Desk, waits: int) -> None:
    delay = {"signalDelay": {"minInSeconds": 30, "maxInSeconds": 30}}
    desk.strategy()
    for number in range(waits):
        desk.subscriber(f"a{number}", **delay)
    desk.signal("sig00001")
    desk.tick(60)
    totals = run(desk).summary()["totals"]["baseline"]
    assert {name: totals[name] for name in OUTCOMES if totals[name]} == {"copied": waits}
    desk.close_signal("sig00001")
    assert sum(run(desk).summary()["totals"]["baseline"][name] for name in OUTCOMES) == waits
