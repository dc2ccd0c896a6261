"""The table of instruments as records: what a broker's list of symbols says, read and checked once.

symbols.csv holds the conditions that are usual at brokers with MetaTrader; prices and volatilities of what the ECB
does not publish are plain assumptions for the simulated market. Knows no accounts and no prices of now.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("symbols.csv")
MOST_SYMBOLS = 2_000
KINDS = {"currency": "Forex", "metal": "Metals", "index": "Indices", "energy": "Energies", "crypto": "Crypto"}
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{2,11}")
_CURRENCY = re.compile(r"[A-Z]{3}")


class UnusableTable(Exception):
    """A list of symbols that cannot be used; `str()` names the row and says what is wrong with it."""


@dataclass(slots=True, frozen=True)
class Specification:
    """A row of the table.

    kind: one of `KINDS`. swap_long, swap_short: yearly, fractions of the value held. spread_points: in 10^-digits.
    price, volatility: where the simulated market starts and its yearly volatility; nan where it follows ECB rates.
    """

    symbol: str
    kind: str
    description: str
    base_currency: str
    profit_currency: str
    contract_size: float
    digits: int
    min_volume: float
    max_volume: float
    volume_step: float
    spread_points: int
    swap_long: float
    swap_short: float
    price: float
    volatility: float

    @property
    def is_currency(self) -> bool:
        """A pair of two currencies: its value is that of the base currency, not of the price."""
        return self.kind == "currency"

    @property
    def margin_currency(self) -> str:
        return self.base_currency if self.is_currency else self.profit_currency

    @property
    def path(self) -> str:
        """Where MetaTrader's list of symbols shows it."""
        return f"{KINDS[self.kind]}\\{self.symbol}"


def read_table(path: Path = TABLE) -> dict[str, Specification]:
    """All specifications by symbol, in the order of the file. Raises UnusableTable."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return parse_table(lines)


def parse_table(lines: Iterable[str]) -> dict[str, Specification]:
    """As `read_table`, of the lines of a CSV."""
    table: dict[str, Specification] = {}
    reader = csv.DictReader(lines, strict=True)
    for row in reader:
        try:
            specification = parse_row(row)
            if specification.symbol in table:
                raise ValueError(f"{specification.symbol} is listed twice")
        except (KeyError, TypeError, ValueError) as error:
            what = f"there is no column {error}" if isinstance(error, KeyError) else str(error)
            raise UnusableTable(f"Line {reader.line_num}: {what}.") from error
        table[specification.symbol] = specification
        if len(table) > MOST_SYMBOLS:
            raise UnusableTable(f"More than {MOST_SYMBOLS} symbols: split the list.")
    return table


def parse_row(row: dict[str, str]) -> Specification:
    """A specification from the cells of a row. Raises KeyError, TypeError, ValueError."""
    specification = Specification(
        symbol=row["symbol"],
        kind=row["kind"],
        description=row["description"],
        base_currency=row["baseCurrency"],
        profit_currency=row["profitCurrency"],
        contract_size=number(row, "contractSize"),
        digits=int(row["digits"]),
        min_volume=number(row, "minVolume"),
        max_volume=number(row, "maxVolume"),
        volume_step=number(row, "volumeStep"),
        spread_points=int(row["spreadPoints"]),
        swap_long=number(row, "swapLong"),
        swap_short=number(row, "swapShort"),
        price=number(row, "price") if row["price"] else math.nan,
        volatility=number(row, "volatility") if row["volatility"] else math.nan,
    )
    check(specification)
    return specification


def number(row: dict[str, str], column: str) -> float:
    """A finite number of a cell."""
    value = float(row[column])
    if not math.isfinite(value):
        raise ValueError(f"{column} must be a number")
    return value


def check(row: Specification) -> None:
    """A row makes sense. Raises ValueError with what is wrong."""
    steps_in_least = row.min_volume / row.volume_step if row.volume_step > 0 else 0.0
    rules = (
        (_SYMBOL.fullmatch(row.symbol), "a symbol has 3 to 12 capital letters and digits"),
        (row.kind in KINDS, f"kind must be one of {', '.join(KINDS)}"),
        (_CURRENCY.fullmatch(row.base_currency), "baseCurrency must have three capital letters"),
        (_CURRENCY.fullmatch(row.profit_currency), "profitCurrency must have three capital letters"),
        (not row.is_currency or row.symbol == row.base_currency + row.profit_currency, "a pair is named after both"),
        (row.contract_size > 0, "contractSize must be above 0"),
        (0 <= row.digits <= 8, "digits must be 0 to 8"),
        (row.volume_step > 0, "volumeStep must be above 0"),
        (abs(steps_in_least - round(steps_in_least)) < 1e-9, "minVolume must be a multiple of volumeStep"),
        (0 < row.min_volume <= row.max_volume, "minVolume must be above 0 and at most maxVolume"),
        (row.spread_points > 0, "spreadPoints must be above 0"),
        (abs(row.swap_long) < 1 and abs(row.swap_short) < 1, "swaps are fractions of the value in a year"),
        (row.is_currency or (row.price > 0 and row.volatility > 0), "price and volatility must be above 0"),
    )
    for is_met, text in rules:
        if not is_met:
            raise ValueError(f"{row.symbol}: {text}")
