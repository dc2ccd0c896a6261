"""How configuration becomes routes: every path once, stable keys, no circles, unchanged rows taken over."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from copying.engine.decide import decide
from copying.engine.routes import Configuration, RouteKey, RouteTable, compile_routes
from tests.unit.copying.engine.worlds import accounts, facts, signal


def book(**portfolios: list) -> Configuration:
    """Strategies s and t, portfolios by name with the ids of their members, subscriber a of everything."""
    targets = ["s", "t", *portfolios]
    return Configuration(
        strategies={"s": {}, "t": {}},
        portfolios={name: {"members": [{"strategyId": each} for each in ids]} for name, ids in portfolios.items()},
        subscribers={"a": {"subscriptions": [{"strategyId": target} for target in targets]}},
    )


def paths(configuration: Configuration, strategy_id: str = "s") -> list[tuple[str, ...]]:
    return sorted(key.path for key in compile_routes(strategy_id, configuration, {"a": 0}).keys)


def test_every_way_to_a_subscriber_is_a_route() -> None:
    assert paths(book(p=["s", "t"], q=["p", "s"])) == [("s",), ("s", "p"), ("s", "p", "q"), ("s", "q")]
    assert paths(book(p=["s", "t"], q=["p", "s"]), "t") == [("t",), ("t", "p"), ("t", "p", "q")]


def test_a_strategy_listed_twice_has_two_routes() -> None:
    assert paths(book(p=["s", "s"], q=["p", "p"])) == [
        ("s",),
        ("s", "p"),
        ("s", "p", "q"),
        ("s", "p#2", "q"),
        ("s#2", "p"),
        ("s#2", "p", "q"),
        ("s#2", "p#2", "q"),
    ]


def test_circles_end() -> None:
    assert paths(book(p=["s", "q"], q=["p"])) == [("s",), ("s", "p"), ("s", "p", "q")]
    assert paths(book(p=["s", "p"])) == [("s",), ("s", "p")]


def test_portfolios_nest_eight_deep() -> None:
    names = [f"p{number}" for number in range(10)]
    chained = {name: ["s" if number == 0 else names[number - 1]] for number, name in enumerate(names)}
    assert max(map(len, paths(book(**chained)))) == 9


def test_keys_name_subscriber_target_and_path() -> None:
    table = compile_routes("s", book(p=["s"]), {"a": 7})
    assert table.keys == [RouteKey("a", "s", ("s",)), RouteKey("a", "p", ("s", "p"))]
    assert table.account.tolist() == [7, 7]
    assert table.index[table.keys[1]] == 1


def test_unchanged_rows_are_taken_over() -> None:
    first = Configuration({"s": {}}, {}, {name: {"subscriptions": [{"strategyId": "s"}]} for name in ("a", "b")})
    before = compile_routes("s", first, {"a": 0, "b": 1})
    changed = {"subscriptions": [{"strategyId": "s", "maxTradeVolume": 0.1}]}
    second = Configuration(first.strategies, {}, dict(first.subscribers) | {"b": changed})
    after = compile_routes("s", second, {"a": 0, "b": 1}, before)
    assert after.terms[0] is before.terms[0]
    assert after.terms[1].max_volume == 0.1
    assert np.isinf(before.terms[1].max_volume)


TERMS = (
    {"maxTradeVolume": 0.3},
    {"symbolFilter": {"included": ["EURUSD"]}},
    {"symbolMapping": [{"from": "EURUSD", "to": "GBPUSD"}]},
    {"tradeSizeScaling": {"mode": "expression", "expression": "providerVolume / 2"}},
    {"tradeSizeScaling": {"mode": "expression", "expression": "balance / 1e6"}},
    {"newsFilter": {"calendarNewsFilter": {"priorities": ["high"]}}},
    {"maxStopLoss": {"value": 20, "units": "pips"}},
    {"maxStopLoss": {"value": 35, "units": "pips"}},
    {"closeOnly": "by-symbol"},
    {},
)


def contents(table: RouteTable) -> list[list]:
    """Everything that a decision can see, whatever the shared parts are numbered."""
    shared = [
        [table.programs[number] for number in table.gates["program"]],
        [table.news_chains[number] for number in table.columns["news_chain"]],
        [table.expressions[number] for number in table.gates["formula"]],
    ]
    numbered = {"program", "news_chain", "formula"}
    records = [
        [name, str(records[name].dtype), repr(records[name].tolist())]
        for records in (table.columns, table.gates)
        for name in records.dtype.names
        if name not in numbered
    ]
    facts = [table.keys, table.account.tolist(), sorted(table.index.items()), table.terms]
    return shared + records + [repr(each) for each in facts]


@pytest.mark.parametrize("seed", range(20))
def test_a_table_made_from_the_one_before_is_the_table_made_anew(seed: int) -> None:
    random, numbers = Random(seed), iter(range(1000))
    strategy, portfolio = {"maxTradeVolume": 5}, {"members": [{"strategyId": "s", "multiplier": 0.5}]}
    subscribers: dict[str, dict] = {}
    rows: dict[str, int] = {}
    table = None
    for _ in range(40):
        for _ in range(random.choice([0, 1, 1, 3])):
            name = random.choice([*subscribers, f"a{next(numbers)}"])
            if name in subscribers and random.random() < 0.3:
                del subscribers[name]
                continue
            ids = random.sample(["s", "p", "other"], random.randint(0, 2))
            subscribers[name] = {"subscriptions": [{"strategyId": each, **random.choice(TERMS)} for each in ids]}
            rows.setdefault(name, len(rows))
        if random.random() < 0.1:
            strategy = {"maxTradeVolume": random.randint(1, 9)}
        if random.random() < 0.1:
            portfolio = {"members": [{"strategyId": "s", "multiplier": random.randint(1, 9)}]}
        made = Configuration({"s": strategy}, {"p": portfolio}, dict(subscribers))
        table = compile_routes("s", made, rows, table)
        assert contents(table) == contents(compile_routes("s", made, rows))


def test_a_change_elsewhere_keeps_the_table_and_what_it_has_learned() -> None:
    first = Configuration({"s": {}}, {}, {"a": {"subscriptions": [{"strategyId": "s"}]}})
    before = compile_routes("s", first, {"a": 0})
    second = Configuration(first.strategies, {}, first.subscribers | {"b": {"subscriptions": []}})
    assert compile_routes("s", second, {"a": 0}, before) is before


def test_every_path_is_sized_by_its_own_multipliers() -> None:
    configuration = Configuration(
        {"s": {}},
        {"p": {"members": [{"strategyId": "s", "multiplier": 0.5}, {"strategyId": "s", "multiplier": 0.2}]}},
        {"a": {"subscriptions": [{"strategyId": "p", "multiplier": 2}]}},
    )
    rows = accounts({})
    decisions = decide(compile_routes("s", configuration, {"a": 0}), signal(), facts(rows))
    assert decisions.volume_lots.tolist() == [1.0, 0.4]


def test_symbol_views_do_not_pile_up() -> None:
    rows = accounts({})
    table = compile_routes("s", book(), {"a": 0})
    for number in range(1_500):
        decide(table, signal(symbol=f"SYMBOL{number}"), facts(rows))
    assert len(table.views) <= 512
