"""How deep portfolios may stand in each other: one level before the bound, at it, one after it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from copying.backend.settings.nesting import check_size
from copying.backend.state.errors import Refused
from copying.engine.routes import MAX_DEPTH


def tree_of(above: int, below: int) -> dict[str, list[str]]:
    """P with so many portfolios above it and so many below it, one in another, and a strategy at the end."""
    names = [*(f"above{number}" for number in range(above)), "P", *(f"below{number}" for number in range(below)), "S"]
    return {holder: [member] for holder, member in pairwise(names)}


@pytest.mark.parametrize("above", range(MAX_DEPTH + 1))
@pytest.mark.parametrize("below", range(MAX_DEPTH + 1))
def test_portfolios_stand_at_most_so_deep(above: int, below: int) -> None:
    tree = tree_of(above, below)
    if above + 1 + below <= MAX_DEPTH:
        check_size(tree, "P")
        return
    with pytest.raises(Refused) as refused:
        check_size(tree, "P")
    assert refused.value.details[0]["parameter"] == "members.0.strategyId"


def test_the_member_that_is_too_deep_is_named() -> None:
    tree = {**tree_of(0, MAX_DEPTH), "P": ["S", "below0"]}
    with pytest.raises(Refused) as refused:
        check_size(tree, "P", "changes.members")
    assert refused.value.details[0]["parameter"] == "changes.members.1.strategyId"
