"""Who belongs to the workspace: members with their roles, and invitations, by the rules of the pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request

from api.base import Guard
from api.fields import MomentField, RowSerializer, flag, number, text
from api.lists import ListView, OfRows, RowView, listing_for
from api.once import Reply, Sort
from api.problems import ApiProblem
from api.writes import WriteView, errors_of_form, write
from subscribers import access
from subscribers.models import InvitationAccess, Subscriber, SubscriberAccess
from subscribers.people_forms import InviteForm, own_accounts
from users import mails, members
from users.links import link_for
from users.listing import Choice, Column, Listing, Option, Search
from users.members import Invited, Refusal
from users.models import Invitation, Membership, Role
from users.permissions import may_manage, roles_to_give

ROLES = [(role.value, role.label) for role in Role]
ROLE_FILTER = Choice("role", "Role", placeholder="Any role", options=[Option(role.value, role.label) for role in Role])
MOST_ACCOUNTS = 500
ACCOUNT_IDS = serializers.ListField(
    child=serializers.IntegerField(min_value=1, max_value=2**31),
    required=False,
    max_length=MOST_ACCOUNTS,
    help_text="Ids of subscribers that a client sees; staff see all.",
)


# --- Members ----------------------------------------------------------------------------------------------------------
class MemberRow(RowSerializer):
    """A person and what they are in the workspace. Staff see every account."""

    reads = ("email", "name", "role", "created_at", "deactivated_at")
    email = text()
    name = text()
    role = serializers.ChoiceField(ROLES, read_only=True)
    subscribers = serializers.SerializerMethodField(help_text="Ids of the accounts that a client sees.")
    created_at = MomentField()
    deactivated_at = MomentField(allow_null=True, help_text="Since when they are shut out; null: they are not.")

    def get_subscribers(self, row: Any) -> list[int]:
        return self.context["accounts"][row.id]


MEMBERS = Listing(
    name="members",
    sort="created_at",
    columns=(
        Column("email", "E-mail address", source="user__email", is_sortable=True),
        Column("name", "Name", source="user__name"),
        Column("role", "Role"),
        Column("created_at", "Since", is_sortable=True),
        Column("deactivated_at", "Shut out"),
    ),
    filters=(Search("q", "Search", placeholder="Name or address", fields=("user__name", "user__email")), ROLE_FILTER),
)


class OfMembers:
    """Members of the workspace of the token."""

    tag, row = "People", MemberRow
    listing = listing_for(MEMBERS, MemberRow)

    def rows(self, membership: Membership) -> QuerySet:
        return Membership.objects.filter(workspace=membership.workspace_id)

    def context_of(self, membership: Membership, rows: Sequence[Any]) -> dict[str, Any]:
        accounts: dict[int, list[int]] = defaultdict(list)
        seen = SubscriberAccess.objects.filter(membership__in=[row.id for row in rows])
        for pk, account in seen.order_by("subscriber_id").values_list("membership_id", "subscriber_id"):
            accounts[pk].append(account)
        return {"accounts": accounts}


class Members(OfMembers, ListView):
    """Everybody who belongs to the workspace."""

    noun = "members"


class MemberDetail(OfMembers, RowView):
    """One member."""

    noun = "member"


class MemberAct(OfMembers, OfRows, WriteView):
    """What is done to a member. A manager brings clients, the owner anybody."""

    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_manage}
    answers: ClassVar = {"POST": MemberRow}

    @property
    def service_role(self) -> str:
        """Of the token where it belongs to no person."""
        return "" if self.membership.user_id else self.membership.role

    def member(self, pk: int) -> Membership:
        """The member. Raises Http404, and PermissionDenied where the token's role does not give theirs."""
        own = self.rows(self.membership).select_related("user", "workspace")
        member: Membership = get_object_or_404(own, pk=pk)
        if member.role not in roles_to_give(self.membership):
            raise PermissionDenied
        return member

    def reply(self, pk: int, changed: Membership | Refusal | None) -> Reply:
        """The member as they are now. Raises ApiProblem for a refusal."""
        if isinstance(changed, Refusal):
            raise ApiProblem("refused", changed.text)
        return Reply(self.written(pk))


