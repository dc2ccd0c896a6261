"""Consent: whoever does not offer is not copied, and whoever is not offered anything hears nothing."""

from __future__ import annotations

import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.http import reads
from copying.backend.http.reads import risk_limits
from copying.backend.settings.offers import offered_to
from copying.backend.settings.rules import CONSENT, MOST_RESERVED, RESERVED_SECONDS, may_put
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import (
    CommandEntry,
    PutPortfolio,
    PutSignal,
    PutStrategy,
    PutSubscriber,
    ReserveStrategyId,
    Resynchronise,
    SetRules,
)
from copying.backend.state.effects import Decided, LogLine, Withheld
from copying.backend.state.errors import Refused
from copying.backend.state.privacy import NEWEST
from copying.backend.state.times import iso

EVERYBODY = {"offer": {"to": "everybody"}}
NAMED = {"offer": {"to": "tenants", "tenants": ["u"]}}
NOBODY = {"offer": {"to": "nobody"}}


def offer(desk, strategy_id="S", **settings):
    desk.strategy(strategy_id, **settings)


def follow(desk, tenant, account, *strategy_ids):
    subscriptions = [{"strategyId": each, "tradeSizeScaling": {"mode": "none"}} for each in strategy_ids]
    document = {"name": account, "subscriptions": subscriptions}
    return desk.try_(PutSubscriber(tenant=tenant, subscriber_id=account, document=document))


def bundle(desk, tenant, portfolio_id, *members, **settings):
    document = {"name": portfolio_id, "description": "", "members": [{"strategyId": each} for each in members]}
    return desk.try_(PutPortfolio(tenant=tenant, strategy_id=portfolio_id, document={**document, **settings}))


@pytest.fixture
def consenting(desk):
    desk.do(SetRules(tenant="", version=CONSENT))
    return desk


@pytest.mark.parametrize(
    ("terms", "tenant", "is_allowed"),
    [
        ({}, "u", False),
        (NOBODY, "u", False),
        (NAMED, "u", True),
        (NAMED, "v", False),
        (EVERYBODY, "v", True),
        ({}, "t", True),  # one's own needs no offer
        (NOBODY, "t", True),
    ],
)
def test_only_whoever_it_is_offered_to_may_follow(consenting, terms, tenant, is_allowed):
    offer(consenting, **terms)
    unknown = follow(consenting, tenant, "x", "none").refused
    refused = follow(consenting, tenant, "x", "S").refused
    assert (refused is None) == is_allowed
    if not is_allowed:
        assert (refused.status, refused.message) == (unknown.status, unknown.message)
        assert refused.details == [{**unknown.details[0], "value": "S"}]
    member = bundle(consenting, tenant, "P", "S").refused
    assert (member is None) == is_allowed
    assert [each["strategyId"] for each in offered_to(consenting.book, tenant)] == (
        ["S"] if is_allowed and tenant != "t" else []
    )


def test_withdrawn_consent_stops_new_copies_and_lets_open_ones_follow(consenting):
    desk = consenting
    offer(desk, **NAMED)
    follow(desk, "u", "x", "S")
    desk.subscriber("own")
    desk.signal("before01")
    desk.signal("waiting1", type="ORDER_TYPE_BUY_LIMIT", openPrice=1.0)
    assert len(desk.held("x")) == len(desk.held("own")) == 1
    assert len(reads.account_orders(desk.book, "u", "x")) == 1
    offer(desk)
    assert reads.account_orders(desk.book, "u", "x") == []
    assert len(desk.waiting("own")) == 1
    assert len(desk.told(Withheld)) == 1
    told = len(desk.told(Decided))
    desk.signal("after001", symbol="GBPUSD")
    [decided] = desk.told(Decided)[told:]
    assert [decided.subscription[row] for row in decided.rows] == [desk.book.subscription("own", "S")]
    assert (len(desk.held("x")), len(desk.held("own"))) == (1, 2)
    desk.do(Resynchronise(tenant="u", subscriber_id="x"))
    assert len(desk.held("x")) == 1
    assert reads.trading_signals(desk.book, "u", "x") == []
    desk.close_signal("before01")
    assert desk.held("x") == []


