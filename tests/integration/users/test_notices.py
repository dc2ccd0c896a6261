"""What people are told: each cause once and its end, packed, at their hours, by ways that work, and by stand-ins."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import connection as database
from django.utils import timezone

from tests import builders
from users import notice_sending
from users.models import AuditEntry, Mail, Membership
from users.notice_packing import MOST_AN_HOUR, MOST_NAMED, NO_ACCESS, forget_old, links_of, pack_due, why_unwanted
from users.notice_rules import KINDS
from users.notice_sending import (
    DELAYS,
    MOST_ATTEMPTS,
    SWITCHED_OFF_AFTER,
    claim,
    remove_targets,
    send_by_telegram,
    send_due,
    send_test,
)
from users.notice_telling import NoticeCause, begin_workspace, has_begun, take_up, tell_of_device
from users.notices import (
    Notice,
    NoticeChoice,
    NoticeMessage,
    NoticePart,
    NoticeTarget,
    TelegramBot,
)

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
STOPOUT = KINDS["stopout"]


def causes(*numbers: int, account: int | None = None) -> list[NoticeCause]:
    return [
        NoticeCause(f"stopout:{number}", f"Account {number} is stopped", NOW, account=account) for number in numbers
    ]


def member_of(user) -> Membership:
    return user.memberships.get()


def subjects(user=None) -> list[str]:
    own = NoticeMessage.objects.filter(**{"membership__user": user} if user else {}).order_by("pk")
    return list(own.values_list("subject", flat=True))


def look(workspace, *numbers: int, minutes: float = 0, kind=STOPOUT, **options) -> None:
    """One turn: what there is, and what is due."""
    now = NOW + timedelta(minutes=minutes)
    take_up(workspace, kind, causes(*numbers), now=now, **options)
    pack_due(now)


# --- One message for a cause, another when it is over -----------------------------------------------------------------
def test_a_cause_is_told_once_and_its_end_once(workspace, alice):
    for minutes in range(3):
        look(workspace, 1, minutes=minutes)
    assert subjects() == ["Account 1 is stopped – Alice Capital"]
    for minutes in range(3, 6):
        look(workspace, minutes=minutes)
    assert subjects() == ["Account 1 is stopped – Alice Capital", "Over: Account 1 is stopped – Alice Capital"]
    text = NoticeMessage.objects.latest("pk").text
    assert "From 01 June 2026, 12:00 until 01 June 2026, 12:03 (UTC)." in text
    look(workspace, 1, minutes=7)
    assert len(subjects()) == 3  # it is there again, and that is news


def test_what_was_there_at_the_first_look_is_no_news(workspace, alice):
    assert not has_begun(workspace)
    assert begin_workspace(workspace, now=NOW)
    assert not begin_workspace(workspace, now=NOW)
    assert has_begun(workspace)
    look(workspace, 1, is_silent=True)
    look(workspace, 1, 2, minutes=1)
    look(workspace, minutes=2)
    assert subjects() == ["Account 2 is stopped – Alice Capital", "Over: Account 2 is stopped – Alice Capital"]


@pytest.mark.parametrize(("away", "messages"), [(29, 1), (30, 2), (31, 2)])
def test_a_figure_that_swings_around_its_limit_is_one_cause(workspace, alice, away, messages):
    NoticeChoice.objects.create(membership=member_of(alice), chosen={"limit": ["email"]})
    kind = KINDS["limit"]
    look(workspace, 1, kind=kind)
    look(workspace, minutes=1, kind=kind)
    look(workspace, 1, minutes=20, kind=kind)  # it is back: the time begins anew
    look(workspace, minutes=40, kind=kind)
    look(workspace, minutes=40 + away, kind=kind)
    assert len(subjects()) == messages


def test_what_is_not_known_to_be_over_is_not_told_as_over(workspace, alice):
    look(workspace, 1)
    look(workspace, minutes=1, uncertain={"stopout:1", "stopout:2"})
    assert len(subjects()) == 1
    look(workspace, minutes=2)
    assert len(subjects()) == 2


def test_what_lies_beyond_the_bound_of_a_look_is_not_told_as_over(workspace, alice):
    look(workspace, 1, 2)
    for minutes in (1, 60):
        look(workspace, 2, 3, minutes=minutes, is_whole=False)
    assert Notice.objects.filter(ended_at=None).count() == 3
    look(workspace, 2, 3, minutes=61)
    assert subjects()[-1] == "Over: Account 1 is stopped – Alice Capital"


def test_an_end_before_the_beginning_was_told_is_one_message(workspace, alice):
    NoticeChoice.objects.create(membership=member_of(alice), quiet_from=10, quiet_until=14, urgent_passes=False)
    look(workspace, 1)
    look(workspace, minutes=30)
    assert subjects() == []
    look(workspace, minutes=119)
    assert subjects() == []
    look(workspace, minutes=120)
    assert subjects() == ["Over: Account 1 is stopped – Alice Capital"]


@pytest.mark.django_db(transaction=True)
def test_tasks_at_the_same_time_tell_nothing_twice(workspace, alice):
    def turn(_: int) -> None:
        try:
            look(workspace, 1, 2)
        finally:
            database.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(turn, range(8)))
    look(workspace, 1, 2)
    assert Notice.objects.count() == NoticePart.objects.count() == 2
    assert sorted(subjects()) == ["Account 1 is stopped – Alice Capital", "Account 2 is stopped – Alice Capital"]


# --- Many at once -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("number", "messages"), [(2, 2), (3, 3), (4, 1), (500, 1)])
def test_a_flood_is_one_message(workspace, alice, number, messages):
    look(workspace, *range(number))
    assert len(subjects()) == messages
    if messages == 1:
        (message,) = NoticeMessage.objects.all()
        assert message.subject == f"{number} notifications – Alice Capital"
        assert f"{number} × stopout" in message.text
        assert message.text.count("\n- ") == min(number, MOST_NAMED + 1)
        assert message.causes == number


def test_a_trickle_is_bounded_too(workspace, alice):
    for number in range(MOST_AN_HOUR + 5):
        look(workspace, *range(number + 1), minutes=number)
    assert len(subjects()) == MOST_AN_HOUR
    look(workspace, *range(MOST_AN_HOUR + 5), minutes=59)
    assert len(subjects()) == MOST_AN_HOUR
    look(workspace, *range(MOST_AN_HOUR + 5), minutes=60)
    assert subjects()[-1] == "5 notifications – Alice Capital"


def test_a_digest_comes_once_a_day_at_the_persons_hour(workspace, alice):
    alice.timezone = "Asia/Tokyo"  # 21:00 there
    alice.save()
    NoticeChoice.objects.create(membership=member_of(alice), chosen={"limit": ["email"]}, digest_hour=22)
    for number in range(5):
        look(workspace, *range(number + 1), minutes=10 * number, kind=KINDS["limit"])
    assert subjects() == []
    look(workspace, *range(5), minutes=60, kind=KINDS["limit"])
    assert subjects() == ["5 notifications – Alice Capital"]
    assert "5 × limit near" in NoticeMessage.objects.get().text
    assert "(since 01 June 2026, 21:00 (Asia/Tokyo))" in NoticeMessage.objects.get().text


def test_what_the_bound_delays_into_quiet_hours_waits_for_their_end(workspace, alice):
    NoticeChoice.objects.create(
        membership=member_of(alice), chosen={"limit": ["email"]}, quiet_from=13, quiet_until=15, urgent_passes=True
    )
    for number in range(MOST_AN_HOUR + 1):
        look(workspace, *range(number + 1), minutes=number, kind=KINDS["limit"])
    assert len(subjects()) == MOST_AN_HOUR
    for minutes in (60, 179):
        look(workspace, *range(MOST_AN_HOUR + 1), minutes=minutes, kind=KINDS["limit"])
        assert len(subjects()) == MOST_AN_HOUR
    look(workspace, *range(MOST_AN_HOUR + 1), minutes=180, kind=KINDS["limit"])
    assert len(subjects()) == MOST_AN_HOUR + 1


def test_what_was_due_before_quiet_hours_and_is_late_waits_for_their_end(workspace, alice):
    """Nothing was packed for half an hour, because nothing ran."""
    NoticeChoice.objects.create(membership=member_of(alice), chosen={"limit": ["email"]}, quiet_from=13, quiet_until=15)
    take_up(workspace, KINDS["limit"], causes(1), now=NOW + timedelta(minutes=50))
    pack_due(NOW + timedelta(minutes=80))
    assert subjects() == []
    pack_due(NOW + timedelta(minutes=180))
    assert len(subjects()) == 1


@pytest.mark.parametrize(("minutes", "messages"), [(4, 0), (5, 1), (6, 1)])
def test_what_has_to_last_is_told_when_it_did(workspace, alice, minutes, messages):
    NoticeChoice.objects.create(membership=member_of(alice), chosen={"drift": ["email"]})
    kind = KINDS["drift"]
    look(workspace, 1, kind=kind)
    look(workspace, 1, minutes=minutes, kind=kind)
    assert len(subjects()) == messages


def test_what_did_not_last_is_forgotten_and_begins_anew(workspace, alice):
    NoticeChoice.objects.create(membership=member_of(alice), chosen={"drift": ["email"]})
    kind = KINDS["drift"]
    look(workspace, 1, kind=kind)
    look(workspace, minutes=4, kind=kind)
    assert not Notice.objects.exists()
    look(workspace, 1, minutes=6, kind=kind)
    assert subjects() == []
    look(workspace, 1, minutes=11, kind=kind)
    look(workspace, minutes=12, kind=kind)
    look(workspace, minutes=17, kind=kind)
    assert subjects() == ["Account 1 is stopped – Alice Capital", "Over: Account 1 is stopped – Alice Capital"]


# --- Links ------------------------------------------------------------------------------------------------------------
def test_messages_lead_to_the_page_of_their_reader(workspace, alice, dora, settings):
    settings.PORTAL_URL = "https://portal.example.com/"
    hers = builders.subscriber(builders.connection(workspace), access=dora)
    cause = NoticeCause("stopout:1", "It is stopped", NOW, account=hers.pk, path="/subscribers/7/", own_path="/me/")
    take_up(workspace, STOPOUT, [cause], now=NOW)
    pack_due(NOW)
    texts = {message.membership.role: message.text for message in NoticeMessage.objects.select_related("membership")}
    assert texts["owner"].endswith("\n\nhttps://portal.example.com/subscribers/7/")
    assert texts["subscriber"].endswith("\n\nhttps://portal.example.com/me/")
    assert Mail.objects.first().text.endswith("under Notifications: https://portal.example.com/notifications/\n")


def test_without_an_address_of_the_portal_there_are_no_links(workspace, alice):
    take_up(workspace, STOPOUT, [NoticeCause("stopout:1", "It is stopped", NOW, path="/subscribers/7/")], now=NOW)
    pack_due(NOW)
    assert "/subscribers/7/" not in Mail.objects.get().text
    assert Mail.objects.get().text.endswith("under Notifications.\n")


def test_many_causes_have_a_link_each_and_programs_get_them_as_a_list(workspace, alice, settings):
    settings.PORTAL_URL = "https://portal.example.com"
    several = [NoticeCause(f"stopout:{n}", f"Number {n}", NOW, path=f"/subscribers/{n}/") for n in range(4)]
    take_up(workspace, STOPOUT, several, now=NOW)
    pack_due(NOW)
    message = NoticeMessage.objects.get()
    assert "- Number 2 (since 01 June 2026, 12:00 (UTC))\n  https://portal.example.com/subscribers/2/" in message.text
    assert links_of(message) == [f"https://portal.example.com/subscribers/{n}/" for n in range(4)]


def test_a_page_about_several_causes_is_named_once(workspace, alice, settings):
    settings.PORTAL_URL = "https://portal.example.com"
    several = [NoticeCause(f"stopout:{n}", f"Number {n}", NOW, path="/sync/") for n in range(4)]
    take_up(workspace, STOPOUT, several, now=NOW)
    pack_due(NOW)
    message = NoticeMessage.objects.get()
    assert message.text.count("https://portal.example.com/sync/") == 1
    assert links_of(message) == ["https://portal.example.com/sync/"]


# --- Who may hear -----------------------------------------------------------------------------------------------------
def test_clients_hear_of_their_own_accounts_only(workspace, alice, bob, dora, charlie):
    connection = builders.connection(workspace)
    hers, other = builders.subscriber(connection, access=dora), builders.subscriber(connection)
    for _ in range(2):
        take_up(workspace, STOPOUT, [*causes(1, account=hers.pk), *causes(2, account=other.pk)], now=NOW)
    pack_due(NOW)
    assert subjects(dora) == ["Account 1 is stopped – Alice Capital"]
    assert len(subjects(alice)) == 2
    assert subjects(bob) == subjects(charlie) == []  # a viewer did not ask, the other firm is another firm


@pytest.mark.parametrize("when", ["before it is packed", "before it is sent"])
def test_access_that_is_taken_away_meanwhile_counts(workspace, dora, mailoutbox, when):
    hers = builders.subscriber(builders.connection(workspace), access=dora)
    take_up(workspace, STOPOUT, causes(1, account=hers.pk), now=NOW)
    if when == "before it is packed":
        hers.accesses.all().delete()
    pack_due(NOW)
    hers.accesses.all().delete()
    from users.sending import send_due as send_mails

    send_mails()
    assert mailoutbox == []
    if when == "before it is packed":
        assert NoticePart.objects.get().dropped == NO_ACCESS
    else:
        assert Mail.objects.get().refusal == NO_ACCESS


def test_who_was_shut_out_hears_nothing(workspace, alice):
    look(workspace)
    Membership.objects.update(deactivated_at=NOW)
    look(workspace, 1)
    assert subjects() == []


def test_mails_of_others_are_not_in_the_firms_list(workspace, alice, bob):
    look(workspace, 1)
    assert Mail.objects.get().kind == "notice"
    assert not Mail.objects.visible_to(member_of(alice)).exists()
    assert NoticeMessage.objects.visible_to(member_of(alice)).exists()
    assert not NoticeMessage.objects.visible_to(member_of(bob)).exists()


def test_without_a_mail_server_the_list_says_so(workspace, alice, settings):
    settings.MAIL_IS_SET_UP = False
    look(workspace, 1)
    message = NoticeMessage.objects.with_outcome().get()
    assert (message.outcome, message.said[:14]) == ("withdrawn", "No mail server")


def test_what_is_old_is_forgotten(workspace, alice):
    look(workspace, 1)
    look(workspace, minutes=1)
    assert forget_old(NOW + timedelta(days=90)) == 0
    forget_old(NOW + timedelta(days=90, minutes=2))
    assert not NoticeMessage.objects.exists()
    assert not Notice.objects.exists()


def test_what_still_lasts_is_not_told_again_when_its_message_is_old(workspace, alice):
    look(workspace, 1)
    look(workspace, 1, minutes=60 * 24 * 91)
    forget_old(NOW + timedelta(days=91))
    look(workspace, 1, minutes=60 * 24 * 91 + 1)
    assert subjects() == ["Account 1 is stopped – Alice Capital"]


def test_a_sign_in_is_told_in_full_whatever_else_there_is_to_tell(workspace, alice):
    for number in range(MOST_AN_HOUR):
        look(workspace, *range(number + 1), minutes=number)
    take_up(workspace, STOPOUT, causes(*range(100)), now=NOW + timedelta(minutes=20))
    at = NOW + timedelta(minutes=20)
    tell_of_device(alice, device="Firefox on Linux", source="192.0.2.7", at=at, key="d1", now=at)
    pack_due(at)
    message = NoticeMessage.objects.latest("pk")
    assert (message.kind, "Firefox on Linux" in message.text) == ("device", True)
    assert len(subjects()) == MOST_AN_HOUR + 1


def test_one_account_that_is_not_to_be_seen_any_more_withdraws_no_other(workspace, dora):
    connection = builders.connection(workspace)
    own = [builders.subscriber(connection, access=dora) for _ in range(4)]
    several = [cause for number, account in enumerate(own) for cause in causes(number, account=account.pk)]
    take_up(workspace, STOPOUT, several, now=NOW)
    pack_due(NOW)
    (message,) = NoticeMessage.objects.filter(membership__user=dora)
    own[2].accesses.all().delete()
    assert [why_unwanted(message), why_unwanted(message)] == [NO_ACCESS, NO_ACCESS]
    pack_due(NOW)
    assert subjects(dora)[1:] == [f"Account {number} is stopped – Alice Capital" for number in (0, 1, 3)]


# --- Telegram and webhooks, against stand-ins -------------------------------------------------------------------------
class BotServer:
    """Telegram and a person's own program on loopback. answers: (status, body) for the next requests, then success."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict, dict]] = []
        self.answers: list[tuple[int, dict]] = []
        self.updates: list[dict] = []
        self.silent = threading.Event()
        server = self

        class BotHandler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.received.append((self.path, body, headers))
                if server.silent.is_set():
                    server.released.wait(20)
                    return
                result = server.updates if self.path.endswith("getUpdates") else {"username": "alpine_bot"}
                status, answer = server.answers.pop(0) if server.answers else (200, {"ok": True, "result": result})
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args) -> None:
                """Nothing on the screen."""

        self.released = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), BotHandler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @contextmanager
    def running(self):
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            self.server.shutdown()
            self.server.server_close()
            thread.join(30)


