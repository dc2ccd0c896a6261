"""What a person types as a backend's address leads into no private network, unless the installation allows it."""

import importlib

import pytest
from django.apps import apps
from django.core.checks import run_checks

from copyportal import watch
from tests import builders
from tests.integration.users.test_connection_secrets import listener
from users.models import Connection
from users.services import check_connection

__all__ = ["listener"]
pytestmark = pytest.mark.django_db
FORM = {"name": "Backend", "is_enabled": "on"}
NEW = "/settings/connections/new/"


@pytest.fixture(autouse=True)
def nothing_is_allowed(settings):
    settings.PRIVATE_BACKENDS, settings.BACKEND_URL = [], ""


def test_a_test_asks_nothing_of_a_private_address(sign_in, alice, workspace, listener):
    dead = builders.connection(workspace, base_url="http://127.0.0.1:9")
    running = builders.connection(workspace, base_url=f"http://127.0.0.1:{listener.server_port}")
    unknown = builders.connection(workspace, base_url="http://nobody.invalid")
    texts = {check_connection(each).text for each in (dead, running, unknown)}
    assert len(texts) == 1
    assert "private network" in texts.pop()
    assert listener.received == []
    page = sign_in(alice).post(f"/settings/connections/{running.pk}/test/", headers={"HX-Request": "true"})
    assert "INNER" not in page.content.decode()
    assert watch.ask(running)[1] is watch.ask(dead)[1] is False
    assert watch.ask(running)[0] == watch.ask(dead)[0]
    assert listener.received == []


@pytest.mark.parametrize("allowed", ["127.0.0.0/8", "127.0.0.1:{port}", "http://127.0.0.1:{port}"])
def test_the_installation_allows_addresses(settings, workspace, listener, allowed):
    backend = builders.connection(workspace, base_url=f"http://127.0.0.1:{listener.server_port}")
    settings.PRIVATE_BACKENDS = [allowed.format(port=listener.server_port)]
    check_connection(backend)
    assert len(listener.received) == 1


def test_the_embedded_backend_is_allowed_and_the_port_beside_it_is_not(settings, workspace, listener):
    backend = builders.connection(workspace, base_url=f"http://127.0.0.1:{listener.server_port}")
    settings.BACKEND_URL = f"http://127.0.0.1:{listener.server_port + 1}"
    check_connection(backend)
    assert listener.received == []
    settings.BACKEND_URL = backend.base_url
    check_connection(backend)
    assert len(listener.received) == 1


@pytest.mark.parametrize(
    ("address", "is_taken"),
    [
        ("http://127.0.0.1:8001", False),
        ("http://[::ffff:10.0.0.1]:8001", False),
        ("http://169.254.169.254", False),
        ("https://172.31.255.255", False),
        ("https://172.32.0.0", True),
        ("https://copying.example.com", True),
        ("http://10.1.0.7:8001", True),
    ],
)
def test_the_form_refuses_what_it_can_see(settings, sign_in, alice, workspace, address, is_taken):
    settings.PRIVATE_BACKENDS = ["10.1.0.0/16"]
    form = {**FORM, "base_url": address, "token": "a.b.c", "once": "x"}
    answer = sign_in(alice).post(NEW, form)
    assert (answer.status_code == 302) is is_taken
    assert ("private network" in answer.content.decode()) is not is_taken


# --- The version before -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("address", "is_kept"),
    [
        ("http://127.0.0.1:8001", True),
        ("http://backend:8001", True),
        ("https://copying.internal", True),
        ("http://192.168.1.9/path", True),
        ("https://copying.example.com", False),
        ("https://8.8.8.8", False),
        ("", False),
    ],
)
def test_a_private_address_from_before_goes_on_and_no_other(workspace, address, is_kept):
    backend = builders.connection(workspace, base_url=address, domain="" if address else "example.com")
    importlib.import_module("users.migrations.0013_kept_private").keep_private(apps, None)
    backend = Connection.objects.get(pk=backend.pk)
    assert backend.kept_private == (address if is_kept else "")
    assert bool(backend.reach.hosts) is is_kept
    backend.base_url = "http://127.0.0.1:9999"
    assert not backend.reach.hosts


def test_its_page_stays_editable(sign_in, alice, workspace, listener):
    address = f"http://127.0.0.1:{listener.server_port}"
    backend = builders.connection(workspace, base_url=address, kept_private=address)
    path, client = f"/settings/connections/{backend.pk}/", sign_in(alice)
    assert client.post(path, {**FORM, "name": "Renamed", "base_url": address}).status_code == 302
    check_connection(Connection.objects.get())
    assert len(listener.received) == 1
    moved = client.post(path, {**FORM, "base_url": "http://127.0.0.1:9", "token": "a.b.c"})
    assert moved.status_code == 422


@pytest.mark.parametrize(("entries", "is_refused"), [(["10.0.0.0/8", "backend:8001"], False), (["backend"], True)])
def test_a_setting_that_is_no_address_is_refused(settings, entries, is_refused):
    settings.PRIVATE_BACKENDS = entries
    assert ("copyportal.E010" in {check.id for check in run_checks()}) is is_refused
