"""Whether somebody has a second factor, has shown it in this session, and whether a workspace asks for it."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.http import HttpRequest

from users.models import Membership, User

FACTOR_KEY = "second_factor"  # of a session: the id of the person who has shown one in it


def has_factor(user: User) -> bool:
    """Whether a sign-in asks for a code."""
    return Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists()


def has_shown_factor(request: HttpRequest) -> bool:
    """Whether the session is one with a second factor."""
    return request.session.get(FACTOR_KEY) == request.user.pk


def is_missing(request: HttpRequest, membership: Membership) -> bool:
    """Whether the workspace asks a second factor of the role, and the session has none."""
    return membership.role in membership.workspace.factor_roles and not has_shown_factor(request)


def is_required_of(user: User) -> bool:
    """Whether any workspace asks it of the person."""
    own = user.memberships.filter(deactivated_at=None).select_related("workspace")
    return any(membership.role in membership.workspace.factor_roles for membership in own)
