"""The outbox against a mail server on loopback: taken, refused, silent; two workers at once, and one that dies."""

import email
import threading
from datetime import timedelta
from email import policy

import pytest
from django.core.mail import EmailMessage
from django.db import connection as database
from django.db import connections, transaction
from django.utils import timezone

from tests import builders
from tests.smtp_server import HANG_UP, SILENT, MailServer, unused_port
from users import sending
from users.models import Mail, MailState
from users.sending import Attachment, CannotMail, MailKind, queue_mail, register_kind, send_due

pytestmark = pytest.mark.django_db
KIND = register_kind(MailKind("test", "Test"))


def queue(workspace, recipient="dora@example.com", **more):
    values = {"kind": KIND, "subject": "Hello", "text": "Text\n", "now": timezone.now() - timedelta(seconds=1)}
    return queue_mail(workspace, recipient=recipient, **values | more)


@pytest.fixture
def served(settings):
    """A function that has mails sent to a server."""

    def use(server):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", getattr(server, "port", server)
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_TIMEOUT = 0.3
        return server

    return use


def again():
    """The time of the next attempt has come."""
    Mail.objects.update(due_at=timezone.now() - timedelta(seconds=1))


def parsed(text):
    return email.message_from_bytes(text.rpartition(b"\r\n.\r\n")[0], policy=policy.default)


def test_a_mail_is_taken_once_with_its_files(workspace, served):
    files = MailKind("with-file", "With a file", lambda mail: [Attachment("ä.pdf", b"%PDF", "application/pdf")])
    mail = queue(
        workspace,
        kind=register_kind(files),
        subject="Two\r\nlines: x",
        sender_name="Fírm, Ltd",
        reply_to="office@example.com",
    )
    with MailServer() as server:
        served(server)
        assert send_due() == 1
        assert send_due() == 0
    (text,) = server.texts
    message = parsed(text)
    assert message["subject"] == "Two lines: x"
    assert message["to"] == "dora@example.com"
    assert message["from"].addresses[0].display_name == "Fírm, Ltd"
    assert message["reply-to"] == "office@example.com"
    assert message["message-id"] == mail.message_id
    assert [part.get_filename() for part in message.iter_attachments()] == ["ä.pdf"]
    mail.refresh_from_db()
    assert (mail.state, mail.attempts, mail.refusal, mail.may_be_double) == (MailState.SENT, 1, "", False)
    assert mail.settled_at
    assert mail.lease_token is None


REFUSED, QUEUED = MailState.REFUSED, MailState.QUEUED


@pytest.mark.parametrize(
    ("answers", "state", "words", "is_double"),
    [
        ({"rcpt": "550 5.1.1 no such user"}, REFUSED, "550 5.1.1 no such user", False),
        ({"rcpt": "499 not now"}, QUEUED, "499 not now", False),  # the last code before those for good
        ({"rcpt": "500 never"}, REFUSED, "500 never", False),
        ({"rcpt": "451 greylisted"}, QUEUED, "451 greylisted", False),
        ({"data": "554 looks like spam"}, REFUSED, "554 looks like spam", False),
        ({"data": "452 disk full"}, QUEUED, "452 disk full", False),
        ({"mail": "550 you may not send"}, QUEUED, "550 you may not send", False),  # ours to mend, not the mail's end
        ({"connect": "421 too busy"}, QUEUED, "421", False),
        ({"connect": SILENT}, QUEUED, "did not answer within", False),
        ({"rcpt": SILENT}, QUEUED, "did not answer within", False),
        ({"rcpt": HANG_UP}, QUEUED, "closed the connection", False),
        ({"data": SILENT}, QUEUED, "did not answer within", True),  # it has the text: nobody knows
        ({"data": HANG_UP}, QUEUED, "closed the connection", True),
    ],
)
def test_what_a_server_says_decides_what_becomes_of_a_mail(answers, state, words, is_double, workspace, served):
    mail = queue(workspace)
    with MailServer(**answers) as server:
        served(server)
        assert send_due() == 0
    mail.refresh_from_db()
    assert mail.state == state
    assert words in mail.refusal
    assert mail.may_be_double is is_double
    assert mail.lease_token is None
    if state == QUEUED:
        assert timedelta(seconds=50) < mail.due_at - timezone.now() < timedelta(seconds=61)


