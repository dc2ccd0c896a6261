"""A person's own account under /accounts/: only what is meant exists, and a borrowed session takes nothing over."""

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.urls import get_resolver, reverse
from django.utils import timezone

from tests import builders
from users.addresses import change_of, confirm_change, request_change
from users.confirmations import confirmation_key
from users.models import AuditEntry, EmailChange, User


@pytest.fixture
def now():
    return timezone.now()


NEW = {"email": "New.Alice@Example.com", "password": builders.PASSWORD}


def account_paths():
    """Every address under /accounts/, with something in the place of its arguments."""
    samples = {"uidb36": "1", "key": "abc-def", "digest": "0" * 40, "pk": 1}
    accounts = next(entry for entry in get_resolver().url_patterns if str(entry.pattern) == "accounts/")
    for pattern in accounts.url_patterns:
        yield reverse(pattern.name, kwargs={name: samples[name] for name in pattern.pattern.regex.groupindex})


@pytest.mark.parametrize("person", ["alice", "dora", None])
@pytest.mark.parametrize("method", ["get", "post", "head", "put"])
def test_no_address_fails_for_anybody(person, method, sign_in, request, db):
    client = sign_in(person and request.getfixturevalue(person))
    paths = list(account_paths())
    assert len(paths) > 10
    for path in paths:
        if person:
            client.force_login(request.getfixturevalue(person))
        answer = getattr(client, method)(path)
        assert answer.status_code < 500, (method, path)


@pytest.mark.parametrize(
    "path",
    [
        "password/set/",
        "reauthenticate/",
        "confirm-email/",
        "login/code/confirm/",
        "login/code/",
        "phone/change/",
        "signup/passkey/",
        "2fa/",
        "social/",
        "password/reset/confirm/",
    ],
)
def test_what_nobody_meant_does_not_exist(path, sign_in, alice):
    assert sign_in(alice).get(f"/accounts/{path}").status_code == 404
    assert sign_in(None).post(f"/accounts/{path}").status_code == 404


def test_nobody_registers_themself(client, alice):
    given = {"email": "thief@example.com", "password1": "a-long-enough-password"}
    assert client.post("/accounts/signup/", given).status_code == 405
    assert "closed" in client.get("/accounts/signup/").content.decode()
    assert not User.objects.filter(email="thief@example.com").exists()


# --- Resetting the password -------------------------------------------------------------------------------------------
def test_a_reset_link_from_the_mail_sets_a_new_password(client, alice, tasks_run, link_in):
    with tasks_run():
        client.post("/accounts/password/reset/", {"email": alice.email.upper()})
    link = link_in(mail.outbox[0])
    page = client.get(link, follow=True)
    assert "Choose a new password" in page.content.decode()
    new = {"password1": "brand-new-long-1", "password2": "brand-new-long-1"}
    with tasks_run():
        assert client.post(page.request["PATH_INFO"], new).status_code == 302
    alice.refresh_from_db()
    assert alice.check_password("brand-new-long-1")
    assert "does not work" in client.get(link, follow=True).content.decode()
    assert [sent.subject for sent in mail.outbox][1:] == ["Your password was changed"]


def test_a_reset_for_an_unknown_address_answers_the_same_and_mails_no_stranger(client, alice, tasks_run, monkeypatch):
    queued = []
    with monkeypatch.context() as patched:
        patched.setattr("users.tasks.send_reset_link.delay_on_commit", lambda *given: queued.append(given))
        known = client.post("/accounts/password/reset/", {"email": alice.email})
        unknown = client.post("/accounts/password/reset/", {"email": "nobody@example.com"})
    assert (known.status_code, known.headers["Location"]) == (unknown.status_code, unknown.headers["Location"])
    assert [email for email, _ in queued] == [alice.email, "nobody@example.com"], "the request does the same for both"
    with tasks_run():
        client.post("/accounts/password/reset/", {"email": "nobody@example.com"})
    assert mail.outbox == []


