"""Inviting, joining, roles and leaving: Alice owns, Bob views, Charlie is a stranger, Dora a client, and nobody."""

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from subscribers.models import SubscriberAccess
from tests import builders
from users import members
from users.members import INVITATION_LASTS, Invited, Refusal, create_invitation, renew_invitation, revoke_invitation
from users.models import AuditEntry, Invitation, Membership, User

INVITE = "/settings/members/invite/"
PASSWORD = {"name": "Eve", "password": "harbour phrase 41 long"}


@pytest.fixture
def account(workspace):
    return builders.subscriber(builders.connection(workspace), name="Eve's account")


@pytest.fixture
def mona(workspace):
    return builders.member(workspace, "mona", "manager")


@pytest.fixture
def invited(workspace, alice):
    return invite(workspace, alice)


def invite(workspace, by, email="eve@example.com", role="accountant", **given) -> Invited:
    return create_invitation(workspace, email=email, role=role, by=by, now=timezone.now(), **given)


def link_of(invited) -> str:
    return f"/invitation/{invited.token}/"


def link_on(page) -> str:
    return re.search(r'value="http://testserver(/invitation/[^"]+)"', page.content.decode())[1]


def actions(workspace) -> list[str]:
    entries = AuditEntry.objects.filter(workspace=workspace).exclude(action__startswith="signed")
    return list(entries.order_by("occurred_at").values_list("action", flat=True))


# --- Inviting ---------------------------------------------------------------------------------------------------------
def test_an_invitation_is_mailed_and_its_link_shown_once(sign_in, alice, workspace):
    client = sign_in(alice)
    page = client.post(INVITE, {"email": "Eve@Example.com", "role": "accountant"})
    assert page.status_code == 201
    link = link_on(page)
    assert [sent.to for sent in mail.outbox] == [["eve@example.com"]]
    assert link in mail.outbox[0].body
    invitation = Invitation.objects.get()
    token = link.split("/")[2]
    assert token not in str(Invitation.objects.values().get()), "only its digest is stored"
    assert (invitation.email, invitation.role, invitation.invited_by) == ("eve@example.com", "accountant", alice)
    members = client.get("/settings/members/").content.decode()
    assert "eve@example.com" in members
    assert token not in members
    assert actions(workspace) == ["invitation sent"]


def test_without_a_mail_server_the_link_is_all_there_is(sign_in, alice, settings):
    settings.MAIL_IS_SET_UP = False
    page = sign_in(alice).post(INVITE, {"email": "eve@example.com", "role": "viewer"})
    assert "sends no mail" in page.content.decode()
    assert link_on(page)
    assert mail.outbox == []


def test_a_mail_server_that_fails_is_told_and_the_invitation_stays(sign_in, alice, monkeypatch):
    def refuse(*given, **options):
        raise ConnectionRefusedError

    monkeypatch.setattr("users.mails.send_mail", refuse)
    page = sign_in(alice).post(INVITE, {"email": "eve@example.com", "role": "viewer"})
    assert page.status_code == 201
    assert "did not take the mail" in page.content.decode()
    assert link_on(page)


def test_only_owner_and_manager_invite(sign_in, alice, mona, bob, dora, charlie, workspace):
    form = {"email": "eve@example.com", "role": "viewer"}
    assert sign_in(alice).get(INVITE).status_code == 200
    assert sign_in(mona).get(INVITE).status_code == 200
    assert sign_in(mona).post(INVITE, form).status_code == 422, "a manager brings clients only"
    assert sign_in(bob).get(INVITE).status_code == 403
    assert sign_in(bob).post(INVITE, form).status_code == 403
    assert sign_in(dora).post(INVITE, form).status_code == 404
    assert sign_in(None).post(INVITE, form).status_code == 302
    assert sign_in(charlie).post(INVITE, form).status_code == 201
    assert [one.workspace.name for one in Invitation.objects.all()] == ["Elsewhere"]
    assert sign_in(mona).post(INVITE, {**form, "role": "subscriber"}).status_code == 201


