"""Who belongs to a workspace: invitations, roles, and leaving. Each write is one transaction with an audit entry.

An invitation's link carries a token of which only the digest is stored, so it is shown or mailed once; asking again
makes a new one and the old is void. A workspace never loses its last owner: whatever could take one away waits for
the workspace's row first.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from users.events import emit
from users.models import Invitation, Membership, Role, User, Workspace
from users.permissions import roles_to_give
from users.services import record_audit

INVITATION_LASTS = timedelta(days=7)
NEEDS_AN_OWNER = "A workspace needs an owner: make somebody else owner first."
CHANGED_MEANWHILE = "Nothing was changed: your role or theirs was changed meanwhile. Open the list of members again."


@dataclass(frozen=True)
class Refusal:
    """Why nothing was changed, in a sentence for the person who asked."""

    text: str


@dataclass(frozen=True)
class Invited:
    """An invitation and the token of its link, which nobody can read again."""

    invitation: Invitation
    token: str


# --- Invitations ------------------------------------------------------------------------------------------------------
def digest_of(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def create_invitation(
    workspace: Workspace,
    *,
    email: str,
    role: str,
    by: User | None,
    now: datetime,
    name: str = "",
    lasts: timedelta = INVITATION_LASTS,
) -> Invited | Refusal:
    """Invite an address. Refused: it belongs to a member, or has an invitation that still waits."""
    email = email.lower()
    if of_kind(workspace.memberships.filter(user__email=email), role).exists():
        return Refusal(f"{email} is a member already: change the role in the list of members.")
    token = secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            invitation = Invitation.objects.create(
                workspace=workspace,
                email=email,
                role=role,
                name=name,
                token_digest=digest_of(token),
                invited_by=by,
                created_at=now,
                sent_at=now,
                expires_at=now + lasts,
            )
            record_audit(workspace, user=by, action="invitation sent", subject=email, details={"role": role}, now=now)
    except IntegrityError:
        return Refusal(f"{email} is invited already: send that invitation again, or revoke it.")
    return Invited(invitation, token)


@transaction.atomic
def renew_invitation(invitation: Invitation, *, by: User | None, now: datetime) -> Invited | Refusal:
    """A new link with a new time limit; the old link is void."""
    locked = Invitation.objects.select_for_update().get(pk=invitation.pk)
    if locked.accepted_at or locked.revoked_at:
        return Refusal("This invitation was accepted or revoked meanwhile.")
    token = secrets.token_urlsafe(32)
    locked.token_digest, locked.sent_at, locked.expires_at = digest_of(token), now, now + INVITATION_LASTS
    locked.save(update_fields=["token_digest", "sent_at", "expires_at"])
    record_audit(locked.workspace, user=by, action="invitation sent again", subject=locked.email, now=now)
    return Invited(locked, token)


@transaction.atomic
def revoke_invitation(invitation: Invitation, *, by: User | None, now: datetime) -> Invitation | Refusal:
    """Make the link void for good."""
    locked = Invitation.objects.select_for_update().get(pk=invitation.pk)
    if locked.accepted_at:
        return Refusal(f"{locked.email} has accepted meanwhile: remove the member instead.")
    if locked.revoked_at is None:
        locked.revoked_at = now
        locked.save(update_fields=["revoked_at"])
        record_audit(locked.workspace, user=by, action="invitation revoked", subject=locked.email, now=now)
    return locked


def invitation_of(token: str) -> Invitation | None:
    """The invitation of a link, in whatever state it is."""
    return Invitation.objects.select_related("workspace", "invited_by").filter(token_digest=digest_of(token)).first()


@transaction.atomic
def create_person(invitation: Invitation, *, name: str, password: str) -> User:
    """A new person with the invited address, which counts as confirmed: the link went there."""
    user = User.objects.create_user(invitation.email, password, name=name)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


@transaction.atomic
def accept_invitation(invitation: Invitation, user: User, *, now: datetime) -> Membership | Refusal:
    """Make the invited person a member. Refused: the link is void by now, or they are a member with another role."""
    locked = Invitation.objects.select_for_update(of=("self",)).select_related("workspace").get(pk=invitation.pk)
    if locked.state(now) != "open" or locked.token_digest != invitation.token_digest or user.email != locked.email:
        return Refusal("This invitation does not work any more.")
    own = Membership.objects.filter(workspace=locked.workspace, user=user)
    membership = of_kind(own, locked.role).first()
    if membership is None:
        membership = Membership.objects.create(workspace=locked.workspace, user=user, role=locked.role)
    elif membership.deactivated_at or membership.role != locked.role:
        return Refusal(f"You are {membership.get_role_display().lower()} of {locked.workspace} already.")
    locked.accepted_at, locked.accepted_by = now, user
    locked.save(update_fields=["accepted_at", "accepted_by"])
    details = {"role": locked.role}
    data = {"email": user.email, "name": user.name, "role": membership.role}
    emit(locked.workspace_id, "member.joined", data, now=now)
    record_audit(
        locked.workspace, user=user, action="invitation accepted", subject=user.email, details=details, now=now
    )
    return membership


# --- Members ----------------------------------------------------------------------------------------------------------
@transaction.atomic
def change_role(
    membership: Membership, role: str, *, by: User | None, service_role: str = "", now: datetime
) -> Membership | Refusal:
    """Give a member another role. Refused for the last owner, and to whom may not give or take these roles by now."""
    locked = _lock(membership)
    if locked is None:
        return Refusal("This person is no member any more.")
    before = locked.role
    if not {before, role} <= {*_roles_of(by, locked, service_role)}:
        return Refusal(CHANGED_MEANWHILE)
    if before == role:
        return locked
    if is_last_owner(locked):
        return Refusal(NEEDS_AN_OWNER)
    others = Membership.objects.filter(workspace=locked.workspace_id, user=locked.user_id).exclude(pk=locked.pk)
    if of_kind(others, role).exists():
        return Refusal(f"{locked.user} is a member in that role beside this one: remove one of the two.")
    locked.role = role
    locked.save(update_fields=["role"])
    details = {"before": before, "after": role}
    person = {"email": locked.user.email, "name": locked.user.name, "role": locked.role}
    emit(locked.workspace_id, "member.changed", person, now=now)
    record_audit(locked.workspace, user=by, action="role changed", subject=locked.user.email, details=details, now=now)
    return locked


@transaction.atomic
def remove_member(membership: Membership, *, by: User | None, service_role: str = "", now: datetime) -> Refusal | None:
    """End a membership at once, open sessions included; the person and what they did stay.

    Refused: the last owner, and to whom may not remove such members by now. Everybody may leave.
    """
    locked = _lock(membership)
    if locked is None:
        return None
    if by != locked.user and locked.role not in _roles_of(by, locked, service_role):
        return Refusal(CHANGED_MEANWHILE)
    if is_last_owner(locked):
        return Refusal(NEEDS_AN_OWNER)
    action = "member left" if by == locked.user else "member removed"
    record_audit(
        locked.workspace, user=by, action=action, subject=locked.user.email, details={"role": locked.role}, now=now
    )
    person = {"email": locked.user.email, "name": locked.user.name, "role": locked.role}
    emit(locked.workspace_id, "member.left", person, now=now)
    locked.delete()
    return None


@transaction.atomic
def deactivate_member(
    membership: Membership, *, by: User | None, service_role: str = "", now: datetime
) -> Membership | Refusal:
    """Shut a member out at once, open sessions included, until they are activated again. Refused as removing is."""
    locked = _lock(membership)
    if locked is None or locked.role not in _roles_of(by, locked, service_role):
        return Refusal(CHANGED_MEANWHILE)
    if locked.user == by:
        return Refusal("Nobody deactivates themself: leave the workspace instead.")
    if is_last_owner(locked):
        return Refusal(NEEDS_AN_OWNER)
    return _set_deactivated(locked, locked.deactivated_at or now, action="member deactivated", by=by, now=now)


@transaction.atomic
def activate_member(
    membership: Membership, *, by: User | None, service_role: str = "", now: datetime
) -> Membership | Refusal:
    """Let a deactivated member in again, with the role and accounts that they had."""
    locked = _lock(membership)
    if locked is None or locked.role not in _roles_of(by, locked, service_role):
        return Refusal(CHANGED_MEANWHILE)
    return _set_deactivated(locked, None, action="member activated", by=by, now=now)


def _set_deactivated(
    locked: Membership, since: datetime | None, *, action: str, by: User | None, now: datetime
) -> Membership:
    if locked.deactivated_at != since:
        locked.deactivated_at = since
        locked.save(update_fields=["deactivated_at"])
        details = {"role": locked.role}
        record_audit(locked.workspace, user=by, action=action, subject=locked.user.email, details=details, now=now)
    return locked


@transaction.atomic
def transfer_ownership(membership: Membership, *, by: User, now: datetime) -> Membership | Refusal:
    """Make another member of the staff owner in one's own place; one stays as manager. Returns the new owner's."""
    locked = _lock(membership)
    own = _staff_membership(by, membership.workspace_id)
    if locked is None or own is None or own.role != Role.OWNER:
        return Refusal(CHANGED_MEANWHILE)
    if not locked.is_staff_role or locked.deactivated_at or not locked.user.is_active or locked.pk == own.pk:
        return Refusal("Ownership goes to another active member of the staff.")
    details = {"before": {locked.user.email: locked.role, by.email: own.role}}
    locked.role, own.role = Role.OWNER, Role.MANAGER
    locked.save(update_fields=["role"])
    own.save(update_fields=["role"])
    details["after"] = {locked.user.email: locked.role, by.email: own.role}
    record_audit(
        locked.workspace,
        user=by,
        action="ownership transferred",
        subject=locked.user.email,
        details=details,
        now=now,
    )
    return locked


def of_kind(memberships: QuerySet[Membership], role: str) -> QuerySet[Membership]:
    """Those that a person cannot have beside one with `role`: staff and client are two, every other pair is one."""
    is_client = role == Role.SUBSCRIBER
    return memberships.filter(role=Role.SUBSCRIBER) if is_client else memberships.exclude(role=Role.SUBSCRIBER)


def _staff_membership(person: User, workspace_id: int) -> Membership | None:
    """What a person is in a workspace as of now, shut out or client: None."""
    staff = Membership.objects.exclude(role=Role.SUBSCRIBER).filter(deactivated_at=None)
    return staff.filter(workspace=workspace_id, user=person).first()


def _lock(membership: Membership) -> Membership | None:
    """The membership as it is now, after everybody who changes members of the workspace; None: it is gone."""
    Workspace.objects.select_for_update().get(pk=membership.workspace_id)
    return Membership.objects.select_related("user", "workspace").filter(pk=membership.pk).first()


def _roles_of(person: User | None, member: Membership, service_role: str) -> tuple[Role, ...]:
    """The roles that somebody gives in the member's workspace, as of now: theirs may have been changed meanwhile.

    service_role: of the service that does it where no person does.
    """
    if person is None:
        service = Membership(workspace_id=member.workspace_id, role=service_role) if service_role else None
        return roles_to_give(service)
    return roles_to_give(_staff_membership(person, member.workspace_id))


def is_last_owner(membership: Membership) -> bool:
    """Whether the workspace would be without an active owner."""
    others = Membership.objects.filter(workspace=membership.workspace_id, role=Role.OWNER, user__is_active=True)
    others = others.filter(deactivated_at=None)
    return membership.role == Role.OWNER and not others.exclude(pk=membership.pk).exists()