def test_a_server_that_is_away_is_asked_once_in_a_turn(workspace, served):
    mails = [queue(workspace) for _ in range(3)]
    served(unused_port())
    assert send_due() == 0
    assert sorted(Mail.objects.values_list("attempts", flat=True)) == [0, 0, 1]
    with MailServer() as server:
        served(server)
        again()
        assert send_due() == 3
    assert len({parsed(text)["message-id"] for text in server.texts}) == len(mails)


def test_one_refused_mail_stops_no_other(workspace, served):
    queue(workspace)
    other = queue(builders.workspace(name="Other"), "x@example.com")
    with MailServer(rcpt="550 no") as server:
        served(server)
        send_due()
        assert server.connections == 2
    other.refresh_from_db()
    assert other.state == REFUSED


def test_delays_grow_until_it_is_given_up(workspace, served):
    mail, delays = queue(workspace), []
    with MailServer(rcpt="451 later") as server:
        served(server)
        while True:
            send_due()
            mail.refresh_from_db()
            if mail.state != QUEUED:
                break
            delays.append(mail.due_at - timezone.now())
            again()
    assert mail.state == MailState.GIVEN_UP
    assert mail.attempts == sending.MOST_ATTEMPTS == len(delays) + 1
    assert delays == sorted(delays)
    assert "451 later" in mail.refusal


def test_nothing_is_sent_before_its_time(workspace, served):
    queue(workspace, now=timezone.now() + timedelta(seconds=30))
    with MailServer() as server:
        served(server)
        assert send_due() == 0
    assert server.connections == 0


def test_a_worker_that_dies_between_handing_over_and_noting(workspace, served, monkeypatch):
    """The mail is sent again after the lease, under the same Message-ID, and the row says so."""
    mail = queue(workspace)

    def die(*_, **__):
        raise SystemExit

    with MailServer() as server:
        served(server)
        monkeypatch.setattr(sending, "note_answer", die)
        with pytest.raises(SystemExit):
            send_due()
        monkeypatch.undo()
        assert send_due() == 0  # the lease is not over
        Mail.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        assert send_due() == 1
    first, second = (parsed(text)["message-id"] for text in server.texts)
    assert first == second == mail.message_id
    mail.refresh_from_db()
    assert (mail.state, mail.attempts, mail.may_be_double) == (MailState.SENT, 2, True)


def test_a_worker_that_was_only_stopped_hands_nothing_over(workspace, served, monkeypatch):
    mail, made = queue(workspace), sending.message_of

    def stopped(*arguments):  # its lease ends meanwhile, and another worker sends the mail
        Mail.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        monkeypatch.setattr(sending, "message_of", made)
        assert send_due() == 1
        return made(*arguments)

    monkeypatch.setattr(sending, "message_of", stopped)
    with MailServer() as server:
        served(server)
        send_due()
    assert len(server.texts) == 1
    mail.refresh_from_db()
    assert mail.state == MailState.SENT


def test_a_mail_that_ends_every_worker_is_given_up(workspace, served):
    mail = queue(workspace)
    Mail.objects.update(attempts=sending.MOST_ATTEMPTS, lease_token="0" * 32, lease_until=timezone.now())
    with MailServer() as server:
        served(server)
        send_due()
    assert server.connections == 0
    mail.refresh_from_db()
    assert mail.state == MailState.GIVEN_UP


