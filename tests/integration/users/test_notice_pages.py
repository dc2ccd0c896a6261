"""Pages of notifications: choosing, linking a chat by a code, an address, the list, and the firm's bot."""

from __future__ import annotations

import pytest
from django.utils import timezone

from tests.integration.users.test_notices import NOW, BotServer, look, member_of
from users.models import AuditEntry
from users.notice_sending import send_due
from users.notices import NoticeChoice, NoticeMessage, NoticeTarget, TelegramBot

pytestmark = pytest.mark.django_db
TOKEN = "123456789:AbCdEfGhIjKlMnOpQrStUvWxYz"
HOURS = {"quiet_from": "22", "quiet_until": "7", "urgent_passes": "on", "digest_hour": "8", "timezone": "Asia/Tokyo"}


@pytest.fixture
def telegram(settings):
    with BotServer().running() as server:
        settings.TELEGRAM_URL = server.url
        yield server


@pytest.fixture
def bot(workspace):
    return TelegramBot.objects.create(workspace=workspace, token=TOKEN, username="alpine_bot", set_at=NOW)


def test_a_person_chooses_and_it_is_noted(alice, sign_in):
    client = sign_in(alice)
    answer = client.post("/notifications/", {**HOURS, "limit": ["email", "webhook"], "stopout": []})
    assert answer.status_code == 302
    choice = NoticeChoice.objects.get(membership=member_of(alice))
    assert choice.chosen["limit"] == ["email"]  # no address is set up, so nothing can be ticked there
    assert choice.chosen["stopout"] == []
    assert (choice.quiet_from, choice.quiet_until, choice.digest_hour, choice.urgent_passes) == (22, 7, 8, True)
    alice.refresh_from_db()
    assert alice.timezone == "Asia/Tokyo"
    client.post("/notifications/", {**HOURS, "limit": ["email"]})
    assert AuditEntry.objects.filter(action="notifications changed").count() == 1  # the second one changed nothing


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"quiet_until": ""}, "choose both, or neither"),
        ({"quiet_from": ""}, "choose both, or neither"),
        ({"quiet_until": "22"}, "They would end when they begin"),
        ({"timezone": "Mars/Base"}, "Your time zone"),
        ({"stopout": ["pigeon"]}, "Stopout"),
    ],
)
def test_what_cannot_be_is_said(alice, sign_in, fields, words):
    answer = sign_in(alice).post("/notifications/", {**HOURS, **fields})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not NoticeChoice.objects.exists()


def test_clients_have_the_page_without_what_is_the_firms(dora, sign_in):
    page = sign_in(dora).get("/notifications/").content.decode()
    assert "Stopout by E-mail" in page
    assert "Period to close" not in page
    sign_in(dora).post("/notifications/", {"timezone": "", "period": ["email"]})
    assert "period" not in NoticeChoice.objects.get().chosen


def test_a_chat_is_linked_by_the_code_that_it_sends(alice, bot, telegram, sign_in):
    client = sign_in(alice)
    client.post("/notifications/telegram/")
    target = NoticeTarget.objects.get()
    assert f"start={target.secret}" in client.get("/notifications/telegram/").content.decode()

    def sends(text: str, chat: int) -> dict:
        return {"update_id": chat, "message": {"text": text, "chat": {"id": chat, "first_name": "Alice"}}}

    telegram.updates = [sends("/start other", 1), {"update_id": 2}, sends(f"x{target.secret}", 3)]
    client.post("/notifications/telegram/check/")
    assert not NoticeTarget.objects.get().is_enabled
    telegram.updates.append(sends(f"/start {target.secret}", 4711))
    client.post("/notifications/telegram/check/")
    target.refresh_from_db()
    assert (target.address, target.name, target.is_enabled, target.secret) == ("4711", "Alice", True, "")
    client.post("/notifications/telegram/test/")
    assert send_due() == 1
    assert telegram.received[-1][1]["text"].startswith("A test from Alice Capital")
    client.post("/notifications/telegram/remove/")
    assert not NoticeTarget.objects.exists()
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"notifications by Telegram linked", "notifications by Telegram removed"} <= actions


def test_a_code_runs_out(alice, bot, telegram, sign_in):
    client = sign_in(alice)
    client.post("/notifications/telegram/")
    NoticeTarget.objects.update(code_until=timezone.now())
    client.post("/notifications/telegram/check/")
    assert telegram.received == []


def test_an_address_gets_a_secret_that_is_shown_once(alice, sign_in):
    client = sign_in(alice)
    for refused in ("http://example.com", "nowhere", "https://a:b@example.com"):
        assert client.post("/notifications/webhook/", {"url": refused}).status_code == 422
    answer = client.post("/notifications/webhook/", {"url": "https://example.com/mine"})
    target = NoticeTarget.objects.get()
    assert answer.status_code == 201
    assert target.secret in answer.content.decode()
    assert all(target.secret not in client.get(page).content.decode() for page in ("/notifications/",))
    assert "whsec" not in str(AuditEntry.objects.latest("occurred_at").details)


def test_only_an_owner_sets_the_bot_and_nobody_reads_its_token(alice, bob, dora, charlie, telegram, sign_in):
    for person, status in ((bob, 403), (dora, 404)):
        assert sign_in(person).get("/settings/notifications/").status_code == status
        assert sign_in(person).post("/settings/notifications/bot/", {"token": TOKEN}).status_code == status
    client = sign_in(alice)
    assert client.post("/settings/notifications/bot/", {"token": "nonsense"}).status_code == 422
    telegram.answers = [(401, {"ok": False, "description": "Unauthorized"})]
    assert client.post("/settings/notifications/bot/", {"token": TOKEN}).status_code == 422
    assert not TelegramBot.objects.exists()
    assert client.post("/settings/notifications/bot/", {"token": TOKEN}).status_code == 302
    assert TelegramBot.objects.get().username == "alpine_bot"
    pages = ("/settings/notifications/", "/settings/notifications/bot/", "/notifications/", "/notifications/telegram/")
    assert all(TOKEN not in client.get(page).content.decode() for page in pages)
    assert TOKEN not in str(list(AuditEntry.objects.values("details")))
    sign_in(alice)
    NoticeTarget.objects.create(membership=member_of(bob), channel="telegram", address="4711", is_enabled=True)
    number = TOKEN.partition(":")[0]
    for token, chats in ((f"{number}:{'b' * 35}", 1), (f"9{number}:{'b' * 35}", 0)):  # its new token, another bot
        assert client.post("/settings/notifications/bot/", {"token": token}).status_code == 302
        assert NoticeTarget.objects.count() == chats
    sign_in(charlie).post("/settings/notifications/bot/remove/")
    assert TelegramBot.objects.exists()


def test_the_lists_show_ones_own_words_and_of_others_only_that_there_were_some(workspace, alice, bob, sign_in):
    NoticeChoice.objects.create(membership=member_of(bob), chosen={"stopout": ["email"]})
    NoticeChoice.objects.create(membership=member_of(alice), chosen={"stopout": []})
    look(workspace, 1)
    assert NoticeMessage.objects.count() == 1
    own = sign_in(bob).get("/notifications/sent/").content.decode()
    assert "Account 1 is stopped" in own
    assert "Account 1" not in sign_in(alice).get("/notifications/sent/").content.decode()
    for address in ("/settings/notifications/", "/settings/notifications/?format=csv"):
        answer = sign_in(alice).get(address)
        text = b"".join(answer.streaming_content) if answer.streaming else answer.content
        assert b"Account 1" not in text
        assert b"bob@example.com" in text
