"""Which accounts a client sees: given with the invitation, or linked and unlinked later."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from subscribers.models import InvitationAccess, Subscriber, SubscriberAccess
from users import members
from users.members import Invited, Refusal
from users.models import Invitation, Membership, Role, User, Workspace
from users.services import record_audit


@transaction.atomic
def invite(
    workspace: Workspace,
    *,
    email: str,
    role: str,
    accounts: Collection[Subscriber] = (),
    by: User | None,
    now: datetime,
    name: str = "",
    **options,
) -> Invited | Refusal:
    """Invite an address, a client with the accounts that they will see."""
    invited = members.create_invitation(workspace, email=email, role=role, name=name, by=by, now=now, **options)
    if isinstance(invited, Invited) and role == Role.SUBSCRIBER:
        InvitationAccess.objects.bulk_create(
            InvitationAccess(invitation=invited.invitation, subscriber=account) for account in accounts
        )
    return invited


@transaction.atomic
def accept(invitation: Invitation, user: User, *, now: datetime) -> Membership | Refusal:
    """Make the invited person a member who sees the accounts of the invitation."""
    membership = members.accept_invitation(invitation, user, now=now)
    if isinstance(membership, Membership) and not membership.is_staff_role:
        own = Subscriber.objects.filter(invitations__invitation=invitation, workspace=invitation.workspace_id)
        SubscriberAccess.objects.bulk_create(
            (SubscriberAccess(membership=membership, subscriber=account) for account in own), ignore_conflicts=True
        )
    return membership


@transaction.atomic
def change_role(
    membership: Membership, role: str, *, by: User | None, service_role: str = "", now: datetime
) -> Membership | Refusal:
    """Give a member another role; staff see every account, and nothing is left over for a later change back."""
    changed = members.change_role(membership, role, by=by, service_role=service_role, now=now)
    if isinstance(changed, Membership) and changed.is_staff_role:
        SubscriberAccess.objects.filter(membership=changed).delete()
    return changed


@transaction.atomic
def accept_as_new_person(
    invitation: Invitation, *, name: str, password: str, now: datetime
) -> tuple[User, Membership | Refusal]:
    """Make the person and the membership, both or neither."""
    user = members.create_person(invitation, name=name, password=password)
    membership = accept(invitation, user, now=now)
    if isinstance(membership, Refusal):
        transaction.set_rollback(True)
    return user, membership


@transaction.atomic
def set_accounts(
    membership: Membership, accounts: Collection[Subscriber], *, among: Collection[int], by: User | None, now: datetime
) -> None:
    """Let a client see exactly `accounts`, of those whose ids are in `among`: the form offered no others."""
    wanted = {account.pk for account in accounts}
    linked = set(membership.accesses.filter(subscriber_id__in=among).values_list("subscriber_id", flat=True))
    if wanted == linked:
        return
    membership.accesses.filter(subscriber_id__in=linked - wanted).delete()
    SubscriberAccess.objects.bulk_create(
        (SubscriberAccess(membership=membership, subscriber_id=pk) for pk in wanted - linked), ignore_conflicts=True
    )
    names = dict(Subscriber.objects.filter(pk__in=wanted ^ linked).values_list("pk", "name"))
    details = {
        "linked": sorted(names[pk] for pk in wanted - linked),
        "unlinked": sorted(names[pk] for pk in linked - wanted),
    }
    record_audit(
        membership.workspace, user=by, action="accounts linked", subject=membership.user.email, details=details, now=now
    )


def accounts_seen(memberships: Collection[int], accounts: Collection[int]) -> set[tuple[int, int]]:
    """Which clients see which accounts: (membership, account)."""
    own = Subscriber.objects.filter(pk__in=accounts, accesses__membership__in=memberships)
    return set(own.values_list("accesses__membership", "pk"))
