"""Links that are about one workspace: who looks at another one is asked before it is changed.

A link in a message names the membership that it was sent to. Nothing is changed by opening it: the page asks.
"""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from users.models import Membership
from users.requests import PortalRequest

PARAMETER = "as_member"


def has_several(member: Membership) -> bool:
    """Whether the person may look at something else than this, so that a link has to name it."""
    return Membership.objects.filter(user_id=member.user_id, deactivated_at=None).exclude(pk=member.pk).exists()


def path_as(member: Membership, path: str) -> str:
    """The path as it is seen by a member; a part of the page that it names stays at its end."""
    whole, mark, part = path.partition("#")
    return f"{whole}{'&' if '?' in whole else '?'}{urlencode({PARAMETER: member.pk})}{mark}{part}"


def is_led(request: PortalRequest) -> bool:
    """Whether somebody who is signed in opened such a link."""
    return request.method == "GET" and PARAMETER in request.GET and request.user.is_authenticated


def lead(request: PortalRequest) -> HttpResponse:
    """The page itself, or the question whether to change to the workspace that it is of."""
    rest = request.GET.copy()
    named = rest.pop(PARAMETER)[-1]
    path = own_path(f"{request.path}?{rest.urlencode()}" if rest else request.path)
    current = request.membership
    member = next((own for own in request.memberships if str(own.pk) == named and own != current), None)
    if member is None or current is None:
        return redirect(path)
    return render(request, "users/other_workspace.html", {"member": member, "current": current, "path": path})


def own_path(wanted: str, fallback: str = "/") -> str:
    """An address that was named, if it is a path of ours."""
    is_ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and wanted.startswith("/")
    return wanted if is_ours else fallback


def wanted_path(request: HttpRequest, fallback: str = "/") -> str:
    """The page a form was sent from, or leads to, if it is one of ours."""
    return own_path(request.POST.get("next", ""), fallback)
