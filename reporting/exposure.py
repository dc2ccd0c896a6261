"""What is open, added up: lots by symbol, floating results by currency. Currencies are never added to each other.

Only the total in the reporting currency converts, at the newest rates, and says what it leaves out: accounts whose
currency nobody knows, positions whose result is not told, currencies without a rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from django.db.models import Count, QuerySet, Sum

from reporting.models import ExposureSum, OpenPosition
from reporting.rates import Rates, UnknownRate, rate_note
from users.models import Membership

MOST_SYMBOLS = 12  # shown at once, those with the most lots first
Row = tuple[str, str, str, int, Decimal, Decimal, int]
"""symbol, side, currency (empty: not known), positions, lots, floating of those that tell it, how many do not."""


@dataclass
class FloatingSum:
    """Floating results of one currency; empty: of accounts whose currency is not known, which are not added up."""

    currency: str
    floating: Decimal = Decimal(0)
    positions: int = 0
    unknown: int = 0

    @property
    def amount(self) -> Decimal | None:
        """The sum; None where it would add what may be different currencies, or where no result is known."""
        return None if not self.currency or self.unknown == self.positions else self.floating


@dataclass
class SymbolExposure:
    """Open lots of one symbol at clients' accounts."""

    symbol: str
    bought_lots: Decimal = Decimal(0)
    sold_lots: Decimal = Decimal(0)
    positions: int = 0
    floatings: dict[str, FloatingSum] = field(default_factory=dict)

    @property
    def net_lots(self) -> Decimal:
        """Bought less sold."""
        return self.bought_lots - self.sold_lots

    @property
    def gross_lots(self) -> Decimal:
        return self.bought_lots + self.sold_lots


@dataclass(frozen=True)
class FloatingTotal:
    """Everything in the reporting currency. amount None: nothing could be converted. left_out: positions."""

    currency: str
    amount: Decimal | None
    left_out: int
    rate_day: date | None = None
    is_rate_old: bool = False

    @property
    def note(self) -> str:
        """The day of the rates, and the mark where that is long ago."""
        return rate_note(self.rate_day, is_rate_old=self.is_rate_old) if self.rate_day else ""


@dataclass
class Exposure:
    """Sums of some open positions. symbols: most lots first. floatings: by currency, unknown last."""

    symbols: list[SymbolExposure]
    floatings: list[FloatingSum]
    total: FloatingTotal | None = None

    @property
    def positions(self) -> int:
        return sum(total.positions for total in self.floatings)

    @property
    def shown(self) -> list[SymbolExposure]:
        return self.symbols[:MOST_SYMBOLS]


def exposure_of(rows: Iterable[Row]) -> Exposure:
    """Add up. Rows of the same symbol, side and currency may come more than once."""
    symbols: dict[str, SymbolExposure] = {}
    floatings: dict[str, FloatingSum] = {}
    for symbol, side, currency, positions, lots, floating, unknown in rows:
        own = symbols.setdefault(symbol, SymbolExposure(symbol))
        if side == "buy":
            own.bought_lots += lots
        else:
            own.sold_lots += lots
        own.positions += positions
        for by_currency in (own.floatings, floatings):
            total = by_currency.setdefault(currency, FloatingSum(currency))
            total.floating += floating
            total.positions += positions
            total.unknown += unknown
    by_lots = sorted(symbols.values(), key=lambda own: (-own.gross_lots, own.symbol))
    return Exposure(by_lots, sorted(floatings.values(), key=lambda total: (not total.currency, total.currency)))


def with_total(exposure: Exposure, rates: Rates, currency: str, on: date) -> Exposure:
    """The exposure with its total in a currency; none where nothing is open."""
    if not exposure.floatings:
        return exposure
    amount, left_out, days, is_old = Decimal(0), 0, [], False
    for total in exposure.floatings:
        left_out += total.unknown
        try:
            if total.amount is None:
                raise UnknownRate(total.currency)
            rate = rates.on(on, total.currency, currency)
        except UnknownRate:
            left_out += total.positions - total.unknown
            continue
        amount += total.amount * rate.value
        if total.currency != currency:
            days.append(rate.day)
            is_old = is_old or rate.is_old
    known = exposure.positions - left_out
    day = min(days, default=None)
    exposure.total = FloatingTotal(currency, amount if known else None, left_out, day, is_old)
    return exposure


def kept_rows(
    membership: Membership, *, connection_id: int = 0, strategy: str = "", symbol: str = "", side: str = ""
) -> list[Row]:
    """What the sync has added up of the workspace, for staff: some hundred rows, however many positions there are."""
    if not membership.is_staff_role:
        return []
    wanted = {"connection_id": connection_id, "source_strategy_id": strategy, "symbol": symbol, "side": side}
    sums = ExposureSum.objects.filter(
        workspace_id=membership.workspace_id, **{key: value for key, value in wanted.items() if value}
    )
    return list(sums.values_list("symbol", "side", "currency", "positions", "lots", "floating", "unknown"))


def position_rows(positions: QuerySet[OpenPosition]) -> list[Row]:
    """The same of positions at hand, which clients' accounts hold."""
    grouped = positions.order_by().values("symbol", "side", "subscriber__currency")
    sums = grouped.annotate(count=Count("pk"), lots_sum=Sum("lots"), result=Sum("floating"), known=Count("floating"))
    names = ("symbol", "side", "subscriber__currency", "count", "lots_sum", "result", "known")
    return [
        (symbol, side, currency or "", count, lots, result or Decimal(0), count - known)
        for symbol, side, currency, count, lots, result, known in sums.values_list(*names)
    ]


def converted(amount: Decimal | None, currency: str, rates: Rates, quote: str, on: date) -> Decimal | None:
    """An amount in another currency; None where it or its rate is not known."""
    if amount is None or not currency:
        return None
    try:
        return amount * rates.on(on, currency, quote).value
    except UnknownRate:
        return None
