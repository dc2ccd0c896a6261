"""A document goes through the form and back: untouched it stays as it is, and what is typed arrives, on every level."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
from django.http import QueryDict
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from copying.contract import documents, wire
from copying.contract.validation import KINDS
from copying.engine.model import Level
from editing.fields import FIELDS, value_at
from editing.forms import SettingsForm
from editing.problems import in_words

STRUCTS = {
    Level.STRATEGY: documents.StrategyUpdate,
    Level.MEMBER: documents.PortfolioMemberUpdate,
    Level.PORTFOLIO: documents.PortfolioUpdate,
    Level.SUBSCRIPTION: documents.SubscriptionUpdate,
    Level.SUBSCRIBER: documents.SubscriberUpdate,
}
ELSEWHERE = {"members", "subscriptions", "strategyId"}  # edited on pages of their own
FULL_STRATEGY = {
    "_id": "s1",
    "name": "Trend",
    "description": "Follows",
    "accountId": "p1",
    "platformCommissionRate": 0.1,
    "maxTradeRisk": 0.07,
    "reverse": False,
    "allowedSides": ["sell", "buy"],
    "maxStopLoss": {"value": 12.5, "units": "pips"},
    "riskLimits": [
        {
            "type": "day",
            "applyTo": "balance-difference",
            "maxRelativeRisk": 0.1,
            "closePositions": True,
            "startTime": "2026-01-31T14:00:00.000Z",
            "more": 1,
        },
        {"type": "month", "applyTo": "equity-difference", "maxAbsoluteRisk": 1000, "closePositions": False},
    ],
    "symbolFilter": {"included": ["EURUSD", "GBPUSD"], "theirs": [1]},
    "symbolMapping": [{"from": "EURUSD", "to": "EURUSD.r", "note": "x"}],
    "telegram": {"publishing": {"token": "12:secret", "chatId": "@trend"}},
    "future": {"deep": [1, 2]},
    "commissionScheme": {"type": "amount-won", "billingPeriod": "month", "commissionRate": 0.2},
}


def as_sent(form: SettingsForm, **changes: str | list[str] | None) -> QueryDict:
    """What a browser sends of a form with some inputs filled in otherwise (None: a box that is not ticked)."""
    post = QueryDict(mutable=True)
    post["was"] = form.remembered
    for _, bound in form.groups:
        for setting in bound:
            for _, inputs in setting.rows:
                for one in inputs:
                    ticked = [text for text in one.ticked if text]
                    post.setlist(one.name, ticked if one.widget.is_multiple else [one.text])
    for name, value in changes.items():
        post.setlist(name, value if isinstance(value, list) else [] if value is None else [value])
    return post


def edited(level: Level, document: dict, **changes) -> dict:
    """The document after somebody changed inputs."""
    form = SettingsForm.sent(level, as_sent(SettingsForm.of(level, document), **changes))
    laid = form.apply_to(document)
    assert form.problems == []
    return laid


# --- the table and the contract say the same -----------------------------------------------------------------------
def paths_of(described: inspect.Type, path: str = "") -> set[str]:
    """Every field of a struct that holds a value, as a dotted path; elements of lists count as their list."""
    if isinstance(described, inspect.UnionType):
        described = next(one for one in described.types if not isinstance(one, inspect.NoneType))
    if isinstance(described, inspect.ListType):
        return paths_of(described.item_type, path)
    if not isinstance(described, inspect.StructType):
        return {path}
    return {
        found
        for field in described.fields
        for found in paths_of(field.type, f"{path}.{field.encode_name}".lstrip("."))
        if field.encode_name not in ELSEWHERE
    }


@pytest.mark.parametrize("level", STRUCTS, ids=lambda level: level.name.lower())
def test_every_setting_of_the_contract_has_its_input_on_every_level_and_no_other(level):
    offered = {
        f"{field.key}.{part.name}".rstrip(".") for field in FIELDS if level in field.levels for part in field.parts
    } | {f"{field.key}.{name}" for field in FIELDS if level in field.levels for name, _ in field.fixed}
    assert offered == paths_of(inspect.type_info(STRUCTS[level]))


def test_every_choice_offers_exactly_the_contracts_words():
    def walk(described, path):
        if isinstance(described, inspect.UnionType):
            described = next(one for one in described.types if not isinstance(one, inspect.NoneType))
        if isinstance(described, inspect.ListType):
            described = described.item_type
        if isinstance(described, inspect.StructType):
            for field in described.fields:
                yield from walk(field.type, f"{path}.{field.encode_name}".lstrip("."))
        elif isinstance(described, inspect.LiteralType):
            yield path, set(described.values)

    words = dict(walk(inspect.type_info(documents.StrategyUpdate), ""))
    for field in FIELDS:
        for part in field.parts:
            path = f"{field.key}.{part.name}".rstrip(".")
            options = {value for value, _ in getattr(part.widget, "options", ())}
            if path in words and options and path != "allowedSides":
                assert options == words[path], path


# --- documents through the form ------------------------------------------------------------------------------------
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12) | st.integers(0, 1000)


def values_of(described: inspect.Type, *, clean: bool) -> st.SearchStrategy:
    """Documents of a struct; clean: as somebody could have typed them."""
    if isinstance(described, inspect.UnionType):
        return values_of(next(t for t in described.types if not isinstance(t, inspect.NoneType)), clean=clean)
    if isinstance(described, inspect.StructType):
        fields = {f.encode_name: (f, values_of(f.type, clean=clean)) for f in described.fields}
        needed = {name: value for name, (f, value) in fields.items() if f.required and name not in ELSEWHERE}
        free = {name: value for name, (f, value) in fields.items() if not f.required and name not in ELSEWHERE}
        if not clean:
            free["not-known"] = st.lists(st.integers(), max_size=2)
        return st.fixed_dictionaries(needed, optional=free)
    if isinstance(described, inspect.ListType):
        inner = values_of(described.item_type, clean=clean)
        is_words = isinstance(described.item_type, inspect.LiteralType | inspect.StrType)
        return st.lists(inner, min_size=1 if clean else 0, max_size=3, unique=is_words and clean)
    if isinstance(described, inspect.LiteralType):
        known = st.sampled_from(described.values)
        return known if clean else known | st.sampled_from(["a-new-word", "other"])
    if isinstance(described, inspect.BoolType):
        return st.booleans()
    if isinstance(described, inspect.FloatType | inspect.IntType):
        return NUMBERS
    if isinstance(described, inspect.DateTimeType):
        return st.datetimes().map(wire.format_time)
    return TEXTS if not clean else st.text("abcXYZ019_-", min_size=1, max_size=8)


@pytest.mark.parametrize("level", STRUCTS, ids=lambda level: level.name.lower())
def test_a_form_that_nobody_touched_changes_nothing_whatever_the_document_holds(level):
    @settings(max_examples=150, deadline=None)
    @given(values_of(inspect.type_info(STRUCTS[level]), clean=False))
    def check(document):
        before = copy.deepcopy(document)
        form = SettingsForm.sent(level, as_sent(SettingsForm.of(level, document)))
        assert form.changed_fields == []
        assert form.apply_to(document) == before == document

    check()


@pytest.mark.parametrize("level", STRUCTS, ids=lambda level: level.name.lower())
def test_everything_typed_anew_gives_the_same_document(level):
    @settings(max_examples=150, deadline=None)
    @given(values_of(inspect.type_info(STRUCTS[level]), clean=True))
    def check(document):
        token = (value_at(document, "telegram.publishing") or {}).pop("token", None)
        form = SettingsForm.sent(level, as_sent(SettingsForm.of(level, document)))
        made = form.apply_to({}, everything=True)
        assert form.problems == []
        assert _sorted_sides(made) == _sorted_sides(_without_emptiness(document)), token

    check()


def _without_emptiness(value):
    if isinstance(value, dict):
        inner = {key: _without_emptiness(one) for key, one in value.items()}
        kept = {key: one for key, one in inner.items() if one not in ({}, [])}
        return {} if set(kept) == {"units"} else kept
    return [_without_emptiness(one) for one in value] if isinstance(value, list) else value


def _sorted_sides(document):
    return (
        document | {"allowedSides": sorted(set(document["allowedSides"]))} if "allowedSides" in document else document
    )


# --- single edits --------------------------------------------------------------------------------------------------
def test_one_change_leaves_every_other_field_as_it_was_known_or_not():
    after = edited(Level.STRATEGY, FULL_STRATEGY, maxTradeRisk="3", **{"riskLimits.1.maxAbsoluteRisk": "1 500"})
    expected = copy.deepcopy(FULL_STRATEGY)
    expected["maxTradeRisk"] = 0.03
    expected["riskLimits"][1]["maxAbsoluteRisk"] = 1500
    assert after == expected


def test_an_input_emptied_is_not_set_at_this_level():
    gone = dict.fromkeys(("symbolMapping.0.from", "symbolMapping.0.to", "maxTradeRisk", "maxStopLoss.value"), "")
    after = edited(Level.STRATEGY, FULL_STRATEGY, **gone)
    assert FULL_STRATEGY.keys() - after.keys() == {"symbolMapping", "maxTradeRisk", "maxStopLoss"}


def test_a_row_is_taken_away_added_and_changed_with_what_it_holds_besides():
    added = {
        "riskLimits.2.type": "week",
        "riskLimits.2.applyTo": "equity-difference",
        "riskLimits.2.maxRelativeRisk": "12,5",
        "riskLimits.2.closePositions": "true",
    }
    after = edited(
        Level.STRATEGY, FULL_STRATEGY, **{"riskLimits.1.remove": "on", "riskLimits.0.maxRelativeRisk": "5"} | added
    )
    first, second = after["riskLimits"]
    assert (first["maxRelativeRisk"], first["more"], first["startTime"]) == (0.05, 1, "2026-01-31T14:00:00.000Z")
    assert second == {"type": "week", "applyTo": "equity-difference", "maxRelativeRisk": 0.125, "closePositions": True}


def test_a_long_list_loses_nothing_when_one_row_changes():
    rows = [{"from": f"SYMBOL{number}", "to": f"OTHER{number}"} for number in range(1_500)]
    after = edited(Level.STRATEGY, FULL_STRATEGY | {"symbolMapping": rows}, **{"symbolMapping.7.to": "SEVEN"})
    assert after["symbolMapping"] == [*rows[:7], {"from": "SYMBOL7", "to": "SEVEN"}, *rows[8:]]


def test_a_secret_is_never_shown_stays_when_left_empty_and_goes_with_its_setting():
    form = SettingsForm.of(Level.STRATEGY, FULL_STRATEGY)
    assert "12:secret" not in repr(form) + form.remembered
    after = edited(Level.STRATEGY, FULL_STRATEGY, **{"telegram.publishing.chatId": "@other"})
    assert after["telegram"]["publishing"] == {"token": "12:secret", "chatId": "@other"}
    assert "telegram" not in edited(Level.STRATEGY, FULL_STRATEGY, **{"telegram.publishing.chatId": ""})


def test_a_share_is_edited_in_percent_and_a_fee_as_money():
    form = SettingsForm.of(Level.STRATEGY, FULL_STRATEGY)
    assert form.texts["commissionScheme.commissionRate"] == "20"
    fee = {"commissionScheme.type": "flat-fee", "commissionScheme.commissionRate": "20"}
    after = edited(Level.STRATEGY, FULL_STRATEGY, **fee)["commissionScheme"]
    assert after == {"type": "flat-fee", "billingPeriod": "month", "commissionRate": 20.0}


def test_two_people_who_change_different_settings_both_win():
    opened = SettingsForm.of(Level.STRATEGY, FULL_STRATEGY)
    changed_meanwhile = FULL_STRATEGY | {"reverse": True}
    form = SettingsForm.sent(Level.STRATEGY, as_sent(opened, maxTradeRisk="1"))
    after = form.apply_to(changed_meanwhile)
    assert (after["reverse"], after["maxTradeRisk"]) == (True, 0.01)
    assert [field.key for field in form.changed_elsewhere(changed_meanwhile)] == ["reverse"]


def test_boxes_are_ticked_and_cleared():
    name = "newsFilter.calendarNewsFilter.priorities"
    after = edited(Level.STRATEGY, FULL_STRATEGY, **{name: ["election", "high"]})
    assert after["newsFilter"] == {"calendarNewsFilter": {"priorities": ["election", "high"]}}
    assert "newsFilter" not in edited(Level.STRATEGY, after, **{name: None})


# --- problems ------------------------------------------------------------------------------------------------------
def judged(document, path="", kind="strategy", level=Level.STRATEGY, **changes):
    form = SettingsForm.sent(level, as_sent(SettingsForm.of(level, document), **changes))
    laid = form.apply_to(document)
    if not form.problems:
        form.validate(kind, laid, path=path, before=document)
    return form


@pytest.mark.parametrize(
    ("changes", "name", "text"),
    [
        ({"maxTradeRisk": "130"}, "maxTradeRisk", "Must be between 0 and 100 %."),
        ({"maxTradeRisk": "much"}, "maxTradeRisk", "This must be a number, like 0.5."),
        ({"riskLimits.1.type": ""}, "riskLimits.1.type", "Is required."),
        ({"riskLimits.1.maxAbsoluteRisk": ""}, "riskLimits.1.type", "Needs “Amount” or “Share”."),
        ({"riskLimits.0.startTime": "soon"}, "riskLimits.0.startTime", "This must be a time in UTC, like"),
        (
            {"tradeSizeScaling.mode": "fixedVolume"},
            "tradeSizeScaling.tradeVolume",
            "Is required by mode “Always the same volume”.",
        ),
        ({"magicFilter.included.0": "x"}, "magicFilter.included.0", 'Must be a number such as "1000"'),
        ({"minTradeVolume": "2", "maxTradeVolume": "1"}, "minTradeVolume", "Must not be above “Largest trade”."),
        ({"name": ""}, "name", "Must not be empty."),
    ],
)
def test_a_problem_stands_at_its_input(changes, name, text):
    form = judged(FULL_STRATEGY, **changes)
    assert [one.input for one in form.problems] == [name]
    assert form.problems[0].text.startswith(text)
    assert any(
        name in (one.name for _, inputs in bound.rows for one in inputs if one.problems)
        for _, settings in form.groups
        for bound in settings
    )


def test_rows_left_empty_do_not_move_a_problem_to_another_row():
    changes = {"symbolFilter.included.0": "", "symbolFilter.included.5": "x" * 65}
    assert [one.input for one in judged(FULL_STRATEGY, **changes).problems] == ["symbolFilter.included.5"]


def test_a_backends_refusal_finds_the_input_of_a_subscription():
    form = SettingsForm.of(Level.SUBSCRIPTION, {"strategyId": "s1", "tradeSizeScaling": {"mode": "expression"}})
    details = [
        {"parameter": "subscriptions.3.tradeSizeScaling.expression", "message": "unknown name x at 4"},
        {"parameter": "name", "message": "must not be empty"},
        {"parameter": "subscriptions.3.future", "message": "is odd"},
    ]
    form.attach(details, path="subscriptions.3")
    assert [(one.input, one.text) for one in form.problems] == [
        ("tradeSizeScaling.expression", "Unknown name x at 4."),
        ("", "name: Must not be empty."),
        ("", "subscriptions.3.future: Is odd."),
    ]


def test_what_was_wrong_before_does_not_stop_an_edit_of_something_else():
    strange = FULL_STRATEGY | {"reduceCorrelations": "by-moon"}
    assert judged(strange, maxTradeRisk="1").problems == []
    form = SettingsForm.of(Level.STRATEGY, strange)
    [bound] = [one for _, group in form.groups for one in group if one.field.key == "reduceCorrelations"]
    assert ("by-moon", "by-moon (the backend's own word)") in bound.rows[0][1][0].choices


def test_a_form_asks_for_another_row():
    post = as_sent(SettingsForm.of(Level.STRATEGY, FULL_STRATEGY))
    rows = SimpleNamespace(before=0, after=0)
    for name in ("before", "after"):
        form = SettingsForm.sent(Level.STRATEGY, post)
        setattr(rows, name, len(form.bound(next(f for f in form.fields if f.key == "riskLimits")).rows))
        post["add"] = "riskLimits"
    assert (rows.before, rows.after) == (3, 4)


def test_words_of_the_wire_become_labels():
    assert in_words("needs maxAbsoluteRisk or maxRelativeRisk", None) == "Needs “Amount” or “Share”."
    assert set(KINDS) >= {"strategy", "portfolio", "subscriber"}
