"""What a route table says about one symbol, side and kind of order: derived once, kept with the table.

Holds the verdict of every rule that depends on configuration and these three alone (filters, sides, pending orders,
removal, close-only) and the subscriber's symbol per route. Knows no prices, no accounts, no time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from copying.engine.fold import Mode
from copying.engine.model import Level, OrderKind, Outcome, Side
from copying.engine.reasons import WORD, Reason, pack, refusal
from copying.engine.routes import RouteTable

MAX_VIEWS = 512  # a provider's symbols are few; external signals could name anything
EPSILON = 1e-9  # relative slack of comparisons: results of float64 arithmetic that mean the same number
COPIED = pack(Outcome.COPIED, Reason.COPIED, Level.NONE)
Program = tuple[tuple[Level, bytes], ...]


class Group:
    """The routes of a view that a rule concerns, without those a static rule refuses; columns gathered once.

    routes: (k,) indices; combo, account, side: (k,) of them.
    """

    __slots__ = ("account", "columns", "combo", "routes", "side", "spot", "symbol", "table")

    def __init__(self, table: RouteTable, view: View, routes: np.ndarray) -> None:
        self.table = table
        self.routes = routes
        self.combo = view.combo[self.routes]
        self.account = table.account[self.routes]
        self.side = view.side[self.routes].astype(np.float64)
        self.symbol = view.symbol[self.routes]
        self.spot = view.spot[self.routes]
        self.columns: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.routes)

    def column(self, name: str) -> np.ndarray:
        """A column of the table on these routes."""
        found = self.columns.get(name)
        if found is None:
            found = self.columns[name] = self.table.columns[name][self.routes]
        return found


@dataclass(slots=True)
class View:
    """symbols: subscriber-side names; symbol: (n,) index into them, -1 filtered. side: (n,) after reversal.

    verdict: (n,) word of the first static rule that refuses, 0: none. combo: (n,) 2 * symbol + reversed.
    by_symbol: routes that trade only symbols already open, `by_symbol_code` their refusals. mode_combo: the factor of
    the route's mode; the slot behind the last for what is refused already. spot: stop class * width + combo, where the
    last combo of `width` means stripped; stop_spot: the same with copyStopLoss off as stripped.
    start: the words a decision starts with. rows: the account row of each route, a slice where they follow one another.
    least: minTradeVolume with the slack of comparisons, None where no route has one. coefficient: what the rounded
    volume must not exceed as a multiple of the wanted one, likewise; where it cannot matter, too large to matter.
    """

    symbols: list[str]
    symbol: np.ndarray
    side: np.ndarray
    kind: np.ndarray
    verdict: np.ndarray
    combo: np.ndarray
    mode_combo: np.ndarray
    spot: np.ndarray
    stop_spot: np.ndarray
    target_combo: np.ndarray
    by_symbol: np.ndarray
    by_symbol_symbol: np.ndarray
    by_symbol_code: np.ndarray
    start: np.ndarray
    rows: np.ndarray | slice
    least: np.ndarray | None
    coefficient: np.ndarray | None
    specs: Any = None  # prices.Specs of these symbols
    news: Any = None  # filters.News of the last decision
    groups: dict[str, Group] = field(default_factory=dict)

    def group(self, table: RouteTable, name: str, choose: Callable[[RouteTable], np.ndarray]) -> Group:
        """The group called `name`; `choose` gives its (n,) mask when it is made."""
        found = self.groups.get(name)
        if found is None:
            routes = np.flatnonzero(choose(table) & (self.verdict == 0))
            found = self.groups[name] = Group(table, self, routes)
        return found


def view_of(table: RouteTable, symbol: str, side: Side, kind: OrderKind) -> View:
    """The view for a provider's symbol, side and kind."""
    key = (symbol, side, kind)
    found = table.views.get(key)
    if found is None:
        if len(table.views) >= MAX_VIEWS:
            table.views.clear()
        found = table.views[key] = make_view(table, symbol, side, kind)
    return found


