"""Workers that are killed with kill -9 in the middle of jobs: no slice is lost, none is done twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.db import connection as database
from django.utils import timezone

from jobs import services
from jobs.models import Job
from tests import builders
from tests.faults import counting_jobs
from users.models import AuditEntry

KILLS = 3
WORKER = """
import time, django
django.setup()
from jobs import kinds, run
from tests.faults import counting_jobs
for key in set(kinds.KINDS) - {{"counting"}}:
    del kinds.KINDS[key]
until = time.monotonic() + {seconds}
while time.monotonic() < until:
    run.run_due(budget_s=2, turn_s=0.1)
    time.sleep(0.02)
"""
pytestmark = pytest.mark.django_db(transaction=True)


def start_worker(seconds: float = 150) -> subprocess.Popen:
    """A process that carries jobs out on the tests' database."""
    address = database.get_connection_params()
    host, port = quote(str(address.get("host") or ""), safe=""), address.get("port") or ""
    who = quote(address.get("user") or "") + (f":{quote(address['password'])}" if address.get("password") else "")
    url = f"postgresql://{who}@/{address['dbname']}?host={host}" + (f"&port={port}" if port else "")
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "copyportal.settings"}
    return subprocess.Popen([sys.executable, "-c", WORKER.format(seconds=seconds)], env=environment)


def kill(worker: subprocess.Popen) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.wait()


def wait(condition: Callable[[], bool], within_s: float = 120) -> None:
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("seed", [1])
def test_workers_killed_at_random_lose_and_double_nothing(seed, monkeypatch):
    monkeypatch.setattr(services, "wake", lambda: None)
    chance, jobs = random.Random(seed), []
    for name in ("First", "Second"):
        person = builders.member(builders.workspace(name=name), f"{name.lower()}-{seed}", "owner")
        membership = person.memberships.select_related("workspace", "user").get()
        for _ in range(2):
            jobs.append(services.ask("counting", membership, title="Count", now=timezone.now()))
    for _ in range(KILLS):
        worker, before = start_worker(), AuditEntry.objects.count()
        wait(lambda before=before: AuditEntry.objects.count() > before)
        time.sleep(chance.uniform(0, 0.2))
        kill(worker)
        assert_whole_slices()
        past = timezone.now() - timedelta(minutes=1)
        Job.objects.filter(lease_until__isnull=False).update(lease_until=past)  # twelve seconds pass
    assert Job.objects.unfinished().exists(), "killed in the middle"
    worker = start_worker()
    wait(lambda: not Job.objects.unfinished().exists())
    kill(worker)
    assert {job.state for job in Job.objects.all()} == {"done"}
    assert_whole_slices()
    assert AuditEntry.objects.filter(action="counted").count() == len(jobs) * counting_jobs.SLICES


def assert_whole_slices() -> None:
    """The entries of each job are exactly those that its row stands for."""
    for job in Job.objects.all():
        own = AuditEntry.objects.filter(action="counted", subject__startswith=f"{job.pk}:")
        numbers = sorted(int(entry.subject.partition(":")[2]) for entry in own)
        assert numbers == list(range(job.done))


def test_another_worker_takes_over_once_the_lease_has_ended(monkeypatch):
    monkeypatch.setattr(services, "wake", lambda: None)
    membership = builders.member(builders.workspace(), "owner", "owner").memberships.select_related("user").get()
    job = services.ask("counting", membership, title="Count", now=timezone.now())
    first = start_worker()
    wait(AuditEntry.objects.exists)
    kill(first)
    job.refresh_from_db()
    if job.lease_until is None:
        pytest.skip("killed between two turns: nothing to take over")
    began = job.turn_at
    second = start_worker()
    wait(lambda: not Job.objects.unfinished().exists())
    kill(second)
    job.refresh_from_db()
    assert timedelta(seconds=1) < job.turn_at - began < timedelta(seconds=100), "starting a worker included"
    assert AuditEntry.objects.filter(action="counted").count() == counting_jobs.SLICES