@pytest.fixture
def telegram(settings):
    with BotServer().running() as server:
        settings.TELEGRAM_URL = server.url
        settings.PRIVATE_EVENT_ADDRESSES = [server.url]
        yield server


def chat(user, **fields) -> NoticeTarget:
    """A person who wants stopouts by Telegram."""
    member = member_of(user)
    TelegramBot.objects.get_or_create(
        workspace=member.workspace, defaults={"token": "1:secret", "username": "alpine_bot", "set_at": NOW}
    )
    NoticeChoice.objects.create(membership=member, chosen={"stopout": ["telegram"]})
    given = {"channel": "telegram", "address": "4711", "is_enabled": True}
    return NoticeTarget.objects.create(membership=member, **given | fields)


def again() -> None:
    """The time of the next attempt has come."""
    past = timezone.now() - timedelta(seconds=1)
    NoticeMessage.objects.filter(state="queued").update(due_at=past)
    NoticeTarget.objects.update(paused_until=None)
    TelegramBot.objects.update(paused_until=None)


def test_a_message_goes_to_the_chat_once(workspace, alice, telegram):
    chat(alice)
    look(workspace, 1)
    assert (send_due(), send_due()) == (1, 0)
    ((path, body, _),) = telegram.received
    assert path == "/bot1:secret/sendMessage"
    assert body["chat_id"] == "4711"
    assert body["text"].startswith("Account 1 is stopped – Alice Capital\n\n")
    assert NoticeMessage.objects.get().state == "sent"


