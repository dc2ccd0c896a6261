"""Pages of members: who belongs to the workspace, inviting, roles, accounts of clients, removing, leaving.

The owner does all of it; a manager invites, links and removes clients only. It is in this layer because clients have
accounts.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from subscribers import access
from subscribers.models import InvitationAccess, Subscriber, SubscriberAccess
from subscribers.pages import page_of, visible_subscriber
from subscribers.people_forms import AccountsForm, InviteForm, LinkForm, RoleForm, own_accounts
from users import factors, mails, members, second_factor
from users.confirming import confirmed
from users.links import link_for
from users.members import Invited, Refusal
from users.models import FactorReset, Invitation, Membership, Role
from users.parsing import row_id
from users.permissions import any_member, may_manage, owner_only, roles_to_give, staff_only
from users.requests import MemberRequest

MOST_MEMBERS = 1000


@require_safe
@staff_only
def member_list(request: MemberRequest) -> HttpResponse:
    """Who belongs to the workspace, with which role, and who is invited."""
    accounts = Prefetch("accesses", SubscriberAccess.objects.select_related("subscriber"))
    people = request.workspace.memberships.select_related("user").prefetch_related(accounts)
    members_of_workspace = list(people.order_by("created_at", "id")[:MOST_MEMBERS])
    context = {
        "members": members_of_workspace,
        "invitations": waiting_invitations(request),
        "roles": roles_to_give(request.membership),
        "has_no_client": not any(member.role == Role.SUBSCRIBER for member in members_of_workspace),
    }
    return render(request, "people/members.html", context)


def waiting_invitations(request: MemberRequest, account: Subscriber | None = None) -> list[Invitation]:
    """Invitations that were neither accepted nor revoked, of the roles that the person may give; newest first."""
    waiting = Invitation.objects.filter(workspace=request.workspace, accepted_at=None, revoked_at=None)
    waiting = waiting.filter(role__in=roles_to_give(request.membership))
    if account is not None:
        waiting = waiting.filter(accesses__subscriber=account)
    accounts = Prefetch("accesses", InvitationAccess.objects.select_related("subscriber"))
    invitations = list(waiting.prefetch_related(accounts).order_by("-sent_at", "-id")[:MOST_MEMBERS])
    for invitation in invitations:
        invitation.is_expired = invitation.state(timezone.now()) == "expired"
    return invitations


# --- Inviting ---------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@may_manage
@confirmed
def invite(request: MemberRequest) -> HttpResponse:
    """Whom to invite as what; the answer shows the link, once."""
    form = InviteForm(request.POST or None, membership=request.membership, account=named_account(request))
    if request.method == "POST" and form.is_valid():
        values = {key: form.cleaned_data[key] for key in ("email", "name", "role", "accounts")}
        invited = access.invite(request.workspace, **values, by=request.user, now=timezone.now())
        if isinstance(invited, Invited):
            return show_link(request, invited)
        form.add_error("email", invited.text)
    return render(request, "people/invite.html", {"form": form}, status=422 if form.errors else 200)


def named_account(request: MemberRequest) -> Subscriber | None:
    """The account that `?account=` names, if it is one of the workspace's."""
    return own_accounts(request.membership).filter(pk=row_id(request.GET.get("account", "")) or 0).first()


def show_link(request: MemberRequest, invited: Invited) -> HttpResponse:
    """Mail the link if there is a mail server, and show it in any case: nobody can read it again."""
    invitation = invited.invitation
    link = link_for(request, reverse("people:invitation", args=[invited.token]))
    is_mailed = settings.MAIL_IS_SET_UP and mails.invite_by_mail(invitation, link, inviter=str(request.user))
    context = {"invitation": invitation, "link": link, "is_mailed": is_mailed, "may_mail": settings.MAIL_IS_SET_UP}
    return render(request, "people/invited.html", context, status=201)


def own_invitation(request: MemberRequest, pk: int) -> Invitation:
    """An invitation of the workspace; 404: none, 403: of a role that the person may not give."""
    invitation = get_object_or_404(Invitation, pk=pk, workspace=request.workspace)
    if invitation.role not in roles_to_give(request.membership):
        raise PermissionDenied
    return invitation


@require_POST
@never_cache
@may_manage
@confirmed
def renew(request: MemberRequest, pk: int) -> HttpResponse:
    """Send it again: a new link, the old one is void."""
    renewed = members.renew_invitation(own_invitation(request, pk), by=request.user, now=timezone.now())
    if isinstance(renewed, Invited):
        return show_link(request, renewed)
    messages.error(request, renewed.text)
    return redirect("people:members")


