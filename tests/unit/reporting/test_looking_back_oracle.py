"""Looking back over mirrored signals beside our own backend's simulation, on histories of known inputs."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from copying.backend.simulation import scene_of, simulate
from copying.engine.model import OrderKind, Side
from copying.engine.routes import Configuration
from copying.symbols.instruments import dollars
from reporting.reconstruction.assumptions import Assumption
from reporting.reconstruction.comparing import Course, PastSignal, SideBySide, decided, is_same_leaf
from reporting.reconstruction.expected import Funds, ProviderTrade, RouteTables
from tests.unit.copying.backend.desk import QUOTES
from tests.unit.copying.backend.test_simulation import recorded
from tests.unit.reporting.test_reconstruction_oracle import History

COMMISSION = 6.0  # US dollars for a lot, both sides together: the paper broker's, which nobody tells of others
STRATEGIES = {"a": "S", "b": "S", "c": "P", "d": "P"}
COUNTS = ("copied", "resized", "skipped", "failed", "volume")


class Traded(History):
    """A history whose accounts stay with their strategies, so that each is asked about each of its signals."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.desk.quote(**{name: (bid, bid) for name, (bid, _) in QUOTES.items()})
        self.signals: list[PastSignal] = []
        self.funds_of: dict[datetime, dict[str, Funds]] = {}

    def settle(self, account: str) -> None:
        settings = self.chance.choice(({}, {"minTradeVolume": 0.02}, {"maxTradeVolume": 0.3}))
        self.desk.subscriber(account, STRATEGIES[account], settings=settings, **self.terms())

    def trade(self, number: int) -> None:
        """One signal, opened and closed at other prices."""
        chance, desk = self.chance, self.desk
        symbol, leaf = chance.choice(("EURUSD", "GBPUSD", "USDJPY")), chance.choice(("S", "S", "T"))
        side, lots = chance.choice((Side.BUY, Side.SELL)), chance.choice((0.01, 0.05, 0.1, 0.33, 1.0))
        self.note()
        funds, quotes, entry = self.funds(), dict(desk.book.quotes), desk.book.quotes[symbol][0]
        desk.signal(f"sig{number:05}", leaf, symbol=symbol, type=f"POSITION_TYPE_{side.name}", volume=lots)
        opened = self.moment
        self.funds_of[opened] = funds
        for name in ("EURUSD", "GBPUSD"):
            price = round(QUOTES[name][0] * (1 + chance.uniform(-0.004, 0.004)), 5)
            desk.tick(60, **{name: (price, price)})
        leaving = desk.book.quotes[symbol][0]
        desk.close_signal(f"sig{number:05}", leaf)
        trade = ProviderTrade(
            id=f"sig{number:05}",
            strategy_id=leaf,
            symbol=symbol,
            side=side,
            kind=OrderKind.MARKET,
            time=opened,
            lots=lots,
            price=entry,
            has_stops=True,
            magic=0,
        )

        def exchange(currency: str, target: str) -> float | None:
            worth, base = dollars(currency, quotes), dollars(target, quotes)
            return None if worth is None or base is None else worth / base

        courses = {symbol: Course(entry, leaving, 1.0, self.moment)}
        self.signals.append(PastSignal(trade, {symbol: entry}, courses, exchange))


def compared(history: Traded, changed: Configuration, *, wanted: Any) -> dict[str, Any]:
    """The answer of the mirror."""
    both = scene_of(history.desk.book, "t").configuration, changed
    tables, comparison = RouteTables(), SideBySide(wanted)

    def money_at(account: str, moment: datetime) -> Funds | None:
        return history.funds_of[moment].get(account)

    for signal in reversed(history.signals):
        before, after = (decided(signal, own, tables, money_at) for own in both)
        same = is_same_leaf(signal.trade.strategy_id, both)
        comparison.add(signal, before, after, is_own=True, is_same_leaf=same)
    assert comparison.assumed <= {Assumption.SPECIFICATION, Assumption.PRICE, Assumption.RATE}
    assert (comparison.undecided, comparison.missing) == (0, {})
    return comparison.answer()


def changed_by(history: Traded, chance: random.Random) -> Configuration:
    """Other settings of an account, of a strategy or of the portfolio."""
    now = scene_of(history.desk.book, "t").configuration
    kind = chance.choice(("subscriber", "subscriber", "strategy", "portfolio", "gone"))
    documents = {name: dict(getattr(now, name)) for name in ("strategies", "portfolios", "subscribers")}
    account = chance.choice(tuple(STRATEGIES))
    if kind == "subscriber":
        terms = {"strategyId": STRATEGIES[account], **history.terms()}
        documents["subscribers"][account] = {"name": account, "subscriptions": [terms]}
    elif kind == "gone":
        documents["subscribers"].pop(account)
    elif kind == "strategy":
        other = chance.choice(({"maxTradeVolume": 0.05}, {"reverse": True}, {"symbolFilter": {"excluded": ["EURUSD"]}}))
        documents["strategies"]["S"] = documents["strategies"]["S"] | other
    else:
        members = [{"strategyId": "S", "multiplier": 2}, {"strategyId": "T", "allowedSides": ["buy"]}]
        documents["portfolios"]["P"] = documents["portfolios"]["P"] | {"members": members}
    return Configuration(**documents, owners=now.owners)