def test_a_mail_leads_to_the_portal_and_not_to_the_host_that_a_request_named(client, alice, tasks_run, settings):
    """Whoever asks for somebody's reset chooses the Host of the request."""
    settings.PORTAL_URL, settings.ALLOWED_HOSTS = "https://portal.example.com", ["testserver", "other.example.com"]
    with tasks_run():
        client.post("/accounts/password/reset/", {"email": alice.email}, headers={"host": "other.example.com"})
    assert "https://portal.example.com/accounts/password/reset/key/" in mail.outbox[0].body
    assert "other.example.com" not in mail.outbox[0].body


def test_the_request_asks_the_database_the_same_for_known_and_unknown(client, alice, django_assert_num_queries):
    for email in (alice.email, "nobody@example.com"):
        with django_assert_num_queries(0):
            client.post("/accounts/password/reset/", {"email": email})


@pytest.mark.usefixtures("one_moment")
def test_a_stranger_cannot_flood_or_block_the_reset_of_somebody(client, alice, tasks_run):
    with tasks_run():
        for number in range(8):
            sent = client.post("/accounts/password/reset/", {"email": alice.email}, REMOTE_ADDR=f"192.0.2.{number}")
            assert sent.status_code == 302
    assert len(mail.outbox) == 5


@pytest.mark.usefixtures("one_moment")
def test_forms_from_one_network_have_a_limit_and_say_so(client, db):
    answers = [client.post("/accounts/password/reset/", {"email": "x@example.com"}).status_code for _ in range(21)]
    assert answers == [302] * 20 + [429]
    assert client.get("/accounts/password/reset/").status_code == 200


def test_without_a_mail_server_the_page_says_so(client, settings, sign_in, alice):
    settings.MAIL_IS_SET_UP = False
    assert "sends no mail" in client.get("/accounts/password/reset/").content.decode()
    client = sign_in(alice)
    assert "sends no mail" in client.get("/accounts/email/").content.decode()
    client.post("/accounts/email/", NEW)
    assert not EmailChange.objects.exists()


# --- Changing the address ---------------------------------------------------------------------------------------------
def test_an_address_is_changed_with_the_password_and_the_mail(sign_in, alice, workspace, tasks_run, link_in):
    client = sign_in(alice)
    with tasks_run():
        assert client.post("/accounts/email/", NEW).status_code == 302
    alice.refresh_from_db()
    assert alice.email == "alice@example.com"
    to_new, to_old = sorted(mail.outbox, key=lambda sent: sent.to == ["alice@example.com"])
    assert (to_new.to, to_old.to) == (["new.alice@example.com"], ["alice@example.com"])
    assert "new.alice@example.com is not confirmed yet" in client.get("/accounts/email/").content.decode()
    mail.outbox.clear()
    client = sign_in(None)
    page = client.get(link_in(to_new))
    assert "Confirm new.alice@example.com" in page.content.decode()
    alice.refresh_from_db()
    assert alice.email == "alice@example.com", "opening the link is not enough: programs do that"
    with tasks_run():
        assert client.post(link_in(to_new)).status_code == 302
    alice.refresh_from_db()
    assert alice.email == "new.alice@example.com"
    assert [sent.to for sent in mail.outbox] == [["alice@example.com"]]
    assert client.post(link_in(to_new)).status_code == 410
    actions = AuditEntry.objects.filter(workspace=workspace).values_list("action", flat=True)
    assert {"e-mail change requested", "e-mail changed"} <= set(actions)
    signed_in = client.post("/accounts/login/", {"login": alice.email, "password": builders.PASSWORD})
    assert signed_in.status_code == 302
    sign_in(None)
    old = client.post("/accounts/login/", {"login": "alice@example.com", "password": builders.PASSWORD})
    assert old.status_code == 200


@pytest.mark.parametrize("given", [{}, {"password": ""}, {"password": "wrong"}])
def test_without_the_password_nothing_is_changed_or_sent(sign_in, alice, given, tasks_run):
    with tasks_run():
        answer = sign_in(alice).post("/accounts/email/", {"email": "thief@example.com", **given})
    assert answer.status_code == 422
    assert not EmailChange.objects.exists()
    assert mail.outbox == []


