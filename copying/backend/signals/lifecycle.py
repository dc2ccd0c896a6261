"""The life of a signal: published, changed, filled, partly closed, closed; from external programs and from provider
accounts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from copying.backend.broker import deferred
from copying.backend.settings.documents import own_strategy
from copying.backend.state.book import Book
from copying.backend.state.broker_port import Orders
from copying.backend.state.commands import PutSignal, RemoveSignal
from copying.backend.state.effects import Effects
from copying.backend.state.entities import COPIES_STOP_LOSS, COPIES_TAKE_PROFIT, OpenSignal
from copying.backend.state.errors import invalid, not_found
from copying.backend.state.tables import TradeTable
from copying.backend.state.times import iso, moment_of
from copying.engine.closing import volumes_after_partial_close
from copying.engine.model import OrderKind
from copying.engine.timing import close_after

from .fan_out import ask_again, foresee, publish
from .levels import check_signal, within_terms, without_refused, without_refused_prices
from .plans import plan_for
from .recording import record

SIDES = {"BUY": 1, "SELL": -1}
KINDS = {"LIMIT": int(OrderKind.LIMIT), "STOP": int(OrderKind.STOP)}
MARKET = int(OrderKind.MARKET)
CLOCK_TOLERANCE_SECONDS = 10.0


def parse_type(text: str) -> tuple[int, int]:
    """(side, kind) of POSITION_TYPE_BUY, ORDER_TYPE_SELL_LIMIT and their kin."""
    words = text.split("_")
    return SIDES[words[2]], KINDS[words[3]] if len(words) > 3 else MARKET


# ------------------------------------------------------------------------------------------------- external signals


def check_put_signal(book: Book, command: PutSignal) -> None:
    """A new one must be complete; of a known one only prices and volume may change (section 8, 36 and 37)."""
    strategy = own_strategy(book, command.tenant, command.strategy_id, portfolio=False)
    document = command.document
    side, kind = parse_type(document["type"])
    if (command.strategy_id, command.signal_id) in book.closed_signals:
        raise invalid("signalId", command.signal_id, "this signal is closed; ids are not used again")
    if not 0 < float(document["volume"]) <= 1e6:
        raise invalid("volume", document["volume"], "must be above 0 and at most 1000000 lots")
    known = find(book, command.strategy_id, command.signal_id)
    if known is None:
        if not strategy.takes_signals:
            raise invalid("strategyId", command.strategy_id, "is being removed")
        if kind != MARKET and not float(document.get("openPrice") or 0) > 0:
            raise invalid("openPrice", document.get("openPrice"), "is needed for pending orders")
        check_signal(book, document, side, kind, None)
        return
    if known.ticket:
        raise invalid("signalId", command.signal_id, "is the id of a position of the provider's account")
    if document["symbol"] not in (known.symbol, known.symbol.strip()):
        raise invalid("symbol", document["symbol"], "cannot be changed")
    if side != known.side or kind not in (known.kind, MARKET):
        raise invalid("type", document["type"], "cannot be changed, except from a pending order to its position")
    if float(document["volume"]) > known.volume + 1e-9:
        raise invalid("volume", document["volume"], "can only be lowered")
    check_signal(book, document, side, kind, known)


def put_signal(book: Book, command: PutSignal, effects: Effects) -> None:
    """Publish or change an external signal."""
    known = find(book, command.strategy_id, command.signal_id)
    if known is None:
        publish(book, effects, add_signal(book, command.signal_id, command.strategy_id, **values_of(book, command)))
        return
    document = command.document
    side, kind = parse_type(document["type"])
    known.document = document
    known.update_time = moment_of(document.get("updateTime")) or book.time
    if kind != known.kind:
        fill_signal(book, effects, known, price_of(book, known.symbol, side, document))
    price = float(document.get("openPrice") or known.price)
    levels = document.get("stopLoss") or None, document.get("takeProfit") or None
    change_signal(book, effects, known, *levels, price if known.kind != MARKET else known.price)
    lower_volume(book, effects, known, float(document["volume"]))


def foresee_signal(book: Book, command: PutSignal) -> None:
    """Decide a new external signal while its entry is being written."""
    if find(book, command.strategy_id, command.signal_id) is None:
        values = values_of(book, command)
        opened = values["volume"]
        row = book.counters["signal"] + 1
        foresee(
            book, OpenSignal(row, command.signal_id, command.strategy_id, time=book.time, open_volume=opened, **values)
        )


def values_of(book: Book, command: PutSignal) -> dict[str, Any]:
    """The columns of a new external signal."""
    document = command.document
    side, kind = parse_type(document["type"])
    return {
        "symbol": document["symbol"],
        "side": side,
        "kind": kind,
        "volume": float(document["volume"]),
        "price": price_of(book, document["symbol"], side, document),
        "stop_loss": document.get("stopLoss") or None,
        "take_profit": document.get("takeProfit") or None,
        "magic": int(document.get("magic") or 0),
        "document": document,
        "age_s": 0.0 if command.posted else age_of(book, document),
    }


def age_of(book: Book, document: dict[str, Any]) -> float:
    """Seconds that an external signal was on its way by its own `time`; clocks a little behind and ahead count as none.

    By the clock on the wall, never by the journal's time: a clock that was ahead for a moment leaves that ahead. It
    shortens the opening window: what was held up longer is not opened at prices that nobody meant.
    """
    received = book.time if book.received is None else book.received
    seconds = received - (moment_of(document.get("time")) or received)
    return seconds if seconds > CLOCK_TOLERANCE_SECONDS else 0.0


def price_of(book: Book, symbol: str, side: int, document: dict[str, Any]) -> float:
    """The signal's own price, else what the market asks now; 0 when unknown."""
    if document.get("openPrice"):
        return float(document["openPrice"])
    quote = book.quote(symbol)
    return 0.0 if quote is None else quote[1] if side > 0 else quote[0]