@pytest.mark.parametrize("seed", range(8))
def test_it_says_what_our_backend_would_say(seed):
    history, differed = Traded(seed), 0
    for number in range(12):
        history.trade(number)
        if history.chance.random() < 0.5:
            history.settle(history.chance.choice(tuple(STRATEGIES)))
    history.note()
    scene, events = scene_of(history.desk.book, "t"), recorded(history.desk)
    for _ in range(4):
        changed = changed_by(history, history.chance)
        true = simulate(scene, changed, events)
        own = compared(history, changed, wanted=lambda leaf, key: True)
        told = true.summary()["totals"]
        assert own["totals"]["signals"] == told["signals"] == 12
        assert own["totals"]["differs"] == told["differs"]
        for name in ("baseline", "changed"):
            one, other = own["totals"][name], told[name]
            assert {key: one[key] for key in COUNTS} == {key: other[key] for key in COUNTS}
            assert one["unknown"] == 0
            assert one["profit"] - COMMISSION * one["volume"] == pytest.approx(other["profit"], abs=0.1)
        items = {answer.event.signal_id: answer.served() for answer in true.answers if answer.differs}
        listed = own["signals"]["items"]
        assert {item["signalId"]: item["differs"] for item in listed} == {
            key: served["differs"] for key, served in items.items()
        }
        for item in listed:
            assert item["changed"]["volume"] == pytest.approx(items[item["signalId"]]["changed"]["volume"])
        differed += told["differs"]
    assert differed


def trade(lots: float | None, **fields: Any) -> PastSignal:
    """A signal of S."""
    moment = datetime(2026, 3, 2, 12, tzinfo=UTC)
    own = ProviderTrade(
        "x", "S", "EURUSD", Side.BUY, OrderKind.MARKET, moment, lots=lots, price=1.1, has_stops=True, **fields
    )
    return PastSignal(own, {"EURUSD": 1.1}, {}, lambda currency, target: None)


def configured(**terms: Any) -> Configuration:
    """Two accounts that copy S: `a` with these terms, `b` with a fixed volume."""
    fixed = {"tradeSizeScaling": {"mode": "fixedVolume", "tradeVolume": 0.1}}
    subscribers = {
        "a": {"subscriptions": [{"strategyId": "S", "tradeSizeScaling": {"mode": "none"}, **terms}]},
        "b": {"subscriptions": [{"strategyId": "S", **fixed}]},
    }
    return Configuration({"S": {"accountId": "p"}}, {}, subscribers)


def both(signal: PastSignal, before: Configuration, after: Configuration) -> SideBySide:
    comparison, tables = SideBySide(lambda leaf, key: True), RouteTables()
    one, other = (decided(signal, own, tables, lambda account, moment: None) for own in (before, after))
    comparison.add(signal, one, other, is_own=True, is_same_leaf=is_same_leaf("S", (before, after)))
    return comparison


def test_a_volume_that_nobody_told_is_no_difference_but_said_to_be_unknown():
    comparison = both(trade(None), configured(), configured(multiplier=2))
    totals = comparison.answer()["totals"]
    assert (totals["differs"], comparison.undecided) == (0, 1)
    assert (totals["baseline"]["unknown"], totals["baseline"]["copied"]) == (1, 1)
    assert comparison.missing[Assumption.PROVIDER_LOTS] == 1
    known = both(trade(0.1), configured(), configured(multiplier=2))
    assert (known.differs, known.undecided) == (1, 0)


def test_a_refusal_that_holds_whatever_the_volume_is_is_told_and_rules_that_stay_never_differ():
    comparison = both(trade(None), configured(), configured(allowedSides=["sell"]))
    totals = comparison.answer()["totals"]
    assert (totals["baseline"]["unknown"], totals["changed"]["skipped"], totals["changed"]["unknown"]) == (1, 1, 0)
    assert comparison.undecided == 1
    unchanged = both(trade(None), configured(), configured())
    assert (unchanged.undecided, unchanged.differs) == (0, 0)


def test_results_that_nothing_tells_are_left_out_and_are_no_zero():
    comparison = both(trade(0.1), configured(), configured(multiplier=2))
    answer = comparison.answer()
    assert "profit" not in answer["totals"]["baseline"]
    assert answer["withoutResult"] == 2
    assert answer["signals"]["items"][0]["profitDifference"] is None
