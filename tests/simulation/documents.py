"""Configuration documents as users write them: settings on every level, each there or not, all valid."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

from copying.backend.risk.limits import BASES, KINDS
from copying.backend.settings.sealing import seal, token_of
from copying.contract.validation import validate

TENANTS = ("one", "two")
SCHEMES = ("flat-fee", "lots-traded", "lots-won", "amount-traded", "amount-won", "high-water-mark")
CLOSE_ONLY = ("by-position", "by-symbol", "immediately")
FRAMES = ("1h", "4h", "1d")
FORMULAS = (
    "providerVolume * balance / providerBalance",
    "max(0.01, providerScaledVolume / 2)",
    "round(multiplier * 10) / 100",
    "quoteOrOpenPrice > 100 ? 0.05 : providerTradeAmount / contractSize / 2",
    "balance - balance",
)
# to a broker's name of the same, to names that nobody knows, to a pair without a price, and from a name nobody knows
MAPPINGS = (
    {"from": "EURUSD", "to": "EURUSD.r"},
    {"from": "EURUSD", "to": "EURUSD.r"},
    {"from": "GBPUSD", "to": "XAUUSD"},
    {"from": "EURUSD", "to": "EURUSD.proECN7"},
    {"from": "USDJPY", "to": "GBPJPY"},
    {"from": "XAUUSD", "to": "EURUSD"},
)
Document = dict[str, Any]


@cache
def sealed(token: str) -> str:
    """A token as the API keeps it; once for all worlds, which are compared with each other."""
    return token_of(seal({"telegram": {"publishing": {"token": token}}}))


class Documents:
    """Draws documents."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def strategy(self, strategy_id: str) -> Document:
        """A provider's strategy; half of them publish to a chat of their own."""
        tenant, number = strategy_id[:3], strategy_id[-1]
        accounts = [f"{tenant}prov{number}"]
        if number == "1":
            accounts.append(f"{tenant}a0")  # copies by itself: what it copies is copied on
        document: Document = {
            "name": strategy_id,
            "description": "",
            "accountId": self.random.choice(accounts),
            **self.terms(self.maybe_scheme(), chance=0.15),
        }
        settings = {"lifetimeInHours": self.random.choice((1, 30, 300)), "openingIntervalInMinutes": 3}
        settings["expirePendingOrderSignals"] = True
        document |= self.chosen({"timeSettings": self.chosen(settings, 0.5)}, 0.4)
        publishing = {"token": sealed(f"1:{strategy_id}"), "chatId": "@chat", "template": "${orderId} ${operation}"}
        document |= self.chosen({"telegram": {"publishing": publishing}}, 0.5)
        document |= self.offer()
        document |= self.chosen(
            {
                "drawdownFilter": {"maxDrawdown": 0.05, "action": "exclude"},
                "symbolsTraded": ["EURUSD", "USDJPY"],
                "equityCurveFilter": {"period": self.random.choice((2, 5)), "timeframe": self.random.choice(FRAMES)},
                "magicFilter": {"included": ["0-1"]},
            },
            0.1,
        )
        validate("strategy", document)
        return document

    def portfolio(self, strategy_id: str) -> Document:
        """P holds strategies; Q holds a portfolio and a strategy, which it may reach twice."""
        tenant = strategy_id[:3]
        others = TENANTS if tenant == "two" else ("one",)
        ids = [f"{each}S{number}" for each in others for number in range(2)]
        chosen = self.random.sample(ids, self.random.choice((1, 2)))
        if strategy_id.endswith("Q"):
            chosen = [f"{self.random.choice(others)}P", chosen[0]]
        members = [
            {"strategyId": each, "multiplier": self.random.choice((0.5, 1, 2)), **self.terms(chance=0.1)}
            for each in chosen
        ]
        document = {"name": strategy_id, "description": "", "members": members, **self.terms(self.maybe_scheme())}
        document |= self.offer()
        validate("portfolio", document)
        return document

    def subscriber(self, subscriber_id: str) -> Document:
        """One to three subscriptions, also to a portfolio of portfolios and to the other user's."""
        tenant = subscriber_id[:3]
        offered = [f"{tenant}{each}" for each in ("S0", "S1", "P", "Q")]
        offered += ["oneS0", "oneP"] if tenant == "two" else []
        subscriptions = [
            {
                "strategyId": strategy_id,
                "multiplier": self.random.choice((1, 0.5, 3)),
                "tradeSizeScaling": self.scaling(),
                **self.terms(chance=0.2),
                **self.chosen({"closeOnly": self.random.choice(CLOSE_ONLY)}, 0.08),
            }
            for strategy_id in self.random.sample(offered, self.random.randrange(1, 4))
        ]
        document: Document = {"name": subscriber_id, "subscriptions": subscriptions}
        if self.random.random() < 0.6:
            document["riskLimits"] = [self.limit() for _ in range(self.random.randrange(1, 3))]
        document |= self.chosen({"maxLeverage": 30, "reservedMarginFraction": 0.1, "minTradeAmount": 100}, 0.1)
        document |= self.chosen({"closeOnly": self.random.choice(CLOSE_ONLY)}, 0.04)
        validate("subscriber", document)
        return document

    def webhook(self) -> Document:
        """With a magic number or without, with a symbol renamed or not."""
        possible = {"magic": self.random.randrange(3), "symbolMapping": [{"from": "EUR", "to": "EURUSD"}]}
        return self.chosen(possible, 0.5)

    def offer(self) -> Document:
        """Mostly there; now and then taken back, or made to somebody else."""
        offers = ({"to": "everybody"}, {"to": "tenants", "tenants": ["two"]}, {"to": "nobody"})
        return {"offer": self.random.choices(offers, (5, 3, 1))[0]}

    def scaling(self) -> Document:
        return self.random.choice(
            (
                {"mode": "none"},
                {"mode": "balance"},
                {"mode": "equity", "forceTinyTrades": True},
                {"mode": "contractSize"},
                {"mode": "fixedVolume", "tradeVolume": 0.1},
                {"mode": "fixedRisk", "riskFraction": 0.01},
                {"mode": "expression", "expression": self.random.choice(FORMULAS)},
            )
        )

    def maybe_scheme(self) -> Document:
        if self.random.random() < 0.4:
            return {}
        period, rate = self.random.choice(("week", "month", "quarter")), self.random.choice((0.2, 1))
        scheme = {"type": self.random.choice(SCHEMES), "billingPeriod": period, "commissionRate": rate}
        return {"commissionScheme": scheme}

    def terms(self, more: Document | None = None, chance: float = 0.15) -> Document:
        """Copy settings, each there or not."""
        possible = {
            "reverse": True,
            "skipPendingOrders": True,
            "maxTradeVolume": 0.5,
            "minTradeVolume": 0.02,
            "allowedSides": ["buy"],
            "symbolFilter": {"excluded": ["GBPUSD"]},
            "maxTradeRisk": 0.05,
            "signalDelay": {"minInSeconds": 5, "maxInSeconds": self.random.choice((5, 60))},
            "copyStopLoss": False,
            "copyTakeProfit": False,
            "reduceCorrelations": self.random.choice(("by-account", "by-strategy")),
            "symbolMapping": [self.random.choice(MAPPINGS)],
            "riskLimits": [self.limit()],
            "maxStopLoss": {"value": 30, "units": "pips"},
            "newsFilter": self.news_filter(),
        }
        return {**self.chosen(possible, chance), **(more or {})}

    def news_filter(self) -> Document:
        """Gaps in minutes. Closing begins no earlier before calendar news than opening ends."""
        calendar = {
            "closePositionTimeGapInMinutes": 20,
            "openPositionPrecedingTimeGapInMinutes": 40,
            "openPositionFollowingTimeGapInMinutes": 15,
        }
        breaking = {"closePositionTimeGapInMinutes": 10, "openPositionFollowingTimeGapInMinutes": 30}
        drawn = {
            "calendarNewsFilter": {"priorities": ["election", "high"], **self.chosen(calendar, 0.6)},
            "breakingNewsFilter": {"priorities": ["high", "medium"], **self.chosen(breaking, 0.6)},
        }
        return self.chosen(drawn, 0.7)

    def chosen(self, possible: Document, chance: float) -> Document:
        return {name: value for name, value in possible.items() if self.random.random() < chance}

    def limit(self) -> Document:
        return {
            "type": self.random.choice(KINDS),
            "applyTo": self.random.choice(BASES),
            "maxAbsoluteRisk": self.random.choice((50, 200, 1000)),
            "closePositions": self.random.random() < 0.5,
        }
