"""What the ledger has to come to, by strategy, client and month, from columns of whole numbers instead of lines.

It shares no code with the ledger: schemes, marks and rounding are written down once more for the strategies of
`bench_commission`, as numpy on units of 1e-8. Where a sum might not be exact it refuses.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

UNITS = 10**8
EXACT_BELOW = 2**53  # sums of whole numbers below it are exact in float64, too, which is what bincount adds in
DIGITS = {"JPY": 0}
COLUMNS = ("account", "moment", "is_opening", "net", "lots", "amount")
READ = """
SELECT deal.strategy_id, array_agg(subscriber.id::int8), array_agg((extract(epoch FROM deal.time) * 1000000)::int8),
    array_agg((right(deal.backend_id, 6) <> ':close'
        AND (right(deal.backend_id, 5) = ':open' OR deal.profit = 0))::int::int8),
    array_agg(((deal.profit + deal.swap + coalesce(deal.commission, 0)) * 100000000)::int8),
    array_agg((abs(coalesce(deal.volume_lots, 0)) * 100000000)::int8),
    array_agg((abs(coalesce(deal.amount, 0)) * 100000000)::int8)
FROM reporting_transaction deal
JOIN subscribers_subscriber subscriber
  ON subscriber.connection_id = deal.connection_id AND subscriber.backend_id = deal.subscriber_id
WHERE deal.type IN ('DEAL_TYPE_BUY', 'DEAL_TYPE_SELL') AND deal.position_id <> ''
GROUP BY deal.strategy_id
"""
LEDGER = """
SELECT line.strategy_id, array_agg(subscriber.id::int8), array_agg((extract(epoch FROM line.start) * 1000000)::int8),
    array_agg((line.total * 10000)::int8)
FROM (
    SELECT connection_id, strategy_id, subscriber_id, period_start AS start, sum(amount) AS total
    FROM reporting_commissionline WHERE scheme <> 'flat-fee' GROUP BY 1, 2, 3, 4
) line
JOIN subscribers_subscriber subscriber
  ON subscriber.connection_id = line.connection_id AND subscriber.backend_id = line.subscriber_id
GROUP BY line.strategy_id
"""
Deals = dict[str, dict[str, np.ndarray]]
Totals = dict[str, np.ndarray]


@dataclass(slots=True)
class Accounts:
    """Clients in order of their id, with the digits of their currency; beginnings of months as microseconds."""

    ids: np.ndarray
    digits: np.ndarray
    months: np.ndarray


def read_arrays(statement: str) -> dict[str, list[np.ndarray]]:
    """By strategy, the arrays of a statement: taken as they come over the wire, four bytes of length before each."""
    from django.db import connection

    connection.ensure_connection()
    with psycopg.Cursor(connection.connection) as cursor:
        result = cursor.execute(statement, binary=True).pgresult
        return {
            result.get_value(row, 0).decode(): [
                np.frombuffer(result.get_value(row, column), dtype=[("size", ">i4"), ("value", ">i8")], offset=20)[
                    "value"
                ].astype(np.int64)
                for column in range(1, result.nfields)
            ]
            for row in range(result.ntuples)
        }


def read_deals() -> Deals:
    return {name: dict(zip(COLUMNS, arrays, strict=True)) for name, arrays in read_arrays(READ).items()}


def keep(deals: Deals, folder: Path) -> None:
    for name, columns in deals.items():
        np.save(folder / f"{name}.npy", np.stack([columns[column] for column in COLUMNS]))


def load(folder: Path) -> Deals:
    return {file.stem: dict(zip(COLUMNS, np.load(file, mmap_mode="r"), strict=True)) for file in folder.glob("*.npy")}


def read_accounts() -> Accounts:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT id, currency FROM subscribers_subscriber ORDER BY id")
        rows = cursor.fetchall()
    digits = np.array([DIGITS.get(currency, 2) for _, currency in rows], dtype=np.int64)
    months = np.arange("2024-12", "2030-01", dtype="datetime64[M]").astype("datetime64[us]").astype(np.int64)
    return Accounts(np.array([number for number, _ in rows], dtype=np.int64), digits, months)


def rounded(units: np.ndarray, rate: Decimal, digits: np.ndarray) -> np.ndarray:
    """rate x units (of 1e-8, not negative), rounded half up to the currency's minor unit, in units of 1e-4."""
    sign, factors, exponent = rate.normalize().as_tuple()
    factor = int("".join(map(str, factors))) * 10 ** max(int(exponent), 0)
    if sign or (units.size and int(units.max()) * factor * 2 >= 2**63):
        raise OverflowError("These amounts are no whole numbers of 64 bits.")
    one = UNITS * 10 ** -min(int(exponent), 0) // 10**digits
    return (units * factor * 2 + one) // (2 * one) * 10 ** (4 - digits)


