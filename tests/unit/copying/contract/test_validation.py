"""What is wrong with a document is said completely, with the path of each parameter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import get_args

import hypothesis
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copying.contract import settings, wire
from copying.contract.rules import RULES
from copying.contract.validation import KINDS, MAX_BODY_BYTES, Invalid, _Problems, _walker, load_json, validate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STRATEGY = {"name": "Alpha", "description": "", "accountId": "0a1b-2c"}
PORTFOLIO = {"name": "Mix", "description": "", "members": [{"strategyId": "AAAA", "multiplier": 1}]}
SUBSCRIBER = {"name": "Dora", "subscriptions": [{"strategyId": "AAAA"}]}
SIGNAL = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": "2026-01-01T00:00:00.000Z", "volume": 0.1}
LIMIT = {"type": "day", "applyTo": "balance-difference", "closePositions": True, "maxRelativeRisk": 0.1}


def problems(kind: str, raw, **options) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        validate(kind, raw, **options)
    return {detail["parameter"]: detail["message"] for detail in caught.value.details}


def test_everything_wrong_is_said_at_once():
    raw = {
        **STRATEGY,
        "description": 5,
        "riskLimits": [{"type": "monthly", "applyTo": "balance", "closePositions": "yes"}, LIMIT],
        "minTradeVolume": 3,
        "maxTradeVolume": 1,
        "tradeSizeScaling": {"mode": "fixedVolume", "maxRiskCoefficient": 0.5},
        "signalDelay": {"minInSeconds": float("nan"), "maxInSeconds": 10**400},
    }
    del raw["accountId"]
    assert set(problems("strategy", raw)) == {
        "accountId",
        "description",
        "minTradeVolume",
        "riskLimits.0",
        "riskLimits.0.applyTo",
        "riskLimits.0.closePositions",
        "riskLimits.0.type",
        "signalDelay.maxInSeconds",
        "signalDelay.minInSeconds",
        "tradeSizeScaling.maxRiskCoefficient",
        "tradeSizeScaling.tradeVolume",
    }


def test_a_detail_is_json_whatever_was_sent():
    with pytest.raises(Invalid) as caught:
        validate("strategy", {**STRATEGY, "name": ["x"], "maxLeverage": float("inf"), "description": 10**400})
    assert msgspec.json.decode(msgspec.json.encode(caught.value.details)) == caught.value.details
    assert caught.value.text.startswith("maxLeverage: ")
    assert "2 more problems" in caught.value.text


@pytest.mark.parametrize(
    ("kind", "base", "change", "parameter"),
    [
        ("strategy", STRATEGY, {"name": " "}, "name"),
        ("strategy", STRATEGY, {"name": "x" * 201}, "name"),
        ("strategy", STRATEGY, {"name": "a\0b"}, "name"),
        ("strategy", STRATEGY, {"accountId": "../x"}, "accountId"),
        ("strategy", STRATEGY, {"symbolsTraded": ["EURUSD", ""]}, "symbolsTraded.1"),
        ("strategy", STRATEGY, {"maxTradeRisk": 1.5}, "maxTradeRisk"),
        ("strategy", STRATEGY, {"maxLeverage": -1}, "maxLeverage"),
        ("strategy", STRATEGY, {"maxLeverage": True}, "maxLeverage"),
        ("strategy", STRATEGY, {"maxLeverage": "3"}, "maxLeverage"),
        ("strategy", STRATEGY, {"maxLeverage": 1e300}, "maxLeverage"),
        ("strategy", STRATEGY, {"reverse": 1}, "reverse"),
        ("strategy", STRATEGY, {"reduceCorrelations": "by-symbols"}, "reduceCorrelations"),
        ("strategy", STRATEGY, {"allowedSides": ["buy", "hold"]}, "allowedSides.1"),
        ("strategy", STRATEGY, {"symbolFilter": []}, "symbolFilter"),
        ("strategy", STRATEGY, {"symbolMapping": {"a": "b"}}, "symbolMapping"),
        ("strategy", STRATEGY, {"symbolMapping": [{"from": "a"}]}, "symbolMapping.0.to"),
        ("strategy", STRATEGY, {"symbolMapping": [{"from": "a", "to": "b"}] * 2}, "symbolMapping.1.from"),
        ("strategy", STRATEGY, {"magicFilter": {"included": ["12-3"]}}, "magicFilter.included.0"),
        ("strategy", STRATEGY, {"magicFilter": {"excluded": ["1", "a"]}}, "magicFilter.excluded.1"),
        ("strategy", STRATEGY, {"maxStopLoss": {"value": 0, "units": "pips"}}, "maxStopLoss.value"),
        ("strategy", STRATEGY, {"maxStopLoss": {"value": 1, "units": "points"}}, "maxStopLoss.units"),
        ("strategy", STRATEGY, {"signalDelay": {"minInSeconds": 2, "maxInSeconds": 1}}, "signalDelay.minInSeconds"),
        ("strategy", STRATEGY, {"timeSettings": {"lifetimeInHours": 0}}, "timeSettings.lifetimeInHours"),
        ("strategy", STRATEGY, {"equityCurveFilter": {"period": 0, "timeframe": "2h"}}, "equityCurveFilter.period"),
        ("strategy", STRATEGY, {"equityCurveFilter": {"period": 1, "timeframe": "0h"}}, "equityCurveFilter.timeframe"),
        ("strategy", STRATEGY, {"equityCurveFilter": {"period": 1, "timeframe": "2y"}}, "equityCurveFilter.timeframe"),
        ("strategy", STRATEGY, {"drawdownFilter": {"action": "include"}}, "drawdownFilter"),
        ("strategy", STRATEGY, {"drawdownFilter": {"maxDrawdown": 2, "action": "skip"}}, "drawdownFilter.action"),
        (
            "strategy",
            STRATEGY,
            {"newsFilter": {"breakingNewsFilter": {"priorities": ["election"]}}},
            "newsFilter.breakingNewsFilter.priorities.0",
        ),
        (
            "strategy",
            STRATEGY,
            {"newsFilter": {"calendarNewsFilter": {"priorities": [], "closePositionTimeGapInMinutes": -1}}},
            "newsFilter.calendarNewsFilter.closePositionTimeGapInMinutes",
        ),
        ("strategy", STRATEGY, {"riskLimits": [{**LIMIT, "startTime": "soon"}]}, "riskLimits.0.startTime"),
        ("strategy", STRATEGY, {"riskLimits": [{**LIMIT, "maxRelativeRisk": 2}]}, "riskLimits.0.maxRelativeRisk"),
        ("strategy", STRATEGY, {"telegram": {"publishing": {"token": 5}}}, "telegram.publishing.token"),
        ("portfolio", PORTFOLIO, {"members": [{"multiplier": 1}]}, "members.0.strategyId"),
        ("portfolio", PORTFOLIO, {"members": [{"strategyId": ""}]}, "members.0.strategyId"),
        ("portfolio", PORTFOLIO, {"members": [{"strategyId": "A"}] * 2}, "members.1.strategyId"),
        ("portfolio", PORTFOLIO, {"members": [{"strategyId": "A", "multiplier": -1}]}, "members.0.multiplier"),
        ("subscriber", SUBSCRIBER, {"subscriptions": [{"strategyId": "A"}] * 2}, "subscriptions.1.strategyId"),
        (
            "subscriber",
            SUBSCRIBER,
            {"subscriptions": [{"strategyId": "A", "closeOnly": "by-strategy"}]},
            "subscriptions.0.closeOnly",
        ),
        ("subscriber", SUBSCRIBER, {"closeOnly": "by-strategy"}, "closeOnly"),
        ("subscriber", SUBSCRIBER, {"reservedMarginFraction": -1}, "reservedMarginFraction"),
        ("subscriber", SUBSCRIBER, {"minTradeAmount": -1}, "minTradeAmount"),
        ("subscriber", SUBSCRIBER, {"phoneNumbers": [""]}, "phoneNumbers.0"),
        ("external-signal", SIGNAL, {"type": "POSITION_TYPE_HOLD"}, "type"),
        ("external-signal", SIGNAL, {"volume": 0}, "volume"),
        ("external-signal", SIGNAL, {"symbol": ""}, "symbol"),
        ("external-signal", SIGNAL, {"magic": 1.5}, "magic"),
        ("external-signal", SIGNAL, {"magic": 2**64}, "magic"),
        ("external-signal", SIGNAL, {"type": "ORDER_TYPE_BUY_LIMIT"}, "openPrice"),
        ("webhook-signal", SIGNAL, {"stopLoss": -1}, "stopLoss"),
        ("signal-removal", {"time": "2026-01-01T00:00:00Z"}, {"time": 5}, "time"),
        ("webhook", {}, {"symbolMapping": [{"from": "a", "to": "b"}] * 2}, "symbolMapping.1.from"),
        ("close-instructions", {}, {"mode": "close"}, "mode"),
        ("account", {"name": "Paper"}, {"currency": "usd"}, "currency"),
        ("account", {"name": "Paper"}, {"leverage": 0}, "leverage"),
        ("deposit", {"amount": 5}, {"amount": 0}, "amount"),
        ("trade", {"actionType": "ORDER_TYPE_BUY", "symbol": "EURUSD", "volume": 1}, {"volume": None}, "volume"),
        ("trade", {"actionType": "POSITION_CLOSE_ID", "positionId": "1"}, {"positionId": ""}, "positionId"),
        ("trade", {"actionType": "ORDER_CANCEL", "orderId": "1"}, {"actionType": "BUY"}, "actionType"),
    ],
)
def test_a_broken_rule_is_named_and_the_rest_is_good(kind, base, change, parameter):
    validate(kind, base)
    assert parameter in problems(kind, {**base, **change})


@pytest.mark.parametrize(
    ("scheme", "rate", "is_good"),
    [
        ("flat-fee", 250, True),
        ("lots-traded", 3.5, True),
        ("lots-won", -1, False),
        ("amount-traded", 1, True),
        ("amount-traded", 1.01, False),
        ("amount-won", 0.2, True),
        ("high-water-mark", 30, False),
        ("high-water-mark", -0.1, False),
    ],
)
def test_commission_rates_are_amounts_or_shares_by_their_type(scheme, rate, is_good):
    raw = {**STRATEGY, "commissionScheme": {"type": scheme, "billingPeriod": "month", "commissionRate": rate}}
    if is_good:
        assert validate("strategy", raw).commission_scheme.commission_rate == rate
    else:
        assert set(problems("strategy", raw)) == {"commissionScheme.commissionRate"}


@pytest.mark.parametrize("mode", get_args(settings.ScalingMode))
def test_scaling_modes_need_their_own_value(mode):
    needed = {
        "fixedVolume": ("tradeVolume", 0.1),
        "fixedRisk": ("riskFraction", 0.02),
        "expression": ("expression", "1"),
    }
    scaling = {"mode": mode}
    if mode in needed:
        name, value = needed[mode]
        assert set(problems("strategy", {**STRATEGY, "tradeSizeScaling": scaling})) == {f"tradeSizeScaling.{name}"}
        scaling[name] = value
    assert validate("strategy", {**STRATEGY, "tradeSizeScaling": scaling}).trade_size_scaling.mode == mode


def test_all_thirty_three_risk_limits_are_accepted():
    limits = [
        {**LIMIT, "type": kind, "applyTo": basis}
        for kind, basis in product(get_args(settings.LimitType), get_args(settings.LimitBasis))
    ]
    read = validate("subscriber", {**SUBSCRIBER, "riskLimits": limits}).risk_limits
    assert [limit.reason for limit in read] == list(settings.STOPOUT_REASONS)
    assert len(read) == 33


def test_old_clients_and_other_spellings_are_understood():
    raw = {
        **STRATEGY,
        "_id": "AAAA",
        "platformCommissionRate": 0.1,
        "closeOnRemovalMode": "preserve",
        "stopOutRisk": {"absoluteValue": 1},
        "reduceCorrelations": "by-symbol",
        "magicFilter": {"included": [1000, "1010-1019"]},
        "drawdownFilter": {"maxDrawdown": 0.2, "action": "exclude"},
        "maxTradeVolume": None,
        "whatever": [[[]]],
    }
    strategy = validate("strategy", raw)
    assert strategy.magic_filter.included == ["1000", "1010-1019"]
    assert strategy.drawdown_filter.relative == 0.2
    assert wire.to_wire(strategy).keys() == {
        "name",
        "description",
        "accountId",
        "reduceCorrelations",
        "magicFilter",
        "drawdownFilter",
    }


def test_server_owned_fields_of_parts_are_dropped():
    read = validate("subscriber", {"name": "D", "subscriptions": [{"strategyId": "A", "removed": True}]})
    assert wire.to_wire(read)["subscriptions"] == [{"strategyId": "A"}]


@pytest.mark.parametrize(("days", "is_good"), [(29, False), (29.97, True), (30, True), (90, True), (90.1, False)])
def test_removal_is_forced_between_30_and_90_days(days, is_good):
    raw = {"mode": "close-gracefully-by-symbol", "removeAfter": wire.format_time(NOW + timedelta(days=days))}
    validate("close-instructions", raw)  # without a clock the bound is not asked for
    if is_good:
        validate("close-instructions", raw, now=NOW)
    else:
        assert set(problems("close-instructions", raw, now=NOW)) == {"removeAfter"}


@pytest.mark.parametrize("raw", [None, 5, "x", [], [{}], True])
def test_a_document_that_is_no_object_is_refused(raw):
    assert problems("subscriber", raw) == {"": "must be an object"}


def test_positions_in_lists_stay_right_when_an_element_is_broken():
    raw = {"name": "D", "subscriptions": [{"strategyId": 5}, {"strategyId": "A"}]}
    assert problems("subscriber", raw) == {"subscriptions.0.strategyId": "must be a text"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"NaN",
        b'{"a":NaN}',
        b'{"a":1e400}',
        b'{"a":-Infinity}',
        b"1" * 10_000,
        b'"\xff"',
        b'"\\ud800"',
        b"[" * 200_000,
        b"[" * 70 + b"]" * 70,
        b'{"a":' * 70 + b"1" + b"}" * 70,
        b" " * (MAX_BODY_BYTES + 1),
    ],
)
def test_hostile_bodies_are_refused_cleanly(body):
    with pytest.raises(Invalid) as caught:
        load_json(body)
    assert len(caught.value.text) < 300


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"volume":0.01,"volume":10}', "volume: stands twice"),
        (b'[{"a":{"b":1,"\\u0062":1}}]', "b: stands twice"),
        (b"", "is empty"),
        (b" \r\n", "is empty"),
        (b'{"name":"\xe9"}', "not written in UTF-8 (byte 9)"),
        ('{"a":1}'.encode("utf-16"), "UTF-16"),
        ('{"a":1}'.encode("utf-32"), "UTF-32"),
        (b'{"a":"\\uD800"}', "half a character"),
    ],
)
def test_a_refused_body_is_told_why(body, words):
    with pytest.raises(Invalid) as caught:
        load_json(body)
    assert words in caught.value.text


def test_a_name_may_stand_in_two_objects():
    assert load_json(b'{"a":1,"b":{"a":2},"c":[{"a":3},{"a":3}]}')["b"] == {"a": 2}


def test_an_ordinary_body_is_loaded():
    assert load_json(b'{"a":[1,2.5,"x",null,true]}') == {"a": [1, 2.5, "x", None, True]}


_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["day", "balance", "1-2"]),
)
_anything = _scalars | st.lists(_scalars, max_size=3) | st.dictionaries(st.text(max_size=8), _scalars, max_size=3)


@pytest.mark.parametrize("kind", sorted(KINDS))
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_no_document_breaks_the_walk(kind, data):
    names = st.sampled_from(KINDS[kind].__struct_encode_fields__)
    raw = data.draw(
        st.dictionaries(names, _anything | st.lists(st.dictionaries(names, _scalars, max_size=3)), max_size=6)
    )
    try:
        document = validate(kind, raw, now=NOW)
    except Invalid as error:
        msgspec.json.encode(error.details)
    else:
        assert validate(kind, msgspec.json.decode(wire.encode(document)), now=NOW) == document


_EDGES = st.sampled_from([-1, 0, 1, 2, 0.5, True, "", "x", "1-2", "EURUSD", "fixedRisk", "ORDER_TYPE_BUY_LIMIT", []])


@pytest.mark.parametrize("struct", sorted(RULES, key=lambda struct: struct.__name__), ids=lambda s: s.__name__)
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.too_slow], deadline=None, max_examples=300)
@given(data=st.data())
def test_no_part_of_an_object_breaks_its_rules(struct, data):
    """Any of its fields may be missing or wrong, required ones too, at every depth where the object can stand."""
    names = st.sampled_from(struct.__struct_encode_fields__)
    raw = data.draw(st.dictionaries(names, _EDGES | _anything, max_size=6))
    found = _Problems()
    _walker(struct)(raw, "there", found)
    msgspec.json.encode(found)


def test_a_delay_without_its_lower_bound_is_refused():
    with pytest.raises(Invalid) as caught:
        validate("subscriber", {"name": "n", "signalDelay": {"maxInSeconds": -1}})
    assert [detail["parameter"] for detail in caught.value.details] == [
        "signalDelay.minInSeconds",
        "signalDelay.maxInSeconds",
    ]


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"magicFilter": {"included": ["\u0661\u0662"]}}, "magicFilter.included.0"),
        ({"equityCurveFilter": {"period": 2, "timeframe": "1\u0662h"}}, "equityCurveFilter.timeframe"),
    ],
)
def test_only_plain_digits_are_numbers(change, parameter):
    with pytest.raises(Invalid) as refused:
        validate("strategy", {"name": "n", "description": "d", "accountId": "a", **change})
    assert [detail["parameter"] for detail in refused.value.details] == [parameter]


@pytest.mark.parametrize(
    "text", ["a\nb", "a\tb", "\x85", "\u2028", "\u202eabc", "a\u2066b", "\x7f"], ids=lambda text: ascii(text)
)
def test_names_read_as_they_are_stored(text):
    for kind, more in (
        ("subscriber", {}),
        ("portfolio", {"description": "d", "members": []}),
        ("strategy", {"description": "d", "accountId": "a"}),
    ):
        with pytest.raises(Invalid) as refused:
            validate(kind, {"name": f"Alpine {text} Trend", **more})
        assert [detail["parameter"] for detail in refused.value.details] == ["name"]
        assert "one line" in refused.value.text
    with pytest.raises(Invalid, match="comment"):
        validate("deposit", {"amount": 1, "comment": text})


@pytest.mark.parametrize("name", ["Ümläut & Söhne", "شركة", "株式会社", "👩\u200d💻 desk", "می\u200cخواهم"])
def test_names_of_all_languages_are_taken(name):
    assert validate("subscriber", {"name": name}).name == name


# --- a document that is stored from before a rule ---------------------------------------------------------------------
def terms(strategy_id: str, multiplier: float) -> dict:
    return {"strategyId": strategy_id, "multiplier": multiplier}


def account(*subscriptions: dict, **more) -> dict:
    return {"name": "Dora", "subscriptions": list(subscriptions), **more}


OLD = account(terms("AAAA", 0), terms("BBBB", -1), terms("CCCC", 2))  # a ratio of 0 or less came from before its rule


@pytest.mark.parametrize(
    ("written", "refused"),
    [
        (OLD, []),
        (OLD | {"maxLeverage": 5}, []),
        (account(terms("AAAA", 1), terms("BBBB", -1), terms("CCCC", 2)), []),  # one of two is corrected
        (account(terms("BBBB", -1), terms("CCCC", 2)), []),  # the first is taken out: the others move up
        (account(terms("CCCC", 2), terms("BBBB", -1), terms("AAAA", 0)), []),
        (account(terms("AAAA", -1), terms("BBBB", -1)), ["subscriptions.0.multiplier"]),  # another wrong value
        (account(terms("AAAA", 0), terms("BBBB", -1), terms("CCCC", 0)), ["subscriptions.2.multiplier"]),
        (account(terms("DDDD", 0)), ["subscriptions.0.multiplier"]),  # the same value at another strategy
        (OLD | {"maxLeverage": -1}, ["maxLeverage"]),
        (OLD | {"name": 5}, None),
        (account(terms("AAAA", 0), {"strategyId": "BBBB", "multiplier": "-1"}), ["subscriptions.1.multiplier"]),
    ],
)
def test_what_was_wrong_before_at_the_same_place_is_no_reason_to_refuse(written, refused):
    if refused == []:
        document = wire.to_wire(validate("subscriber", written, stored=OLD))
        assert [one["multiplier"] for one in document["subscriptions"]] == [
            one["multiplier"] for one in written["subscriptions"]
        ], "nothing that is let through is lost"
    elif refused is not None:
        assert list(problems("subscriber", written, stored=OLD)) == refused
    else:  # where something needed is of the wrong type there is no document: everything is said
        assert problems("subscriber", written, stored=OLD) == problems("subscriber", written)


def test_without_a_stored_document_every_problem_is_said():
    assert list(problems("subscriber", OLD)) == ["subscriptions.0.multiplier", "subscriptions.1.multiplier"]
    assert list(problems("subscriber", OLD, stored={})) == list(problems("subscriber", OLD))


def test_a_stored_wrong_type_is_not_let_through():
    strange = account(terms("AAAA", 1), maxLeverage="much")
    assert list(problems("subscriber", strange, stored=strange)) == ["maxLeverage"]
