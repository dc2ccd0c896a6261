"""Deals that are no copies: a balance is the sum of them and of its copies, also of accounts from before."""

from __future__ import annotations

import asyncio
import json
import math

import numpy as np
import pytest
from starlette.requests import Request

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.http.credits import Credits, CreditScope
from copying.backend.http.terminal_access import TooManyCredits, on_too_many_credits
from copying.backend.state.book import Book
from copying.backend.state.commands import DeleteAccount, Deposit, SetRules
from copying.backend.state.effects import AccountDeals, Deals
from copying.backend.state.privacy import PRIVATE_IDS, RECORDED_DEALS
from tests.unit.copying.backend.desk import Desk


def begin(desk: Desk, version: int = RECORDED_DEALS) -> None:
    desk.do(SetRules(tenant="", version=version, secret=b"x" * 16))


def nets(desk: Desk) -> dict[str, float]:
    """The sum of all deals that were told, by account."""
    sums = dict.fromkeys(desk.book.account_rows, 0.0)
    for kind in (Deals, AccountDeals):
        for deals in desk.told(kind):
            for place, row in enumerate(deals.account.tolist()):
                net = deals.profit[place] + deals.swap[place] + deals.commission[place]
                sums[desk.book.account_meta[row].id] += float(net)
    return {account_id: round(net, 2) for account_id, net in sums.items()}


def balances(desk: Desk) -> dict[str, float]:
    return {account_id: round(desk.balance(account_id), 2) for account_id in desk.book.account_rows}


def trade_a_while(desk: Desk) -> None:
    """Copies, trades by hand on both sides, stops, deposits, a withdrawal, a night."""
    desk.trade("ORDER_TYPE_BUY", stop_loss=1.09)
    desk.trade("ORDER_TYPE_SELL", "a", symbol="USDJPY")
    desk.trade("ORDER_TYPE_BUY", "yen", symbol="USDJPY", volume_lots=0.01)
    desk.do(Deposit(tenant="t", account_id="a", amount=-12.34))
    desk.tick(86_400, EURUSD=(1.08, 1.0801), USDJPY=(149.0, 149.01))
    desk.trade("POSITIONS_CLOSE_SYMBOL", "a", symbol="USDJPY")


@pytest.fixture
def traded(desk) -> Desk:
    desk.strategy()
    desk.subscriber()
    desk.account("yen", currency="JPY", deposit=900_000)
    return desk


@pytest.mark.parametrize("is_old", [False, True])
def test_a_balance_is_the_sum_of_its_deals(traded, is_old):
    begin(traded, PRIVATE_IDS) if is_old else begin(traded)
    trade_a_while(traded)
    if is_old:
        assert traded.told(AccountDeals) == []
        begin(traded)
        assert nets(traded) == balances(traded)
    trade_a_while(traded)
    assert nets(traded) == balances(traded)
    assert {deals.kind for deals in traded.told(AccountDeals)} >= {"", "DEAL_TYPE_BALANCE"}


def test_a_journal_from_before_replays_without_them(traded):
    trade_a_while(traded)
    replayed = Book(PaperBroker(), slippage_spreads=0.0)
    told = [apply(replayed, entry, number) for number, entry in enumerate(traded.entries, 1)]
    assert not [each for effects in told for each in effects.events if isinstance(each, AccountDeals)]
    assert replayed.counters == traded.book.counters


def test_a_deleted_accounts_last_deals_are_told(desk):
    begin(desk)
    desk.account("b")
    desk.trade("ORDER_TYPE_BUY", "b")
    desk.do(DeleteAccount(tenant="t", account_id="b"))
    assert [deals.entry for deals in desk.told(AccountDeals)] == ["", "IN", "OUT"]


def test_credits_are_spent_at_once_and_come_back_evenly():
    credits, now = Credits(), 1_000.0
    for _ in range(40):  # 2,000 in a second
        assert credits.take("t", "a", 50, 10, now) == (0.0, None)
    wait_s, scope = credits.take("t", "a", 50, 10, now)
    assert (round(wait_s, 6), scope and (scope.kind, scope.period)) == (0.025, ("perServer", "1s"))
    assert credits.take("u", "b", 50, 10, now) == (0.0, None)
    assert credits.take("t", "a", 50, 10, now + 0.02)[1] is not None
    assert credits.take("t", "a", 50, 10, now + 0.025) == (0.0, None)


def test_an_account_is_stopped_while_its_tenant_goes_on():
    credits = Credits()
    for second in range(4):
        credits.spend("t", "a", 1_700, 100, float(second))
    scope = credits.take("t", "a", 301, 100, 3.0)[1]  # the account has 5,000 - 6,800 + 3 * 500 = -300
    assert scope is not None
    assert scope.kind == "perAccount"
    assert credits.take("t", "b", 250, 100, 3.0) == (0.0, None)


@pytest.mark.parametrize(
    ("cost", "wait_s", "available", "used"), [(50, 0.5, 0, 6_000), (50, 0.25, 25, 5_975), (75, 1.75, 0, 6_100)]
)
def test_what_is_left_is_told_and_no_debt(cost, wait_s, available, used):
    scope = CreditScope("perUser", "1m", 60, 6_000)
    answer = asyncio.run(on_too_many_credits(Request({"type": "http"}), TooManyCredits(cost, wait_s, scope)))
    body = json.loads(bytes(answer.body))
    credits = {name: body["metadata"][f"credits{name}"] for name in ("Available", "Used", "Required")}
    assert credits == {"Available": available, "Used": used, "Required": cost}
    assert body["metadata"]["periodInSeconds"] == 60
    assert answer.headers["retry-after"] == str(max(1, math.ceil(wait_s)))


def test_a_debt_is_paid_back_before_anything_is_given():
    credits = Credits()
    credits.spend("t", "a", 7_000, 100, 0.0)
    assert credits.usage("t", "a", 100, 0.0)["perAccount"][0]["available"] == 0
    wait_s, scope = credits.take("t", "a", 50, 100, 0.0)
    assert (round(wait_s, 3), scope and scope.kind) == (4.1, "perAccount")


def test_every_column_of_a_deal_has_a_row_for_each(traded: Desk) -> None:
    begin(traded)
    trade_a_while(traded)
    told = traded.told(AccountDeals)
    assert {deals.entry for deals in told} >= {"", "IN", "OUT"}
    for deals in told:
        columns = [getattr(deals, name) for name in AccountDeals.__slots__]
        assert {len(column) for column in columns if isinstance(column, np.ndarray)} == {len(deals.account)}
