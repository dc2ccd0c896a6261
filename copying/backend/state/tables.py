"""The tables of the book: every column with its type, and what a row has in it unless it is said.

Times are UTC seconds since the epoch, money is in the account's currency. Snapshots know columns by their names, so a
column may come, with a default for rows from before, but none may be renamed.
"""

from __future__ import annotations

import math

import numpy as np

from .columns import Columns, column
from .entities import NEVER


class TradeTable(Columns):
    """What positions and pending orders have in common."""

    id: np.ndarray = column("i8", 0)
    account: np.ndarray = column("i4", 0)
    symbol: np.ndarray = column("i4", 0)  # number in book.symbols
    side: np.ndarray = column("i1", 1)
    kind: np.ndarray = column("u1", 0)  # OrderKind; positions are MARKET
    volume: np.ndarray = column("f8", 0.0)  # lots
    open_volume: np.ndarray = column("f8", 0.0)  # lots
    price: np.ndarray = column("f8", 0.0)
    stop_loss: np.ndarray = column("f8", math.nan)
    take_profit: np.ndarray = column("f8", math.nan)
    time: np.ndarray = column("f8", 0.0)
    magic: np.ndarray = column("i8", 0)
    subscription: np.ndarray = column("i4", -1)  # row in subscriptions; -1: by hand, or a provider's own
    signal: np.ndarray = column("i8", -1)  # Signal.row that is copied
    leaf: np.ndarray = column("i4", -1)  # number in book.strategy_names of the strategy that gave the signal
    part: np.ndarray = column("i4", -1)  # row in parts of a copy that came through a portfolio
    flags: np.ndarray = column("u1", 0)  # what follows the provider: COPIES_STOP_LOSS, COPIES_TAKE_PROFIT
    expires: np.ndarray = column("f8", NEVER)
    swap: np.ndarray = column("f8", 0.0)
    commission: np.ndarray = column("f8", 0.0)
    slippage: np.ndarray = column("f8", 0.0)  # price difference to the provider's fill, negative = worse


class PositionTable(TradeTable):
    """Open positions, valued at the present prices (valuation.py)."""

    profit: np.ndarray = column("f8", 0.0)
    margin: np.ndarray = column("f8", 0.0)
    value: np.ndarray = column("f8", 0.0)


class OrderTable(TradeTable):
    """Pending orders."""


class PeriodStarts(Columns):
    """What there was at the start of the present calendar periods, in the order of `risk.periods.CALENDAR`.

    Balances by the clock of UTC, equities by the broker's.
    """

    balance_0: np.ndarray = column("f8", 0.0)
    balance_1: np.ndarray = column("f8", 0.0)
    balance_2: np.ndarray = column("f8", 0.0)
    balance_3: np.ndarray = column("f8", 0.0)
    balance_4: np.ndarray = column("f8", 0.0)
    equity_0: np.ndarray = column("f8", 0.0)
    equity_1: np.ndarray = column("f8", 0.0)
    equity_2: np.ndarray = column("f8", 0.0)
    equity_3: np.ndarray = column("f8", 0.0)
    equity_4: np.ndarray = column("f8", 0.0)

    def starts(self, what: str, period: int) -> np.ndarray:
        """(n,) one of these columns. what: "balance" or "equity", of accounts "broker_balance" as well."""
        return getattr(self, f"{what}_{period}")


class AccountTable(PeriodStarts):
    """The numbers of accounts; `balance` = `deposits` + `traded`."""

    currency: np.ndarray = column("i4", 0)  # number in ACCOUNT_CURRENCIES
    balance: np.ndarray = column("f8", 0.0)
    equity: np.ndarray = column("f8", 0.0)
    margin: np.ndarray = column("f8", 0.0)
    leverage: np.ndarray = column("f8", 100.0)
    connected: np.ndarray = column("?", True)  # False: orders do not reach the broker (signals/reconnection.py)
    position_value: np.ndarray = column("f8", 0.0)
    deposits: np.ndarray = column("f8", 0.0)  # all balance operations
    traded: np.ndarray = column("f8", 0.0)  # all results of deals
    broker_balance_0: np.ndarray = column("f8", 0.0)  # as `balance_0`, by the broker's clock
    broker_balance_1: np.ndarray = column("f8", 0.0)
    broker_balance_2: np.ndarray = column("f8", 0.0)
    broker_balance_3: np.ndarray = column("f8", 0.0)
    broker_balance_4: np.ndarray = column("f8", 0.0)


