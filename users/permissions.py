"""Who may call a view: one decorator per right.

Nobody signed in: the sign-in page (a part: 401 with HX-Redirect). No member, or a role that may not see the page: 404,
as if it did not exist. A member who may see but not change: 403.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeGuard, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url

from users.factors import is_missing
from users.models import STAFF_ROLES, Membership, Role, Workspace
from users.requests import MemberRequest, PortalRequest
from users.unsent import ask_to_sign_in

P = ParamSpec("P")
MemberView = Callable[Concatenate[MemberRequest, P], HttpResponseBase]
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]

MANAGING_ROLES = (Role.OWNER, Role.MANAGER)
BILLING_ROLES = (Role.OWNER, Role.MANAGER, Role.ACCOUNTANT)


def can_manage(membership: Membership | None) -> bool:
    """Whether trading settings may be changed."""
    return _is_active(membership) and membership.role in MANAGING_ROLES


def can_bill(membership: Membership | None) -> bool:
    """Whether periods may be closed and payments recorded."""
    return _is_active(membership) and membership.role in BILLING_ROLES


def billing_members(workspace: Workspace) -> QuerySet[Membership]:
    """Those of a workspace for whom `can_bill` holds."""
    own = Membership.objects.filter(workspace=workspace, role__in=BILLING_ROLES, deactivated_at=None)
    return own.select_related("user", "workspace")


def can_own(membership: Membership | None) -> bool:
    """Whether members and connections may be changed."""
    return _is_active(membership) and membership.role == Role.OWNER


def _is_active(membership: Membership | None) -> TypeGuard[Membership]:
    """Whether there is a membership, and the member is not shut out."""
    return membership is not None and membership.deactivated_at is None


def _guard(view: MemberView[P], *, sees: tuple[Role, ...], may: tuple[Role, ...], needs_factor: bool = True) -> View[P]:
    """404 for roles that are not in `sees`; 403 for those of `sees` that are not in `may`."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return ask_to_sign_in(request, is_part=getattr(request, "partial", False))
        membership = cast(PortalRequest, request).membership
        if not _is_active(membership) or membership.role not in sees:
            raise Http404
        if membership.role not in may:
            raise PermissionDenied
        if needs_factor and hasattr(request, "session") and is_missing(request, membership):
            return ask_for_factor(request)
        return view(cast(MemberRequest, request), *args, **kwargs)

    return guarded


def member_only(view: MemberView[P]) -> View[P]:
    """Any member of the workspace, subscribers included; rows are scoped by `visible_to`."""
    return _guard(view, sees=tuple(Role), may=tuple(Role))


def any_member(view: MemberView[P]) -> View[P]:
    """Any member, also one who still has to set a second factor up: to go elsewhere, or to leave."""
    return _guard(view, sees=tuple(Role), may=tuple(Role), needs_factor=False)


def ask_for_factor(request: HttpRequest) -> HttpResponse:
    """To the page that sets a second factor up, which the workspace asks of the role."""
    messages.warning(request, "This workspace asks for a second factor: set one up to go on.")
    address = resolve_url("mfa_index")
    if request.headers.get("HX-Request"):
        return HttpResponse(status=401, headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


def staff_only(view: MemberView[P]) -> View[P]:
    """Owner, manager, accountant, viewer. A view that writes needs one of the decorators below instead."""
    return _guard(view, sees=STAFF_ROLES, may=STAFF_ROLES)


def may_manage(view: MemberView[P]) -> View[P]:
    """Owner and manager; other staff get 403, everybody else 404."""
    return _guard(view, sees=STAFF_ROLES, may=MANAGING_ROLES)


def may_change(view: MemberView[P]) -> View[P]:
    """Owner and manager; clients for what they changed themselves (views look for that); other staff get 403."""
    return _guard(view, sees=tuple(Role), may=(*MANAGING_ROLES, Role.SUBSCRIBER))


def may_bill(view: MemberView[P]) -> View[P]:
    """Owner, manager and accountant; other staff get 403, everybody else 404."""
    return _guard(view, sees=STAFF_ROLES, may=BILLING_ROLES)


def owner_only(view: MemberView[P]) -> View[P]:
    """The owner; other staff get 403, everybody else 404."""
    return _guard(view, sees=STAFF_ROLES, may=(Role.OWNER,))


def subscriber_only(view: MemberView[P]) -> View[P]:
    """Members with the subscriber role; 404 for everybody else."""
    return _guard(view, sees=(Role.SUBSCRIBER,), may=(Role.SUBSCRIBER,))


def roles_to_give(membership: Membership | None) -> tuple[Role, ...]:
    """The roles whose members a person may invite, change and remove: a manager brings clients, the owner anybody."""
    if can_own(membership):
        return tuple(Role)
    return (Role.SUBSCRIBER,) if can_manage(membership) else ()
