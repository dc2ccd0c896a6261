"""Types of requests: what the middleware puts on every request, and what the guards of `permissions` make sure of.

Both are for the type checker only: Django makes the request, nothing is ever of these classes.
"""

from __future__ import annotations

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from users.models import Membership, User, Workspace


class PortalRequest(HttpRequest):
    """Any request after the middleware.

    memberships: of the signed-in person, oldest first; membership, workspace: the current one, None for strangers.
    partial: answer with a part of a page.
    """

    htmx: HtmxDetails
    memberships: list[Membership]
    membership: Membership | None
    workspace: Workspace | None
    partial: bool


class SignedInRequest(PortalRequest):
    """A request of somebody who is signed in, of a workspace or of none."""

    user: User


class MemberRequest(SignedInRequest):
    """A request that a guard let through: a member of the current workspace."""

    membership: Membership
    workspace: Workspace
