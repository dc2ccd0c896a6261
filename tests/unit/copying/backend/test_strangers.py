"""Objects of a tenant are not there for others, whatever their names: one that sorts before and one that sorts behind.

The answer to a stranger is the one to an object that does not exist, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from copying.backend.http import reads
from copying.backend.state import commands, snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import Command
from tests.unit.copying.backend.desk import MONDAY, Desk

STRANGERS = ["s", "u", "", "tt", "T"]  # the owner is t
LIMIT = {"type": "date", "applyTo": "balance-minus-equity", "maxAbsoluteRisk": 1}
SIGNAL = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2100-01-01T00:00:00.000Z", "volume": 0.1}
MOMENT = datetime.fromtimestamp(MONDAY, UTC)


@pytest.fixture
def owned(desk: Desk) -> Desk:
    """One of everything, of tenant t."""
    desk.strategy()
    desk.portfolio("P", [{"strategyId": "S"}])
    desk.subscriber("a", "P", settings={"riskLimits": [LIMIT]})
    desk.do(commands.PutWebhook(tenant="t", strategy_id="S", webhook_id="hook", document={"symbolMapping": []}))
    desk.signal()
    desk.trade("ORDER_TYPE_BUY", "a")
    desk.trade("ORDER_TYPE_BUY_LIMIT", "a", price=1.0)
    desk.tick(1, EURUSD=(1.09, 1.0901))
    assert reads.stopouts(desk.book, "t", "a")
    return desk


def ticket(desk: Desk, table: str) -> str:
    return str(int(getattr(desk.book, table).id[-1]))


COMMANDS: dict[str, Callable[[Desk, str], Command]] = {
    "put strategy": lambda desk, tenant: commands.PutStrategy(
        tenant=tenant, strategy_id="S", document={"name": "mine", "description": "", "accountId": "prov"}
    ),
    "put portfolio": lambda desk, tenant: commands.PutPortfolio(
        tenant=tenant, strategy_id="P", document={"name": "mine", "description": "", "members": []}
    ),
    "put subscriber": lambda desk, tenant: commands.PutSubscriber(
        tenant=tenant, subscriber_id="a", document={"name": "mine", "subscriptions": []}
    ),
    "put webhook": lambda desk, tenant: commands.PutWebhook(
        tenant=tenant, strategy_id="S", webhook_id="hook", document={"magic": 1}
    ),
    "remove webhook": lambda desk, tenant: commands.RemoveWebhook(tenant=tenant, strategy_id="S", webhook_id="hook"),
    "put signal": lambda desk, tenant: commands.PutSignal(
        tenant=tenant, strategy_id="S", signal_id="other", document=SIGNAL
    ),
    "change signal": lambda desk, tenant: commands.PutSignal(
        tenant=tenant, strategy_id="S", signal_id="sig00001", document={**SIGNAL, "volume": 0.05}
    ),
    "remove signal": lambda desk, tenant: commands.RemoveSignal(
        tenant=tenant, strategy_id="S", signal_id="sig00001", time=MOMENT
    ),
    "reset stopouts": lambda desk, tenant: commands.ResetStopouts(
        tenant=tenant, subscriber_id="a", reason="date-balance-minus-equity"
    ),
    "resynchronise": lambda desk, tenant: commands.Resynchronise(tenant=tenant, subscriber_id="a"),
    "deposit": lambda desk, tenant: commands.Deposit(tenant=tenant, account_id="a", amount=-5_000),
    "trade": lambda desk, tenant: commands.Trade(
        tenant=tenant, account_id="a", action_type="ORDER_TYPE_BUY", symbol="EURUSD", volume_lots=0.1
    ),
    "close position": lambda desk, tenant: commands.Trade(
        tenant=tenant, account_id="a", action_type="POSITION_CLOSE_ID", position_id=ticket(desk, "positions")
    ),
    "cancel order": lambda desk, tenant: commands.Trade(
        tenant=tenant, account_id="a", action_type="ORDER_CANCEL", order_id=ticket(desk, "orders")
    ),
    "set connection": lambda desk, tenant: commands.SetConnection(tenant=tenant, account_id="a", is_connected=False),
    "open account": lambda desk, tenant: commands.OpenAccount(tenant=tenant, account_id="a", name="mine"),
    **{
        f"remove {what}": lambda desk, tenant, what=what, key=key, part=part: commands.Remove(  # type: ignore[misc]
            tenant=tenant, what=what, id=key, part=part
        )
        for what, key, part in (
            ("strategy", "S", ""),
            ("portfolio", "P", ""),
            ("member", "P", "S"),
            ("subscriber", "a", ""),
            ("subscription", "a", "P"),
        )
    },
}


def state(book: Book) -> dict:
    """What a snapshot holds, without what any entry moves on."""
    packed = snapshot.msgspec.msgpack.decode(snapshot.pack(book))
    return {name: value for name, value in packed.items() if name not in ("sequence", "time", "tenant_names")}


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_stranger_is_refused_and_changes_nothing(owned: Desk, name: str, stranger: str) -> None:
    before = state(owned.book)
    refused = owned.try_(COMMANDS[name](owned, stranger)).refused
    assert refused is not None
    assert refused.status == 404
    assert state(owned.book) == before


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "put signal"])
def test_the_owner_is_not(owned: Desk, name: str) -> None:
    """Else the refusals above would say nothing."""
    refused = owned.try_(COMMANDS[name](owned, "t")).refused
    assert refused is None or refused.status != 404


READS: dict[str, Callable[[Book, str], object]] = {
    "strategies": reads.strategies,
    "portfolios": reads.portfolios,
    "subscribers": reads.subscribers,
    "strategy": lambda book, tenant: reads.strategy(book, tenant, "S"),
    "portfolio": lambda book, tenant: reads.portfolio(book, tenant, "P"),
    "subscriber": lambda book, tenant: reads.subscriber(book, tenant, "a"),
    "webhooks": lambda book, tenant: reads.webhooks(book, tenant, "S"),
    "external signals": lambda book, tenant: reads.external_signals(book, tenant, "S"),
    "trading signals": lambda book, tenant: reads.trading_signals(book, tenant, "a"),
    "stopouts": lambda book, tenant: reads.stopouts(book, tenant, "a"),
    "last stopout": reads.last_stopout,
    "accounts": reads.account_information,
    "account": lambda book, tenant: reads.account(book, tenant, "a"),
    "positions": lambda book, tenant: reads.account_positions(book, tenant, "a"),
    "orders": lambda book, tenant: reads.account_orders(book, tenant, "a"),
    "risk limits": reads.risk_limits,
}


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("name", READS)
def test_a_stranger_reads_nothing(owned: Desk, name: str, stranger: str) -> None:
    assert READS[name](owned.book, "t")
    assert not READS[name](owned.book, stranger)


@pytest.mark.parametrize("stranger", STRANGERS[:2])
def test_what_two_tenants_have_is_told_apart(owned: Desk, stranger: str) -> None:
    """Each sees the own ones of lists that hold those of both."""
    owned.do(commands.OpenAccount(tenant=stranger, account_id="z", name="z"))
    document = {"name": "Z", "description": "", "accountId": "z"}
    owned.do(commands.PutStrategy(tenant=stranger, strategy_id="Z", document=document))
    subscriber = {"name": "z", "subscriptions": [{"strategyId": "Z"}]}
    owned.do(commands.PutSubscriber(tenant=stranger, subscriber_id="z", document=subscriber))
    for tenant, strategy_id, account_ids in (("t", "S", ["a", "prov"]), (stranger, "Z", ["z"])):
        assert [known["_id"] for known in reads.strategies(owned.book, tenant)] == [strategy_id]
        assert [known["accountId"] for known in reads.account_information(owned.book, tenant)] == account_ids
    assert [known["_id"] for known in reads.subscribers(owned.book, stranger)] == ["z"]
    assert [known["_id"] for known in reads.subscribers(owned.book, "t")] == ["a"]
