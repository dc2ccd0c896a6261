"""The whole state of copying in memory. Changed only by `apply`; serialisable as one snapshot (snapshot.py).

Nothing here knows a clock, a socket or a random number: `time` and prices come with the entries of the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

import numpy as np

from copying.engine.model import Accounts, Instrument
from copying.symbols.instruments import (
    ACCOUNT_CURRENCIES,
    CURRENCIES,
    base_symbol,
    dollars,
    instrument,
    old_symbol,
    specification,
)
from copying.symbols.specifications import Specification

from .broker_port import Broker
from .columns import Interned
from .commands import NEWEST_RULES
from .entities import (
    AccountMeta,
    ActiveStopout,
    CalendarEvent,
    KeptAnswer,
    Missed,
    OpenSignal,
    Removal,
    StoredStrategy,
    StoredSubscriber,
    StoredWebhook,
)
from .numbers import scrambled
from .tables import (
    AccountTable,
    DealResults,
    DelayTable,
    LimitTable,
    OrderTable,
    PartTable,
    PositionTable,
    SubscriptionTable,
)

CacheT = TypeVar("CacheT")
USES_TABLE = 3  # entries of these rules and later know the table of instruments (commands.NEWEST_RULES)
FACTS = 7
LEAST_LOTS = STEP_LOTS = 0.01  # of names that the broker does not know
_ACCOUNT_CURRENCIES = np.array([CURRENCIES.index(currency) for currency in ACCOUNT_CURRENCIES])


class Book:
    """Documents, accounts, positions, orders, signals, limits and stopouts of all tenants.

    broker: executes orders and closes positions; it is no part of a snapshot.
    slippage_spreads: half-width of the paper broker's slippage on copies, in spreads (docs/copying.md).
    """

    def __init__(self, broker: Broker[Book], *, slippage_spreads: float = 0.1) -> None:
        self.broker = broker
        self.sequence = 0
        self.time = 0.0
        self.slippage_spreads = slippage_spreads
        self.counters = {"ticket": 0, "deal": 0, "signal": 0}
        self.tenant_names: dict[str, str] = {}
        self.stopout_numbers: dict[str, int] = {}
        self.snapshot_numbers: dict[str, int] = {}
        self.snapshots_at = 0.0  # when account snapshots were last taken
        self.next_midnight = 0.0
        self.next_broker_midnight = 0.0
        self.broker_ahead = 0.0  # seconds by which the broker's clock is ahead of UTC
        self.privacy = 0  # what entries go by: settings/rules.py
        self.secret = b""  # of the ids that are shown; empty: they are the counts: numbers.py
        self.reserved: dict[str, dict[str, float]] = {}  # tenant -> strategy ids handed out, and when
        self.kept: dict[str, dict[str, KeptAnswer]] = {}  # caller -> answers by key: core/idempotency.py
        self._begin_configuration()
        self._begin_trading()
        self._begin_derived()

    def _begin_configuration(self) -> None:
        """No accounts, strategies and subscriptions, and nothing that limits them."""
        self.strategies_by_id: dict[str, StoredStrategy] = {}
        self.strategy_owners: dict[str, str] = {}  # also of removed ones: their records may still have to be told
        self.subscribers_by_id: dict[str, StoredSubscriber] = {}
        self.webhooks_by_id: dict[str, StoredWebhook] = {}
        self.news: dict[str, list[CalendarEvent]] = {}  # tenant -> its calendar by time
        self.removals: list[Removal] = []
        self.deployments: dict[int, float] = {}  # rows of accounts that start or stop, and when that is over
        self.account_meta: list[AccountMeta] = []
        self.account_rows: dict[str, int] = {}
        self.accounts_of: dict[str, dict[int, None]] = {}  # tenant -> rows, oldest first
        self.accounts = AccountTable()
        self.strategy_names = Interned()
        self.symbols = Interned()
        self.subscriptions = SubscriptionTable()
        self.subscription_keys: list[tuple[str, str]] = []
        self.subscription_rows: dict[tuple[str, str], int] = {}
        self.parts = PartTable()  # of subscriptions to portfolios, one for each way to a leaf: parts.py
        self.part_rows: dict[tuple[int, int], int] = {}
        self.paths = Interned()
        self.limits = LimitTable()
        self.active_stopouts: list[ActiveStopout] = []

    def _begin_trading(self) -> None:
        """Nothing open, nothing that waits, no past."""
        self.positions = PositionTable()
        self.orders = OrderTable()
        self.delayed = DelayTable()
        self.results = DealResults()  # of the newest deals, oldest first: risk/periods.py
        self.results_since = 0.0  # later ones are all there
        self.signals: dict[int, OpenSignal] = {}
        self.signal_rows: dict[tuple[str, str], int] = {}
        self.chained: dict[int, None] = {}  # rows of the signals that are copies themselves, oldest first
        self.closed_signals: dict[tuple[str, str], float] = {}  # external ids are not reused; kept for two days
        self.ended_signals: dict[int, str] = {}  # ids of closed signals whose copies wait in `missed`
        self.missed: list[Missed] = []
        self.provider_balances: dict[str, list[tuple[float, float]]] = {}  # account -> (time, balance), newest last

    def _begin_derived(self) -> None:
        """What follows from the rest, or belongs to the entry that is carried out: no snapshot holds it."""
        self.received: float | None = None  # the wall clock at the entry's receipt; None: `time`
        self.quotes: dict[str, tuple[float, float]] = {}
        self.version = 0  # of the configuration
        self.upcoming_privacy = 0  # those of the next entry, where the core goes by newer ones: settings/rules.py
        self.rules = NEWEST_RULES  # of the entry that is carried out, else those of the next one
        self.left_out: np.ndarray | None = None  # mask over accounts that an entry leaves out: core/faults.py
        self._caches: dict[type, object] = {}
        self._view: Accounts | None = None
        self._symbol_quotes = np.full((0, 2), np.nan)
        self._symbol_facts = np.empty((0, FACTS))
        self._facts_use_table = True
        self.dollars = np.ones(len(CURRENCIES))
        self._rates: dict[tuple[str, str], float | None] = {}
        self._worths = {"USD": 1.0}  # as `dollars`, by currency
        self.valued = False

    # ---------------------------------------------------------------------------------------------------------- caches

    def cache(self, kind: type[CacheT]) -> CacheT:
        """What a module keeps beside the book, as a class of its own; new and empty when it is first asked for.

        Whoever fills a cache finds out whether it still holds: it names what it was made of (`version`, `sequence`).
        """
        cache = self._caches.get(kind)
        if cache is None:
            cache = self._caches[kind] = kind()
        return cast("CacheT", cache)

    def forget_caches(self) -> None:
        """Everything that modules keep beside the book is void."""
        self._caches = {}

    # ------------------------------------------------------------------------------------------------- market port

    def set_quotes(self, quotes: dict[str, tuple[float, float]]) -> None:
        """Take over prices; positions are revalued when somebody asks, unless these are the prices known already."""
        known = self.quotes
        if all(known.get(symbol) == quote for symbol, quote in quotes.items()):
            return
        self.quotes.update(quotes)
        self._symbol_quotes = np.full((0, 2), np.nan)
        worths = [dollars(currency, self.quotes) or np.nan for currency in CURRENCIES]
        self.dollars, self._worths = np.array(worths), dict(zip(CURRENCIES, worths, strict=True))
        self._rates = {}
        self.valued = False

    def instrument(self, symbol: str) -> Instrument | None:
        """Contract specification (engine.model.Market)."""
        return instrument(symbol) if self.uses_table or old_symbol(symbol) else None

    def specification(self, symbol: str) -> Specification | None:
        """The row of the table behind a broker's name of a symbol, None for what is not offered."""
        return specification(symbol) if self.uses_table or old_symbol(symbol) else None

    @property
    def uses_table(self) -> bool:
        """Whether the entry that is carried out knows more than the twelve pairs of the versions before."""
        return self.rules >= USES_TABLE

    def quote(self, symbol: str) -> tuple[float, float] | None:
        """Bid and ask under any broker's name of the symbol (engine.model.Market)."""
        quote = self.quotes.get(symbol)
        if quote is not None:
            return quote
        return self.quotes.get((base_symbol(symbol) if self.uses_table else old_symbol(symbol)) or "")

    def rate(self, currency: str, target: str) -> float | None:
        """Units of `target` for one unit of `currency` (engine.model.Market)."""
        if currency == target:
            return 1.0
        key = currency, target
        if key not in self._rates:
            worth, base = dollars(currency, self.quotes), dollars(target, self.quotes)
            self._rates[key] = None if worth is None or base is None else worth / base
        return self._rates[key]

    def rates(self, currencies: Sequence[str], target: str) -> list[float]:
        """`rate` of many at once, nan when unknown (engine.model.Market). All of them in `CURRENCIES`.

        Every signal asks for all that accounts may have, so that what is worked out with new prices serves here.
        """
        worths, base = self._worths, self._worths.get(target, np.nan)
        return [1.0 if currency == target else worths.get(currency, np.nan) / base for currency in currencies]

    def symbol_quotes(self) -> np.ndarray:
        """(n_symbols, 2) bid and ask by symbol number, nan without a price."""
        if len(self._symbol_quotes) != len(self.symbols):
            missing = (np.nan, np.nan)
            pairs = [self.quote(symbol) or missing for symbol in self.symbols.texts]
            self._symbol_quotes = np.array(pairs, dtype=float).reshape(-1, 2)
        return self._symbol_quotes

    def symbol_facts(self) -> np.ndarray:
        """(n_symbols, FACTS): contract size, base currency, profit currency (numbers in CURRENCIES), digits, 1 where
        the value follows the price instead of the base currency, smallest volume, volume step.

        Of a symbol that the broker does not know: nan, -1, -1 and the usual digits, so that whatever is worked out of
        it is unknown as well. Such names stand in books that earlier versions wrote.
        """
        if len(self._symbol_facts) != len(self.symbols) or self._facts_use_table != self.uses_table:
            self._facts_use_table = self.uses_table
            rows = [facts_of(self.specification(symbol)) for symbol in self.symbols.texts]
            self._symbol_facts = np.array(rows, dtype=float).reshape(-1, FACTS)
        return self._symbol_facts

    # ---------------------------------------------------------------------------------------------------- accounts

    def accounts_view(self) -> Accounts:
        """The accounts as the engine wants them; views of the columns."""
        view, columns = self._view, self.accounts
        if view is None or len(view.ids) != columns.size or view.balance.base is not columns.balance.base:
            view = self._view = Accounts(
                ids=[meta.id for meta in self.account_meta],
                currency=columns.currency,
                currencies=list(ACCOUNT_CURRENCIES),
                balance=columns.balance,
                equity=columns.equity,
                margin=columns.margin,
                leverage=columns.leverage,
                position_value=columns.position_value,
            )
        return view

    def account_dollars(self) -> np.ndarray:
        """(n_accounts,) US dollars for one unit of each account's currency."""
        return self.currency_dollars()[self.accounts.currency]

    def currency_dollars(self) -> np.ndarray:
        """US dollars for one unit of each currency that accounts may have, in the order of `ACCOUNT_CURRENCIES`."""
        return self.dollars[_ACCOUNT_CURRENCIES]

    def taking_part(self, accounts: np.ndarray) -> np.ndarray:
        """(n,) False for accounts that the entry is carried out without. accounts: (n,) rows."""
        if self.left_out is None:
            return np.ones(len(accounts), dtype=bool)
        known = self.left_out
        if len(known) < self.accounts.size:  # an account was opened meanwhile
            known = np.append(known, np.zeros(self.accounts.size - len(known), dtype=bool))
        return ~known[accounts]

    def left_out_ids(self) -> list[str]:
        """Ids of the accounts that the entry is carried out without. Nothing of theirs is touched."""
        rows = [] if self.left_out is None else np.flatnonzero(self.left_out).tolist()
        return [self.account_meta[row].id for row in rows]

    # ------------------------------------------------------------------------------------------------ small helpers

    def next_number(self, counter: str, count: int = 1) -> int:
        """The first of `count` fresh numbers."""
        first = self.counters[counter] + 1
        self.counters[counter] += count
        return first

    def next_ids(self, counter: str, count: int) -> np.ndarray:
        """(count,) fresh ids as they are shown."""
        first = self.next_number(counter, count)
        counts = np.arange(first, first + count)
        return scrambled(counts, self.secret) if self.secret else counts

    def changed_configuration(self) -> None:
        """Documents or accounts changed: compiled routes and rendered names are void."""
        self.version += 1

    def tenant_name(self, tenant: str) -> str:
        return self.tenant_names.get(tenant, tenant)

    def subscription(self, subscriber_id: str, strategy_id: str) -> int:
        """Row of a subscription, -1 when there never was one."""
        return self.subscription_rows.get((subscriber_id, strategy_id), -1)

    def strategies_of_account(self, account: int) -> list[StoredStrategy]:
        """Strategies an account provides, in creation order."""
        account_id = self.account_meta[account].id
        return [
            strategy
            for strategy in self.strategies_by_id.values()
            if not strategy.is_portfolio and strategy.document.get("accountId") == account_id
        ]


def facts_of(row: Specification | None) -> tuple[float, ...]:
    """A row of `Book.symbol_facts`."""
    if row is None:
        return np.nan, -1, -1, 5, 0, LEAST_LOTS, STEP_LOTS
    currencies = CURRENCIES.index(row.base_currency), CURRENCIES.index(row.profit_currency)
    return row.contract_size, *currencies, row.digits, not row.is_currency, row.min_volume, row.volume_step