@pytest.mark.parametrize("files", [lambda mail: 1 / 0, lambda mail: [Attachment("x", None, "not a type")]])
def test_an_attachment_that_cannot_be_made(files, workspace, served):
    mail = queue(workspace, kind=register_kind(MailKind("broken", "Broken", files)))
    other = queue(workspace)
    with MailServer() as server:
        served(server)
        assert send_due() == 1
    mail.refresh_from_db()
    assert (mail.state, mail.refusal) == (QUEUED, "It, or its attachment, could not be made.")
    other.refresh_from_db()
    assert other.state == MailState.SENT


def test_a_mail_that_cannot_be_looked_at_stops_no_other(workspace, served):
    """What it is about cannot be read, or nobody knows its kind any more."""
    broken = [
        queue(workspace, kind=register_kind(MailKind("unreadable", "Unreadable", unwanted=lambda mail: 1 / 0))),
        queue(workspace, kind=MailKind("of-no-app", "Of no app")),
    ]
    other = queue(builders.workspace("Another firm"))
    with MailServer() as server:
        served(server)
        assert send_due() == 1
    assert {Mail.objects.get(pk=mail.pk).state for mail in broken} == {QUEUED}
    assert Mail.objects.get(pk=other.pk).state == MailState.SENT


def test_a_mail_that_nobody_wants_any_more_is_withdrawn(workspace, served):
    mail = queue(workspace, kind=register_kind(MailKind("unwanted", "Unwanted", unwanted=lambda mail: "Paid.")))
    with MailServer() as server:
        served(server)
        assert send_due() == 0
    assert server.connections == 0
    mail.refresh_from_db()
    assert (mail.state, mail.refusal) == (MailState.WITHDRAWN, "Paid.")


@pytest.mark.parametrize("recipient", ["no address", "a@b\r\nBcc: c@d.example", "ü@ex\nample.com", ""])
def test_an_address_that_is_none_ends_the_mail_and_no_worker(recipient, workspace, served):
    mail, other = queue(workspace, recipient), queue(workspace)
    with MailServer(rcpt="250 fine") as server:
        served(server)
        send_due()
    other.refresh_from_db()
    assert other.state == MailState.SENT
    mail.refresh_from_db()
    assert all("c@d.example" not in str(parsed(text).get("bcc", "")) for text in server.texts)
    assert mail.state in (MailState.REFUSED, MailState.SENT)


def test_what_is_rolled_back_is_not_sent(workspace):
    def fail():
        with transaction.atomic():
            queue(workspace)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not Mail.objects.exists()


def test_without_a_mail_server_nothing_waits(workspace, settings):
    settings.MAIL_IS_SET_UP = False
    with pytest.raises(CannotMail, match="No mail server is set up"):
        queue(workspace)
    assert send_due() == 0


def test_turns_go_round_the_workspaces(workspace, monkeypatch):
    """A firm with many mails delays nobody by more than one of its own."""
    other = builders.workspace(name="Other")
    for number in range(3):
        queue(workspace, f"a{number}@example.com")
    queue(other, "b@example.com")
    order = []
    monkeypatch.setattr(sending, "hand_over", lambda message: order.append(message.to[0]))
    assert send_due() == 4
    assert order.index("b@example.com") <= 1


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_send_each_mail_once(workspace, monkeypatch):
    for number in range(12):
        queue(workspace, f"c{number}@example.com")
    sent, lock, together = [], threading.Lock(), threading.Barrier(4)

    def taken(message: EmailMessage):
        with lock:
            sent.append(message.to[0])

    def work():
        try:
            together.wait(10)
            send_due()
        finally:
            connections.close_all()

    monkeypatch.setattr(sending, "hand_over", taken)
    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert sorted(sent) == sorted({f"c{number}@example.com" for number in range(12)})
    assert set(Mail.objects.values_list("state", "attempts", "may_be_double")) == {("sent", 1, False)}
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM users_mail WHERE lease_token IS NOT NULL")
        assert cursor.fetchone() == (0,)