@pytest.mark.parametrize("followed", ["S", "P"])
@pytest.mark.parametrize("left_out", ["own", "x", "other"])
def test_nobody_copies_without_consent_while_an_account_is_left_out(consenting, left_out, followed):
    """Neither a new signal nor one that is asked for again, on whichever account the fault is."""
    desk = consenting
    offer(desk, **NAMED)
    bundle(desk, "u", "P", "S")
    follow(desk, "u", "x", followed)
    for account_id in ("own", "other"):
        desk.subscriber(account_id)
    offer(desk)
    document = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": iso(desk.now + 1), "volume": 0.1}
    signal = PutSignal(tenant="t", strategy_id="S", signal_id="after001", document=document)
    for command in (signal, Resynchronise(tenant="u", subscriber_id="x")):
        desk.now += 1
        entry = CommandEntry(
            time=desk.now, rules=desk.book.rules, quotes=desk.pending, command=command, left_out=[left_out]
        )
        desk.effects.append(apply(desk.book, entry, desk.book.sequence + 1))
    copied = {each for each in ("own", "x", "other") if desk.held(each)}
    assert copied == {"own", "other"} - {left_out}
    told = [desk.book.subscription_keys[each.subscription[row]][0] for each in desk.told(Decided) for row in each.rows]
    assert "x" not in told, "hears nothing of the signal either"


def test_consent_that_comes_back_copies_again_and_is_told_once(consenting):
    desk = consenting
    offer(desk, **NAMED)
    follow(desk, "u", "x", "S")
    offer(desk)
    offer(desk, name="renamed")  # nothing changes: nothing more is told
    assert len(desk.told(Withheld)) == 1
    offer(desk, **EVERYBODY)
    assert [line.message for line in desk.told(LogLine) if line.tenant == "u" and "again" in line.message]
    desk.signal()
    assert len(desk.held("x")) == 1


def test_a_document_that_names_what_is_not_offered_any_more_stays_editable(consenting):
    desk = consenting
    offer(desk, **NAMED)
    follow(desk, "u", "x", "S")
    bundle(desk, "u", "P", "S")
    offer(desk)
    assert follow(desk, "u", "x", "S").refused is None
    assert bundle(desk, "u", "P", "S").refused is None
    assert follow(desk, "u", "y", "S").refused is not None
    assert bundle(desk, "u", "Q", "S").refused is not None


@pytest.mark.parametrize(
    ("leaf", "held"),
    [
        ({"offer": {"to": "tenants", "tenants": ["u"]}}, 0),  # an offer does not travel
        ({"offer": {"to": "tenants", "tenants": ["v"]}}, 0),  # u could not have put it into a portfolio
        ({"offer": {"to": "tenants", "tenants": ["u", "v"]}}, 1),
        (EVERYBODY, 1),
    ],
)
def test_every_strategy_on_a_way_is_offered_to_everybody_on_it(consenting, leaf, held):
    desk = consenting
    offer(desk, **EVERYBODY)
    bundle(desk, "u", "P", "S", **EVERYBODY)
    bundle(desk, "u", "Q", "P", **EVERYBODY)
    follow(desk, "v", "x", "Q")
    follow(desk, "u", "y", "P")
    offer(desk, **leaf)
    desk.signal()
    assert len(desk.held("x")) == held
    tenants = leaf["offer"].get("tenants", ["u"])
    assert len(desk.held("y")) == ("u" in tenants)


def test_what_an_account_trades_is_its_owners_to_offer(consenting):
    """u copies S and provides T from the same account: T's followers follow u."""
    desk = consenting
    offer(desk, **NAMED)
    follow(desk, "u", "relay", "S")
    document = {"name": "T", "description": "", "accountId": "relay"}
    desk.do(PutStrategy(tenant="u", strategy_id="T", document={**document, **EVERYBODY}))
    follow(desk, "v", "x", "T")
    desk.signal("first001")
    assert len(desk.held("x")) == 1
    desk.do(PutStrategy(tenant="u", strategy_id="T", document=document))
    desk.signal("second01")
    assert (len(desk.held("relay")), len(desk.held("x"))) == (2, 1)


def test_a_way_without_consent_leaves_the_other_ways_of_a_portfolio_alone(consenting):
    desk = consenting
    offer(desk, "S", **EVERYBODY)
    offer(desk, "R", account_id="other", **EVERYBODY)
    bundle(desk, "t", "P", "S", "R", **EVERYBODY)
    follow(desk, "u", "x", "P")
    offer(desk, "S")
    desk.signal("one00001", "S")
    desk.signal("two00001", "R")
    assert len(desk.held("x")) == 1


