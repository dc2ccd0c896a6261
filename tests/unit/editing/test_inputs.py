"""Names of inputs and places in a document are the same path, read in one place."""

from __future__ import annotations

import pytest

from copying.engine.model import Level
from editing.fields import FIELDS, fields_of
from editing.inputs import MOST_ROWS, InputPath, filled_rows, path_of_parameter, rows_in, says

STRATEGY = fields_of(Level.STRATEGY)
LIMITS = next(field for field in FIELDS if field.key == "riskLimits")
SYMBOLS = next(field for field in FIELDS if field.key == "symbolFilter.included")


@pytest.mark.parametrize("level", [Level.STRATEGY, Level.MEMBER, Level.PORTFOLIO, Level.SUBSCRIPTION, Level.SUBSCRIBER])
def test_every_input_of_every_level_is_read_back_from_its_name(level):
    fields = fields_of(level)
    for field in fields:
        for part in field.parts:
            for row in (0, 7) if field.is_rows else (None,):
                path = InputPath(field, part, row)
                assert InputPath.parse(path.name, fields) == path


@pytest.mark.parametrize(
    ("name", "setting", "row", "part"),
    [
        ("maxTradeRisk", "maxTradeRisk", None, ""),
        ("tradeSizeScaling.mode", "tradeSizeScaling", None, "mode"),
        ("riskLimits.0.type", "riskLimits", 0, "type"),
        (f"riskLimits.{MOST_ROWS}.type", "riskLimits", MOST_ROWS, "type"),
        ("symbolFilter.included.3", "symbolFilter.included", 3, ""),
    ],
)
def test_a_name_says_setting_row_and_part(name, setting, row, part):
    path = InputPath.parse(name, STRATEGY)
    assert (path.field.key, path.row, path.part.name) == (setting, row, part)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "was",
        "maxTradeRisk.",
        "maxTradeRiskier",
        "maxTradeRisk.0",
        "tradeSizeScaling",
        "tradeSizeScaling.mode.x",
        "riskLimits.type",
        "riskLimits.-1.type",
        "riskLimits.².type",
        f"riskLimits.{MOST_ROWS + 1}.type",
        "riskLimits.0",
        "riskLimits.007.type",
        "riskLimits.0.type.0",
        "symbolFilter",
        "symbolFilter.included",
        "closeOnly",
        "members.0.multiplier",
    ],
)
def test_anything_else_is_no_input_of_a_strategy(name):
    assert InputPath.parse(name, STRATEGY) is None


TEXTS = {
    "riskLimits.9.type": "day",
    "riskLimits.2.type": " ",
    "riskLimits.4.maxAbsoluteRisk": "5",
    "riskLimits.x.type": "q",
}


def test_rows_come_in_the_order_of_their_numbers():
    assert [row.index for row in rows_in(LIMITS, TEXTS)] == [2, 4, 9]
    assert [row.index for row in filled_rows(LIMITS, TEXTS)] == [4, 9]
    assert len(says(LIMITS, TEXTS)) == 2


def test_what_rows_say_does_not_depend_on_their_numbers():
    one = {"symbolFilter.included.0": "EURUSD", "symbolFilter.included.1": "GBPUSD"}
    other = {"symbolFilter.included.5": "EURUSD", "symbolFilter.included.6": "", "symbolFilter.included.10": "GBPUSD"}
    assert says(SYMBOLS, one) == says(SYMBOLS, other) == [("EURUSD",), ("GBPUSD",)]
    swapped = {"symbolFilter.included.0": "GBPUSD", "symbolFilter.included.1": "EURUSD"}
    assert says(SYMBOLS, swapped) != says(SYMBOLS, one)


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ("maxTradeRisk", "maxTradeRisk"),
        ("riskLimits.0.type", "riskLimits.4.type"),  # the first row that says something
        ("riskLimits.1.type", "riskLimits.9.type"),
        ("riskLimits.2.type", "riskLimits.0.type"),  # a row that is not there: at the first
        ("riskLimits", "riskLimits.4.type"),
        ("riskLimits.0.nothing", "riskLimits.4.type"),
        ("telegram", "telegram.publishing.chatId"),
        ("newsFilter.calendarNewsFilter.priorities.0", "newsFilter.calendarNewsFilter.priorities"),
    ],
)
def test_a_place_in_the_document_finds_its_input(parameter, name):
    assert path_of_parameter(parameter, STRATEGY, TEXTS).name == name


@pytest.mark.parametrize("parameter", ["closeOnly", "nothing", "riskLimit", "members.0"])
def test_a_place_of_another_level_finds_none(parameter):
    assert path_of_parameter(parameter, STRATEGY, TEXTS) is None