def check_remove_signal(book: Book, command: RemoveSignal) -> None:
    """It is open and external. Who repeats a removal without having had its answer learns that it was carried out."""
    own_strategy(book, command.tenant, command.strategy_id, portfolio=False)
    known = find(book, command.strategy_id, command.signal_id)
    closed_at = book.closed_signals.get((command.strategy_id, command.signal_id))
    if known is None and closed_at is not None:
        raise not_found("External signal", f"it was closed at {iso(closed_at)}")
    if known is None or known.ticket:
        raise not_found("External signal")


def remove_signal(book: Book, command: RemoveSignal, effects: Effects) -> None:
    """Close an external signal everywhere."""
    signal = book.signals[book.signal_rows[command.strategy_id, command.signal_id]]
    close_signal(book, effects, signal, "the signal was closed")


# ------------------------------------------------------------------------------------------------------------- life


def find(book: Book, strategy_id: str, signal_id: str) -> OpenSignal | None:
    """An open signal by its id."""
    return book.signals.get(book.signal_rows.get((strategy_id, signal_id), -1))


def add_signal(book: Book, signal_id: str, strategy_id: str, **values: Any) -> OpenSignal:
    """Take a signal into the book."""
    row = book.next_number("signal")
    signal = OpenSignal(
        row=row, id=signal_id, strategy_id=strategy_id, time=book.time, open_volume=values["volume"], **values
    )
    book.signals[row] = signal
    if signal.source >= 0:
        book.chained[row] = None
    book.signal_rows[(strategy_id, signal_id)] = row
    return signal


def drop_signal(book: Book, signal: OpenSignal) -> None:
    """Forget a signal; its copies are gone or on their own."""
    del book.signals[signal.row]
    book.chained.pop(signal.row, None)
    book.signal_rows.pop((signal.strategy_id, signal.id), None)
    if not signal.ticket:
        book.closed_signals[(signal.strategy_id, signal.id)] = book.time
    if book.delayed.size:
        book.delayed.keep(book.delayed.signal != signal.row)


def close_signal(book: Book, effects: Effects, signal: OpenSignal, cause: str) -> None:
    """Full close: always copied, whatever stopouts, filters or close-only say."""
    record(book, effects, signal, "close")
    orders = np.flatnonzero((book.orders.signal == signal.row) & (book.orders.subscription >= 0))
    if len(orders):
        book.broker.cancel(book, orders)
    rows = np.flatnonzero((book.positions.signal == signal.row) & (book.positions.subscription >= 0))
    book.broker.close(book, effects, rows, cause, copy_of=signal)
    drop_signal(book, signal)


