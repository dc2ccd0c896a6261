"""The paper broker: hedging accounts, filled at the quote, with commission, swap, margin and stop out.

Assumptions, all in docs/copying.md: bid/ask fills without a volume limit; a commission per lot and side; slippage of
copies drawn from the ticket number, so that a replay fills at the same price; money rounded to the currency's minor
unit per deal.
"""

from __future__ import annotations

import numpy as np

from copying.backend.risk.periods import note_results
from copying.backend.settings import commission
from copying.backend.state.account_deals import is_recording
from copying.backend.state.book import Book
from copying.backend.state.broker_port import Orders
from copying.backend.state.effects import AccountDeals, Deals, Effects
from copying.backend.state.entities import OpenSignal
from copying.backend.state.valuation import (
    closing_prices,
    lot_values,
    opening_prices,
    profit_rates,
    round_money,
    value,
)
from copying.symbols.specifications import Specification

from . import deferred

COMMISSION_DOLLARS = 3.0  # per lot and side
STOP_OUT_LEVEL = 0.5  # equity / margin


def _column(count: int, value: np.ndarray | int) -> np.ndarray:
    """(count,) of what may be the same for all."""
    return value if isinstance(value, np.ndarray) else np.full(count, value)


def _picked(value: np.ndarray | float, rows: np.ndarray) -> np.ndarray | float:
    """Some rows of a column; what is the same for all of them stays one number."""
    return value[rows] if isinstance(value, np.ndarray) else value


def _known(amounts: np.ndarray) -> np.ndarray:
    """(n,) 0 where nothing is known."""
    return np.where(np.isnan(amounts), 0.0, amounts)


def draw(tickets: np.ndarray) -> np.ndarray:
    """(n,) numbers in [-1, 1) that follow from ticket numbers (splitmix64)."""
    with np.errstate(over="ignore"):
        mixed = tickets.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(float) / 2**52 - 1.0


