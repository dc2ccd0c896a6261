"""What a document says about a change whose answer was lost."""

from __future__ import annotations

import pytest

from editing.evidence import Verdict, verdict_on_removal, verdict_on_write

DONE, NOT_DONE, OVERTAKEN = Verdict.DONE, Verdict.NOT_DONE, Verdict.OVERTAKEN
WAS = {"_id": "s", "name": "A", "maxLeverage": 5, "members": [{"strategyId": "x"}, {"strategyId": "y"}]}
WANTED = WAS | {"maxLeverage": 7}
WITHOUT = {name: value for name, value in WAS.items() if name != "maxLeverage"}


@pytest.mark.parametrize(
    ("before", "after", "current", "verdict"),
    [
        (WAS, WANTED, WANTED, DONE),
        (WAS, WANTED, WAS, NOT_DONE),
        (WAS, WANTED, dict(reversed(WANTED.items())), DONE),
        (WAS, WANTED, WANTED | {"added": "by the backend"}, DONE),
        (WAS, WANTED, WANTED | {"name": "theirs, later"}, DONE),
        (WAS, WANTED, WAS | {"name": "theirs"}, OVERTAKEN),
        (WAS, WANTED, WAS | {"maxLeverage": 9}, OVERTAKEN),
        (WAS, WANTED, None, OVERTAKEN),
        (WAS, WANTED, WAS | {"removed": True}, NOT_DONE),
        (WAS, WANTED, WANTED | {"removed": True}, DONE),
        (WAS, WITHOUT, WITHOUT, DONE),
        (WAS, WITHOUT, WAS, NOT_DONE),
        (WAS, WITHOUT, WITHOUT | {"name": "theirs"}, DONE),
        (WAS, WITHOUT, WAS | {"name": "theirs"}, OVERTAKEN),
        (WAS, WAS, WAS, DONE),
        ({}, WAS, WAS, DONE),
        ({}, WAS, None, NOT_DONE),
        ({}, WAS, WAS | {"more": 1}, DONE),
        ({}, WAS, {"name": "theirs"}, OVERTAKEN),
        ({"_id": "s"}, {"x": 1}, {"_id": "s", "x": 1.0}, DONE),
    ],
)
def test_a_document_that_was_written(before, after, current, verdict):
    assert verdict_on_write(before, after, current) == verdict


GRACEFUL = {"removed": True, "closeOnRemovalMode": "close-gracefully-by-position"}
MEMBER = {"strategyId": "x", "closeOnRemovalMode": "close-gracefully-by-position"}


@pytest.mark.parametrize(
    ("before", "current", "mode", "verdict"),
    [
        (WAS, None, "close-immediately", DONE),
        (WAS, WAS, "close-immediately", NOT_DONE),
        (WAS, WAS | {"maxLeverage": 9}, "preserve", NOT_DONE),
        (WAS, WAS | GRACEFUL, "close-gracefully-by-position", DONE),
        (WAS, WAS | {"removed": True}, "close-gracefully-by-position", DONE),
        (WAS, WAS | GRACEFUL, "close-immediately", OVERTAKEN),
        (WAS | GRACEFUL, WAS | GRACEFUL, "close-immediately", NOT_DONE),
        (WAS | GRACEFUL, WAS | GRACEFUL, "close-gracefully-by-position", DONE),
        ({"strategyId": "x"}, MEMBER, "close-gracefully-by-position", DONE),
        ({"strategyId": "x"}, {"strategyId": "x"}, "close-gracefully-by-position", NOT_DONE),
        (None, None, "preserve", DONE),
    ],
)
def test_something_that_was_removed(before, current, mode, verdict):
    assert verdict_on_removal(before, current, mode) == verdict