def lower_volume(book: Book, effects: Effects, signal: OpenSignal, volume: float) -> None:
    """Partial close: every copy keeps the same share of what it opened with, to the nearest step."""
    if volume >= signal.volume - 1e-9:
        return
    share = volume / signal.open_volume
    signal.volume = volume
    record(book, effects, signal, "part")
    positions = book.positions
    rows = np.flatnonzero((positions.signal == signal.row) & (positions.subscription >= 0))
    if len(rows):
        opened, present = positions.open_volume[rows], positions.volume[rows]
        volumes = volumes_after_partial_close(opened, present, share, *least_and_step(book, positions, rows))
        closing = np.maximum(np.round(positions.volume[rows] - volumes, 8), 0.0)
        some = closing > 1e-9
        book.broker.close(book, effects, rows[some], "the provider closed a part", closing[some], copy_of=signal)
    orders = reachable_orders(book, signal)
    if len(orders):
        shrink_orders(book, orders, share)


def shrink_orders(book: Book, rows: np.ndarray, share: float) -> None:
    """Pending copies keep a share of what they were placed with, at least the smallest volume: they can still fill."""
    opened, present = book.orders.open_volume[rows], book.orders.volume[rows]
    least, step = least_and_step(book, book.orders, rows)
    volumes = volumes_after_partial_close(opened, present, share, least, step)
    book.orders.volume[rows] = np.maximum(volumes, least)


