"""Documents by mail: one, a run, again, refused, reminders once each; who may, and what strangers see."""

import threading
from datetime import timedelta

import pytest
from django.core import mail as outgoing
from django.db import connection, connections
from django.utils import timezone

from reporting.attention import attention
from reporting.commission import mailing
from reporting.commission.credit_notes import issue_credit_note, void_statement
from reporting.commission.mailing import RunSending, remind_all, remind_workspace, send_document, send_run
from reporting.commission.payments import record_payment
from reporting.commission.statements import issue_statements
from reporting.models import BillingIdentity, ClientRecord, StatementMail
from subscribers.models import SubscriberAccess
from tests import builders
from tests.firm import D, Firm
from tests.integration.reporting.test_documents import ISSUED, MAY, closed_firm, earn, issue
from tests.pdf_reader import pdf_text
from users import sending
from users.models import AuditEntry, Mail, MailState
from users.sending import CannotMail, SendingRefusal, send_due

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def firm_with_statement(email="dora@example.com", due=0, **identity):
    """A firm with a statement of 20 USD that is due in so many days from today, and a client with an address."""
    firm = closed_firm(**{"name": "Alpine", "bank_details": "IBAN X", **identity})
    if email:
        ClientRecord.objects.create(subscriber=firm.subscriber, name="Dora Maar", email=email)
    day = timezone.now().date() + timedelta(days=due)
    (firm.statement,) = issue_statements(firm.workspace, until=MAY, due_on=day, now=ISSUED, accepts_old_rates=True)
    return firm


