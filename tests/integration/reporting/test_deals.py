"""A transaction says whether it opened or closed, on which side, and which position; lots have no sign."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from django.utils import timezone

from reporting.models import Transaction
from tests import builders

pytestmark = pytest.mark.django_db
DEALS = (  # id, type, signed lots, what the page says, entry, side
    ("1:open", "DEAL_TYPE_SELL", "-0.02", "Open sell", "in", "sell"),
    ("2:close", "DEAL_TYPE_BUY", "0.02", "Close sell", "out", "sell"),
    ("3:open", "DEAL_TYPE_BUY", "0.5", "Open buy", "in", "buy"),
    ("4:close", "DEAL_TYPE_SELL", "-0.5", "Close buy", "out", "buy"),
    ("5", "DEAL_TYPE_BUY", "0.1", "Buy", "", "buy"),
)


@pytest.fixture
def account(workspace, alice, dora):
    connection = builders.connection(workspace)
    account = builders.subscriber(connection, access=dora)
    for number, (deal_id, kind, lots, *_) in enumerate(DEALS):
        Transaction.objects.create(
            workspace=workspace,
            connection=connection,
            backend_id=deal_id,
            strategy_id="s",
            type=kind,
            symbol="EURUSD",
            subscriber_id=account.backend_id,
            time=timezone.now(),
            volume_lots=Decimal(lots),
            price=Decimal("1.1"),
            position_id=f"p{number}",
            subscriber_position_id="" if number % 2 else f"own{number}",
            profit=0,
            swap=0,
            improvement=0,
            provider_commission=0,
            platform_commission=0,
        )
    return account


def test_page_and_file(account, sign_in, alice, dora, text_of):
    for person in (alice, dora):
        client = sign_in(person)
        page = client.get("/transactions/").content.decode()
        for _, _, _, words, *_ in DEALS:
            assert words in page
        assert "\u22120.02" not in page
        file = text_of(client.get("/transactions/?format=csv")).removeprefix("\ufeff")
        rows = {row["id"]: row for row in csv.DictReader(io.StringIO(file))}
        for number, (deal_id, kind, lots, _, entry, side) in enumerate(DEALS):
            row = rows[deal_id]
            assert (row["type"], row["entry"], row["side"]) == (kind, entry, side)
            assert Decimal(row["volume_lots"]) == abs(Decimal(lots))
            assert row["position"] == (f"p{number}" if number % 2 else f"own{number}")


@pytest.mark.parametrize(("entry", "ids"), [("in", {"1:open", "3:open"}), ("out", {"2:close", "4:close"})])
def test_filter(account, sign_in, alice, text_of, entry, ids):
    file = text_of(sign_in(alice).get(f"/transactions/?entry={entry}&format=csv")).removeprefix("\ufeff")
    assert {row["id"] for row in csv.DictReader(io.StringIO(file))} == ids
