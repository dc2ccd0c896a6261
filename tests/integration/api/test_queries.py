"""No address asks the database once per row: nine rows cost as many queries as three."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from reporting.models import CommissionLine, EquityPoint
from tests import builders
from tests.integration.api.test_matrix import ADDRESSES, path_of
from tests.integration.api.worlds import world

pytestmark = pytest.mark.django_db
FEW, MANY, MOST_QUERIES = 3, 9, 6
# one of each workspace, or only parts of what there is: of more stopouts than attention lists it is asked how many
FIXED = {"workspaces": 0, "bulk-rows": 0, "attention": 1}
PARAMETERS = {"commissions": [{}, {"by": "subscription"}]}
LISTS = [name for name, address in ADDRESSES.items() if not address.is_open]


def grow(mine, client, numbers: range) -> None:
    """One row more of every kind, of the workspace and below the account and the statement of `mine`."""
    now = timezone.now()
    line = CommissionLine.objects.get(subscriber_id=mine.account.backend_id, key="deal:d1")
    for number in numbers:
        other = world(mine.workspace, f"Further {number}", client=client, number=number + 1)
        builders.subscription(mine.account, other.strategy, first_seen_at=now, document={"multiplier": 2}, multiplier=2)
        EquityPoint.objects.create(
            connection=mine.connection,
            account_id=mine.account.backend_id,
            time=now - timedelta(hours=number),
            balance=1,
            equity=1,
        )
        line.pk, line._state.adding, line.key = None, True, f"deal:further-{number}"
        line.save()


def costs(caller, mine) -> dict[tuple[str, ...], tuple[int, int]]:
    """The queries and rows of each address that answers."""
    costs = {}
    for name in LISTS:
        pk = getattr(mine, ADDRESSES[name].rows).pk if ADDRESSES[name].rows else 0
        for parameters in PARAMETERS.get(name, [{}]):
            cache.clear()
            with CaptureQueriesContext(database) as queries:
                answer = caller.get(path_of(name, pk), parameters)
            if answer.status_code == 200:
                costs[name, *parameters.values()] = len(queries), len(answer.json().get("results", ()))
    return costs


@pytest.mark.parametrize("who", ["alice", "dora"])
def test_nine_rows_cost_as_many_queries_as_three(who, request, workspace, dora, program):
    mine, caller = world(workspace, "Alpine", client=dora), program(request.getfixturevalue(who))
    caller.get("token/")  # its use is noted once a minute
    grow(mine, dora, range(1, FEW))
    few = costs(caller, mine)
    grow(mine, dora, range(FEW, MANY))
    many = costs(caller, mine)
    grown = [key for key, (_, rows) in many.items() if rows == few[key][1] + MANY - FEW]
    assert len(grown) >= {"alice": 16, "dora": 9}[who]
    for key, (queries, rows) in many.items():
        assert key in grown or not rows or key[0] in FIXED, key
        assert queries <= few[key][0] + FIXED.get(key[0], 0), key
        assert queries <= MOST_QUERIES or key[0] == "attention", key