def test_too_many_requests_wait_as_long_as_asked_and_cost_no_attempt(workspace, alice, telegram):
    target = chat(alice)
    look(workspace, 1)
    refused = {"ok": False, "description": "Too Many Requests: retry after 37", "parameters": {"retry_after": 37}}
    telegram.answers = [(429, refused)]
    began = timezone.now()
    assert send_due() == 0
    message = NoticeMessage.objects.get()
    assert (message.state, message.attempts) == ("queued", 0)
    assert 36 < (message.due_at - began).total_seconds() < 60
    assert send_due() == 0
    assert len(telegram.received) == 1  # the whole bot waits
    again()
    assert send_due() == 1
    target.refresh_from_db()
    assert target.failing_since is None


@pytest.mark.parametrize(
    ("status", "words"), [(403, "Forbidden: bot was blocked by the user"), (400, "Bad Request: chat not found")]
)
def test_who_blocked_the_bot_is_mailed_that_it_is_switched_off(workspace, alice, telegram, status, words):
    target = chat(alice)
    look(workspace, 1)
    telegram.answers = [(status, {"ok": False, "description": words})]
    assert send_due() == 0
    target.refresh_from_db()
    assert (target.is_enabled, target.problem) == (False, f"Telegram said: {words}")
    assert NoticeMessage.objects.get().state == "refused"
    assert Mail.objects.get().subject == "Telegram is switched off for your notifications"
    assert AuditEntry.objects.filter(action="notifications switched off", subject=alice.email).count() == 1
    look(workspace, 1, 2, minutes=1)
    assert NoticeMessage.objects.count() == 1


