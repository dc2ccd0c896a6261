"""What subscribers owe to providers, as the backend reports it on transactions (contract, section 5).

Positive = owed by the subscriber, in the subscriber account's currency. flat-fee and high-water-mark are settled at
the end of the billing period (week from Sunday, month, quarter; UTC) by a synthetic transaction; the others on the
deal itself. Portfolios: the subscriber pays by the portfolio's scheme; what its owner owes to the provider of the
member that the copy came through, a strategy or a portfolio, by that member's scheme stands in the `incoming` fields:
of the same deal, or of a synthetic transaction when the member's billing period ends.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from copying.backend.state.book import Book
from copying.backend.state.effects import Deals, Effects
from copying.backend.state.valuation import round_money

from .nesting import tree_of

SCHEMES = ("none", "flat-fee", "lots-traded", "lots-won", "amount-traded", "amount-won", "high-water-mark")
PERIODS = ("month", "week", "quarter")
FLAT, HIGH_WATER_MARK = 1, 6
BY_DEAL = np.array([scheme.endswith(("-traded", "-won")) for scheme in SCHEMES])


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
    scheme = subscriptions.scheme[rows]
    if BY_DEAL[scheme].any():  # else nothing is owed, as the columns say already
        deals.provider_commission = round_money(per_deal(scheme, subscriptions.rate[rows], deals), currency, book.rules)
        platform = deals.provider_commission * subscriptions.platform_rate[rows]
        deals.platform_commission = round_money(platform, currency, book.rules)
    through = deals.leaf != subscriptions.strategy[rows]
    if through.any():
        members = members_of(book, deals)
        for member in np.unique(members[through]).tolist():
            strategy = book.strategies_by_id.get(book.strategy_names.texts[member])
            if strategy is None:
                continue
            member_scheme, _, rate = scheme_of(strategy.document)
            here = through & (members == member)
            owed = per_deal(np.full(len(here), member_scheme), np.full(len(here), rate), deals)
            owed = round_money(owed, currency, book.rules)
            share = round_money(
                owed * float(strategy.document.get("platformCommissionRate") or 0), currency, book.rules
            )
            deals.incoming_provider = np.where(here, owed, deals.incoming_provider)
            deals.incoming_platform = np.where(here, share, deals.incoming_platform)


def members_of(book: Book, deals: Deals) -> np.ndarray:
    """(n,) numbers of the members of the subscribed portfolios that the deals came through; else of their leaves."""
    if deals.part is None or not book.parts.size:
        return deals.leaf
    member = np.where(deals.part >= 0, book.parts.member[np.maximum(deals.part, 0)], -1)
    return np.where(member >= 0, member, deals.leaf)


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
    for strategy in list(book.strategies_by_id.values()):
        scheme, period, _ = scheme_of(strategy.document)
        if scheme not in (FLAT, HIGH_WATER_MARK) or period not in periods:
            continue
        member = book.strategy_names.find(strategy.id)
        if scheme == FLAT:
            book_incoming(book, effects, member, subscriptions_through(book, strategy.id))
        else:
            parts = book.parts
            settle_parts(book, effects, (parts.member == member) & subscriptions.active[parts.subscription])


def subscriptions_through(book: Book, member_id: str) -> np.ndarray:
    """Rows of the active subscriptions to portfolios that have this member."""
    holders = [portfolio_id for portfolio_id, members in tree_of(book).items() if member_id in members]
    numbers = [book.strategy_names.find(portfolio_id) for portfolio_id in holders]
    return np.flatnonzero(book.subscriptions.active & np.isin(book.subscriptions.strategy, numbers))


def settle(book: Book, effects: Effects, rows: np.ndarray) -> None:
    """Synthetic transactions of the flat fee or the improvement over the mark of some subscriptions."""
    subscriptions = book.subscriptions
    scheme = subscriptions.scheme[rows]
    improvement = np.where(
        scheme == HIGH_WATER_MARK, np.maximum(subscriptions.realised[rows] - subscriptions.mark[rows], 0.0), 0.0
    )
    rows, scheme, improvement = (
        column[(improvement > 0.005) | (scheme == FLAT)] for column in (rows, scheme, improvement)
    )
    if not len(rows):
        return
    currency = book.accounts.currency[subscriptions.account[rows]]
    rate = subscriptions.rate[rows]
    owed = round_money(np.where(scheme == FLAT, rate, rate * improvement), currency, book.rules)
    subscriptions.mark[rows] += improvement
    deals = synthetic(book, rows, subscriptions.strategy[rows])
    deals.improvement, deals.provider_commission = round_money(improvement, currency, book.rules), owed
    deals.platform_commission = round_money(owed * subscriptions.platform_rate[rows], currency, book.rules)
    effects.events.append(deals)


def settle_parts(book: Book, effects: Effects, mask: np.ndarray) -> None:
    """What portfolios' owners owe on new highs of members that charge by a high-water mark.

    mask: over parts, with all parts of a member or none. A member that is a portfolio itself has several; its mark is
    the sum of theirs.
    """
    parts = book.parts
    for member in np.unique(parts.member[mask]).tolist():
        strategy = book.strategies_by_id.get(book.strategy_names.texts[member]) if member >= 0 else None
        if strategy is None or scheme_of(strategy.document)[0] != HIGH_WATER_MARK:
            continue
        rows = np.flatnonzero(mask & (parts.member == member))
        gained = np.bincount(parts.subscription[rows], parts.realised[rows] - parts.mark[rows])
        risen = np.flatnonzero(gained > 0.005)
        if len(risen):
            over = rows[np.isin(parts.subscription[rows], risen)]
            parts.mark[over] = parts.realised[over]
            book_incoming(book, effects, member, risen, gained[risen])


def book_incoming(
    book: Book, effects: Effects, member: int, rows: np.ndarray, improvement: np.ndarray | None = None
) -> None:
    """Synthetic transactions of a member's flat fee, or of its share in an improvement, owed by the portfolio's owner.

    member: number of its strategy; the transactions name it as their source.
    """
    if not len(rows):
        return
    document = book.strategies_by_id[book.strategy_names.texts[member]].document
    rate = scheme_of(document)[2]
    currency = book.accounts.currency[book.subscriptions.account[rows]]
    owed = np.full(len(rows), rate) if improvement is None else rate * improvement
    deals = synthetic(book, rows, np.full(len(rows), member))
    deals.incoming_provider = round_money(owed, currency, book.rules)
    platform = float(document.get("platformCommissionRate") or 0)
    deals.incoming_platform = round_money(deals.incoming_provider * platform, currency, book.rules)
    effects.events.append(deals)


def synthetic(book: Book, rows: np.ndarray, leaf: np.ndarray) -> Deals:
    """Transactions without a trade, of some subscriptions; all amounts are 0."""
    zero, none = np.zeros(len(rows)), np.full(len(rows), -1)
    return Deals(
        kind="commission",
        cause="commission of the period",
        time=book.time,
        number=book.next_ids("deal", len(rows)),
        account=book.subscriptions.account[rows],
        subscription=rows,
        leaf=leaf,
        signal=none,
        signal_ids={},
        position=none,
        symbol=none,
        side=none,
        volume=zero,
        price=zero,
        lot_value=zero,
        profit=zero,
        swap=zero,
        commission=zero,
        improvement=zero,
        provider_commission=zero,
        platform_commission=zero,
        incoming_provider=zero,
        incoming_platform=zero,
        slippage=zero,
        slippage_money=zero,
    )