class ResultTable(PeriodStarts):
    """What has a result of its own: subscriptions and their parts."""

    realised: np.ndarray = column("f8", 0.0)  # sum of net results of copied deals
    floating: np.ndarray = column("f8", 0.0)
    mark: np.ndarray = column("f8", 0.0)  # high-water mark of `realised`


class SubscriptionTable(ResultTable):
    """Subscriptions of all times."""

    account: np.ndarray = column("i4", 0)
    strategy: np.ndarray = column("i4", 0)  # number in book.strategy_names, as subscribed
    active: np.ndarray = column("?", True)
    since: np.ndarray = column("f8", 0.0)
    scheme: np.ndarray = column("u1", 0)  # commission.SCHEMES
    period: np.ndarray = column("u1", 0)  # commission.PERIODS
    rate: np.ndarray = column("f8", 0.0)
    platform_rate: np.ndarray = column("f8", 0.0)


class PartTable(ResultTable):
    """Parts of subscriptions to portfolios (parts.py); `mark` is for what the portfolio's owner owes to the member."""

    subscription: np.ndarray = column("i4", 0)
    path: np.ndarray = column("i4", 0)  # number in book.paths
    leaf: np.ndarray = column("i4", 0)  # number in book.strategy_names
    member: np.ndarray = column("i4", -1)  # the same of the subscribed portfolio's member that the way leads through


class LimitTable(Columns):
    """Risk limits with what they count from (risk/limits.py)."""

    account: np.ndarray = column("i4", 0)
    subscription: np.ndarray = column("i4", -1)  # -1: the whole account
    scope: np.ndarray = column("i4", -1)  # number in book.paths of the member it watches; -1: the whole subscription
    level: np.ndarray = column("u1", 0)
    kind: np.ndarray = column("u1", 0)  # risk.periods.KINDS
    basis: np.ndarray = column("u1", 0)  # risk.periods.BASES
    absolute: np.ndarray = column("f8", math.inf)
    relative: np.ndarray = column("f8", math.inf)
    closes: np.ndarray = column("?", False)
    start: np.ndarray = column("f8", 0.0)
    given_start: np.ndarray = column("f8", 0.0)  # startTime of the document, 0 when absent
    period_end: np.ndarray = column("f8", 0.0)
    base: np.ndarray = column("f8", 0.0)  # result (subscription) or balance/equity (account) at the start of the period
    base_balance: np.ndarray = column("f8", 0.0)  # account balance at the start of the period, for relative values
    stopped: np.ndarray = column("?", False)  # an active stopout of this limit


class DealResults(Columns):
    """What the newest deals did to balances, oldest first (risk/periods.py)."""

    time: np.ndarray = column("f8", 0.0)
    account: np.ndarray = column("i4", 0)
    subscription: np.ndarray = column("i4", -1)
    part: np.ndarray = column("i4", -1)
    amount: np.ndarray = column("f8", 0.0)


class DelayTable(Columns):
    """Routes that wait: for the end of signalDelay, or for another try."""

    due: np.ndarray = column("f8", 0.0)
    signal: np.ndarray = column("i8", 0)
    subscription: np.ndarray = column("i4", 0)
    part: np.ndarray = column("i4", -1)  # row in parts, as of positions
    leaf: np.ndarray = column("i4", 0)
    deadline: np.ndarray = column("f8", NEVER)  # when the opening window ends
    reason: np.ndarray = column("u1", 0)  # of a retry: why it failed last (engine.reasons.Reason); 0: signalDelay
