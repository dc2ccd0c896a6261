"""Machines show that they live and how right their clocks are; metrics and the doctor tell of them."""

from __future__ import annotations

import json
import socket
import time
from io import StringIO

import pytest
import redis
from django.core.management import call_command
from django.utils import timezone

from copyportal import heartbeats, hosts, metrics
from copyportal.management.commands import doctor
from jobs.models import Job
from reporting.models import SyncKind, SyncState
from tests import builders

pytestmark = pytest.mark.django_db(transaction=True)
HERE = socket.gethostname()


@pytest.fixture
def server(settings):
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client


@pytest.fixture(autouse=True)
def _nobody_yet(server, monkeypatch):
    server.delete(hosts._key())
    monkeypatch.setattr(hosts, "_told", {})


@pytest.fixture
def warnings(monkeypatch):
    lines = []

    def warn(event, **facts):
        lines.append((event, facts))

    monkeypatch.setattr(hosts.log, "warning", warn, raising=False)
    return lines


def clock_off_by(seconds: float, monkeypatch) -> None:
    right = time.time
    monkeypatch.setattr(hosts.time, "time", lambda: right() + seconds)


def plant(server, field: str, *, ago: float = 0.0, skew: float = 0.0) -> None:
    seconds, _ = server.time()
    server.hset(hosts._key(), field, json.dumps({"at": seconds - ago, "skew": skew}))


def test_a_machine_that_lives_and_is_right_is_no_news(server, client, warnings):
    heartbeats.beat_for("worker")
    heartbeats.beat_for("beat")
    hosts.show("worker")
    (sign,) = hosts.signs(server)
    assert (sign.kind, sign.host, sign.is_late, sign.is_clock_off) == ("worker", HERE, False, False)
    assert "hosts" not in client.get("/readyz").json()["parts"]
    assert warnings == []


@pytest.mark.parametrize(("seconds", "words"), [(3600, "ahead of"), (-3600, "behind")])
def test_a_clock_that_is_off_is_told_once_and_its_return_too(server, client, warnings, monkeypatch, seconds, words):
    with monkeypatch.context() as wrong:
        clock_off_by(seconds, wrong)
        hosts.show("worker")
        hosts.show("worker")
    (line,) = warnings
    assert "clock is off" in line[0]
    assert line[1]["direction"].startswith(words)
    answer = client.get("/readyz").json()
    assert answer["status"] == "degraded"
    assert answer["parts"]["hosts"]["why"] == "the clock of a machine that runs worker is off: set it by a time server"
    assert HERE not in json.dumps(answer)
    hosts.show("worker")
    assert [event for event, _ in warnings[1:]] == ["this machine's clock is right again"]
    assert hosts.trouble_of(hosts.signs(server)) == ""


@pytest.mark.parametrize(("skew", "is_off"), [(1.9, False), (2.0, False), (2.1, True), (-2.0, False), (-2.1, True)])
def test_two_seconds_are_allowed(server, skew, is_off):
    plant(server, "web@other", skew=skew)
    assert [sign.is_clock_off for sign in hosts.signs(server)] == [is_off]


@pytest.mark.parametrize(("ago", "is_listed", "is_late"), [(5, True, False), (60, True, True), (700, False, False)])
def test_one_of_two_machines_that_is_gone_is_seen_and_forgotten_in_the_end(server, client, ago, is_listed, is_late):
    hosts.show("worker")
    plant(server, "worker@gone", ago=ago)
    assert any(sign.host == "gone" for sign in hosts.signs(server)) is is_listed
    assert ("hosts" in client.get("/readyz").json()["parts"]) is is_late


def test_a_machine_that_stops_in_order_is_not_missed(server):
    stopped = hosts.begin("web")
    end = time.monotonic() + 30
    while not hosts.signs(server) and time.monotonic() < end:
        pass
    assert [sign.kind for sign in hosts.signs(server)] == ["web"]
    stopped.set()
    hosts.forget("web")
    assert hosts.trouble_of(hosts.signs(server)) == ""


