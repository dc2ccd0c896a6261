"""Jobs in turns and slices: claimed once, fair, taken over, ended, tried again; asked twice is one."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone

from jobs import queue, run, services, upkeep
from jobs.kinds import KINDS, JobKind, JobStep, Result, register, staff
from jobs.leases import LeaseLost
from jobs.models import Job
from tests import builders
from users.models import AuditEntry, Membership

pytestmark = pytest.mark.django_db
PAST = timezone.now() - timedelta(days=1)


def state_of(job: Job) -> str:
    job.refresh_from_db()
    return job.state


def one_slice() -> int:
    """A turn of a single slice for whoever is next; 0: nobody."""
    lease = queue.claim_due()
    if lease is None:
        return 0
    run.run_turn(lease, stop_at=time.monotonic())
    return lease.job_id


def test_a_job_is_carried_out_and_says_what_came_of_it(asks, alice):
    job = asks(alice)
    assert run.run_due() == 1
    assert state_of(job) == "done"
    assert (job.done, job.total, job.message, job.result["href"]) == (3, 3, "All is counted.", "/")
    assert (job.attempts, job.lease_token, job.lease_until) == (0, None, None)
    assert job.created_at <= job.started_at <= job.finished_at
    assert run.run_due() == 0


def test_a_turn_ends_after_its_time_and_the_next_goes_on_there(asks, alice, seen):
    job = asks(alice, upto=4)
    for done in (1, 2, 3):
        assert one_slice() == job.pk
        assert (state_of(job), job.done, job.attempts, job.lease_token) == ("running", done, 0, None)
    one_slice()
    assert state_of(job) == "done"
    assert [number for _, number in seen] == [0, 1, 2, 3]


def test_asking_twice_with_a_key_is_one_job_and_others_have_their_own(asks, alice):
    carol = builders.member(Membership.objects.get(user=alice).workspace, "carol", "manager")
    first, again = asks(alice, key="form-1"), asks(alice, key="form-1", title="other")
    assert first.pk == again.pk
    assert asks(carol, key="form-1").pk != first.pk
    assert asks(alice, key="form-2").pk != first.pk
    assert asks(alice).pk != asks(alice).pk


@pytest.mark.parametrize(("upto", "patience_s", "rings"), [(1, 9, 0), (2, 0, 1)])
def test_what_a_request_begins_is_taken_from_it_by_no_worker_and_handed_on_at_once(
    upto, patience_s, rings, asks, alice, monkeypatch, django_capture_on_commit_callbacks
):
    rung = []
    monkeypatch.setattr(services, "wake", lambda: rung.append(Job.objects.get().lease_token))
    with django_capture_on_commit_callbacks(execute=True):
        job = asks(alice, upto=upto, wakes=False)
    assert rung == []
    services.run_now(job, patience_s=patience_s)
    assert rung == [None] * rings, "after the lease was given back"


@pytest.mark.parametrize(("unfinished", "is_taken"), [(9, True), (10, False)])
def test_a_person_waits_for_so_many_at_most(unfinished, is_taken, asks, alice):
    for _ in range(unfinished):
        asks(alice)
    if is_taken:
        asks(alice)
        return
    with pytest.raises(services.TooMany):
        asks(alice)


def test_a_workspace_with_many_jobs_takes_turns_with_one_that_has_one(asks, alice, charlie, seen):
    many = [asks(alice, title="many", upto=2).pk for _ in range(4)]
    single = asks(charlie, title="single", upto=3).pk
    turns = [one_slice() for _ in range(6)]
    assert turns[0] in many
    assert [turn == single for turn in turns] == [False, True, False, True, False, True]


def test_a_job_that_was_given_up_in_its_lease_is_taken_over_and_the_slow_holder_stores_nothing(asks, alice):
    job = asks(alice)
    slow = queue.claim_due()
    assert queue.claim_due() is None
    Job.objects.update(lease_until=PAST)
    quick = queue.claim_due()
    assert (quick.job_id, quick.attempts) == (job.pk, 2)
    for act in (lambda: slow.save(JobStep(done=9)), slow.give_back, slow.cancel, lambda: slow.fail("x")):
        with pytest.raises(LeaseLost):
            act()
    run.run_turn(slow, stop_at=time.monotonic())
    assert state_of(job) == "running"
    assert (job.done, job.lease_token) == (0, quick.token)


@pytest.mark.parametrize(("seconds", "is_taken"), [(-1, True), (5, False)])
def test_the_databases_clock_says_when_a_lease_has_ended(seconds, is_taken, asks, alice):
    asks(alice)
    queue.claim_due()
    with connection.cursor() as database:
        database.execute("UPDATE jobs_job SET lease_until = clock_timestamp() + make_interval(secs => %s)", [seconds])
    assert (queue.claim_due() is not None) == is_taken


def test_an_error_is_tried_again_later_and_later_and_given_up_after_five_times(asks, alice):
    job = asks(alice, error={"at": 1, "final": False})
    run.run_due()
    assert (state_of(job), job.attempts, job.done) == ("running", 1, 1), "the first slice is stored"
    pauses = []
    for attempt in (2, 3, 4, 5):
        pauses.append((job.due_at - timezone.now()).total_seconds())
        assert run.run_due() == 0, "not before its time"
        Job.objects.update(due_at=PAST)
        run.run_due()
        assert (state_of(job), job.attempts) == ("failed" if attempt == 5 else "running", attempt)
    assert pauses == sorted(pauses)
    assert job.message == run.UNKNOWN_ERROR
    assert "secret" not in job.message


def test_what_can_never_be_fails_at_once_with_its_sentence(asks, alice):
    job = asks(alice, error={"at": 0, "final": True})
    run.run_due()
    assert (state_of(job), job.message) == ("failed", "It cannot be.")


def test_a_job_whose_worker_dies_each_time_is_given_up(asks, alice):
    job = asks(alice)
    for _ in range(5):
        assert queue.claim_due() is not None
        Job.objects.update(lease_until=PAST)
    run.run_due()
    assert state_of(job) == "failed"
    assert "Given up after 5 tries" in job.message


@pytest.mark.parametrize("loss", ["removed", "viewer", "inactive"])
def test_a_right_that_was_lost_meanwhile_ends_the_job(loss, asks, alice, workspace, seen):
    carol = builders.member(workspace, "carol", "manager")
    job = asks(carol, upto=3)
    one_slice()
    if loss == "removed":
        carol.memberships.all().delete()
    elif loss == "viewer":
        carol.memberships.update(role="viewer")
    else:
        type(carol).objects.filter(pk=carol.pk).update(is_active=False)
    one_slice()
    assert (state_of(job), job.message) == ("failed", run.NO_LONGER_ALLOWED)
    assert len(seen) == 1


# --- Ending and trying again ------------------------------------------------------------------------------------------
def test_a_waiting_job_is_cancelled_at_once_and_never_begun(asks, alice, seen):
    job = asks(alice)
    services.cancel(job, by=alice, now=timezone.now())
    assert state_of(job) == "cancelled"
    assert (run.run_due(), seen) == (0, [])
    assert AuditEntry.objects.get(action="job cancelled").subject == "numbers"


def test_a_running_job_ends_after_its_slice_and_what_is_stored_stays(asks, alice, seen):
    job = asks(alice, upto=3)
    lease = queue.claim_due()
    services.cancel(job, by=alice, now=timezone.now())
    assert state_of(job) == "running"
    run.run_turn(lease, stop_at=time.monotonic() + 9)
    assert (state_of(job), seen) == ("cancelled", []), "asked before its first slice"
    services.try_again(job, by=alice, now=timezone.now())
    one_slice()
    lease = queue.claim_due()
    Job.objects.update(cancel_asked_at=timezone.now())
    run.run_turn(lease, stop_at=time.monotonic() + 9)
    assert (state_of(job), job.done) == ("cancelled", 1)


@pytest.mark.parametrize("trouble", ["killed each time", "right lost"])
def test_an_end_that_was_asked_for_is_no_failure_whatever_became_of_its_worker(trouble, asks, alice, workspace, seen):
    carol = builders.member(workspace, "carol", "manager")
    job = asks(carol)
    for _ in range(KINDS["count"].most_attempts if trouble == "killed each time" else 1):
        assert queue.claim_due() is not None
        Job.objects.update(lease_until=PAST)
    if trouble == "right lost":
        carol.memberships.update(role="viewer")
    assert services.cancel(job, by=alice, now=timezone.now()).state == "running", "nobody knows that its worker is dead"
    run.run_due()
    assert (state_of(job), job.message, seen) == ("cancelled", "", [])


def test_an_end_that_comes_with_the_last_slice_finds_it_done(asks, alice):
    job = asks(alice, upto=1)
    lease = queue.claim_due()
    work = run.Work(job, None, timezone.now())
    steps = KINDS["count"].slices(work)
    Job.objects.update(cancel_asked_at=timezone.now())
    run._run_slice(steps, KINDS["count"], work, lease)
    assert state_of(job) == "done"
    assert services.cancel(job, by=alice, now=timezone.now()).state == "done"


def test_trying_again_goes_on_behind_what_is_stored_in_the_name_of_whoever_says_so(asks, alice, workspace, seen):
    carol = builders.member(workspace, "carol", "manager")
    job = asks(alice, upto=3, error={"at": 1, "final": True})
    run.run_due()
    Job.objects.update(parameters={"upto": 3})
    services.try_again(job, by=carol, now=timezone.now())
    assert (state_of(job), job.asked_by, job.attempts) == ("queued", carol, 0)
    run.run_due()
    assert state_of(job) == "done"
    assert [number for _, number in seen] == [0, 1, 1, 2]
    assert services.try_again(job, by=carol, now=timezone.now()).state == "done", "what is done stays done"


# --- Order ------------------------------------------------------------------------------------------------------------
def test_a_kind_that_waits_lets_the_earlier_one_end_first(asks, alice):
    first, second = asks(alice, "serial", upto=2), asks(alice, "serial", upto=1)
    assert [one_slice() for _ in range(3)] == [first.pk, first.pk, second.pk]


def test_a_kind_that_waits_does_not_wait_for_later_ones_or_other_workspaces(asks, alice, charlie):
    elsewhere = asks(charlie, "count", upto=9)
    first, later = asks(alice, "serial", upto=1), asks(alice, "count", upto=1)
    assert [one_slice() for _ in range(4)] == [elsewhere.pk, first.pk, elsewhere.pk, later.pk]


def test_what_repeats_gives_way_begins_again_by_itself_and_is_never_finished(asks, alice, workspace):
    assert upkeep.ensure_standing() == 1
    assert upkeep.ensure_standing() == 0
    standing, asked = Job.objects.get(kind="standing"), asks(alice, "serial", upto=2)
    assert [one_slice() for _ in range(3)] == [asked.pk, asked.pk, standing.pk]
    while one_slice():
        pass
    assert state_of(standing) == "queued"
    assert 10 < (standing.due_at - timezone.now()).total_seconds() <= 15
    assert standing.finished_at is not None
    assert services.cancel(standing, by=alice, now=timezone.now()).state == "queued"


def test_what_repeats_leaves_a_worker_to_what_people_wait_for(asks, alice, charlie):
    third = builders.workspace(name="Third")
    upkeep.ensure_standing()
    assert Job.objects.filter(workspace=third, kind="standing").exists()
    assert queue.count_startable() == 3
    claimed = [queue.claim_due() for _ in range(3)]
    assert [lease is None for lease in claimed] == [False, False, True]
    asked = asks(alice)
    assert queue.count_startable() == 1
    assert queue.claim_due().job_id == asked.pk
    assert queue.count_startable() == 0


def test_a_kind_of_a_newer_version_waits_for_a_worker_that_knows_it(asks, alice):
    asks(alice)
    Job.objects.update(kind="not known here")
    assert run.run_due() == 0
    assert not Job.objects.visible_to(Membership.objects.get(user=alice)).exists()


def test_two_kinds_of_one_name_are_refused():
    def other(work):
        yield JobStep(result=Result("x"))

    other.__module__ = "elsewhere"
    with pytest.raises(ValueError, match="count"):
        register(JobKind("count", "Other", "x", other, staff, staff))


# --- Real connections -------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_eight_workers_at_once_carry_every_slice_out_once(asks, alice, charlie, seen):
    jobs = [asks(person, title=f"{person.pk}-{n}", upto=5) for person in (alice, charlie) for n in range(5)]

    def work():
        run.run_due(budget_s=20, turn_s=0)
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    run.run_due()  # whoever met a job in another's hands went home
    assert {state_of(job) for job in jobs} == {"done"}
    assert sorted(seen) == sorted((job.title, number) for job in jobs for number in range(5))


@pytest.mark.django_db(transaction=True)
def test_a_slice_that_takes_longer_than_a_lease_keeps_it_and_shows_how_far_it_is(monkeypatch, asks, alice):
    monkeypatch.setattr("jobs.leases.RENEW_EVERY_S", 0.1)
    monkeypatch.setattr(queue, "LEASE_S", 0.5)

    begun = threading.Event()

    def long(work):
        begun.set()
        for done in range(12):
            time.sleep(0.1)
            work.report(done, 12, "Half way.")
        yield JobStep(done=12, total=12, result=Result("Through."))

    KINDS["long"] = JobKind("long", "Long", "parts", long, staff, staff, is_stored_by_slice=False)
    job = asks(alice, "long")
    worker = threading.Thread(target=lambda: (run.run_due(), connections.close_all()))
    worker.start()
    begun.wait(5)
    progress = set()
    while worker.is_alive():
        assert queue.claim_due() is None
        job.refresh_from_db()
        progress.add(job.done)
        time.sleep(0.05)
    worker.join()
    assert state_of(job) == "done"
    assert len(progress) > 3


@pytest.mark.django_db(transaction=True)
def test_a_long_slice_that_reads_ends_soon_after_it_is_cancelled(monkeypatch, asks, alice):
    monkeypatch.setattr("jobs.leases.RENEW_EVERY_S", 0.05)
    begun = threading.Event()

    def long(work):
        for done in range(400):
            begun.set()
            time.sleep(0.05)
            work.report(done)
        yield JobStep(result=Result("Through."))

    KINDS["long"] = JobKind("long", "Long", "parts", long, staff, staff, is_stored_by_slice=False)
    job = asks(alice, "long")
    worker = threading.Thread(target=lambda: (run.run_due(), connections.close_all()))
    worker.start()
    begun.wait(5)
    services.cancel(job, by=alice, now=timezone.now())
    worker.join(5)
    assert not worker.is_alive()
    assert state_of(job) == "cancelled"
