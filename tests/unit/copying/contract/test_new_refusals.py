"""Values that were accepted and ignored, or could not be named: refused, or taken, in what is newly written."""

import pytest

from copying.contract.validation import Invalid, validate
from copying.engine.fold import CopyTerms
from copying.engine.model import Level

SUBSCRIBER = {"name": "a", "subscriptions": [{"strategyId": "S", "multiplier": 1}]}
STRATEGY = {"name": "s", "description": "", "accountId": "p"}


@pytest.mark.parametrize(("multiplier", "is_taken"), [(-0.1, False), (0, False), (0.001, True)])
def test_a_multiplier_is_above_nothing(multiplier: float, is_taken: bool) -> None:
    document = {"name": "a", "subscriptions": [{"strategyId": "S", "multiplier": multiplier}]}
    if is_taken:
        validate("subscriber", document)
        return
    with pytest.raises(Invalid) as refused:
        validate("subscriber", document)
    assert refused.value.details[0]["parameter"] == "subscriptions.0.multiplier"


@pytest.mark.parametrize("mode", ["ACCOUNT_MARGIN_MODE_RETAIL_NETTING", "netting"])
def test_a_netting_account_is_refused(mode: str) -> None:
    validate("account", {"name": "a", "marginMode": "ACCOUNT_MARGIN_MODE_RETAIL_HEDGING"})
    with pytest.raises(Invalid) as refused:
        validate("account", {"name": "a", "marginMode": mode})
    assert refused.value.details[0]["parameter"] == "marginMode"


@pytest.mark.parametrize(
    ("text", "is_taken"), [("-1", True), ("-5--1", True), ("-5-3", True), ("3--5", False), ("--1", False), ("-", False)]
)
def test_magic_numbers_may_be_negative(text: str, is_taken: bool) -> None:
    document = STRATEGY | {"magicFilter": {"included": [text]}}
    if is_taken:
        validate("strategy", document)
    else:
        with pytest.raises(Invalid):
            validate("strategy", document)


@pytest.mark.parametrize(
    ("settings", "lots"),
    [
        ({"multiplier": 0.5, "tradeSizeScaling": {"mode": "none"}}, 0.2),
        ({"multiplier": 0.5, "tradeSizeScaling": {"mode": "fixedVolume", "tradeVolume": 0.07}}, 0.07),
        ({}, 0.4),
    ],
)
def test_the_wanted_volume_is_after_the_multiplier(settings: dict, lots: float) -> None:
    assert CopyTerms().at(Level.SUBSCRIPTION, settings).wanted_lots(0.4) == pytest.approx(lots)
