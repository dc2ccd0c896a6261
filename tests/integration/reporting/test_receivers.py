"""Parts of fees for agents and the platform: levels, terms with a history, statements, corrections, what was paid."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import count
from uuid import uuid4

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from reporting.commission.credit_notes import issue_credit_note, void_statement
from reporting.commission.paid_incoming import record_incoming_payout
from reporting.commission.refusals import CannotBook
from reporting.commission.sharing import (
    add_receiver,
    draft_documents,
    introduce,
    make_statements,
    recompute_share,
    record_payout,
    set_shares,
)
from reporting.models import (
    BillingPeriod,
    FeeReceiver,
    Introduction,
    Payout,
    ReceiverKind,
    ReceiverStatement,
    ShareLine,
    Statement,
)
from tests import builders
from tests.firm import D, Firm, at
from tests.integration.reporting.test_closing import portfolio

pytestmark = pytest.mark.django_db
NUMBERS = count(1)
MOMENT = timedelta(microseconds=1)
START, JUNE = at(1, 1, 0), at(6, 1)


class Agency(Firm):
    """A firm of 20 % of gains with three clients, whose agents share in it."""

    def __init__(self, **more):
        super().__init__("amount-won", 0.2, **more)
        self.clients = [self.subscriber, *(builders.subscriber(self.connection) for _ in range(2))]

    def agent(self, name, *shares, above=None, since=START, kind=ReceiverKind.AGENT):
        receiver = FeeReceiver.objects.filter(workspace=self.workspace, name=name).first() or add_receiver(
            self.workspace, name=name, kind=kind, note="", by=None, now=since
        )
        shares = [D(share) for share in shares]
        set_shares(receiver, shares=shares, above=above, valid_from=since, by=None, now=since)
        return receiver

    def introduce(self, receiver, *clients, since=START):
        introduce(self.workspace, clients, receiver, valid_from=since, by=None, now=since)

    def earn(self, month, *profits):
        """A month of gains by client, closed and issued."""
        for client, profit in zip(self.clients, profits, strict=False):
            self.deal(at(month, 10), profit, subscriber=client)
        until, now = at(month + 1, 1, 0), at(month + 1, 2)
        self.complete_until(now)
        self.accrue(now)
        self.close(until, now=now)
        return self.issue(until, now=now)

    def make(self, now=JUNE):
        return make_statements(self.workspace, by=None, now=now)

    def amounts(self):
        rows = ReceiverStatement.objects.order_by("number").values_list("receiver__name", "currency", "amount")
        return [(name, amount) for name, _, amount in rows]

    def check(self):
        lines = ShareLine.objects.select_related("document")
        assert all(recompute_share(line.inputs, line.document.currency) == line.amount for line in lines)
        for document in ReceiverStatement.objects.all():
            assert document.amount == sum(line.amount for line in document.lines.all())


def test_agents_of_several_levels_and_the_platform_get_their_parts():
    firm = Agency()
    top = firm.agent("Top", "0.4", "0.1", "0.05")
    middle = firm.agent("Middle", "0.3", "0.02", above=top)
    low = firm.agent("Low", "0.25", above=middle)
    firm.agent("Platform", "0.07", kind=ReceiverKind.PLATFORM)
    firm.introduce(low, firm.clients[0])
    firm.introduce(middle, firm.clients[1])
    firm.earn(1, "500", "1000", "50")  # fees of 100, 200, 10
    firm.make()
    assert firm.amounts() == [
        ("Low", D(25)),
        ("Middle", D(62)),  # 30 % of 200, 2 % of 100
        ("Platform", D("21.70")),
        ("Top", D(25)),  # 10 % of 200, 5 % of 100
    ]
    firm.check()
    assert firm.make() == []
    assert draft_documents(firm.workspace) == []


@pytest.mark.parametrize(("since", "expected"), [(at(2, 1, 0) - MOMENT, "0.50"), (at(2, 1, 0), "0.25")])
def test_a_period_goes_by_what_holds_at_its_end(since, expected):
    firm = Agency()
    agent = firm.agent("Low", "0.25")
    firm.introduce(agent, firm.clients[0])
    firm.agent("Low", "0.5", since=since)
    firm.earn(1, "5")
    firm.make()
    assert firm.amounts() == [("Low", D(expected))]


def test_who_introduced_a_client_may_change_and_end():
    firm = Agency()
    first, second = firm.agent("First", "0.25"), firm.agent("Second", "0.1")
    firm.introduce(first, firm.clients[0])
    firm.introduce(second, firm.clients[0], since=at(2, 1, 0))
    firm.introduce(None, firm.clients[0], since=at(3, 1, 0))
    for month in (1, 2, 3):
        firm.earn(month, "500")
    firm.make()
    assert firm.amounts() == [("First", D(25)), ("Second", D(10))]


def test_voided_and_credited_statements_are_corrected_by_the_next_ones():
    firm = Agency()
    firm.introduce(firm.agent("Low", "0.25"), *firm.clients)
    first, second = firm.earn(1, "500", "1000")
    firm.make()
    assert firm.amounts() == [("Low", D(75))]
    void_statement(Statement.objects.get(pk=first.pk), reason="wrong", by=None, now=at(2, 3))
    issue_credit_note(second, amount=D(20), reason="sorry", by=None, now=at(2, 3), token=uuid4())
    [draft] = draft_documents(firm.workspace)
    assert (draft.amount, draft.waits) == (-30, True)
    assert firm.make() == []
    firm.earn(2, "0", "0", "2000")  # 400; the voided one is issued again: 100
    firm.make(at(6, 2))
    assert firm.amounts() == [("Low", D(75)), ("Low", D(95))]
    firm.check()


def test_shares_that_reach_back_correct_what_was_booked():
    firm = Agency()
    firm.introduce(firm.agent("Low", "0.25"), firm.clients[0])
    firm.earn(1, "500")
    firm.make()
    firm.agent("Low", "0.3")
    firm.make(at(6, 2))
    assert firm.amounts() == [("Low", D(25)), ("Low", D(5))]
    firm.check()


def test_nobody_is_above_itself_and_no_more_than_all_is_given_away():
    firm = Agency()
    top = firm.agent("Top", "0.4", "0.3")
    low = firm.agent("Low", "0.7", above=top)
    with pytest.raises(CannotBook, match="above itself"):
        firm.agent("Top", "0.1", above=low)
    with pytest.raises(CannotBook, match="101 % of a fee"):
        firm.agent("Low", "0.71", above=top)
    with pytest.raises(CannotBook, match="of a fee"):
        firm.agent("Platform", "0.01", kind=ReceiverKind.PLATFORM)
    with pytest.raises(CannotBook, match="of that name"):
        add_receiver(firm.workspace, name="top", kind="agent", note="", by=None, now=at(1, 1))
    assert firm.agent("Low", "0.7", above=top).terms.count() == 2


def test_no_more_than_all_is_given_away_of_clients_without_an_agent():
    firm = Agency()
    firm.agent("First", "0.6", kind=ReceiverKind.PLATFORM)
    firm.agent("Second", "0.4", kind=ReceiverKind.PLATFORM)
    with pytest.raises(CannotBook, match="101 % of a fee"):
        firm.agent("Second", "0.41", kind=ReceiverKind.PLATFORM)


def test_a_platform_has_no_clients_of_its_own():
    firm = Agency()
    platform = firm.agent("Platform", "0.6", kind=ReceiverKind.PLATFORM)
    path = f"/commissions/agents/{platform.pk}/clients/"
    sent = {"accounts": firm.subscriber.backend_id, "day": "2026-01-01"}
    assert signed_in(firm.workspace).post(path, sent).status_code == 404
    assert not Introduction.objects.exists()


def test_the_database_keeps_what_was_booked():
    firm = Agency()
    firm.introduce(firm.agent("Low", "0.25"), firm.clients[0])
    firm.earn(1, "500")
    firm.make()
    for rows in (ReceiverStatement, ShareLine, Introduction):
        with pytest.raises(DatabaseError), transaction.atomic():
            rows.objects.all().delete()
    with pytest.raises(DatabaseError), transaction.atomic():
        ReceiverStatement.objects.update(amount=1)


def test_a_statement_is_paid_once_and_not_after_all():
    firm = Agency()
    firm.introduce(firm.agent("Low", "0.25"), firm.clients[0])
    firm.earn(1, "500")
    [document] = firm.make()
    note = {"note": "bank", "by": None, "now": at(6, 2)}
    record_payout(document, is_paid=True, paid_on=at(6, 1).date(), **note)
    with pytest.raises(CannotBook, match="is paid already"):
        record_payout(document, is_paid=True, paid_on=at(6, 1).date(), **note)
    record_payout(document, is_paid=False, paid_on=None, **note)
    with pytest.raises(CannotBook, match="is not paid already"):
        record_payout(document, is_paid=False, paid_on=None, **note)
    assert [(payout.is_paid, payout.amount) for payout in Payout.objects.order_by("pk")] == [(True, 25), (False, 25)]


# --- Generated histories ----------------------------------------------------------------------------------------------
def oracle(statements, introduced, terms, platform):
    """What each agent gets in all: worked out anew of every statement as it stands, rounded once for each."""
    totals = {}
    for document in statements:
        notes = Statement.objects.filter(corrects=document, is_void=False)
        standing = D(0) if document.is_void else document.amount + sum((note.amount for note in notes), D(0))
        exact = {}
        for item in document.items.all():
            end = item.period.period_end
            rows = [row for row in introduced if row[0] == item.subscriber_id and row[2] < end]
            name, level = (rows[-1][1] if rows else None), 0
            while name is not None:
                begun = [row for row in terms[name] if row[0] < end]
                shares, above = begun[-1][1:] if begun else ((), None)
                if level < len(shares):
                    exact[name] = exact.get(name, D(0)) + item.amount * D(shares[level])
                name, level = above, level + 1
            exact["Platform"] = exact.get("Platform", D(0)) + item.amount * D(platform)
        for name, amount in exact.items():
            share = (amount * standing / document.amount).quantize(Decimal("0.01"), ROUND_HALF_UP)
            totals[name] = totals.get(name, D(0)) + share
    return {name: total for name, total in totals.items() if total}


@pytest.mark.parametrize("seed", range(6))
def test_generated_histories_give_what_the_oracle_says(seed):
    dice = random.Random(seed)
    firm = Agency()
    names, introduced = ["Top", "Middle", "Low"], []
    terms = {name: [] for name in names}
    receivers = {}
    firm.agent("Platform", "0.015", kind=ReceiverKind.PLATFORM)

    def agree(name, since):
        above = names[names.index(name) - 1] if name != "Top" and dice.random() < 0.8 else None
        shares = [str(D(dice.randrange(0, 20)) / 100) for _ in range(dice.randrange(1, 4))]
        receivers[name] = firm.agent(name, *shares, above=receivers.get(above), since=since)
        terms[name].append((since, shares, above))

    for name in names:
        agree(name, at(1, 1, 0))
    for month in (1, 2, 3, 4):
        since = at(month, dice.randrange(1, 28), 0)
        for client in firm.clients:
            if dice.random() < 0.6:
                name = dice.choice([*names, None])
                firm.introduce(receivers.get(name), client, since=since)
                introduced.append((client.backend_id, name, since))
        if dice.random() < 0.5:
            agree(dice.choice(names), since + timedelta(days=1))
        issued = firm.earn(month, *(D(dice.randrange(0, 90_000)) / 100 for _ in firm.clients))
        for document in issued:
            chance = dice.random()
            if chance < 0.15:
                void_statement(Statement.objects.get(pk=document.pk), reason="x", by=None, now=at(month + 1, 3))
            elif chance < 0.4 and document.amount > 1:
                amount = (document.amount * D("0.37")).quantize(D("0.01"))
                issue_credit_note(document, amount=amount, reason="x", by=None, now=at(month + 1, 3), token=uuid4())
        if dice.random() < 0.5:
            firm.make(at(month + 1, 4))
    firm.make(at(6, 1))
    firm.check()
    booked = {}
    for line in ShareLine.objects.select_related("receiver"):
        booked[line.receiver.name] = booked.get(line.receiver.name, D(0)) + line.amount
    waiting = {draft.receiver.name: draft.amount for draft in draft_documents(firm.workspace)}
    got = {name: booked.get(name, D(0)) + waiting.get(name, D(0)) for name in {*booked, *waiting}}
    statements = Statement.objects.filter(kind="statement").exclude(amount=0).prefetch_related("items__period")
    assert {name: total for name, total in got.items() if total} == oracle(statements, introduced, terms, "0.015")


# --- Incoming ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def owing():
    """A portfolio's owner owes 20 USD to its member's provider for April, which is closed: (firm, period, member)."""
    firm, through_member = portfolio()
    firm.deal(at(4, 4), "100", **through_member)
    now = at(5, 2)
    firm.complete_until(now)
    firm.accrue(now)
    firm.close(at(5, 1, 0), now=now)
    member = firm.lines.exclude(member_id="").get().member_id
    return firm, BillingPeriod.objects.get(strategy_id=firm.strategy.backend_id), member


def test_what_is_owed_to_a_provider_is_paid_or_not(owing):
    _, period, member = owing
    note = {"paid_on": at(5, 3).date(), "note": "", "by": None, "now": at(5, 3)}
    assert record_incoming_payout(period, "nobody", "USD", is_paid=True, **note) is None
    assert record_incoming_payout(period, "", "USD", is_paid=True, **note) is None
    assert record_incoming_payout(period, member, "EUR", is_paid=True, **note) is None
    assert record_incoming_payout(period, member, "USD", is_paid=True, **note).amount == 20
    with pytest.raises(CannotBook, match="is paid already"):
        record_incoming_payout(period, member, "USD", is_paid=True, **note)
    record_incoming_payout(period, member, "USD", is_paid=False, **note)
    with pytest.raises(CannotBook, match="is not paid already"):
        record_incoming_payout(period, member, "USD", is_paid=False, **note)


def test_the_page_of_incoming_commission_notes_what_was_paid(owing):
    firm, period, member = owing
    client, page = signed_in(firm.workspace), "/commissions/incoming/?period=2026-04"
    assert "Note as paid" in text_of(client.get(page))
    path = f"/commissions/incoming/{period.pk}/paid/"
    sent = {"member": member, "currency": "USD", "paid_on": "2026-05-03"}
    client.post(path, sent | {"paid_on": "2099-01-01"})
    assert not Payout.objects.exists()
    client.post(path, sent)
    assert "Not paid after all" in text_of(client.get(page))
    client.post(path, sent | {"state": "unpaid"})
    assert [payout.is_paid for payout in Payout.objects.order_by("pk")] == [True, False]
    assert client.post(path, sent | {"member": "nobody"}).status_code == 404
    viewer = signed_in(firm.workspace, "viewer")
    assert "Note as paid" not in text_of(viewer.get(page))
    assert viewer.post(path, sent).status_code == 403


# --- Pages ------------------------------------------------------------------------------------------------------------
def signed_in(workspace, role="owner"):
    client = Client()
    client.force_login(builders.member(workspace, f"{role}{next(NUMBERS)}", role))
    return client


def text_of(answer):
    return " ".join(answer.content.decode().split())


def test_an_agent_is_added_gets_clients_a_statement_and_is_paid():
    firm = Agency()
    client = signed_in(firm.workspace, "accountant")
    assert "Nobody gets a part of the fees" in text_of(client.get("/commissions/agents/"))
    answer = client.post("/commissions/agents/new/", {"name": "Low", "kind": "agent"})
    receiver = FeeReceiver.objects.get()
    assert answer["Location"] == f"/commissions/agents/{receiver.pk}/shares/"
    assert client.post(answer["Location"], {"share_0": "25", "share_1": "", "day": "2026-01-01"}).status_code == 302
    sent = {"accounts": f"{firm.subscriber.backend_id}\n", "day": "2026-01-01"}
    assert client.post(f"/commissions/agents/{receiver.pk}/clients/", sent).status_code == 302
    page = text_of(client.get(f"/commissions/agents/{receiver.pk}/"))
    assert firm.subscriber.name in page
    assert "25" in page
    firm.earn(1, "500")
    assert "a statement is made" in text_of(client.get("/commissions/agents/statements/"))
    client.post("/commissions/agents/statements/", {})
    document = ReceiverStatement.objects.get()
    assert "A-000001" in text_of(client.get("/commissions/agents/"))
    path = f"/commissions/agents/statements/{document.pk}/"
    page = text_of(client.get(path))
    assert "S-000001" in page
    assert "Note as paid" in page
    assert "0.25" in client.get(path + "?format=csv").content.decode()
    client.post(path + "paid/", {"paid_on": "2099-01-01"})
    assert not Payout.objects.exists()
    client.post(path + "paid/", {"paid_on": "2026-02-05", "note": "bank"})
    assert "It was not paid after all" in text_of(client.get(path))
    client.post(path + "paid/", {"state": "unpaid"})
    assert [payout.is_paid for payout in Payout.objects.order_by("pk")] == [True, False]


@pytest.mark.parametrize(
    ("page", "sent"),
    [
        ("shares", {"share_0": "101", "day": "2026-01-01"}),
        ("shares", {"share_0": "-1", "day": "2026-01-01"}),
        ("shares", {"share_0": "5", "day": ""}),
        ("clients", {"accounts": "", "day": "2026-01-01"}),
        ("clients", {"accounts": "nobody-is-called-so", "day": "2026-01-01"}),
    ],
)
def test_what_makes_no_sense_is_refused(page, sent):
    firm = Agency()
    receiver = firm.agent("Low", "0.25")
    answer = signed_in(firm.workspace).post(f"/commissions/agents/{receiver.pk}/{page}/", sent)
    assert answer.status_code == 422
    assert (receiver.terms.count(), Introduction.objects.count()) == (1, 0)


def test_strangers_and_clients_see_nothing_of_it():
    firm = Agency()
    firm.introduce(firm.agent("Low", "0.25"), firm.clients[0])
    firm.earn(1, "500")
    [document] = firm.make()
    receiver = FeeReceiver.objects.get()
    paths = [f"/commissions/agents/{receiver.pk}/", f"/commissions/agents/statements/{document.pk}/"]
    stranger = signed_in(builders.workspace())
    client = signed_in(firm.workspace, "subscriber")
    viewer = signed_in(firm.workspace, "viewer")
    for path in paths:
        assert (stranger.get(path).status_code, client.get(path).status_code) == (404, 404)
        assert viewer.get(path).status_code == 200
    assert viewer.post(f"{paths[1]}paid/", {"paid_on": "2026-02-05"}).status_code in (403, 404)
    assert client.get("/commissions/agents/").status_code in (403, 404)