def test_who_may_not_invite_sees_no_button_and_no_invitations(sign_in, alice, bob, mona, invited):
    assert "eve@example.com" in sign_in(alice).get("/settings/members/").content.decode()
    for person in (bob, mona):  # the manager may not give an accountant's role
        page = sign_in(person).get("/settings/members/").content.decode()
        assert "eve@example.com" not in page
        assert (INVITE in page) is (person == mona)


def test_a_workspace_of_one_says_invite(sign_in, alice, bob):
    assert "Nobody but you yet" not in sign_in(alice).get("/settings/members/").content.decode()
    bob.memberships.all().delete()
    assert "Nobody but you yet" in sign_in(alice).get("/settings/members/").content.decode()


@pytest.mark.parametrize("email", ["bob@example.com", "BOB@example.com", "not an address", ""])
def test_members_and_nonsense_are_not_invited(sign_in, alice, bob, email):
    assert sign_in(alice).post(INVITE, {"email": email, "role": "viewer"}).status_code == 422
    assert not Invitation.objects.exists()


def test_one_address_has_one_waiting_invitation(workspace, alice, invited):
    again = invite(workspace, alice)
    assert isinstance(again, Refusal)
    assert "invited already" in again.text
    revoke_invitation(invited.invitation, by=alice, now=timezone.now())
    assert isinstance(invite(workspace, alice), Invited)


@pytest.mark.parametrize("wrong", ["²", "9" * 5000, "9" * 30, "-1", "x", "0"])
def test_an_account_must_be_one_of_the_workspaces(sign_in, alice, charlie, account, wrong):
    elsewhere = builders.subscriber(builders.connection(charlie.memberships.get().workspace))
    form = {"email": "eve@example.com", "role": "subscriber"}
    client = sign_in(alice)
    for pk in (wrong, elsewhere.pk):
        assert client.post(INVITE, {**form, "accounts": pk}).status_code == 422
        assert client.get(f"{INVITE}?account={pk}").status_code == 200
        assert elsewhere.name not in client.get(f"{INVITE}?account={pk}").content.decode()
    assert client.post(INVITE, {**form, "role": "viewer", "accounts": account.pk}).status_code == 422
    assert not Invitation.objects.exists()


# --- Joining ----------------------------------------------------------------------------------------------------------
def test_a_new_person_joins_and_sees_the_first_page(client, workspace, invited):
    opened = client.get(link_of(invited))
    assert opened.headers["Location"] == "/invitation/", "the token leaves the address"
    page = client.get("/invitation/").content.decode()
    assert "eve@example.com" in page
    assert invited.token not in page
    answer = client.post("/invitation/", PASSWORD, follow=True)
    assert answer.status_code == 200
    assert "Welcome to Alice Capital" in answer.content.decode()
    eve = User.objects.get(email="eve@example.com")
    assert (eve.name, eve.check_password(PASSWORD["password"])) == ("Eve", True)
    assert eve.emailaddress_set.get().verified
    assert eve.memberships.get().role == "accountant"
    assert client.get("/settings/members/").status_code == 200
    assert actions(workspace)[-1] == "invitation accepted"


def test_a_client_joins_with_the_accounts(client, sign_in, alice, account):
    page = sign_in(alice).post(INVITE, {"email": "eve@example.com", "role": "subscriber", "accounts": account.pk})
    link = link_on(page)
    client = sign_in(None)
    client.get(link)
    landing = client.post("/invitation/", PASSWORD, follow=True)
    assert landing.redirect_chain[-1][0] == "/me/"
    assert "Eve&#39;s account" in landing.content.decode()
    assert SubscriberAccess.objects.get().subscriber == account