class PaperBroker:
    """The first broker behind the port."""

    def open(self, book: Book, effects: Effects, orders: Orders) -> np.ndarray:
        """Fill market orders: ask to buy, bid to sell."""
        if effects.watch is not None:
            effects.watch.hand_over()
        value(book)
        count = len(orders.account)
        symbol, side = np.asarray(orders.symbol), np.asarray(orders.side)
        tickets = book.next_ids("ticket", count)
        price = opening_prices(book, symbol, side)
        price = self._slip(book, price, symbol, side, tickets, _column(count, orders.subscription) >= 0)
        lots = lot_values(book, symbol, orders.account)
        filled = self._carried(book, orders.account, orders.volume * lots) & ~np.isnan(price) & ~np.isnan(lots)
        tickets = np.where(filled, tickets, 0)
        if filled.all():
            self._book(book, effects, orders, tickets, price, lots, np.arange(count))
        elif filled.any():
            self._book(book, effects, orders, tickets, price, lots, np.flatnonzero(filled))
        return tickets

    def _slip(self, book: Book, price, symbol, side, tickets, copied) -> np.ndarray:
        if book.slippage_spreads == 0 or not copied.any():
            return price
        quotes = book.symbol_quotes()[symbol]
        scale = 10.0 ** book.symbol_facts()[symbol, 3]
        slip = draw(tickets) * book.slippage_spreads * (quotes[:, 1] - quotes[:, 0])
        return np.where(copied, np.round((price + side * slip) * scale) / scale, price)

    def _carried(self, book: Book, account: np.ndarray, worth: np.ndarray) -> np.ndarray:
        """(n,) True where free margin carries the order together with the others for the same account."""
        accounts = book.accounts
        needed = np.bincount(account, _known(worth) / accounts.leverage[account], accounts.size)
        return (accounts.equity - accounts.margin >= needed)[account]

    def _book(self, book: Book, effects: Effects, orders: Orders, tickets, price, lots, rows) -> None:
        """Take fills into positions, balances and deals."""
        count = len(tickets)
        account, symbol, side = orders.account[rows], np.asarray(orders.symbol)[rows], np.asarray(orders.side)[rows]
        subscription = _column(count, orders.subscription)[rows]
        leaf, part = _column(count, orders.leaf)[rows], _column(count, orders.part)[rows]
        volume, price, lots, tickets = orders.volume[rows], price[rows], lots[rows], tickets[rows]
        fee = self._charge(book, account, volume)
        slip = (_picked(orders.provider_price, rows) - price) * side
        book.positions.extend(
            len(rows),
            id=tickets,
            account=account,
            symbol=symbol,
            side=side,
            kind=0,
            volume=volume,
            open_volume=volume,
            price=price,
            stop_loss=_picked(orders.stop_loss, rows),
            time=book.time,
            magic=orders.magic,
            take_profit=_picked(orders.take_profit, rows),
            subscription=subscription,
            signal=orders.signal,
            leaf=leaf,
            part=part,
            flags=_picked(orders.flags, rows),
            expires=_picked(orders.expires, rows),
            commission=fee,
            slippage=_known(slip),
        )
        self._settle(book, account, subscription, part, fee)
        copied = subscription >= 0
        if not copied.all() and is_recording(book):
            magic = np.full(len(rows), orders.magic)
            nothing = np.zeros(len(rows))
            own = account, tickets, symbol, side, volume, price, nothing, nothing, fee, magic
            self._tell_own(book, effects, "IN", orders.cause, np.flatnonzero(~copied), own)
        if copied.any():
            known = {
                "account": account,
                "subscription": subscription,
                "leaf": leaf,
                "position": tickets,
                "symbol": symbol,
                "side": side,
                "volume": volume,
                "price": price,
                "lot_value": lots,
                "commission": fee,
                "slippage": slip,
                "slippage_money": slip * volume * profit_rates(book, symbol, account),
                "part": part,
            }
            if not copied.all():
                known = {name: column[copied] for name, column in known.items()}
            deals = self._opened(book, effects, orders, known)
            commission.charge(book, deals)
            effects.events.append(deals)

    def _opened(self, book: Book, effects: Effects, orders: Orders, known: dict[str, np.ndarray]) -> Deals:
        """The deals that opened copies. known: what is known of each, by the name of its column."""
        count = len(known["account"])
        zero = np.zeros(count)
        return Deals(
            kind="open",
            cause=orders.cause,
            time=book.time,
            number=self._numbers(book, count),
            signal=np.full(count, orders.signal),
            signal_ids={orders.signal: orders.signal_id},
            profit=zero,
            swap=zero,
            improvement=zero,
            provider_commission=zero,
            platform_commission=zero,
            incoming_provider=zero,
            incoming_platform=zero,
            latency_ms=effects.watch.fill() if effects.watch is not None else None,
            **known,
        )

    def _tell_own(
        self, book: Book, effects: Effects, entry: str, cause: str, pick: np.ndarray, columns: tuple[np.ndarray, ...]
    ) -> None:
        """Deals of what nobody copied from anybody. columns: as `AccountDeals` has them, from `account` on."""
        number = self._numbers(book, len(pick))
        effects.events.append(
            AccountDeals("", entry, cause, book.time, number, *(np.asarray(column)[pick] for column in columns))
        )

    def place(self, book: Book, effects: Effects, orders: Orders) -> np.ndarray:
        """Take pending orders; margin is asked for when they fill."""
        count = len(orders.account)
        tickets = book.next_ids("ticket", count)
        book.orders.extend(
            count,
            id=tickets,
            account=orders.account,
            symbol=orders.symbol,
            side=orders.side,
            kind=orders.kind,
            volume=orders.volume,
            open_volume=orders.volume,
            price=orders.price,
            stop_loss=orders.stop_loss,
            take_profit=orders.take_profit,
            time=book.time,
            magic=orders.magic,
            subscription=orders.subscription,
            part=orders.part,
            signal=orders.signal,
            leaf=orders.leaf,
            flags=orders.flags,
            expires=orders.expires,
        )
        return tickets

    def cancel(self, book: Book, rows: np.ndarray, *, by_broker: bool = False) -> None:
        """Withdraw pending orders."""
        rows = np.asarray(rows, dtype=np.intp)
        if by_broker:
            rows = rows[book.taking_part(book.orders.account[rows])]
        elif not deferred.all_reached(book):
            rows = deferred.hold_cancels(book, rows)
        mask = np.ones(book.orders.size, dtype=bool)
        mask[rows] = False
        book.orders.keep(mask)

    def close(
        self,
        book: Book,
        effects: Effects,
        rows: np.ndarray,
        cause: str,
        volumes: np.ndarray | None = None,
        *,
        by_broker: bool = False,
        copy_of: OpenSignal | None = None,
    ) -> None:
        """Close at bid (bought) or ask (sold); profit, the part of swap and commission go to the balance."""
        if effects.watch is not None:
            effects.watch.hand_over()
        rows, volumes = self._reached(book, rows, cause, volumes, by_broker=by_broker)
        if not len(rows):
            return
        closing = book.positions.take(rows)
        volume = closing["volume"] if volumes is None else np.minimum(volumes, closing["volume"])
        rates = profit_rates(book, closing["symbol"], closing["account"])
        price, profit, swap, fee = self._results(book, closing, volume, rates)
        self._settle(book, closing["account"], closing["subscription"], closing["part"], profit + swap + fee)
        copied = np.flatnonzero(closing["subscription"] >= 0)
        if len(copied) < len(rows) and is_recording(book):
            account, ticket, symbol, side = closing["account"], closing["id"], closing["symbol"], -closing["side"]
            own = account, ticket, symbol, side, volume, price, profit, swap, fee, closing["magic"]
            self._tell_own(book, effects, "OUT", cause, np.flatnonzero(closing["subscription"] < 0), own)
        if len(copied):
            deals = self._closing(book, closing, copied, cause, volume, price, profit, swap, fee)
            if copy_of is not None:
                deals.slippage = self._closing_slippage(book, closing, price, copy_of)[copied]
                deals.slippage_money = deals.slippage * volume[copied] * rates[copied]
                deals.latency_ms = effects.watch.fill() if effects.watch is not None else None
            effects.events.append(deals)
        self._reduce(book, rows, closing, volume, swap)

    def _reached(
        self, book: Book, rows: np.ndarray, cause: str, volumes: np.ndarray | None, *, by_broker: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The rows, with their volumes, of accounts that can be reached; what the others miss is kept for later."""
        if not len(rows) or deferred.all_reached(book):
            return rows, volumes
        if not by_broker:
            return deferred.hold_closes(book, rows, cause, volumes)
        mine = book.taking_part(book.positions.account[rows])
        return rows[mine], None if volumes is None else volumes[mine]

    def _results(self, book: Book, closing, volume: np.ndarray, rates: np.ndarray) -> tuple[np.ndarray, ...]:
        """(price, profit, swap, commission) of positions that are closed, in part or whole."""
        share = volume / closing["volume"]
        price = closing_prices(book, closing["symbol"], closing["side"])
        price = np.where(np.isnan(price), closing["price"], price)
        currency = book.accounts.currency[closing["account"]]
        profit = (price - closing["price"]) * closing["side"] * volume * rates
        profit = np.where(np.isnan(profit), closing["profit"] * share, profit)  # no rate: the last that was known
        fee = self._charge(book, closing["account"], volume)
        return (
            price,
            round_money(profit, currency, book.rules),
            round_money(closing["swap"] * share, currency, book.rules),
            fee,
        )

    def _reduce(self, book: Book, rows: np.ndarray, closing, volume: np.ndarray, swap: np.ndarray) -> None:
        """Take closed volume and booked swap off the positions; what is closed whole is gone."""
        positions = book.positions
        positions.volume[rows] = np.round(closing["volume"] - volume, 8)
        positions.swap[rows] = closing["swap"] - swap
        whole = volume / closing["volume"] >= 1 - 1e-9
        if whole.any():
            mask = np.ones(positions.size, dtype=bool)
            mask[rows[whole]] = False
            positions.keep(mask)

    def _closing(self, book: Book, closing, pick, cause, volume, price, profit, swap, fee) -> Deals:
        """Deals of copied positions that are closed."""
        zero, none = np.zeros(len(pick)), np.full(len(pick), np.nan)
        signals = closing["signal"][pick]
        known = {row: book.signals[row].id for row in np.unique(signals).tolist() if row in book.signals}
        known = book.ended_signals | known if book.ended_signals else known
        lots = lot_values(book, closing["symbol"][pick], closing["account"][pick])
        lots = np.where(
            np.isnan(lots), closing["value"][pick] / closing["volume"][pick], lots
        )  # the last that was known
        deals = Deals(
            kind="close",
            cause=cause,
            time=book.time,
            number=self._numbers(book, len(pick)),
            account=closing["account"][pick],
            subscription=closing["subscription"][pick],
            leaf=closing["leaf"][pick],
            signal=signals,
            signal_ids=known,
            position=closing["id"][pick],
            symbol=closing["symbol"][pick],
            side=-closing["side"][pick],
            volume=volume[pick],
            price=price[pick],
            lot_value=lots,
            profit=profit[pick],
            swap=swap[pick],
            commission=fee[pick],
            improvement=zero,
            provider_commission=zero,
            platform_commission=zero,
            incoming_provider=zero,
            incoming_platform=zero,
            slippage=none,
            slippage_money=none,
            part=closing["part"][pick],
        )
        commission.charge(book, deals)
        return deals

    def _closing_slippage(self, book: Book, positions, price, signal: OpenSignal) -> np.ndarray:
        """(n,) price difference to what the provider closes at; nan on the other side and for other pairs."""
        quote = book.quote(signal.symbol)
        if quote is None:
            return np.full(len(price), np.nan)
        same = (book.symbol_quotes()[positions["symbol"]] == quote).all(axis=1) & (positions["side"] == signal.side)
        wanted = quote[0] if signal.side > 0 else quote[1]
        return np.where(same, (price - wanted) * positions["side"], np.nan)

    def _charge(self, book: Book, account: np.ndarray, volume: np.ndarray) -> np.ndarray:
        """(n,) commission of deals, negative, in account currency."""
        amount = -COMMISSION_DOLLARS * volume / book.account_dollars()[account]
        return round_money(_known(amount), book.accounts.currency[account], book.rules)

    def _settle(self, book: Book, account, subscription, part, result: np.ndarray) -> None:
        """Results of deals into balances."""
        accounts = book.accounts
        change = np.bincount(account, result, accounts.size)
        accounts.traded[:] = round_money(accounts.traded + change, accounts.currency, book.rules)
        accounts.balance[:] = round_money(accounts.balance + change, accounts.currency, book.rules)
        copied = subscription >= 0
        if copied.any():
            np.add.at(book.subscriptions.realised, subscription[copied], result[copied])
        if book.parts.size:
            split = part >= 0
            np.add.at(book.parts.realised, part[split], result[split])
        note_results(book, account, subscription, part, result)
        book.valued = False

    def _numbers(self, book: Book, count: int) -> np.ndarray:
        return book.next_ids("deal", count)


def swap_rollover(book: Book, weekday: int) -> None:
    """One night's swap on every position at UTC midnight.

    weekday: of the day that ends (0 = Monday). Three nights are booked for Wednesday, none for Saturday and Sunday.
    """
    positions = book.positions
    nights = {2: 3, 5: 0, 6: 0}.get(weekday, 1)
    if not positions.size or not nights:
        return
    value(book)
    rates = np.array([yearly_swap(book.specification(symbol)) for symbol in book.symbols.texts]).reshape(-1, 2)
    rate = np.where(positions.side > 0, rates[positions.symbol, 0], rates[positions.symbol, 1])
    amount = positions.value * rate * nights / 365
    positions.swap[:] = positions.swap + round_money(amount, book.accounts.currency[positions.account], book.rules)
    book.valued = False


def yearly_swap(row: Specification | None) -> tuple[float, float]:
    """(long, short) as fractions of the value; a name that the broker does not know earns and costs nothing."""
    return (0.0, 0.0) if row is None else (row.swap_long, row.swap_short)
