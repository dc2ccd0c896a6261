"""What a charting service posts, in the contract's words."""

from contextlib import nullcontext

import pytest

from copying.backend.http.webhooks import (
    MOST_TAKEN,
    Posts,
    give_back,
    in_contract_words,
    take,
)
from copying.backend.state.errors import Refused


@pytest.mark.parametrize(
    ("posted", "kind"),
    [
        ("buy", "POSITION_TYPE_BUY"),
        ("BUY", "POSITION_TYPE_BUY"),
        ("Long", "POSITION_TYPE_BUY"),
        ("sell", "POSITION_TYPE_SELL"),
        ("short", "POSITION_TYPE_SELL"),
        ("position_type_buy", "POSITION_TYPE_BUY"),
        ("order_type_sell_limit", "ORDER_TYPE_SELL_LIMIT"),
        ("Close", "close"),
        ("exit", "close"),
        ("FLAT", "close"),
    ],
)
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
        ("2%", "percentage"),
        ("1,000.5", "without commas"),
        ("0,5", "without commas"),
        ("NaN", "a number"),
        ("na", "a number"),
        ("1e3", "a number"),
        ("-1", "a number"),
        ("", "a number"),
        ("inf", "a number"),
        ("{{strategy.order.contracts}}", "placeholder"),
    ],
)
def test_bad_numbers_are_never_guessed(text: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        in_contract_words({"volume": text})
    assert refused.value.details[0]["parameter"] == "volume"
    assert words in refused.value.message


def test_the_same_alert_is_refused_only_with_a_guard() -> None:
    posts = Posts()
    taken = take(posts, b"a", 60)
    for body, seconds in ((b"a", None), (b"a", 0), (b"b", 60)):
        take(posts, body, seconds)
    with pytest.raises(Refused) as refused:  # also with another alert between the two
        take(posts, b"a", 60)
    assert refused.value.status == 409
    posts.taken_at[taken] -= 61
    take(posts, b"a", 60)


@pytest.mark.parametrize(("age", "is_refused"), [(59.9, True), (60.0, False), (60.1, False)])
def test_the_guard_ends_exactly_with_its_seconds(monkeypatch: pytest.MonkeyPatch, age: float, is_refused: bool) -> None:
    now, posts = 1000.0, Posts()
    monkeypatch.setattr("copying.backend.http.webhooks.time.monotonic", lambda: now)
    take(posts, b"a", 60)
    now += age
    with pytest.raises(Refused) if is_refused else nullcontext():
        take(posts, b"a", 60)


def test_an_alert_that_came_to_nothing_may_come_again() -> None:
    posts = Posts()
    give_back(posts, take(posts, b"a", 60))
    take(posts, b"a", 60)


def test_few_alerts_are_remembered() -> None:
    posts = Posts()
    for number in range(MOST_TAKEN + 1):
        take(posts, str(number).encode(), 60)
    assert len(posts.taken_at) == MOST_TAKEN
    take(posts, b"0", 60)
    with pytest.raises(Refused):
        take(posts, str(MOST_TAKEN).encode(), 60)
