"""The equity chart of paper accounts (account APIs, 5.2): R1, an element for each hour that has a snapshot.

Balance and equity are written down hourly and at deposits, whether anybody asks or not; times are the broker's clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby, pairwise
from statistics import fmean
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http import terminal_state
from copying.backend.http.deals import clock_text
from copying.backend.http.options import Service, present, service
from copying.backend.http.parameters import Query, path_id
from copying.backend.http.replies import reply
from copying.backend.state.accounts import own_account
from copying.backend.state.errors import Refused
from copying.contract import wire

MOST_SNAPSHOTS = 20_000  # of an answer: hours of two years
HOUR = timedelta(hours=1)
Snapshot = tuple[datetime, float, float]  # broker's clock, balance, equity
Document = dict[str, Any]


async def get_equity_chart(request: Request) -> Response:
    """R1: the newest elements, oldest first; with `realTime` the present hour goes up to now."""
    query, account_id = Query.of(request), path_id(request, "account_id", "Account")
    since, until, is_real_time = query.moment("startTime"), query.moment("endTime"), query.boolean("realTime")
    here, tenant = service(request), request.scope["tenant"]
    book = here.core.book
    row = own_account(book, tenant, account_id)
    if not book.account_meta[row].settings.get("riskManagementApiEnabled", True):
        raise Refused(403, "ForbiddenError", "Risk management is not enabled for this account: enable it first")
    ahead = terminal_state.ahead_of(book)
    snapshots = await _snapshots(here, tenant, account_id, (since, until), ahead)
    if not is_real_time:
        return reply(chart(snapshots))
    now, state = present(request) + ahead, terminal_state.account_information(book, row)
    snapshots.append((now, state["balance"], state["equity"]))
    items = chart(snapshots)
    items[-1] |= present_hour(snapshots, now)
    return reply(items)


async def _snapshots(
    here: Service,
    tenant: str,
    account_id: str,
    period: tuple[datetime | None, datetime | None],
    ahead: timedelta,
) -> list[Snapshot]:
    conditions = ["tenant = %(tenant)s", "account_id = %(account)s"]
    parameters: dict[str, Any] = {"tenant": tenant, "account": account_id, "most": MOST_SNAPSHOTS}
    for name, sign, moment in (("since", ">=", period[0]), ("until", "<", period[1])):
        if moment is not None:
            conditions.append(f"time {sign} %({name})s")
            parameters[name] = moment - ahead
    await here.core.caught_up()
    rows = await here.database.rows(
        f"SELECT document FROM copying_accountsnapshotrecord WHERE {' AND '.join(conditions)}"
        " ORDER BY time DESC, number DESC LIMIT %(most)s",
        parameters,
    )
    documents = [msgspec.json.decode(document) for (document,) in reversed(rows)]
    return [
        (wire.parse_time(document["time"]) + ahead, document["balance"], document["equity"]) for document in documents
    ]


def chart(snapshots: list[Snapshot]) -> list[Document]:
    """Elements of an hour, out of snapshots in the order of time."""
    return [_item(hour, list(inside)) for hour, inside in groupby(snapshots, key=lambda snapshot: hour_of(snapshot[0]))]


def hour_of(moment: datetime) -> datetime:
    """The beginning of its hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def _item(hour: datetime, snapshots: list[Snapshot]) -> Document:
    item: Document = {
        "startBrokerTime": clock_text(hour),
        "endBrokerTime": clock_text(hour + HOUR - timedelta(milliseconds=1)),
    }
    balances, equities = [balance for _, balance, _ in snapshots], [equity for *_, equity in snapshots]
    for values, name in ((balances, "Balance"), (equities, "Equity")):
        item |= {
            f"average{name}": round(fmean(values), 2),
            f"min{name}": min(values),
            f"max{name}": max(values),
            f"start{name}": values[0],
            f"last{name}": values[-1],
        }
    return item


def present_hour(snapshots: list[Snapshot], now: datetime) -> Document:
    """What goes on adding up: time, and money x ms, since the first snapshot of the hour."""
    inside = [snapshot for snapshot in snapshots if snapshot[0] >= hour_of(now)]
    balances = equities = 0.0
    for (moment, balance, equity), (until, *_) in pairwise(inside):
        milliseconds = (until - moment).total_seconds() * 1000
        balances, equities = balances + balance * milliseconds, equities + equity * milliseconds
    return {
        "brokerTime": clock_text(now),
        "endBrokerTime": clock_text(now),
        "duration": round((now - inside[0][0]).total_seconds() * 1000, 3),
        "balanceSum": round(balances, 3),
        "equitySum": round(equities, 3),
    }
