"""Work on many accounts: chosen on a list, looked at as one, carried out by a job row by row, put back as one."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from copying.client import BackendFailed, Unreachable
from copying.client import Client as BackendClient
from editing import bulk as bulk_edits
from editing.bulk import counts_of
from editing.merging import writable
from editing.models import BulkEdit, BulkRow, Change, RowOutcome
from jobs.models import Job
from jobs.run import run_due
from jobs.services import cancel, try_again
from subscribers.mirror import keep_subscribers
from subscribers.models import Subscriber
from tests import builders
from tests.integration.editing.conftest import desk, served  # noqa: F401  # fixtures
from users.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)
RATIO = {"form": "ratio", "how": "multiply-ratio", "amount": "0.5"}


@pytest.fixture
def http(sign_in, alice):
    return sign_in(alice)


@pytest.fixture
def many(desk):  # noqa: F811
    """Five accounts that copy with ratios of 1 to 5."""
    with desk.client() as client:
        for number in range(1, 6):
            terms = [{"strategyId": desk.alpine.backend_id, "multiplier": number}]
            client.put_subscriber(desk.id(f"m{number}"), {"name": f"Many {number}", "subscriptions": terms})
            keep_subscribers(desk.connection, list(client.subscribers()), now=timezone.now())
    desk.mirror()
    return list(Subscriber.objects.filter(name__startswith="Many").order_by("name"))


def ratios(desk, many) -> list[float]:  # noqa: F811
    return [desk.at_backend(account)["subscriptions"][0].get("multiplier") for account in many]


def chosen(http, accounts, **more) -> BulkEdit:
    answer = http.post("/subscribers/bulk/", {"ids": [str(account.pk) for account in accounts], **more})
    assert answer.status_code == 302
    return BulkEdit.objects.get(pk=int(re.search(r"/bulk/(\d+)/", answer["Location"])[1]))


def planned(http, accounts, act=RATIO) -> BulkEdit:
    bulk = chosen(http, accounts)
    answer = http.post(f"/subscribers/bulk/{bulk.pk}/", act)
    assert answer.status_code == 302, re.findall(r"form-error[^<]*<?[^<]*", answer.content.decode())
    bulk.refresh_from_db()
    return bulk


def begun(http, bulk, **typed):
    answer = http.post(f"/changes/bulk/{bulk.pk}/start/", typed)
    bulk.refresh_from_db()
    return answer


def later() -> None:
    """A worker comes by when leases and pauses are over, and what was sent has arrived."""
    moment = timezone.now() - timedelta(seconds=1)
    Job.objects.filter(lease_until__isnull=False).update(lease_until=moment)
    Job.objects.update(due_at=moment)
    with time_machine.travel(timezone.now() + timedelta(minutes=10)):
        run_due()


def outcomes(bulk) -> list[str]:
    return [row.outcome for row in bulk.rows.order_by("number")]


def test_ratios_of_several_are_multiplied_by_one_review_and_put_back_by_one_undo(desk, http, many, alice):  # noqa: F811
    bulk = planned(http, many)
    assert bulk.title == "Ratio 0.5 times what it is"
    page = http.get(f"/changes/bulk/{bulk.pk}/").content.decode()
    assert "Save for 5" in page
    assert "Ratio 4\u202f× → 2\u202f×" in page
    assert ratios(desk, many) == [1, 2, 3, 4, 5], "nothing is written before the save"
    assert "What it would have done" in page
    part = http.get(f"/changes/bulk/{bulk.pk}/what-if/", headers={"HX-Request": "true"}).content.decode()
    assert "last 30 days" in part
    assert begun(http, bulk).status_code == 302
    run_due()
    assert ratios(desk, many) == [0.5, 1, 1.5, 2, 2.5]
    assert outcomes(bulk) == ["done"] * 5
    assert Change.objects.saved().filter(saved_by=alice).count() == 5
    assert AuditEntry.objects.filter(action="subscriber changed").count() == 5
    assert AuditEntry.objects.get(action="bulk change started").details["objects"] == 5
    assert bulk.job.message == "5 changed."
    page = http.get(f"/changes/bulk/{bulk.pk}/").content.decode()
    assert "Undo all" in page
    undone = http.post(f"/changes/bulk/{bulk.pk}/undo/")
    undo = BulkEdit.objects.get(undoes=bulk)
    assert undone["Location"] == f"/changes/bulk/{undo.pk}/"
    assert "Ratio 2\u202f× → 4\u202f×" in http.get(undone["Location"]).content.decode()
    begun(http, undo)
    run_due()
    assert ratios(desk, many) == [1, 2, 3, 4, 5]
    assert "It was undone" in http.get(f"/changes/bulk/{bulk.pk}/").content.decode()


def test_begun_twice_is_done_once(desk, http, many):  # noqa: F811
    bulk = planned(http, many)
    begun(http, bulk)
    begun(http, bulk)
    http.post(f"/changes/bulk/{bulk.pk}/undo/")
    assert not BulkEdit.objects.filter(undoes=bulk).exists(), "not while it is being carried out"
    assert Job.objects.filter(kind="bulk-edit").count() == 1
    run_due()
    begun(http, bulk)
    run_due()
    assert ratios(desk, many) == [0.5, 1, 1.5, 2, 2.5]


def test_what_somebody_else_changed_meanwhile_is_left_alone(desk, http, many):  # noqa: F811
    bulk = planned(http, many)
    with desk.client() as client:
        for account, value in ((many[1], 9), (many[2], 1.5)):
            terms = [{"strategyId": desk.alpine.backend_id, "multiplier": value, "maxTradeVolume": 3}]
            client.put_subscriber(account.backend_id, {"name": account.name, "subscriptions": terms})
        terms = [{"strategyId": desk.alpine.backend_id, "multiplier": 4, "maxTradeVolume": 3}]
        client.put_subscriber(many[3].backend_id, {"name": many[3].name, "subscriptions": terms})
    begun(http, bulk)
    run_due()
    assert outcomes(bulk) == ["done", "conflict", "unchanged", "done", "done"]
    assert ratios(desk, many) == [0.5, 9, 1.5, 2, 2.5]
    assert desk.at_backend(many[3])["subscriptions"][0]["maxTradeVolume"] == 3, "another setting is merged"


def test_a_foreign_account_is_left_out_like_one_that_nobody_has(desk, http, many, charlie):  # noqa: F811
    foreign = builders.subscriber(builders.connection(charlie.memberships.get().workspace), name="Theirs")
    bulk = chosen(http, [*many[:2], foreign])
    assert [row.name for row in bulk.rows.order_by("number")] == ["Many 1", "Many 2"]
    for ids in ([str(foreign.pk)], ["987654321"], ["x"], []):
        answer = http.post("/subscribers/bulk/", {"ids": ids})
        assert answer["Location"] == "/subscribers/"
    assert BulkEdit.objects.count() == 1
    assert http.post("/subscribers/bulk/", {"ids": ["1"], "strategy": "987654321"}).status_code == 404


def test_all_that_match_the_filter(desk, http, many):  # noqa: F811
    bulk = chosen(http, [], which="all", query="q=Many&sort=-equity&after=x")
    assert bulk.rows.count() == 5
    of_strategy = chosen(http, [], which="all", query="q=Many+3", strategy=str(desk.alpine.pk))
    assert [row.name for row in of_strategy.rows.all()] == ["Many 3"]
    assert of_strategy.request == {"only": desk.alpine.backend_id}
    page = http.get(f"/subscribers/bulk/{of_strategy.pk}/").content.decode()
    assert 'name="strategy"' not in page
    assert http.post("/subscribers/bulk/", {"which": "all", "query": "state=nonsense"}).status_code == 400


def test_closing_at_once_needs_the_number_of_accounts(desk, http, many):  # noqa: F811
    bulk = planned(http, many[:2], {"form": "close-only", "mode": "immediately"})
    page = http.get(f"/changes/bulk/{bulk.pk}/").content.decode()
    assert "Copied positions are closed at once." in page
    for typed in ({}, {"typed": "3"}, {"typed": "Many"}):
        assert begun(http, bulk, **typed).status_code == 422
    assert bulk.started_at is None
    assert begun(http, bulk, typed="2").status_code == 302
    run_due()
    assert [desk.at_backend(account)["closeOnly"] for account in many[:2]] == ["immediately"] * 2


@pytest.mark.parametrize(
    ("act", "settings"),
    [
        ({"form": "ratio", "how": "set-ratio", "amount": "0.7"}, {"multiplier": 0.7}),
        ({"form": "limit", "setting": "maxTradeRisk", "amount": "2.5"}, {"maxTradeRisk": 0.025}),
    ],
)
def test_each_act_is_written_as_its_form_says(act, settings, desk, http, many):  # noqa: F811
    bulk = planned(http, many[:1], act)
    begun(http, bulk)
    run_due()
    terms = desk.at_backend(many[0])["subscriptions"][0]
    assert {name: terms.get(name) for name in settings} == settings


def test_limits_of_accounts(desk, http, many):  # noqa: F811
    risk = {"form": "risk-limit", "type": "day", "applyTo": "balance-difference", "amount": "5", "closes": "on"}
    for act in (risk, {"form": "limit", "setting": "maxLeverage", "amount": "10"}):
        begun(http, planned(http, many[:1], act), typed="1")
        run_due()
    document = desk.at_backend(many[0])
    assert document["maxLeverage"] == 10
    [limit] = document["riskLimits"]
    assert (limit["maxRelativeRisk"], limit["closePositions"]) == (0.05, True)


def test_risk_limits_beside_others_are_set_and_put_back(desk, http, many):  # noqa: F811
    """The database keeps names in another order than the backend sends, and whole numbers otherwise."""
    lifetime = {"type": "lifetime", "applyTo": "balance-minus-equity", "maxAbsoluteRisk": 100, "closePositions": False}
    with desk.client() as client:
        terms = desk.at_backend(many[0])
        client.put_subscriber(many[0].backend_id, {**writable(terms), "riskLimits": [lifetime]})
    desk.mirror()
    before = desk.at_backend(many[0])["riskLimits"]
    risk = {"form": "risk-limit", "type": "day", "applyTo": "balance-difference", "amount": "5"}
    bulk = planned(http, many[:1], risk)
    begun(http, bulk, typed="1")
    run_due()
    assert outcomes(bulk) == ["done"], bulk.rows.get().text
    assert len(desk.at_backend(many[0])["riskLimits"]) == 2
    http.post(f"/changes/bulk/{bulk.pk}/undo/")
    undo = BulkEdit.objects.get(undoes=bulk)
    begun(http, undo, typed="1")
    run_due()
    assert outcomes(undo) == ["done"], undo.rows.get().text
    assert desk.at_backend(many[0])["riskLimits"] == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"form": "ratio", "how": "set-ratio", "amount": "0"},
        {"form": "ratio", "how": "set-ratio", "amount": "1001"},
        {"form": "ratio", "how": "x", "amount": "1"},
        {"form": "limit", "setting": "maxTradeRisk", "amount": "101"},
        {"form": "limit", "setting": "name", "amount": "1"},
        {"form": "close-only", "mode": "x"},
        {"form": "ratio", "how": "set-ratio", "amount": "1", "strategy": "elsewhere"},
        {"form": "other"},
        {},
    ],
)
def test_what_cannot_be_read_is_said(wrong, http, many):
    bulk = chosen(http, many)
    assert http.post(f"/subscribers/bulk/{bulk.pk}/", wrong).status_code == 422
    bulk.refresh_from_db()
    assert bulk.request == {}


def test_a_job_that_is_cancelled_stops_and_goes_on_behind_what_is_done(desk, http, many, alice, monkeypatch):  # noqa: F811
    bulk, put = planned(http, many), BackendClient.put_subscriber
    begun(http, bulk)

    def cancelling(client, backend_id, document):
        if backend_id == many[1].backend_id:
            cancel(bulk.job, by=alice, now=timezone.now())
        return put(client, backend_id, document)

    with monkeypatch.context() as patched:
        patched.setattr(BackendClient, "put_subscriber", cancelling)
        run_due()
    assert outcomes(bulk) == ["done", "done", "", "", ""]
    bulk.job.refresh_from_db()
    assert bulk.job.state == "cancelled"
    assert "Go on with the rest" in http.get(f"/changes/bulk/{bulk.pk}/").content.decode()
    try_again(bulk.job, by=alice, now=timezone.now())
    run_due()
    assert ratios(desk, many) == [0.5, 1, 1.5, 2, 2.5]


@pytest.mark.parametrize("step", ["before it is sent", "after it was sent", "before it is written down"])
def test_a_worker_that_dies_repeats_nothing(step, desk, http, many, monkeypatch):  # noqa: F811
    class Killed(BaseException):
        pass

    bulk, put, finish = planned(http, many[:3]), BackendClient.put_subscriber, bulk_edits._finish
    begun(http, bulk)

    def dying(client, backend_id, document):
        if backend_id != many[1].backend_id:
            return put(client, backend_id, document)
        if step == "after it was sent":
            put(client, backend_id, document)
        raise Killed

    def dying_late(row, outcome, text=""):
        if row.backend_id == many[1].backend_id:
            raise Killed
        finish(row, outcome, text)

    with monkeypatch.context() as patched:
        if step == "before it is written down":
            patched.setattr(bulk_edits, "_finish", dying_late)
        else:
            patched.setattr(BackendClient, "put_subscriber", dying)
        with pytest.raises(Killed):
            run_due()
    later()
    wanted = [0.5, 2 if step == "before it is sent" else 1, 1.5]
    assert ratios(desk, many[:3]) == wanted
    assert outcomes(bulk) == ["done", "failed" if step == "before it is sent" else "done", "done"]
    assert Change.objects.saved().count() == (2 if step == "before it is sent" else 3)


def test_a_backend_that_is_away_for_a_while_is_waited_for(desk, http, many, monkeypatch):  # noqa: F811
    bulk = planned(http, many)
    begun(http, bulk)

    def away(*args, **options):
        raise Unreachable("Cannot reach the backend: refused.", was_sent=False)

    with monkeypatch.context() as patched:
        patched.setattr(BackendClient, "subscriber", away)
        run_due()
    assert outcomes(bulk) == [""] * 5
    later()
    assert outcomes(bulk) == ["done"] * 5


@pytest.mark.parametrize("bad", [0, 2, 4])
def test_an_account_that_always_fails_keeps_no_other_from_being_changed(bad, desk, http, many, monkeypatch):  # noqa: F811
    bulk, read = planned(http, many), BackendClient.subscriber
    begun(http, bulk)

    def fails(client, backend_id, **options):
        if backend_id == many[bad].backend_id:
            raise BackendFailed("The backend failed.", status=500)
        return read(client, backend_id, **options)

    monkeypatch.setattr(BackendClient, "subscriber", fails)
    run_due()
    for _ in range(10):
        later()
    wanted = ["done"] * 5
    wanted[bad] = ""
    assert outcomes(bulk) == wanted
    job = Job.objects.get(kind="bulk-edit")
    assert (job.state, job.message) == ("failed", "The backend failed.")
    assert bulk.rows.get(number=bad).text == "The backend failed."


def test_accounts_that_fail_side_by_side_are_tried_after_the_others(desk, http, many, monkeypatch):  # noqa: F811
    bulk, read = planned(http, many), BackendClient.subscriber
    begun(http, bulk)

    def fails(client, backend_id, **options):
        if backend_id in {account.backend_id for account in many[:3]}:
            raise BackendFailed("The backend failed.", status=500)
        return read(client, backend_id, **options)

    with monkeypatch.context() as patched:
        patched.setattr(BackendClient, "subscriber", fails)
        run_due()
        assert outcomes(bulk) == [""] * 5, "it looks as if all of the backend failed"
        later()
        assert outcomes(bulk) == ["", "", "", "done", "done"]
    later()
    assert outcomes(bulk) == ["done"] * 5
    assert not bulk.rows.exclude(text="").exists()


def test_only_those_who_manage_work_on_many(desk, http, many, sign_in, alice, bob, dora, charlie):  # noqa: F811
    bulk = planned(http, many)
    paths = [
        f"/subscribers/bulk/{bulk.pk}/",
        "/subscribers/bulk/",
        f"/changes/bulk/{bulk.pk}/start/",
        f"/changes/bulk/{bulk.pk}/undo/",
    ]
    for person, status in ((bob, 403), (dora, 404)):
        client = sign_in(person)
        for path in paths:
            assert client.post(path, {"ids": [str(many[0].pk)]} | RATIO).status_code == status, (person, path)
        assert client.get(f"/changes/bulk/{bulk.pk}/").status_code == status
    assert "Change the ticked" not in sign_in(bob).get("/subscribers/").content.decode()
    for path in (paths[0], *paths[2:]):
        assert sign_in(charlie).post(path, RATIO).status_code == 404
    assert sign_in(charlie).get(f"/changes/bulk/{bulk.pk}/").status_code == 404
    begun(sign_in(alice), bulk)
    run_due()
    assert sign_in(bob).get(f"/changes/bulk/{bulk.pk}/").status_code == 200


def test_the_counts_are_those_of_the_rows(desk, http, many):  # noqa: F811
    bulk = planned(http, many)
    assert counts_of(bulk) == {"": 5}
    BulkRow.objects.filter(bulk=bulk, number=0).update(outcome=RowOutcome.UNKNOWN)
    assert counts_of(bulk) == {"": 4, "unknown": 1}


def test_the_pages_cost_as_many_queries_for_five_as_for_two(desk, http, many):  # noqa: F811
    def cost(bulk, path):
        cache.clear()
        with CaptureQueriesContext(database) as queries:
            assert http.get(path.format(bulk.pk)).status_code == 200
        return len(queries)

    few, all_of_them = planned(http, many[:2]), planned(http, many)
    for path in ("/changes/bulk/{}/", "/subscribers/bulk/{}/"):
        cost(few, path)
        assert cost(all_of_them, path) == cost(few, path) <= 30, path


def test_what_cannot_be_measured_is_not_harmless(desk, http, many, monkeypatch):  # noqa: F811
    ratio = planned(http, many)
    limit = planned(http, many, {"form": "risk-limit", "type": "day", "applyTo": "balance-difference", "amount": "5"})

    def away(*args, **options):
        raise Unreachable("Cannot reach the backend: refused.", was_sent=False)

    monkeypatch.setattr(BackendClient, "immediate_effects", away)
    assert begun(http, limit).status_code == 422
    assert "is not known" in http.get(f"/changes/bulk/{limit.pk}/").content.decode()
    assert begun(http, ratio).status_code == 302, "a ratio acts on the next signals only"