def summed(cells: np.ndarray, units: np.ndarray, size: int) -> np.ndarray:
    """Sums by cell."""
    totals = np.bincount(cells, weights=units, minlength=size)
    if np.bincount(cells, weights=np.abs(units), minlength=size).max(initial=0) >= EXACT_BELOW:
        raise OverflowError("These sums are no whole numbers of 53 bits.")
    return totals.astype(np.int64)


def totals_of(deals: Deals, accounts: Accounts, schemes: dict[str, tuple[str, Decimal]]) -> Totals:
    """By strategy, what each client (row) owes for each month (column), in units of 1e-4."""
    shape = len(accounts.ids), len(accounts.months)
    totals = {}
    for name, columns in deals.items():
        scheme, rate = schemes[name]
        account = np.searchsorted(accounts.ids, columns["account"])
        cells = account * shape[1] + np.searchsorted(accounts.months, columns["moment"], side="right") - 1
        size = shape[0] * shape[1]
        if scheme == "high-water-mark":
            reached = np.cumsum(summed(cells, columns["net"], size).reshape(shape), axis=1)
            mark = np.maximum.accumulate(np.maximum(reached, 0), axis=1)
            gain = np.diff(mark, axis=1, prepend=0)
            totals[name] = rounded(gain, rate, accounts.digits[:, None])
        elif scheme != "flat-fee":
            is_opening = columns["is_opening"] == 1
            charged = is_opening if scheme.endswith("traded") else ~is_opening & (columns["net"] > 0)
            quantity = columns["lots" if scheme.startswith("lots") else "net" if scheme == "amount-won" else "amount"]
            fees = rounded(quantity[charged], rate, accounts.digits[account[charged]])
            totals[name] = summed(cells[charged], fees, size).reshape(shape)
    return totals


def totals_of_ledger(accounts: Accounts) -> Totals:
    """The same from the lines of the ledger."""
    totals = {}
    for name, (account, start, units) in read_arrays(LEDGER).items():
        totals[name] = np.zeros((len(accounts.ids), len(accounts.months)), dtype=np.int64)
        column = np.searchsorted(accounts.months, start)
        totals[name][np.searchsorted(accounts.ids, account), column] = units
    return totals


def differences(ours: Totals, ledger: Totals) -> int:
    """In how many cells the two are not the same."""
    none = np.int64(0)
    return sum(int((ours.get(name, none) != ledger.get(name, none)).sum()) for name in ours.keys() | ledger.keys())


def measure_naive(number: int, schemes: dict[str, tuple[str, Decimal]]) -> float:
    """Deals per second of the usual way: model objects, Decimal, a dictionary of sums."""
    from reporting.models import Transaction

    start = time.perf_counter()
    sums: dict[Any, Decimal] = {}
    for deal in Transaction.objects.order_by("pk")[:number].iterator():
        scheme, rate = schemes[deal.strategy_id]
        net = deal.profit + deal.swap + (deal.commission or 0)
        key = deal.strategy_id, deal.subscriber_id, deal.time.year, deal.time.month
        fee = net if scheme == "high-water-mark" else round(max(net, Decimal(0)) * rate, 2)
        sums[key] = sums.get(key, Decimal(0)) + fee
    return number / (time.perf_counter() - start)
