"""The demo is a firm that a manager would show: its results come from the rules alone, on whichever day it is made.

Two days of making it, so that rules are not fitted to one; what the engine earned is read from its own records.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

import msgspec
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.demo import prepare
from copying.backend.demo.history import HourlyMarket, Recorder, run
from copying.backend.demo.robots import HOUR
from copying.backend.market.ecb import EcbMarket
from copying.backend.state.book import Book

DAYS = [datetime(2026, 11, 28, 21, tzinfo=UTC), datetime(2027, 2, 14, 3, tzinfo=UTC)]


def made_on(now: datetime) -> Recorder:
    recorder = Recorder(Book(PaperBroker()))
    end = now.timestamp() // HOUR * HOUR
    start = end - prepare.DAYS * 24 * HOUR
    market = HourlyMarket(EcbMarket(), start, end)
    run(recorder, market, start, end, prepare.schedule("firm", start, prepare.DAYS), lambda line: None)
    return recorder


def results(recorder: Recorder) -> dict[str, dict[str, float]]:
    """Net result by strategy and account, in the account's currency."""
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for _, document, *_ in recorder.tables["transactions"]:
        deal = msgspec.json.decode(document)
        if "subscriberId" in deal:
            net = deal["profit"] + deal["swap"] + deal["commission"]
            sums[deal["strategy"]["id"]][deal["subscriberId"]] += net
    return sums


@pytest.mark.parametrize("now", DAYS, ids=lambda now: f"{now:%Y-%m-%d}")
def test_most_strategies_earn_and_none_loses_much(now):
    recorder = made_on(now)
    book = recorder.book
    balances = dict(zip((meta.id for meta in book.account_meta), book.accounts.balance.tolist(), strict=True))
    returns = {}
    for strategy_id, accounts in results(recorder).items():
        earned = {account: net / (balances[account] - net) for account, net in accounts.items()}
        returns[strategy_id] = sum(earned.values()) / len(earned)
    assert sum(share > 0 for share in returns.values()) >= 5, returns
    assert min(returns.values()) > -0.15, returns


def test_fixed_fees_and_fees_per_lot_reach_no_account_in_yen():
    documents = {
        command.subscriber_id: command.document
        for _, command in prepare.schedule("firm", 0.0, prepare.DAYS)
        if isinstance(command, prepare.PutSubscriber)
    }
    currencies = {
        command.account_id: command.currency
        for _, command in prepare.schedule("firm", 0.0, prepare.DAYS)
        if isinstance(command, prepare.OpenAccount)
    }
    in_yen = [document for account, document in documents.items() if currencies[account] == "JPY"]
    schemes = {
        prepare.SCHEMES[subscription["strategyId"]][0]
        for document in in_yen
        for subscription in document["subscriptions"]
    }
    assert len(in_yen) > 5
    assert schemes == {"high-water-mark", "amount-won"}
