"""/healthz and /readyz tell the truth about each part and nothing else."""

import time

import pytest
import redis
from django.test import override_settings

from copyportal import health, heartbeats
from reporting.models import SyncKind, SyncState
from tests import builders

pytestmark = pytest.mark.django_db(transaction=True)  # it looks with a connection of its own


@pytest.fixture
def _alive():
    heartbeats.beat_for("worker")
    heartbeats.beat_for("beat")


@pytest.fixture
def succeeded_at(workspace):
    def sync(ago_seconds):
        from datetime import UTC, datetime, timedelta

        now = datetime.now(UTC)
        state = {"kind": SyncKind.values[0], "due_at": now}
        if ago_seconds is not None:
            state["last_success_at"] = now - timedelta(seconds=ago_seconds)
        SyncState.objects.create(connection=builders.connection(workspace), **state)

    return sync


def test_liveness_asks_nobody(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.usefixtures("_alive")
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_no_host_session_or_user_is_asked_for(client, alice, path, monkeypatch, django_assert_num_queries):
    client.force_login(alice)
    monkeypatch.setattr("django.contrib.sessions.backends.base.SessionBase._get_session", None)
    with django_assert_num_queries(0):
        answer = client.get(path, headers={"Host": "10.1.2.3:8000"})
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"


def test_what_nobody_expects_is_json_too(client, monkeypatch):
    monkeypatch.setattr(health, "_latest_successes", lambda: 1 / 0)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})


@pytest.mark.usefixtures("_alive")
def test_a_sign_from_the_future_is_not_well(client, monkeypatch):
    earlier = time.time() - 60
    monkeypatch.setattr(heartbeats.time, "time", lambda: earlier)
    worker = client.get("/readyz").json()["parts"]["worker"]
    assert not worker["ok"]
    assert "clock" in worker["why"]


@pytest.mark.usefixtures("_alive")
def test_all_parts_are_ready(client, succeeded_at):
    succeeded_at(10)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


@pytest.mark.usefixtures("_alive")
@pytest.mark.parametrize(("ago", "why"), [(None, "has never answered"), (3600, None)])
def test_a_silent_backend_degrades(client, succeeded_at, ago, why):
    succeeded_at(ago)
    answer = client.get("/readyz").json()
    assert answer["status"] == "degraded"
    assert not answer["parts"]["backend"]["ok"]
    assert answer["parts"]["backend"].get("why") == why


@pytest.mark.usefixtures("_alive")
@pytest.mark.parametrize(("clock", "ok"), [({}, True), ({"clock": ""}, True), ({"clock": "It is wrong."}, False)])
def test_a_backend_whose_clock_is_wrong_degrades(client, succeeded_at, clock, ok):
    succeeded_at(10)
    SyncState.objects.update(cursor=clock)
    part = client.get("/readyz").json()["parts"]["backend"]
    assert (part["ok"], "why" in part) == (ok, not ok)


@pytest.mark.usefixtures("_alive")
def test_a_late_worker_degrades_but_pages_are_served(client, monkeypatch):
    later = time.time() + 60
    monkeypatch.setattr(heartbeats.time, "time", lambda: later)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert {name: part["ok"] for name, part in answer.json()["parts"].items()} == {
        "database": True,
        "redis": True,
        "worker": False,
        "beat": False,
        "backend": True,
    }


@override_settings(REDIS_URL="redis://:secret-word@127.0.0.1:9/0")
def test_without_redis_it_is_unavailable_and_no_secret_is_told(client):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["parts"]["redis"] == {"ok": False, "why": "does not answer"}
    assert b"secret-word" not in answer.content


def test_without_database_it_is_unavailable(client, monkeypatch):
    import psycopg

    def refuse():
        raise psycopg.OperationalError("connection refused for user app")

    monkeypatch.setattr(health, "_latest_successes", refuse)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    assert b"refused" not in answer.content


def test_a_part_that_never_lived_is_told(client, settings):
    with redis.Redis.from_url(settings.REDIS_URL) as client_of_redis:
        client_of_redis.delete(heartbeats._key())
    assert client.get("/readyz").json()["parts"]["worker"] == {"ok": False, "why": "has given no sign of life"}
