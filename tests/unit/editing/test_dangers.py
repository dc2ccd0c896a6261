"""When the name is asked for before something is saved: one step before, exactly at and one step after each border."""

from __future__ import annotations

import pytest

from editing.dangers import is_loosened, may_act, needs_measuring, reasons_of, side_effects_of
from editing.immediate import ImmediateEffects
from editing.models import Action, Change


def change(before: dict, after: dict, kind: str = "subscriber", action: str = Action.CHANGE, **more) -> Change:
    return Change(kind=kind, before=before, after=after, action=action, **more)


@pytest.mark.parametrize(
    ("effects", "asks"),
    [
        ({}, False),
        ({"count": 3}, False),  # limits that are set and not exceeded
        ({"count": 3, "fires": 1}, True),
        ({"positions": 0, "accounts": 0}, False),
        ({"positions": 1, "accounts": 1}, True),
        ({"notes": ["Waiting orders are withdrawn."]}, False),
        ({"reasons": ["Positions are closed."]}, True),
        ({"problem": "Not known."}, True),
    ],
)
def test_the_name_is_asked_for_when_something_ends_at_once_or_nobody_knows(effects, asks):
    assert ImmediateEffects(**effects).is_dangerous is asks


def limits(amount: float | None = 100, share: float | None = None, **more) -> list[dict]:
    bounds = {"maxAbsoluteRisk": amount, "maxRelativeRisk": share}
    limit = {"type": "day", "applyTo": "balance-difference", "closePositions": True, **more}
    return [limit | {name: value for name, value in bounds.items() if value is not None}]


@pytest.mark.parametrize(
    ("before", "after", "is_harmless"),
    [
        (limits(100), limits(99.99), False),
        (limits(100), limits(100), True),
        (limits(100), limits(100.01), True),
        (limits(100), limits(None, 0.1), False),  # another bound comes in
        (limits(100, 0.1), limits(100), True),  # one of two bounds goes
        (limits(100), limits(100, 0.1), False),
        (limits(None, 0.1), limits(None, 0.0999), False),
        (limits(None, 0.1), limits(None, 0.1001), True),
        (limits(100), [], False),  # another one may hold instead: the backend is asked
        ([], limits(100), False),
        (limits(100), limits(200, type="week"), False),
        (limits(100), limits(200, startTime="2026-01-01T00:00:00.000Z"), False),
        (limits(100), limits(200, closePositions=False), False),
    ],
)
def test_a_limit_that_only_allows_more_cannot_fire_sooner(before, after, is_harmless):
    assert is_loosened(before, after) is is_harmless
    edit = change({"riskLimits": before}, {"riskLimits": after})
    assert may_act(edit) is not is_harmless
    assert needs_measuring(edit) is (before != after)


@pytest.mark.parametrize(
    ("action", "mode", "word"),
    [
        (Action.REMOVE, "close-gracefully-by-position", "Wind down"),
        (Action.REMOVE, "preserve", "Let go"),
        (Action.TAKE_OUT, "close-immediately", "Close everything at once"),
        (Action.TAKE_OUT, "", "Close everything at once"),  # what a backend does that is told nothing
    ],
)
def test_a_removal_always_asks_and_says_what_becomes_of_positions(action, mode, word):
    removal = change({"name": "A"}, {}, action=action, instructions={"mode": mode} if mode else {})
    [reason] = reasons_of(removal)
    assert reason.startswith(word)
    assert side_effects_of(removal) == []
    assert not needs_measuring(removal)


def member(mode: str = "") -> dict:
    return {"strategyId": "s", **({"closeOnly": mode} if mode else {})}


@pytest.mark.parametrize(
    ("before", "after", "closes", "withdraws"),
    [
        ([member()], [member("by-symbol")], False, True),
        ([member()], [member("by-position")], False, True),
        ([member()], [member("immediately")], True, False),
        ([member("by-position")], [member("by-position")], False, False),
        ([member("by-position")], [member("immediately")], True, False),
        ([member("immediately")], [member("immediately")], False, False),
        ([member("immediately")], [member("by-position")], False, True),
        ([member("immediately")], [member()], False, False),
        # one strategy twice in a portfolio: the second of them counts for itself
        ([member(), member()], [member(), member("immediately")], True, False),
        ([member(), member("immediately")], [member(), member("immediately")], False, False),
    ],
)
def test_close_only_asks_where_it_is_new_and_closes(before, after, closes, withdraws):
    edit = change({"members": before}, {"members": after}, kind="portfolio")
    assert bool(reasons_of(edit)) is closes
    assert bool(side_effects_of(edit)) is withdraws


def test_what_nobody_copies_yet_needs_no_measuring():
    after = {"riskLimits": limits(100)}
    assert not needs_measuring(change({}, after, kind="strategy", action=Action.CREATE))
    assert needs_measuring(change({}, after, kind="subscriber", action=Action.CREATE))
