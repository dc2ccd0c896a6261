"""A firm's own colour and logo: both are what their address says, so they can be kept for ever."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import condition, require_POST, require_safe

from users import brand, logos
from users.models import Logo
from users.permissions import owner_only
from users.requests import MemberRequest

FOR_EVER = "public, max-age=31536000, immutable"


def tag_of(request: HttpRequest, colour: str) -> str:
    """The version of a style sheet."""
    return f'"brand-1-{colour}"'


@require_safe
@condition(etag_func=tag_of)
def style_sheet(request: HttpRequest, colour: str) -> HttpResponseBase:
    """The colours of the pages; 404 for what is no colour, or none that can be read."""
    try:
        text = brand.style_sheet(brand.parsed(f"#{colour}"))
    except (ValueError, brand.UnreadableColour) as error:
        raise Http404 from error
    return HttpResponse(text, content_type="text/css; charset=utf-8", headers={"Cache-Control": FOR_EVER})


@require_safe
def logo(request: HttpRequest, digest: str) -> HttpResponse:
    """A picture by its digest, which nobody can guess: invitations show it before anybody has signed in."""
    row = Logo.objects.filter(digest=digest).only("png").first()
    if row is None:
        raise Http404
    return HttpResponse(bytes(row.png), content_type="image/png", headers={"Cache-Control": FOR_EVER})


@require_POST
@owner_only
def choose_logo(request: MemberRequest) -> HttpResponse:
    """Take a file as the firm's logo, or say why it cannot be one."""
    file = request.FILES.get("logo")
    if file is None:
        messages.error(request, "Choose a file first: PNG, JPEG or WebP.")
        return redirect("users:settings")
    try:
        logos.choose(request.workspace, file, by=request.user, now=timezone.now())
    except logos.NoLogo as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The logo is on pages, and on documents that are issued from now on.")
    return redirect("users:settings")


@require_POST
@owner_only
def remove_logo(request: MemberRequest) -> HttpResponse:
    """Show no logo any more."""
    logos.remove(request.workspace, by=request.user, now=timezone.now())
    messages.success(request, "The logo is gone. Documents that were issued with it keep it.")
    return redirect("users:settings")
