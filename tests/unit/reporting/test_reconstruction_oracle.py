"""Reconstructed decisions beside the true ones of our own backend, on generated histories of signals and settings."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from copying.backend.core.render import Renderer, Rows
from copying.engine.model import OrderKind, Side
from copying.engine.reasons import BY_CODE, Reason
from copying.symbols.instruments import ACCOUNT_CURRENCIES, dollars
from reporting.reconstruction.assumptions import Assumption
from reporting.reconstruction.expected import Funds, PastMarket, ProviderTrade, RouteTables, expect
from reporting.reconstruction.matching import CopiedDeal, find, openings
from reporting.reconstruction.settings import Timeline
from strategies.versions import Described, DocumentVersion
from tests.unit.copying.backend.desk import Desk

ASSUMED = {Assumption.SPECIFICATION, Assumption.PRICE}  # what is exactly so here
ACCOUNTS = {"a": "USD", "b": "USD", "c": "EUR", "d": "USD"}
BY_BROKER = {Reason.NOT_ENOUGH_MARGIN, Reason.BROKER_REFUSED, Reason.OFFLINE, Reason.CIRCULAR, Reason.DELAYED}


class History:
    """A desk whose settings are noted as the mirror would see them."""

    def __init__(self, seed: int) -> None:
        self.chance, self.desk = random.Random(seed), Desk()
        self.versions: list[DocumentVersion] = []
        self.desk.strategy("S")
        self.desk.strategy("T", "prov2")
        self.desk.portfolio("P", [{"strategyId": "S", "multiplier": 0.5}, {"strategyId": "T"}])
        for account, currency in ACCOUNTS.items():
            self.desk.account(account, deposit=self.chance.choice((3_000, 10_000, 25_000)), currency=currency)
            self.settle(account)
        self.note()

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.desk.now, UTC)

    def settle(self, account: str) -> None:
        """Give an account other settings."""
        settings = self.chance.choice(
            ({}, {}, {"minTradeVolume": 0.02}, {"maxTradeVolume": 0.3}, {"closeOnly": "immediately"})
        )
        strategy = self.chance.choice(("S", "S", "P"))
        self.desk.subscriber(account, strategy, settings=settings, **self.terms())

    def terms(self) -> dict:
        modes = (
            {"mode": "none"},
            {"mode": "none"},
            {"mode": "balance"},
            {"mode": "equity"},
            {"mode": "contractSize"},
            {"mode": "fixedVolume", "tradeVolume": 0.07},
            {"mode": "balance", "forceTinyTrades": True, "maxRiskCoefficient": 3},
        )
        terms: dict = {"tradeSizeScaling": self.chance.choice(modes)}
        others = (
            {},
            {"multiplier": 0.5},
            {"multiplier": 2, "maxTradeVolume": 0.15},
            {"reverse": True},
            {"allowedSides": ["sell"]},
            {"symbolFilter": {"included": ["EURUSD", "USDJPY"], "excluded": []}},
            {"symbolMapping": [{"from": "GBPUSD", "to": "GBPUSDm"}]},
            {"maxTradeRisk": 0.01},
            {"minTradeAmount": 9_000},
        )
        return terms | self.chance.choice(others)

    def note(self) -> None:
        """Keep the versions of every document that says something else."""
        book, now = self.desk.book, self.moment
        documents = {
            (Described.PORTFOLIO if entity.is_portfolio else Described.STRATEGY, key): entity.document
            for key, entity in book.strategies_by_id.items()
        }
        documents |= {(Described.SUBSCRIBER, key): entity.document for key, entity in book.subscribers_by_id.items()}
        for (kind, key), document in documents.items():
            running = [v for v in self.versions if (v.kind, v.backend_id) == (kind, key) and v.replaced_at is None]
            if running and running[0].document == document:
                continue
            for version in running:
                version.last_seen_at, version.replaced_at = now - timedelta(microseconds=1), now
            self.versions.append(DocumentVersion(kind=kind, backend_id=key, document=dict(document), first_seen_at=now))

    def funds(self) -> dict[str, Funds]:
        book = self.desk.book
        return {
            account: Funds(
                float(book.accounts.balance[row]),
                float(book.accounts.equity[row]),
                ACCOUNT_CURRENCIES[int(book.accounts.currency[row])],
                float(book.accounts.leverage[row]),
            )
            for account, row in book.account_rows.items()
        }

    def told(self, effects) -> tuple[list[dict], list[dict]]:
        """Decisions and transactions as the API serves them."""
        rows, renderer = Rows(), Renderer(self.desk.book)
        list(renderer.render(effects, rows))
        return [json.loads(row[1]) for row in rows.decisions], [json.loads(row[1]) for row in rows.transactions]


def deals_of(documents: list[dict]) -> list[CopiedDeal]:
    return [
        CopiedDeal(
            id=deal["id"],
            strategy_id=deal["strategy"]["id"],
            subscriber_id=deal["subscriberId"],
            position=deal["slavePositionId"],
            symbol=deal["symbol"],
            side=Side.BUY if deal["type"] == "DEAL_TYPE_BUY" else Side.SELL,
            lots=abs(Decimal(str(deal["quantity"]))),
            price=Decimal(str(deal["tickPrice"])),
            time=datetime.fromisoformat(deal["time"]),
        )
        for deal in documents
        if "symbol" in deal
    ]


def compare(history: History, number: int) -> Counter:
    """One signal, decided truly and reconstructed."""
    chance, desk = history.chance, history.desk
    symbol = chance.choice(("EURUSD", "USDJPY", "GBPUSD", "EURJPY"))
    side, lots = chance.choice((Side.BUY, Side.SELL)), chance.choice((0.01, 0.05, 0.1, 0.33, 1.0))
    bid, ask = desk.book.quotes[symbol]
    price = ask if side is Side.BUY else bid
    stop = round(price * (1 - side * 0.004), 3 if "JPY" in symbol else 5) if chance.random() < 0.5 else None
    leaf = chance.choice(("S", "S", "T"))
    history.note()
    funds, quotes = history.funds(), dict(desk.book.quotes)
    fields = {"symbol": symbol, "type": f"POSITION_TYPE_{side.name}", "volume": lots}
    effects = desk.signal(f"sig{number:05}", leaf, **fields, **({"stopLoss": stop} if stop else {}))
    decisions, transactions = history.told(effects)
    moment = history.moment
    trade = ProviderTrade(
        id=f"sig{number:05}",
        strategy_id=leaf,
        symbol=symbol,
        side=side,
        kind=OrderKind.MARKET,
        time=moment,
        lots=lots,
        price=price,
        stop_loss=stop,
        has_stops=True,
        magic=0,
    )

    def exchange(currency: str, target: str) -> float | None:
        worth, base = dollars(currency, quotes), dollars(target, quotes)
        return None if worth is None or base is None else worth / base

    timeline, tables = Timeline.of(history.versions), RouteTables()
    table, ids = tables.of(leaf, timeline.configuration_at(moment))
    assert tables.of(leaf, timeline.configuration_at(moment))[0] is table
    provider = funds["prov" if leaf == "S" else "prov2"]
    deals = deals_of(transactions)
    prices = {symbol: price} | {deal.symbol: float(deal.price or 0) for deal in deals}
    ways = expect(trade, table, ids, funds=funds, provider=provider, market=PastMarket(prices, exchange))
    found = {
        (each.strategy_id, each.subscriber_id): each for each in find(trade, ways, openings(deals), {}, is_settled=True)
    }
    true = {(each["strategyId"], each["subscriberId"]): each for each in decisions}
    assert set(true) == set(found), "everybody who was subscribed then, and nobody else"
    seen: Counter = Counter()
    for way, each in true.items():
        reason = BY_CODE[each["reason"]]
        final = each["volumes"]["final"]
        own = found[way]
        assert (own.volumes[-1] or 0) == pytest.approx(final if each["outcome"] in ("copied", "resized") else 0)
        if reason in BY_BROKER or not {Assumption(code) for code in own.assumptions} <= ASSUMED:
            seen["left out"] += 1
            continue
        assert own.expected == pytest.approx(final if own.outcome != "failed" else 0), (each, own)
        assert (own.outcome, own.reason, own.level or "none") == (each["outcome"], each["reason"], each["level"])
        assert own.symbol == (each["subscriberSymbol"] or "")
        assert own.side == each["side"]
        seen[each["reason"]] += 1
    return seen


@pytest.mark.parametrize("seed", range(6))
def test_outcome_and_volume_are_the_true_ones_wherever_everything_is_known(seed):
    history, seen = History(seed), Counter()
    for number in range(40):
        seen += compare(history, number)
        if history.chance.random() < 0.5:
            history.settle(history.chance.choice(tuple(ACCOUNTS)))
        if history.chance.random() < 0.3:
            factor = 1 + history.chance.uniform(-0.002, 0.002)
            history.desk.tick(60, EURUSD=(round(1.1 * factor, 5), round(1.1001 * factor, 5)))
    compared = sum(seen.values()) - seen["left out"]
    assert compared > 60
    assert len(seen) > 4, seen
