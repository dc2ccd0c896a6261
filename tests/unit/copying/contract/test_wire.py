"""JSON in and out: exact numbers, bounds, times, and edits that lose nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copying.contract import wire
from copying.contract.accounts import AccountSnapshot
from copying.contract.documents import Counted, StrategyUpdate, SubscriberDocument, SubscriberUpdate
from copying.contract.history import TransactionDocument
from copying.contract.settings import RiskLimit, SymbolMapping

TRANSACTION = (
    '{"id":"2235076744:close","type":"DEAL_TYPE_SELL","time":"2020-08-02T21:01:01.830Z","subscriberId":"sub",'
    '"symbol":"EURJPY","subscriberUser":{"id":"u","name":"Subscriber"},"demo":false,'
    '"providerUser":{"id":"p","name":"Provider"},"strategy":{"id":"ABCD","name":"Strategy"},"positionId":"9980",'
    '"slavePositionId":"9990","improvement":0,"providerCommission":0,"platformCommission":0,"quantity":-0.04,'
    '"lotPrice":117566.08744776,"tickPrice":124.526,"amount":-4702.643497910401,"commission":-0.14,"swap":-0.14,'
    '"profit":0.49,"metrics":{"tradeCopyingLatency":261},"unknown":{"deep":[1]}}'
)


def transaction(**changes: str) -> bytes:
    text = TRANSACTION
    for name, value in changes.items():
        start = text.index(f'"{name}":') + len(name) + 3
        end = min(text.index(mark, start) for mark in ",}" if mark in text[start:])
        text = text[:start] + value + text[end:]
    return f"[{text}]".encode()


def test_figures_of_the_history_keep_every_digit():
    [one] = wire.decode(transaction(), list[TransactionDocument])
    assert one.amount == Decimal("-4702.643497910401")
    assert str(one.lot_price) == "117566.08744776"
    assert one.time == datetime(2020, 8, 2, 21, 1, 1, 830_000, tzinfo=UTC)
    assert b'"amount":-4702.643497910401' in wire.encode([one])


@given(st.decimals(min_value="-99999999999999", max_value="99999999999999", places=10))
def test_a_sound_figure_comes_back_as_it_went(figure):
    [one] = wire.decode(transaction(profit=f"{figure:f}"), list[TransactionDocument])
    assert one.profit == figure
    assert wire.decode(wire.encode([one]), list[TransactionDocument]) == [one]


@pytest.mark.parametrize(
    "figure",
    [
        "1e14",
        "-1e15",
        "1e400",
        "1e-400",
        "1e9999999",
        "1e99999999999999999999999",
        "0e-30000",
        "0." + "1" * 70,
        "1" * 400,
        '"NaN"',
        '"-Infinity"',
        '"sNaN"',
        "NaN",
        "-Infinity",
        "true",
        '"twelve"',
    ],
)
@pytest.mark.parametrize("field", ["profit", "amount"])
def test_figures_that_no_column_can_keep_are_refused(field, figure):
    page = b"[" + transaction()[1:-1] + b"," + transaction(**{field: figure})[1:]
    with pytest.raises(msgspec.DecodeError):
        wire.decode(page, list[TransactionDocument])


def test_the_refusal_names_the_record_and_the_field():
    page = b"[" + transaction()[1:-1] + b"," + transaction(profit="1e30")[1:]
    with pytest.raises(msgspec.ValidationError, match=r"1E\+30 is out of range.*\[1\]\.profit"):
        wire.decode(page, list[TransactionDocument])


def test_large_figures_are_fine_even_when_their_sum_is_not():
    page = b"[" + b",".join([transaction(amount="90000000000000")[1:-1]] * 3) + b"]"
    assert sum(one.amount for one in wire.decode(page, list[TransactionDocument])) == 270_000_000_000_000


def test_a_single_struct_is_checked_like_a_list():
    body = b'{"sequenceNumber":1,"accountId":"a","time":"2020-01-01T00:00:00Z","balance":%s,"equity":1}'
    assert wire.decode(body % b"1.10", AccountSnapshot).balance == Decimal("1.10")
    with pytest.raises(msgspec.ValidationError):
        wire.decode(body % b"1e99", AccountSnapshot)


def test_nul_characters_are_dropped_and_numbers_stay_exact():
    body = transaction(symbol='"EUR\\u0000USD"', amount="-1.0000000000000000000001")
    [one] = wire.decode(body, list[TransactionDocument])
    assert one.symbol == "EURUSD"
    assert one.amount == Decimal("-1.0000000000000000000001")


def test_a_backslash_before_u0000_is_only_a_backslash():
    [one] = wire.decode(transaction(symbol='"EUR\\\\u0000"'), list[TransactionDocument])
    assert one.symbol == "EUR\\u0000"


def test_a_bomb_of_nesting_is_refused():
    with pytest.raises(msgspec.ValidationError, match="deeply"):
        wire.decode(b"[" * 100_000)
    assert wire.depth_exceeds([[[1]]], 2)
    assert not wire.depth_exceeds([[[1]]], 3)


@pytest.mark.parametrize(
    "text",
    [
        "2020-08-24T00:00:00.000Z",
        "2020-08-24T00:00:00Z",
        "2020-08-24T00:00:00",
        "2020-08-24 02:00:00+02:00",
        '"2020-08-24T00:00:00.000Z"',
        "2020-08-24",
        " 2020-08-24T00:00Z ",
    ],
)
def test_times_are_read_in_any_spelling(text):
    assert wire.parse_time(text) == datetime(2020, 8, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "2020-13-01", "0001-01-01T00:00:00+23:00", 5, None),
        *("171001011", "1710010112", "1710010112000", " 1710010112000 ", '"1710010112"', "1710010112.5", "-1710010112"),
    ],
)
def test_what_is_no_time_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        wire.parse_time(text)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("1710010112000", "not a number"),
        (1710010112000, "not a number"),
        (1710010112.5, "not a number"),
        (True, "ISO 8601"),
        ("20200824", ""),  # eight digits are a day
        ("1969-12-31T23:59:59Z", "between 1970 and 2200"),
        ("1970-01-01T00:00:00Z", ""),
        ("1970-01-01T00:30:00+01:00", "between 1970 and 2200"),
        ("2200-12-31T23:59:59Z", ""),
        ("2201-01-01T00:00:00Z", "between 1970 and 2200"),
        ("1710-01-01T12:00:00Z", "between 1970 and 2200"),
        ("soon", "ISO 8601"),
    ],
)
def test_a_time_that_nobody_means_is_refused_with_words(text, wrong):
    if not wrong:
        assert wire.parse_sane_time(text)
        return
    with pytest.raises(ValueError, match=wrong):
        wire.parse_sane_time(text)


def test_times_are_written_in_utc_with_milliseconds():
    moment = datetime(2020, 8, 24, 2, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))
    assert wire.format_time(moment) == "2020-08-24T00:00:00.123Z"
    assert wire.format_time(datetime(2020, 8, 24)) == "2020-08-24T00:00:00.000Z"


def test_absent_fields_are_not_written():
    document = SubscriberUpdate(name="A", max_leverage=2.0)
    assert msgspec.json.decode(wire.encode(document)) == {"name": "A", "maxLeverage": 2.0}
    assert wire.decode(b'{"name":"A","maxLeverage":null}', SubscriberUpdate) == SubscriberUpdate(name="A")


def test_an_id_travels_with_an_underscore_and_from_as_from():
    body = b'{"count":1,"items":[{"_id":"x","name":"A"}]}'
    assert wire.decode(body, Counted[SubscriberDocument]).items[0].id == "x"
    assert wire.to_wire(SymbolMapping(from_="a", to="b")) == {"from": "a", "to": "b"}


def test_an_edit_keeps_what_we_do_not_know_at_every_depth():
    original = {
        "_id": "acc",
        "name": "Old",
        "novelty": {"a": 1},
        "maxLeverage": 5,
        "riskLimits": [
            {"type": "day", "applyTo": "balance-difference", "closePositions": True, "maxRelativeRisk": 0.1, "x": 1},
            {"type": "week", "applyTo": "balance-difference", "closePositions": True, "maxRelativeRisk": 0.2, "x": 2},
        ],
        "subscriptions": [
            {"strategyId": "AAAA", "multiplier": 1, "z": "a", "symbolMapping": [{"from": "a", "to": "b", "q": 1}]},
            {"strategyId": "BBBB", "multiplier": 2, "z": "b"},
        ],
    }
    edited = msgspec.convert(original, SubscriberUpdate)
    edited.name, edited.max_leverage = "New", None
    edited.subscriptions = [edited.subscriptions[1], edited.subscriptions[0]]
    edited.subscriptions[1].multiplier = 3.0
    edited.risk_limits = [edited.risk_limits[1]]
    merged = wire.overlay(original, edited)
    assert merged["name"] == "New"
    assert merged["novelty"] == {"a": 1}
    assert merged["_id"] == "acc"
    assert "maxLeverage" not in merged
    assert [one["x"] for one in merged["riskLimits"]] == [2]
    assert [(one["strategyId"], one["multiplier"], one["z"]) for one in merged["subscriptions"]] == [
        ("BBBB", 2, "b"),
        ("AAAA", 3.0, "a"),
    ]
    assert merged["subscriptions"][1]["symbolMapping"] == [{"from": "a", "to": "b", "q": 1}]
    assert original["name"] == "Old"
    assert original["subscriptions"][0]["multiplier"] == 1


def test_an_edited_identity_is_still_the_element_at_its_place():
    original = {"name": "A", "description": "", "accountId": "a", "symbolMapping": [{"from": "a", "to": "b", "q": 1}]}
    edited = msgspec.convert(original, StrategyUpdate)
    edited.symbol_mapping[0].from_ = "c"
    assert wire.overlay(original, edited)["symbolMapping"] == [{"from": "c", "to": "b", "q": 1}]


def test_an_added_element_takes_nothing_over():
    original = {"riskLimits": [{"type": "day", "applyTo": "balance-difference", "closePositions": True, "x": 1}]}
    limits = [
        RiskLimit(type="week", apply_to="balance-difference", close_positions=False),
        RiskLimit(type="day", apply_to="balance-difference", close_positions=True),
    ]
    merged = wire.overlay(original, {"riskLimits": limits})
    assert [one.get("x") for one in merged["riskLimits"]] == [None, 1]


def test_a_dictionary_changes_only_what_it_names():
    assert wire.overlay({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": None}}) == {"a": 1, "b": {"d": 3}}


def test_the_same_time_keeps_its_spelling():
    limit = {
        "type": "day",
        "applyTo": "balance-difference",
        "closePositions": True,
        "startTime": "2020-01-01T00:00:00Z",
    }
    edited = msgspec.convert(limit, RiskLimit)
    assert wire.overlay(limit, edited) == limit
    edited.start_time = datetime(2021, 1, 1, tzinfo=UTC)
    assert wire.overlay(limit, edited)["startTime"] == "2021-01-01T00:00:00.000Z"


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5).map(lambda name: "x" + name), _json, max_size=4))
def test_unknown_fields_survive_any_edit(unknown):
    edited = SubscriberUpdate(name="New", max_leverage=3.0)
    merged = wire.overlay({"name": "Old", **unknown}, edited)
    assert {key: merged[key] for key in unknown} == unknown
    assert merged["name"] == "New"
