"""Copies that lost their signal, and signals that lost their position, are found, told and closed."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from copying.backend.core.render import Renderer, Rows
from copying.backend.signals import orphans
from copying.backend.state.commands import FindOrphans, Resynchronise, SetConnection
from copying.backend.state.effects import Deals
from tests.unit.copying.backend.desk import Desk


@pytest.fixture
def copying(desk: Desk) -> Desk:
    desk.strategy()
    desk.subscriber("a")
    desk.subscriber("b")
    return desk


def lose_signals(desk: Desk) -> None:
    """What no entry can do: the signals are gone and nobody told the copies."""
    desk.book.signals.clear()
    desk.book.signal_rows.clear()


def lose_position(desk: Desk) -> None:
    """The provider's own position is gone and nobody told the signal."""
    desk.book.positions.keep(desk.book.positions.subscription >= 0)


def find(desk: Desk) -> Rows:
    effects = desk.do(FindOrphans(tenant=""))
    return rendered(desk, effects)


def rendered(desk: Desk, effects) -> Rows:
    rows = Rows()
    list(Renderer(desk.book).render(effects, rows))
    return rows


def decisions(rows: Rows) -> list[tuple[str, str, str]]:
    found = [msgspec.json.decode(row[1]) for row in rows.decisions]
    return [(each["subscriberId"], each["outcome"], each["reason"]) for each in found]


ORPHANED = [("a", "skipped", "orphan"), ("b", "skipped", "orphan")]


def test_copies_without_a_signal_are_closed_with_decision_and_log(copying: Desk) -> None:
    copying.signal()
    assert not orphans.exist(copying.book)
    lose_signals(copying)
    assert orphans.exist(copying.book)
    rows = find(copying)
    assert copying.held("a") == copying.held("b") == []
    assert decisions(rows) == ORPHANED
    lines = [msgspec.json.decode(row[1])["message"] for row in rows.log]
    assert lines.count("The provider's position is gone: the copy that was left is closed.") == 2
    assert sum("orphan: its signal is closed" in line for line in lines) == 2
    assert not orphans.exist(copying.book)


def test_a_signal_without_its_position_is_closed_with_its_copies(copying: Desk) -> None:
    answer = copying.trade("ORDER_TYPE_BUY")
    lose_position(copying)
    assert orphans.exist(copying.book)
    rows = find(copying)
    assert copying.held("a") == copying.held("b") == []
    assert copying.book.signals == {}
    assert decisions(rows) == ORPHANED
    documents = [msgspec.json.decode(row[1]) for row in rows.log]
    warned = [each for each in documents if each["level"] == "WARN"]
    assert [(each["strategyId"], each["positionId"]) for each in warned] == [("S", answer["positionId"])]
    assert [each.cause for each in copying.told(Deals)][-1] == "orphan: the provider's position is gone"


def test_pending_copies_without_a_signal_are_withdrawn(copying: Desk) -> None:
    copying.trade("ORDER_TYPE_BUY_LIMIT", price=1.09)
    copying.book.orders.keep(copying.book.orders.subscription >= 0)
    assert decisions(find(copying)) == ORPHANED
    assert copying.waiting("a") == copying.waiting("b") == []


@pytest.mark.parametrize("lose", [lose_signals, lose_position])
def test_resynchronisation_looks_for_orphans(copying: Desk, lose) -> None:
    copying.trade("ORDER_TYPE_BUY")
    lose(copying)
    effects = copying.do(Resynchronise(tenant="t", subscriber_id="a"))
    assert decisions(rendered(copying, effects))[0] == ORPHANED[0]
    assert copying.held("a") == []


def test_accounts_without_connection_wait(copying: Desk) -> None:
    copying.signal()
    copying.do(SetConnection(tenant="t", account_id="a", is_connected=False))
    copying.do(SetConnection(tenant="t", account_id="b", is_connected=False))
    lose_signals(copying)
    assert not orphans.exist(copying.book)
    effects = copying.do(SetConnection(tenant="t", account_id="a", is_connected=True))
    assert decisions(rendered(copying, effects)) == ORPHANED[:1]
    assert (copying.held("a"), copying.held("b")) == ([], [("EURUSD", 1, 0.1)])


def test_trades_by_hand_are_nobodys_orphans(copying: Desk) -> None:
    copying.trade("ORDER_TYPE_BUY", "a")
    copying.do(FindOrphans(tenant=""))
    assert copying.held("a") == [("EURUSD", 1, 0.1)]
    accounts = copying.book.accounts
    assert np.allclose(accounts.balance, accounts.deposits + accounts.traded)
