"""One step before, exactly at, one step after: the edges of rules that a mutation of the engine went unnoticed at."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import numpy as np
import pytest

from copying.engine.decide import decide
from copying.engine.expressions import MAX_LENGTH, ExpressionError, parse
from copying.engine.filters import gap_edges, news_closes
from copying.engine.fold import CopyTerms, fold_max_volume
from copying.engine.levels import is_far, names_pair
from copying.engine.model import Decisions, Level, NewsEvent, Outcome, Side, Step
from copying.engine.offers import Owners
from copying.engine.prices import ASKED, step_fraction
from copying.engine.reasons import Reason, sentence
from copying.engine.routes import Configuration, compile_routes
from copying.engine.timing import delay_of
from copying.engine.views import MAX_VIEWS
from tests.unit.copying.engine.test_closing import EURUSD, left_of
from tests.unit.copying.engine.worlds import INSTRUMENTS, QUOTES, World, accounts, chain, compiled, facts, one, signal

NOON = 1_700_049_600.0
MINUTE = 60.0


@pytest.mark.parametrize(
    ("lots", "fraction", "told"),
    [
        # 0.1 lot is worth 11,002 USD: of 12,000 x 100 buying power 1,188,998 is left, which is 99.083 balances
        (0.1, 99.08, "copied"),
        (0.1, 99.09, "reserved-margin"),
        # 10 lots are worth 1,100,200: 99,800 is left, 8.31666 balances
        (10.0, 8.31666, "copied"),
        (10.0, 8.31667, "reserved-margin"),
    ],
)
def test_margin_stays_in_reserve(lots: float, fraction: float, told: str) -> None:
    terms = chain(subscription={"tradeSizeScaling": {"mode": "none"}}, subscriber={"reservedMarginFraction": fraction})
    assert one(terms, signal(volume_lots=lots), {"balance": 12_000}).reason == told


@pytest.mark.parametrize(("bid", "told"), [(0.0, "no-price"), (-0.5, "no-price"), (1e-5, "copied")])
@pytest.mark.parametrize("side", Side)
def test_a_price_of_nothing_is_no_price(bid: float, told: str, side: Side) -> None:
    market = World(quotes=QUOTES | {"EURUSD": (bid, 1.1002)})
    terms = chain(subscription={"tradeSizeScaling": {"mode": "none"}})
    assert one(terms, signal(side=side), market=market).reason == told


def test_a_trade_too_small_is_told_with_no_lots() -> None:
    seen = one(chain(subscription={"tradeSizeScaling": {"mode": "fixedVolume", "tradeVolume": 0.004}}))
    assert (seen.reason, seen.steps[Step.ROUNDED], seen.volume) == ("tiny-trade", 0.0, 0.0)


@pytest.mark.parametrize(("most", "lots"), [(0.03, 0.03), (0.0299, 0.0), (0.021, 0.0)])
def test_a_trade_cut_below_the_smallest_is_refused(most: float, lots: float) -> None:
    """The smallest trade is three steps: what is cut to two of them is too small."""
    special = World(instruments=INSTRUMENTS | {"EURUSD": replace(EURUSD, min_volume=0.03)})
    terms = chain(
        subscription={"tradeSizeScaling": {"mode": "fixedVolume", "tradeVolume": 0.04}, "maxTradeVolume": most}
    )
    assert one(terms, market=special).volume == lots


@pytest.mark.parametrize(
    ("is_breaking", "second", "level"),
    [
        (False, -1_801, Level.NONE),
        (False, -1_800, Level.STRATEGY),
        (False, -1, Level.STRATEGY),
        (False, 0, Level.NONE),
        (True, -1, Level.NONE),
        (True, 0, Level.STRATEGY),
        (True, 1_799, Level.STRATEGY),
        (True, 1_800, Level.NONE),
    ],
)
def test_news_close_positions_within_their_gap(is_breaking: bool, second: int, level: Level) -> None:
    part = b'{"priorities": ["high"], "closePositionTimeGapInMinutes": 30}'
    chain_of_filters = ((Level.STRATEGY, b'{"calendarNewsFilter": %b, "breakingNewsFilter": %b}' % (part, part)),)
    event = NewsEvent(NOON, "EUR", "high", is_breaking)
    assert news_closes(chain_of_filters, "EURUSD", (event,), NOON + second) is level


def test_news_change_the_answer_at_the_edges_of_unequal_gaps() -> None:
    gaps = {"openPositionPrecedingTimeGapInMinutes": 5, "openPositionFollowingTimeGapInMinutes": 120}
    document = {"calendarNewsFilter": {"priorities": ["high"], **gaps}}
    event = NewsEvent(NOON, "EUR", "high", False)
    assert gap_edges(document, event) == (NOON - 5 * MINUTE, NOON, NOON + 120 * MINUTE)


def test_news_are_asked_again_when_time_is_earlier() -> None:
    """Between two edges the answer is kept; a simulation asks one table about earlier moments as well."""
    gaps = {"openPositionPrecedingTimeGapInMinutes": 5, "openPositionFollowingTimeGapInMinutes": 5}
    filters = {"newsFilter": {"calendarNewsFilter": {"priorities": ["high"], **gaps}}}
    rows = accounts({})
    table = compiled(chain(strategy=filters), rows)
    news = (NewsEvent(NOON, "EUR", "high", False),)
    reasons = [
        Reason(decide(table, signal(), facts(rows, news=news, now=NOON + second)).reason[0])
        for second in (300, 299, 0, -300, -301, 300)
    ]
    assert reasons == [Reason.COPIED, *[Reason.NEWS] * 3, Reason.COPIED, Reason.COPIED]


@pytest.mark.parametrize(
    ("fixed", "most", "coefficient", "lots"),
    [
        # rounding up to the smallest trade takes more than allowed: then nothing is traded
        (0.006, 50, 20, 0.01),
        (0.006, 0.0099, 20, 0.0),
        (0.006, 50, 1.66, 0.0),
        (0.006, 50, 1.67, 0.01),
        (0.006, 0.01, 20, 0.01),
    ],
)
def test_a_trade_that_may_not_be_rounded_up_is_refused(fixed: float, most: float, coefficient: float, lots: float):
    scaling = {"mode": "fixedVolume", "tradeVolume": fixed, "maxRiskCoefficient": coefficient}
    assert one(chain(subscription={"tradeSizeScaling": scaling, "maxTradeVolume": most})).volume == lots


@pytest.mark.parametrize(
    ("name", "is_pair"),
    [
        ("EURUSD", True),
        ("EURUS", False),
        ("EURUSDM", True),
        ("MEURUSD", True),
        ("PROEURUSDPRO", True),
        ("XXEURXXUSD", False),
        ("EURUSDGBPJPYCHF", True),
        ("ABCDEFGHEURUSD", True),
        ("EURXUSD", False),
        ("EUR.USD", False),
    ],
)
def test_a_pair_is_seen_anywhere_in_a_name(name: str, is_pair: bool) -> None:
    assert names_pair(name) is is_pair


@pytest.mark.parametrize(
    ("level", "expected"), [(2.99, False), (3.0, False), (3.01, True), (0.34, False), (0.33, True), (1 / 3, False)]
)
def test_a_level_is_far_beyond_three_times_the_price(level: float, expected: bool) -> None:
    assert is_far(level, 1.0) is expected


@pytest.mark.parametrize(
    ("step", "fraction"),
    [(0.01, (1, 100)), (0.25, (25, 100)), (1, (1, 1)), (5, (5, 1)), (0.001, (1, 1_000)), (1e-8, (1, 1e8))],
)
def test_steps_are_fractions_of_the_smallest_power_of_ten(step: float, fraction: tuple[float, float]) -> None:
    assert step_fraction(step) == fraction


@pytest.mark.parametrize(("share", "left"), [(-0.5, 0.0), (0.0, 0.0), (0.5, 0.15), (1.0, 0.3), (1.5, 0.3)])
def test_a_share_is_none_to_all(share: float, left: float) -> None:
    assert left_of(0.3, 0.3, share, EURUSD) == left


def test_a_negative_share_closes_what_is_small_too() -> None:
    assert left_of(0.01, 0.01, -1.0, replace(EURUSD, min_volume=0.0)) == 0.0


def test_both_halves_of_a_signals_seed_decide_its_delay() -> None:
    rows = accounts({})
    delays = {"signalDelay": {"minInSeconds": 0, "maxInSeconds": 100}}
    route = compiled(chain(subscription=delays), rows).columns[0]
    seeds = [(1, 1), (2, 1), (1, 2), (1 << 31, 1), (1, 1 << 31)]
    asked = np.zeros(len(seeds), ASKED)
    asked["seed_high"], asked["seed_low"] = zip(*seeds, strict=True)
    with np.errstate(over="ignore"):  # a hash runs over, compiled or not
        waits = [delay_of(record, route) for record in asked]
    assert len({round(wait, 6) for wait in waits}) == len(seeds)


@pytest.mark.parametrize(
    ("outcome", "is_told"),
    [
        (Outcome.COPIED, True),
        (Outcome.RESIZED, True),
        (Outcome.DELAYED, True),
        (Outcome(Outcome.DELAYED + 1), False),
    ],
)
def test_notes_are_told_of_what_is_traded(outcome: Outcome, is_told: bool) -> None:
    plain, noted = (
        sentence(Reason.MAX_TRADE_VOLUME, outcome, Level.SUBSCRIPTION, [1, 1, 0.3, 0.2, 0.2, 0.2], 0.2, notes=notes)
        for notes in (0, 1)
    )
    assert (noted != plain) is is_told


@pytest.mark.parametrize(("length", "is_taken"), [(MAX_LENGTH - 1, True), (MAX_LENGTH, True), (MAX_LENGTH + 1, False)])
def test_expressions_may_be_as_long_as_is_said(length: int, is_taken: bool) -> None:
    text = "1" + " " * (length - 1)
    if is_taken:
        parse(text)
    else:
        with pytest.raises(ExpressionError):
            parse(text)


@pytest.mark.parametrize(
    ("value", "volume", "level"),
    [
        (0.1, 0.1, Level.SUBSCRIPTION),  # less
        (0.3, 0.1 + 0.2, Level.STRATEGY),  # the same but for noise: the level that said it first
        (0.1 + 0.2, 0.1 + 0.2, Level.STRATEGY),
        (0.4, 0.1 + 0.2, Level.STRATEGY),
    ],
)
def test_of_equal_largest_volumes_the_first_is_named(value: float, volume: float, level: Level) -> None:
    terms = CopyTerms(max_volume=0.1 + 0.2, max_volume_level=Level.STRATEGY)
    fold_max_volume(terms, Level.SUBSCRIPTION, value)
    assert (terms.max_volume, terms.max_volume_level) == (volume, level)


@pytest.mark.parametrize(("settings", "lots"), [({}, 2.0), ({"mode": "fixedVolume", "tradeVolume": 0.3}, 0.3)])
def test_terms_ask_for_their_own_volume_or_the_providers(settings: dict, lots: float) -> None:
    document = {"tradeSizeScaling": settings} if settings else {}
    assert CopyTerms().at(Level.SUBSCRIPTION, document).wanted_lots(2.0) == lots


def test_what_is_refused_afterwards_trades_nothing() -> None:
    rows = accounts({}, {})
    configuration = chain()
    configuration.subscribers["b"] = configuration.subscribers["a"]
    decisions: Decisions = decide(compiled(configuration, rows), signal(), facts(rows))
    before = decisions.volume_lots.copy()
    decisions.refuse(np.array([1]), Outcome.SKIPPED, Reason.NO_PRICE, Level.BROKER)
    assert before[0] > 0
    assert decisions.volume_lots.tolist() == [before[0], 0.0]


def test_a_view_is_made_once_until_there_are_too_many() -> None:
    rows = accounts({})
    table = compiled(chain(), rows)
    for number in range(MAX_VIEWS - 1):
        decide(table, signal(symbol=f"SYMBOL{number}"), facts(rows))
    first = table.views[next(iter(table.views))]
    decide(table, signal(), facts(rows))
    assert len(table.views) == MAX_VIEWS
    decide(table, signal(symbol="SYMBOL0"), facts(rows))
    assert table.views[next(iter(table.views))] is first
    decide(table, signal(symbol="ONE MORE"), facts(rows))
    assert len(table.views) == 1


def test_prices_of_a_second_symbol_are_judged_by_that_symbol() -> None:
    """Routes of one signal end at three symbols; levels of another instrument are left out at that one only."""
    mapped = {"a": None, "b": "XAUUSD", "c": "EURUSDm"}
    subscribers = {
        name: {
            "subscriptions": [
                {"strategyId": "s", "symbolMapping": [{"from": "EURUSD", "to": symbol}] if symbol else []}
            ]
        }
        for name, symbol in mapped.items()
    }
    rows = accounts({}, {}, {})
    decisions = decide(
        compiled(Configuration({"s": {}}, {}, subscribers), rows), signal(take_profit=1.12, stop_loss=nan), facts(rows)
    )
    assert INSTRUMENTS["XAUUSD"].base_currency == "XAU"
    assert [bool(np.isnan(level)) for level in decisions.take_profit] == [False, True, False]


@pytest.mark.parametrize("mine", ["p", "q", "r"])
def test_a_portfolio_that_may_not_copy_keeps_no_other_from_it(mine: str) -> None:
    """The order of the portfolios does not matter: each is asked by itself."""
    names = ("p", "q", "r")
    configuration = Configuration(
        strategies={"s": {"offer": {"to": "tenants", "tenants": ["friend"]}}},
        portfolios={name: {"members": [{"strategyId": "s"}], "offer": {"to": "everybody"}} for name in names},
        subscribers={"a": {"subscriptions": [{"strategyId": name} for name in names]}},
        owners=Owners({"s": "provider"} | dict.fromkeys(names, "stranger") | {mine: "friend"}, {"a": "friend"}),
    )
    assert [key.path for key in compile_routes("s", configuration, {"a": 0}).keys] == [("s", mine)]
