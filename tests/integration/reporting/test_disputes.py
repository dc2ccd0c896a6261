"""Disputes on lines of statements: what they freeze, how they end, who may open and answer them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import override_settings

from reporting.attention import attention
from reporting.commission.accounts import balance_of
from reporting.commission.credit_notes import void_statement
from reporting.commission.disputing import credit_dispute, open_dispute, reject_dispute, withdraw_dispute
from reporting.commission.document_lines import lines_of
from reporting.commission.mailing import remind_workspace
from reporting.commission.refusals import CannotBook
from reporting.commission.statements import issue_statements
from reporting.models import BillingIdentity, ClientRecord, CommissionLine, Dispute, Statement, TaxKind
from tests.firm import NOW, D, Firm, at
from tests.integration.reporting.test_books_pages import books, rows_of
from users.models import AuditEntry, Mail

__all__ = ["books"]  # a fixture that is used by name
pytestmark = pytest.mark.django_db
MAY = datetime(2026, 5, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def issued(*profits, tax="0", **more):
    """A firm and its statement of long ago with a line of 20 % of each profit."""
    firm = Firm(**more)
    BillingIdentity.objects.create(
        workspace=firm.workspace, tax_kind=TaxKind.RATE if D(tax) else TaxKind.NONE, tax_rate=D(tax)
    )
    for day, profit in enumerate(profits, 3):
        firm.deal(at(4, day), profit)
    firm.accrue()
    firm.close(MAY)
    (statement,) = firm.issue(MAY)
    return firm, statement


def read(statement):
    """(state, balance, what is to be paid by the day, what is frozen)."""
    row = Statement.objects.with_balance().get(pk=statement.pk)
    return row.state, row.balance, row.payable, row.disputed


def lines(statement):
    return list(lines_of(statement).order_by("pk"))


def test_a_disputed_line_is_owed_but_neither_due_nor_overdue():
    _, statement = issued("100", "50", tax="0.19")  # 20.00 and 10.00, with tax 35.70
    assert read(statement) == ("overdue", D("35.70"), D("35.70"), 0)  # to be paid by 20 May 2026
    first, second = lines(statement)
    dispute = open_dispute(statement, first, reason="not mine", now=NOW)
    assert dispute.amount == D("23.80")
    assert read(statement) == ("overdue", D("35.70"), D("11.90"), D("23.80"))
    other = open_dispute(statement, second, reason="nor this", now=NOW)
    assert read(statement) == ("disputed", D("35.70"), 0, D("35.70"))
    reject_dispute(dispute, reason="it is", now=LATER)
    assert read(statement) == ("overdue", D("35.70"), D("23.80"), D("11.90"))
    withdraw_dispute(other, now=LATER)
    assert read(statement) == ("overdue", D("35.70"), D("35.70"), 0)


def test_amounts_of_all_lines_come_to_the_total_whatever_the_tax():
    _, statement = issued("0.60", "0.60", "0.60", tax="0.19")  # three lines of 0.12: with tax each 0.1428
    for line in lines(statement):
        open_dispute(statement, line, reason="no", now=NOW)
    assert statement.total == D("0.43") == sum(each.amount for each in Dispute.objects.all())
    assert read(statement)[0] == "disputed"


@pytest.mark.parametrize(
    ("paid", "state", "payable", "frozen"),
    [
        ("9.99", "overdue", "0.01", "20"),
        ("10", "disputed", "0", "20"),
        ("10.01", "disputed", "0", "19.99"),
        ("30", "paid", "0", "0"),
    ],
)
def test_a_payment_goes_on_what_is_not_in_dispute_first(paid, state, payable, frozen):
    firm, statement = issued("100", "50")
    open_dispute(statement, lines(statement)[0], reason="no", now=NOW)
    firm.pay(paid, statement)
    assert read(statement) == (state, 30 - D(paid), D(payable), D(frozen))


def test_a_line_that_takes_something_off_freezes_nothing():
    firm, _ = issued("100")
    firm.deal(at(4, 3), "40", number=1)  # the deal of before was 60 less
    firm.deal(at(5, 4), "500")
    firm.accrue()
    firm.accrue(at(6, 1))
    firm.close(datetime(2026, 6, 1, tzinfo=UTC), now=at(6, 2))
    (statement,) = firm.issue(datetime(2026, 6, 1, tzinfo=UTC), now=at(6, 2))
    less = next(line for line in lines(statement) if line.amount < 0)
    assert open_dispute(statement, less, reason="too little", now=at(6, 3)).amount == 0
    assert read(statement)[3] == 0


def test_a_dispute_is_credited_once():
    _, statement = issued("100", "50")
    dispute = open_dispute(statement, lines(statement)[0], reason="no", now=NOW)
    stale = Dispute.objects.get(pk=dispute.pk)
    note = credit_dispute(dispute, amount=D(15), reason="as agreed", now=LATER)
    assert (note.total, note.corrects) == (D(-15), statement)
    assert read(statement) == ("overdue", D(15), D(15), 0)  # the rest of the line is due again
    for act in (
        lambda: credit_dispute(stale, amount=D(5), reason="again", now=LATER),
        lambda: reject_dispute(stale, reason="late", now=LATER),
        lambda: withdraw_dispute(stale, now=LATER),
    ):
        with pytest.raises(CannotBook, match="ended already: credited"):
            act()
    assert statement.credit_notes.count() == 1
    assert [event.state for event in dispute.events.order_by("pk")] == ["open", "credited"]


def test_more_than_is_left_cannot_be_credited_and_the_dispute_stays_open():
    _, statement = issued("100")
    dispute = open_dispute(statement, lines(statement)[0], reason="no", now=NOW)
    with pytest.raises(CannotBook, match="At most 20"):
        credit_dispute(dispute, amount=D("20.01"), reason="too much", now=LATER)
    dispute.refresh_from_db()
    assert (dispute.state, statement.credit_notes.count()) == ("open", 0)


def test_voiding_a_statement_ends_its_disputes_and_nothing_void_is_disputed():
    _, statement = issued("100", "50")
    first, second = lines(statement)
    dispute = open_dispute(statement, first, reason="no", now=NOW)
    void_statement(statement, reason="wrong client", now=LATER)
    dispute.refresh_from_db()
    assert (dispute.state, dispute.events.latest("pk").text) == ("void", "wrong client")
    assert read(statement) == ("void", 0, 0, 0)
    with pytest.raises(CannotBook, match="nothing to dispute"):
        open_dispute(statement, second, reason="no", now=LATER)


def test_lines_are_disputed_one_at_a_time_and_by_a_client_once():
    firm, statement = issued("100")
    (line,) = lines(statement)
    dispute = open_dispute(statement, line, reason="no", is_client=True, now=NOW)
    with pytest.raises(CannotBook, match="in dispute already"):
        open_dispute(statement, line, reason="no", now=NOW)
    withdraw_dispute(dispute, now=NOW)
    again = open_dispute(statement, line, reason="after all", is_client=True, now=NOW)
    reject_dispute(again, reason="it is right", now=LATER)
    with pytest.raises(CannotBook, match="was answered"):
        open_dispute(statement, line, reason="still", is_client=True, now=LATER)
    assert open_dispute(statement, line, reason="in their name", now=LATER).state == "open"
    firm.deal(at(5, 4), "500")
    firm.accrue()
    other = CommissionLine.objects.exclude(pk=line.pk).get()
    with pytest.raises(CannotBook, match="not on S-000001"):
        open_dispute(statement, other, reason="no", now=LATER)


@override_settings(MAIL_IS_SET_UP=True)
def test_nobody_is_reminded_of_what_is_in_dispute():
    firm, statement = issued("100", "50")
    BillingIdentity.objects.update(reminder_days=[1])
    ClientRecord.objects.create(subscriber=firm.subscriber, email="client@example.com")
    first, second = lines(statement)
    dispute = open_dispute(statement, first, reason="no", now=NOW)
    open_dispute(statement, second, reason="no", now=NOW)
    assert remind_workspace(firm.workspace, now=LATER) == 0
    reject_dispute(dispute, reason="it is right", now=LATER)
    assert remind_workspace(firm.workspace, now=LATER) == 1
    assert "20.00 USD are still open" in Mail.objects.get(kind="reminder").text


@override_settings(MAIL_IS_SET_UP=True)
@pytest.mark.parametrize("reply_to", ["", "billing@example.com"])
def test_each_side_is_told_by_mail(workspace, alice, reply_to):
    firm, statement = issued("100", "50")
    firm.workspace.memberships.create(user=alice, role="owner")
    BillingIdentity.objects.update(reply_to=reply_to)
    ClientRecord.objects.create(subscriber=firm.subscriber, email="client@example.com")
    first, second = lines(statement)
    dispute = open_dispute(statement, first, reason="not mine", is_client=True, now=NOW)
    told = Mail.objects.get(kind="dispute")
    assert (told.recipient, told.subject) == (reply_to or alice.email, "Dispute: 20.00 USD of statement S-000001")
    assert "not mine" in told.text
    credit_dispute(dispute, amount=D(20), reason="you are right", now=LATER)
    answer = Mail.objects.filter(kind="dispute").latest("pk")
    assert answer.recipient == "client@example.com"
    assert "Credit note C-000001 takes 20.00 USD off: you are right" in answer.text
    in_their_name = open_dispute(statement, second, reason="by phone", by=alice, now=LATER)
    assert Mail.objects.count() == 2  # the firm needs no mail of what it does itself
    reject_dispute(in_their_name, reason="see the log.", now=LATER)
    assert "the line stands: see the log. The amount is due again." in Mail.objects.latest("pk").text


def test_every_step_is_in_the_audit_log():
    firm, statement = issued("100", "50", "25")
    first, second, third = lines(statement)
    reject_dispute(open_dispute(statement, first, reason="a", now=NOW), reason="b", now=LATER)
    withdraw_dispute(open_dispute(statement, second, reason="c", now=NOW), now=LATER)
    credit_dispute(open_dispute(statement, third, reason="d", now=NOW), amount=D(1), reason="e", now=LATER)
    actions = AuditEntry.objects.filter(workspace=firm.workspace, action__startswith="dispute")
    assert sorted((row.action, row.subject) for row in actions) == sorted(
        [
            ("dispute opened", "S-000001, 20.00 USD"),
            ("dispute rejected", "S-000001, 20.00 USD"),
            ("dispute opened", "S-000001, 10.00 USD"),
            ("dispute withdrawn", "S-000001, 10.00 USD"),
            ("dispute opened", "S-000001, 5.00 USD"),
            ("dispute credited", "S-000001, 5.00 USD"),
        ]
    )


# --- Pages ------------------------------------------------------------------------------------------------------------
def post(client, path, **form):
    return client.post(path, {"once": "t1", **form})


@pytest.fixture
def line(books):
    return lines_of(books.statement).earliest("pk")


@pytest.fixture
def others_line(books):
    return lines_of(books.others).earliest("pk")


def test_a_client_opens_and_withdraws_a_dispute(books, line, dora, sign_in):
    client = sign_in(dora)
    path = f"/statements/{books.statement.pk}/lines/{line.pk}/dispute/"
    assert path in client.get(f"/statements/{books.statement.pk}/").content.decode()
    assert client.get(path).status_code == 200
    answer = post(client, path, reason="I did not copy this")
    again = post(client, path, reason="I did not copy this")  # a double click
    dispute = Dispute.objects.get()
    assert answer.headers["Location"] == again.headers["Location"] == f"/disputes/{dispute.pk}/"
    page = client.get(f"/disputes/{dispute.pk}/").content.decode()
    assert "I did not copy this" in page
    assert "Reject" not in page
    assert "in dispute" in client.get(f"/statements/{books.statement.pk}/").content.decode()
    assert post(client, f"/disputes/{dispute.pk}/withdraw/").status_code == 302
    dispute.refresh_from_db()
    assert (dispute.state, dispute.events.latest("pk").by) == ("withdrawn", dora)


def test_an_empty_reason_opens_nothing(books, line, dora, sign_in):
    answer = post(sign_in(dora), f"/statements/{books.statement.pk}/lines/{line.pk}/dispute/", reason=" ")
    assert (answer.status_code, Dispute.objects.count()) == (422, 0)


def test_who_may_open_a_dispute(books, line, others_line, sign_in, alice, bob, dora, charlie):
    own = f"/statements/{books.statement.pk}/lines/{line.pk}/dispute/"
    mixed = f"/statements/{books.statement.pk}/lines/{others_line.pk}/dispute/"
    foreign = f"/statements/{books.others.pk}/lines/{others_line.pk}/dispute/"
    people = (alice, books.manager, books.accountant, bob, dora, charlie)
    expected = {own: (200, 200, 200, 403, 200, 404), mixed: (404,) * 6, foreign: (200, 200, 200, 403, 404, 404)}
    for path, answers in expected.items():
        assert tuple(sign_in(person).get(path).status_code for person in people) == answers, path
        assert sign_in(None).get(path).status_code == 302
    for person, path in ((bob, own), (dora, foreign), (dora, mixed), (charlie, own)):
        assert post(sign_in(person), path, reason="no").status_code in (403, 404)
    assert not Dispute.objects.exists()


def test_who_may_answer_a_dispute(books, line, others_line, sign_in, alice, bob, dora, charlie):
    mine = open_dispute(books.statement, line, reason="no", by=dora, is_client=True, now=books.now)
    theirs = open_dispute(books.others, others_line, reason="no", by=alice, now=books.now)
    people = (alice, books.manager, books.accountant, bob, dora, charlie)
    for path, answers in {
        f"/disputes/{mine.pk}/": (200, 200, 200, 200, 200, 404),
        f"/disputes/{theirs.pk}/": (200, 200, 200, 200, 404, 404),
        "/commissions/disputes/": (200, 200, 200, 200, 404, 200),
    }.items():
        assert tuple(sign_in(person).get(path).status_code for person in people) == answers, path
    for act in ("reject", "credit"):
        form = {"reject-reason": "x", "reason": "x", "amount": "1"}
        answers = [post(sign_in(p), f"/disputes/{mine.pk}/{act}/", **form).status_code for p in (bob, dora, charlie)]
        assert answers == [403, 404, 404]
    for person, path in ((bob, mine), (dora, theirs), (charlie, mine)):
        assert post(sign_in(person), f"/disputes/{path.pk}/withdraw/").status_code in (403, 404)
    assert Dispute.objects.open().count() == 2
    assert "Subscriber" not in sign_in(charlie).get("/commissions/disputes/?format=csv").getvalue().decode()


def test_a_manager_answers_and_a_second_one_is_told(books, line, sign_in):
    dispute = open_dispute(books.statement, line, reason="no", now=books.now)
    before = balance_of(books.statement)
    answer = post(sign_in(books.manager), f"/disputes/{dispute.pk}/credit/", amount="1.50", reason="half of it")
    assert answer.status_code == 302
    late = sign_in(books.accountant).post(
        f"/disputes/{dispute.pk}/credit/", {"once": "t1", "amount": "1.50", "reason": "half of it"}, follow=True
    )
    assert "ended already: credited by Frank" in late.content.decode()
    again = sign_in(books.accountant).post(
        f"/disputes/{dispute.pk}/reject/", {"once": "t2", "reject-reason": "no"}, follow=True
    )
    assert "ended already" in again.content.decode()
    assert balance_of(books.statement) == before - Decimal("1.50")
    page = sign_in(books.manager).get(f"/disputes/{dispute.pk}/").content.decode()
    assert "C-000001" in page


def test_debt_and_overview_show_what_is_in_dispute_apart(books, line, sign_in, alice):
    past = books.now.date() - timedelta(days=40)
    void_statement(books.statement, reason="to be paid earlier", now=books.now)
    (statement,) = issue_statements(books.workspace, until=books.now, due_on=past, now=books.now)
    client, account = sign_in(alice), books.hers.backend_id
    owed = balance_of(statement)

    def row_of():
        rows = rows_of(client.get("/commissions/debt/?format=csv").getvalue().decode("utf-8-sig"))
        row = next(row for row in rows if row["subscriber_id"] == account)
        return [Decimal(row[key]) for key in ("owed", "overdue", "overdue_30", "overdue_60", "disputed")]

    assert row_of() == [owed, owed, 0, owed, 0]
    dispute = open_dispute(statement, line, reason="no", now=books.now)
    frozen = min(dispute.amount, owed)
    assert row_of() == [owed, owed - frozen, 0, owed - frozen, frozen]
    assert "In dispute" in client.get("/commissions/debt/").content.decode()
    texts = [f"{one.title} {one.rest}" for one in attention(alice.memberships.get(), now=books.now).lines]
    assert "1 dispute waits for an answer" in texts
    reject_dispute(dispute, reason="it is right", now=books.now)
    assert row_of() == [owed, owed, 0, owed, 0]
