"""Deactivating and activating members, handing a workspace over, and being staff and client of one workspace."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from subscribers import access
from subscribers.models import Subscriber, SubscriberAccess
from tests import builders
from users import members
from users.members import Refusal
from users.models import AuditEntry, Membership

pytestmark = pytest.mark.django_db


@pytest.fixture
def mona(workspace):
    return builders.member(workspace, "mona", "manager")


def path_of(person, workspace, end="") -> str:
    return f"/settings/members/{person.memberships.get(workspace=workspace).pk}/{end}"


def roles_of(workspace) -> dict[str, str]:
    return {member.user.email.partition("@")[0]: member.role for member in workspace.memberships.select_related("user")}


# --- Deactivating -----------------------------------------------------------------------------------------------------
def test_a_deactivated_member_sees_nothing_from_the_next_page_on(client, alice, bob, workspace):
    client.force_login(bob)
    assert client.get("/strategies/").status_code == 200
    members.deactivate_member(bob.memberships.get(), by=alice, now=timezone.now())
    for path in ("/strategies/", "/settings/members/", "/leave/", "/transactions/?format=csv"):
        assert client.get(path).status_code == 404, path
    assert client.post(f"/switch/{workspace.pk}/").status_code == 404
    members.activate_member(bob.memberships.get(), by=alice, now=timezone.now())
    assert client.get("/strategies/").status_code == 200
    actions = (
        AuditEntry.objects.filter(subject=bob.email, action__startswith="member")
        .order_by("occurred_at")
        .values_list("action", flat=True)
    )
    assert list(actions) == ["member deactivated", "member activated"]


def test_deactivation_in_one_workspace_leaves_the_other(client, alice, bob, charlie):
    elsewhere = charlie.memberships.get().workspace
    Membership.objects.create(workspace=elsewhere, user=bob, role="viewer")
    own = bob.memberships.get(workspace__name="Alice Capital")
    members.deactivate_member(own, by=alice, now=timezone.now())
    client.force_login(bob)
    page = client.get("/strategies/")
    assert page.status_code == 200
    assert page.wsgi_request.workspace == elsewhere


def test_the_pages_deactivate_and_activate(sign_in, alice, bob, workspace):
    client = sign_in(alice)
    client.post(path_of(bob, workspace, "deactivate/"))
    assert bob.memberships.get().deactivated_at
    assert "Deactivated" in client.get("/settings/members/").content.decode()
    assert "Activate" in client.get(path_of(bob, workspace)).content.decode()
    client.post(path_of(bob, workspace, "activate/"))
    assert bob.memberships.get().deactivated_at is None


def test_nobody_shuts_out_themself_or_the_last_owner(sign_in, alice, mona, workspace):
    sign_in(alice).post(path_of(alice, workspace, "deactivate/"))
    assert alice.memberships.get().deactivated_at is None
    other = builders.member(workspace, "ann", "owner")
    members.deactivate_member(alice.memberships.get(), by=other, now=timezone.now())
    for refused in (
        members.deactivate_member(other.memberships.get(), by=alice, now=timezone.now()),
        members.deactivate_member(other.memberships.get(), by=mona, now=timezone.now()),
        members.change_role(other.memberships.get(), "viewer", by=other, now=timezone.now()),
        members.remove_member(other.memberships.get(), by=other, now=timezone.now()),
    ):
        assert isinstance(refused, Refusal), "an owner who is shut out is none"
    assert other.memberships.get().role == "owner"


def test_a_deactivated_member_cannot_come_back_by_an_invitation(alice, bob, workspace):
    now = timezone.now()
    members.deactivate_member(bob.memberships.get(), by=alice, now=now)
    assert isinstance(members.create_invitation(workspace, email=bob.email, role="viewer", by=alice, now=now), Refusal)


def test_a_deactivated_owner_decides_nothing(alice, bob, workspace):
    other = builders.member(workspace, "ann", "owner")
    members.deactivate_member(alice.memberships.get(), by=other, now=timezone.now())
    assert isinstance(members.change_role(bob.memberships.get(), "owner", by=alice, now=timezone.now()), Refusal)
    assert isinstance(members.activate_member(alice.memberships.get(), by=alice, now=timezone.now()), Refusal)


# --- Handing over -----------------------------------------------------------------------------------------------------
def test_ownership_is_handed_over(sign_in, alice, bob, workspace):
    client = sign_in(alice)
    assert "Transfer ownership" in client.get(path_of(bob, workspace)).content.decode()
    assert client.post(path_of(bob, workspace, "transfer/")).status_code == 302
    assert roles_of(workspace) == {"alice": "manager", "bob": "owner"}
    entry = AuditEntry.objects.get(action="ownership transferred")
    assert entry.details["before"] == {"bob@example.com": "viewer", "alice@example.com": "owner"}
    assert entry.details["after"] == {"bob@example.com": "owner", "alice@example.com": "manager"}


@pytest.mark.parametrize("target", ["dora", "alice", "shut out"])
def test_ownership_goes_to_another_active_member_of_the_staff(sign_in, alice, bob, dora, workspace, target):
    people = {"dora": dora, "alice": alice, "shut out": bob}
    members.deactivate_member(bob.memberships.get(), by=alice, now=timezone.now())
    before = roles_of(workspace)
    assert sign_in(alice).post(path_of(people[target], workspace, "transfer/")).status_code == 302
    assert roles_of(workspace) == before


@pytest.mark.django_db(transaction=True)
def test_two_owners_at_the_same_time_leave_one():
    """One leaves while the other hands over, deactivates, or steps down: whatever comes first, an owner is left."""
    acts = (
        lambda own, other: members.transfer_ownership(other, by=own.user, now=timezone.now()),
        lambda own, other: members.deactivate_member(other, by=own.user, now=timezone.now()),
        lambda own, other: members.change_role(own, "viewer", by=own.user, now=timezone.now()),
        lambda own, other: members.remove_member(own, by=own.user, now=timezone.now()),
    )
    for number, (first, second) in enumerate((a, b) for a in acts for b in acts):
        workspace = builders.workspace()
        names = (f"ann{number}", f"ben{number}")
        owners = [builders.member(workspace, name, "owner").memberships.get() for name in names]
        start = Barrier(2)

        def act(index, owners=owners, start=start, acts=(first, second)):
            start.wait()
            try:
                return acts[index](owners[index], owners[1 - index])
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(act, range(2)))
        assert Membership.objects.filter(workspace=workspace, role="owner", deactivated_at=None).exists()


# --- Staff and client in one ------------------------------------------------------------------------------------------
def test_one_address_is_staff_and_client_of_a_workspace(client, sign_in, alice, bob, workspace):
    account = builders.subscriber(builders.connection(workspace), name="Bob's own account")
    builders.subscriber(account.connection, name="Somebody else's")
    now = timezone.now()
    invited = access.invite(workspace, email=bob.email, role="subscriber", accounts=[account], by=alice, now=now)
    client = sign_in(bob)
    client.get(f"/invitation/{invited.token}/")
    landing = client.post("/invitation/", follow=True)
    assert landing.redirect_chain[-1][0] == "/me/", "what one joined is what one looks at"
    assert sorted(bob.memberships.values_list("role", flat=True)) == ["subscriber", "viewer"]
    as_client, as_viewer = bob.memberships.get(role="subscriber"), bob.memberships.get(role="viewer")
    assert Subscriber.objects.visible_to(as_client).count() == 1
    assert Subscriber.objects.visible_to(as_viewer).count() == 2
    assert client.get("/subscribers/").status_code == 404
    assert "as client" in landing.content.decode()
    client.post(f"/switch/{workspace.pk}/", {"as": "viewer"})
    assert client.get("/subscribers/").status_code == 200
    client.post(f"/switch/{workspace.pk}/", {"as": "subscriber"})
    assert client.get("/me/").status_code == 200
    assert isinstance(members.change_role(as_viewer, "subscriber", by=alice, now=now), Refusal), "that would be two"
    assert isinstance(members.change_role(as_client, "viewer", by=alice, now=now), Refusal)
    assert members.remove_member(as_viewer, by=alice, now=now) is None
    assert client.get("/me/").status_code == 200
    assert SubscriberAccess.objects.get().membership == as_client


def test_who_is_owner_and_client_decides_as_owner(alice, bob, workspace):
    Membership.objects.create(workspace=workspace, user=alice, role="subscriber")
    changed = members.change_role(bob.memberships.get(), "accountant", by=alice, now=timezone.now())
    assert changed.role == "accountant"


def test_the_same_kind_of_membership_exists_once(workspace, alice, bob):
    for role in ("viewer", "manager"):
        invited = members.create_invitation(workspace, email=bob.email, role=role, by=alice, now=timezone.now())
        assert isinstance(invited, Refusal)


def test_a_person_of_two_workspaces_switches(sign_in, alice, charlie):
    elsewhere = charlie.memberships.get().workspace
    Membership.objects.create(workspace=elsewhere, user=alice, role="accountant")
    client = sign_in(alice)
    assert client.get("/").wsgi_request.workspace.name == "Alice Capital"
    client.post(f"/switch/{elsewhere.pk}/")
    assert client.get("/").wsgi_request.workspace == elsewhere
    assert client.get("/settings/members/invite/").status_code == 403, "the role is the one of this workspace"


def test_switch_to_a_foreign_or_made_up_workspace_is_404(sign_in, alice, charlie):
    client = sign_in(alice)
    for pk in (charlie.memberships.get().workspace_id, 987654321):
        assert client.post(f"/switch/{pk}/").status_code == 404
        assert client.post(f"/switch/{pk}/", {"as": "subscriber"}).status_code == 404
