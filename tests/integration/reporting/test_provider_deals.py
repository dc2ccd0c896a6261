"""Trades that nobody copied, over a backend that keeps its decisions to itself: known by the provider's own deals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction as transactions
from django.db.models import F
from django.utils import timezone

from copying.contract.accounts import TradeRequest
from copying.contract.terminal import TerminalDeal
from jobs.kinds import Work
from jobs.models import Job
from reporting.models import Decision, DecisionCount, MirroredSignal, SyncKind, SyncState
from reporting.reconstruction import runs
from reporting.sync.provider_deals import ASKED, trades_of
from strategies.versions import DocumentVersion
from tests.contract_only import ContractOnly
from tests.faults.mirroring import settle
from tests.integration.editing.conftest import desk, served
from tests.integration.editing.test_looking_back import lead_to

__all__ = ["desk", "served"]
MOMENT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def deal(number: int, **fields) -> TerminalDeal:
    plain = {
        "id": str(number),
        "type": "DEAL_TYPE_BUY",
        "entry_type": "DEAL_ENTRY_IN",
        "time": MOMENT + timedelta(seconds=number),
        "symbol": "EURUSD",
        "volume": Decimal("0.1"),
        "price": Decimal("1.1"),
        "position_id": "p1",
    }
    return TerminalDeal(**{**plain, **fields})


def test_a_trade_is_what_its_first_deals_opened():
    deals = [
        deal(3, type="DEAL_TYPE_SELL", entry_type="DEAL_ENTRY_OUT"),
        deal(2, volume=Decimal("0.2"), price=Decimal("1.2")),
        deal(1, stop_loss=Decimal("1.09"), magic=7),
        deal(4, position_id="p2", type="DEAL_TYPE_SELL"),
        deal(5, position_id=None, type="DEAL_TYPE_BALANCE", symbol=None),
        deal(6, position_id="p3", volume=Decimal(0)),
    ]
    first, second = trades_of(deals)
    names = ("signal_id", "side", "lots", "price", "stop_loss", "take_profit", "magic", "time")
    volume, price, stop = Decimal("0.3"), Decimal("1.1"), Decimal("1.09")
    assert [first[name] for name in names] == ["p1", "buy", volume, price, stop, None, 7, deal(1).time]
    assert [second[name] for name in names[:3]] == ["p2", "sell", Decimal("0.1")]


@pytest.mark.django_db(transaction=True)
def test_a_trade_that_nobody_copied_and_that_is_over_has_a_decision_for_everybody(desk):
    backend, account = desk.connection, desk.id("p-boreal")
    with desk.client() as client:
        refused = [{"strategyId": desk.boreal.backend_id, "allowedSides": ["sell"]}]
        client.put_subscriber(desk.id("other"), {"name": "Other", "subscriptions": refused})
        desk.mirror()
        client.trade(account, TradeRequest(action_type="ORDER_TYPE_BUY", symbol="EURUSD", volume=0.1))
        [position] = client.account_positions(account)
        client.trade(account, TradeRequest(action_type="POSITION_CLOSE_ID", position_id=str(position["id"])))
    with ContractOnly(desk.backend.url, passes_accounts=True) as door:
        lead_to(desk, door.url)
        desk.backend.settle()
        for kinds in ([SyncKind.CONFIGURATION], None, [SyncKind.POSITIONS]):
            settle(backend, kinds)
        signal = MirroredSignal.objects.get(strategy_id=desk.boreal.backend_id)
        assert (signal.signal_id, signal.lots, signal.side) == (str(position["id"]), Decimal("0.1"), "buy")
        ago = timedelta(minutes=10)  # it is settled by then
        MirroredSignal.objects.update(time=F("time") - ago)
        names = ("first_seen_at", "last_seen_at", "replaced_at")
        DocumentVersion.objects.update(**{name: F(name) - ago for name in names})
        with transactions.atomic():
            list(runs.slices(Work(Job(workspace=backend.workspace, kind="reconstruction"), None, timezone.now())))
        asked = SyncState.objects.get(connection=backend, kind=SyncKind.POSITIONS).cursor[ASKED]
        assert account in asked
        settle(backend, [SyncKind.POSITIONS])
        again = SyncState.objects.get(connection=backend, kind=SyncKind.POSITIONS).cursor[ASKED]
        assert again[account] == asked[account], "not asked again at once"
    [row] = Decision.objects.all()
    assert (row.subscriber_id, row.reason, row.is_reconstructed) == (desk.id("other"), "side-not-allowed", True)
    assert row.provider_lots == Decimal("0.1")
    assert DecisionCount.objects.get().decisions == 1
