"""What must be true of every single entry, read off the documents that the API shows and the commands it was given.

The rules are the contract's, in words of their own: nothing here asks the engine or the book how it would decide.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from copying.backend.broker.deferred import closing_tickets
from copying.backend.state.book import Book
from copying.backend.state.commands import (
    AddNews,
    Command,
    CommandEntry,
    PutNews,
    PutSignal,
    PutSubscriber,
    PutWebhook,
    Resynchronise,
    SetConnection,
    Tick,
    Trade,
)
from copying.backend.state.effects import Deals, Effects, LogLine, SignalEvent
from copying.backend.state.entities import OpenSignal
from copying.backend.state.parts import SEPARATOR

OPENING = (PutSignal, Trade, Resynchronise, SetConnection, Tick)
FILLED = "pending order filled"  # what waits at the broker fills there, whatever was decided since
LONGEST_WINDOW = 60.0 + 180.0  # the longest signalDelay and opening interval that documents.py draws
GRACEFULLY = ("by-position", "immediately", "close-gracefully-by-position")
Document = dict[str, Any]


@dataclass(slots=True)
class Own:
    """A position that nobody manages but its owner."""

    account_id: str
    lots: float
    side: int
    symbol: str
    stop_loss: float
    take_profit: float


@dataclass(slots=True)
class Before:
    """What stood before an entry."""

    own: dict[int, Own]
    copies: Counter[tuple[int, int]]
    signals: dict[int, OpenSignal]
    strategies: dict[str, Document]
    subscribers: dict[str, Document]


class Watch:
    """Follows commands, and judges what each entry opened and closed."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.offline: set[str] = set()
        self.calendars: dict[str, list[Document]] = {}
        self.webhooks: dict[str, list[Document]] = defaultdict(list)  # strategy -> all versions of all its webhooks
        self.asked: dict[tuple[int, str], float] = {}  # (signal, account) -> when it was resynchronised
        self.copied: Counter[tuple[int, int]] = Counter()  # (subscription, signal): opened since it was asked
        self.most_ways: dict[tuple[int, int], int] = {}
        self.posted: dict[str, Document] = {}  # signal id -> what was posted to a webhook
        self.arrived: set[str] = set()
        self.counted: Counter[str] = Counter()  # how often each rule had something to judge

    def before(self) -> Before:
        """Remember what an entry may change."""
        book = self.book
        return Before(
            own_positions(book),
            copies_of(book),
            dict(book.signals),
            {key: each.document for key, each in book.strategies_by_id.items()},
            {key: each.document for key, each in book.subscribers_by_id.items()},
        )

    def after(self, before: Before, entry: CommandEntry, effects: Effects) -> None:
        """Judge an entry that was carried out."""
        command = entry.command
        self.follow(command, effects.time)
        for deals in effects.events:
            if isinstance(deals, SignalEvent) and deals.what == "fill":
                self.ask(lambda pair, row=deals.row: pair[1] == row)
            if isinstance(deals, Deals) and deals.kind == "open":
                assert isinstance(command, OPENING), f"{type(command).__name__} opens positions"
                for row in range(len(deals.position)):
                    self.judge_open(before, command, deals, row)
        self.judge_copies(before)
        self.judge_own(before, command, effects)
        self.judge_held()
        left_out = {*entry.faulty, *entry.left_out}
        if isinstance(command, Tick):
            self.judge_news(before, effects.time, left_out)
        elif isinstance(command, PutSubscriber) and command.subscriber_id not in left_out:
            self.judge_close_only(command)

    def follow(self, command: Command, now: float) -> None:
        """What commands say about connections, news, webhooks and signals."""
        if isinstance(command, SetConnection):
            change = self.offline.discard if command.is_connected else self.offline.add
            change(command.account_id)
        elif isinstance(command, PutNews):
            self.calendars[command.tenant] = command.events
        elif isinstance(command, AddNews):
            self.calendars[command.tenant] = [*self.calendars.get(command.tenant, ()), *command.events]
        elif isinstance(command, PutWebhook):
            self.webhooks[command.strategy_id] += webhook_versions(self.webhooks[command.strategy_id], command.document)
        elif isinstance(command, Resynchronise):
            for signal in self.book.signals:
                self.asked[signal, command.subscriber_id] = now
            self.ask(lambda pair: self.book.subscription_keys[pair[0]][0] == command.subscriber_id)
        elif isinstance(command, PutSignal) and command.signal_id in self.posted:
            self.judge_post(command)

    def ask(self, concerns: Callable[[tuple[int, int]], bool]) -> None:
        """Copies that are not there may be opened again."""
        for pair in [each for each in self.copied if concerns(each)]:
            del self.copied[pair]

    def forget(self) -> None:
        """What signals left behind that have ended."""
        alive = self.book.signals
        self.ask(lambda pair: pair[1] not in alive)
        self.most_ways = {pair: ways for pair, ways in self.most_ways.items() if pair[1] in alive}
        self.asked = {pair: now for pair, now in self.asked.items() if pair[0] in alive}

    # ------------------------------------------------------------------------------------------------------------ opens

    def judge_open(self, before: Before, command: Command, deals: Deals, row: int) -> None:
        """One copy that was opened: its account could be reached, and nothing the API shows forbade it."""
        subscriber_id, strategy_id = self.book.subscription_keys[deals.subscription[row]]
        leaf, symbol = self.book.strategy_names.texts[deals.leaf[row]], self.book.symbols.texts[deals.symbol[row]]
        if deals.cause == FILLED:
            return
        self.counted["opened"] += 1
        self.judge_number(int(deals.subscription[row]), int(deals.signal[row]), strategy_id, leaf)
        assert subscriber_id not in self.offline, "opened on an account without connection"
        subscriber = before.subscribers[subscriber_id]
        mine = [each for each in subscriber["subscriptions"] if each["strategyId"] == strategy_id]
        levels = [before.strategies[each] for each in {leaf, strategy_id} if each in before.strategies] + mine
        assert mine, "opened without a subscription"
        assert (mine[0].get("closeOnly") or subscriber.get("closeOnly")) not in GRACEFULLY, "opened though close-only"
        for document in (*levels, subscriber):
            assert document.get("closeOnRemovalMode") not in GRACEFULLY, "opened though it is being removed"
        magic = self.magic_of(deals, row)
        if before.strategies[leaf].get("magicFilter") and magic is not None:
            self.counted["magic"] += 1
            assert magic in (0, 1), "opened though the magic number is not offered"
        for document in levels:
            for event, part, is_breaking in self.concerning(document.get("newsFilter"), leaf, symbol):
                following = part.get("openPositionFollowingTimeGapInMinutes", 60)
                preceding = 0 if is_breaking else part.get("openPositionPrecedingTimeGapInMinutes", 120)
                until_event = (event - deals.time) / 60
                assert not -following < until_event <= preceding, f"opened {until_event} minutes before news"
        if isinstance(command, Tick | SetConnection):
            signal = before.signals.get(int(deals.signal[row]))
            asked = self.asked.get((int(deals.signal[row]), subscriber_id), 0.0)
            self.counted["opened late"] += 1
            if signal is not None and signal.kind == 0:
                assert deals.time <= max(asked, signal.time) + LONGEST_WINDOW, "opened after its window"

    def magic_of(self, deals: Deals, row: int) -> int | None:
        """The magic number of the signal of a copy; None when it has ended since."""
        signal = self.book.signals.get(int(deals.signal[row]))
        return None if signal is None else signal.magic

    def concerning(self, document: Document | None, leaf: str, symbol: str) -> list[tuple[float, Document, bool]]:
        """(time, part of the filter, breaking?) of the news that a filter looks at for a symbol."""
        found = []
        for event in self.calendars.get(leaf[:3], ()) if document else ():
            part = document.get("breakingNewsFilter" if event["breaking"] else "calendarNewsFilter") or {}
            if event["currency"] in symbol and event["priority"] in part.get("priorities", ()):
                self.counted["news"] += 1
                found.append((datetime.fromisoformat(event["time"]).timestamp(), part, event["breaking"]))
        return found

    def judge_number(self, subscription: int, signal: int, strategy_id: str, leaf: str) -> None:
        """A signal is opened once for each way from the subscription to its strategy, until somebody asks again."""
        pair = subscription, signal
        ways = self.most_ways[pair] = max(self.ways(strategy_id, leaf), self.most_ways.get(pair, 0))
        self.copied[pair] += 1
        assert self.copied[pair] <= ways, "a signal is copied twice"
        self.counted["several ways"] += self.copied[pair] > 1

    def judge_copies(self, before: Before) -> None:
        """No more copies are held or wait than there are ways."""
        for (subscription, signal), count in copies_of(self.book).items():
            if count > before.copies[subscription, signal]:
                ways = self.ways(self.book.subscription_keys[subscription][1], self.book.signals[signal].strategy_id)
                assert count <= max(ways, self.most_ways.get((subscription, signal), 0)), "more copies than ways"

    def ways(self, strategy_id: str, leaf: str) -> int:
        """In how many ways a strategy or portfolio leads to a leaf."""
        if strategy_id == leaf:
            return 1
        held = self.book.strategies_by_id.get(strategy_id)
        members = (held.document.get("members") or ()) if held else ()
        return sum(self.ways(member["strategyId"], leaf) for member in members)

    def still_leads(self, row: int) -> bool:
        """Whether the documents still have the way that a position came on."""
        book = self.book
        part = int(book.positions.part[row])
        if part < 0:
            subscribed = book.subscription_keys[book.positions.subscription[row]][1]
            return subscribed == book.strategy_names.texts[book.positions.leaf[row]]
        way = book.paths.texts[book.parts.path[part]].split(SEPARATOR)
        documents = [book.strategies_by_id[each].document if each in book.strategies_by_id else {} for each in way]
        return all(
            any(member["strategyId"] == below for member in document.get("members") or ())
            for below, document in zip(way, documents[1:], strict=False)
        )

    def judge_post(self, command: PutSignal) -> None:
        """A post to a webhook is one signal, with the magic number and the symbol of one version of a webhook."""
        if command.signal_id in self.arrived:
            return  # somebody changes it
        self.arrived.add(command.signal_id)
        posted = self.posted[command.signal_id]
        wanted = []
        for version in self.webhooks[command.strategy_id]:
            renamed = {each["from"]: each["to"] for each in version.get("symbolMapping", ())}
            wanted.append((renamed.get(posted["symbol"], posted["symbol"]), version.get("magic")))
        assert (command.document["symbol"], command.document.get("magic")) in wanted
        assert command.document["volume"] == posted["volume"]

    # ----------------------------------------------------------------------------------------------------------- closes

    def judge_own(self, before: Before, command: Command, effects: Effects) -> None:
        """An owner's positions are closed by the owner, by their own stops, or by the broker for want of margin."""
        stopped_out = {
            line.subscriber_id
            for line in effects.events
            if isinstance(line, LogLine) and line.message.startswith("Stop out: ")
        }
        now = own_positions(self.book)
        for ticket, own in before.own.items():
            held = now.get(ticket)
            if held is not None and abs(held.lots - own.lots) < 1e-9:
                continue
            self.counted["own closed"] += 1
            by_owner = isinstance(command, Trade) and command.account_id == own.account_id
            by_broker = isinstance(command, Tick) and (own.account_id in stopped_out or self.reached(own))
            assert by_owner or by_broker, f"{type(command).__name__} touched a position of its owner"

    def reached(self, own: Own) -> bool:
        """Whether the market is at a stop of the position."""
        bid, ask = self.book.quote(own.symbol)
        if own.side > 0:
            return bid <= own.stop_loss or bid >= own.take_profit
        return ask >= own.stop_loss or ask <= own.take_profit

    def judge_held(self) -> None:
        """Copies on accounts that can be reached have a living signal and a subscription that the API shows.

        What is to be closed as soon as its account can be reached may have lost both.
        """
        book = self.book
        closing = set(closing_tickets(book))
        subscribed = {
            (key, each["strategyId"])
            for key, one in book.subscribers_by_id.items()
            for each in one.document["subscriptions"]
        }
        for table in (book.positions, book.orders):
            for row in np.flatnonzero(table.subscription >= 0).tolist():
                if book.account_meta[table.account[row]].id in self.offline or int(table.id[row]) in closing:
                    continue
                assert int(table.signal[row]) in book.signals, "a copy has lost its signal"
                assert book.subscription_keys[table.subscription[row]] in subscribed, "a copy without a subscription"

    def judge_close_only(self, command: PutSubscriber) -> None:
        """ "immediately" has closed everything that can be reached when it is answered."""
        document = self.book.subscribers_by_id[command.subscriber_id].document
        if command.subscriber_id in self.offline:
            return
        for each in document["subscriptions"]:
            if (each.get("closeOnly") or document.get("closeOnly")) == "immediately":
                row = self.book.subscription(command.subscriber_id, each["strategyId"])
                self.counted["close-only"] += 1
                for table in (self.book.positions, self.book.orders):
                    assert row not in table.subscription, "close-only: immediately left something open"

    def judge_news(self, before: Before, now: float, left_out: set[str]) -> None:
        """After a look at time and prices nothing is held that the strategy's own filter wants closed.

        What was copied on a way that is gone has no filters any more, also while another way leads to its strategy.
        """
        book = self.book
        for row in np.flatnonzero(book.positions.subscription >= 0).tolist():
            leaf = book.strategy_names.texts[book.positions.leaf[row]]
            document = before.strategies.get(leaf, {}).get("newsFilter")
            account_id = book.account_meta[book.positions.account[row]].id
            if document is None or account_id in self.offline or account_id in left_out:
                continue
            if not self.still_leads(row):
                continue
            symbol = book.symbols.texts[book.positions.symbol[row]]
            for event, part, is_breaking in self.concerning(document, leaf, symbol):
                gap = part.get("closePositionTimeGapInMinutes", 0) * 60
                start, end = (event, event + gap) if is_breaking else (event - gap, event)
                assert not start <= now < end, "held through news"


def own_positions(book: Book) -> dict[int, Own]:
    """By ticket."""
    positions = book.positions
    return {
        int(positions.id[row]): Own(
            book.account_meta[positions.account[row]].id,
            float(positions.volume[row]),
            int(positions.side[row]),
            book.symbols.texts[positions.symbol[row]],
            float(positions.stop_loss[row]),
            float(positions.take_profit[row]),
        )
        for row in np.flatnonzero(positions.subscription < 0).tolist()
    }


def copies_of(book: Book) -> Counter[tuple[int, int]]:
    """(subscription, signal) of all copied positions and orders."""
    return Counter(
        pair
        for table in (book.positions, book.orders)
        for pair in zip(table.subscription.tolist(), table.signal.tolist(), strict=True)
        if pair[0] >= 0
    )


def webhook_versions(known: list[Document], change: Document) -> list[Document]:
    """A change keeps what it does not name: every version it may have been laid over."""
    return [{**version, **change} for version in ({}, *known) if {**version, **change} not in known]
