"""Sessions: stored so that nobody can use what is stored, listed, ended one by one or all, and over in time."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from tests import builders
from users import sessions, tasks
from users.devices import device_name
from users.models import AuditEntry, SignInSession
from users.session_store import SEEN, STARTED, SessionStore, digest_of

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SIGN_IN = {"login": "alice@example.com", "password": builders.PASSWORD}


def browser(person, agent=FIREFOX, **options) -> Client:
    client = Client(headers={"User-Agent": agent}, **options)
    client.post("/accounts/login/", {"login": person.email, "password": builders.PASSWORD, "remember": "on"})
    return client


def is_signed_in(client) -> bool:
    return client.get("/accounts/sessions/").status_code == 200


# --- At rest ----------------------------------------------------------------------------------------------------------
def test_what_is_stored_opens_no_session(alice):
    client = browser(alice)
    key = client.cookies["sessionid"].value
    row = SignInSession.objects.get(user=alice)
    assert row.pk == digest_of(key)
    assert key not in str(SignInSession.objects.values())
    redis = cache._cache.get_client()
    names = [name.decode() for name in redis.scan_iter("*")]
    assert any(row.pk in name for name in names)
    assert not any(key in name for name in names)
    thief = Client()
    thief.cookies["sessionid"] = row.pk
    assert not is_signed_in(thief)
    assert is_signed_in(client)


def test_a_planted_key_is_not_taken_over(alice):
    client = Client(headers={"User-Agent": FIREFOX})
    client.cookies["sessionid"] = "planted0planted0planted0planted0"
    client.post("/accounts/login/", SIGN_IN)
    assert client.cookies["sessionid"].value != "planted0planted0planted0planted0"


# --- The list ---------------------------------------------------------------------------------------------------------
def test_sessions_are_listed_with_device_and_address(alice):
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Safari/604.1"
    browser(alice, phone, REMOTE_ADDR="192.0.2.7")
    client = browser(alice)
    page = client.get("/accounts/sessions/").content.decode()
    for words in ("Firefox on Linux", "(this one)", "Safari on iPhone", "192.0.2.7", "Sign out everywhere else"):
        assert words in page


def test_a_session_is_ended_at_once(alice):
    own, other = browser(alice), browser(alice)
    assert is_signed_in(other)
    digest = digest_of(other.cookies["sessionid"].value)
    assert own.post(f"/accounts/sessions/{digest}/end/").status_code == 302
    assert not is_signed_in(other)
    assert is_signed_in(own)
    entry = AuditEntry.objects.get(action="session ended")
    assert (entry.user, entry.details) == (alice, {"device": "Firefox on Linux"})


def test_all_others_are_ended_at_once(alice, bob):
    own, others, his = browser(alice), [browser(alice) for _ in range(3)], browser(bob)
    own.post("/accounts/sessions/end/")
    assert [is_signed_in(other) for other in others] == [False] * 3
    assert is_signed_in(own)
    assert is_signed_in(his)


@pytest.mark.parametrize("whose", ["bob", "charlie", "nobody"])
def test_sessions_of_others_and_made_up_ones_answer_the_same(alice, bob, charlie, whose):
    digest = {"nobody": "0" * 40}.get(whose)
    victim = None if digest else browser({"bob": bob, "charlie": charlie}[whose])
    digest = digest or digest_of(victim.cookies["sessionid"].value)
    assert browser(alice).post(f"/accounts/sessions/{digest}/end/").status_code == 404
    assert victim is None or is_signed_in(victim)


def test_strangers_are_sent_to_sign_in(client, db):
    posts = [client.post(path) for path in ("/accounts/sessions/end/", f"/accounts/sessions/{'0' * 40}/end/")]
    for answer in (client.get("/accounts/sessions/"), *posts):
        assert answer.headers["Location"].startswith("/accounts/login/")


def test_a_session_that_ends_while_it_is_read_stays_ended(alice, monkeypatch):
    """It was read from the database, ended, and only then put into the cache."""
    client = browser(alice)
    key = client.cookies["sessionid"].value
    cache.clear()
    read = SessionStore._get_session_from_db

    def read_then_end(store):
        row = read(store)
        SignInSession.objects.filter(pk=digest_of(key)).delete()
        return row

    monkeypatch.setattr(SessionStore, "_get_session_from_db", read_then_end)
    assert not is_signed_in(client)
    monkeypatch.undo()
    assert not is_signed_in(client)


# --- Limits -----------------------------------------------------------------------------------------------------------
def aged(client, **seconds) -> Client:
    store = SessionStore(client.cookies["sessionid"].value)
    for name, age in seconds.items():
        store[{"seen": SEEN, "started": STARTED}[name]] = timezone.now().timestamp() - age
    store.save()
    return client


@pytest.mark.parametrize(("margin", "alive"), [(60, True), (-1, False)])
def test_a_session_without_use_ends(alice, margin, alive):
    client = aged(browser(alice), seen=settings.SESSION_REMEMBERED_IDLE_SECONDS - margin)
    assert is_signed_in(client) is alive


@pytest.mark.parametrize(("margin", "alive"), [(60, True), (-1, False)])
def test_who_does_not_stay_signed_in_has_less_time(alice, margin, alive):
    client = Client()
    client.post("/accounts/login/", SIGN_IN)
    assert is_signed_in(aged(client, seen=settings.SESSION_IDLE_SECONDS - margin)) is alive


@pytest.mark.parametrize(("margin", "alive"), [(60, True), (-1, False)])
def test_a_session_ends_however_much_it_is_used(alice, margin, alive):
    client = aged(browser(alice), started=settings.SESSION_COOKIE_AGE - margin, seen=0)
    assert is_signed_in(client) is alive


@pytest.mark.parametrize(
    ("method", "headers", "counts"),
    [
        ("get", {}, True),
        ("get", {"HX-Request": "true"}, False),
        ("get", {"HX-Request": "true", "HX-Boosted": "true"}, True),
        ("post", {"HX-Request": "true"}, True),
    ],
)
def test_what_a_page_asks_by_itself_is_no_use(alice, method, headers, counts):
    client = aged(browser(alice), seen=3600)
    before = SignInSession.objects.get().seen_at
    getattr(client, method)("/theme/" if method == "post" else "/accounts/sessions/", headers=headers)
    assert (SignInSession.objects.get().seen_at > before) is counts


# --- Notices ----------------------------------------------------------------------------------------------------------
def test_a_sign_in_on_a_new_device_is_mailed(alice, tasks_run):
    with tasks_run():
        first = browser(alice)
    assert mail.outbox == [], "the first sign-in ever is no news"
    with tasks_run():
        first.post("/accounts/logout/")
        first.post("/accounts/login/", SIGN_IN)
    assert mail.outbox == [], "this browser is known"
    with tasks_run():
        browser(alice, REMOTE_ADDR="192.0.2.9")
    assert mail.outbox == []
    tasks.send_notices()
    tasks.send_mails()
    [notice] = mail.outbox
    assert notice.to == [alice.email]
    assert "Firefox on Linux" in notice.body
    assert "192.0.2.9" in notice.body


# --- The log ----------------------------------------------------------------------------------------------------------
def test_sign_ins_and_failures_stand_in_the_log_of_each_workspace(alice, charlie, tasks_run, client):
    builders.Membership.objects.create(workspace=charlie.memberships.get().workspace, user=alice, role="viewer")
    with tasks_run():
        client.post("/accounts/login/", {**SIGN_IN, "password": "wrong"}, REMOTE_ADDR="192.0.2.1")
        client.post("/accounts/login/", {**SIGN_IN, "login": "nobody@example.com"}, REMOTE_ADDR="192.0.2.2")
    with tasks_run():
        client.post("/accounts/login/", SIGN_IN, REMOTE_ADDR="192.0.2.1")
        client.post("/accounts/logout/")
    entries = AuditEntry.objects.order_by("occurred_at").values_list("action", "workspace__name", "address")
    both = ("Alice Capital", "Elsewhere")
    assert sorted(entries, key=str) == sorted(
        [("sign-in failed", name, "192.0.2.1") for name in both]
        + [("sign-in failed", None, "192.0.2.2")]
        + [("signed in", name, "192.0.2.1") for name in both]
        + [("signed out", name, "127.0.0.1") for name in both],
        key=str,
    )
    assert "nobody@example.com" not in str(AuditEntry.objects.values())


# --- Headers ----------------------------------------------------------------------------------------------------------
def test_private_pages_are_not_kept_and_signing_out_clears(alice, client):
    client.force_login(alice)
    page = client.get("/accounts/sessions/")
    assert "no-store" in page.headers["Cache-Control"]
    assert "camera=()" in page.headers["Permissions-Policy"]
    assert "base-uri 'none'" in page.headers["Content-Security-Policy"]
    assert "Clear-Site-Data" not in page.headers
    assert client.get("/accounts/logout/").headers.get("Clear-Site-Data") is None
    assert '"cache"' in client.post("/accounts/logout/").headers["Clear-Site-Data"]
    assert "camera=()" in client.get("/nowhere/").headers["Permissions-Policy"]


def test_changed_limits_hold_for_sessions_that_exist(alice, settings, time_machine):
    client = browser(alice)
    settings.SESSION_COOKIE_AGE = 3600
    time_machine.move_to(timezone.now() + timedelta(seconds=3601))
    assert not is_signed_in(client)


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("", "Unknown program"),
        ("curl/8", "Unknown program"),
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64) Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/130.0 Mobile Safari/537.36", "Chrome on Android"),
    ],
)
def test_devices_have_names_that_people_know(agent, name):
    assert device_name(agent) == name


def test_ending_the_sessions_of_somebody_returns_how_many(alice, bob):
    for person in (alice, alice, bob):
        browser(person)
    assert sessions.end_others(alice) == 2
    assert SignInSession.objects.get().user == bob
