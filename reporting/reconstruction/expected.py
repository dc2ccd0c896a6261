"""What the engine says of a signal over mirrored settings: the functions that copy live, told what is known of then.

What nobody told is replaced by something that decides nothing, and named (assumptions.py): where it would have decided,
the volume is not known. Volumes are lots, money is in each account's currency, rates are to US dollars.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

import msgspec
import numpy as np

from copying.engine import model
from copying.engine.decide import decide
from copying.engine.fold import CopyTerms, Mode
from copying.engine.model import Level, OrderKind, Outcome, Side, Step
from copying.engine.reasons import Reason
from copying.engine.routes import Configuration, RouteTable, compile_routes
from copying.engine.views import run_program
from copying.symbols.instruments import base_symbol, instrument
from reporting.reconstruction.assumptions import DECISIVE, Assumption

BASE = "USD"
MUCH = 1e12  # stands for money that is not known, so that no rule refuses for lack of it
WITHOUT_VOLUME = frozenset(
    {
        Reason.MAGIC_FILTER,
        Reason.SYMBOL_FILTER,
        Reason.PENDING_ORDERS_SKIPPED,
        Reason.SIDE_NOT_ALLOWED,
        Reason.REMOVED,
        Reason.CLOSE_ONLY,
        Reason.STOPPED_OUT,
    }
)
"""Refusals that hold whatever the volumes and the money are."""
OF_MONEY = (Mode.BALANCE, Mode.EQUITY, Mode.FIXED_RISK, Mode.EXPRESSION)
OF_PROVIDER_MONEY = (Mode.BALANCE, Mode.EQUITY)
WITHOUT_PROVIDER_LOTS = (Mode.FIXED_VOLUME, Mode.FIXED_RISK)
KINDS = {"market": OrderKind.MARKET, "limit": OrderKind.LIMIT, "stop": OrderKind.STOP}
SIDES = {"buy": Side.BUY, "sell": Side.SELL}


@dataclass(frozen=True, slots=True)
class Funds:
    """Money of an account at some moment. is_of_then: recorded before the signal; else it is the present entry."""

    balance: float
    equity: float
    currency: str
    leverage: float = 100.0
    is_of_then: bool = True


@dataclass(frozen=True, slots=True)
class ProviderTrade:
    """A signal as the provider gave it. lots, price, magic: None where nobody told. has_stops: the stops were told."""

    id: str
    strategy_id: str
    symbol: str
    side: Side
    kind: OrderKind
    time: datetime
    lots: float | None = None
    price: float | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    has_stops: bool = False
    magic: int | None = None
    is_symbol_concluded: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """A stopout that was active. strategy_id: empty stops the whole account."""

    subscriber_id: str
    strategy_id: str


class ExchangeRate(Protocol):
    """What one unit of a currency was worth in another on the day; None: not known."""

    def __call__(self, currency: str, target: str) -> float | None: ...


@dataclass(slots=True)
class PastMarket:
    """The market of a moment as deals tell of it (engine.model.Market). prices: by symbol, of deals or the provider."""

    prices: Mapping[str, float]
    exchange: ExchangeRate

    def instrument(self, symbol: str) -> model.Instrument | None:
        return instrument(symbol)

    def quote(self, symbol: str) -> tuple[float, float] | None:
        price = self.prices.get(symbol)
        if price is None:
            base = base_symbol(symbol)
            price = next((value for name, value in self.prices.items() if base and base_symbol(name) == base), None)
        return None if price is None else (price, price)

    def rate(self, currency: str, target: str) -> float | None:
        return 1.0 if currency == target else self.exchange(currency, target)

    def rates(self, currencies: Sequence[str], target: str) -> list[float]:
        rates = (self.rate(currency, target) for currency in currencies)
        return [math.nan if rate is None else rate for rate in rates]


@dataclass(slots=True)
class ExpectedRoute:
    """What the engine says of one way to an account. volumes: the chain in lots by `Step`, nan where unknown.

    is_known: whether outcome and volume hold, as nothing decisive had to be assumed.
    """

    outcome: Outcome
    reason: Reason
    level: Level
    volumes: list[float]
    limit_value: float
    side: Side
    symbol: str
    path: tuple[str, ...]
    assumptions: frozenset[Assumption] = frozenset()
    is_known: bool = True
    delay_s: float = 0.0

    @property
    def opens(self) -> bool:
        return self.outcome <= Outcome.DELAYED

    @property
    def lots(self) -> float | None:
        """The volume that is to be expected; 0 where nothing is copied; None: not known."""
        return self.volumes[Step.FINAL] if self.is_known else None


Ways = dict[tuple[str, str], list[ExpectedRoute]]
"""By (what is subscribed to, account)."""


@dataclass(slots=True)
class RouteTables:
    """Compiled tables of leaves, kept while a configuration holds."""

    tables: dict[tuple[str, int], tuple[Configuration, RouteTable, list[str]]] = field(default_factory=dict)

    def of(self, strategy_id: str, configuration: Configuration) -> tuple[RouteTable, list[str]]:
        """The table of a leaf and the ids of its accounts by row. Raises what the engine does of unusable documents."""
        key = strategy_id, id(configuration)
        known = self.tables.get(key)
        if known is None or known[0] is not configuration:
            ids = list(configuration.subscribers)
            rows = {account: row for row, account in enumerate(ids)}
            known = self.tables[key] = (configuration, compile_routes(strategy_id, configuration, rows), ids)
        return known[1], known[2]


def expect(
    trade: ProviderTrade,
    table: RouteTable,
    ids: list[str],
    *,
    funds: Mapping[str, Funds],
    provider: Funds | None,
    market: PastMarket,
    stops: Iterable[Stop] = (),
    uncertain: frozenset[str] = frozenset(),
) -> Ways:
    """What the settings of that moment ask for on every route of a signal. ids: accounts by row of the table.

    uncertain: accounts whose settings, or those above them, were changed about that time.
    """
    if not len(table):
        return {}
    signal = model.Signal(
        id=trade.id,
        strategy_id=trade.strategy_id,
        symbol=trade.symbol,
        side=trade.side,
        kind=trade.kind,
        volume_lots=1.0 if trade.lots is None else trade.lots,
        price=trade.price or 0.0,
        time=trade.time.timestamp(),
        stop_loss=trade.stop_loss,
        take_profit=trade.take_profit,
        magic=trade.magic or 0,
    )
    if trade.magic is None and table.strategy.get("magicFilter"):
        table = replace(table, strategy={key: value for key, value in table.strategy.items() if key != "magicFilter"})
    decisions = decide(table, signal, _facts(trade, table, ids, funds, provider, market, stops), is_after_delay=True)
    ways: Ways = {}
    for row, key in enumerate(table.keys):
        symbol = decisions.symbols[decisions.symbol[row]] if decisions.symbol[row] >= 0 else ""
        route = ExpectedRoute(
            outcome=Outcome(int(decisions.outcome[row])),
            reason=Reason(int(decisions.reason[row])),
            level=Level(int(decisions.level[row])),
            volumes=[float(lots) for lots in decisions.steps[row]],
            limit_value=float(decisions.limit_value[row]),
            side=Side(int(decisions.side[row])),
            symbol=symbol,
            path=key.path,
            delay_s=table.terms[row].delay_max_s,
        )
        own = funds.get(key.subscriber_id)
        _name_assumptions(route, trade, table, table.terms[row], own, provider, market)
        if key.subscriber_id in uncertain:
            route.assumptions |= {Assumption.SETTINGS_CHANGING}
        ways.setdefault((key.strategy_id, key.subscriber_id), []).append(route)
    return ways


def _facts(
    trade: ProviderTrade,
    table: RouteTable,
    ids: list[str],
    funds: Mapping[str, Funds],
    provider: Funds | None,
    market: PastMarket,
    stops: Iterable[Stop],
) -> model.Facts:
    nothing = Funds(MUCH, MUCH, BASE)
    own = [funds.get(account, nothing) for account in ids]
    currencies = sorted({entry.currency for entry in own} | {BASE})
    worth = None if provider is None else market.rate(provider.currency, BASE)
    accounts = model.Accounts(
        ids=ids,
        currency=np.array([currencies.index(entry.currency) for entry in own], np.int32),
        currencies=currencies,
        balance=np.array([entry.balance for entry in own], float),
        equity=np.array([entry.equity for entry in own], float),
        margin=np.zeros(len(own)),
        leverage=np.array([entry.leverage for entry in own], float),
        position_value=np.zeros(len(own)),
    )
    facts = model.Facts(
        now=trade.time.timestamp(),
        market=market,
        accounts=accounts,
        provider_account=None,
        provider_balance_base=0.0 if provider is None or worth is None else provider.balance * worth,
        provider_equity_base=0.0 if provider is None or worth is None else provider.equity * worth,
        provider_balance=0.0 if provider is None else provider.balance,
        provider_equity=0.0 if provider is None else provider.equity,
    )
    active = {(stop.subscriber_id, stop.strategy_id) for stop in stops}
    if active:
        stopped = [bool({(key.subscriber_id, ""), (key.subscriber_id, key.strategy_id)} & active) for key in table.keys]
        levels = [Level.SUBSCRIBER if (key.subscriber_id, "") in active else Level.SUBSCRIPTION for key in table.keys]
        facts.stopped, facts.stopped_level = np.array(stopped), np.array(levels, np.uint8)
    return facts


def _name_assumptions(
    route: ExpectedRoute,
    trade: ProviderTrade,
    table: RouteTable,
    terms: CopyTerms,
    own: Funds | None,
    provider: Funds | None,
    market: PastMarket,
) -> None:
    """Name what the verdict rests on; where that is decisive, only refusals that hold anyway are believed."""
    if route.reason in WITHOUT_VOLUME and not route.opens:
        named = _of_filters(route, trade, table, terms)
    else:
        named = set(_of_volume(route, trade, table, terms, own, provider, market))
    route.assumptions = frozenset(named)
    route.is_known = not named & DECISIVE
    if not route.is_known:
        route.volumes = [math.nan] * len(route.volumes)
        if trade.lots is not None:
            route.volumes[Step.PROVIDER] = trade.lots
        route.outcome, route.reason, route.level = Outcome.COPIED, Reason.COPIED, Level.NONE
        route.limit_value = math.nan


def _of_filters(route: ExpectedRoute, trade: ProviderTrade, table: RouteTable, terms: CopyTerms) -> set[Assumption]:
    """What a refusal rests on that asks for no volume."""
    named = set()
    if trade.is_symbol_concluded and terms.symbol_steps:
        named.add(Assumption.SYMBOL)
    asks_open = terms.close_only == "by-symbol" or terms.removed_by_symbol
    if asks_open and route.reason in (Reason.REMOVED, Reason.CLOSE_ONLY):
        named.add(Assumption.OPEN)
    return named


def _of_volume(
    route: ExpectedRoute,
    trade: ProviderTrade,
    table: RouteTable,
    terms: CopyTerms,
    own: Funds | None,
    provider: Funds | None,
    market: PastMarket,
) -> Iterable[Assumption]:
    yield from _of_filters(route, trade, table, terms)
    if trade.lots is None and terms.mode not in WITHOUT_PROVIDER_LOTS:
        yield Assumption.PROVIDER_LOTS
    asks_provider = terms.mode in OF_PROVIDER_MONEY or "provider" in terms.expression
    if asks_provider and provider is None:
        yield Assumption.PROVIDER_MONEY
    asks_money = terms.mode in OF_MONEY or bool(
        terms.max_trade_risk_level or terms.max_leverage_level or terms.reserved_margin
    )
    converts = {own.currency} if own and (asks_money or terms.min_amount) else set()
    if own is None and (asks_money or terms.min_amount):
        yield Assumption.MONEY
    elif own is not None and asks_money and not own.is_of_then:
        yield Assumption.MONEY_NOW
    if provider is not None and asks_provider:
        converts.add(provider.currency)
        if not provider.is_of_then:
            yield Assumption.MONEY_NOW
    spec = market.instrument(route.symbol or trade.symbol)
    if spec is None:
        yield Assumption.SPECIFICATION_UNKNOWN
        return
    yield Assumption.SPECIFICATION
    asks_price = bool(asks_money or terms.min_amount)
    if market.quote(spec.symbol) is None and (trade.kind is OrderKind.MARKET or not trade.price):
        yield Assumption.PRICE_UNKNOWN
    elif asks_price and terms.mode not in OF_PROVIDER_MONEY:
        yield Assumption.PRICE
    if any(market.rate(code, BASE) is None for code in {*converts, spec.profit_currency}):
        yield Assumption.RATE_UNKNOWN
    elif len(converts) > 1 or (
        asks_price and terms.mode not in OF_PROVIDER_MONEY and converts != {spec.profit_currency}
    ):
        yield Assumption.RATE
    if not trade.has_stops and (terms.mode is Mode.FIXED_RISK or terms.max_trade_risk_level or terms.reads_levels):
        yield Assumption.STOP
    if terms.correlations or terms.max_leverage_level or terms.reserved_margin:
        yield Assumption.OPEN
    if terms.news_filters:
        yield Assumption.NEWS
    filters = [name for name in ("equityCurveFilter", "drawdownFilter") if table.strategy.get(name)]
    if filters or (trade.magic is None and table.strategy.get("magicFilter")):
        yield Assumption.PROVIDER_FILTERS


def provider_side(side: Side, terms: CopyTerms) -> Side:
    """The side that a provider traded, of what a copy did."""
    return Side(-side) if terms.reversed else side


def provider_symbol(symbol: str, terms: CopyTerms) -> str:
    """A symbol at the provider that a copy's symbol is made of; itself where no mapping says otherwise."""
    names = [symbol]
    for _, step in terms.symbol_steps:
        mapping = msgspec.json.decode(step).get("symbolMapping") or ()
        names += [entry["from"] for entry in mapping if entry.get("to") == symbol and entry.get("from")]
    for name in reversed(names):
        result, level = run_program(terms.symbol_steps, name)
        if result == symbol and not level:
            return name
    return symbol
