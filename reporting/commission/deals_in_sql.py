"""Deals that the database works on by itself, without a Python object for each: lines of single deals, and sums of
deals between two moments. Its numbers are exact (NUMERIC), so both are to the digit what `schemes.py` makes of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from django.db import connection as database

from reporting.commission.charging import StrategyAccount
from reporting.commission.history import History, SpannedCalendar
from reporting.commission.money import minor_unit
from reporting.commission.parts import ChargedPart, parts_of
from reporting.commission.periods import MOMENT
from reporting.commission.policy import STORED_RATE, Scheme
from reporting.commission.schemes import PER_DEAL, Deal

COPIED_DEALS = ["DEAL_TYPE_BUY", "DEAL_TYPE_SELL"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NET = "deal.profit + deal.swap + coalesce(deal.commission, 0)"
MICROS = "(extract(epoch FROM deal.time) * 1000000)::bigint"  # a number is read much quicker than the text of a moment
_IS_OPENING = (  # as `opens_position` has it
    "(right(deal.backend_id, 6) <> ':close' AND (right(deal.backend_id, 5) = ':open' OR deal.profit = 0))"
)
_IS_GAIN = f"(NOT {_IS_OPENING} AND {NET} > 0)"
# deals on which what a scheme charges may depend; where it is not named, all of them
NEEDED_DEALS = {
    Scheme.FLAT_FEE: "false",
    Scheme.LOTS_TRADED: _IS_OPENING,
    Scheme.AMOUNT_TRADED: _IS_OPENING,
    Scheme.LOTS_WON: _IS_GAIN,
    Scheme.AMOUNT_WON: _IS_GAIN,
}
# what of a deal is charged, by the name that a line has for it
_QUANTITIES = {
    "lots": "abs(coalesce(deal.volume_lots, 0))",
    "amount": "abs(coalesce(deal.amount, 0))",
    "result": NET,
}
_CHARGED_PARTS = {
    Scheme.LOTS_TRADED: "lots",
    Scheme.LOTS_WON: "lots",
    Scheme.AMOUNT_TRADED: "amount",
    Scheme.AMOUNT_WON: "result",
}
# CASE hides from the planner what is asked of a deal: it takes the deals of a subscriber with a strategy for few, and
# would read all of them by the index of keys, or join each of them with all that follows one by one
DEALS_OF_STRETCHES = """
FROM unnest(%(subscribers)s::text[], %(firsts)s::timestamptz[], %(nexts)s::timestamptz[], %(currencies)s::text[])
    WITH ORDINALITY AS asked(id, first, next, currency, number)
JOIN reporting_transaction deal
  ON deal.subscriber_id = asked.id AND deal.time >= asked.first AND deal.time < asked.next
 AND deal.workspace_id = (SELECT workspace_id FROM users_connection WHERE id = %(connection)s)
 AND CASE WHEN deal.connection_id = %(connection)s AND deal.strategy_id = ANY(%(sources)s)
     AND deal.type = ANY(%(types)s) AND deal.position_id <> '' THEN true END
"""
_JSON = msgspec.json.Encoder()

Stretch = tuple[str, datetime | str, datetime | str]
"""(subscriber, start, end) of deals to read; those of one subscriber do not overlap."""


def of_stretches(
    account: StrategyAccount, stretches: Sequence[Stretch], currencies: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What `DEALS_OF_STRETCHES` is bound to. currencies: of the subscribers, where they matter."""
    subscribers, firsts, nexts = ([str(stretch[number]) for stretch in stretches] for number in range(3))
    return {
        "subscribers": subscribers,
        "firsts": firsts,
        "nexts": nexts,
        "currencies": [(currencies or {}).get(subscriber_id, "") for subscriber_id in subscribers],
        "connection": account.connection_id,
        "sources": account.sources,
        "types": COPIED_DEALS,
    }


def has_storable_rates(history: History) -> bool:
    """Whether every rate is one that a line can keep: then the exact amount of a deal is, too, and no digit is cut."""
    charged = [span.terms for span in history.spans if span.terms is not None]
    rates = [rate for terms in charged for rate in (terms.rate, *(rate for _, rate in terms.rates))]
    return all(int(rate.as_tuple().exponent) >= int(STORED_RATE.as_tuple().exponent) for rate in rates)


