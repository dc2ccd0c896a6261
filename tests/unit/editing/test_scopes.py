"""Where an edit stands in a document: what it reads there, and that it changes nothing beside it."""

from __future__ import annotations

import pytest

from copying.engine.model import Level
from editing.scopes import EditScope
from users.models import Connection

TWO = {"name": "N", "members": [{"strategyId": "a", "multiplier": 1}, {"strategyId": "b"}], "theirs": 1}


def scope(part: str = "", kind: str = "portfolio") -> EditScope:
    return EditScope(Connection(), kind, "p", "Both", part)


@pytest.mark.parametrize(
    ("kind", "part", "level"),
    [
        ("strategy", "", Level.STRATEGY),
        ("portfolio", "", Level.PORTFOLIO),
        ("portfolio", "a", Level.MEMBER),
        ("subscriber", "", Level.SUBSCRIBER),
        ("subscriber", "a", Level.SUBSCRIPTION),
    ],
)
def test_a_part_has_the_settings_of_its_level(kind, part, level):
    assert scope(part, kind).level == level


@pytest.mark.parametrize(
    ("part", "settings", "path"),
    [("", TWO, ""), ("a", TWO["members"][0], "members.0"), ("b", TWO["members"][1], "members.1"), ("c", None, "")],
)
def test_settings_and_their_path_are_those_of_the_part(part, settings, path):
    assert scope(part).settings_in(TWO) == settings
    assert scope(part).path_in(TWO) == path


@pytest.mark.parametrize(
    ("part", "members"),
    [
        ("a", [{"strategyId": "a", "multiplier": 3}, {"strategyId": "b"}]),
        ("b", [{"strategyId": "a", "multiplier": 1}, {"strategyId": "b", "multiplier": 3}]),
        ("c", [*TWO["members"], {"strategyId": "c", "multiplier": 3}]),
    ],
)
def test_a_part_is_replaced_or_comes_last_and_the_rest_stays(part, members):
    after = scope(part).replace_part(TWO, {"strategyId": part, "multiplier": 3})
    assert after == TWO | {"members": members}


def test_of_the_object_itself_everything_is_replaced():
    assert scope().replace_part(TWO, {"name": "Other"}) == {"name": "Other"}


@pytest.mark.parametrize(("part", "left"), [("a", ["b"]), ("b", ["a"]), ("c", ["a", "b"])])
def test_a_part_is_taken_out(part, left):
    after = scope(part).without_part(TWO)
    assert [member["strategyId"] for member in after["members"]] == left
    assert {**after, "members": 0} == {**TWO, "members": 0}
