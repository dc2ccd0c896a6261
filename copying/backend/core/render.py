"""From effects to the rows of the tables: the JSON texts that are served later, made once, away from the trading path.

Texts are put together by hand from fragments that are encoded once per entity: a record costs a few microseconds.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import msgspec
import numpy as np

from copying.backend.broker.paper import draw
from copying.backend.state.book import Book
from copying.backend.state.effects import (
    SEVERITIES,
    AccountDeals,
    AccountSnapshots,
    DealRow,
    Deals,
    Decided,
    Effects,
    LogLine,
    SignalEvent,
    SignalValues,
    StopoutEvent,
    Withheld,
)
from copying.backend.state.numbers import record_id
from copying.backend.state.times import iso
from copying.engine.model import Level, Outcome, Step
from copying.engine.reasons import CODES, Reason, sentence

from .deal_documents import deal_documents
from .fragments import Fragments, text

log = logging.getLogger(__name__)
RECORDED = msgspec.structs.fields(SignalValues)
SIDE_WORDS = {1: "buy", -1: "sell"}
KIND_WORDS = ("market", "limit", "stop")
STEPS = tuple(step.name.lower() for step in Step)
WRONG_PRICES = (Reason.INVALID_PRICE, Reason.INVALID_STOPS, Reason.PRICES_OF_ANOTHER_SYMBOL)
OUTCOME_WORDS = tuple(outcome.name.lower() for outcome in Outcome)
LEVEL_WORDS = tuple(level.name.lower() for level in Level)
CHUNK = 25  # records between two yields: an order that comes in waits for no more
SLICE = 500  # rows turned into Python's numbers at a time


@dataclass(slots=True)
class Rows:
    """Rows for COPY by table, each without sequence and ordinal, which the projector knows; and whom they concern."""

    transactions: list[tuple] = field(default_factory=list)
    log: list[tuple] = field(default_factory=list)
    decisions: list[tuple] = field(default_factory=list)
    stopouts: list[tuple] = field(default_factory=list)
    snapshots: list[tuple] = field(default_factory=list)
    signals: list[tuple] = field(default_factory=list)
    deals: list[tuple] = field(default_factory=list)
    topics: set[tuple] = field(default_factory=set)


def number(value: float) -> str:
    """A number as JSON, without noise of float64 beyond ten digits; null for one that is not known."""
    try:
        return "0" if value == 0 else repr(int(value)) if value == int(value) else repr(round(value, 10))
    except (ValueError, OverflowError):
        return "null"


def rowwise(columns: list[np.ndarray], picked: np.ndarray | None = None) -> Iterator[tuple]:
    """Rows of columns as Python's numbers, all or the picked ones; never all of them at once."""
    count = len(columns[0]) if picked is None else len(picked)
    for begin in range(0, count, SLICE):
        some = slice(begin, begin + SLICE) if picked is None else picked[begin : begin + SLICE]
        yield from zip(*(column[some].tolist() for column in columns), strict=True)


def latency_text(parts: Iterable[float]) -> str:
    """Milliseconds on the provider's side, in the copier and on the subscriber's side."""
    a, b, c = parts
    return (
        f'"tradeCopyingLatency":{number(a + b + c)},"mtAndBrokerSignalLatency":{number(a)},'
        f'"tradeAlgorithmLatency":{number(b)},"mtAndBrokerTradeLatency":{number(c)},'
    )


def came_late(age_s: float, window_minutes: float) -> str:
    """What a provider is told about a signal that nobody opens any more."""
    window = f"{window_minutes:g} minute{'' if window_minutes == 1 else 's'}"
    return f"It came too late: {age_s:.0f} seconds after its own time, and the opening window is {window}."