def make_view(table: RouteTable, provider_symbol: str, side: Side, kind: OrderKind) -> View:
    """All static rules in the order of the contract's 4.6: account, symbols, pending, sides, removal, close-only."""
    c = table.columns
    names: dict[str, int] = {}
    symbol_of_program = np.empty(len(table.programs), np.intp)
    refusal_of_program = np.zeros(len(table.programs), WORD)
    for row, program in enumerate(table.programs):
        name, level = run_program(program, provider_symbol)
        symbol_of_program[row] = -1 if level else names.setdefault(name, len(names))
        refusal_of_program[row] = refusal(Reason.SYMBOL_FILTER, level) if level else 0
    symbol = symbol_of_program[table.program]
    final_side = np.where(c["reversed"], -int(side), int(side)).astype(np.int8)
    verdict = np.where(table.account < 0, refusal(Reason.NO_ACCOUNT, Level.SUBSCRIBER), 0).astype(WORD)
    first_wins(verdict, refusal_of_program[table.program])
    if kind is not OrderKind.MARKET:
        first_wins(verdict, c["pending_refusal"])
    first_wins(verdict, np.where(final_side == Side.BUY, c["buy_refusal"], c["sell_refusal"]))
    soft_removal = (c["removed_refusal"] > 0) & c["removed_by_symbol"]
    soft_close = c["closes_only"] & c["close_only_by_symbol"]
    first_wins(verdict, np.where(soft_removal, 0, c["removed_refusal"]))
    first_wins(verdict, np.where(c["closes_only"] & ~soft_close, c["close_only_code"], 0))
    by_symbol = np.flatnonzero((soft_removal | soft_close) & (verdict == 0))
    soft_code = np.where(soft_removal, c["removed_refusal"], c["close_only_code"])
    flipped = {OrderKind.MARKET: 0, OrderKind.LIMIT: OrderKind.STOP, OrderKind.STOP: OrderKind.LIMIT}[kind]
    combo = 2 * np.maximum(symbol, 0) + c["reversed"]
    width = 2 * max(len(names), 1)
    # rounding never doubles a volume unless a tiny trade is forced
    exceeds = c["force_tiny"] | (c["max_risk_coefficient"] < 2.0 + 1e-6)
    return View(
        symbols=list(names),
        symbol=symbol,
        side=final_side,
        kind=np.where(c["reversed"], int(flipped), int(kind)).astype(np.uint8),
        verdict=verdict,
        combo=combo,
        mode_combo=np.where(verdict == 0, c["mode"] * width + combo, len(Mode) * width),
        spot=table.stop_class * (width + 1) + combo,
        stop_spot=table.stop_class * (width + 1) + np.where(c["copy_stop_loss"], combo, width),
        target_combo=np.where(c["copy_take_profit"], combo, width),
        by_symbol=by_symbol,
        by_symbol_symbol=symbol[by_symbol],
        by_symbol_code=soft_code[by_symbol].astype(WORD),
        start=np.where(verdict == 0, COPIED, verdict).astype(WORD),
        rows=following(table.account),
        least=c["min_volume"] * (verdict == 0) * (1 - EPSILON) if c["min_volume"].any() else None,
        coefficient=np.where(exceeds, c["max_risk_coefficient"] * (1 + EPSILON), 1e300) if exceeds.any() else None,
    )


def following(account: np.ndarray) -> np.ndarray | slice:
    """Account rows as a slice where they follow one another; an unknown account (-1) is left out of no decision, its
    route is refused.
    """
    first = int(account[0]) if len(account) else 0
    if first >= 0 and np.array_equal(account, np.arange(first, first + len(account))):
        return slice(first, first + len(account))
    return account


def first_wins(verdict: np.ndarray, later: np.ndarray) -> None:
    """Put the words of a later rule where no earlier rule has refused."""
    np.copyto(verdict, later.astype(WORD), where=verdict == 0)


def run_program(program: Program, symbol: str) -> tuple[str, Level]:
    """The subscriber's name of a symbol and Level.NONE, or the level whose filter refuses it.

    At each level the filter sees the name before the level's own mapping: pass if `included` is empty or has it, and
    `excluded` has it not. Source: contract, 4.4 symbolFilter, symbolMapping
    """
    for level, raw in program:
        step = msgspec.json.decode(raw)
        symbols = step.get("symbolFilter") or {}
        included, excluded = symbols.get("included") or (), symbols.get("excluded") or ()
        if (included and symbol not in included) or symbol in excluded:
            return symbol, level
        for rename in step.get("symbolMapping") or ():
            if rename["from"] == symbol:
                symbol = rename["to"]
                break
    return symbol, Level.NONE