def test_a_wrong_token_is_the_firms_fault_and_not_the_persons(workspace, alice, telegram):
    target = chat(alice)
    look(workspace, 1)
    telegram.answers = [(401, {"ok": False, "description": "Unauthorized"})]
    send_due()
    target.refresh_from_db()
    bot = TelegramBot.objects.get()
    assert (target.is_enabled, target.failing_since) == (True, None)
    assert bot.problem == "Telegram does not know the bot's token."
    assert "secret" not in NoticeMessage.objects.get().refusal


def test_failures_are_tried_again_with_growing_pauses_and_then_given_up(workspace, alice, telegram):
    chat(alice)
    look(workspace, 1)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        telegram.answers = [(502, {"ok": False})]
        assert send_due() == 0
        message = NoticeMessage.objects.get()
        assert message.attempts == attempt
        if attempt < MOST_ATTEMPTS:
            assert (message.due_at - timezone.now() - DELAYS[attempt - 1]).total_seconds() == pytest.approx(0, abs=20)
        again()
    assert NoticeMessage.objects.get().state == "given-up"
    assert len(telegram.received) == MOST_ATTEMPTS


@pytest.mark.parametrize(("margin_s", "is_enabled"), [(-60, True), (0, False), (60, False)])
def test_a_way_that_fails_for_days_is_switched_off(workspace, alice, telegram, margin_s, is_enabled):
    began = timezone.now() - SWITCHED_OFF_AFTER - timedelta(seconds=margin_s)
    target = chat(alice, failing_since=began)
    look(workspace, 1)
    telegram.answers = [(502, {"ok": False})]
    send_due()
    target.refresh_from_db()
    assert target.is_enabled is is_enabled


