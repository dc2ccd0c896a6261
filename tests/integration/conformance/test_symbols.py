"""Symbols, specifications and prices on the terminal's host (account APIs, A7 to A9)."""

from __future__ import annotations

import re
import uuid

import pytest

from .conftest import ACCOUNTS, PROVISIONING, TERMINAL

pytestmark = pytest.mark.django_db


def test_symbols_are_listed_described_and_priced(alice):
    path = f"{ACCOUNTS}/{alice.create()}/symbols"
    symbols = alice.get(TERMINAL, path)
    assert {"EURUSD", "XAUUSD", "US30"} <= set(symbols)
    specification = alice.get(TERMINAL, f"{path}/%23US30/specification")
    assert (specification["symbol"], specification["contractSize"]) == ("#US30", 1)
    price = alice.get(TERMINAL, f"{path}/EURUSD/current-price?keepSubscription=true")
    assert price["bid"] < price["ask"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", price["brokerTime"])


@pytest.mark.parametrize("part", ["", "/EURUSD/specification", "/EURUSD/current-price"])
def test_symbols_of_what_is_anothers_or_stopped_are_not_there(alice, bob, part):
    account_id = alice.create()
    path = f"{ACCOUNTS}/{account_id}/symbols{part}"
    bob.refused(404, TERMINAL, "GET", path)
    alice.refused(404, TERMINAL, "GET", f"{ACCOUNTS}/{uuid.uuid4()}/symbols{part}")
    alice.refused(404, PROVISIONING, "GET", path)  # another host
    assert alice.call(TERMINAL, "GET", path).status_code == 200
    assert alice.call(PROVISIONING, "POST", f"{ACCOUNTS}/{account_id}/undeploy").status_code == 204
    assert "not deployed" in alice.refused(404, TERMINAL, "GET", path)["message"]


@pytest.mark.parametrize("symbol", ["NOTHING", "%23%23US30", "eurusd", "%F0%9F%98%80", "%00", "EURUSD.toolongsuffix"])
@pytest.mark.parametrize("call", ["specification", "current-price"])
def test_a_symbol_that_the_broker_does_not_have_is_404(alice, symbol, call):
    alice.refused(404, TERMINAL, "GET", f"{ACCOUNTS}/{alice.create()}/symbols/{symbol}/{call}")
