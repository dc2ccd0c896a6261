"""Whether somebody has a second factor, has shown it in this session, and whether a workspace asks for it."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.http import HttpRequest

from users.models import Membership, User

FACTOR_KEY = "second_factor"  # of a session: the id of the person who has shown one in it
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)  # recovery codes only stand in for one


def has_factor(user: User) -> bool:
    """Whether a sign-in asks for a code or a passkey."""
    return Authenticator.objects.filter(user=user, type__in=FACTORS).exists()


def has_app(user: User) -> bool:
    """Whether one of them is an authenticator app."""
    return Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists()


def passkeys_of(user: User) -> list[Authenticator]:
    """The person's passkeys, the oldest first."""
    return list(Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).order_by("pk"))


def is_last(factor: Authenticator) -> bool:
    """Whether the person has no second factor without this one."""
    others = Authenticator.objects.filter(user=factor.user_id, type__in=FACTORS).exclude(pk=factor.pk)
    return factor.type in FACTORS and not others.exists()


def has_shown_factor(request: HttpRequest) -> bool:
    """Whether the session is one with a second factor."""
    return request.session.get(FACTOR_KEY) == request.user.pk


def is_asked_of(membership: Membership) -> bool:
    """Whether the workspace asks a second factor of the role."""
    return membership.role in membership.workspace.factor_roles


def is_missing(request: HttpRequest, membership: Membership) -> bool:
    """Whether the workspace asks a second factor of the role, and the session has none."""
    return is_asked_of(membership) and not has_shown_factor(request)


def lacks_factor(membership: Membership) -> bool:
    """Whether the workspace asks a second factor of the role, and the person has none set up."""
    return is_asked_of(membership) and not has_factor(membership.user)


def is_required_of(user: User) -> bool:
    """Whether any workspace asks it of the person."""
    own = user.memberships.filter(deactivated_at=None).select_related("workspace")
    return any(is_asked_of(membership) for membership in own)
