"""The pages of jobs, tried as owner, viewer, stranger, client and nobody."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import queue, run, services, upkeep
from jobs.models import Job
from tests import builders

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def text(answer) -> str:
    return b"".join(answer.streaming_content).decode("utf-8-sig") if answer.streaming else answer.content.decode()


@pytest.fixture
def everybody(alice, bob, charlie, dora):
    return {"alice": alice, "bob": bob, "charlie": charlie, "dora": dora, "nobody": None}


@pytest.mark.parametrize(
    ("who", "statuses"),
    [
        ("alice", (200, 200, 302, 200)),
        ("bob", (200, 200, 302, 200)),
        ("charlie", (200, 404, 302, 200)),
        ("dora", (404, 404, 404, 404)),
        ("nobody", (302, 302, 302, 302)),
    ],
)
def test_who_sees_what(who, statuses, everybody, asks, sign_in):
    job = asks(everybody["alice"], title="Numbers of Alice")
    client = sign_in(everybody[who])
    addresses = ("/jobs/", f"/jobs/{job.pk}/", "/jobs/line/", "/jobs/?format=csv")
    answers = [client.get(address) for address in addresses]
    assert tuple(answer.status_code for answer in answers) == statuses
    if who not in ("alice", "bob"):
        assert not any("Numbers of Alice" in text(answer) for answer in answers)


@pytest.mark.parametrize("act", ["cancel", "again"])
@pytest.mark.parametrize(
    ("who", "status"), [("alice", 302), ("bob", 403), ("charlie", 404), ("dora", 404), ("nobody", 302)]
)
def test_who_may_end_a_job_and_try_it_again(who, status, act, everybody, asks, sign_in):
    job = asks(everybody["alice"])
    if act == "again":
        Job.objects.update(state="failed")
    before = Job.objects.values().get()
    assert sign_in(everybody[who]).get(f"/jobs/{job.pk}/{act}/").status_code == 405
    assert sign_in(everybody[who]).post(f"/jobs/{job.pk}/{act}/").status_code == status
    assert (Job.objects.values().get() != before) == (who == "alice")


def test_a_kind_for_managers_is_no_page_of_a_viewer(asks, alice, bob, sign_in):
    job = asks(alice, "private", title="Draft of Alice")
    assert sign_in(bob).get(f"/jobs/{job.pk}/").status_code == 404
    assert sign_in(bob).post(f"/jobs/{job.pk}/cancel/").status_code == 404
    assert "Draft of Alice" not in text(sign_in(bob).get("/jobs/"))
    assert "For managers" not in text(sign_in(bob).get("/jobs/"))
    assert "Draft of Alice" in text(sign_in(alice).get("/jobs/"))


def test_an_empty_list_says_what_belongs_there(alice, sign_in):
    page = text(sign_in(alice).get("/jobs/"))
    assert "Nobody has asked for long work yet" in page
    assert "every 2s" not in page


def test_the_list_follows_what_runs_and_stops_when_nothing_does(asks, alice, sign_in):
    asks(alice, upto=2)
    client = sign_in(alice)
    assert 'hx-trigger="every 2s"' in text(client.get("/jobs/"))
    run.run_turn(queue.claim_due(), stop_at=0)
    part = text(client.get("/jobs/", headers=HTMX))
    assert '<progress class="bar" max="2" value="1"' in part
    assert "1 of 2 numbers" in part
    assert "<html" not in part
    run.run_due()
    page = text(client.get("/jobs/"))
    assert "every 2s" not in page
    assert "All is counted." in page


@pytest.mark.parametrize(
    ("state", "word", "polls"),
    [
        ({}, "Waiting", True),
        ({"state": "running", "lease_token": "0" * 32}, "Running", True),
        ({"state": "running", "attempts": 2, "message": "Not reached."}, "Trying again", True),
        ({"state": "running", "cancel_asked_at": "2026-01-01T00:00:00Z"}, "Being cancelled", True),
        ({"state": "done"}, "Done", False),
        ({"state": "failed", "message": "Not reached."}, "Failed", False),
        ({"state": "cancelled"}, "Cancelled", False),
    ],
)
def test_every_state_has_its_words_on_each_page_and_in_the_file(state, word, polls, asks, alice, sign_in):
    job = asks(alice)
    Job.objects.update(**state)
    client = sign_in(alice)
    code = {"Waiting": "queued", "Being cancelled": "ending"}.get(word, word.lower().replace(" ", "-"))
    for address in ("/jobs/", f"/jobs/{job.pk}/", f"/jobs/?state={code}"):
        page = text(client.get(address))
        assert f"</span>{word}</span>" in page, address
        assert ("every 2s" in page) == polls
    assert f",{code}," in text(client.get("/jobs/?format=csv"))
    other = "done" if code != "done" else "failed"
    assert "No job fits" in text(client.get(f"/jobs/?state={other}"))
    page = text(client.get(f"/jobs/{job.pk}/"))
    assert (f"/jobs/{job.pk}/cancel/" in page) == (polls and word != "Being cancelled")
    assert (f"/jobs/{job.pk}/again/" in page) == (word in ("Failed", "Cancelled"))


def test_filters_search_and_pages(asks, alice, sign_in):
    for number in range(10):
        asks(alice, title=f"Job {number}")
    Job.objects.update(state="done")
    Job.objects.bulk_create(
        Job(
            workspace=Job.objects.first().workspace,
            kind="private",
            title=f"More {number}",
            state="done",
            due_at=timezone.now(),
            created_at=timezone.now() - timedelta(days=1, seconds=number),
        )
        for number in range(60)
    )
    client = sign_in(alice)
    page = text(client.get("/jobs/"))
    assert "70" in page
    assert page.count('class="name"') == 50
    following = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert text(client.get(following)).count('class="name"') == 20
    assert text(client.get("/jobs/?kind=count")).count('class="name"') == 10
    assert text(client.get("/jobs/?q=Job 3")).count('class="name"') == 1
    assert client.get("/jobs/?kind=nothing").status_code == 200
    assert client.get("/jobs/?state=nothing").status_code == 400
    assert text(client.get("/jobs/?format=csv")).count("\n") == 71


def test_what_repeats_is_listed_apart_and_cannot_be_ended(asks, alice, sign_in):
    upkeep.ensure_standing()
    run.run_due()
    job = Job.objects.get(kind="standing")
    client = sign_in(alice)
    page = text(client.get("/jobs/"))
    assert "Repeats by itself" in page
    assert "Again and again" in page
    assert "Up to date" in page
    detail = text(client.get(f"/jobs/{job.pk}/"))
    assert "/cancel/" not in detail
    assert client.post(f"/jobs/{job.pk}/cancel/").status_code == 302
    assert Job.objects.get().state == "queued"
    assert text(client.get("/jobs/?format=csv")).count("\n") == 1


def test_a_page_says_what_this_persons_jobs_of_it_are_doing(asks, alice, bob, sign_in, workspace):
    carol = builders.member(workspace, "carol", "manager")
    asks(alice, title="Mine", origin="/here/", upto=2)
    asks(carol, title="Hers", origin="/here/")
    asks(alice, title="Elsewhere asked", origin="/there/")
    client = sign_in(alice)
    part = text(client.get("/jobs/line/?page=/here/", headers=HTMX))
    assert ("Mine" in part, "Hers" in part, "Elsewhere" in part) == (True, False, False)
    assert "every 2s" in part
    run.run_due()
    part = text(client.get("/jobs/line/?page=/here/", headers=HTMX))
    assert "All is counted." in part
    assert "every 2s" not in part
    Job.objects.update(finished_at=timezone.now() - timedelta(hours=1))
    assert "Mine" not in text(client.get("/jobs/line/?page=/here/", headers=HTMX))


def test_what_ended_before_its_page_was_answered_is_not_said_again_by_the_live_line(asks, alice, sign_in):
    at_once = asks(alice, title="At once", origin="/here/", upto=1)
    refused = asks(alice, title="Refused", origin="/here/", error={"at": 0, "final": True})
    large = asks(alice, title="Large", origin="/here/", upto=2)
    ended = [
        services.run_now(job, patience_s=patience).state for job, patience in ((at_once, 9), (refused, 9), (large, 0))
    ]
    assert ended == ["done", "failed", "running"]
    client = sign_in(alice)
    part = text(client.get("/jobs/line/?page=/here/", headers=HTMX))
    assert [title in part for title in ("At once", "Refused", "Large")] == [False, False, True]
    run.run_due()
    assert "All is counted." in text(client.get("/jobs/line/?page=/here/", headers=HTMX)), "of the one that was left"
    services.try_again(refused, by=alice, now=timezone.now())
    assert "Refused" in text(client.get("/jobs/line/?page=/here/", headers=HTMX)), "nobody has said how that ends"


def test_the_number_of_queries(asks, alice, sign_in, django_assert_num_queries):
    for number in range(10):
        asks(alice, title=f"Job {number}")
    upkeep.ensure_standing()
    client = sign_in(alice)
    client.get("/jobs/")
    with django_assert_num_queries(5):  # person, membership, rows, what repeats, frame
        client.get("/jobs/")
    with django_assert_num_queries(4):
        client.get("/jobs/", headers=HTMX)
    job = Job.objects.filter(kind="count").first()
    with django_assert_num_queries(4):
        client.get(f"/jobs/{job.pk}/")
    with django_assert_num_queries(3):
        client.get("/jobs/line/?page=/", headers=HTMX)