def test_silence_is_tried_again_and_may_be_double(workspace, alice, telegram):
    chat(alice)
    look(workspace, 1)
    telegram.silent.set()
    assert send_due(seconds=0.2) == 0
    message = NoticeMessage.objects.get()
    assert (message.state, message.may_be_double) == ("queued", True)
    assert message.refusal == "Telegram did not answer within 0.2 seconds."


def test_a_worker_that_died_leaves_its_message_to_another(workspace, alice, telegram):
    from users.notice_sending import claim

    chat(alice)
    look(workspace, 1)
    assert claim() is not None
    assert claim() is None
    assert send_due() == 0
    NoticeMessage.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert send_due() == 1
    assert NoticeMessage.objects.get().may_be_double


def test_what_waits_for_a_way_that_is_removed_goes_to_no_later_one(workspace, alice, telegram):
    target = chat(alice)
    look(workspace, 1)
    remove_targets(NoticeTarget.objects.filter(pk=target.pk), now=timezone.now())
    NoticeTarget.objects.create(membership=member_of(alice), channel="telegram", address="4712", is_enabled=True)
    assert send_due() == 0
    assert NoticeMessage.objects.get().state == "withdrawn"
    assert telegram.received == []


def test_a_way_that_is_removed_while_it_is_asked_harms_nothing(workspace, alice, telegram):
    chat(alice)
    look(workspace, 1)
    message = claim()
    NoticeTarget.objects.all().delete()
    assert not notice_sending.attempt(message)
    assert NoticeMessage.objects.get().state == "withdrawn"