def dated(statement, due):
    """As if the day to pay by were another: the database refuses to change documents, but for this."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE reporting_statement SET due_on = %s WHERE id = %s",
            [timezone.now().date() + timedelta(days=due), statement.pk],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
    statement.refresh_from_db()
    return statement


def send(firm, **more):
    return send_document(firm.statement, now=timezone.now() - timedelta(seconds=1), **more)


# --- One document -----------------------------------------------------------------------------------------------------
def test_a_statement_is_mailed_as_it_is_when_it_is_sent():
    firm = firm_with_statement(reply_to="office@example.com")
    send(firm)
    record_payment(
        firm.workspace,
        firm.account,
        amount=D(5),
        currency="USD",
        received_on=NOW.date(),
        now=NOW,
        statement=firm.statement,
        accepts_old_rate=True,
    )
    assert send_due() == 1
    (message,) = outgoing.outbox
    assert message.to == ["dora@example.com"]
    assert message.from_email.startswith("Alpine <")
    assert message.reply_to == ["office@example.com"]
    assert message.subject == "Statement S-000001 of Alpine"
    assert "Dear Dora Maar," in message.body
    assert "please pay 20.00 USD by" in message.body
    assert "IBAN X" in message.body
    ((name, content, media_type),) = message.attachments
    assert (name, media_type) == ("S-000001.pdf", "application/pdf")
    assert "S-000001" in pdf_text(content)
    assert "Payment" in pdf_text(content)


def test_a_credit_note_is_mailed_too():
    firm = firm_with_statement()
    note = issue_credit_note(firm.statement, amount=D(3), reason="Kindness", now=NOW, accepts_old_rate=True)
    send_document(note, now=NOW - timedelta(seconds=1))
    send_due()
    (message,) = outgoing.outbox
    assert "takes 3.00 USD off S-000001" in message.body
    assert message.attachments[0][0] == "C-000001.pdf"


@pytest.mark.parametrize(
    ("email", "is_void", "words"),
    [("", False, "has no e-mail address"), ("dora@example.com", True, "is void")],
)
def test_what_cannot_be_mailed_says_why(email, is_void, words):
    firm = firm_with_statement(email)
    if is_void:
        void_statement(firm.statement, reason="Mistake", now=NOW)
    with pytest.raises(CannotMail, match=words):
        send(firm)
    assert not Mail.objects.exists()


def test_a_second_click_finds_the_first_ones_mail_and_later_it_may_be_sent_again():
    firm = firm_with_statement()
    send(firm)
    with pytest.raises(CannotMail, match="waits to be sent already"):
        send(firm)
    send_due()
    ClientRecord.objects.update(email="new@example.com")
    send(firm)
    send_due()
    assert [message.to for message in outgoing.outbox] == [["dora@example.com"], ["new@example.com"]]


def test_a_statement_that_is_voided_meanwhile_is_not_sent():
    firm = firm_with_statement()
    mail = send(firm)
    void_statement(firm.statement, reason="Mistake", now=NOW)
    send_due()
    mail.refresh_from_db()
    assert mail.state == MailState.WITHDRAWN
    assert "voided" in mail.refusal
    assert outgoing.outbox == []


@pytest.mark.django_db(transaction=True)
def test_two_people_who_send_at_once_send_one_mail():
    firm = firm_with_statement()
    together, outcomes = threading.Barrier(2), []

    def click():
        try:
            together.wait(10)
            outcomes.append(type(send(firm)).__name__)
        except CannotMail as error:
            outcomes.append(error.text)
        finally:
            connections.close_all()

    clicks = [threading.Thread(target=click) for _ in range(2)]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join(30)
    assert sorted(outcomes) == ["A mail with S-000001 waits to be sent already.", "Mail"]
    assert Mail.objects.count() == 1


# --- A run ------------------------------------------------------------------------------------------------------------
def test_a_run_is_sent_once_and_says_who_has_no_address():
    firm = Firm()
    others = [builders.subscriber(firm.connection, name=f"Other {number}", currency="USD") for number in range(2)]
    for other in others:
        firm.deal(MAY - timedelta(days=3), 100, subscriber=other)
    earn(firm, 100)
    ClientRecord.objects.create(subscriber=firm.subscriber, email="a@example.com")
    ClientRecord.objects.create(subscriber=others[0], email="b@example.com")
    numbers = [statement.pk for statement in issue(firm)]
    count = len(numbers)
    strangers = firm_with_statement().statement
    first = send_run(firm.workspace, [*numbers, strangers.pk], now=NOW)
    assert (count, first) == (3, RunSending(queued=2, without_address=1, left_out=0))
    assert send_run(firm.workspace, numbers, now=NOW) == RunSending(queued=0, without_address=1, left_out=2)
    assert not StatementMail.objects.filter(statement=strangers).exists()
    send_due()
    assert sorted(message.to for message in outgoing.outbox) == [["a@example.com"], ["b@example.com"]]


def test_what_a_server_refused_is_sent_with_the_run_again(monkeypatch):
    firm = firm_with_statement()
    monkeypatch.setattr(sending, "hand_over", lambda message: SendingRefusal("550 no", is_final=True))
    assert send_run(firm.workspace, [firm.statement.pk], now=NOW).queued == 1
    send_due()
    assert send_run(firm.workspace, [firm.statement.pk], now=NOW).queued == 1


# --- Reminders --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("days", "schedule", "step"),
    [
        (0, [1, 3], None),
        (1, [1, 3], 1),
        (2, [1, 3], 1),
        (3, [1, 3], 3),
        (400, [1, 3], 3),
        (2, [3], None),
        (3, [3], 3),
        (5, [], None),
    ],
)
def test_the_latest_step_that_is_reached_is_used_once(days, schedule, step):
    firm = firm_with_statement(due=-days, reminder_days=schedule)
    assert remind_all(timezone.now()) == (step is not None)
    assert remind_all(timezone.now()) == 0
    assert list(StatementMail.objects.values_list("reminder_days", flat=True)) == ([step] if step else [])
    if step:
        send_due()
        assert outgoing.outbox[0].subject == "Reminder: statement S-000001 of Alpine is overdue"
        assert "20.00 USD are still open" in outgoing.outbox[0].body
        assert AuditEntry.objects.filter(workspace=firm.workspace, action="reminders mailed", user=None).count() == 1


def test_trouble_with_the_books_of_one_firm_keeps_no_other_from_being_reminded(monkeypatch):
    firms = [firm_with_statement(due=-3, reminder_days=[3]) for _ in range(2)]

    def remind(workspace, *, now):
        assert workspace != firms[0].workspace, "its books cannot be read"
        return remind_workspace(workspace, now=now)

    monkeypatch.setattr(mailing, "remind_workspace", remind)
    assert remind_all(timezone.now()) == 1
    assert StatementMail.objects.get().statement == firms[1].statement


def test_each_step_of_a_schedule_comes_in_its_time():
    firm = firm_with_statement(due=-3, reminder_days=[3, 14])
    steps = []
    for days in (3, 13, 14, 30):
        dated(firm.statement, -days)
        remind_workspace(firm.workspace, now=timezone.now())
        steps.append(sorted(StatementMail.objects.values_list("reminder_days", flat=True)))
    assert steps == [[3], [3], [3, 14], [3, 14]]


@pytest.mark.parametrize("event", ["paid", "void", "nothing"])
def test_nobody_is_reminded_of_what_is_settled_before_the_mail_leaves(event):
    firm = firm_with_statement(due=-3, reminder_days=[3])
    remind_all(timezone.now())
    if event == "paid":
        record_payment(
            firm.workspace,
            firm.account,
            amount=D(20),
            currency="USD",
            received_on=NOW.date(),
            now=NOW,
            accepts_old_rate=True,
        )
    elif event == "void":
        void_statement(firm.statement, reason="Mistake", now=NOW)
    send_due()
    assert len(outgoing.outbox) == (event == "nothing")


@pytest.mark.parametrize(("email", "is_set_up"), [("", True), ("dora@example.com", False)])
def test_nobody_is_reminded_without_an_address_or_a_mail_server(email, is_set_up, settings):
    firm_with_statement(email, due=-3, reminder_days=[3])
    settings.MAIL_IS_SET_UP = is_set_up
    assert remind_all(timezone.now()) == 0
    assert not StatementMail.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_remind_at_once_remind_once():
    firm_with_statement(due=-3, reminder_days=[3])
    together, counts = threading.Barrier(2), []

    def work():
        try:
            together.wait(10)
            counts.append(remind_all(timezone.now()))
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert sorted(counts) == [0, 1]


# --- Pages ------------------------------------------------------------------------------------------------------------
def people_of(firm):
    roles = ("owner", "manager", "accountant", "viewer", "subscriber")
    return {role: builders.member(firm.workspace, f"p-{role}", role) for role in roles}


def test_who_may_send_and_who_may_look(sign_in, charlie):
    firm = firm_with_statement()
    people = people_of(firm) | {"stranger": charlie, "nobody": None}
    mail = send(firm)
    send_due()
    looks = {
        "/commissions/mail/": {"stranger": 200},
        f"/commissions/mail/{mail.pk}/": {},
        "/commissions/runs/": {"stranger": 200},
        f"/commissions/runs/{firm.statement.pk}/": {},
    }
    for path, others in looks.items():
        for who, person in people.items():
            expected = 200 if who in ("owner", "manager", "accountant", "viewer") else others.get(who, 404)
            answer = sign_in(person).get(path)
            assert answer.status_code == (302 if person is None else expected), (path, who)
            if who == "stranger":
                assert b"S-000001" not in answer.content
    for path in (f"/statements/{firm.statement.pk}/send/", f"/commissions/runs/{firm.statement.pk}/send/"):
        for who, person in people.items():
            status = sign_in(person).post(path).status_code
            expected = {"viewer": 403, "subscriber": 404, "stranger": 404}.get(who, 302)
            assert status == expected, (path, who)
    # each of the three who bill sent it once more, but for those whose mail waited; nothing of anybody else's click
    assert Mail.objects.filter(queued_by=people["viewer"]).count() == 0
    assert Mail.objects.count() == 2


def test_a_form_that_is_sent_twice_sends_one_mail(sign_in):
    firm = firm_with_statement()
    http = sign_in(people_of(firm)["accountant"])
    for _ in range(2):
        http.post(f"/statements/{firm.statement.pk}/send/", {"once": "abc"})
        send_due()
    assert len(outgoing.outbox) == 1


def test_a_client_sees_nothing_of_the_mails(sign_in):
    firm = firm_with_statement()
    send(firm)
    dora = builders.member(firm.workspace, "dora2", "subscriber")
    SubscriberAccess.objects.create(membership=dora.memberships.get(), subscriber=firm.subscriber)
    page = sign_in(dora).get(f"/statements/{firm.statement.pk}/").content.decode()
    assert "Mail to the client" not in page
    assert (
        "Mail to the client"
        in sign_in(people_of(firm)["viewer"]).get(f"/statements/{firm.statement.pk}/").content.decode()
    )


def test_a_refusal_is_shown_where_one_looks_for_it(sign_in, monkeypatch):
    firm = firm_with_statement()
    owner = people_of(firm)["owner"]
    monkeypatch.setattr(sending, "hand_over", lambda message: SendingRefusal("550 no such user", is_final=True))
    send(firm)
    send_due()
    http = sign_in(owner)
    pages = (f"/statements/{firm.statement.pk}/", "/commissions/mail/", f"/commissions/mail/{Mail.objects.get().pk}/")
    for path in pages:
        assert "550 no such user" in http.get(path).content.decode(), path
    lines = attention(owner.memberships.get(), now=timezone.now()).lines
    assert [line.note for line in lines if line.title == "Mail with S-000001"] == ["550 no such user"]
    monkeypatch.undo()
    send(firm)
    send_due()
    lines = attention(owner.memberships.get(), now=timezone.now()).lines
    assert [line for line in lines if line.title.startswith("Mail with")] == []


def test_without_a_mail_server_pages_say_so_and_offer_the_download(sign_in, settings):
    firm = firm_with_statement()
    settings.MAIL_IS_SET_UP = False
    http = sign_in(people_of(firm)["owner"])
    for path in (f"/statements/{firm.statement.pk}/", "/commissions/mail/", f"/commissions/runs/{firm.statement.pk}/"):
        page = http.get(path).content.decode()
        assert "No mail server is set up" in page, path
        assert "/send/" not in page
    assert http.post(f"/statements/{firm.statement.pk}/send/").status_code == 302
    assert not Mail.objects.exists()


def test_the_schedule_of_reminders_is_set_under_billing(sign_in):
    firm = firm_with_statement()
    http = sign_in(people_of(firm)["accountant"])
    form = {"statement_prefix": "S-", "credit_note_prefix": "C-", "tax_kind": "none", "tax_name": "VAT"}
    for text, days in (("14, 3, 3", [3, 14]), ("1", [1]), ("365", [365]), ("", [])):
        assert http.post("/settings/billing/", form | {"reminder_text": text}).status_code == 302
        assert BillingIdentity.objects.get().reminder_days == days
    for text in ("0", "366", "-1", "three", "1,2,3,4,5,6,7", "1.5"):
        assert http.post("/settings/billing/", form | {"reminder_text": text}).status_code == 422, text
