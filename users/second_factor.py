"""The second factor: an app's codes, and recovery codes for when it is lost (django-allauth's mfa part).

A workspace may ask it of roles. Whoever loses the last one is helped by an owner: after RESET_AFTER, noticed and noted,
so that the person can object; or at once by the operator (`manage.py resetfactor`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from allauth.mfa.models import Authenticator
from django.db import transaction

from copying.secrets import decrypt, encrypt
from users import tasks
from users.audit import record_audit, record_personal
from users.factors import has_factor
from users.members import Refusal, is_last_owner
from users.models import FactorReset, Membership, User, Workspace
from users.sessions import end_others

RESET_AFTER = timedelta(hours=24)
ONLY_OPERATOR = "Only whoever runs this installation can reset it for this person (docs/operations.md)."
SECRETS = ("secret", "seed")


@transaction.atomic
def require_of(workspace: Workspace, roles: list[str], *, by: User) -> None:
    """Ask the second factor of these roles from now on."""
    locked = Workspace.objects.select_for_update().get(pk=workspace.pk)
    before, locked.factor_roles = locked.factor_roles, roles
    locked.save(update_fields=["factor_roles"])
    details = {"before": before, "after": roles}
    record_audit(locked, user=by, action="second factor required", subject=locked.name, details=details)


# --- Lost -------------------------------------------------------------------------------------------------------------
@transaction.atomic
def request_reset(membership: Membership, *, by: User, now: datetime) -> FactorReset | Refusal:
    """Take a member's second factor away after RESET_AFTER; they are told at once, and can object."""
    user = membership.user
    if not has_factor(user):
        return Refusal("This person has no second factor.")
    if user == by:
        return Refusal("Another owner resets yours. If there is none, whoever runs this installation does.")
    if any(is_last_owner(other) for other in _elsewhere(user, membership.workspace)):
        return Refusal(ONLY_OPERATOR)
    reset, is_new = FactorReset.objects.get_or_create(
        user=user, defaults={"workspace": membership.workspace, "asked_by": by, "due_at": now + RESET_AFTER}
    )
    if is_new:
        details = {"due": reset.due_at.isoformat(timespec="minutes")}
        record_personal(user, "second factor reset asked for", by=by, details=details)
        tasks.tell_of_factor.delay_on_commit(user.pk, "reset asked for")
    return reset


@transaction.atomic
def withdraw_reset(user: User, *, by: User) -> None:
    """The factor stays."""
    if FactorReset.objects.filter(user=user).delete()[0]:
        record_personal(user, "second factor reset withdrawn", by=by)


@transaction.atomic
def apply_due_reset(user: User, *, now: datetime) -> bool:
    """Do what was asked for and is due; whether there was anything.

    An owner elsewhere must not lose the protection of their own workspace by it: there the person is shut out until
    its owner has spoken to them.
    """
    reset = FactorReset.objects.select_for_update().filter(user=user, due_at__lte=now).first()
    if reset is None:
        return False
    for membership in _elsewhere(user, reset.workspace):
        if membership.deactivated_at is None and not is_last_owner(membership):
            membership.deactivated_at = now
            membership.save(update_fields=["deactivated_at"])
            record_audit(
                membership.workspace,
                user=None,
                action="member deactivated",
                subject=user.email,
                details={"reason": "their second factor was reset elsewhere"},
            )
    reset_now(user, by=reset.asked_by)
    return True


@transaction.atomic
def reset_now(user: User, *, by: User | None) -> None:
    """Take the second factor away, and every session with it."""
    Authenticator.objects.filter(user=user).delete()
    FactorReset.objects.filter(user=user).delete()
    end_others(user)
    record_personal(user, "second factor reset", by=by)
    tasks.tell_of_factor.delay_on_commit(user.pk, "reset")


def _elsewhere(user: User, workspace: Workspace) -> list[Membership]:
    own = user.memberships.exclude(workspace=workspace).select_related("workspace", "user")
    return list(own)


# --- At rest ----------------------------------------------------------------------------------------------------------
@transaction.atomic
def reencrypt_factors() -> int:
    """Write the secrets of every factor back with the newest key; returns how many there are."""
    factors = Authenticator.objects.select_for_update()
    for factor in factors:
        factor.data |= {name: encrypt(decrypt(factor.data[name])) for name in SECRETS if name in factor.data}
        factor.save(update_fields=["data"])
    return len(factors)
