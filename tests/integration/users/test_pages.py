"""Pages of people and settings, tried as Alice (owner), Bob (viewer), Charlie (stranger), Dora (subscriber), nobody."""

import pytest

from tests import builders
from users.models import Connection, User, Workspace
from users.services import ConnectionCheck

PAGES = ["/settings/", "/settings/members/", "/settings/connections/"]


@pytest.fixture
def connection(workspace):
    return builders.connection(workspace, name="Backend one", token="aaa.bbb.cccd", token_hint="cccd")


@pytest.mark.parametrize("path", PAGES)
def test_settings_are_shown_to_staff_and_to_nobody_else(path, sign_in, alice, bob, dora):
    assert sign_in(alice).get(path).status_code == 200
    assert sign_in(bob).get(path).status_code == 200
    assert sign_in(dora).get(path).status_code == 404
    assert sign_in(None).get(path).headers["Location"].startswith("/accounts/login/")


def test_a_stranger_sees_only_their_own_workspace(sign_in, charlie, connection):
    page = sign_in(charlie).get("/settings/connections/").content.decode()
    assert "Backend one" not in page
    assert "Elsewhere" in page


def test_one_connection_is_the_owners_alone(sign_in, alice, bob, charlie, dora, connection):
    path = f"/settings/connections/{connection.pk}/"
    assert sign_in(alice).get(path).status_code == 200
    assert sign_in(bob).get(path).status_code == 403
    assert sign_in(charlie).get(path).status_code == 404
    assert sign_in(dora).get(path).status_code == 404
    assert sign_in(None).get(path).status_code == 302


def test_a_token_goes_in_and_never_comes_out(sign_in, alice, connection):
    client = sign_in(alice)
    path = f"/settings/connections/{connection.pk}/"
    assert client.post(f"{path}token/", {"token": "new.secret.tokenwxyz"}).status_code == 302
    page = client.get(path).content.decode()
    assert "····wxyz" in page
    assert "new.secret" not in page
    assert Connection.objects.get(pk=connection.pk).token == "new.secret.tokenwxyz"


def test_a_token_with_spaces_is_refused_and_nothing_changes(sign_in, alice, connection):
    answer = sign_in(alice).post(f"/settings/connections/{connection.pk}/token/", {"token": "not a token"})
    assert answer.status_code == 422
    assert "no spaces" in answer.content.decode()
    assert Connection.objects.get(pk=connection.pk).token == "aaa.bbb.cccd"


def test_the_owner_connects_a_backend(sign_in, alice, workspace):
    given = {"name": "Second", "base_url": "https://copying.example.com/", "token": "x.y.z", "is_enabled": "on"}
    answer = sign_in(alice).post("/settings/connections/new/", given)
    made = Connection.objects.get(workspace=workspace)
    assert answer.headers["Location"] == f"/settings/connections/{made.pk}/"
    assert (made.base_url, made.token_hint) == ("https://copying.example.com", ".y.z"[-4:])


def test_a_connection_needs_an_address_or_a_domain(sign_in, alice):
    answer = sign_in(alice).post("/settings/connections/new/", {"name": "Second", "token": "x.y.z"})
    assert answer.status_code == 422
    assert "Give an address" in answer.content.decode()


def test_the_test_button_says_what_the_backend_answered(sign_in, alice, connection, monkeypatch):
    found = ConnectionCheck(is_ok=False, text="The backend refused the token.")
    monkeypatch.setattr("users.services.check_connection", lambda connection: found, raising=False)
    path = f"/settings/connections/{connection.pk}/test/"
    part = sign_in(alice).post(path, headers={"HX-Request": "true"}).content.decode()
    assert "The backend refused the token." in part
    assert "<html" not in part
    assert sign_in(alice).post(path, follow=True).content.decode().count("The backend refused the token.") == 1


def test_only_the_owner_changes_the_workspace(sign_in, alice, bob, workspace):
    given = {"name": "New name", "timezone": "Europe/Vienna", "reporting_currency": "eur", "accent": "teal"}
    assert sign_in(bob).post("/settings/", given).status_code == 403
    assert sign_in(alice).post("/settings/", given).status_code == 302
    workspace.refresh_from_db()
    assert (workspace.name, workspace.reporting_currency) == ("New name", "EUR")
    assert sign_in(alice).post("/settings/", {**given, "reporting_currency": "€uro"}).status_code == 422


