"""A second pair of books: applies the journal one entry at a time, never restarts, and knows what must be true.

It is what a replay from nothing gives, so live state and live records must equal it after every crash. From the
records it keeps accounts of its own: what was opened, closed and earned.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from datetime import datetime

import msgspec
import numpy as np
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.core.journal import decode_entry, encode_entries
from copying.backend.core.render import Renderer, Rows
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import (
    Command,
    CommandEntry,
    Deposit,
    OpenAccount,
    PutSignal,
    Trade,
)
from copying.backend.state.effects import Decided, Effects, SignalEvent
from copying.backend.state.valuation import MINOR_UNITS
from copying.engine.reasons import Reason
from tests.simulation.disk import TABLES, Disk
from tests.simulation.watch import Watch

MEASURED = re.compile(
    r'"(?:tradeCopyingLatency|mtAndBrokerSignalLatency|tradeAlgorithmLatency|mtAndBrokerTradeLatency)":[^,}]+,?'
)
WORDS = {"open": "opened", "change": "changed", "fill": "filled", "part": "partly closed", "close": "closed"}


def identity(command: Command) -> bytes:
    """A command as it comes back from the journal, to count it by."""
    entry = CommandEntry(time=0.0, quotes={}, command=command)
    return encode_entries(0, [decode_entry(encode_entries(0, [entry])[0][2])])[0][2]


def state(book: Book, quotes: dict[str, tuple[float, float]]) -> dict:
    """Everything that must survive, at the same prices; the time of the last look at the market need not."""
    copy = snapshot.unpack(snapshot.pack(book), PaperBroker())
    copy.set_quotes(quotes)
    packed = msgspec.msgpack.decode(snapshot.pack(copy))
    return {name: value for name, value in packed.items() if name not in ("time", "quotes", "tenant_names")}


class Ledger:
    """The independent books."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.book = Book(PaperBroker())
        self.renderer = Renderer(self.book)
        self.journalled: Counter[bytes] = Counter()
        self.carried_out: Counter[bytes] = Counter()
        self.records: dict[str, list[tuple]] = {name: [] for name in TABLES}
        self.compared = dict.fromkeys(TABLES, 0)
        self.paid_in: dict[str, float] = defaultdict(float)
        self.earned: dict[str, float] = defaultdict(float)
        self.lots: dict[str, float] = defaultdict(float)  # by position ticket
        self.opened: set[str] = set()
        self.by_hand: set[int] = set()  # tickets without records: owners' own trades and released copies
        self.own_accounts: set[str] = set()  # accounts that had such
        self.numbers: Counter[tuple[str, str]] = Counter()
        self.watch = Watch(self.book)
        self.published: dict[str, list[str]] = defaultdict(list)  # strategy -> what its chat must have heard
        self.of_webhooks: set[bytes] = set()  # commands that also the API makes by itself
        self.decided: set[str] = set()  # ids of decisions
        self.last_decision: dict[str, str] = defaultdict(str)  # tenant -> time
        self.unchecked: set[bytes] = set()  # commands of entries that nobody has asked about yet

    def read(self) -> None:
        """Follow the journal to its end."""
        for sequence in range(self.book.sequence + 1, len(self.disk.entries) + 1):
            entry = decode_entry(self.disk.entries[sequence - 1])
            known = set(self.book.account_rows)
            had_signal = isinstance(entry.command, PutSignal) and (
                (entry.command.strategy_id, entry.command.signal_id) in self.book.signal_rows
            )
            before = self.watch.before()
            effects = apply(self.book, entry, sequence)
            key = identity(entry.command)
            self.unchecked.add(key)
            if isinstance(entry.command, PutSignal) and entry.command.signal_id in self.watch.posted:
                self.of_webhooks.add(key)
            self.journalled[key] += 1
            if effects.refused is not None:
                assert not effects.events, "a refused entry has effects"
                continue
            self.carried_out[key] += 1
            self.follow_money(entry.command, known)
            self.follow_hands()
            self.follow_chats(effects)
            self.watch.after(before, entry, effects)
            if isinstance(entry.command, PutSignal) and not had_signal:
                self.check_decided(effects)
                self.check_window(entry, effects)
            self.render(effects)

    def follow_money(self, command, known: set[str]) -> None:
        """Money that came in or went out."""
        for account_id in set(self.book.account_rows) - known:
            self.paid_in[account_id] = 10_000.0
        if isinstance(command, OpenAccount) and command.account_id not in known:
            self.paid_in[command.account_id] = command.deposit
        if isinstance(command, Trade):
            self.own_accounts.add(command.account_id)
        if isinstance(command, Deposit):
            currency = self.book.accounts.currency[self.book.account_rows[command.account_id]]
            self.paid_in[command.account_id] += round(command.amount, int(MINOR_UNITS[currency]))

    def follow_hands(self) -> None:
        """Positions that nobody keeps records of."""
        positions = self.book.positions
        mine = positions.subscription < 0
        self.by_hand.update(positions.id[mine].tolist())
        self.own_accounts.update(self.book.account_meta[row].id for row in np.unique(positions.account[mine]).tolist())

    def follow_chats(self, effects: Effects) -> None:
        """What strategies publish."""
        for event in effects.events:
            strategy = self.book.strategies_by_id.get(event.strategy_id) if isinstance(event, SignalEvent) else None
            if strategy is not None and "telegram" in strategy.document:
                self.published[event.strategy_id].append(f"{event.signal_id} {WORDS[event.what]}")

    def check_window(self, entry: CommandEntry, effects: Effects) -> None:
        """What is of now by the wall clock at its receipt is never too late, wherever the journal's time is."""
        received = entry.time if entry.received is None else entry.received
        if received - datetime.fromisoformat(entry.command.document["time"]).timestamp() > 10:
            return
        for told in effects.events:
            if isinstance(told, Decided) and told.signal.source < 0 and not told.late:
                self.watch.counted["ahead"] += entry.received is not None
                assert Reason.TOO_LATE not in told.decisions.reason[told.rows], "a fresh signal is too late"

    def check_decided(self, effects: Effects) -> None:
        """A new signal has one decision with a reason on every route; those of accounts left out are told apart."""
        decided = [told for told in effects.events if isinstance(told, Decided) and told.signal.source < 0]
        faults = [Reason.PROGRAM_FAULT in told.decisions.reason for told in decided]
        assert faults.count(False) <= 1
        assert faults.count(True) <= 1
        for told in decided:
            assert len(told.rows) == len(told.subscription)
            for reason in told.decisions.reason[told.rows].tolist():
                assert Reason(reason)

    def check_decisions(self, rows: Rows) -> None:
        """Decisions have ids of their own, come in the order of their times, and are told in the subscriber's log."""
        told = {(line[2], line[4], msgspec.json.decode(line[1])["message"]) for line in rows.log}
        for moment, text, tenant, _, subscriber_id, *_ in rows.decisions:
            document = msgspec.json.decode(text)
            assert document["id"] not in self.decided, "two decisions with one id"
            self.decided.add(document["id"])
            assert moment >= self.last_decision[tenant], "who follows decisions would miss one"
            self.last_decision[tenant] = moment
            trades = document["outcome"] in ("copied", "resized", "delayed")
            assert trades == ((document["volumes"]["final"] or 0) > 0), document
            assert (tenant, subscriber_id, document["text"]) in told, "the log leaves a decision out"

    def render(self, effects: Effects) -> None:
        """Records of an entry, and what they say about positions and money."""
        rows = Rows()
        for _ in self.renderer.render(effects, rows):
            pass
        for name in TABLES:
            self.records[name] += [(*row, effects.sequence, place) for place, row in enumerate(getattr(rows, name))]
        self.check_decisions(rows)
        for row in rows.transactions:
            document, account_id = msgspec.json.decode(row[1]), row[5]
            self.earned[account_id] += document["profit"] + document["swap"] + document["commission"]
            position = document.get("slavePositionId")
            if position is None:
                continue
            lots = abs(document["quantity"])
            is_open = document["id"].endswith(":open")
            if is_open:
                assert position not in self.opened, "a position was opened twice"
                self.opened.add(position)
            self.lots[position] += lots if is_open else -lots
            if abs(self.lots[position]) < 1e-9:
                del self.lots[position]
        for name, tenant, number in [("stopouts", row[2], row[3]) for row in rows.stopouts] + [
            ("snapshots", row[2], row[3]) for row in rows.snapshots
        ]:
            self.numbers[name, tenant] += 1
            assert number == self.numbers[name, tenant], f"{name} of {tenant} have a gap at {number}"

    # ---------------------------------------------------------------------------------------------------------- checks

    def check(self, live: Book, quotes: dict[str, tuple[float, float]]) -> None:
        """After everything is projected: state, records, positions and balances agree with the journal."""
        mine, theirs = state(self.book, quotes), state(live, quotes)
        assert [name for name in mine if mine[name] != theirs[name]] == [], "live state differs from the replay"
        assert self.disk.projected == len(self.disk.entries)
        for name in TABLES:
            expected, found = self.records[name], self.disk.records[name]
            assert len(found) == len(expected), f"{name}: {len(found)} records instead of {len(expected)}"
            for one, other in zip(expected[self.compared[name] :], found[self.compared[name] :], strict=True):
                assert stripped(other) == stripped(one), f"{name}: told {other}, by the replay {one}"
            self.compared[name] = len(found)
        self.check_positions()
        self.check_balances()
        self.watch.forget()

    def check_positions(self) -> None:
        """Open positions are what was opened less what was closed; nothing is there twice."""
        positions = self.book.positions
        copied = np.flatnonzero(positions.subscription >= 0)
        held = {str(positions.id[row]): float(positions.volume[row]) for row in copied.tolist()}
        for position in [each for each in self.lots if int(each) in self.by_hand]:
            del self.lots[position]
        assert self.lots == pytest.approx(held, abs=1e-7), "positions differ from the deals told"
        assert (np.abs(positions.volume * 100 - np.round(positions.volume * 100)) < 1e-6).all()
        assert (positions.volume > 0).all()

    def check_balances(self) -> None:
        """Balance = money paid in + results of the deals told (+ the owner's own trades)."""
        accounts = self.book.accounts
        for account_id, row in self.book.account_rows.items():
            balance = float(accounts.balance[row])
            assert balance == pytest.approx(accounts.deposits[row] + accounts.traded[row], abs=1e-4)
            assert accounts.deposits[row] == pytest.approx(self.paid_in[account_id], abs=1e-4)
            if account_id not in self.own_accounts:
                assert balance == pytest.approx(self.paid_in[account_id] + self.earned[account_id], abs=1e-4)


def stripped(record: tuple) -> tuple:
    """A record without what is measured by a clock."""
    return (record[0], MEASURED.sub("", record[1]).replace(',"metrics":{}', ""), *record[2:])
