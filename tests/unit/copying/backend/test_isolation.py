"""Which accounts an entry is carried out without after a fault: as few as can be, never the one that trades itself."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from copying.backend.core.faults import isolate, set_aside
from copying.backend.state.book import Book
from copying.backend.state.commands import CommandEntry, Tick, Trade
from copying.backend.state.effects import Effects
from tests.unit.copying.backend.desk import Desk

ACCOUNTS = [f"a{number}" for number in range(11)]
TICK = CommandEntry(time=1.0, quotes={}, command=Tick(tenant=""))
CLOSING = Trade(tenant="t", account_id="a3", action_type="POSITIONS_CLOSE_SYMBOL", symbol="EURUSD")
TRADE = CommandEntry(time=1.0, quotes={}, command=CLOSING)


@pytest.fixture
def book(desk: Desk) -> Book:
    for account_id in ACCOUNTS:
        desk.account(account_id)
    return desk.book


def failing(*groups: set[str]):
    """Carries an entry out, and raises when all accounts of any group take part."""

    def carry(book: Book, entry: CommandEntry, sequence: int) -> Effects:
        if any(not group & set(entry.faulty) for group in groups):
            raise ZeroDivisionError("planted")
        return Effects(sequence, 0.0)

    return carry


@pytest.mark.parametrize("account_id", ACCOUNTS)
def test_one_account_that_fails_is_left_out_alone(book: Book, account_id: str) -> None:
    isolated = isolate(book, TICK, 1, failing({account_id}))
    assert isolated is not None
    assert isolated.faulty == [account_id]


@pytest.mark.parametrize("pair", list(itertools.combinations(ACCOUNTS[::2], 2)), ids="+".join)
def test_two_accounts_that_fail_each_are_left_out_and_nobody_else(book: Book, pair: tuple[str, str]) -> None:
    isolated = isolate(book, TICK, 1, failing({pair[0]}, {pair[1]}))
    assert isolated is not None
    assert sorted(isolated.faulty) == sorted(pair)


@pytest.mark.parametrize("seed", range(20))
def test_of_accounts_that_fail_together_no_more_are_left_out_than_it_takes(book: Book, seed: int) -> None:
    random = Random(seed)
    groups = [set(random.sample(ACCOUNTS, random.randrange(1, 4))) for _ in range(random.randrange(1, 4))]
    carry = failing(*groups)
    isolated = isolate(book, TICK, 1, carry)
    assert isolated is not None
    carry(book, isolated, 1)
    for account_id in isolated.faulty:
        fewer = [other for other in isolated.faulty if other != account_id]
        with pytest.raises(ZeroDivisionError):
            carry(book, CommandEntry(time=1.0, quotes={}, command=TICK.command, faulty=fewer), 1)


def test_the_account_that_trades_itself_is_never_left_out(book: Book) -> None:
    assert isolate(book, TRADE, 1, failing({"a3"})) is None, "a trade that is not done would be answered"
    isolated = isolate(book, TRADE, 1, failing({"a3", "a7"}))
    assert isolated is not None
    assert isolated.faulty == ["a7"]


def test_what_fails_without_anybody_is_not_put_down_to_accounts(book: Book) -> None:
    assert isolate(book, TICK, 1, failing(set())) is None


def test_what_stands_for_an_entry_goes_by_its_rules():
    """By none, the prices that came with the entry would be taken in as before the table of instruments."""
    entry = CommandEntry(time=2.0, received=1.0, rules=3, quotes={"US30": (1.0, 2.0)}, command=TRADE.command)
    note = set_aside(entry, ZeroDivisionError("planted"))
    assert (note.time, note.received, note.rules, note.quotes) == (2.0, 1.0, 3, entry.quotes)
