"""Every figure of the open book equals a plain computation over the raw rows, on books made by chance."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from copying.contract.terminal import TerminalPosition
from reporting import exposure, open_reads
from reporting.models import ExposureSum, OpenPosition, OpenTrade
from reporting.open_sums import rebuild
from reporting.rates import rates_of
from reporting.sync.keeping_positions import SignalRow, drop_positions, keep_positions, keep_signals
from tests import builders

pytestmark = pytest.mark.django_db
SYMBOLS = ("EURUSD", "USDJPY", "XAUUSD")
CURRENCIES = ("USD", "EUR", "JPY", "", "XTS")  # not known, and one without a rate


class Book:
    """A firm with strategies, a portfolio and accounts of several currencies, and what is open at them, by chance."""

    def __init__(self, workspace, seed: int):
        self.chance, self.now = random.Random(seed), timezone.now()
        self.backend = builders.connection(workspace)
        self.strategies = [builders.strategy(self.backend, account_id=f"p{n}") for n in range(3)]
        members = {"members": [{"strategyId": each.backend_id} for each in self.strategies[:2]]}
        self.portfolio = builders.strategy(self.backend, kind="portfolio", document=members)
        self.accounts = [
            builders.subscriber(self.backend, currency=self.chance.choice(CURRENCIES), is_removed=n == 11)
            for n in range(12)
        ]
        self.ways: dict[str, set[str]] = defaultdict(set)  # by account: whose signals it copies
        for account in self.accounts:
            for strategy in self.chance.sample([*self.strategies, self.portfolio], self.chance.randint(0, 3)):
                is_over = self.chance.random() < 0.2
                builders.subscription(account, strategy, first_seen_at=self.now, is_removed=is_over)
                if not is_over and not account.is_removed:
                    of = self.strategies[:2] if strategy is self.portfolio else [strategy]
                    self.ways[account.backend_id] |= {each.backend_id for each in of}

    def signals(self) -> list[SignalRow]:
        return [
            SignalRow(
                strategy_id=self.chance.choice(self.strategies).backend_id,
                signal_id=f"g{number}",
                state=self.chance.choice(["open", "open", "open", "pending"]),
                is_external=self.chance.random() < 0.3,
                symbol=self.chance.choice(SYMBOLS),
                side=self.chance.choice(["buy", "sell"]),
                lots=Decimal(self.chance.randint(1, 300)) / 100,
                open_price=Decimal(self.chance.randint(10_000, 20_000)) / 10_000,
                stop_loss=None,
                take_profit=None,
                opened_at=self.now - timedelta(minutes=self.chance.randint(1, 500)),
            )
            for number in range(self.chance.randint(0, 8))
        ]

    def positions(self, signals: list[SignalRow]) -> list[tuple[str, TerminalPosition]]:
        """Copies, also of signals that are gone, doubled ones, trades by hand, and providers' own."""
        rows, state = [], self.chance.randint(0, 10**9)  # an id is never given twice
        ids = [(signal.strategy_id, signal.signal_id, signal.symbol, signal.side) for signal in signals]
        ids += [(self.strategies[0].backend_id, "gone", "EURUSD", "buy"), ("theirs", "unknown", "EURUSD", "sell"), None]
        for number in range(self.chance.randint(0, 60)):
            of = self.chance.choice(ids)
            account = self.chance.choice([*(each.backend_id for each in self.accounts), "p0"])
            symbol, side = of[2:] if of else (self.chance.choice(SYMBOLS), self.chance.choice(["buy", "sell"]))
            result = None if self.chance.random() < 0.1 else Decimal(self.chance.randint(-9999, 9999)) / 100
            rows.append(
                (
                    account,
                    TerminalPosition(
                        id=f"{state}-{number}",
                        type=f"POSITION_TYPE_{side.upper()}",
                        symbol=symbol,
                        time=self.now - timedelta(minutes=number),
                        open_price=Decimal(self.chance.randint(10_000, 20_000)) / 10_000,
                        volume=Decimal(self.chance.randint(1, 200)) / 100,
                        unrealized_profit=result,
                        unrealized_swap=Decimal("-0.25"),
                        strategy_id=of and of[0],
                        source_strategy_id=of and of[0],
                        source_position_id=of and of[1],
                    ),
                )
            )
        return rows

    def keep(self) -> tuple[list[SignalRow], list[tuple[str, TerminalPosition]]]:
        """Keep one state of it, as a sync does."""
        signals = self.signals()
        positions = self.positions(signals)
        _, keys = keep_positions(self.backend, positions, now=self.now)
        drop_positions(self.backend, but=keys)
        keep_signals(self.backend, signals)
        rebuild(self.backend, is_list=True)
        return signals, positions


