"""A backend that is away or unwell is told: to the log once, to /readyz, to every page of those whom it concerns."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import httpx
import pytest
import redis
from cryptography.fernet import Fernet

from copying.client import Client, NotFound, RateLimited
from copyportal import heartbeats, watch
from tests import builders

pytestmark = pytest.mark.django_db(transaction=True)  # /readyz looks with a connection of its own
AWAY = ("Cannot reach the backend “Backend”: no answer.", False)
LATE = ("Records are 12 seconds behind the journal.", True)
WELL = ("", True)


@pytest.fixture
def answers():
    """What each address answers, set by a test."""
    return {}


@pytest.fixture
def watching(settings, answers, workspace, monkeypatch):
    settings.CACHES["default"]["KEY_PREFIX"] = "test-watch"
    builders.connection(workspace, base_url="http://127.0.0.1:9")
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        yield watch.BackendWatch(server, lambda backend: answers.get(backend.base_url, WELL))
        server.delete(*(watch._key(name) for name in ("backends", "unwell")))


@pytest.fixture
def lines(monkeypatch):
    """What the log is told as a warning."""
    written = []
    monkeypatch.setattr(watch.log, "warning", lambda event, **values: written.append((event, values)), raising=False)
    return written


def page(client):
    return client.get("/strategies/").content.decode()


def test_an_answer_that_misses_twice_is_told_everywhere_and_once(watching, answers, lines, client, alice, bob):
    heartbeats.beat_for("worker")
    heartbeats.beat_for("beat")
    client.force_login(alice)
    watching.look(now=100)
    assert watch.number_unwell(watching._redis) == 0
    assert "is not well" not in page(client)
    answers["http://127.0.0.1:9"] = AWAY
    watching.look(now=103)
    assert lines == [], "a restart is no news"
    for now in (106, 109, 112):
        watching.look(now=now)
    assert [event for event, _ in lines] == ["backend is not well"]
    assert lines[0][1]["reason"] == AWAY[0]
    readyz = client.get("/readyz").json()
    assert readyz["status"] == "degraded"
    assert not readyz["parts"]["backend"]["ok"]
    assert "127.0.0.1" not in str(readyz)
    assert "Backend is not well: Cannot reach the backend" in page(client)
    part = client.get("/sync/freshness/", headers={"HX-Request": "true"}).content.decode()
    assert 'hx-swap-oob="true"' in part
    assert "Backend is not well" in part
    client.force_login(bob)
    assert "Backend is not well" in page(client)
    del answers["http://127.0.0.1:9"]
    watching.look(now=115)
    watching.look(now=118)
    assert [event for event, _ in lines] == ["backend is not well", "backend is well again"]
    assert lines[1][1]["after_seconds"] == 12
    assert "is not well" not in page(client)


def test_what_a_backend_says_itself_is_told_at_once(watching, answers, lines):
    answers["http://127.0.0.1:9"] = LATE
    watching.look()
    assert [values["reason"] for _, values in lines] == [LATE[0]]
    assert watch.number_unwell(watching._redis) == 1


def test_strangers_learn_nothing_and_clients_only_of_their_own(watching, answers, client, workspace, charlie, dora):
    other = builders.connection(workspace, base_url="http://127.0.0.1:10", name="Second Capital")
    answers["http://127.0.0.1:10"] = LATE
    watching.look()
    client.force_login(charlie)
    assert "Second Capital" not in client.get("/", follow=True).content.decode()
    client.force_login(dora)
    assert "interrupted" not in client.get("/me/", follow=True).content.decode()
    builders.subscriber(other, access=dora)
    text = client.get("/me/", follow=True).content.decode()
    assert "Copying is interrupted" in text
    assert "Second Capital is not well" not in text


def test_one_address_is_asked_once_for_all_its_connections(watching, workspace, settings):
    builders.connection(workspace, token="d.e.f")
    builders.connection(workspace, base_url="", domain="example.test")
    builders.connection(workspace, base_url="http://127.0.0.1:11", is_enabled=False)
    asked = []
    watching._ask = lambda backend: asked.append(backend.base_url) or WELL
    watching.look()
    assert asked == ["http://127.0.0.1:9"]


def test_without_a_watch_nothing_is_said(watching):
    assert watch.number_unwell(watching._redis) is None
    assert watch.unwell_of(1, watching._redis) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"status": "ok", "sequence": 1}', WELL),
        (b'{"status": "degraded", "message": "Slow. See http://10.0.0.1/x"}', ("Slow. See …", True)),
        (b'{"status": "degraded", "message": 5}', WELL),
        (b"<html>", WELL),
        (b"[1]", WELL),
    ],
)
def test_the_answers_of_backends_are_understood(workspace, monkeypatch, body, expected):
    monkeypatch.setattr(Client, "get_bytes", lambda *_: body)
    assert watch.ask(builders.connection(workspace)) == expected


@pytest.mark.parametrize("error", [NotFound("no such call"), RateLimited("later", None)])
def test_a_backend_without_health_is_there(workspace, monkeypatch, error):
    def refuse(*_):
        raise error

    monkeypatch.setattr(Client, "get_bytes", refuse)
    assert watch.ask(builders.connection(workspace)) == WELL


def test_a_port_that_nobody_listens_on_is_no_answer(workspace):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        why, has_answered = watch.ask(
            builders.connection(workspace, base_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        )
    assert not has_answered
    assert "“Backend”" in why


def test_nobody_learns_how_others_call_the_same_backend(watching, answers, workspace):
    other = builders.connection(builders.workspace(), name="Second firm")
    answers["http://127.0.0.1:9"] = AWAY
    for now in (100, 103):
        watching.look(now=now)
    [line] = watch.unwell_of(other.workspace_id, watching._redis)
    assert (line["name"], line["why"]) == ("Second firm", "Cannot reach the backend “Second firm”: no answer.")
    [line] = watch.unwell_of(workspace.pk, watching._redis)
    assert line["why"] == AWAY[0]


@pytest.mark.parametrize("order", [[LATE, AWAY, LATE], [LATE, AWAY, AWAY, AWAY], [AWAY, LATE, AWAY]])
def test_another_reason_is_no_other_news(watching, answers, lines, workspace, order):
    for number, answer in enumerate(order):
        answers["http://127.0.0.1:9"] = answer
        watching.look(now=100 + 3 * number)
        is_told = bool(watch.unwell_of(workspace.pk, watching._redis))
        assert is_told is (number > 0 or answer == LATE)
    assert [event for event, _ in lines] == ["backend is not well"]
    answers["http://127.0.0.1:9"] = WELL
    watching.look(now=130)
    assert lines[-1] == ("backend is well again", {"backend": "Backend", "after_seconds": 30})


def test_backends_that_hang_do_not_delay_the_others(watching, answers, workspace):
    builders.connection(workspace, base_url="http://127.0.0.1:10")
    answers["http://127.0.0.1:9"] = AWAY
    watching.look()
    asked = []
    watching._pool = SimpleNamespace(map=lambda ask, backends: [asked.append(b.base_url) or WELL for b in backends])
    watching.look()
    assert asked == ["http://127.0.0.1:10", "http://127.0.0.1:9"]


def test_no_token_is_sent_or_needed(workspace, settings, monkeypatch):
    """What one workspace has typed, or with which key it was stored, is nothing to the others at its address."""
    requests = []
    transport = httpx.MockTransport(lambda request: requests.append(request) or httpx.Response(503))
    monkeypatch.setitem(watch.CLIENT, "transport", transport)
    settings.CACHES["default"]["KEY_PREFIX"] = "test-watch-token"
    builders.connection(workspace, token_destination="elsewhere")
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        watch.BackendWatch(server).look()
        [line] = watch.unwell_of(workspace.pk, server)
        server.delete(*(watch._key(name) for name in ("backends", "unwell")))
    assert "answered 503" in line["why"]
    assert [(request.url.path, "auth-token" in request.headers) for request in requests] == [("/healthz", False)]