def test_one_that_cannot_be_sent_at_all_holds_up_no_other(workspace, alice, telegram, monkeypatch):
    chat(alice)
    look(workspace, 1, 2)
    broken = NoticeMessage.objects.earliest("pk").pk

    def fails(message, target, *, seconds):
        if message.pk == broken:
            raise ValueError("planted")
        return send_by_telegram(message, target, seconds=seconds)

    monkeypatch.setattr(notice_sending, "send_by_telegram", fails)
    assert send_due() == 1
    assert NoticeMessage.objects.exclude(pk=broken).get().state == "sent"
    NoticeMessage.objects.filter(pk=broken).update(attempts=MOST_ATTEMPTS, lease_until=timezone.now())
    assert send_due() == 0
    assert NoticeMessage.objects.get(pk=broken).state == "given-up"


def test_access_taken_away_holds_for_chats_too(workspace, dora, telegram):
    hers = builders.subscriber(builders.connection(workspace), access=dora)
    chat(dora)
    take_up(workspace, STOPOUT, causes(1, account=hers.pk), now=NOW)
    pack_due(NOW)
    hers.accesses.all().delete()
    assert send_due() == 0
    assert telegram.received == []
    assert NoticeMessage.objects.get().refusal == NO_ACCESS


def test_a_persons_program_is_told_signed(workspace, alice, telegram):
    from users.event_sending import signature
    from users.events import new_secret

    member, secret = member_of(alice), new_secret()
    address = {"channel": "webhook", "address": f"{telegram.url}/mine", "secret": secret, "is_enabled": True}
    target = NoticeTarget.objects.create(membership=member, **address)
    send_test(member, "webhook", now=NOW)
    assert send_due() == 1
    ((path, body, headers),) = telegram.received
    assert (path, body["data"]["kind"]) == ("/mine", "test")
    text = json.dumps(body, ensure_ascii=False)
    assert headers["webhook-signature"] == signature(
        secret, headers["webhook-id"], int(headers["webhook-timestamp"]), text
    )
    telegram.answers = [(410, {})]
    send_test(member, "webhook", now=NOW)
    send_due()
    target.refresh_from_db()
    assert not target.is_enabled


def test_a_program_in_a_private_network_is_not_reached(workspace, alice, telegram, settings):
    settings.PRIVATE_EVENT_ADDRESSES = []
    address = {"channel": "webhook", "address": f"{telegram.url}/mine", "secret": "whsec_AAAA", "is_enabled": True}
    NoticeTarget.objects.create(membership=member_of(alice), **address)
    send_test(member_of(alice), "webhook", now=NOW)
    assert send_due() == 0
    assert telegram.received == []


def test_private_addresses_are_open_to_the_firm_and_not_to_its_clients(workspace, alice, dora, telegram):
    for person, reached in ((dora, 0), (alice, 1)):
        address = {"channel": "webhook", "address": f"{telegram.url}/mine", "secret": "whsec_AAAA", "is_enabled": True}
        NoticeTarget.objects.create(membership=member_of(person), **address)
        send_test(member_of(person), "webhook", now=NOW)
        assert send_due() == reached
        assert len(telegram.received) == reached
