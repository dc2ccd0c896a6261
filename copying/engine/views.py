"""What a route table says about one symbol, side and kind of order: derived once, kept with the table.

Holds the verdict of every rule that depends on configuration and these three alone (filters, sides, pending orders,
removal, close-only) and the subscriber's symbol per route. Knows no prices, no accounts, no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from copying.engine.compiled import record
from copying.engine.model import Level, OrderKind, Side
from copying.engine.reasons import WORD, Reason, refusal
from copying.engine.routes import RouteTable

MAX_VIEWS = 512  # a provider's symbols are few; external signals could name anything
Program = tuple[tuple[Level, bytes], ...]

PLACE = record(verdict=WORD, unless_open=WORD, combo="i4")
"""A route in a view. verdict: word of the first static rule that refuses, 0: none. unless_open: of the rule that
refuses symbols that are not open on the route, 0: none. combo: 2 * symbol + reversed.
"""


@dataclass(slots=True)
class View:
    """symbols: subscriber-side names; symbol: (n,) index into them, -1 filtered. side, kind: (n,) after reversal.

    places: (n,) `PLACE`. asking_open: routes that take only symbols that are open. reducing_by_route: routes with
    reduceCorrelations by strategy; reducing_by_account: accounts of those by account. formulas: distinct expressions
    and the routes sized by them.
    """

    symbols: list[str]
    symbol: np.ndarray
    side: np.ndarray
    kind: np.ndarray
    places: np.ndarray
    asking_open: np.ndarray
    reducing_by_route: np.ndarray
    reducing_by_account: np.ndarray
    formulas: list[tuple[str, np.ndarray]]
    specs: Any = None  # prices.Specs
    news: Any = None  # filters.News


def view_of(table: RouteTable, symbol: str, side: Side, kind: OrderKind) -> View:
    """The view for a provider's symbol, side and kind."""
    key = (symbol, side, kind)
    view = table.views.get(key)
    if view is None:
        if len(table.views) >= MAX_VIEWS:
            table.views.clear()
        view = table.views[key] = make_view(table, symbol, side, kind)
    return view


def make_view(table: RouteTable, provider_symbol: str, side: Side, kind: OrderKind) -> View:
    """All static rules in the order of the contract's 4.6: account, symbols, pending, sides, removal, close-only."""
    gates = table.gates
    names: dict[str, int] = {}
    symbol_of_program = np.empty(len(table.programs), np.intp)
    refusal_of_program = np.zeros(len(table.programs), WORD)
    for row, program in enumerate(table.programs):
        name, level = run_program(program, provider_symbol)
        symbol_of_program[row] = -1 if level else names.setdefault(name, len(names))
        refusal_of_program[row] = refusal(Reason.SYMBOL_FILTER, level) if level else 0
    symbol = symbol_of_program[gates["program"]]
    final_side = np.where(gates["reversed"], -int(side), int(side)).astype(np.int8)
    removed, closes = gates["removed_refusal"], gates["close_only_refusal"]
    verdict = np.where(table.account < 0, refusal(Reason.NO_ACCOUNT, Level.SUBSCRIBER), 0).astype(WORD)
    first_wins(verdict, refusal_of_program[gates["program"]])
    if kind is not OrderKind.MARKET:
        first_wins(verdict, gates["pending_refusal"])
    first_wins(verdict, np.where(final_side == Side.BUY, gates["buy_refusal"], gates["sell_refusal"]))
    first_wins(verdict, np.where(gates["removed_by_symbol"], 0, removed))
    first_wins(verdict, np.where(gates["close_only_by_symbol"], 0, closes))
    places = np.zeros(len(table), PLACE)
    places["verdict"] = verdict
    places["unless_open"] = np.where(verdict > 0, 0, np.where(removed > 0, removed, closes))
    places["combo"] = 2 * np.maximum(symbol, 0) + gates["reversed"]
    flipped = {OrderKind.MARKET: 0, OrderKind.LIMIT: OrderKind.STOP, OrderKind.STOP: OrderKind.LIMIT}[kind]
    return View(
        symbols=list(names),
        symbol=symbol,
        side=final_side,
        kind=np.where(gates["reversed"], int(flipped), int(kind)).astype(np.uint8),
        places=places,
        asking_open=np.flatnonzero(places["unless_open"]),
        reducing_by_route=np.flatnonzero(table.columns["correlations"] == 1),
        reducing_by_account=np.maximum(table.account[table.columns["correlations"] > 1], 0),
        formulas=[
            (text, np.flatnonzero((gates["formula"] == number) & (verdict == 0)))
            for number, text in enumerate(table.expressions)
            if text
        ],
    )


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