@pytest.mark.parametrize("action", ["action_add", "action_primary", "action_send", "action_remove"])
@pytest.mark.parametrize("email", ["thief@example.com", "bob@example.com", "alice@example.com"])
def test_a_borrowed_session_takes_nothing_over(sign_in, alice, bob, action, email, tasks_run):
    client = sign_in(alice)
    with tasks_run():
        assert client.post("/accounts/email/", {action: "", "email": email}).status_code == 422
        client.post("/accounts/password/reset/", {"email": "thief@example.com"})
    assert mail.outbox == []
    assert not EmailAddress.objects.exclude(email=alice.email).exists()


def test_guesses_of_the_password_in_a_borrowed_session_are_slowed_down(sign_in, alice, time_machine):
    client = sign_in(alice)
    time_machine.move_to(timezone.now(), tick=False)
    given = {"email": "thief@example.com", "password": "wrong"}
    pages = [client.post("/accounts/email/", given).content.decode() for _ in range(8)]
    assert "Too many wrong passwords" in pages[-1]
    given = {"oldpassword": builders.PASSWORD, "password1": "another-long-one-9", "password2": "another-long-one-9"}
    assert "Too many wrong passwords" in client.post("/accounts/password/change/", given).content.decode()
    alice.refresh_from_db()
    assert alice.check_password(builders.PASSWORD)


def test_an_address_of_somebody_else_answers_the_same_and_mails_nobody(sign_in, alice, bob, tasks_run, now):
    client = sign_in(alice)
    with tasks_run():
        taken = client.post("/accounts/email/", {**NEW, "email": bob.email})
    assert taken.status_code == 302
    assert [sent.to for sent in mail.outbox] == [[alice.email]]
    assert confirm_change(confirmation_key(EmailChange.objects.get()), now=now) is None
    bob.refresh_from_db()
    assert bob.email == "bob@example.com"


@pytest.mark.parametrize(("hours", "works"), [(23.99, True), (24, False), (100, False)])
def test_a_link_works_for_a_day(alice, now, hours, works):
    change = request_change(alice, "new@example.com", origin="http://testserver/", now=now)
    assert (change_of(confirmation_key(change), now=now + timedelta(hours=hours)) is not None) is works


def test_a_newer_wish_a_new_password_and_a_withdrawal_make_a_link_void(sign_in, alice, now):
    first = confirmation_key(request_change(alice, "one@example.com", origin="http://testserver/", now=now))
    second = confirmation_key(request_change(alice, "two@example.com", origin="http://testserver/", now=now))
    assert change_of(first, now=now) is None
    assert change_of(second, now=now)
    sign_in(alice).post("/accounts/email/withdraw/")
    assert change_of(second, now=now) is None
    third = confirmation_key(request_change(alice, "two@example.com", origin="http://testserver/", now=now))
    alice.set_password("another-long-one-9")
    alice.save()
    assert change_of(third, now=now) is None


@pytest.mark.parametrize("key", ["x", "x:y:z", "a" * 3000, "WzFd:1u:sig"])
def test_a_forged_key_is_a_page_that_says_so(client, db, key):
    answer = client.get(f"/accounts/confirm-email/{key}/")
    assert answer.status_code == 410
    assert client.post(f"/accounts/confirm-email/{key}/").status_code == 410


def test_stored_addresses_beside_the_one_in_use_open_nothing(client, alice, tasks_run):
    for verified in (False, True):
        EmailAddress.objects.create(user=alice, email=f"thief{verified}@example.com", verified=verified)
        login = {"login": f"thief{verified}@example.com", "password": builders.PASSWORD}
        assert client.post("/accounts/login/", login).status_code == 200
        with tasks_run():
            client.post("/accounts/password/reset/", {"email": f"thief{verified}@example.com"})
    assert mail.outbox == []
