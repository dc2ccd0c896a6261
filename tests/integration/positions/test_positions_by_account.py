"""Positions where a backend has no list of all: each account is asked in its turn, and its trouble is its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.utils import timezone

from copying.client import BackendFailed, Forbidden, NotConnected, NotFound, RateLimited, Unreadable
from copying.contract.documents import ExternalSignal
from copying.contract.terminal import TerminalPosition
from reporting.models import OpenPosition, OpenTrade, PositionReading, SyncKind, Transaction
from reporting.rights import REFUSED_BY
from reporting.sync import positions, run, states
from reporting.watching import watch
from tests import builders

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
NO_LIST = NotFound("No such call.")


def position(number, *, symbol="EURUSD", opened_at=NOW - timedelta(hours=1), **fields):
    return TerminalPosition(
        id=str(number),
        type="POSITION_TYPE_BUY",
        symbol=symbol,
        time=opened_at,
        open_price=Decimal("1.1"),
        volume=Decimal("0.2"),
        unrealized_profit=Decimal("5.5"),
        **fields,
    )


class Terminals:
    """A client whose accounts answer positions, or an error; without an answer: nothing is open."""

    def __init__(self, answers, signals):
        self.answers, self.signals = answers, signals
        self.asked: list[str] = []

    def get_bytes(self, path, params=None, **_):
        raise NO_LIST

    def terminal_positions(self, account_id):
        self.asked.append(account_id)
        return self._said(self.answers.get(account_id, self.answers.get("*", [])))

    def external_signals(self, strategy_id):
        return self._said(self.signals.get(strategy_id, []))

    @staticmethod
    def _said(answer):
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def firm(workspace):
    """A strategy on account p1 that 25 accounts copy."""
    cache.clear()
    connection = builders.connection(workspace)
    strategy = builders.strategy(connection, backend_id="s1", account_id="p1")
    for number in range(25):
        account = builders.subscriber(connection, backend_id=f"a{number:02}")
        builders.subscription(account, strategy, first_seen_at=NOW)
    return connection


@pytest.fixture
def sync(firm):
    """A function that reads positions once at `now` with these answers, as a sync does."""
    states.ensure_states()

    def once(answers, now=NOW, signals=None):
        states.SyncState.objects.update(due_at=timezone.now() + timedelta(hours=1), lease_until=None)
        states.request_sync(firm, [SyncKind.POSITIONS])
        terminals, lease = Terminals(answers, signals or {}), states.claim_due()
        outcome = positions.sync_positions(lease, source=run.Source(terminals), backend=firm, now=now)
        states.finish(lease, next_in_s=0, complete_until=outcome.complete_until, error=outcome.error)
        return terminals, outcome, lease

    return once


def everybody(sync, answers, now=NOW, **more):
    """Until each account had a turn."""
    outcome = None
    for turn in range(2):
        _, outcome, lease = sync(answers, now + timedelta(seconds=turn), **more)
    return outcome, lease


def deal(connection, account, number, signal):
    """The opening deal of a copy, which says whose signal it is."""
    Transaction.objects.create(
        workspace=connection.workspace,
        connection=connection,
        subscriber_id=account,
        strategy_id="s1",
        backend_id=f"{account}-{number}:open",
        time=NOW - timedelta(hours=1),
        type="DEAL_TYPE_BUY",
        symbol="EURUSD",
        position_id=signal,
        subscriber_position_id=str(number),
        profit=0,
        swap=0,
        improvement=0,
        provider_commission=0,
        platform_commission=0,
    )


def test_a_turn_asks_a_few_and_the_age_is_that_of_the_oldest(sync):
    terminals, outcome, _ = sync({})
    assert len(terminals.asked) == positions.MOST_ASKED
    assert outcome.complete_until is None
    terminals, outcome, _ = sync({}, NOW + timedelta(seconds=10))
    assert len(terminals.asked) == 6
    assert outcome.complete_until == NOW
    terminals, _, _ = sync({}, NOW + timedelta(seconds=19))
    assert terminals.asked == []


def test_copies_are_known_by_their_opening_deals(firm, sync):
    for account in ("a00", "a01"):
        deal(firm, account, f"9{account[1:]}", "77")
    answers = {"p1": [position(77)], "a00": [position("900")], "a01": [position("901")], "a02": [position("902")]}
    everybody(sync, answers)
    signal = OpenTrade.objects.get()
    assert (signal.strategy_id, signal.signal_id, signal.state, signal.copies) == ("s1", "77", "open", 2)
    assert (signal.missing, signal.unread, signal.floating) == (23, 0, Decimal("5.5"))
    by_hand = OpenPosition.objects.get(subscriber_id="a02")
    assert (by_hand.signal_id, by_hand.strategy_id) == ("", "")


def test_who_was_not_read_since_is_not_missing(firm, sync):
    watch([(firm.pk, "p1")])
    sync({"p1": [position(77)]})
    signal = OpenTrade.objects.get()
    read = PositionReading.objects.filter(is_strategy=False, read_at=NOW).exclude(backend_id="p1").count()
    assert (signal.missing, signal.unread) == (read, 25 - read)
    assert read < 25


@pytest.mark.parametrize("missing_one", ["account", "signals", "none"])
def test_a_copy_is_left_over_only_where_the_provider_was_asked_after_it(firm, sync, missing_one):
    deal(firm, "a00", "900", "77")
    answers = {"a00": [position("900")]}
    trouble = BackendFailed("It broke.", 500)
    signals = {"s1": trouble} if missing_one == "signals" else {}
    answers |= {"p1": trouble} if missing_one == "account" else {}
    everybody(sync, answers, signals=signals)
    assert OpenTrade.objects.get().state == ("closed" if missing_one == "none" else "unknown")


def test_a_signal_that_the_provider_closed_goes_with_its_last_copy(firm, sync):
    deal(firm, "a00", "900", "77")
    everybody(sync, {"p1": [position(77)], "a00": [position("900")]})
    assert OpenTrade.objects.get().state == "open"
    everybody(sync, {"a00": [position("900")]}, NOW + timedelta(minutes=1))
    assert OpenTrade.objects.get().state == "closed"
    everybody(sync, {}, NOW + timedelta(minutes=2))
    assert not OpenTrade.objects.exists()
    assert not OpenPosition.objects.exists()


def test_external_signals_have_no_account(firm, sync):
    signal = ExternalSignal(id="ext1", symbol="EURUSD", type="POSITION_TYPE_SELL", time=NOW, volume=0.3)
    everybody(sync, {}, signals={"s1": [signal]})
    row = OpenTrade.objects.get()
    assert (row.signal_id, row.is_external, row.side, row.lots, row.state) == (
        "ext1",
        True,
        "sell",
        Decimal("0.3"),
        "open",
    )
    assert row.floating is None


@pytest.mark.parametrize(
    "trouble",
    [
        BackendFailed("It broke.", 500),
        Unreadable("Cannot be read.", reason="wrong", start=""),
        NotConnected("Not connected."),
    ],
)
def test_one_account_in_trouble_for_ever_stops_no_other(firm, sync, trouble):
    everybody(sync, {"a00": [position("900")], "a01": [position("901")]})
    outcome = None
    for minutes in range(1, 4):
        outcome, _ = everybody(
            sync, {"a00": trouble, "a01": [position("901", symbol="USDJPY")]}, NOW + timedelta(minutes=minutes)
        )
    assert OpenPosition.objects.get(subscriber_id="a01").symbol == "USDJPY"
    assert OpenPosition.objects.get(subscriber_id="a00").symbol == "EURUSD"  # as it was read last
    reading = PositionReading.objects.get(backend_id="a00")
    assert reading.problem
    assert reading.read_at < NOW + timedelta(minutes=1)
    assert outcome.complete_until < NOW + timedelta(minutes=1)  # as old as the oldest part


def test_of_an_account_that_is_gone_nothing_is_known(firm, sync):
    everybody(sync, {"a00": [position("900")], "a01": [position("901")]})
    everybody(sync, {"a00": NotFound("No such account."), "a01": [position("901")]}, NOW + timedelta(minutes=1))
    assert list(OpenPosition.objects.values_list("subscriber_id", flat=True)) == ["a01"]
    assert PositionReading.objects.get(backend_id="a00").read_at is None


@pytest.mark.parametrize(("refusal", "status"), [(NotFound("No such call."), 404), (Forbidden("Not for you."), 403)])
def test_a_call_that_is_refused_everywhere_is_a_missing_right(firm, sync, refusal, status):
    everybody(sync, {"a00": [position("900")]})
    _, lease = everybody(sync, {"*": refusal}, NOW + timedelta(hours=2))
    assert (lease.cursor["is_offered"], lease.cursor[REFUSED_BY]) == (False, status)
    assert not OpenPosition.objects.exists()
    assert not OpenTrade.objects.exists()


def test_a_limit_stops_the_turn_and_keeps_what_was_read(firm, sync):
    limited = RateLimited("Slower.", NOW + timedelta(hours=1))
    with pytest.raises(RateLimited):
        sync({"a00": [position("900")], "a07": limited})
    assert OpenPosition.objects.filter(subscriber_id="a00").exists()
    assert PositionReading.objects.get(backend_id="a07").asked_at is None


def test_accounts_on_an_open_page_come_first(firm, sync):
    watch([(firm.pk, "a24"), (firm.pk, "a23"), (firm.pk, "somebody-elses")])
    terminals, _, _ = sync({})
    assert {"a23", "a24"} <= set(terminals.asked)
    assert "somebody-elses" not in terminals.asked


def test_what_belongs_to_a_removed_account_goes(firm, sync):
    everybody(sync, {"a00": [position("900")]})
    firm.subscribers.filter(backend_id="a00").update(is_removed=True)
    everybody(sync, {}, NOW + timedelta(minutes=1))
    assert not OpenPosition.objects.exists()
