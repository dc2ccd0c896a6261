"""The vectorised engine and the readable loop agree on random books; and what must hold whatever the settings."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import HealthCheck, example, given, settings

from copying.engine.decide import decide
from copying.engine.model import Decisions, Level, OrderKind, Outcome, Side
from copying.engine.reasons import Reason
from tests.unit.copying.engine import oracle
from tests.unit.copying.engine.books import make_book, seeds
from tests.unit.copying.engine.worlds import accounts, chain, compiled, facts, signal

moderate = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LATE = {Reason.STOP_LOSS_NEEDED, Reason.EXPRESSION_FAILED, Reason.NO_STOP_LOSS}


def close(found: float, expected: float | None) -> bool:
    expected = math.nan if expected is None else expected
    return (math.isnan(found) and math.isnan(expected)) or math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)


def compare(decisions: Decisions, row: int, verdict: oracle.Verdict) -> None:
    """One route, all columns."""
    assert Reason(decisions.reason[row]) is verdict.reason
    assert Outcome(decisions.outcome[row]) is verdict.outcome
    assert Level(decisions.level[row]) is verdict.level
    traded = verdict.outcome <= Outcome.DELAYED
    assert decisions.volume_lots[row] == (verdict.rounded if traded else 0)
    if verdict.reason is Reason.DELAYED:
        assert verdict.delay is not None
        low, high = sorted(verdict.delay)
        assert low <= decisions.delay_s[row] <= high
        assert decisions.limit_value[row] == decisions.delay_s[row]
    else:
        assert decisions.delay_s[row] == 0
        assert close(decisions.limit_value[row], verdict.limit_value)
    if verdict.reason not in LATE:
        steps = (verdict.scaled, verdict.multiplied, verdict.limited)
        assert all(close(found, wanted) for found, wanted in zip(decisions.steps[row, 1:4], steps, strict=True))
    if traded:
        assert decisions.symbols[decisions.symbol[row]] == verdict.symbol
        assert Side(int(decisions.side[row])) is verdict.side
        assert OrderKind(int(decisions.kind[row])) is verdict.kind
        assert close(decisions.stop_loss[row], verdict.stop_loss)
        assert close(decisions.take_profit[row], verdict.take_profit)
    assert decisions.notes[row] == (verdict.notes if traded else 0)


@moderate
@given(seeds)
def test_all_routes_at_once_decide_as_one_after_another(seed: int) -> None:
    book = make_book(seed)
    table = book.table
    found = oracle.routes("s", book.configuration)
    assert sorted(route.key for route in found) == sorted(tuple(key) for key in table.keys)
    decisions = decide(table, book.signal, book.facts)
    for route in found:
        row = table.index[route.key]
        compare(
            decisions, row, oracle.decide_one(route.settings, row, book.signal, book.facts, book.rows.get(route.key[0]))
        )


@moderate
@given(seeds)
def test_no_decision_is_without_a_reason(seed: int) -> None:
    book = make_book(seed)
    decisions = decide(book.table, book.signal, book.facts)
    for outcome, reason, volume in zip(decisions.outcome, decisions.reason, decisions.volume_lots, strict=True):
        about = Reason(reason).about
        if outcome <= Outcome.DELAYED:
            assert about.changed
            assert volume > 0
        else:
            assert about.refused
            assert volume == 0
            assert (outcome == Outcome.FAILED) == about.failed
        assert (outcome == Outcome.COPIED) == (reason == Reason.COPIED)


@moderate
@given(seeds)
def test_volumes_are_steps_of_the_broker_and_within_every_limit(seed: int) -> None:
    book = make_book(seed)
    table = book.table
    decisions = decide(table, book.signal, book.facts)
    for row in np.flatnonzero(decisions.opens):
        volume = decisions.volume_lots[row]
        instrument = book.facts.market.instrument(decisions.symbols[decisions.symbol[row]])
        steps = volume / instrument.volume_step
        assert abs(steps - round(steps)) < 1e-6
        assert instrument.min_volume <= volume <= instrument.max_volume
        terms = table.terms[row]
        assert volume <= terms.max_volume * (1 + 1e-8)
        assert volume >= terms.min_volume * (1 - 1e-8)
        wanted = decisions.steps[row, 2]
        assert volume <= max(wanted * terms.max_risk_coefficient, 0) * (1 + 1e-8)


@moderate
@given(seeds)
@example(3993396)  # a pending price between two points of the subscriber's broker
def test_the_copied_risk_is_never_above_the_terms(seed: int) -> None:
    book = make_book(seed)
    table = book.table
    decisions = decide(table, book.signal, book.facts)
    market, accounts = book.facts.market, book.accounts
    for row in np.flatnonzero(decisions.opens):
        terms, account = table.terms[row], table.account[row]
        instrument = market.instrument(decisions.symbols[decisions.symbol[row]])
        quote = market.quote(instrument.symbol) or (book.signal.price, book.signal.price)
        is_market = decisions.kind[row] == OrderKind.MARKET
        entry = quote[int(decisions.side[row] == Side.BUY)] if is_market else book.signal.price
        rate = market.rate(accounts.currencies[accounts.currency[account]], "USD")
        lot = entry / instrument.tick_size * instrument.tick_value * market.rate(instrument.profit_currency, "USD")
        volume, stop = decisions.volume_lots[row], decisions.stop_loss[row]
        if not math.isnan(stop) and not math.isnan(terms.max_trade_risk):
            loss = abs(entry - stop) / entry * lot * volume
            assert loss <= terms.max_trade_risk * accounts.balance[account] * rate * (1 + 1e-6)
        if is_market and not math.isnan(terms.max_leverage):
            value = volume * lot + accounts.position_value[account] * rate
            assert value <= terms.max_leverage * accounts.equity[account] * rate * (1 + 1e-6)


@settings(moderate, max_examples=60)
@given(seeds)
def test_the_same_question_has_the_same_answer(seed: int) -> None:
    book = make_book(seed)
    first = decide(book.table, book.signal, book.facts)
    again = decide(book.table, book.signal, book.facts)
    for name in ("outcome", "reason", "level", "limit_value", "delay_s", "stop_loss"):
        assert np.array_equal(getattr(first, name), getattr(again, name), equal_nan=True)
    assert np.array_equal(first.steps, again.steps)


def test_random_books_give_every_rule_something_to_do() -> None:
    reached = set()
    for seed in range(300):
        book = make_book(seed)
        decisions = decide(book.table, book.signal, book.facts)
        reached |= set(zip(decisions.reason.tolist(), decisions.outcome.tolist(), strict=True))
    by_the_executor = {reason for reason in Reason if Reason.TOO_LATE <= reason <= Reason.PROGRAM_FAULT}
    by_the_executor.add(Reason.NOT_OFFERED)
    assert {reason for reason, _ in reached} == set(Reason) - by_the_executor
    cutting = {Reason.MAX_TRADE_RISK, Reason.MAX_TRADE_VOLUME, Reason.CORRELATION, Reason.MAX_LEVERAGE}
    assert {(reason, outcome) for reason in cutting for outcome in (Outcome.RESIZED, Outcome.SKIPPED)} <= reached


def test_an_empty_table_gives_empty_decisions() -> None:
    rows = accounts({})
    table = compiled(chain(subscription={"strategyId": "nothing"}), rows)
    assert len(decide(table, signal(), facts(rows)).outcome) == 0