@require_POST
@may_manage
def revoke(request: MemberRequest, pk: int) -> HttpResponse:
    """Make the link void for good."""
    revoked = members.revoke_invitation(own_invitation(request, pk), by=request.user, now=timezone.now())
    if isinstance(revoked, Refusal):
        messages.error(request, revoked.text)
    else:
        messages.success(request, f"The invitation of {revoked.email} is revoked; its link no longer works.")
    return redirect("people:members")


# --- One member -------------------------------------------------------------------------------------------------------
def own_member(request: MemberRequest, pk: int) -> Membership:
    """A member of the workspace; 404: none, 403: of a role that the person may not change."""
    members = Membership.objects.select_related("user", "workspace")
    membership = get_object_or_404(members, pk=pk, workspace=request.workspace)
    if membership.role not in roles_to_give(request.membership):
        raise PermissionDenied
    return membership


@require_safe
@may_manage
def member(request: MemberRequest, pk: int) -> HttpResponse:
    """Role, accounts and the way out of one member."""
    return member_page(request, own_member(request, pk))


def member_page(request: MemberRequest, membership: Membership, form=None) -> HttpResponse:
    """The page; `form` is the one that was sent and is wrong."""
    roles = RoleForm(membership=request.membership, initial={"role": membership.role})
    is_client = not membership.is_staff_role
    context = {
        "member": membership,
        "role_form": form if isinstance(form, RoleForm) else roles,
        "accounts_form": form if isinstance(form, AccountsForm) else is_client and AccountsForm(client=membership),
        "may_change_role": len(roles_to_give(request.membership)) > 1,
        "has_factor": factors.has_factor(membership.user),
        "factor_reset": FactorReset.objects.filter(user=membership.user, workspace=request.workspace).first(),
        "is_own": membership.pk == request.membership.pk,
        "may_be_owner": membership.is_staff_role and membership.role != Role.OWNER and not membership.deactivated_at,
    }
    return render(request, "people/member.html", context, status=422 if form else 200)


@require_POST
@may_manage
@confirmed
def change_role(request: MemberRequest, pk: int) -> HttpResponse:
    """Another role."""
    membership = own_member(request, pk)
    form = RoleForm(request.POST, membership=request.membership)
    if not form.is_valid():
        return member_page(request, membership, form)
    changed = access.change_role(membership, form.cleaned_data["role"], by=request.user, now=timezone.now())
    if isinstance(changed, Refusal):
        form.add_error("role", changed.text)
        return member_page(request, membership, form)
    messages.success(request, f"{changed.user} is {changed.get_role_display().lower()} now.")
    if changed.user_id == request.user.pk:
        return redirect("/")  # the new role may not see this page
    return redirect("people:member", pk)


@require_POST
@may_manage
@confirmed
def change_accounts(request: MemberRequest, pk: int) -> HttpResponse:
    """The accounts that a client sees."""
    membership = own_member(request, pk)
    if membership.is_staff_role:
        messages.error(request, f"{membership.user} sees every account, as {membership.get_role_display().lower()}.")
        return redirect("people:member", pk)
    form = AccountsForm(request.POST, client=membership)
    if not form.is_valid():
        return member_page(request, membership, form)
    offered = form.accounts.offered
    access.set_accounts(membership, form.cleaned_data["accounts"], among=offered, by=request.user, now=timezone.now())
    messages.success(request, "Saved.")
    return redirect("people:member", pk)


@require_http_methods(["GET", "HEAD", "POST"])
@may_manage
@confirmed
def remove(request: MemberRequest, pk: int) -> HttpResponse:
    """Say what it means, then end the membership."""
    membership = own_member(request, pk)
    if request.method == "POST":
        refusal = members.remove_member(membership, by=request.user, now=timezone.now())
        if refusal is None:
            messages.success(request, f"{membership.user} is no member any more.")
            return redirect("/" if membership.user_id == request.user.pk else "people:members")
        messages.error(request, refusal.text)
        return redirect("people:member", pk)
    return render(request, "people/remove.html", {"member": membership})


