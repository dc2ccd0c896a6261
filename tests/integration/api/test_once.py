"""An Idempotency-Key: one act and one answer, whoever sends it how often, whatever dies in between."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import time_machine
from django.db import connections
from django.test import Client
from django.utils import timezone

from api.models import ApiWrite
from api.once import KEPT, RUNS_FOR
from copying.client import Client as BackendClient
from copying.client import Unreachable
from editing import saving
from editing.models import Change
from tests.integration.api.test_settings import patch, path_of, problem
from tests.integration.editing.conftest import desk, served  # noqa: F401  # fixtures

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """The process ends here: nothing of ours runs after it."""


@pytest.fixture
def caller(program, alice):
    return program(alice)


def ratio(desk) -> float:  # noqa: F811
    return desk.at_backend(desk.hers)["subscriptions"][0]["multiplier"]


@pytest.mark.parametrize("key", ["", " ", "ü", "a\tb", "x" * 201])
def test_a_write_needs_a_key(key, desk, caller):  # noqa: F811
    assert problem(patch(caller, path_of(desk), {"multiplier": 1}, key=key)) == (400, "idempotency-key-needed")
    assert not ApiWrite.objects.exists()


def test_the_same_request_is_done_once_and_answered_the_same(desk, caller):  # noqa: F811
    path, version = path_of(desk), caller.get(path_of(desk))["ETag"]
    answers = [patch(caller, path, {"multiplier": 0.5}, key="x" * 200, version=version) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert [answer.get("Idempotency-Replayed") for answer in answers] == [None, "true", "true"]
    assert {answer["ETag"] for answer in answers} == {answers[0]["ETag"]}
    assert Change.objects.count() == 1


def test_a_key_stands_for_one_request(desk, caller, program, alice):  # noqa: F811
    path, version = path_of(desk), caller.get(path_of(desk))["ETag"]
    assert patch(caller, path, {"multiplier": 0.5}, key="k", version=version).status_code == 200
    reused = 422, "idempotency-key-reused"
    assert problem(patch(caller, path, {"multiplier": 0.6}, key="k", version=version)) == reused
    assert problem(patch(caller, path, {"multiplier": 0.5}, key="k", version="*")) == reused
    account = f"subscribers/{desk.hers.pk}/settings/"
    assert problem(patch(caller, account, {"multiplier": 0.5}, key="k", version=version)) == reused
    assert ratio(desk) == 0.5
    other = patch(program(alice), path, {"multiplier": 0.7}, key="k", version="*")
    assert (other.status_code, ratio(desk)) == (200, 0.7), "another token has keys of its own"


def test_a_refusal_is_answered_again_and_the_right_request_has_another_key(desk, caller):  # noqa: F811
    path = path_of(desk)
    for _ in range(2):
        assert problem(patch(caller, path, {"multiplier": -1}, key="k", version="*")) == (422, "invalid")
    assert patch(caller, path, {"multiplier": 1}, key="l", version="*").status_code == 200


def test_a_key_is_free_again_after_a_day(desk, caller):  # noqa: F811
    path, now = path_of(desk), timezone.now()
    assert patch(caller, path, {"multiplier": 0.5}, key="k", version="*").status_code == 200
    with time_machine.travel(now + KEPT - timedelta(minutes=1)):
        assert patch(caller, path, {"multiplier": 0.5}, key="k", version="*")["Idempotency-Replayed"] == "true"
    with time_machine.travel(now + KEPT + timedelta(minutes=1)):
        assert patch(caller, path, {"multiplier": 0.7}, key="k", version="*").status_code == 200


def test_two_at_the_same_moment_are_one(desk, caller, monkeypatch):  # noqa: F811
    path, version = path_of(desk), caller.get(path_of(desk))["ETag"]
    inside, go_on, answers = threading.Event(), threading.Event(), []
    put = BackendClient.put_subscriber

    def slow(client, *args):
        inside.set()
        assert go_on.wait(10)
        return put(client, *args)

    monkeypatch.setattr(BackendClient, "put_subscriber", slow)

    def first():
        answers.append(patch(caller, path, {"multiplier": 0.5}, key="k", version=version))
        connections.close_all()

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(10)
    second = patch(caller, path, {"multiplier": 0.5}, key="k", version=version)
    assert problem(second) == (409, "still-running")
    assert second["Retry-After"]
    go_on.set()
    thread.join(10)
    assert answers[0].status_code == 200
    third = patch(caller, path, {"multiplier": 0.5}, key="k", version=version)
    assert (third.json(), Change.objects.count()) == (answers[0].json(), 1)


@pytest.mark.parametrize("step", ["before the claim", "before it is sent", "after it was sent", "before the record"])
def test_a_process_that_dies_leaves_a_request_that_can_be_sent_again(step, desk, caller, monkeypatch):  # noqa: F811
    path, version = path_of(desk), caller.get(path_of(desk))["ETag"]
    put = BackendClient.put_subscriber

    def die(*args, **options):
        if step == "after it was sent":
            put(*args, **options)
        raise Killed

    places = {
        "before the claim": (saving, "_claim"),
        "before it is sent": (BackendClient, "put_subscriber"),
        "after it was sent": (BackendClient, "put_subscriber"),
        "before the record": (saving, "record"),
    }
    with monkeypatch.context() as dying:
        dying.setattr(*places[step], die)
        with pytest.raises(Killed):
            patch(caller, path, {"multiplier": 0.5}, key="k", version=version)
    soon = patch(caller, path, {"multiplier": 0.5}, key="k", version=version)
    assert problem(soon) == (409, "still-running")
    with time_machine.travel(timezone.now() + RUNS_FOR + timedelta(seconds=1)):
        later = patch(caller, path, {"multiplier": 0.5}, key="k", version=version)
        if step == "before it is sent":  # sent or not: the backend's document says not
            assert problem(later) == (409, "not-carried-out")
            assert ratio(desk) == 2
            return
        assert later.json()["outcome"] == "done", later.content
        assert ratio(desk) == 0.5
        again = patch(caller, path, {"multiplier": 0.5}, key="k", version=version)
        assert again.json() == later.json()
    assert Change.objects.saved().count() == 1


def test_a_lost_answer_is_unknown_until_it_is_known(desk, caller, monkeypatch):  # noqa: F811
    path, version = path_of(desk), caller.get(path_of(desk))["ETag"]
    lost = Unreachable("Cannot reach the backend: no answer within 8 s.", was_sent=True)

    def fail(*args, **options):
        raise lost

    with monkeypatch.context() as away:
        away.setattr(BackendClient, "put_subscriber", fail)
        answer = patch(caller, path, {"multiplier": 0.5}, key="k", version=version)
    assert (answer.status_code, answer.json()["outcome"]) == (202, "unknown"), answer.content
    assert caller.get(f"changes/{answer.json()['change']['id']}/").json()["outcome"] == "unknown"
    with desk.client() as client:  # it arrives after all
        client.put_subscriber(desk.hers.backend_id, {k: v for k, v in Change.objects.get().after.items() if k != "_id"})
    again = patch(caller, path, {"multiplier": 0.5}, key="k", version=version)
    assert (again.status_code, again.json()["outcome"]) == (200, "done")


def test_bodies_with_two_readings_are_none(desk, caller):  # noqa: F811
    http = Client()
    headers = {"Authorization": f"Bearer {caller.text}", "If-Match": "*", "Idempotency-Key": "k"}
    texts = [
        '{"settings": {}, "settings": {"multiplier": 3}}',
        '{"settings": NaN}',
        "[" * 5000,
        "",
        "nothing",
        '"\\ud800"',
    ]
    for text in texts:
        answer = http.patch(f"/api/v1/{path_of(desk)}", text, content_type="application/json", headers=headers)
        assert answer.status_code in (400, 422), (text[:20], answer.content)
    answer = http.patch(
        f"/api/v1/{path_of(desk)}",
        '{"settings": {"description": "a\\u0000b"}}',
        content_type="application/json",
        headers=headers,
    )
    assert answer.json()["errors"][0]["pointer"] == "/settings/description"
    form = http.patch(f"/api/v1/{path_of(desk)}", "settings=1", content_type="text/plain", headers=headers)
    assert problem(form) == (415, "unsupported-media-type")


def test_a_backend_that_is_away_when_it_is_asked_what_became_of_it_is_asked_again(desk, caller, monkeypatch):  # noqa: F811
    path, version = path_of(desk), caller.get(path_of(desk))["ETag"]
    put, read = BackendClient.put_subscriber, BackendClient.subscriber

    def die(*args, **options):
        put(*args, **options)
        raise Killed

    def away(*args, **options):
        raise Unreachable("Cannot reach the backend: refused.", was_sent=False)

    with monkeypatch.context() as dying:
        dying.setattr(BackendClient, "put_subscriber", die)
        with pytest.raises(Killed):
            patch(caller, path, {"multiplier": 0.5}, key="k", version=version)
    with time_machine.travel(timezone.now() + RUNS_FOR + timedelta(seconds=1)):
        monkeypatch.setattr(BackendClient, "subscriber", away)
        for _ in range(2):
            answer = patch(caller, path, {"multiplier": 0.5}, key="k", version=version)
            assert problem(answer) == (503, "backend-unavailable")
        monkeypatch.setattr(BackendClient, "subscriber", read)
        assert patch(caller, path, {"multiplier": 0.5}, key="k", version=version).json()["outcome"] == "done"