def test_a_link_works_once(client, invited):
    client.get(link_of(invited))
    client.post("/invitation/", PASSWORD)
    client.logout()
    again = client.get(link_of(invited))
    assert again.status_code == 410
    assert "accepted already" in again.content.decode()
    assert client.post("/invitation/", PASSWORD).status_code == 410


@pytest.mark.parametrize(("seconds", "works"), [(-1, True), (0, False), (1, False)])
def test_a_link_works_until_its_time(client, invited, seconds, works, time_machine):
    time_machine.move_to(invited.invitation.expires_at + timedelta(seconds=seconds), tick=False)
    answer = client.get(link_of(invited))
    assert (answer.status_code == 302) is works
    if not works:
        assert "too old" in answer.content.decode()


def test_a_revoked_and_a_renewed_link_are_void(client, sign_in, alice, invited):
    client.get(link_of(invited))  # opened before, sent after
    renewed = renew_invitation(invited.invitation, by=alice, now=timezone.now())
    assert client.get(link_of(invited)).status_code == 410
    assert client.post("/invitation/", PASSWORD).status_code == 410
    assert client.get(link_of(renewed)).status_code == 302
    owner = sign_in(alice)
    pk = invited.invitation.pk
    assert owner.post(f"/settings/members/invitations/{pk}/revoke/").status_code == 302
    client = sign_in(None)
    assert "revoked" in client.get(link_of(renewed)).content.decode()
    assert not User.objects.filter(email="eve@example.com").exists()
    assert sign_in(alice).post(f"/settings/members/invitations/{pk}/renew/").status_code == 302


def test_sending_again_gives_a_new_week(alice, invited):
    later = timezone.now() + timedelta(days=30)
    renewed = renew_invitation(invited.invitation, by=alice, now=later).invitation
    assert renewed.expires_at == later + INVITATION_LASTS
    assert renewed.state(later) == "open"


@pytest.mark.parametrize("token", ["x", "a" * 5000, "%00", "..", "²"])
def test_a_made_up_link_is_void(client, db, token):
    assert client.get(f"/invitation/{token}/").status_code in (400, 404, 410)
    assert client.get("/invitation/").status_code == 410


def test_somebody_with_an_account_joins_with_its_password(client, workspace, alice, charlie):
    client.get(link_of(invite(workspace, alice, email=charlie.email)))
    assert client.post("/invitation/", {"password": builders.PASSWORD}).status_code == 302
    assert sorted(charlie.memberships.values_list("role", flat=True)) == ["accountant", "owner"]
    assert "Accountant of Alice Capital" in client.get("/settings/").content.decode()
    charlie.refresh_from_db()
    assert charlie.name == "Charlie", "what a stranger's invitation says does not rename them"


def test_somebody_who_is_signed_in_joins_with_one_click(sign_in, workspace, alice, charlie):
    client = sign_in(charlie)
    client.get(link_of(invite(workspace, alice, email=charlie.email)))
    assert "charlie@example.com" in client.get("/invitation/").content.decode()
    assert client.post("/invitation/").status_code == 302
    assert charlie.memberships.count() == 2


def test_signed_in_as_somebody_else_is_told_and_joins_nobody(sign_in, bob, charlie, invited):
    for person in (bob, charlie):
        client = sign_in(person)
        client.get(link_of(invited))
        page = client.get("/invitation/")
        assert page.status_code == 409
        assert "for somebody else" in page.content.decode()
        assert client.post("/invitation/").status_code == 409
        assert person.memberships.count() == 1


def test_the_page_does_not_tell_whether_the_address_has_an_account(client, workspace, alice, charlie):
    pages, weak = [], []
    for email in (charlie.email, "nobody0@example.com"):
        client.logout()
        client.get(link_of(invite(workspace, alice, email=email)))
        hide = lambda answer: re.sub(r'name="csrfmiddlewaretoken" value="\w+"|"X-CSRFToken": "\w+"', "", answer)  # noqa: E731
        pages.append(hide(client.get("/invitation/").content.decode()).replace(email, ""))
        weak.append(hide(client.post("/invitation/", {"password": "short"}).content.decode()).replace(email, ""))
    assert pages[0] == pages[1]
    assert weak[0] == weak[1]