class RoleBody(serializers.Serializer):
    """Another role."""

    role = serializers.ChoiceField(ROLES)


class MemberRole(MemberAct):
    """Give a member another role."""

    noun = "member_role"
    bodies: ClassVar = {"POST": RoleBody}
    names: ClassVar = {"POST": "change_member_role"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """Give a member another role. A workspace never loses its last owner."""
        member, role = self.member(pk), self.body["role"]
        if role not in roles_to_give(self.membership):
            raise PermissionDenied
        changed = access.change_role(member, role, by=self.actor, service_role=self.service_role, now=timezone.now())
        return self.reply(pk, changed)


class MemberDeactivation(MemberAct):
    """Shut a member out until they are let in again."""

    noun = "member_deactivation"
    names: ClassVar = {"POST": "deactivate_member"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """Shut a member out at once, on every device, until they are let in again."""
        member, role = self.member(pk), self.service_role
        return self.reply(pk, members.deactivate_member(member, by=self.actor, service_role=role, now=timezone.now()))


class MemberActivation(MemberAct):
    """Let a member in again."""

    noun = "member_activation"
    names: ClassVar = {"POST": "activate_member"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """Let a member who was shut out in again, with the role and accounts that they had."""
        member, role = self.member(pk), self.service_role
        return self.reply(pk, members.activate_member(member, by=self.actor, service_role=role, now=timezone.now()))


class AccountsBody(serializers.Serializer):
    """The accounts that a client sees."""

    subscribers = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**31), max_length=MOST_ACCOUNTS
    )


class MemberAccounts(MemberAct):
    """Choose the accounts that a client sees."""

    noun = "member_accounts"
    bodies: ClassVar = {"POST": AccountsBody}
    names: ClassVar = {"POST": "set_member_accounts"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """Let a client see exactly these accounts."""
        member = self.member(pk)
        if member.is_staff_role:
            raise ApiProblem("refused", f"{member.user} sees every account, as {member.get_role_display().lower()}.")
        own, accounts = own_accounts(self.membership), accounts_of(self.membership, self.body["subscribers"])
        among = own.values_list("pk", flat=True)
        access.set_accounts(member, accounts, among=among, by=self.actor, now=timezone.now())
        return self.reply(pk, member)


class RemovalBody(serializers.Serializer):
    """What says that somebody means it."""

    confirm = serializers.CharField(required=False, allow_blank=True, max_length=254, help_text="Their e-mail address.")


class RemovedMember(serializers.Serializer):
    """Who is no member any more."""

    id = number()
    email = text()


class MemberRemoval(MemberAct):
    """End a membership."""

    noun = "member_removal"
    answers: ClassVar = {"POST": RemovedMember}
    bodies: ClassVar = {"POST": RemovalBody}
    names: ClassVar = {"POST": "remove_member"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """End a membership at once; the person and what they did stay. “confirm” is their e-mail address."""
        member = self.member(pk)
        if self.body.get("confirm", "").strip().lower() != member.user.email:
            error = {"pointer": "/confirm", "detail": "Send the e-mail address of the member."}
            raise ApiProblem("confirmation-needed", "Nothing was changed: it has to be confirmed.", errors=[error])
        if pk == self.membership.pk:  # the token goes with its person, and no answer could be kept
            raise ApiProblem("refused", "A person leaves the workspace on its pages, not by their own token.")
        refusal = members.remove_member(member, by=self.actor, service_role=self.service_role, now=timezone.now())
        if refusal is not None:
            raise ApiProblem("refused", refusal.text)
        return Reply({"id": pk, "email": member.user.email})


def accounts_of(membership: Membership, ids: Sequence[int]) -> list[Subscriber]:
    """Accounts by their ids. Raises Http404 where one is none of the workspace's."""
    accounts = list(own_accounts(membership).filter(pk__in=ids))
    if len(accounts) != len(set(ids)):
        raise Http404
    return accounts


# --- Invitations ------------------------------------------------------------------------------------------------------
class InvitationRow(RowSerializer):
    """An address that was asked to become a member."""

    reads = ("email", "name", "role", "created_at", "sent_at", "expires_at", "accepted_at", "revoked_at")
    email = text()
    name = text()
    role = serializers.ChoiceField(ROLES, read_only=True)
    state = serializers.SerializerMethodField(help_text="open, expired, accepted or revoked.")
    subscribers = serializers.SerializerMethodField(help_text="Ids of the accounts that a client will see.")
    created_at = MomentField()
    sent_at = MomentField(help_text="When its present link was made.")
    expires_at = MomentField()
    accepted_at = MomentField(allow_null=True)
    revoked_at = MomentField(allow_null=True)

    def get_state(self, row: Any) -> str:
        if row.accepted_at or row.revoked_at:
            return "accepted" if row.accepted_at else "revoked"
        return "open" if self.context["now"] < row.expires_at else "expired"

    def get_subscribers(self, row: Any) -> list[int]:
        return self.context["accounts"][row.id]


WAITING = Q(accepted_at=None, revoked_at=None)
INVITATIONS = Listing(
    name="invitations",
    sort="-sent_at",
    columns=(
        Column("email", "E-mail address", is_sortable=True),
        Column("name", "Name"),
        Column("role", "Role"),
        Column("created_at", "Made"),
        Column("sent_at", "Sent", is_sortable=True),
        Column("expires_at", "Works until"),
        Column("accepted_at", "Accepted"),
        Column("revoked_at", "Revoked"),
    ),
    filters=(
        Search("q", "Search", placeholder="Name or address", fields=("name", "email")),
        ROLE_FILTER,
        Choice(
            "state",
            "State",
            placeholder="Any state",
            options=(
                Option("waiting", "Open or expired", WAITING),
                Option("accepted", "Accepted", Q(accepted_at__isnull=False)),
                Option("revoked", "Revoked", Q(revoked_at__isnull=False)),
            ),
        ),
    ),
)


class OfInvitations:
    """Invitations to the workspace, of the roles that the token's role gives."""

    tag, row = "People", InvitationRow
    listing = listing_for(INVITATIONS, InvitationRow)

    def rows(self, membership: Membership) -> QuerySet:
        own = Invitation.objects.filter(workspace=membership.workspace_id)
        return own.filter(role__in=roles_to_give(membership))

    def context_of(self, membership: Membership, rows: Sequence[Any]) -> dict[str, Any]:
        accounts: dict[int, list[int]] = defaultdict(list)
        seen = InvitationAccess.objects.filter(invitation__in=[row.id for row in rows])
        for pk, account in seen.order_by("subscriber_id").values_list("invitation_id", "subscriber_id"):
            accounts[pk].append(account)
        return {"accounts": accounts, "now": timezone.now()}


class InvitationBody(serializers.Serializer):
    """Whom to invite, as what."""

    email = serializers.EmailField(max_length=254)
    name = serializers.CharField(required=False, allow_blank=True, max_length=120)
    role = serializers.ChoiceField(ROLES)
    subscribers = ACCOUNT_IDS
    mail = serializers.BooleanField(required=False, help_text="false: no mail is sent; the answer has the link.")


class SendingBody(serializers.Serializer):
    """How the link reaches the person."""

    mail = serializers.BooleanField(required=False, help_text="false: no mail is sent; the answer has the link.")


class InvitationAnswer(serializers.Serializer):
    """An invitation whose link is on its way, or is to be handed on."""

    id = number()
    email = text()
    role = serializers.ChoiceField(ROLES, read_only=True)
    expires_at = MomentField()
    is_mailed = flag(help_text="Whether the mail server took the mail.")
    link = serializers.URLField(allow_null=True, help_text="To be handed on; told now only, null where it was mailed.")


class InvitationAct(OfInvitations, WriteView):
    """What is done to an invitation."""

    guards: ClassVar[Mapping[str, Guard]] = {"POST": may_manage}

    def invitation(self, pk: int) -> Invitation:
        """The invitation. Raises Http404, and PermissionDenied where the token's role does not give its role."""
        invitation = get_object_or_404(Invitation, pk=pk, workspace=self.membership.workspace_id)
        if invitation.role not in roles_to_give(self.membership):
            raise PermissionDenied
        return invitation

    def sent(self, invited: Invited | Refusal, *, status: int = 200) -> Reply:
        """Mail the link, or answer it. Raises ApiProblem for a refusal."""
        if isinstance(invited, Refusal):
            raise ApiProblem("refused", invited.text)
        invitation, path = invited.invitation, reverse("people:invitation", args=[invited.token])
        link = link_for(self.request, path)
        inviter = str(self.actor or self.workspace.name)
        wants_mail = settings.MAIL_IS_SET_UP and self.body.get("mail", True)
        is_mailed = wants_mail and mails.invite_by_mail(invitation, link, inviter=inviter)
        answer = {"id": invitation.pk, "email": invitation.email, "role": invitation.role, "is_mailed": is_mailed}
        expires_at = MomentField().to_representation(invitation.expires_at)
        return Reply(answer | {"expires_at": expires_at, "link": None if is_mailed else link}, status)


class Invitations(InvitationAct, ListView):
    """Everybody who was invited, and inviting somebody."""

    noun = "invitations"
    guards: ClassVar[Mapping[str, Guard]] = {"GET": may_manage, "POST": may_manage}
    answers: ClassVar = {"POST": InvitationAnswer}
    bodies: ClassVar = {"POST": InvitationBody}
    statuses: ClassVar = {"POST": (201,)}
    names: ClassVar = {"POST": "invite"}

    @write(Sort.SENT)
    def post(self, request: Request) -> Reply:
        """Invite somebody: the link is mailed, or answered once where that is not possible or not wanted."""
        ids = self.body.get("subscribers", [])
        accounts = accounts_of(self.membership, ids)
        values = {name: self.body.get(name, "") for name in ("email", "name", "role")}
        form = InviteForm(values | {"accounts": ids}, membership=self.membership)
        if not form.is_valid():
            raise ApiProblem("invalid", errors=errors_of_form(form, accounts="subscribers"))
        people = {name: form.cleaned_data[name] for name in ("email", "name", "role")}
        invited = access.invite(self.workspace, **people, accounts=accounts, by=self.actor, now=timezone.now())
        return self.sent(invited, status=201)


class InvitationDetail(OfInvitations, RowView):
    """One invitation."""

    noun = "invitation"
    guards: ClassVar[Mapping[str, Guard]] = {"GET": may_manage}


class InvitationSending(InvitationAct):
    """Send an invitation again."""

    noun = "invitation_sending"
    answers: ClassVar = {"POST": InvitationAnswer}
    bodies: ClassVar = {"POST": SendingBody}
    names: ClassVar = {"POST": "resend_invitation"}

    @write(Sort.SENT)
    def post(self, request: Request, pk: int) -> Reply:
        """Send an invitation again: a new link with a new time limit, the old link is void."""
        return self.sent(members.renew_invitation(self.invitation(pk), by=self.actor, now=timezone.now()))


class InvitationRevocation(InvitationAct, OfRows):
    """Revoke an invitation."""

    noun = "invitation_revocation"
    answers: ClassVar = {"POST": InvitationRow}
    names: ClassVar = {"POST": "revoke_invitation"}

    @write(Sort.STORED)
    def post(self, request: Request, pk: int) -> Reply:
        """Make the link of an invitation void for good."""
        revoked = members.revoke_invitation(self.invitation(pk), by=self.actor, now=timezone.now())
        if isinstance(revoked, Refusal):
            raise ApiProblem("refused", revoked.text)
        return Reply(self.written(pk))
