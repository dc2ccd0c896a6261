"""A stored token goes only where it was typed for, and a test of a connection is no eye into the network."""

import http.server
import threading

import pytest
from django.db import connections

from copying.client import ClientError, Unauthorised
from tests import builders
from users.models import AuditEntry, Connection
from users.services import change_connection, check_connection

ADDRESS = "https://copying.example.com"
FORM = {"name": "Backend", "is_enabled": "on"}


@pytest.fixture
def connection(workspace):
    return builders.connection(workspace, base_url=ADDRESS, token="aaa.bbb.cccd", token_hint="cccd")


@pytest.fixture
def listener():
    """A server of this machine that keeps what it is sent and answers with an error of its own words."""

    class Keeps(http.server.BaseHTTPRequestHandler):
        received = []

        def do_GET(self):
            self.received.append(dict(self.headers))
            body = b'{"id": 1, "error": "Inner", "message": "INNER SECRET"}'
            self.send_response(400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keeps)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.received = Keeps.received
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "https://elsewhere.example.com"},
        {"base_url": "http://copying.example.com"},
        {"base_url": f"{ADDRESS}:8443"},
        {"base_url": f"{ADDRESS}/other"},
        {"base_url": "", "domain": "example.com"},
    ],
)
def test_another_address_needs_the_token_again(sign_in, alice, connection, change):
    client = sign_in(alice)
    path = f"/settings/connections/{connection.pk}/"
    form = {**FORM, "base_url": ADDRESS, **change}
    refused = client.post(path, form)
    assert refused.status_code == 422
    assert "type the token for it" in refused.content.decode()
    connection.refresh_from_db()
    assert connection.base_url == ADDRESS
    assert client.post(path, {**form, "token": "new.secret.token"}).status_code == 302
    connection = Connection.objects.get()
    assert (connection.token, connection.token_hint) == ("new.secret.token", "oken")
    connection.client().close()
    assert "new.secret" not in client.get(path).content.decode()
    entry = AuditEntry.objects.get(action="connection changed")
    assert "secret" not in str(entry.details)
    assert entry.details["before"] == ADDRESS


@pytest.mark.parametrize(
    "change", [{"name": "Other"}, {"is_enabled": ""}, {"base_url": f"{ADDRESS}/"}, {"domain": "x.org"}]
)
def test_what_leads_nowhere_else_needs_no_token(sign_in, alice, connection, change):
    form = {**FORM, "base_url": ADDRESS, **change}
    assert sign_in(alice).post(f"/settings/connections/{connection.pk}/", form).status_code == 302
    connection = Connection.objects.get()
    assert connection.token == "aaa.bbb.cccd"
    connection.client().close()


def test_the_token_stays_at_home_however_the_address_was_changed(connection, listener):
    there = f"http://127.0.0.1:{listener.server_port}"
    Connection.objects.filter(pk=connection.pk).update(base_url=there)
    changed = Connection.objects.get()
    with pytest.raises(Unauthorised, match="type its token again"):
        changed.client()
    change_connection(changed, name="x", base_url=there, domain="", is_enabled=True)
    assert not check_connection(Connection.objects.get()).is_ok
    changed.base_url = there + "/"
    changed.save()
    with pytest.raises(ClientError):
        Connection.objects.get().client()
    assert listener.received == []
    change_connection(changed, name="x", base_url=there, domain="", is_enabled=True, token="new.token")
    check_connection(Connection.objects.get())
    assert [headers["auth-token"] for headers in listener.received] == ["new.token"]


def test_a_test_repeats_nothing_that_a_server_said(workspace, listener):
    backend = builders.connection(workspace, base_url=f"http://127.0.0.1:{listener.server_port}")
    answering = check_connection(backend)
    silent = check_connection(builders.connection(workspace, base_url="http://127.0.0.1:9"))
    no_tls = check_connection(builders.connection(workspace, base_url=f"https://127.0.0.1:{listener.server_port}"))
    assert "INNER" not in answering.text
    assert silent.text == no_tls.text
    assert [check.is_ok for check in (answering, silent, no_tls)] == [False] * 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "https://user:password@copying.example.com"),
        ("base_url", "https://user@copying.example.com"),
        ("base_url", "https://@copying.example.com"),
        ("base_url", "https://copying.example.com/?x=1"),
        ("base_url", "https://copying.example.com/#x"),
        ("domain", "x@127.0.0.1:8443/"),
        ("domain", "example.com/path"),
        ("domain", "example.com:8443"),
        ("domain", "-example.com"),
        ("domain", "example..com"),
        ("domain", "ex ample.com"),
    ],
)
def test_only_plain_addresses_and_domains_are_taken(sign_in, alice, connection, field, value):
    client = sign_in(alice)
    form = {**FORM, "base_url": "", "token": "x.y.z", field: value}
    assert client.post("/settings/connections/new/", form).status_code == 422
    assert client.post(f"/settings/connections/{connection.pk}/", form).status_code == 422
    assert Connection.objects.get().base_url == ADDRESS


def test_domains_are_taken_in_any_case(sign_in, alice):
    form = {**FORM, "domain": "Agiliumtrade.Agiliumtrade.AI", "token": "x.y.z"}
    assert sign_in(alice).post("/settings/connections/new/", form).status_code == 302
    assert Connection.objects.get().domain == "agiliumtrade.agiliumtrade.ai"


def test_a_backend_is_connected_once_however_often_it_is_asked(sign_in, alice, connection):
    client = sign_in(alice)
    form = {**FORM, "name": "Again", "base_url": f"{ADDRESS}/v2", "token": "aaa.bbb.cccd"}
    answer = client.post("/settings/connections/new/", form)
    assert answer.status_code == 422
    assert "“Backend” is connected with this token already" in answer.content.decode()
    other = builders.connection(connection.workspace, base_url="https://elsewhere.example.com", token="other")
    replaced = client.post(f"/settings/connections/{other.pk}/token/", {"token": "aaa.bbb.cccd"})
    moved = client.post(f"/settings/connections/{other.pk}/", form)
    assert [replaced.status_code, moved.status_code] == [422, 422]
    assert "nothing is mirrored twice" in replaced.content.decode()
    assert "nothing is mirrored twice" in moved.content.decode()
    assert Connection.objects.get(pk=connection.pk).token_hint == "cccd"
    assert Connection.objects.get(pk=other.pk).token == "other"
    own = client.post(f"/settings/connections/{connection.pk}/token/", {"token": "aaa.bbb.cccd"})
    assert own.status_code == 302  # its own token once more


@pytest.mark.django_db(transaction=True)
def test_two_tabs_connect_one_backend(sign_in, alice, workspace):
    start, answers = threading.Barrier(2), []

    def send():
        client = sign_in(alice)
        start.wait(10)
        form = {**FORM, "base_url": ADDRESS, "token": "aaa.bbb.cccd"}
        answers.append(client.post("/settings/connections/new/", form).status_code)
        connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == [302, 422]
    assert Connection.objects.count() == 1


def test_clients_of_one_token_share_what_they_know_of_its_regions(workspace):
    connection = builders.connection(workspace, base_url="", domain="shared.test", token="one.token")
    other = builders.connection(workspace, base_url="", domain="shared.test", token="other.token")
    with connection.client() as first, connection.client() as second, other.client() as third:
        assert first._regions.known is second._regions.known
        assert first._regions.known is not third._regions.known
        assert first._regions.domain == "shared.test"