@pytest.mark.parametrize("seed", range(25))
def test_signals_and_sums_are_those_of_the_rows(workspace, alice, seed):
    book = Book(workspace, seed)
    for _ in range(3):  # one state after another: what is gone leaves nothing behind
        signals, positions = book.keep()
        assert_signals(book, signals, positions)
        assert_sums(book, positions)
        assert_lists(book, positions, alice.memberships.get())
        assert rebuild(book.backend, is_list=True) == 0
        assert keep_positions(book.backend, positions, now=book.now)[0] == 0


def at_clients(book: Book, positions):
    currency_of = {account.backend_id: account.currency for account in book.accounts}
    return [(currency_of[account], account, position) for account, position in positions if account in currency_of]


def assert_signals(book: Book, signals, positions) -> None:
    copies = defaultdict(list)
    for currency, account, position in at_clients(book, positions):
        if position.source_position_id:
            copies[position.source_strategy_id, position.source_position_id].append((currency, account, position))
    open_now = {(signal.strategy_id, signal.signal_id): signal for signal in signals}
    every = {(row.source_strategy_id, row.source_position_id) for _, row in positions if row.source_position_id}
    kept = {(row.strategy_id, row.signal_id): row for row in OpenTrade.objects.filter(connection=book.backend)}
    assert set(kept) == set(open_now) | {key for key in every if copies[key]}
    own = {strategy.backend_id for strategy in book.strategies}
    for key, row in kept.items():
        rows = copies[key]
        assert row.copies == len(rows)
        assert row.accounts == len({account for _, account, _ in rows})
        assert row.copied_lots == sum(position.volume for _, _, position in rows)
        by_currency = defaultdict(list)
        for currency, _, position in rows:
            by_currency[currency].append(position.floating)
        expected = [
            [
                currency,
                sum((one for one in results if one is not None), Decimal(0)),
                sum(one is not None for one in results),
                sum(one is None for one in results),
            ]
            for currency, results in sorted(by_currency.items())
        ]
        assert [[code, Decimal(amount), *counts] for code, amount, *counts in row.floatings] == expected
        if key not in open_now:
            assert (row.state, row.missing) == ("closed" if key[0] in own else "unknown", None)
        elif open_now[key].state == "open":
            wanted = {account for account, ways in book.ways.items() if key[0] in ways}
            assert row.missing == len(wanted - {account for _, account, _ in rows})
        else:
            assert (row.state, row.missing) == ("pending", None)


def plain_sums(book: Book, positions) -> dict:
    sums: dict = defaultdict(lambda: [0, Decimal(0), Decimal(0), 0])
    for currency, _, position in at_clients(book, positions):
        side = "buy" if position.is_bought else "sell"
        own = sums[position.source_strategy_id or "", position.symbol, side, currency]
        own[0] += 1
        own[1] += position.volume
        own[2] += position.floating or 0
        own[3] += position.floating is None
    return dict(sums)


def assert_sums(book: Book, positions) -> None:
    kept = {
        (row.source_strategy_id, row.symbol, row.side, row.currency): [
            row.positions,
            row.lots,
            row.floating,
            row.unknown,
        ]
        for row in ExposureSum.objects.filter(connection=book.backend)
    }
    assert kept == plain_sums(book, positions)