# --- Metrics ----------------------------------------------------------------------------------------------------------
def test_without_the_token_there_is_no_such_address(client, settings):
    for token, sent in (("", "Bearer "), ("", ""), ("secret", ""), ("secret", "Bearer other"), ("secret", "secret")):
        settings.METRICS_TOKEN = token
        assert client.get("/metrics", headers={"Authorization": sent}).status_code == 404


def test_metrics_tell_of_syncs_jobs_and_machines(client, settings, workspace, server):
    settings.METRICS_TOKEN = "secret"
    linked, now = builders.connection(workspace), timezone.now()
    SyncState.objects.create(
        connection=linked, kind=SyncKind.PROVIDED, due_at=now, last_success_at=now, failures=2, rows_total=7
    )
    SyncState.objects.create(connection=linked, kind=SyncKind.LOGS, due_at=now)
    Job.objects.create(workspace=workspace, kind="export", title="x", due_at=now, created_at=now, key="k")
    plant(server, 'web@a"b\\c', skew=1.5)
    heartbeats.beat_for("worker")
    answer = client.get("/metrics", headers={"Authorization": "Bearer secret"})
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = answer.content.decode().splitlines()
    assert f'copyportal_sync_failures{{connection="{linked.pk}",kind="provided"}} 2.0' in lines
    assert f'copyportal_sync_rows_total{{connection="{linked.pk}",kind="provided"}} 7.0' in lines
    assert 'copyportal_jobs{kind="export",state="queued"} 1.0' in lines
    assert 'copyportal_host_clock_skew_seconds{process="web",host="a\\"b\\\\c"} 1.5' in lines
    assert 'copyportal_up{part="database"} 1.0' in lines
    assert "# TYPE copyportal_sync_rows_total counter" in lines
    ages = [line for line in lines if line.startswith("copyportal_sync_age_seconds")]
    assert len(ages) == 1, "what never succeeded has no age"


def test_metrics_of_what_answers_are_told_when_the_other_is_away(monkeypatch, settings):
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    text = "".join(metrics.lines())
    assert 'copyportal_up{part="redis"} 0.0' in text
    assert 'copyportal_up{part="database"} 1.0' in text
    assert "copyportal_database_bytes" in text


# --- Doctor -----------------------------------------------------------------------------------------------------------
def run_doctor() -> tuple[int, str]:
    """(exit code, what it printed)."""
    out = StringIO()
    try:
        call_command("doctor", stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_the_doctor_names_machines_and_what_to_do(server):
    plant(server, "web@first")
    plant(server, "beat@first", ago=110)
    plant(server, "worker@second", skew=3600)
    code, text = run_doctor()
    assert code == 1
    assert "ok  web on first: alive" in text
    assert "wrong  beat on first: no sign of life for 1" in text
    assert "wrong  worker on second: its clock is +3600.0 s off: set it by a time server" in text
    assert "database: PostgreSQL" in text


def test_the_doctor_finds_nothing_where_nothing_is_wrong(server, monkeypatch):
    for kind in ("web", "worker", "beat"):
        plant(server, f"{kind}@first")
    monkeypatch.setattr(doctor, "look_at_settings", lambda: iter([(doctor.OK, "settings: complete and safe")]))
    monkeypatch.setattr(doctor, "look_at_files", lambda: iter(()))
    monkeypatch.setattr(doctor.watch, "number_unwell", lambda _: 0)
    wrong = [line for line in run_doctor()[1].splitlines() if line.startswith("wrong")]
    assert [line for line in wrong if "maxmemory-policy" not in line] == []


def test_the_doctor_says_what_does_not_answer(settings, monkeypatch):
    settings.REDIS_URL = "redis://:secret-word@127.0.0.1:9/0"
    code, text = run_doctor()
    assert code == 1
    assert "Redis: does not answer" in text
    assert "secret-word" not in text