def test_a_theme_is_kept_for_the_person_and_before_the_first_paint(sign_in, alice):
    client = sign_in(alice)
    answer = client.post("/theme/", {"theme": "dark", "next": "/settings/members/"})
    assert answer.headers["Location"] == "/settings/members/"
    assert 'data-bs-theme="dark"' in client.get("/settings/").content.decode()
    alice.refresh_from_db()
    assert alice.theme == "dark"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"]
)
def test_a_theme_form_never_leads_away(client, db, elsewhere):
    assert client.post("/theme/", {"theme": "", "next": elsewhere}).headers["Location"] == "/"


def test_one_switches_only_to_workspaces_one_is_a_member_of(sign_in, alice, charlie, workspace):
    other = charlie.memberships.get().workspace
    assert sign_in(alice).post(f"/switch/{other.pk}/").status_code == 404
    other.memberships.create(user=alice, role="viewer")
    client = sign_in(alice)
    assert client.post(f"/switch/{other.pk}/").status_code == 302
    assert "Viewer of Elsewhere" in client.get("/settings/").content.decode()


# --- The first start --------------------------------------------------------------------------------------------------
OWNER = {"workspace": "Northgate", "name": "Ann", "email": "Ann@Example.com", "password": "a-long-enough-password"}


def test_the_first_page_of_an_empty_installation_makes_the_owner(client, db, settings):
    settings.BACKEND_URL, settings.BACKEND_TOKEN = "http://127.0.0.1:9", "a.b.c"
    assert client.get("/accounts/login/").headers["Location"] == "/setup/"
    assert "127.0.0.1:9" in client.get("/setup/").content.decode()
    assert client.post("/setup/", OWNER).status_code == 302
    assert User.objects.get().email == "ann@example.com"
    assert Workspace.objects.get().connections.get().base_url == "http://127.0.0.1:9"
    assert "Owner of Northgate" in client.get("/settings/").content.decode()


def test_a_weak_password_is_refused_in_the_set_up(client, db):
    answer = client.post("/setup/", {**OWNER, "password": "password"})
    assert answer.status_code == 422
    assert not User.objects.exists()


def test_with_anybody_there_the_set_up_does_not_exist(client, alice):
    assert client.get("/setup/").status_code == 404
    assert client.post("/setup/", OWNER).status_code == 404


# --- Signing in -------------------------------------------------------------------------------------------------------
def test_signing_in_and_out(client, alice):
    assert client.post("/accounts/login/", {"login": alice.email, "password": builders.PASSWORD}).status_code == 302
    assert client.get("/settings/").status_code == 200
    assert client.post("/accounts/logout/").status_code == 302
    assert client.get("/settings/").status_code == 302


def test_a_wrong_password_does_not_say_which_part_was_wrong(client, alice):
    known = client.post("/accounts/login/", {"login": alice.email, "password": "wrong"}).content.decode()
    unknown = client.post("/accounts/login/", {"login": "nobody@example.com", "password": "wrong"}).content.decode()
    assert 'role="alert"' in known
    assert known.count("not correct") == unknown.count("not correct") == 1


@pytest.mark.parametrize("path", ["login/", "password/reset/", "password/reset/done/", "signup/", "inactive/"])
def test_pages_for_nobody_are_ours(client, alice, path):
    page = client.get(f"/accounts/{path}").content.decode()
    assert "lone-card" in page


def test_passwords_are_changed_with_the_old_one(sign_in, alice):
    client = sign_in(alice)
    assert "lone-card" not in client.get("/accounts/password/change/").content.decode()
    given = {"oldpassword": builders.PASSWORD, "password1": "another-long-one-9", "password2": "another-long-one-9"}
    assert client.post("/accounts/password/change/", given).status_code == 302
    alice.refresh_from_db()
    assert alice.check_password("another-long-one-9")


@pytest.mark.parametrize(("proxies", "address"), [(0, "127.0.0.1"), (1, "203.0.113.7")])
def test_logs_name_the_address_that_trusted_proxies_saw(client, db, settings, monkeypatch, proxies, address):
    settings.TRUSTED_PROXIES = proxies
    bound = {}
    monkeypatch.setattr("structlog.contextvars.bind_contextvars", lambda **values: bound.update(values))
    client.get("/accounts/password/reset/", headers={"X-Forwarded-For": "198.51.100.9, 203.0.113.7"})
    assert bound["ip"] == address