class Renderer:
    """Makes rows of effects. `book` is only asked for names."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.names = Fragments(book)

    def render(self, effects: Effects, rows: Rows) -> Iterator[None]:
        """Append the rows of an entry; yields now and then, so that a loop can breathe."""
        self.names.refresh()
        makers: dict[type, Callable[[Any, Effects, Rows], Iterator[None]]] = {
            Deals: self.deals,
            AccountDeals: self.account_deals,
            Decided: self.decided,
            Withheld: self.withheld,
            LogLine: self.line,
            SignalEvent: self.signal_event,
            StopoutEvent: self.stopout,
            AccountSnapshots: self.snapshots,
        }
        for effect in effects.events:
            try:
                yield from makers[type(effect)](effect, effects, rows)
            except Exception:
                log.exception("A %s of journal entry %s could not be told", type(effect).__name__, effects.sequence)

    # ---------------------------------------------------------------------------------------------------- transactions

    def deals(self, deals: Deals, effects: Effects, rows: Rows) -> Iterator[None]:
        """Transactions (contract, 6.1), and the log line of every close."""
        moment = iso(deals.time)
        latencies = self.latencies(deals, effects)
        columns = [getattr(deals, name) for name in DealRow._fields]
        for place, deal in enumerate(map(DealRow._make, rowwise(columns))):
            if place % CHUNK == CHUNK - 1:
                yield
            self.transaction(deals, deal, moment, next(latencies), rows)

    def transaction(self, deals: Deals, deal: DealRow, moment: str, latency: str, rows: Rows) -> None:
        """One transaction."""
        subscriber_id, tenant, strategy_id, provider_tenant, fragment = self.names.subscription(deal.subscription)
        signed = deal.volume * deal.side
        kind = (
            "DEAL_TYPE_COMMISSION" if deals.kind == "commission" else f"DEAL_TYPE_{'BUY' if deal.side > 0 else 'SELL'}"
        )
        parts = [
            f'{{"id":"{deal.number}:{deals.kind}","type":"{kind}","time":"{moment}",{fragment},'
            f'"improvement":{number(deal.improvement)},'
            f'"providerCommission":{number(deal.provider_commission)},'
            f'"platformCommission":{number(deal.platform_commission)},'
            f'"incomingProviderCommission":{number(deal.incoming_provider)},'
            f'"incomingPlatformCommission":{number(deal.incoming_platform)},'
            f'"commission":{number(deal.commission)},"swap":{number(deal.swap)},"profit":{number(deal.profit)}'
        ]
        if deal.symbol >= 0:
            source = deals.signal_ids.get(deal.signal, "")
            name = self.book.symbols.texts[deal.symbol]
            parts.append(
                f',"symbol":{text(name)},"positionId":{text(source)},"slavePositionId":"{deal.position}",'
                f'"quantity":{number(signed)},"lotPrice":{number(round(deal.lot_value, 6))},'
                f'"tickPrice":{number(deal.price)},'
                f'"amount":{number(round(signed * deal.lot_value, 6))}'
            )
            if deal.slippage == deal.slippage:  # not nan
                basis_points = deal.slippage / deal.price * 1e4 if deal.price else 0.0
                latency = (
                    f'{latency}"tradeCopyingSlippageInBasisPoints":{number(round(basis_points, 4))},'
                    f'"tradeCopyingSlippageInAccountCurrency":{number(round(deal.slippage_money, 4))},'
                )
            if latency:
                parts.append(f',"metrics":{{{latency[:-1]}}}')
        root, _, leaf_name, _ = self.names.leaf(deal.leaf)
        if root != strategy_id:
            parts.append(f',"sourceStrategy":{leaf_name}')
        parts.append("}")
        rows.transactions.append((moment, "".join(parts), provider_tenant, tenant, strategy_id, subscriber_id))
        rows.topics |= {("transactions", tenant), ("transactions", provider_tenant)}
        if deals.kind == "close":
            self.closed(deals, deal, moment, rows)

    def closed(self, deals: Deals, deal: DealRow, moment: str, rows: Rows) -> None:
        """The log line of a close."""
        subscriber_id, tenant, strategy_id, _, _ = self.names.subscription(deal.subscription)
        net = deal.profit + deal.swap + deal.commission
        symbol = self.book.symbols.texts[deal.symbol]
        message = f"Closed {deal.volume:g} lots at {deal.price:g}, net result {net:.2f}: {deals.cause}."
        self.log(
            rows,
            moment,
            tenant,
            1,
            message,
            strategy_id,
            subscriber_id,
            deals.signal_ids.get(deal.signal, ""),
            symbol,
            "close",
            "market",
            None,
        )

    def latencies(self, deals: Deals, effects: Effects) -> Iterator[str]:
        """Per deal the text of the latency metrics; parts add up to the total. Empty: not measured (replay)."""
        if deals.kind == "open" and effects.modelled_latency:
            spread = (draw(deals.number * 7 + 1) + 1) / 2
            parts = [12 + 30 * spread, np.full(len(spread), 1.4), 18 + 60 * spread**3]
            return map(latency_text, rowwise([np.round(part, 3) for part in parts]))
        if deals.latency_ms is not None:
            return repeat(latency_text(np.round(deals.latency_ms, 3).tolist()))
        return repeat("")

    def account_deals(self, deals: AccountDeals, effects: Effects, rows: Rows) -> Iterator[None]:
        """Deals that are no copies."""
        for place, (account, deal, position, document) in enumerate(deal_documents(deals, self.book)):
            meta = self.book.account_meta[account]
            rows.deals.append((document["time"], text(document), meta.tenant, meta.id, deal, position))
            if place % CHUNK == CHUNK - 1:
                yield

    # ------------------------------------------------------------------------------------------------------- decisions

    def decided(self, decided: Decided, effects: Effects, rows: Rows) -> Iterator[None]:
        """Decision records and the log lines made from them."""
        decisions, signal = decided.decisions, decided.signal
        moment = iso(decided.time)
        leaf_id, provider, *_ = self.names.leaf(decided.leaf)
        columns = [
            decided.subscription,
            decisions.outcome,
            decisions.reason,
            decisions.level,
            decisions.limit_value,
            decisions.symbol,
            decisions.side,
            decisions.kind,
            decisions.steps,
            decisions.notes,
        ]
        common = f'"time":"{moment}","signalId":{text(signal.id)},'
        source = f'"sourceStrategyId":{text(leaf_id)},"symbol":{text(signal.symbol)},'
        for place, record in enumerate(rowwise(columns, decided.rows)):
            if place % CHUNK == CHUNK - 1:
                yield
            if record[0] >= 0:
                self.decision(decided, record, moment, f'"id":"{self.id_of(effects, rows)}",{common}', source, rows)
        if provider and not decided.late:
            self.summary(decided, moment, leaf_id, provider, rows)

    def id_of(self, effects: Effects, rows: Rows) -> str:
        """Of the next decision."""
        return record_id(effects.sequence, len(rows.decisions), effects.secret)

    def decision(self, decided: Decided, record: tuple, moment: str, common: str, source: str, rows: Rows) -> None:
        """One decision and its log line."""
        subscription, outcome, reason, level, limit, symbol, side, kind, steps, notes = record
        subscriber_id, tenant, strategy_id, _, _ = self.names.subscription(subscription)
        signal = decided.signal
        name = decided.decisions.symbols[symbol] if symbol >= 0 else ""
        words = sentence(
            Reason(reason), Outcome(outcome), Level(level), steps, limit, name or signal.symbol, signal.symbol, notes
        )
        code = CODES[reason]
        volumes = ",".join(
            f'"{step}":{number(lots) if math.isfinite(lots) else "null"}'
            for step, lots in zip(STEPS, steps, strict=True)
        )
        quoted = text(words)
        document = (
            f'"strategyId":{text(strategy_id)},"subscriberId":{text(subscriber_id)},{source}'
            f'"subscriberSymbol":{text(name) if name else "null"},"side":"{SIDE_WORDS[side]}",'
            f'"outcome":"{OUTCOME_WORDS[outcome]}","reason":"{code}","reasonText":{quoted},'
            f'"level":"{LEVEL_WORDS[level]}","volumes":{{{volumes}}},'
            f'"limitValue":{number(limit) if math.isfinite(limit) else "null"},"text":{quoted}}}'
        )
        rows.decisions.append(
            (
                moment,
                f"{{{common}{document}",
                tenant,
                strategy_id,
                subscriber_id,
                signal.id,
                OUTCOME_WORDS[outcome],
                code,
            )
        )
        severity = 2 if notes and outcome < Outcome.DELAYED else (1, 1, 1, 1, 2)[outcome]
        price = None if kind == 0 else signal.price
        self.log(
            rows,
            moment,
            tenant,
            severity,
            words,
            strategy_id,
            subscriber_id,
            signal.id,
            name or signal.symbol,
            SIDE_WORDS[side],
            KIND_WORDS[kind],
            price,
        )

    def summary(self, decided: Decided, moment: str, leaf_id: str, provider: str, rows: Rows) -> None:
        """One line for the strategy's own log: how many copied it, and why nobody did when it came too late."""
        signal, outcomes = decided.signal, decided.decisions.outcome[decided.rows].tolist()
        reasons = decided.decisions.reason[decided.rows]
        is_late = bool((reasons == Reason.TOO_LATE).all())
        counts = {word: outcomes.count(index) for index, word in enumerate(OUTCOME_WORDS)}
        totals = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        routes = "route" if len(outcomes) == 1 else "routes"
        message = f"Signal of {signal.volume:g} lots on {len(outcomes)} {routes}: {totals or 'none'}."
        if is_late:
            message += f" {came_late(signal.age_s, float(decided.decisions.limit_value[decided.rows[0]]))}"
        counted = [(int((reasons == code).sum()), CODES[code].replace("-", " ")) for code in WRONG_PRICES]
        wrong = [f"{count} {words}" for count, words in counted if count]
        if wrong:
            message += f" Its prices could not be used: {', '.join(wrong)}."
        self.log(
            rows,
            moment,
            provider,
            2 if is_late or wrong else 1,
            message,
            leaf_id,
            "",
            signal.id,
            signal.symbol,
            SIDE_WORDS[signal.side],
            KIND_WORDS[signal.kind],
            signal.price or None,
        )

    def withheld(self, withheld: Withheld, effects: Effects, rows: Rows) -> Iterator[None]:
        """Once, when consent is not (any more) there: of the signals that are not copied then nothing is told."""
        subscriber_id, tenant, strategy_id, *_ = self.names.subscription(withheld.subscription)
        words, moment = sentence(Reason.NOT_OFFERED, Outcome.SKIPPED, Level.STRATEGY, (0.0,) * 6), iso(withheld.time)
        document = {
            "id": self.id_of(effects, rows),
            "time": moment,
            "signalId": "",
            "strategyId": strategy_id,
            "subscriberId": subscriber_id,
            "sourceStrategyId": strategy_id,
            "symbol": "",
            "subscriberSymbol": None,
            "side": None,
            "outcome": "skipped",
            "reason": "not-offered",
            "reasonText": words,
            "level": "strategy",
            "limitValue": None,
            "text": words,
            "volumes": dict.fromkeys(("provider", "scaled", "multiplied", "limited", "rounded", "final"), 0),
        }
        rows.decisions.append(
            (moment, text(document), tenant, strategy_id, subscriber_id, "", "skipped", "not-offered")
        )
        self.log(rows, moment, tenant, 2, words, strategy_id, subscriber_id, "", "", "", "", None)
        return iter(())

    def signal_event(self, event: SignalEvent, effects: Effects, rows: Rows) -> Iterator[None]:
        """What a simulation will read."""
        document = {field.encode_name: getattr(event, field.name) for field in RECORDED}
        facts = None if event.facts is None else msgspec.msgpack.encode(event.facts.packed())
        rows.signals.append(
            (iso(event.time), text(document), event.tenant, event.strategy_id, event.row, event.what, facts)
        )
        return iter(())

    # ------------------------------------------------------------------------------------------------------------- log

    def line(self, line: LogLine, effects: Effects, rows: Rows) -> Iterator[None]:
        """A log line that was told as such."""
        self.log(
            rows,
            iso(line.time),
            line.tenant,
            line.severity,
            line.message,
            line.strategy_id,
            line.subscriber_id,
            line.position_id,
            line.symbol,
            line.side,
            line.type,
            line.open_price,
        )
        return iter(())

    def log(
        self,
        rows: Rows,
        moment: str,
        tenant: str,
        severity: int,
        message: str,
        strategy_id: str,
        subscriber_id: str,
        position_id: str,
        symbol: str,
        side: str,
        kind: str,
        open_price: float | None,
    ) -> None:
        """A log record (contract, 6.3)."""
        document: dict[str, Any] = {"time": moment, "level": SEVERITIES[severity], "message": message}
        if symbol:
            document["symbol"] = symbol
        if strategy_id:
            document["strategyId"] = strategy_id
            document["strategyName"] = self.names.leaf(self.book.strategy_names.find(strategy_id))[3]
        if position_id:
            document["positionId"] = position_id
        if side:
            document["side"] = side
        if kind:
            document["type"] = kind
        if open_price:
            document["openPrice"] = open_price
        if subscriber_id:
            document["subscriberId"] = subscriber_id
        rows.log.append((moment, text(document), tenant, strategy_id, subscriber_id, position_id, severity))
        rows.topics.add(("log", tenant))

    # ------------------------------------------------------------------------------------------ stopouts and snapshots

    def stopout(self, event: StopoutEvent, effects: Effects, rows: Rows) -> Iterator[None]:
        """A stopout event."""
        rows.stopouts.append(
            (iso(event.time), text(event.document), event.tenant, event.number, event.strategy_id, event.subscriber_id)
        )
        rows.topics.add(("stopouts", event.tenant))
        return iter(())

    def snapshots(self, snapshots: AccountSnapshots, effects: Effects, rows: Rows) -> Iterator[None]:
        """Account snapshots."""
        moment = iso(snapshots.time)
        for place, account in enumerate(snapshots.account.tolist()):
            meta = self.book.account_meta[account]
            count = int(snapshots.number[place])
            document = (
                f'{{"sequenceNumber":{count},"accountId":{text(meta.id)},"time":"{moment}",'
                f'"balance":{number(float(snapshots.balance[place]))},'
                f'"equity":{number(round(float(snapshots.equity[place]), 2))},'
                f'"netDeposits":{number(round(float(snapshots.deposits[place]), 2))}}}'
            )
            rows.snapshots.append((moment, document, meta.tenant, count, meta.id))
            rows.topics.add(("snapshots", meta.tenant))
            if place % CHUNK == CHUNK - 1:
                yield
