"""Events against a program on loopback: signed, again after failures, one address harms no other, nothing twice."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from tests import builders
from users import event_sending, members
from users.event_sending import DELAYS, MOST_ATTEMPTS, SWITCHED_OFF_AFTER, deliver_due, post, signature
from users.events import EventDelivery, EventEndpoint, PortalEvent, emit, new_secret
from users.models import AuditEntry, Mail

pytestmark = pytest.mark.django_db


class Receiver:
    """A program that is told of events. answer: what it does with a request."""

    def __init__(self, answer) -> None:
        self.received: list[tuple[dict, bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
                answer(self)

            do_GET = do_POST

            def log_message(self, *args) -> None:
                """Nothing on the screen."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/events"


def status(code: int, **headers: str):
    def answer(handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", "0")
        handler.end_headers()

    return answer


@contextmanager
def receiving(answer):
    receiver = Receiver(answer)
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join(30)


@pytest.fixture
def receiver(settings):
    """A function that begins a receiver which the installation allows."""
    opened = []

    def begin(answer=None) -> Receiver:
        context = receiving(answer or status(200))
        made = context.__enter__()
        opened.append(context)
        settings.PRIVATE_EVENT_ADDRESSES = [*settings.PRIVATE_EVENT_ADDRESSES, made.url]
        return made

    yield begin
    for context in opened:
        context.__exit__(None, None, None)


def endpoint(workspace, url: str, **fields) -> EventEndpoint:
    given = {"name": "Accounting", "secret": new_secret(), "created_at": timezone.now()}
    return EventEndpoint.objects.create(workspace=workspace, url=url, **given | fields)


def tell(workspace, kind="payment.recorded", *, key="", **data) -> PortalEvent | None:
    now = timezone.now() - timedelta(seconds=1)
    return emit(workspace.pk, kind, data or {"amount": "1.00"}, now=now, key=key)


def again() -> None:
    """The time of the next attempt has come."""
    EventDelivery.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    EventEndpoint.objects.update(paused_until=None)


def states() -> list[str]:
    return list(EventDelivery.objects.order_by("pk").values_list("state", flat=True))


# --- Signed, once -----------------------------------------------------------------------------------------------------
def test_an_event_is_told_once_and_signed_as_standard_webhooks_asks(workspace, receiver):
    program = receiver()
    address = endpoint(workspace, program.url)
    event = tell(workspace, amount="12.50")
    assert deliver_due() == 1
    assert deliver_due() == 0
    ((headers, body),) = program.received
    assert headers["webhook-id"] == str(event.pk)
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    key = base64.b64decode(address.secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    told = json.loads(body)
    assert (told["type"], told["data"]) == ("payment.recorded", {"amount": "12.50"})
    address.refresh_from_db()
    assert address.succeeded_at is not None


def test_the_signature_of_the_specification():
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = '{"test": 2432232314}'
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_an_event_goes_out_only_with_what_caused_it(workspace, receiver):
    endpoint(workspace, receiver().url)
    with transaction.atomic():
        tell(workspace)
        transaction.set_rollback(True)
    assert not PortalEvent.objects.exists()


@pytest.mark.parametrize(
    ("kinds", "is_enabled", "count"),
    [([], True, 1), (["payment.recorded"], True, 1), (["member.left"], True, 0), ([], False, 0)],
)
def test_an_address_is_told_what_it_wants(workspace, kinds, is_enabled, count):
    endpoint(workspace, "https://example.com", kinds=kinds, is_enabled=is_enabled)
    tell(workspace)
    assert (PortalEvent.objects.count(), EventDelivery.objects.count()) == (count, count)


def test_the_same_cause_is_told_once(workspace):
    endpoint(workspace, "https://example.com")
    assert tell(workspace, key="overdue:1") is not None
    assert tell(workspace, key="overdue:1") is None
    assert tell(workspace, key="overdue:2") is not None
    assert EventDelivery.objects.count() == 2


def test_other_workspaces_are_not_told(workspace, charlie, receiver):
    program = receiver()
    endpoint(charlie.memberships.get().workspace, program.url)
    assert tell(workspace) is None
    deliver_due()
    assert program.received == []


# --- Failures ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("code", [302, 400, 404, 429, 500, 503])
def test_what_is_not_taken_is_sent_again_later_with_the_same_id(workspace, receiver, code):
    answers = [status(code, location="http://127.0.0.1:9/"), status(204)]
    program = receiver(lambda handler: answers.pop(0)(handler))
    address = endpoint(workspace, program.url)
    event = tell(workspace)
    before = timezone.now()
    assert deliver_due() == 0
    delivery = EventDelivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.status) == ("queued", 1, code)
    assert before + DELAYS[0] <= delivery.due_at <= timezone.now() + DELAYS[0]
    assert deliver_due() == 0
    assert len(program.received) == 1, "it waits"
    address.refresh_from_db()
    assert address.failing_since is not None
    again()
    assert deliver_due() == 1
    assert [headers["webhook-id"] for headers, _ in program.received] == [str(event.pk)] * 2
    assert program.received[0][1] == program.received[1][1]
    address.refresh_from_db()
    assert address.failing_since is None


def test_back_off_lasts_for_days_and_ends(workspace, receiver):
    program = receiver(status(500))
    endpoint(workspace, program.url)
    tell(workspace)
    for number in range(1, MOST_ATTEMPTS + 1):
        assert states() == ["queued"], number
        again()
        deliver_due()
    assert states() == ["given-up"]
    assert len(program.received) == MOST_ATTEMPTS
    assert sum(DELAYS, timedelta()) > timedelta(days=2)
    again()
    deliver_due()
    assert len(program.received) == MOST_ATTEMPTS


def hang(handler) -> None:
    """Answers a byte at a time, for longer than anybody waits."""
    with_data = b"HTTP/1.1 200 OK\r\nx-slow: " + b"x" * 4000
    for number in range(len(with_data)):
        try:
            handler.wfile.write(with_data[number : number + 1])
            handler.wfile.flush()
        except OSError:
            return
        time.sleep(0.05)


def huge(handler) -> None:
    """A success with a gigabyte behind it, which nobody reads."""
    handler.send_response(200)
    handler.send_header("content-length", str(2**30))
    handler.end_headers()
    try:
        for _ in range(2**10):
            handler.wfile.write(b"x" * 2**20)
    except OSError:
        return


def test_a_program_that_hangs_is_left_after_a_time_and_harms_nobody_else(workspace, charlie, receiver):
    slow, good = receiver(hang), receiver()
    theirs = charlie.memberships.get().workspace
    endpoint(workspace, slow.url)
    endpoint(theirs, good.url)
    for _ in range(3):
        tell(workspace)
        tell(theirs)
    begun = time.monotonic()
    assert deliver_due(seconds=0.5) == 3
    assert len(slow.received) == 1, "one attempt, then it is left in peace"
    assert len(good.received) == 3
    assert time.monotonic() - begun < 20
    assert EventDelivery.objects.get(attempts=1, state="queued").refusal == "It did not answer within 0.5 seconds."


def test_of_a_huge_answer_nothing_is_read(workspace, receiver):
    program = receiver(huge)
    endpoint(workspace, program.url)
    tell(workspace)
    begun = time.monotonic()
    assert deliver_due() == 1
    assert time.monotonic() - begun < 9


def test_a_private_address_is_not_reached(workspace, receiver, settings):
    program = receiver()
    settings.PRIVATE_EVENT_ADDRESSES = []
    for url in (
        program.url,
        program.url.replace("127.0.0.1", "localhost"),
        "http://127.0.0.1:9/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:127.0.0.1]:9/",
    ):
        endpoint(workspace, url)
    tell(workspace)
    assert deliver_due() == 0
    assert program.received == []
    assert len(set(EventDelivery.objects.values_list("refusal", flat=True))) == 1, "which of them exists is not told"


def test_a_redirect_into_the_own_network_is_not_followed(workspace, receiver, settings):
    inner = receiver()
    outer = receiver(status(307, location=inner.url))
    endpoint(workspace, outer.url)
    tell(workspace)
    assert deliver_due() == 0
    assert inner.received == []


# --- Switching off ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("margin_s", "is_off"), [(-5, False), (5, True)])
def test_an_address_that_fails_for_days_is_switched_off_with_a_notice(
    workspace, alice, receiver, settings, margin_s, is_off
):
    settings.MAIL_IS_SET_UP = True
    address = endpoint(workspace, receiver(status(500)).url)
    since = timezone.now() - SWITCHED_OFF_AFTER - timedelta(seconds=margin_s)
    EventEndpoint.objects.update(failing_since=since)
    tell(workspace)
    tell(workspace)
    deliver_due()
    address.refresh_from_db()
    assert address.is_enabled is not is_off
    assert AuditEntry.objects.filter(action="event address switched off").exists() is is_off
    assert Mail.objects.filter(recipient="alice@example.com", kind="endpoint-off").exists() is is_off
    if is_off:
        assert states() == ["withdrawn", "withdrawn"]
        assert tell(workspace) is None


def test_an_address_that_says_it_is_gone_is_switched_off_at_once(workspace, receiver):
    address = endpoint(workspace, receiver(status(410)).url)
    tell(workspace)
    deliver_due()
    address.refresh_from_db()
    assert not address.is_enabled


def test_what_a_dead_worker_held_is_sent_by_another(workspace, receiver):
    program = receiver()
    address = endpoint(workspace, program.url)
    tell(workspace)
    assert event_sending.claim(address.pk) is not None
    assert deliver_due() == 0, "somebody has it"
    with database.cursor() as cursor:
        cursor.execute("UPDATE users_eventdelivery SET lease_until = now() - interval '1 second'")
    assert deliver_due() == 1


def test_an_answer_that_comes_after_the_lease_changes_nothing(workspace, receiver):
    address = endpoint(workspace, receiver(status(500)).url)
    tell(workspace)
    late = event_sending.claim(address.pk)
    EventDelivery.objects.update(lease_token=None, state="delivered")
    event_sending.attempt(late)
    assert states() == ["delivered"]


def test_secrets_are_sealed_and_told_nowhere(workspace, receiver, caplog):
    address = endpoint(workspace, receiver().url)
    with database.cursor() as cursor:
        cursor.execute("SELECT string_agg(e::text, '') FROM users_eventendpoint e")
        assert address.secret not in cursor.fetchone()[0]
    tell(workspace)
    deliver_due()
    assert address.secret not in caplog.text
    assert post(address, PortalEvent.objects.get(), now=timezone.now()).is_taken


# --- What is told -----------------------------------------------------------------------------------------------------
def test_members_who_join_and_leave_are_told(workspace, alice, bob):
    endpoint(workspace, "https://example.com")
    now = timezone.now()
    invited = members.create_invitation(workspace, email="new@example.com", role="viewer", by=alice, now=now)
    user = members.create_person(invited.invitation, name="New", password=builders.PASSWORD)
    membership = members.accept_invitation(invited.invitation, user, now=now)
    members.remove_member(membership, by=alice, now=now)
    told = [
        (event.kind, json.loads(event.body)["data"]) for event in PortalEvent.objects.order_by("occurred_at", "kind")
    ]
    assert [kind for kind, _ in told] == ["member.joined", "member.left"]
    assert told[0][1] == {"email": "new@example.com", "name": "New", "role": "viewer"}


# --- Pages ------------------------------------------------------------------------------------------------------------
PAGE = "/settings/events/"


def test_a_manager_enters_an_address_and_sees_the_secret_once(sign_in, alice, workspace):
    http = sign_in(alice)
    form = {"name": "Accounting", "url": "https://example.com/events", "kinds": ["payment.recorded"]}
    answer = http.post(f"{PAGE}new/", form)
    assert answer.status_code == 201
    address = EventEndpoint.objects.get()
    assert address.secret in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    for path in (PAGE, f"{PAGE}{address.pk}/", f"{PAGE}{address.pk}/edit/"):
        page = http.get(path).content.decode()
        assert "Accounting" in page
        assert address.secret not in page
    old = address.secret
    answer = http.post(f"{PAGE}{address.pk}/secret/")
    address.refresh_from_db()
    assert address.secret != old
    assert address.secret in answer.content.decode()
    actions = AuditEntry.objects.filter(subject="Accounting").values_list("action", flat=True)
    assert set(actions) == {"event address added", "event address got another secret"}
    assert not any(address.secret in str(entry.details) for entry in AuditEntry.objects.all())
    http.post(f"{PAGE}{address.pk}/remove/")
    assert not EventEndpoint.objects.exists()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com",
        "example.com",
        "http://example.com",
        "https://a:b@example.com",
        "https://",
        "https://x:99999/",
        "https://exa mple.com",
        "javascript:alert(1)",
        "http://127.0.0.1:8001/",
    ],
)
def test_addresses_that_are_none_are_refused(sign_in, alice, url):
    assert sign_in(alice).post(f"{PAGE}new/", {"name": "x", "url": url}).status_code == 422
    assert not EventEndpoint.objects.exists()


