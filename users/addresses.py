"""Changing the address that a person signs in with: asked for with the password, in use once a mail confirmed it.

The address in use is `User.email`. Until the link is opened nothing changes, whoever has the wanted address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.core import signing
from django.db import IntegrityError, transaction
from django.utils.crypto import constant_time_compare

from users import tasks
from users.confirmations import SALT, password_mark
from users.models import EmailChange, User
from users.services import record_audit

CONFIRM_WITHIN = timedelta(days=1)


@dataclass(frozen=True)
class ConfirmedChange:
    """What a confirmed link has changed."""

    user: User
    old_email: str


@transaction.atomic
def request_change(user: User, email: str, *, origin: str, now: datetime) -> EmailChange:
    """Remember the wanted address in the place of an earlier one, mail its link, and tell the address in use."""
    EmailChange.objects.filter(user=user).delete()
    change = EmailChange.objects.create(user=user, email=email, requested_at=now)
    for membership in user.memberships.select_related("workspace"):
        record_audit(membership.workspace, user=user, action="e-mail change requested", subject=user.email, now=now)
    tasks.send_email_confirmation.delay_on_commit(change.pk, origin)
    tasks.tell_old_address.delay_on_commit(user.email, email, False)
    return change


def change_of(key: str, *, now: datetime) -> EmailChange | None:
    """The wish that a link belongs to; None: forged, too old, done or replaced."""
    try:
        pk, email, mark = signing.loads(key, salt=SALT)
    except (signing.BadSignature, TypeError, ValueError):
        return None
    wanted = EmailChange.objects.filter(pk=pk, email=email, requested_at__gt=now - CONFIRM_WITHIN)
    change = wanted.select_related("user").first()
    is_current = (
        change is not None and change.user.is_active and constant_time_compare(password_mark(change.user), mark)
    )
    return change if is_current else None


def confirm_change(key: str, *, now: datetime) -> ConfirmedChange | None:
    """Use the new address from now on and tell the old one; None: the link does not work (any more)."""
    try:
        with transaction.atomic():
            return _confirm(key, now)
    except IntegrityError:  # somebody else has the address by now
        return None


def _confirm(key: str, now: datetime) -> ConfirmedChange | None:
    change = change_of(key, now=now)
    if change is None:
        return None
    user = User.objects.select_for_update().get(pk=change.user_id)
    old_email, user.email = user.email, change.email
    user.save(update_fields=["email"])
    # allauth's own list follows; nothing but the address in use may ever stand there
    EmailAddress.objects.filter(user=user).delete()
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    change.delete()
    for membership in user.memberships.select_related("workspace"):
        details = {"before": old_email, "after": user.email}
        record_audit(
            membership.workspace, user=user, action="e-mail changed", subject=user.email, details=details, now=now
        )
    tasks.tell_old_address.delay_on_commit(old_email, user.email, True)
    return ConfirmedChange(user, old_email)
