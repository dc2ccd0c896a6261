"""What a charting service posts, in the contract's words."""

import hashlib
import time

import pytest

from copying.backend.errors import Refused
from copying.backend.http.webhooks import Posts, in_contract_words, refuse_repeat


@pytest.mark.parametrize(
    ("posted", "kind"),
    [
        ("buy", "POSITION_TYPE_BUY"), ("BUY", "POSITION_TYPE_BUY"), ("Long", "POSITION_TYPE_BUY"),
        ("sell", "POSITION_TYPE_SELL"), ("short", "POSITION_TYPE_SELL"), ("position_type_buy", "POSITION_TYPE_BUY"),
        ("order_type_sell_limit", "ORDER_TYPE_SELL_LIMIT"), ("Close", "close"), ("exit", "close"), ("FLAT", "close"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["type", "action"])
def test_types_are_taken_in_any_case(posted: str, kind: str, name: str) -> None:
    told = in_contract_words({name: posted})["type"]
    assert told == kind or (kind == "close" and told in ("exit", "flat"))


@pytest.mark.parametrize(("text", "number"), [("0.1", 0.1), ("2", 2.0), (" 1000.5 ", 1000.5)])
def test_numbers_may_be_in_quotes(text: str, number: float) -> None:
    assert in_contract_words({"volume": text, "stopLoss": text}) == {"volume": number, "stopLoss": number}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2%", "percentage"), ("1,000.5", "without commas"), ("0,5", "without commas"), ("NaN", "a number"),
        ("na", "a number"), ("1e3", "a number"), ("-1", "a number"), ("", "a number"), ("inf", "a number"),
        ("{{strategy.order.contracts}}", "placeholder"),
    ],
)  # fmt: skip
def test_bad_numbers_are_never_guessed(text: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        in_contract_words({"volume": text})
    assert refused.value.details[0]["parameter"] == "volume"
    assert words in refused.value.message


def test_the_same_alert_is_refused_only_with_a_guard() -> None:
    posts = Posts()
    refuse_repeat(posts, b"a", 60)
    posts.digest, posts.digest_at = hashlib.blake2b(b"a", digest_size=16).digest(), time.monotonic()
    for body, seconds in ((b"a", None), (b"a", 0), (b"b", 60)):
        refuse_repeat(posts, body, seconds)
    with pytest.raises(Refused) as refused:
        refuse_repeat(posts, b"a", 60)
    assert refused.value.status == 409
    posts.digest_at -= 61
    refuse_repeat(posts, b"a", 60)
