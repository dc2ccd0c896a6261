"""Programs enter addresses that are told of events, and choose what their person is told."""

from __future__ import annotations

import pytest
from django.utils import timezone

from users import event_acts
from users.event_acts import MOST_ENDPOINTS
from users.models import AuditEntry, EventDelivery, EventEndpoint, NoticeChoice, NoticeTarget

pytestmark = pytest.mark.django_db
ENTERED = {"name": "Accounting", "url": "https://example.com/events", "kinds": ["payment.recorded"]}


@pytest.fixture
def caller(program, alice):
    return program(alice)


def test_an_address_is_entered_once_and_its_secret_told_once(caller):
    answers = [caller.write("post", "event-endpoints/", ENTERED, key="k") for _ in range(2)]
    assert answers[0].status_code == 201
    assert answers[0].json() == answers[1].json()
    endpoint = EventEndpoint.objects.get()
    assert (endpoint.kinds, endpoint.secret) == (["payment.recorded"], answers[0].json()["secret"])
    listed = caller.get("event-endpoints/")
    assert endpoint.secret not in listed.content.decode()
    assert AuditEntry.objects.get(action="event address added").via == "token"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"url": "http://example.com/"}, "/url"),
        ({"url": "https://u:p@example.com/"}, "/url"),
        ({"url": "nothing"}, "/url"),
        ({"kinds": ["moon.risen"]}, "/kinds/0"),
        ({"more": 1}, "/more"),
    ],
)
def test_what_is_wrong_with_an_address_is_named(caller, changes, pointer):
    answer = caller.write("post", "event-endpoints/", ENTERED | changes)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert not EventEndpoint.objects.exists()


def test_a_workspace_has_so_many_and_no_more(caller):
    for number in range(MOST_ENDPOINTS + 1):
        answer = caller.write("post", "event-endpoints/", ENTERED | {"name": f"{number}"})
        assert answer.status_code == (201 if number < MOST_ENDPOINTS else 422)


def test_what_is_not_named_stays(caller):
    pk = caller.write("post", "event-endpoints/", ENTERED).json()["id"]
    changed = caller.write("patch", f"event-endpoints/{pk}/", {"is_enabled": False}).json()
    assert (changed["name"], changed["url"], changed["kinds"]) == tuple(ENTERED.values())
    assert not changed["is_enabled"]
    assert caller.write("post", f"event-endpoints/{pk}/test/").status_code == 422
    caller.write("patch", f"event-endpoints/{pk}/", {"is_enabled": True})
    assert caller.write("post", f"event-endpoints/{pk}/test/").status_code == 200
    delivery = EventDelivery.objects.get()
    assert caller.get(f"event-endpoints/{pk}/deliveries/").json()["results"][0]["kind"] == "endpoint.test"
    EventDelivery.objects.update(state="given-up")
    assert caller.write("post", f"event-deliveries/{delivery.pk}/repeat/").status_code == 200
    assert EventDelivery.objects.get().state == "queued"


def test_another_name_switches_nothing_on_that_failed_meanwhile(caller, workspace):
    pk = caller.write("post", "event-endpoints/", ENTERED).json()["id"]
    endpoint = EventEndpoint.objects.get(pk=pk)
    now = timezone.now()
    EventEndpoint.objects.update(is_enabled=False, disabled_at=now, failing_since=now)
    event_acts.change(endpoint, event_acts.values_of(endpoint) | {"name": "Books"}, by=None, now=now)
    endpoint = EventEndpoint.objects.get(pk=pk)
    assert (endpoint.name, endpoint.is_enabled, endpoint.disabled_at, endpoint.failing_since) == (
        "Books",
        False,
        now,
        now,
    )


def test_another_secret_and_the_end(caller):
    made = caller.write("post", "event-endpoints/", ENTERED).json()
    replaced = caller.write("post", f"event-endpoints/{made['id']}/secret/").json()
    assert EventEndpoint.objects.get().secret == replaced["secret"] != made["secret"]
    assert caller.write("post", f"event-endpoints/{made['id']}/remove/").status_code == 422
    assert caller.write("post", f"event-endpoints/{made['id']}/remove/", {"confirm": "Accounting"}).status_code == 200
    assert not EventEndpoint.objects.exists()


# --- Notifications ----------------------------------------------------------------------------------------------------
def channels(body: dict, kind: str) -> list[str]:
    return next(row["channels"] for row in body["kinds"] if row["kind"] == kind)


def test_a_person_is_told_what_their_program_chooses(caller, alice):
    before = caller.get("notifications/").json()
    assert (channels(before, "stopout"), channels(before, "limit")) == (["email"], [])
    sent = {"chosen": {"limit": ["email"]}, "quiet_from": 22, "quiet_until": 7, "timezone": "Asia/Tokyo"}
    after = caller.write("patch", "notifications/", sent).json()
    assert (channels(after, "stopout"), channels(after, "limit")) == (["email"], ["email"])
    assert (after["quiet_from"], after["quiet_until"], after["timezone"]) == (22, 7, "Asia/Tokyo")
    assert NoticeChoice.objects.get().chosen["limit"] == ["email"]
    assert caller.get("notifications/").json() == after
    without = caller.write("patch", "notifications/", {"quiet_from": None, "quiet_until": None}).json()
    assert (without["quiet_from"], without["timezone"]) == (None, "Asia/Tokyo")
    entries = AuditEntry.objects.filter(action="notifications changed")
    assert [entry.via for entry in entries] == ["token", "token"]


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"chosen": {"stopout": ["telegram"]}}, "/chosen/stopout"),
        ({"chosen": {"moon": ["email"]}}, "/chosen/moon"),
        ({"chosen": {"moon/~sun": ["email"]}}, "/chosen/moon~1~0sun"),
        ({"quiet_from": 22}, "/quiet_until"),
        ({"timezone": "Mars/Base"}, "/timezone"),
        ({"digest_hour": 24}, "/digest_hour"),
    ],
)
def test_what_cannot_be_is_named(caller, sent, pointer):
    answer = caller.write("patch", "notifications/", sent)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert not NoticeChoice.objects.exists()


def test_a_chat_that_is_set_up_can_be_chosen(caller, alice):
    NoticeTarget.objects.create(membership=alice.memberships.get(), channel="telegram", address="1", is_enabled=True)
    after = caller.write("patch", "notifications/", {"chosen": {"stopout": ["telegram"]}}).json()
    assert (after["ways"], channels(after, "stopout")) == (["email", "telegram"], ["telegram"])


def test_a_client_is_offered_what_is_theirs(program, dora):
    kinds = {row["kind"] for row in program(dora).get("notifications/").json()["kinds"]}
    assert kinds == {"stopout", "copies", "limit", "issued", "overdue", "device"}