@require_POST
@may_manage
@confirmed
def deactivate(request: MemberRequest, pk: int) -> HttpResponse:
    """Shut a member out until they are activated again."""
    changed = members.deactivate_member(own_member(request, pk), by=request.user, now=timezone.now())
    if isinstance(changed, Refusal):
        messages.error(request, changed.text)
    else:
        messages.success(request, f"{changed.user} is shut out, on every device, until you activate them again.")
    return redirect("people:member", pk)


@require_POST
@may_manage
@confirmed
def activate(request: MemberRequest, pk: int) -> HttpResponse:
    """Let a member in again."""
    changed = members.activate_member(own_member(request, pk), by=request.user, now=timezone.now())
    if isinstance(changed, Refusal):
        messages.error(request, changed.text)
    else:
        messages.success(request, f"{changed.user} can sign in to {changed.workspace} again.")
    return redirect("people:member", pk)


@require_POST
@owner_only
@confirmed
def transfer(request: MemberRequest, pk: int) -> HttpResponse:
    """Make somebody else owner in one's own place."""
    changed = members.transfer_ownership(own_member(request, pk), by=request.user, now=timezone.now())
    if isinstance(changed, Refusal):
        messages.error(request, changed.text)
        return redirect("people:member", pk)
    messages.success(request, f"{changed.user} is owner of {changed.workspace} now, and you are manager.")
    return redirect("people:members")


@require_POST
@owner_only
@confirmed
def reset_factor(request: MemberRequest, pk: int) -> HttpResponse:
    """Take the second factor of somebody who lost it away, a day from now; or take that back."""
    membership = own_member(request, pk)
    if "keep" in request.POST:
        second_factor.withdraw_reset(membership.user, by=request.user)
        messages.success(request, f"{membership.user} keeps the second factor.")
        return redirect("people:member", pk)
    reset = second_factor.request_reset(membership, by=request.user, now=timezone.now())
    if isinstance(reset, Refusal):
        messages.error(request, reset.text)
    else:
        messages.success(request, f"{membership.user} was told. From tomorrow at this time their password is enough.")
    return redirect("people:member", pk)


@require_http_methods(["GET", "HEAD", "POST"])
@any_member
def leave(request: MemberRequest) -> HttpResponse:
    """End one's own membership of the workspace one looks at."""
    if request.method == "POST":
        refusal = members.remove_member(request.membership, by=request.user, now=timezone.now())
        if refusal is None:
            messages.success(request, f"You have left {request.workspace}.")
            return redirect("/")
        messages.error(request, refusal.text)
    return render(request, "people/leave.html")


# --- Who sees one account ---------------------------------------------------------------------------------------------
@require_safe
@staff_only
def account_access(request: MemberRequest, pk: int) -> HttpResponse:
    """Which clients see the account, and who is invited to."""
    return access_page(request, visible_subscriber(request, pk))


def access_page(request: MemberRequest, subscriber: Subscriber, form: LinkForm | None = None) -> HttpResponse:
    """The page; `form` is the one that was sent and is wrong."""
    clients = Membership.objects.filter(accesses__subscriber=subscriber).select_related("user").order_by("id")
    context = page_of(
        request,
        subscriber,
        "access",
        clients=clients,
        invitations=waiting_invitations(request, subscriber),
        form=form or LinkForm(account=subscriber),
    )
    return render(request, "people/access.html", context, status=422 if form else 200)


@require_POST
@may_manage
@confirmed
def link(request: MemberRequest, pk: int) -> HttpResponse:
    """Let a client who is a member see the account too."""
    subscriber = visible_subscriber(request, pk)
    form = LinkForm(request.POST, account=subscriber)
    if not form.is_valid():
        return access_page(request, subscriber, form)
    client = form.cleaned_data["client"]
    access.set_accounts(client, [subscriber], among=[subscriber.pk], by=request.user, now=timezone.now())
    messages.success(request, f"{client.user} sees {subscriber.name} now.")
    return redirect("people:access", pk)


@require_POST
@may_manage
@confirmed
def unlink(request: MemberRequest, pk: int, membership_pk: int) -> HttpResponse:
    """Take the account out of a client's sight."""
    subscriber = visible_subscriber(request, pk)
    client = get_object_or_404(Membership, pk=membership_pk, workspace=request.workspace, role=Role.SUBSCRIBER)
    access.set_accounts(client, [], among=[subscriber.pk], by=request.user, now=timezone.now())
    messages.success(request, f"{client.user} does not see {subscriber.name} any more.")
    return redirect("people:access", pk)