def test_a_test_is_sent_and_an_event_is_sent_again(sign_in, alice, workspace, receiver):
    program = receiver()
    address = endpoint(workspace, program.url, kinds=["member.left"])
    http = sign_in(alice)
    http.post(f"{PAGE}{address.pk}/test/")
    deliver_due()
    assert json.loads(program.received[0][1])["type"] == "endpoint.test"
    delivery = EventDelivery.objects.get()
    assert "endpoint.test" in http.get(f"{PAGE}{address.pk}/").content.decode()
    assert "asked_by" in http.get(f"{PAGE}deliveries/{delivery.pk}/").content.decode()
    http.post(f"{PAGE}deliveries/{delivery.pk}/again/")
    noted = AuditEntry.objects.get(action="event sent again")
    assert (noted.user, noted.subject) == (alice, address.name)
    assert noted.details == {"event": "endpoint.test", "id": str(delivery.event_id), "before": "delivered"}
    deliver_due()
    assert program.received[0][0]["webhook-id"] == program.received[1][0]["webhook-id"]
    file = b"".join(http.get(f"{PAGE}{address.pk}/?format=csv").streaming_content).decode()
    assert f"endpoint.test,{delivery.event_id},delivered,1,200," in file


def test_who_may(sign_in, alice, bob, charlie, dora, workspace):
    address = endpoint(workspace, "https://example.com")
    tell(workspace)
    delivery = EventDelivery.objects.get()
    reads = (f"{PAGE}{address.pk}/", f"{PAGE}deliveries/{delivery.pk}/")
    writes = (
        f"{PAGE}{address.pk}/edit/",
        f"{PAGE}{address.pk}/secret/",
        f"{PAGE}{address.pk}/test/",
        f"{PAGE}{address.pk}/remove/",
        f"{PAGE}deliveries/{delivery.pk}/again/",
    )
    for who, read, write in ((bob, 200, 403), (dora, 404, 404), (charlie, 404, 404)):
        http = sign_in(who)
        assert {http.get(path).status_code for path in reads} == {read}
        assert {http.post(path, {"name": "x", "url": "https://x.example"}).status_code for path in writes} == {write}
    assert EventEndpoint.objects.get().name == "Accounting"
    assert states() == ["queued"]


def test_switching_on_again_begins_anew(sign_in, alice, workspace):
    address = endpoint(
        workspace,
        "https://example.com",
        is_enabled=False,
        disabled_at=timezone.now(),
        failing_since=timezone.now() - timedelta(days=9),
    )
    form = {"name": "Accounting", "url": "https://example.com", "is_enabled": "on"}
    sign_in(alice).post(f"{PAGE}{address.pk}/edit/", form)
    address.refresh_from_db()
    assert (address.is_enabled, address.disabled_at, address.failing_since) == (True, None, None)
