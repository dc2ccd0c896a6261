"""What subscribers owe to providers, as the backend reports it on transactions (contract, section 5).

Positive = owed by the subscriber, in the subscriber account's currency. flat-fee and high-water-mark are settled at
the end of the billing period (week from Sunday, month, quarter; UTC) by a synthetic transaction; the others on the
deal itself. Portfolios: the subscriber pays by the portfolio's scheme; what its owner owes to the leaf's provider for
the same deal stands in the `incoming` fields (schemes that charge per deal only).
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from .book import Book
from .effects import Deals, Effects
from .pricing import round_money

SCHEMES = ("none", "flat-fee", "lots-traded", "lots-won", "amount-traded", "amount-won", "high-water-mark")
PERIODS = ("month", "week", "quarter")
FLAT, HIGH_WATER_MARK = 1, 6


def scheme_of(document: dict) -> tuple[int, int, float]:
    """(scheme, period, rate) numbers of a strategy or portfolio document; no scheme: month, nothing."""
    scheme = document.get("commissionScheme") or {}
    if not scheme.get("commissionRate"):
        return 0, 0, 0.0
    return SCHEMES.index(scheme["type"]), PERIODS.index(scheme["billingPeriod"]), float(scheme["commissionRate"])


def per_deal(scheme: np.ndarray, rate: np.ndarray, deals: Deals) -> np.ndarray:
    """(n,) commission of each deal under the schemes that charge per deal, unrounded.

    lots-traded: rate x lots when opening; amount-traded: rate x value when opening; lots-won: rate x lots when
    closing with a gain; amount-won: rate x gain when closing.
    """
    won = np.maximum(deals.profit + deals.swap + deals.commission, 0.0)
    if deals.kind == "open":
        return np.where(scheme == 2, rate * deals.volume, 0.0) + np.where(
            scheme == 4, rate * deals.volume * deals.lot_value, 0.0
        )
    return np.where((scheme == 3) & (won > 0), rate * deals.volume, 0.0) + np.where(scheme == 5, rate * won, 0.0)


def charge(book: Book, deals: Deals) -> None:
    """Fill the commission columns of opening or closing deals."""
    subscriptions, rows = book.subscriptions, deals.subscription
    currency = book.accounts.currency[deals.account]
    owed = per_deal(subscriptions.scheme[rows], subscriptions.rate[rows], deals)
    deals.provider_commission = round_money(owed, currency)
    deals.platform_commission = round_money(deals.provider_commission * subscriptions.platform_rate[rows], currency)
    through = deals.leaf != subscriptions.strategy[rows]
    if through.any():
        for leaf in np.unique(deals.leaf[through]).tolist():
            strategy = book.strategies_by_id.get(book.strategy_names.texts[leaf])
            if strategy is None:
                continue
            scheme, _, rate = scheme_of(strategy.document)
            here = through & (deals.leaf == leaf)
            owed = per_deal(np.full(len(here), scheme), np.full(len(here), rate), deals)
            deals.incoming_provider = np.where(here, round_money(owed, currency), deals.incoming_provider)
            platform = float(strategy.document.get("platformCommissionRate") or 0)
            deals.incoming_platform = round_money(deals.incoming_provider * platform, currency)


def ended_periods(midnight: float) -> list[int]:
    """Numbers of PERIODS that end at this UTC midnight."""
    day = datetime.fromtimestamp(midnight, UTC)
    ended = []
    if day.day == 1:
        ended.append(0)
    if day.weekday() == 6:
        ended.append(1)
    if day.day == 1 and day.month in (1, 4, 7, 10):
        ended.append(2)
    return ended


def settle_periods(book: Book, effects: Effects, periods: list[int]) -> None:
    """Book flat fees and new high-water marks of all active subscriptions whose period ends."""
    subscriptions = book.subscriptions
    due = subscriptions.active & np.isin(subscriptions.period, periods) & (subscriptions.rate > 0)
    settle(book, effects, np.flatnonzero(due))


def settle(book: Book, effects: Effects, rows: np.ndarray) -> None:
    """Synthetic transactions of the flat fee or the improvement over the mark of some subscriptions."""
    subscriptions = book.subscriptions
    scheme = subscriptions.scheme[rows]
    improvement = np.where(
        scheme == HIGH_WATER_MARK, np.maximum(subscriptions.realised[rows] - subscriptions.mark[rows], 0.0), 0.0
    )
    rows, scheme, improvement = (each[(improvement > 0.005) | (scheme == FLAT)] for each in (rows, scheme, improvement))
    if not len(rows):
        return
    account = subscriptions.account[rows]
    currency = book.accounts.currency[account]
    rate = subscriptions.rate[rows]
    owed = round_money(np.where(scheme == FLAT, rate, rate * improvement), currency)
    subscriptions.mark[rows] += improvement
    first = book.next_number("deal", len(rows))
    zero, none = np.zeros(len(rows)), np.full(len(rows), -1)
    effects.told.append(
        Deals(
            kind="commission", cause="commission of the period", time=book.time,
            number=np.arange(first, first + len(rows)), account=account, subscription=rows,
            leaf=subscriptions.strategy[rows], signal=none, signal_ids={}, position=none, symbol=none, side=none,
            volume=zero, price=zero, lot_value=zero, profit=zero, swap=zero, commission=zero,
            improvement=round_money(improvement, currency), provider_commission=owed,
            platform_commission=round_money(owed * subscriptions.platform_rate[rows], currency),
            incoming_provider=zero, incoming_platform=zero, slippage=zero, slippage_money=zero,
        )
    )  # fmt: skip
