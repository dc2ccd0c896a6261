"""The deals and history orders of an account, out of both tables that have them: copies, and everything else.

Served in the order of time, then of the journal. Pending orders that were withdrawn leave no record.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from copying.backend.core.deal_documents import CLOSING_ORDERS, closing_order, reason_of
from copying.backend.http.options import Service
from copying.contract import wire

Document = dict[str, Any]
MOST_RECORDS = 100_000  # that a statistic is made of
# what a subscriber owes to a provider is settled outside of the account
COPIED = 'left(document, 200) NOT LIKE \'%%"type":"DEAL_TYPE_COMMISSION"%%\''


@dataclass(frozen=True)
class DealFilter:
    """Conditions on the table of copies and on the table of all other deals, with the parameters of both."""

    of_copies: str = "true"
    of_others: str = "true"
    parameters: dict[str, Any] = field(default_factory=dict)


def between(start: datetime, end: datetime) -> DealFilter:
    """From `start` on, before `end`."""
    condition = "time >= %(start)s AND time < %(end)s"
    return DealFilter(condition, condition, {"start": start, "end": end})


def of_position(position_id: str) -> DealFilter:
    """All of one position."""
    return DealFilter(
        "strpos(document, %(text)s) > 0",
        "position_id = %(position)s",
        {"text": f'"slavePositionId":"{position_id}"', "position": position_id},
    )


def of_ticket(ticket: str) -> DealFilter:
    """One deal."""
    return DealFilter(
        "starts_with(document, %(text)s)", "deal = %(deal)s", {"text": f'{{"id":"{ticket}:', "deal": ticket}
    )


def of_order(number: str) -> DealFilter:
    """The deals of the position that an order opened, or the one deal of an order that closed."""
    closed = int(number) - CLOSING_ORDERS
    return of_position(number) if closed < 0 else of_ticket(str(closed))


async def deals_of(
    here: Service, tenant: str, account_id: str, chosen: DealFilter, *, limit: int = MOST_RECORDS, offset: int = 0
) -> list[Document]:
    """Deals as the terminal tells them, oldest first; everything that was acknowledged before is among them."""
    await here.core.caught_up()
    order = "ORDER BY time, sequence, ordinal LIMIT %(most)s"
    columns = "document, time, sequence, ordinal"
    rows = await here.database.rows(
        f"SELECT document, source FROM ("
        f"(SELECT {columns}, 0 AS source FROM copying_accountdealrecord WHERE account_id = %(account)s"
        f" AND tenant = %(tenant)s AND {chosen.of_others} {order}) UNION ALL"
        f" (SELECT {columns}, 1 AS source FROM copying_transactionrecord WHERE subscriber_id = %(account)s"
        f" AND subscriber_tenant = %(tenant)s AND {COPIED} AND {chosen.of_copies} {order})) AS deals"
        f" ORDER BY time, sequence, source, ordinal LIMIT %(limit)s OFFSET %(offset)s",
        {
            **chosen.parameters,
            "account": account_id,
            "tenant": tenant,
            "most": limit + offset,
            "limit": limit,
            "offset": offset,
        },
    )
    ahead, platform = timedelta(seconds=here.core.book.broker_ahead), platform_in(here, account_id)
    documents = [msgspec.json.decode(document) for document, _ in rows]
    deals = [
        copied_deal(document) if source else document for document, (_, source) in zip(documents, rows, strict=True)
    ]
    return [{**deal, "brokerTime": broker_time(deal["time"], ahead), "platform": platform} for deal in deals]


def platform_in(here: Service, account_id: str) -> str:
    """ "mt4" or "mt5"."""
    row = here.core.book.account_rows.get(account_id)
    return "mt5" if row is None else here.core.book.account_meta[row].settings.get("platform") or "mt5"


def copied_deal(transaction: Document) -> Document:
    """A transaction (CF 6.1) as the deal that it was on the subscriber's account."""
    number, _, kind = transaction["id"].partition(":")
    is_opening, position = kind == "open", transaction.get("slavePositionId", "")
    return {
        "id": number,
        "type": transaction["type"],
        "entryType": "DEAL_ENTRY_IN" if is_opening else "DEAL_ENTRY_OUT",
        "time": transaction["time"],
        "symbol": transaction.get("symbol"),
        "magic": 0,
        "volume": abs(transaction.get("quantity", 0)),
        "price": transaction.get("tickPrice"),
        "profit": transaction["profit"],
        "commission": transaction["commission"],
        "swap": transaction["swap"],
        "positionId": position,
        "orderId": position if is_opening else closing_order(number),
        "reason": reason_of("", "EXPERT"),
    }


def history_order(deal: Document) -> Document:
    """The market order behind a deal (account APIs, 3.4): what is filled at once has no other times."""
    return {
        "id": deal["orderId"],
        "type": deal["type"].replace("DEAL_TYPE_", "ORDER_TYPE_"),
        "state": "ORDER_STATE_FILLED",
        "magic": deal["magic"],
        "time": deal["time"],
        "brokerTime": deal["brokerTime"],
        "doneTime": deal["time"],
        "doneBrokerTime": deal["brokerTime"],
        "symbol": deal["symbol"],
        "openPrice": deal["price"],
        "volume": deal["volume"],
        "currentVolume": 0,
        "positionId": deal["positionId"],
        "platform": deal["platform"],
        "reason": deal["reason"].replace("DEAL_REASON_", "ORDER_REASON_"),
        "fillingMode": "ORDER_FILLING_FOK",
        "expirationType": "ORDER_TIME_GTC",
    }


def broker_time(time: str, ahead: timedelta) -> str:
    """An ISO time by the broker's clock: 2020-08-24 03:00:00.000."""
    return clock_text(wire.parse_time(time) + ahead)


def clock_text(moment: datetime) -> str:
    """A time as brokers write it, in its own zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03}"
