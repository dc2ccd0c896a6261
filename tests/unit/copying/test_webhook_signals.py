"""What a post to a webhook becomes (contract, S5)."""

import pytest

from copying.backend.http.signals import webhook_signal

POSTED = {"symbol": "EURUSDi", "type": "POSITION_TYPE_BUY", "time": "2026-01-05T00:00:00.000Z", "volume": 0.1}


@pytest.mark.parametrize(
    ("webhook", "symbol", "magic"),
    [
        ({}, "EURUSDi", None),
        ({"magic": 7}, "EURUSDi", 7),
        ({"magic": 0}, "EURUSDi", 0),
        ({"symbolMapping": [{"from": "EURUSDi", "to": "EURUSD"}]}, "EURUSD", None),
        ({"symbolMapping": [{"from": "GBPUSDi", "to": "GBPUSD"}]}, "EURUSDi", None),
    ],
)
def test_magic_and_mapping_of_the_webhook_are_applied(webhook, symbol, magic):
    signal = webhook_signal(POSTED, webhook)
    assert signal["symbol"] == symbol
    assert signal.get("magic") == magic
    assert POSTED["symbol"] == "EURUSDi"