def assert_lists(book: Book, positions, membership) -> None:
    """Sums from kept sums equal those from the positions, and both plain ones; the total leaves out what is unknown."""
    kept = exposure.exposure_of(exposure.kept_rows(membership))
    live = exposure.exposure_of(exposure.position_rows(open_reads.client_positions(membership)))
    assert [vars(each) for each in kept.floatings] == [vars(each) for each in live.floatings]
    assert [(s.symbol, s.net_lots, s.gross_lots, s.positions) for s in kept.symbols] == [
        (s.symbol, s.net_lots, s.gross_lots, s.positions) for s in live.symbols
    ]
    net = defaultdict(Decimal)
    for _, _, position in at_clients(book, positions):
        net[position.symbol] += position.volume if position.is_bought else -position.volume
    assert {each.symbol: each.net_lots for each in kept.symbols} == dict(net)
    rates, today = rates_of(book.backend.workspace), book.now.date()
    total = exposure.with_total(kept, rates, "USD", today).total
    known = [
        (position.floating, currency)
        for currency, _, position in at_clients(book, positions)
        if currency in ("USD", "EUR", "JPY") and position.floating is not None
    ]
    if not at_clients(book, positions):
        assert total is None
        return
    assert total.left_out == len(at_clients(book, positions)) - len(known)
    if not known:
        assert total.amount is None
    else:
        expected = sum(amount * rates.on(today, currency, "USD").value for amount, currency in known)
        assert abs(total.amount - expected) < Decimal("0.000001")


def test_ratio_and_slippage_of_every_copy(workspace, alice):
    book = Book(workspace, 7)
    signals, positions = book.keep()
    of_key = {(signal.strategy_id, signal.signal_id): signal for signal in signals}
    rows = open_reads.client_positions(alice.memberships.get()).annotate(
        ratio=open_reads.RATIO, slippage=open_reads.SLIPPAGE
    )
    told = {str(position.id): position for _, _, position in at_clients(book, positions)}
    assert rows.count() == len(told)
    for row in rows:
        signal = of_key.get((row.source_strategy_id, row.signal_id))
        if signal is None:
            assert (row.ratio, row.slippage) == (None, None)
            continue
        assert abs(row.ratio - row.lots / signal.lots) < Decimal("0.00000001")
        worse = (row.open_price - signal.open_price) * (1 if row.side == "buy" else -1)
        assert abs(row.slippage - worse / signal.open_price * 10_000) < Decimal("0.0000001")


def test_prices_of_another_symbol_do_not_compare(workspace, alice):
    book = Book(workspace, 3)
    signal = SignalRow("s", "g", "open", False, "EURUSD", "buy", Decimal(1), Decimal("1.1"), None, None, book.now)
    keep_signals(book.backend, [signal])
    position = TerminalPosition(
        id="1",
        type="POSITION_TYPE_BUY",
        symbol="EURUSD.m",
        time=book.now,
        open_price=Decimal("1.2"),
        volume=Decimal("0.5"),
        strategy_id="s",
        source_position_id="g",
    )
    keep_positions(book.backend, [(book.accounts[0].backend_id, position)], now=book.now)
    row = (
        open_reads.client_positions(alice.memberships.get())
        .annotate(ratio=open_reads.RATIO, slippage=open_reads.SLIPPAGE)
        .get()
    )
    assert (row.ratio, row.slippage, row.floating) == (Decimal("0.5"), None, None)


def test_nothing_is_written_where_nothing_differs(workspace):
    book = Book(workspace, 5)
    _, positions = book.keep()
    before = dict(OpenPosition.objects.values_list("pk", "changed_at"))
    keep_positions(book.backend, positions, now=book.now + timedelta(hours=1))
    assert dict(OpenPosition.objects.values_list("pk", "changed_at")) == before
