"""Files of long lists: the page's own answer for whoever asked, with the rights of that moment; old ones go."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import exports, files, run, upkeep
from jobs.models import Job
from reporting.models import LogRecord
from tests import builders
from users.models import Membership

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def _every_list_is_long(monkeypatch):
    monkeypatch.setattr(exports, "LONG_LIST_ROWS", 1)


def offer_on(client, path: str) -> str:
    """What the form beside the download of a page sends back."""
    page = client.get(path).content.decode()
    return page.split('name="list" value="')[1].split('"')[0].replace("&#34;", '"').replace("&amp;", "&")


def ask_for(client, path: str, **more):
    return client.post("/jobs/export/", {"list": offer_on(client, path), "once": "form"} | more)


def file_of(client, job: Job) -> bytes:
    answer = client.get(f"/jobs/{job.pk}/file/")
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)


PATHS = (
    "/transactions/",
    "/transactions/?symbol=EURUSD&sort=-time",
    "/log/",
    "/subscribers/",
    "/subscribers/?sort=-equity",
    "/strategies/",
    "/commissions/?by=subscriber",
    "/stopouts/",
    "/commissions/{strategy}/{subscriber}/",
)


@pytest.mark.parametrize("path", PATHS)
def test_the_file_is_the_pages_own_download(path, business, sign_in, alice):
    client = sign_in(alice)
    path = path.format(strategy=business.alpine.pk, subscriber=business.hers.pk)
    assert ask_for(client, path).status_code == 302
    run.run_due()
    job = Job.objects.get()
    assert job.state == "done", job.message
    at_once = client.get(path + ("&" if "?" in path else "?") + "format=csv", follow=True)
    assert file_of(client, job) == b"".join(at_once.streaming_content)
    assert job.result["name"] in at_once["Content-Disposition"]
    assert job.result["rows"] == job.done > 0


def test_a_short_list_and_a_client_are_offered_nothing(business, sign_in, alice, dora, monkeypatch):
    assert "Prepare in the background" in sign_in(alice).get("/transactions/").content.decode()
    assert "Prepare in the background" not in sign_in(dora).get("/transactions/").content.decode()
    monkeypatch.setattr(exports, "LONG_LIST_ROWS", 3)
    assert "Prepare in the background" not in sign_in(alice).get("/transactions/").content.decode()
    monkeypatch.setattr(exports, "LONG_LIST_ROWS", 2)
    assert "Prepare in the background" in sign_in(alice).get("/transactions/").content.decode()


@pytest.mark.parametrize("asked", ["", "/transactions/?format=csv", "x:y:z"])
def test_only_what_a_page_offered_is_prepared(asked, business, sign_in, alice):
    assert sign_in(alice).post("/jobs/export/", {"list": asked}).status_code == 400
    assert not Job.objects.exists()


def test_the_same_form_twice_is_one_file_and_another_is_its_own(business, sign_in, alice):
    client = sign_in(alice)
    offer = offer_on(client, "/transactions/")
    for token in ("a", "a", "b"):
        client.post("/jobs/export/", {"list": offer, "once": token})
    assert Job.objects.count() == 2


def test_what_is_in_it_is_what_whoever_asked_may_see_when_it_is_written(business, sign_in, alice, workspace):
    carol = builders.member(workspace, "carol", "manager")
    client = sign_in(carol)
    ask_for(client, "/transactions/")
    carol.memberships.update(role="subscriber")  # sees no account at all
    run.run_due()
    job = Job.objects.get()
    assert (job.state, job.message) == ("failed", run.NO_LONGER_ALLOWED)
    assert list(files.folder().iterdir()) == []


def test_an_offer_of_one_workspace_gives_another_one_its_own_rows(business, sign_in, alice, charlie):
    offer = offer_on(sign_in(alice), "/transactions/")
    client = sign_in(charlie)
    client.post("/jobs/export/", {"list": offer, "once": "x"})
    run.run_due()
    job = Job.objects.get()
    assert job.workspace.name == "Elsewhere"
    assert file_of(client, job).count(b"\n") == 1, "the head alone"


def test_a_page_about_an_object_that_is_not_theirs_gives_no_file(business, sign_in, alice, charlie):
    offer = offer_on(sign_in(alice), f"/strategies/{business.alpine.pk}/transactions/")
    sign_in(charlie).post("/jobs/export/", {"list": offer, "once": "x"})
    run.run_due()
    job = Job.objects.get()
    assert (job.state, job.message) == ("failed", exports.NOT_YOURS)
    assert job.attempts == 1, "it cannot succeed later"


@pytest.mark.parametrize("who", ["bob", "charlie", "dora", None])
def test_nobody_else_has_the_file(who, request, business, sign_in, alice, bob, charlie, dora):
    ask_for(sign_in(alice), "/transactions/")
    run.run_due()
    job = Job.objects.get()
    client = sign_in(request.getfixturevalue(who) if who else None)
    assert client.get(f"/jobs/{job.pk}/file/").status_code == (302 if who is None else 404)
    if who == "bob":
        page = client.get(f"/jobs/{job.pk}/").content.decode()
        assert "Only whoever asked for it can download it" in page
        assert f"/jobs/{job.pk}/file/" not in page


def test_a_role_that_changed_since_closes_the_file(business, sign_in, alice):
    client = sign_in(alice)
    ask_for(client, "/transactions/")
    run.run_due()
    job = Job.objects.get()
    assert client.get(f"/jobs/{job.pk}/file/").status_code == 200
    Membership.objects.filter(user=alice).update(role="viewer")
    assert client.get(f"/jobs/{job.pk}/file/").status_code == 404


def test_a_dangerous_cell_is_as_harmless_as_in_the_download(business, sign_in, alice):
    LogRecord.objects.update(message='=cmd|"x";\nsecond line')
    client = sign_in(alice)
    ask_for(client, "/log/")
    run.run_due()
    job = Job.objects.get()
    assert b"'=cmd" in file_of(client, job)
    assert job.done == 1, "a row with a line break is one row"


def test_a_file_that_grows_too_large_is_refused_and_removed(business, sign_in, alice, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 10)
    ask_for(sign_in(alice), "/transactions/")
    run.run_due()
    job = Job.objects.get()
    assert job.state == "failed"
    assert "larger than 2 GB" in job.message
    assert list(files.folder().iterdir()) == []


# --- Cleaning ---------------------------------------------------------------------------------------------------------
def prepared(client, number: int) -> list[Job]:
    for token in range(number):
        ask_for(client, "/transactions/", once=f"f{token}")
    run.run_due()
    return list(Job.objects.order_by("pk"))


@pytest.mark.parametrize(
    ("age", "stays"),
    [
        (upkeep.RESULT_STAYS - timedelta(seconds=1), True),
        (upkeep.RESULT_STAYS, False),
        (upkeep.RESULT_STAYS + timedelta(seconds=1), False),
    ],
)
def test_a_file_goes_when_it_is_old_and_its_row_says_so(age, stays, business, sign_in, alice):
    client = sign_in(alice)
    (job,) = prepared(client, 1)
    now = timezone.now()
    Job.objects.update(finished_at=now - age)
    assert upkeep.clean(now) == (0 if stays else 1)
    assert client.get(f"/jobs/{job.pk}/file/").status_code == (200 if stays else 404)
    job.refresh_from_db()
    assert (job.message == upkeep.REMOVED) == (not stays)
    assert len(list(files.folder().iterdir())) == (1 if stays else 0)


def test_only_the_newest_files_of_a_workspace_stay(business, sign_in, alice, monkeypatch):
    monkeypatch.setattr(upkeep, "MOST_FILES", 2)
    jobs = prepared(sign_in(alice), 3)
    assert upkeep.clean(timezone.now()) == 1
    assert [bool(job.file) for job in Job.objects.order_by("finished_at")] == [False, True, True]
    assert len(jobs) == 3


def test_leftovers_of_killed_workers_go_and_foreign_files_stay(business, sign_in, alice):
    client = sign_in(alice)
    (job,) = prepared(client, 1)
    old = timezone.now().timestamp() - files.STRAY_AFTER.total_seconds() - 1
    names = {f"{'a' * 32}.csv": old, f"{'b' * 32}.csv": None, "notes.txt": old}
    for name, changed in names.items():
        (files.folder() / name).write_text("x")
        if changed:
            os.utime(files.folder() / name, (changed, changed))
    os.utime(files.folder() / job.file, (old, old))
    assert upkeep.clean(timezone.now()) == 1
    assert {path.name for path in files.folder().iterdir()} == {job.file, f"{'b' * 32}.csv", "notes.txt"}


def test_rows_of_finished_jobs_go_in_the_end(business, sign_in, alice):
    prepared(sign_in(alice), 1)
    now = timezone.now()
    Job.objects.update(finished_at=now - exports.EXPORT.stays)
    upkeep.clean(now)
    assert not Job.objects.exists()


def test_a_file_that_is_missing_on_this_machine_is_not_found(business, sign_in, alice):
    client = sign_in(alice)
    (job,) = prepared(client, 1)
    files.remove(job.file)
    assert client.get(f"/jobs/{job.pk}/file/").status_code == 404
