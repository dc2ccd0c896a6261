"""A firm at a real embedded backend, with external signals and positions of providers that accounts copy."""

from __future__ import annotations

import pytest

from copying.contract.accounts import TradeRequest
from reporting.models import SyncKind
from tests.faults.mirroring import sync
from tests.integration.editing.conftest import desk, person, served  # noqa: F401


@pytest.fixture
def read(desk):  # noqa: F811
    """A function that reads what is open, as the sync does."""

    def once() -> None:
        (state,) = sync(desk.connection, [SyncKind.POSITIONS])
        assert state.error == ""

    return once


@pytest.fixture
def trade(desk):  # noqa: F811
    """A function that trades on an account by hand; returns the position's id."""

    def once(account_id: str, side: str = "BUY", symbol: str = "EURUSD", volume: float = 0.2) -> str:
        with desk.client() as client:
            request = TradeRequest(action_type=f"ORDER_TYPE_{side}", symbol=symbol, volume=volume)
            return client.trade(account_id, request).position_id

    return once