def test_a_wrong_password_joins_nobody_and_is_slowed_down(client, workspace, alice, charlie, time_machine):
    time_machine.move_to(timezone.now(), tick=False)
    client.get(link_of(invite(workspace, alice, email=charlie.email)))
    wrong = {"password": "a wrong but long phrase 7"}
    answers = [client.post("/invitation/", wrong) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [422] * 8
    assert "Too many wrong passwords" in answers[-1].content.decode()
    assert charlie.memberships.count() == 1


def test_a_member_with_another_role_is_told(sign_in, workspace, alice, charlie):
    invited = invite(workspace, alice, email=charlie.email)
    workspace.memberships.create(user=charlie, role="viewer")
    client = sign_in(charlie)
    client.get(link_of(invited))
    answer = client.post("/invitation/")
    assert answer.status_code == 410
    assert "viewer of Alice Capital already" in answer.content.decode()


def test_a_deactivated_person_does_not_come_back_by_an_invitation(client, workspace, alice, charlie):
    charlie.is_active = False
    charlie.save()
    client.get(link_of(invite(workspace, alice, email=charlie.email)))
    assert client.post("/invitation/", {"password": builders.PASSWORD}).status_code == 422
    assert charlie.memberships.count() == 1


# --- Members ----------------------------------------------------------------------------------------------------------
def path_of(person, workspace, end="") -> str:
    return f"/settings/members/{person.memberships.get(workspace=workspace).pk}/{end}"


def test_the_owner_changes_a_role(sign_in, alice, bob, workspace):
    client = sign_in(alice)
    assert client.get(path_of(bob, workspace)).status_code == 200
    assert client.post(path_of(bob, workspace, "role/"), {"role": "accountant"}).status_code == 302
    assert bob.memberships.get().role == "accountant"
    entry = AuditEntry.objects.get(action="role changed")
    assert entry.details == {"before": "viewer", "after": "accountant"}
    assert client.post(path_of(bob, workspace, "role/"), {"role": "emperor"}).status_code == 422


@pytest.mark.parametrize("end", ["", "role/", "accounts/", "remove/"])
def test_members_are_nobody_elses_business(sign_in, alice, bob, dora, charlie, mona, workspace, end):
    for target in (bob, alice, mona):
        path = path_of(target, workspace, end)
        send = "get" if not end else "post"
        assert getattr(sign_in(charlie), send)(path, {"role": "owner"}).status_code == 404
        assert getattr(sign_in(dora), send)(path, {"role": "owner"}).status_code == 404
        assert getattr(sign_in(bob), send)(path, {"role": "owner"}).status_code == 403
        assert getattr(sign_in(mona), send)(path, {"role": "owner"}).status_code == 403
        assert getattr(sign_in(None), send)(path, {"role": "owner"}).status_code == 302
    assert sorted(workspace.memberships.values_list("role", flat=True)) == [
        "manager",
        "owner",
        "subscriber",
        "viewer",
    ]


def test_a_manager_keeps_clients_only(sign_in, mona, dora, workspace, account):
    client = sign_in(mona)
    assert client.get(path_of(dora, workspace)).status_code == 200
    assert client.post(path_of(dora, workspace, "role/"), {"role": "owner"}).status_code == 422
    assert client.post(path_of(dora, workspace, "accounts/"), {"accounts": account.pk}).status_code == 302
    assert client.post(path_of(dora, workspace, "remove/")).status_code == 302
    assert not dora.memberships.exists()


def test_foreign_and_staff_invitations_are_out_of_reach(sign_in, mona, bob, charlie, invited):
    for end in ("renew", "revoke"):
        path = f"/settings/members/invitations/{invited.invitation.pk}/{end}/"
        assert sign_in(charlie).post(path).status_code == 404
        assert sign_in(mona).post(path).status_code == 403
        assert sign_in(bob).post(path).status_code == 403
        assert sign_in(mona).get(path).status_code == 405


def test_the_last_owner_stays(sign_in, alice, bob, workspace):
    client = sign_in(alice)
    assert "needs an owner" in client.post(path_of(alice, workspace, "role/"), {"role": "viewer"}).content.decode()
    client.post(path_of(alice, workspace, "remove/"))
    client.post("/leave/")
    assert alice.memberships.get().role == "owner"
    client.post(path_of(bob, workspace, "role/"), {"role": "owner"})
    bob.is_active = False
    bob.save()
    assert client.post("/leave/").status_code == 200, "an owner who cannot sign in is none"
    bob.is_active = True
    bob.save()
    assert client.post("/leave/").status_code == 302
    assert not alice.memberships.exists()


def test_whoever_is_removed_sees_nothing_from_the_next_page_on(client, alice, bob, workspace):
    from django.test import Client

    hers, his = Client(), Client()
    hers.force_login(alice)
    his.force_login(bob)
    assert his.get("/settings/members/").status_code == 200
    assert "sees nothing of" in hers.get(path_of(bob, workspace, "remove/")).content.decode()
    assert hers.post(path_of(bob, workspace, "remove/")).status_code == 302
    assert his.get("/settings/members/").status_code == 404
    assert actions(workspace)[-1] == "member removed"


@pytest.mark.parametrize("person", ["bob", "dora"])
def test_everybody_may_leave(request, sign_in, alice, workspace, person):
    member = request.getfixturevalue(person)
    client = sign_in(member)
    assert client.get("/leave/").status_code == 200
    answer = client.post("/leave/", follow=True)
    assert answer.status_code < 500
    assert not member.memberships.exists()
    assert actions(workspace)[-1] == "member left"


# --- Accounts of clients ----------------------------------------------------------------------------------------------
def test_a_client_is_linked_and_unlinked(sign_in, alice, dora, workspace, account):
    client = sign_in(alice)
    path = path_of(dora, workspace, "accounts/")
    assert client.post(path, {"accounts": account.pk}).status_code == 302
    assert dora.memberships.get().accesses.get().subscriber == account
    page = client.get("/settings/members/").content.decode()
    assert "Eve&#39;s account" in page
    assert client.post(path, {}).status_code == 302
    assert not SubscriberAccess.objects.exists()
    entries = [entry.details for entry in AuditEntry.objects.filter(action="accounts linked").order_by("occurred_at")]
    assert entries == [{"linked": ["Eve's account"], "unlinked": []}, {"linked": [], "unlinked": ["Eve's account"]}]


def test_a_client_is_never_linked_to_an_account_of_another_workspace(sign_in, alice, dora, charlie, workspace):
    elsewhere = builders.subscriber(builders.connection(charlie.memberships.get().workspace))
    client = sign_in(alice)
    assert client.post(path_of(dora, workspace, "accounts/"), {"accounts": elsewhere.pk}).status_code == 422
    hers = dora.memberships.get().pk
    assert client.post(f"/subscribers/{elsewhere.pk}/access/link/", {"client": hers}).status_code == 404
    assert sign_in(charlie).post(f"/subscribers/{elsewhere.pk}/access/link/", {"client": hers}).status_code == 422
    assert not SubscriberAccess.objects.exists()


def test_staff_who_become_clients_see_nothing_until_linked(sign_in, alice, dora, bob, workspace, account):
    client = sign_in(alice)
    client.post(path_of(dora, workspace, "accounts/"), {"accounts": account.pk})
    client.post(path_of(dora, workspace, "role/"), {"role": "viewer"})
    client.post(path_of(dora, workspace, "role/"), {"role": "subscriber"})
    assert not SubscriberAccess.objects.exists()


def test_the_access_tab_says_who_sees_the_account(is_for_staff_only, sign_in, alice, bob, dora, account, workspace):
    path = f"/subscribers/{account.pk}/access/"
    page = sign_in(alice).get(path).content.decode()
    assert "No client sees this account" in page
    assert f"{INVITE}?account={account.pk}" in page
    assert INVITE not in sign_in(bob).get(path).content.decode()
    hers = dora.memberships.get().pk
    for person, status in ((bob, 403), (dora, 404), (None, 302), (alice, 302)):
        assert sign_in(person).post(f"{path}link/", {"client": hers}).status_code == status
    assert "dora@example.com" in sign_in(alice).get(path).content.decode()
    for person, status in ((bob, 403), (dora, 404), (None, 302), (alice, 302)):
        assert sign_in(person).post(f"{path}{hers}/unlink/").status_code == status
    assert not SubscriberAccess.objects.exists()


def test_the_list_of_members_needs_few_queries(sign_in, alice, workspace, account, django_assert_max_num_queries):
    for number in range(10):
        member = builders.member(workspace, f"client{number}", "subscriber").memberships.get()
        SubscriberAccess.objects.create(membership=member, subscriber=account)
        invite(workspace, alice, email=f"invited{number}@example.com")
    client = sign_in(alice)
    with django_assert_max_num_queries(14):
        client.get("/settings/members/")


# --- Two at the same time ---------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_two_owners_who_remove_each_other_leave_one():
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    from django.db import connection

    from users.members import change_role, remove_member

    workspace = builders.workspace()
    for _ in range(5):
        Membership.objects.all().delete()
        User.objects.all().delete()
        owners = [builders.member(workspace, name, "owner").memberships.get() for name in ("ann", "ben")]
        start = Barrier(2)

        def act(number, owners=owners, start=start):
            start.wait()
            try:
                if number:
                    return change_role(owners[1], "viewer", by=owners[0].user, now=timezone.now())
                return remove_member(owners[0], by=owners[1].user, now=timezone.now())
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(act, range(2)))
        assert Membership.objects.filter(role="owner").count() == 1
        assert sum(isinstance(outcome, Refusal) for outcome in outcomes) == 1