def test_limits_of_a_provider_are_not_told_without_consent(consenting):
    desk = consenting
    limit = {"type": "day", "applyTo": "balance-difference", "maxAbsoluteRisk": 50, "closePositions": False}
    offer(desk, riskLimits=[limit], **NAMED)
    follow(desk, "u", "x", "S")
    assert risk_limits(desk.book, "u")[0]["limits"]
    offer(desk, riskLimits=[limit])
    assert [each["limits"] for each in risk_limits(desk.book, "u")] == [[]]


def test_a_journal_from_before_replays_as_it_was_and_strangers_stop_at_the_new_rules(desk):
    desk.strategy()
    follow(desk, "u", "x", "S")
    desk.subscriber("own")
    desk.signal("before01")
    assert len(desk.held("x")) == 1
    desk.do(SetRules(tenant="", version=CONSENT))
    assert len(desk.told(Withheld)) == 1
    desk.signal("after001")
    assert (len(desk.held("x")), len(desk.held("own"))) == (1, 2)
    again = Book(PaperBroker(), slippage_spreads=0.0)
    for sequence, entry in enumerate(desk.entries, 1):
        apply(again, entry, sequence)
    assert snapshot.pack(again) == snapshot.pack(desk.book)
    assert snapshot.pack(snapshot.unpack(snapshot.pack(again), PaperBroker())) == snapshot.pack(again)


def test_reads_ask_for_consent_as_soon_as_the_newer_rules_are_known(desk):
    desk.strategy()
    follow(desk, "u", "x", "S")
    desk.signal("before01")
    assert len(reads.trading_signals(desk.book, "u", "x")) == 1
    desk.book.upcoming_privacy = CONSENT
    desk.book.changed_configuration()
    desk.book.forget_caches()
    assert reads.trading_signals(desk.book, "u", "x") == []
    desk.do(SetRules(tenant="", version=CONSENT))
    assert len(desk.told(Withheld)) == 1  # as in a replay, where nothing was known before


def test_ids_are_handed_out_once_kept_and_expire(desk):
    desk.do(ReserveStrategyId(tenant="t", strategy_id="AAAA"))
    for tenant in ("t", "u"):
        with pytest.raises(Refused):
            desk.do(ReserveStrategyId(tenant=tenant, strategy_id="AAAA"))
    assert may_put(desk.book, "t", "AAAA")
    assert not may_put(desk.book, "u", "AAAA")
    assert not may_put(desk.book, "t", "BBBB")
    desk.now += RESERVED_SECONDS - 4
    assert desk.do(ReserveStrategyId(tenant="t", strategy_id="CCCC"))
    assert may_put(desk.book, "t", "AAAA")  # one second before
    desk.do(ReserveStrategyId(tenant="u", strategy_id="DDDD"))
    assert not may_put(desk.book, "t", "AAAA")  # its time is over
    desk.do(ReserveStrategyId(tenant="u", strategy_id="AAAA"))
    assert may_put(desk.book, "u", "AAAA")


def test_a_tenant_holds_a_bounded_number_of_ids(desk):
    for number in range(MOST_RESERVED + 1):
        desk.do(ReserveStrategyId(tenant="t", strategy_id=f"n{number}"))
    assert len(desk.book.reserved["t"]) == MOST_RESERVED
    assert not may_put(desk.book, "t", "n0")
    assert may_put(desk.book, "t", f"n{MOST_RESERVED}")


def test_what_one_has_and_had_stays_ones_own(desk):
    desk.strategy("S")
    assert may_put(desk.book, "t", "S")
    assert not may_put(desk.book, "u", "S")
    del desk.book.strategies_by_id["S"]
    assert may_put(desk.book, "t", "S")
    assert not may_put(desk.book, "u", "S")


def test_consent_that_comes_back_is_told_once_and_not_as_a_lack(consenting):
    desk = consenting
    offer(desk, **EVERYBODY)
    follow(desk, "u", "x", "S")
    assert desk.told(Withheld) == []
    offer(desk)
    assert len(desk.told(Withheld)) == 1
    offer(desk, **EVERYBODY)
    assert len(desk.told(Withheld)) == 1
    again = [line for line in desk.told(LogLine) if "offered to you again" in line.message]
    assert [(line.tenant, line.subscriber_id) for line in again] == [("u", "x")]


def test_newer_rules_tell_a_lack_of_consent_once(desk):
    desk.strategy()
    follow(desk, "u", "x", "S")
    for version in range(CONSENT, NEWEST + 1):
        desk.do(SetRules(tenant="", version=version, secret=b"0123456789abcdef"))
        assert len(desk.told(Withheld)) == 1
