"""Programs bring people in and take them out: the rules of the pages hold, each write once, in the token's name."""

from __future__ import annotations

import pytest

from subscribers.models import SubscriberAccess
from tests import builders
from users.models import AuditEntry, Invitation, Membership

pytestmark = pytest.mark.django_db
INVITED = {"email": "Erin@Example.com", "name": "Erin", "role": "viewer"}


@pytest.fixture
def caller(program, alice):
    return program(alice)


@pytest.fixture
def manager(program, workspace):
    return program(builders.member(workspace, "Mona", "manager"))


def pk_of(person) -> int:
    return person.memberships.get().pk


def problem(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].split("/")[-2]


# --- Invitations ------------------------------------------------------------------------------------------------------
def test_an_invitation_is_mailed_once_and_stands_in_the_list(caller, mailoutbox, settings):
    settings.PORTAL_URL = "https://portal.example.com"
    answers = [caller.write("post", "invitations/", INVITED, key="k") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    body = answers[0].json()
    assert answers[1].json() == body
    assert (body["email"], body["is_mailed"], body["link"]) == ("erin@example.com", True, None)
    (message,) = mailoutbox
    assert "https://portal.example.com/invitation/" in message.body
    (row,) = caller.get("invitations/").json()["results"]
    assert (row["email"], row["state"], row["role"]) == ("erin@example.com", "open", "viewer")
    entry = AuditEntry.objects.get(action="invitation sent")
    assert (entry.via, entry.subject) == ("token", "erin@example.com")


def test_without_mail_the_answer_has_the_link_which_works(caller, client, settings, mailoutbox):
    link = caller.write("post", "invitations/", INVITED | {"mail": False}).json()["link"]
    assert mailoutbox == []
    assert client.get(link).status_code in (200, 302)
    settings.MAIL_IS_SET_UP = False
    pk = Invitation.objects.get().pk
    second = caller.write("post", f"invitations/{pk}/resend/").json()
    assert second["link"] not in (None, link)
    assert caller.write("post", f"invitations/{pk}/revoke/").json()["state"] == "revoked"
    assert problem(caller.write("post", f"invitations/{pk}/resend/")) == (422, "refused")


def test_a_client_is_invited_with_their_accounts(caller, workspace):
    account = builders.subscriber(builders.connection(workspace))
    body = {"email": "erin@example.com", "role": "subscriber", "subscribers": [account.pk]}
    pk = caller.write("post", "invitations/", body).json()["id"]
    assert caller.get(f"invitations/{pk}/").json()["subscribers"] == [account.pk]
    wrong = caller.write("post", "invitations/", body | {"email": "x@example.com", "role": "viewer"})
    assert (problem(wrong), wrong.json()["errors"][0]["pointer"]) == ((422, "invalid"), "/subscribers")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [({"email": "no address"}, "/email"), ({"role": "king"}, "/role"), ({"name": "a\u0007b"}, "/name")],
)
def test_what_is_wrong_with_an_invitation_is_named(caller, changes, pointer):
    answer = caller.write("post", "invitations/", INVITED | changes)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert not Invitation.objects.exists()


def test_a_manager_brings_clients_only(manager):
    assert manager.write("post", "invitations/", INVITED).status_code == 422
    assert manager.write("post", "invitations/", INVITED | {"role": "subscriber"}).status_code == 201
    assert [row["role"] for row in manager.get("invitations/").json()["results"]] == ["subscriber"]


# --- Members ----------------------------------------------------------------------------------------------------------
def test_a_role_is_changed_and_a_manager_may_not(caller, manager, bob):
    path = f"members/{pk_of(bob)}/role/"
    assert problem(manager.write("post", path, {"role": "subscriber"})) == (403, "forbidden")
    assert caller.write("post", path, {"role": "accountant"}).json()["role"] == "accountant"
    details = AuditEntry.objects.get(action="role changed").details
    assert (details["before"], details["after"]) == ("viewer", "accountant")


def test_a_manager_makes_nobody_more_than_a_client(manager, dora):
    assert problem(manager.write("post", f"members/{pk_of(dora)}/role/", {"role": "owner"})) == (403, "forbidden")
    assert dora.memberships.get().role == "subscriber"


def test_a_workspace_never_loses_its_last_owner(caller, program, alice):
    service = program(alice, service_role="owner")
    for act, body in (("role", {"role": "viewer"}), ("remove", {"confirm": alice.email}), ("deactivate", {})):
        assert problem(service.write("post", f"members/{pk_of(alice)}/{act}/", body)) == (422, "refused")
    assert alice.memberships.get().role == "owner"


def test_a_service_does_it_in_its_own_name(program, alice, bob):
    service = program(alice, service_role="owner", name="HR")
    assert service.write("post", f"members/{pk_of(bob)}/deactivate/").json()["deactivated_at"]
    entry = AuditEntry.objects.get(action="member deactivated")
    assert (entry.user, entry.actor, entry.via) == (None, "HR", "token")
    assert service.write("post", f"members/{pk_of(bob)}/activate/").json()["deactivated_at"] is None
    viewer = program(alice, service_role="viewer")
    assert viewer.write("post", f"members/{pk_of(bob)}/deactivate/").status_code == 403


def test_removing_needs_their_address(caller, bob):
    path, pk = f"members/{pk_of(bob)}/remove/", pk_of(bob)
    assert problem(caller.write("post", path, {})) == (422, "confirmation-needed")
    assert caller.write("post", path, {"confirm": bob.email}).json() == {"id": pk, "email": bob.email}
    assert not Membership.objects.filter(pk=pk).exists()


def test_nobody_leaves_by_their_own_token(caller, workspace, alice):
    builders.member(workspace, "Olga", "owner")
    answer = caller.write("post", f"members/{pk_of(alice)}/remove/", {"confirm": alice.email})
    assert problem(answer) == (422, "refused")
    assert alice.memberships.exists()


def test_the_accounts_of_a_client_are_chosen(caller, workspace, dora, charlie):
    connection = builders.connection(workspace)
    first, second = builders.subscriber(connection, access=dora), builders.subscriber(connection)
    foreign = builders.subscriber(builders.connection(charlie.memberships.get().workspace))
    path = f"members/{pk_of(dora)}/accounts/"
    assert caller.write("post", path, {"subscribers": [foreign.pk]}).status_code == 404
    assert caller.write("post", path, {"subscribers": [second.pk]}).json()["subscribers"] == [second.pk]
    assert list(SubscriberAccess.objects.values_list("subscriber_id", flat=True)) == [second.pk]
    assert first.accesses.count() == 0
