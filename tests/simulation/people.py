"""What two users, their clients and their programs do: random commands that the API would let through.

Ids collide on purpose: signals come twice, closed ones come again, users try what belongs to the other.
"""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

from copying.backend.risk.limits import BASES, KINDS
from copying.backend.settings import news
from copying.backend.signals.trading import ACTIONS
from copying.backend.state.book import Book
from copying.backend.state.commands import (
    AddNews,
    Command,
    Deposit,
    OpenAccount,
    PutNews,
    PutPortfolio,
    PutSignal,
    PutStrategy,
    PutSubscriber,
    PutWebhook,
    Remove,
    RemoveSignal,
    RemoveWebhook,
    ResetStopouts,
    Resynchronise,
    SetConnection,
    Trade,
)
from tests.simulation.documents import TENANTS, Documents

SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY")
DAY = 86_400.0
MODES = ("preserve", "close-gracefully-by-position", "close-gracefully-by-symbol", "close-immediately")


class People:
    """Draws commands; `book` is looked at only for ids that exist."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.documents = Documents(random)
        self.names = 0

    def setup(self) -> list[Command]:
        """Accounts, strategies and portfolios that the rest plays on."""
        made: list[Command] = []
        for tenant in TENANTS:
            for number in range(2):
                made.append(self.account(tenant, f"{tenant}prov{number}", "USD", 200_000))
                made.append(self.strategy(tenant, f"{tenant}S{number}"))
            made += [self.account(tenant, f"{tenant}a{n}", self.random.choice(("USD", "EUR", "JPY"))) for n in range(5)]
            made += [self.portfolio(tenant, f"{tenant}{each}") for each in "PQ"]
            made += [self.subscriber(tenant, f"{tenant}a{n}") for n in range(5)]
        return made

    def command(self, book: Book, now: float) -> Command:
        """Anything."""
        tenant = self.random.choice(TENANTS)
        weights = (
            (self.put_signal, 30),
            (self.remove_signal, 12),
            (self.trade, 22),
            (self.settings, 14),
            (self.money, 6),
            (self.removal, 3),
            (self.reset, 6),
            (self.resynchronise, 4),
            (self.connection, 5),
            (self.calendar, 2),
            (self.webhook, 2),
        )
        make = self.random.choices([make for make, _ in weights], [weight for _, weight in weights])[0]
        return make(tenant, book, now)

    # --------------------------------------------------------------------------------------------------------- signals

    def put_signal(self, tenant: str, book: Book, now: float) -> Command:
        """A new signal; or a known one with other levels or less volume; or a closed one again."""
        strategy_id = f"{tenant}S{self.random.randrange(2)}"
        mine = [each for each in book.signals.values() if each.strategy_id == strategy_id and not each.ticket]
        if mine and self.random.random() < 0.45:
            known = self.random.choice(mine)
            document = {**known.document}
            document["volume"] = max(0.01, round(known.volume * self.random.choice((1, 1, 0.5, 0.3, 1.5)), 2))
            document |= self.levels(book, known.symbol, known.side)
            if self.random.random() < 0.2:
                document["type"] = f"POSITION_TYPE_{'BUY' if known.side > 0 else 'SELL'}"
            return self.signal(tenant, strategy_id, known.id, document)
        self.names += self.random.random() < 0.9
        symbol, side = self.random.choice((*SYMBOLS * 5, "XAUUSD")), self.random.choice((1, -1))
        words = "BUY" if side > 0 else "SELL"
        document = {
            "symbol": symbol,
            "type": f"POSITION_TYPE_{words}",
            "time": moment(now),
            "volume": round(self.random.uniform(0.01, 2), 2),
            "magic": self.random.randrange(3),
            **self.levels(book, symbol, side),
        }
        if self.random.random() < 0.25:
            document["type"] = f"ORDER_TYPE_{words}_{self.random.choice(('LIMIT', 'STOP'))}"
            document["openPrice"] = self.near(book, symbol)
        return self.signal(tenant, strategy_id, f"sig{self.names:05d}", document)

    def signal(self, tenant: str, strategy_id: str, signal_id: str, document: dict[str, Any]) -> Command:
        return PutSignal(tenant=tenant, strategy_id=strategy_id, signal_id=signal_id, document=document)

    def remove_signal(self, tenant: str, book: Book, now: float) -> Command:
        open_ones = [(each.strategy_id, each.id) for each in book.signals.values()]
        strategy_id, signal_id = self.random.choice(open_ones) if open_ones else (f"{tenant}S0", "sig00001")
        owner = strategy_id[:3] if self.random.random() < 0.95 else tenant
        return RemoveSignal(
            tenant=owner, strategy_id=strategy_id, signal_id=signal_id, time=datetime.fromtimestamp(now, UTC)
        )

    def near(self, book: Book, symbol: str, width: float = 0.01) -> float:
        """A price in the neighbourhood."""
        quote = book.quote(symbol)
        middle = quote[0] if quote else 1.0
        return round(middle * (1 + self.random.uniform(-width, width)), 3 if "JPY" in symbol else 5)

    def levels(self, book: Book, symbol: str, side: int) -> dict[str, float]:
        """Stop loss and take profit, each there or not."""
        found = {"stopLoss": self.near(book, symbol), "takeProfit": self.near(book, symbol, 0.03)}
        return {name: price for name, price in found.items() if self.random.random() < 0.4}

    # --------------------------------------------------------------------------------------------------------- by hand

    def trade(self, tenant: str, book: Book, now: float) -> Command:
        """A provider trades, or the owner of the last subscriber account by hand; sometimes on a copied position."""
        account_id = self.random.choice((f"{tenant}prov0", f"{tenant}prov1", f"{tenant}a4"))
        account = book.account_rows.get(account_id, -1)
        positions = book.positions.id[book.positions.account == account].tolist()
        orders = book.orders.id[book.orders.account == account].tolist()
        opening = len(positions) + len(orders) < 6 and self.random.random() < 0.7
        action = self.random.choice(ACTIONS[:6] if opening else ACTIONS[6:])
        symbol = self.random.choice(SYMBOLS)
        tenant = tenant if self.random.random() < 0.97 else self.random.choice(TENANTS)
        return Trade(
            tenant=tenant,
            account_id=account_id,
            action_type=action,
            symbol=symbol,
            volume_lots=round(self.random.uniform(0.01, 1), 2),
            price=self.near(book, symbol),
            stop_loss=self.near(book, symbol) if self.random.random() < 0.3 else None,
            take_profit=self.near(book, symbol, 0.03) if self.random.random() < 0.3 else None,
            position_id=str(self.random.choice(positions or [0])),
            order_id=str(self.random.choice(orders or [0])),
            magic=self.random.randrange(3),
        )

    def account(self, tenant: str, account_id: str, currency: str, deposit: float = 0.0) -> Command:
        deposit = deposit or {"USD": 20_000, "EUR": 15_000, "JPY": 2_000_000}[currency]
        return OpenAccount(tenant=tenant, account_id=account_id, name=account_id, currency=currency, deposit=deposit)

    def money(self, tenant: str, book: Book, now: float) -> Command:
        account_id = f"{tenant}{self.random.choice(('a0', 'a1', 'a2', 'a3', 'a4', 'prov0', 'prov1'))}"
        return Deposit(tenant=tenant, account_id=account_id, amount=round(self.random.uniform(-500, 900), 2))

    def resynchronise(self, tenant: str, book: Book, now: float) -> Command:
        """Everything; or some strategies; or some positions."""
        strategies = [each.strategy_id for each in book.signals.values()][:2] if self.random.random() < 0.3 else []
        positions = [each.id for each in book.signals.values()][-3:] if self.random.random() < 0.3 else []
        return Resynchronise(
            tenant=tenant,
            subscriber_id=f"{tenant}a{self.random.randrange(5)}",
            strategy_ids=strategies,
            position_ids=positions,
        )

    def connection(self, tenant: str, book: Book, now: float) -> Command:
        """Some account is lost or back; those that are lost come back soon."""
        lost = [meta.id for row, meta in enumerate(book.account_meta) if not book.accounts.connected[row]]
        if lost and self.random.random() < 0.6:
            account_id = self.random.choice(lost)
            return SetConnection(tenant=account_id[:3], account_id=account_id, is_connected=True)
        account_id = tenant + self.random.choice(("a0", "a1", "a2", "a3", "a4", "prov0", "prov1"))
        return SetConnection(tenant=tenant, account_id=account_id, is_connected=self.random.random() < 0.2)

    def calendar(self, tenant: str, book: Book, now: float) -> Command:
        """News around now, as an import of CSV gives them, or more of them as a feed adds them; some are refused."""
        lines = ["time,currency,priority,breaking,title"]
        for number in range(self.random.randrange(8)):
            at = moment(now + self.random.uniform(-3600, 4 * 3600))
            priority = self.random.choice(("election", "high", "medium", "low", *["urgent"] * (number == 7)))
            breaking = self.random.choice(("yes", "no"))
            lines.append(f"{at},{self.random.choice(('EUR', 'USD', 'GBP'))},{priority},{breaking},number {number}")
        events = news.read_csv("\n".join(lines))
        if self.random.random() < 0.5:
            return AddNews(tenant=tenant, events=events)
        return PutNews(tenant=tenant, events=events)

    def webhook(self, tenant: str, book: Book, now: float) -> Command:
        """Made, changed or removed."""
        webhook_id = f"{tenant}hook{self.random.randrange(3)}"
        strategy_id = f"{tenant}S{webhook_id[-1] if self.random.random() < 0.9 else 0}".replace("S2", "S1")
        if self.random.random() < 0.2:
            return RemoveWebhook(tenant=tenant, strategy_id=strategy_id, webhook_id=webhook_id)
        document = self.documents.webhook()
        return PutWebhook(tenant=tenant, strategy_id=strategy_id, webhook_id=webhook_id, document=document)

    def webhook_post(self, now: float) -> tuple[str, dict[str, Any]]:
        """An address and what a stranger's program posts there."""
        document = {
            "symbol": self.random.choice(("EUR", *SYMBOLS)),
            "time": moment(now),
            "type": f"POSITION_TYPE_{self.random.choice(('BUY', 'SELL'))}",
            "volume": round(self.random.uniform(0.01, 1), 2),
        }
        return f"{self.random.choice(TENANTS)}hook{self.random.randrange(3)}", document

    def reset(self, tenant: str, book: Book, now: float) -> Command:
        if book.active_stopouts and self.random.random() < 0.8:
            stopout = self.random.choice(book.active_stopouts)
            strategy_id = book.subscription_keys[stopout.subscription][1] if stopout.subscription >= 0 else ""
            subscriber_id = book.account_meta[stopout.account].id
            return ResetStopouts(
                tenant=stopout.tenant, subscriber_id=subscriber_id, strategy_id=strategy_id, reason=stopout.reason
            )
        reason = f"{self.random.choice(KINDS)}-{self.random.choice(BASES)}"
        return ResetStopouts(tenant=tenant, subscriber_id=f"{tenant}a0", reason=reason)

    # -------------------------------------------------------------------------------------------------------- settings

    def settings(self, tenant: str, book: Book, now: float) -> Command:
        kind = self.random.random()
        if kind < 0.6:
            return self.subscriber(tenant, f"{tenant}a{self.random.randrange(5)}")
        if kind < 0.85:
            return self.strategy(tenant, f"{tenant}S{self.random.randrange(2)}")
        return self.portfolio(tenant, f"{tenant}{self.random.choice('PQ')}")

    def strategy(self, tenant: str, strategy_id: str) -> Command:
        return PutStrategy(tenant=tenant, strategy_id=strategy_id, document=self.documents.strategy(strategy_id))

    def portfolio(self, tenant: str, strategy_id: str) -> Command:
        return PutPortfolio(tenant=tenant, strategy_id=strategy_id, document=self.documents.portfolio(strategy_id))

    def subscriber(self, tenant: str, subscriber_id: str) -> Command:
        document = self.documents.subscriber(subscriber_id)
        return PutSubscriber(tenant=tenant, subscriber_id=subscriber_id, document=document)

    def removal(self, tenant: str, book: Book, now: float) -> Command:
        """Anything, in any mode, some with a date."""
        subscriber_id = f"{tenant}a{self.random.randrange(5)}"
        what, owner, part = self.random.choice(
            (
                ("subscription", subscriber_id, f"{tenant}S0"),
                ("subscription", subscriber_id, f"{tenant}P"),
                ("subscription", subscriber_id, f"{tenant}Q"),
                ("subscriber", subscriber_id, ""),
                ("member", f"{tenant}P", f"{tenant}S1"),
                ("member", f"{tenant}Q", f"{tenant}P"),
                ("portfolio", f"{tenant}{self.random.choice('PQ')}", ""),
                ("strategy", f"{tenant}S1", ""),
            )
        )
        until = datetime.fromtimestamp(now + self.random.uniform(29, 92) * DAY, UTC)
        until = until if self.random.random() < 0.3 else None
        mode = self.random.choice(MODES)
        return Remove(tenant=tenant, what=what, id=owner, part=part, mode=mode, remove_after=until)


def moment(now: float) -> str:
    """A time as documents write it."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