def least_and_step(book: Book, table: TradeTable, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two (n,): smallest volume and volume step of the symbols of some trades, lots."""
    facts = book.symbol_facts()[table.symbol[rows]]
    return facts[:, 5], facts[:, 6]


def change_signal(
    book: Book, effects: Effects, signal: OpenSignal, stop_loss: float | None, take_profit: float | None, price: float
) -> None:
    """New stop loss, take profit or order price: copied to those who copy them, exchanged where reversed.

    Stops stay within what the copies may lose. What the broker of a copy would refuse, that copy keeps as it was.
    """
    changed_price = price != signal.price and signal.kind != MARKET
    if (stop_loss, take_profit) == (signal.stop_loss, signal.take_profit) and not changed_price:
        return
    stop_changed, take_changed = stop_loss != signal.stop_loss, take_profit != signal.take_profit
    signal.stop_loss, signal.take_profit = stop_loss, take_profit
    if signal.kind != MARKET:
        signal.price = price
    record(book, effects, signal, "change")
    stop, take = (math.nan if level is None else float(level) for level in (stop_loss, take_profit))
    for table in (book.positions, book.orders):
        rows = np.flatnonzero((table.signal == signal.row) & (table.subscription >= 0))
        if not len(rows):
            continue
        straight = table.side[rows] == signal.side
        flags = table.flags[rows]
        copies_stop, copies_take = (flags & COPIES_STOP_LOSS) > 0, (flags & COPIES_TAKE_PROFIT) > 0
        new_stop, new_take = np.where(straight, stop, take), np.where(straight, take, stop)
        moves_stop = copies_stop & np.where(straight, stop_changed, take_changed)
        moves_take = copies_take & np.where(straight, take_changed, stop_changed)
        wanted = (moves_stop, new_stop), (moves_take, new_take)
        moves_stop, moves_take = without_refused(book, effects, signal, table, rows, wanted)
        if moves_stop.any():
            new_stop = within_terms(book, signal, table, rows, new_stop)
        wanted_stop = np.where(moves_stop, new_stop, table.stop_loss[rows])
        wanted_take = np.where(moves_take, new_take, table.take_profit[rows])
        if not deferred.all_reached(book):
            reached = deferred.hold_levels(book, table, rows, wanted_stop, wanted_take)
            rows, wanted_stop, wanted_take = rows[reached], wanted_stop[reached], wanted_take[reached]
        table.stop_loss[rows] = wanted_stop
        table.take_profit[rows] = wanted_take
    if changed_price:
        book.orders.price[without_refused_prices(book, effects, signal, reachable_orders(book, signal), price)] = price


def reachable_orders(book: Book, signal: OpenSignal) -> np.ndarray:
    """Rows of the pending copies of a signal whose account can be reached."""
    rows = np.flatnonzero((book.orders.signal == signal.row) & (book.orders.subscription >= 0))
    return rows[~deferred.away(book, book.orders, rows)]


def fill_signal(
    book: Book, effects: Effects, signal: OpenSignal, price: float, ticket: int = 0, *, opens: bool = True
) -> None:
    """The provider's pending order became a position: copies still waiting are filled now, others are asked again.

    opens: whether others may still open it.
    """
    signal.kind, signal.price, signal.time, signal.age_s = MARKET, price or signal.price, book.time, 0.0
    if ticket:
        signal.ticket = ticket
    record(book, effects, signal, "fill")
    waiting = reachable_orders(book, signal)
    if len(waiting):
        fill_orders(book, effects, waiting, signal.id)
    if not opens:
        return
    routes = len(plan_for(book, signal.strategy_id).table)
    ask_again(book, effects, signal, np.ones(routes, dtype=bool))


def fill_orders(book: Book, effects: Effects, rows: np.ndarray, signal_id: str) -> np.ndarray:
    """Turn pending orders of one signal (or of nobody) into positions at the market. (n,) tickets."""
    orders = book.orders.take(rows)
    book.broker.cancel(book, rows, by_broker=True)
    signal = int(orders["signal"][0])
    tickets = book.broker.open(
        book,
        effects,
        Orders(
            account=orders["account"],
            symbol=orders["symbol"],
            side=orders["side"],
            volume=orders["volume"],
            stop_loss=orders["stop_loss"],
            take_profit=orders["take_profit"],
            magic=int(orders["magic"][0]),
            subscription=orders["subscription"],
            part=orders["part"],
            signal=signal,
            leaf=orders["leaf"],
            flags=orders["flags"],
            expires=lifetimes(book, orders["signal"]),
            provider_price=orders["price"],
            signal_id=signal_id,
            cause="pending order filled",
        ),
    )
    if book.missed and signal in book.signals:  # without a signal it is an orphan, and closed as such
        deferred.hold_filled(book, orders["id"], tickets)
    return tickets


def lifetimes(book: Book, signals: np.ndarray) -> np.ndarray:
    """(n,) when positions of these signals expire."""
    ends = {}
    for row in np.unique(signals).tolist():
        signal = book.signals.get(row)
        strategy = book.strategies_by_id.get(signal.strategy_id) if signal else None
        ends[row] = close_after(strategy.document, book.time) if strategy else math.inf
    return np.array([ends[row] for row in signals.tolist()])


# -------------------------------------------------------------------------------------------------- provider accounts


def publish_position(book: Book, effects: Effects, row: int) -> None:
    """A provider's new position is a signal of every strategy of the account."""
    positions = book.positions
    _publish(book, effects, positions, row, MARKET)


def publish_order(book: Book, effects: Effects, row: int) -> None:
    """A provider's new pending order is one too."""
    _publish(book, effects, book.orders, row, int(book.orders.kind[row]))


def _publish(book: Book, effects: Effects, table: Any, row: int, kind: int) -> None:
    values = {**values_of_trade(book, table, row, kind), "accounts": [int(table.account[row])]}
    for strategy in book.strategies_of_account(int(table.account[row])):
        if strategy.takes_signals:
            publish(book, effects, add_signal(book, str(values["ticket"]), strategy.id, **values))


def values_of_trade(book: Book, table: Any, row: int, kind: int) -> dict[str, Any]:
    """The columns of the signal that a position or order gives."""
    return {
        "symbol": book.symbols.texts[table.symbol[row]],
        "side": int(table.side[row]),
        "kind": kind,
        "volume": float(table.volume[row]),
        "price": float(table.price[row]),
        "stop_loss": level(table.stop_loss[row]),
        "take_profit": level(table.take_profit[row]),
        "magic": int(table.magic[row]),
        "ticket": int(table.id[row]),
    }


def level(price: float | np.ndarray) -> float | None:
    """A price, None for none."""
    return None if math.isnan(price) else float(price)


def signals_of_ticket(book: Book, ticket: int) -> list[OpenSignal]:
    """Signals that a provider's position or order gives."""
    return [signal for signal in book.signals.values() if signal.ticket == ticket]
