"""Results over time: equity curves, drawdown, monthly returns and totals. Arithmetic first, thin queries at the end.

Curves are float64, for the eye; sums of money are Decimal. Times are UTC, intervals half-open. Nothing here is owed.
A curve is always the whole one, since the beginning: growth, peaks and returns that start at the edge of a window would
make one day's figure depend on the window. What is shown of it is cropped last (`chart_columns`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

import numpy as np
from django.db.models import F, OuterRef, QuerySet, Subquery, Sum

from reporting.flows import cash_flows
from reporting.models import EquityPoint
from reporting.rates import Rates
from subscribers.models import Subscriber, Subscription

POINTS_SHOWN = 2_000


@dataclass(frozen=True, slots=True)
class Curve:
    """An equity curve. times: unix seconds, shape (n,) int64. equity, flows: shape (n,) float64, one currency.

    flows: money moved in (positive) or out since the point before; it is part of equity, not of the result.
    is_estimated: some amount was converted at a rate that was more than three business days old on its day.
    """

    times: np.ndarray
    equity: np.ndarray
    flows: np.ndarray
    currency: str
    is_estimated: bool = False


# --- Arithmetic -------------------------------------------------------------------------------------------------------


def growth_index(equity: np.ndarray, flows: np.ndarray) -> np.ndarray:
    """Time-weighted growth since the first point: 1.0 at the start, flows neutralised.

    formula: g[0] = 1; g[i] = g[i-1] x (equity[i] - flows[i]) / equity[i-1], where equity[i-1] > 0, else g[i-1]; a flow
    counts at the end of its interval. shape: (n,) float64. source: GIPS 2020, time-weighted return
    """
    if not len(equity):
        return np.zeros(0)
    before = equity[:-1]
    ratios = np.ones(len(equity))
    np.divide(equity[1:] - flows[1:], before, out=ratios[1:], where=before > 0)
    return np.cumprod(np.maximum(ratios, 0.0))


def drawdown_fractions(index: np.ndarray) -> np.ndarray:
    """How far each point is below the highest one so far: 0.25 is a quarter lost. shape: (n,) float64, 0 to 1."""
    if not len(index):
        return np.zeros(0)
    peak = np.maximum.accumulate(index)
    fractions = np.zeros(len(index))
    np.divide(peak - index, peak, out=fractions, where=peak > 0)
    return fractions


def monthly_returns(times: np.ndarray, index: np.ndarray) -> list[tuple[int, int, float]]:
    """(year, month, return as a fraction) of every UTC month with a point; the first counts from the first point.

    formula: index at the last point of the month / index at the last point of the month before - 1
    """
    if not len(times):
        return []
    months = times.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    last_points = np.append(np.flatnonzero(np.diff(months)), len(months) - 1)
    ends = index[last_points]
    starts = np.concatenate([index[:1], ends[:-1]])
    returns = np.divide(ends, starts, out=np.ones(len(ends)), where=starts > 0) - 1
    return [
        (1970 + int(month) // 12, int(month) % 12 + 1, float(value))
        for month, value in zip(months[last_points], returns, strict=True)
    ]


def shown_points(values: np.ndarray, limit: int = POINTS_SHOWN) -> np.ndarray:
    """Which of n points to draw, in order: all, or in each of limit/2 equal pieces the lowest and the highest.

    The first and the last point stay. No peak and no drawdown disappears, unlike with every k-th point.
    shape: (at most limit + 2,) int64
    """
    count = len(values)
    if count <= limit:
        return np.arange(count)
    pieces = limit // 2
    edges = np.linspace(0, count, pieces + 1).astype(np.int64)
    lowest = np.array([start + values[start:end].argmin() for start, end in pairwise(edges)])
    highest = np.array([start + values[start:end].argmax() for start, end in pairwise(edges)])
    return np.unique(np.concatenate([[0, count - 1], lowest, highest]))


def chart_columns(curve: Curve, limit: int = POINTS_SHOWN, *, start: datetime | None = None) -> list[list[float]]:
    """Columns for charts: [[unix seconds], [equity], [drawdown fraction], [money in or out since the point before]].

    start: show only what is at or after it. Drawdown is measured from the peak since the beginning, before cropping and
    thinning; flows of points that are not shown count at the next one that is.
    """
    drawdown = drawdown_fractions(growth_index(curve.equity, curve.flows))
    first = 0 if start is None else int(np.searchsorted(curve.times, start.timestamp()))
    shown = first + shown_points(curve.equity[first:], limit)
    if len(shown):
        shown = np.union1d(shown, [first + int(drawdown[first:].argmax())])
    return [
        curve.times[shown].tolist(),
        np.round(curve.equity[shown], 2).tolist(),
        np.round(drawdown[shown], 6).tolist(),
        flows_between(curve.flows, shown).tolist(),
    ]


def flows_between(flows: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Money moved since the shown point before; what lies before the first is what the curve begins with.

    formula: sum of flows[shown[i-1]+1 .. shown[i]]; 0 for the first. shape: as shown, float64, to the cent
    """
    if not len(shown):
        return np.zeros(0)
    running = np.cumsum(flows)[shown]
    return np.round(np.diff(running, prepend=running[0]), 2) + 0.0  # never a negative zero