@dataclass(frozen=True, slots=True)
class ChargedDeals:
    """Deals of some stretches that make a line each, by the terms that the strategy offers to everybody.

    currencies: of the subscribers. since: what begins before was settled.
    """

    account: StrategyAccount
    calendar: SpannedCalendar
    since: datetime | None
    currencies: Mapping[str, str]
    stretches: Sequence[Stretch]

    def lines(self, before: str = "") -> tuple[str, dict[str, Any]] | None:
        """A SELECT of the lines in the order of the ledger's columns, and what it is bound to; None: there are none.

        before: columns in front of them, each with a comma behind it.
        """
        span = _span_of_deals(self.account.connection_id, self.since)
        parts = _parts_between(self.account.history, self.calendar, self.since, span)
        parts = [part for part in parts if part.terms.scheme in PER_DEAL]
        if not parts or not self.stretches:
            return None
        schemes = {part.terms.scheme for part in parts}
        needed = " OR ".join(sorted({NEEDED_DEALS[scheme] for scheme in schemes}))
        charged = " OR ".join(sorted(f"part.scheme = '{scheme}' AND {NEEDED_DEALS[scheme]}" for scheme in schemes))
        names = {_CHARGED_PARTS[scheme] for scheme in schemes}
        quantity = " ".join(f"WHEN '{name}' THEN {_QUANTITIES[name]}" for name in sorted(names))
        # OFFSET 0 has the deals read first, and once, and not again for each part
        statement = f"""
            SELECT {before} deal.subscriber_id, part.period_start, part.period_end, part.scheme, part.policy,
                   deal.backend_id, deal.time,
                   jsonb_build_object('transaction', deal.backend_id, part.name, trim_scale(charged.quantity)::text),
                   part.rate, part.rate * charged.quantity, round(part.rate * charged.quantity, part.digits),
                   part.currency, false, ''
            FROM (
                SELECT asked.number, asked.currency, deal.subscriber_id, deal.backend_id, deal.time, deal.profit,
                       deal.swap, deal.commission, deal.volume_lots, deal.amount,
                       width_bucket(deal.time, %(part_starts)s::timestamptz[]) AS part_number
                {DEALS_OF_STRETCHES} AND CASE WHEN {needed} THEN true END
                OFFSET 0
            ) deal
            JOIN unnest(
                %(part_numbers)s::int[], %(part_ends)s::timestamptz[], %(period_starts)s::timestamptz[],
                %(period_ends)s::timestamptz[], %(schemes)s::text[], %(policies)s::jsonb[], %(rates)s::numeric[],
                %(names)s::text[], %(digits)s::int[], %(part_currencies)s::text[]
            ) AS part(number, next, period_start, period_end, scheme, policy, rate, name, digits, currency)
              ON part.number = deal.part_number AND part.currency = deal.currency AND deal.time < part.next
            CROSS JOIN LATERAL (SELECT CASE part.name {quantity} END) AS charged(quantity)
            WHERE CASE WHEN {charged} THEN charged.quantity <> 0 END
            ORDER BY deal.number, deal.time, deal.backend_id
            """
        return statement, of_stretches(self.account, self.stretches, self.currencies) | self._bound_parts(parts)

    def _bound_parts(self, parts: Sequence[ChargedPart]) -> dict[str, Any]:
        """The parts by currency as columns."""
        rows = [
            (number, part, part.terms.in_currency(currency), currency)
            for number, part in enumerate(parts, 1)
            for currency in sorted(set(self.currencies.values()))
        ]
        rows = [row for row in rows if row[2].rate]
        return {
            "part_starts": [part.start for part in parts],
            "part_numbers": [number for number, *_ in rows],
            "part_ends": [part.end for _, part, *_ in rows],
            "period_starts": [part.period.start for _, part, *_ in rows],
            "period_ends": [part.period.end for _, part, *_ in rows],
            "schemes": [str(terms.scheme) for _, _, terms, _ in rows],
            "policies": [_JSON.encode(terms.serialise()).decode() for _, _, terms, _ in rows],
            "rates": [terms.rate for _, _, terms, _ in rows],
            "names": [_CHARGED_PARTS[terms.scheme] for _, _, terms, _ in rows],
            "digits": [-int(minor_unit(currency).as_tuple().exponent) for *_, currency in rows],
            "part_currencies": [currency for *_, currency in rows],
        }


def read_sums(
    account: StrategyAccount, stretches: Sequence[Stretch], cuts: Collection[datetime]
) -> Iterable[tuple[str, Deal]]:
    """(subscriber, sum of its deals between two of the moments), oldest first.

    A sum stands at the first of its deals, and a deal of nothing at the last one, so that both moments are known.
    """
    with database.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT deal.subscriber_id, min({MICROS}), max({MICROS}), sum({NET}), count(*)
            {DEALS_OF_STRETCHES}
            GROUP BY deal.subscriber_id, width_bucket(deal.time, %(cuts)s::timestamptz[])
            ORDER BY 1, 2
            """,
            of_stretches(account, stretches) | {"cuts": sorted(cuts)},
        )
        for subscriber_id, first, last, net, number in cursor.fetchall():
            yield subscriber_id, _sum_at(first, net, number)
            if last != first:
                yield subscriber_id, _sum_at(last, Decimal(0), 0)


def _sum_at(micros: int, net: Decimal, number: int) -> Deal:
    return Deal("", EPOCH + timedelta(microseconds=micros), False, Decimal(0), Decimal(0), net, number=number)


def cuts_between(account: StrategyAccount, calendar: SpannedCalendar, since: datetime | None) -> set[datetime]:
    """Every moment from `since` on at which somebody's terms or periods are cut, as far as there are deals."""
    span = _span_of_deals(account.connection_id, since)
    return {
        moment
        for history in {id(history): history for history in account.histories}.values()
        for part in _parts_between(history, calendar, since, span)
        for moment in (part.start, part.end)
    }


def _span_of_deals(connection_id: int, since: datetime | None) -> tuple[datetime, datetime] | None:
    """[start, end) of time, from `since` or the first deal on, in which the workspace has deals; None: it has none."""
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT min(time), max(time) FROM reporting_transaction"
            " WHERE workspace_id = (SELECT workspace_id FROM users_connection WHERE id = %s)",
            [connection_id],
        )
        first, last = cursor.fetchone()
    return None if first is None else (since or first, last + MOMENT)


def _parts_between(
    history: History, calendar: SpannedCalendar, since: datetime | None, span: tuple[datetime, datetime] | None
) -> list[ChargedPart]:
    """All parts of periods of a time in which something is charged."""
    return [
        part
        for period in (calendar.between(*span) if span else ())
        for part in parts_of(history, calendar, calendar.clipped(period, since))
    ]