@pytest.mark.django_db
def test_who_lost_the_role_meanwhile_changes_nobody():
    """The request was let in before the role went; what counts is who one is when it is done."""
    workspace = builders.workspace()
    ann, ben, carl, dora = (
        builders.member(workspace, name, role).memberships.get()
        for name, role in (("ann", "owner"), ("ben", "owner"), ("carl", "manager"), ("dora", "subscriber"))
    )
    now = timezone.now()
    members.change_role(ben, "manager", by=ann.user, now=now)
    for refused in (
        members.change_role(carl, "owner", by=ben.user, now=now),
        members.change_role(ben, "owner", by=ben.user, now=now),
        members.change_role(dora, "accountant", by=carl.user, now=now),
        members.remove_member(carl, by=ben.user, now=now),
        members.remove_member(ann, by=carl.user, now=now),
        members.remove_member(dora, by=builders.member(builders.workspace(), "eve", "owner"), now=now),
    ):
        assert isinstance(refused, Refusal)
        assert "changed meanwhile" in refused.text
    roles = workspace.memberships.order_by("pk").values_list("role", flat=True)
    assert list(roles) == ["owner", "manager", "manager", "subscriber"]
    assert members.remove_member(dora, by=carl.user, now=now) is None
    assert members.remove_member(carl, by=carl.user, now=now) is None  # leaving
    assert workspace.memberships.count() == 2


def test_an_owner_chooses_the_role_of_an_invitation(sign_in, alice):
    client = sign_in(alice)
    assert (
        '<option value="" selected>Choose a role</option>' in client.get("/settings/members/invite/").content.decode()
    )
    refused = client.post("/settings/members/invite/", {"email": "new@example.com", "role": ""})
    assert refused.status_code == 422
    assert not Invitation.objects.exists()