def sum_curves(curves: Iterable[Curve], currency: str) -> Curve:
    """One curve of many accounts: each account counts from its first point on with its newest value.

    An account that appears later comes in as a flow, so that it is no profit. All must be in `currency`.
    """
    curves = [curve for curve in curves if len(curve.times)]
    if not curves:
        return Curve(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), currency)
    times = np.unique(np.concatenate([curve.times for curve in curves]))
    equity, flows = np.zeros(len(times)), np.zeros(len(times))
    for curve in curves:
        newest = np.searchsorted(curve.times, times, side="right") - 1
        begun = newest >= 0
        equity[begun] += curve.equity[newest[begun]]
        own = np.searchsorted(times, curve.times)
        flows[own[1:]] += curve.flows[1:]
        flows[own[0]] += curve.equity[0]  # all of the first value comes in, whatever the curve calls a flow there
    flows[0] = 0
    return Curve(times, equity, flows, currency, any(curve.is_estimated for curve in curves))


def converted(curve: Curve, currency: str, rates: Rates) -> Curve:
    """The curve in another currency, every point at the rate of its UTC day. Raises UnknownRate.

    Moves of the exchange rate are part of the converted result: the firm holds what its clients hold.
    """
    if curve.currency == currency:
        return curve
    days, day_of_point = np.unique(curve.times // 86_400, return_inverse=True)
    by_day = [rates.on(date.fromordinal(719_163 + int(day)), curve.currency, currency) for day in days]
    factors = np.array([float(rate.value) for rate in by_day])[day_of_point]
    estimated = curve.is_estimated or any(rate.is_old for rate in by_day)
    return Curve(curve.times, curve.equity * factors, curve.flows * factors, currency, estimated)


# --- Queries ----------------------------------------------------------------------------------------------------------


def equity_curves(connection_id: int, account_ids: Sequence[str]) -> dict[str, Curve]:
    """Whole curves of accounts, each in its account's currency, from account snapshots and cash flows.

    Accounts that were never measured are left out.
    """
    points = EquityPoint.objects.filter(connection_id=connection_id, account_id__in=account_ids)
    accounts = Subscriber.objects.filter(connection_id=connection_id, backend_id__in=account_ids)
    currencies = dict(accounts.values_list("backend_id", "currency"))
    rows: dict[str, list[tuple]] = {}
    ordered = points.order_by("account_id", "time").values_list("account_id", "currency", "time", "balance", "equity")
    for account_id, currency, *point in ordered.iterator(chunk_size=10_000):
        if currency in ("", currencies.get(account_id) or currency):  # none from before another currency came
            rows.setdefault(account_id, []).append(tuple(point))
    flows = cash_flows(connection_id, list(rows))
    return {
        account_id: _curve(own, flows.get(account_id, []), currencies.get(account_id) or "USD")
        for account_id, own in rows.items()
    }


def _curve(rows: list[tuple], flows: list[tuple[datetime, Decimal]], currency: str) -> Curve:
    times = np.array([int(time.timestamp()) for time, _, _ in rows], np.int64)
    moved = np.zeros(len(rows))
    for time, amount in flows:
        place = int(np.searchsorted(times, time.timestamp(), side="left"))
        if 0 < place < len(rows):  # before the first point it is part of what the curve begins with
            moved[place] += float(amount)
    return Curve(times, np.array([float(equity) for _, _, equity in rows]), moved, currency)


def strategy_curve(connection_id: int, strategy_id: str, currency: str, rates: Rates) -> Curve:
    """Equity of all accounts that copy a strategy, in one currency. Raises UnknownRate."""
    followers = Subscription.objects.filter(subscriber__connection_id=connection_id, strategy_backend_id=strategy_id)
    account_ids = list(followers.values_list("subscriber__backend_id", flat=True))
    curves = equity_curves(connection_id, account_ids)
    return sum_curves([converted(curve, currency, rates) for curve in curves.values()], currency)


@dataclass(frozen=True, slots=True)
class NetTotal:
    """Net result and deals of some days in one currency. is_estimated: some rate was old on its day."""

    net: Decimal
    deals: int
    currency: str
    is_estimated: bool = False


def total_results(results: QuerySet, currency: str, rates: Rates, *, start: date, end: date) -> NetTotal:
    """Sum of net results of the UTC days [start, end), each converted at its day's rate. Raises UnknownRate.

    results: DailyResult rows of one connection or workspace, already limited to what the reader may see.
    formula: net = profit + swap + commission; rounded by whoever shows it
    """
    net, deals, estimated = Decimal(0), 0, False
    for own_currency, day, amount, count in _sums_by_day(results, start, end):
        rate = rates.on(day, own_currency or currency, currency)
        net += amount * rate.value
        deals += count
        estimated = estimated or rate.is_old
    return NetTotal(net, deals, currency, estimated)


def _sums_by_day(results: QuerySet, start: date, end: date) -> list[tuple[str, date, Decimal, int]]:
    owner = Subscriber.objects.filter(
        connection_id=OuterRef("connection_id"), backend_id=OuterRef("subscriber_id")
    ).values("currency")[:1]
    rows = (
        results.filter(day__gte=start, day__lt=end)
        .annotate(own_currency=Subquery(owner))
        .values("own_currency", "day")
        .annotate(net=Sum(F("profit") + F("swap") + F("commission")), count=Sum("deals"))
        .order_by("day", "own_currency")
    )
    return [(row["own_currency"], row["day"], row["net"], row["count"]) for row in rows]


def today_month_period(now: datetime) -> dict[str, tuple[date, date]]:
    """The UTC days of today and of this month so far, as [start, end)."""
    today = now.astimezone(UTC).date()
    tomorrow = date.fromordinal(today.toordinal() + 1)
    return {"today": (today, tomorrow), "month": (today.replace(day=1), tomorrow)}
