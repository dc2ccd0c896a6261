"""External signals that arrive late by their own `time`: what the opening window leaves of them (contract, 3.8)."""

from __future__ import annotations

import msgspec
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.render import Renderer, Rows
from copying.backend.http import reads
from copying.backend.state import snapshot
from copying.backend.state.commands import PutSignal, Resynchronise, SetConnection
from copying.backend.state.effects import Decided, SignalEvent
from copying.backend.state.times import iso
from copying.engine.reasons import Reason
from tests.unit.copying.backend.desk import Desk

ORDER = {"type": "ORDER_TYPE_BUY_LIMIT", "openPrice": 1.05}


def send(desk: Desk, age: float, **fields) -> None:
    """A signal that was emitted so many seconds before it arrives."""
    desk.signal(**({"time": iso(desk.now + 1 - age)} | fields))


def reasons(desk: Desk) -> list[str]:
    return [Reason(each.decisions.reason[each.rows[0]]).code for each in desk.told(Decided)]


@pytest.mark.parametrize(
    ("settings", "age", "fields", "told"),
    [
        ({}, 0, {}, "copied"),
        ({}, 59, {}, "copied"),
        ({}, 60, {}, "copied"),
        ({}, 61, {}, "too-late"),
        ({}, 86_400, {}, "too-late"),
        ({}, -3_600, {}, "copied"),  # the sender's clock is ahead
        ({"openingIntervalInMinutes": 5}, 299, {}, "copied"),
        ({"openingIntervalInMinutes": 5}, 301, {}, "too-late"),
        ({"openingIntervalInMinutes": 0}, 9, {}, "copied"),  # a clock that is a little behind
        ({"openingIntervalInMinutes": 0}, 11, {}, "too-late"),
        ({}, 3_600, ORDER, "copied"),  # orders have no window
        ({"expirePendingOrderSignals": True}, 59, ORDER, "copied"),
        ({"expirePendingOrderSignals": True}, 61, ORDER, "too-late"),
    ],
)
def test_a_signal_is_opened_only_within_its_window(
    desk: Desk, settings: dict, age: float, fields: dict, told: str
) -> None:
    desk.strategy(timeSettings=settings)
    desk.subscriber()
    send(desk, age, **fields)
    assert reasons(desk) == [told]
    assert len(desk.held()) + len(desk.waiting()) == (told == "copied")


def test_a_late_signal_is_known_and_can_be_opened_by_resynchronisation(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber()
    send(desk, 90)
    assert [each["id"] for each in reads.external_signals(desk.book, "t", "S")] == ["sig00001"]
    desk.do(Resynchronise(tenant="t", subscriber_id="a"))
    assert desk.held() == [("EURUSD", 1, 0.1)]
    desk.close_signal()
    assert desk.held() == []


def test_changes_and_repetitions_of_a_known_signal_are_never_late(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber()
    emitted = iso(desk.now)
    desk.signal(time=emitted)
    desk.tick(3_600)
    desk.signal(time=emitted, stopLoss=1.05)
    desk.signal(time=emitted, stopLoss=1.05, volume=0.05)
    assert desk.held() == [("EURUSD", 1, 0.05)]


def test_an_order_that_fills_long_after_it_was_emitted_is_opened(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber(skipPendingOrders=True)
    emitted = iso(desk.now)
    desk.signal(time=emitted, **ORDER)
    desk.tick(3_600)
    desk.signal(time=emitted, type="POSITION_TYPE_BUY", openPrice=1.1)
    assert desk.held() == [("EURUSD", 1, 0.1)]


@pytest.mark.parametrize(("back_after", "lots"), [(15, [0.1]), (30, [])])
def test_retries_end_with_the_window_of_the_time_it_was_emitted(desk: Desk, back_after: float, lots: list) -> None:
    desk.strategy()
    desk.subscriber()
    desk.do(SetConnection(tenant="t", account_id="a", is_connected=False))
    send(desk, 40)
    desk.tick(back_after)
    desk.do(SetConnection(tenant="t", account_id="a", is_connected=True))
    desk.tick(1)
    assert [each for *_, each in desk.held()] == lots


@pytest.mark.parametrize(("looked_at", "told"), [(40, "copied"), (60, "too-late")])
def test_a_delay_comes_before_what_is_left_of_the_window(desk: Desk, looked_at: float, told: str) -> None:
    desk.strategy()
    desk.subscriber(signalDelay={"minInSeconds": 30, "maxInSeconds": 30})
    send(desk, 40)
    desk.tick(looked_at)
    assert reasons(desk)[-1] == told


def test_copied_orders_expire_with_the_window_of_the_time_they_were_emitted(desk: Desk) -> None:
    desk.strategy(timeSettings={"expirePendingOrderSignals": True})
    desk.subscriber()
    send(desk, 40, **ORDER)
    desk.tick(10)
    assert len(desk.waiting()) == 1
    desk.tick(15)
    assert desk.waiting() == []


def test_a_late_signal_is_told_to_subscribers_and_provider_in_words(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber("a")
    desk.subscriber("b", allowedSides=["sell"])
    send(desk, 90.4)
    rows = Rows()
    list(Renderer(desk.book).render(desk.effects[-1], rows))
    documents = [msgspec.json.decode(row[1]) for row in rows.decisions]
    sentence = "Too late: more than 1 minute after the signal the opening window of the strategy is over."
    assert [(each["reason"], each["limitValue"], each["text"]) for each in documents] == [("too-late", 1, sentence)] * 2
    lines = [msgspec.json.decode(row[1]) for row in rows.log]
    told = [(each.get("subscriberId"), each["level"], each["message"]) for each in lines]
    assert told == [
        ("a", "INFO", sentence),
        ("b", "INFO", sentence),
        (
            None,
            "WARN",
            "Signal of 0.1 lots on 2 routes: 2 skipped. "
            "It came too late: 90 seconds after its own time, and the opening window is 1 minute.",
        ),
    ]


def test_one_route_is_one_route_in_the_strategys_log(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber("a")
    send(desk, 0)
    rows = Rows()
    list(Renderer(desk.book).render(desk.effects[-1], rows))
    told = [msgspec.json.decode(row[1])["message"] for row in rows.log]
    assert "Signal of 0.1 lots on 1 route: 1 copied." in told


def test_a_late_signal_is_left_out_of_simulations(desk: Desk) -> None:
    desk.strategy()
    desk.subscriber()
    send(desk, 90)
    [event] = desk.told(SignalEvent)
    assert (event.what, event.facts) == ("open", None)


def test_signals_of_older_snapshots_were_not_under_way(desk: Desk) -> None:
    desk.strategy()
    send(desk, 30)
    state = msgspec.msgpack.decode(snapshot.pack(desk.book))
    for each in state["signals"]:
        del each["age_s"]
    assert [each.age_s for each in snapshot.unpack(msgspec.msgpack.encode(state), PaperBroker()).signals.values()] == [
        0.0
    ]


def test_a_webhook_post_begins_when_it_arrives(desk: Desk) -> None:
    """Charting services send the time of the bar."""
    desk.strategy()
    desk.subscriber()
    document = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "volume": 1, "time": iso(desk.now - 3_600)}
    desk.do(PutSignal(tenant="t", strategy_id="S", signal_id="posted01", document=document, posted=True))
    assert reasons(desk) == ["copied"]
