"""What a person sees when a page cannot be answered: what happened, what to do, and an id to quote."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import structlog
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from api.problems import answer_page, is_api
from users.listing import BadParameter
from users.unsent import page_above

log = structlog.get_logger(__name__)


# what the middleware that did not get its turn would have set; an error may come before it
UNKNOWN: dict[str, Any] = {
    "user": AnonymousUser(),
    "membership": None,
    "memberships": [],
    "workspace": None,
    "partial": False,
}


def _page(request: HttpRequest, status: int, title: str, text: str, quote: str = "") -> HttpResponse:
    if is_api(request):
        return answer_page(status, text, **({"id": quote} if quote else {}))
    for name, value in UNKNOWN.items():
        if not hasattr(request, name):
            setattr(request, name, value)
    context = {"error_title": title, "error_text": text, "quote": quote}
    template = "_error.html" if getattr(request, "partial", False) else "error.html"
    return render(request, template, context, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: the address holds a parameter that makes no sense."""
    text = "The address or the form holds something unreadable."
    if isinstance(exception, DisallowedHost):
        text = "The portal is not reached by this name. Type the address that your firm gave you."
    elif isinstance(exception, BadParameter):
        text = exception.text
    return _page(request, 400, "This address does not work", text)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403: a member may see this but not change it."""
    return _page(request, 403, "Your role does not allow this", "Nothing was changed. The owner of the workspace can.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: it does not exist, or is nobody's business here."""
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated and not getattr(request, "memberships", True):
        text = f"You are signed in as {user.email}, which belongs to no workspace. Ask your firm for an invitation."
        return _page(request, 404, "No workspace yet", text)
    return _page(request, 404, "Nothing here", "The page does not exist, or you are not signed in to its workspace.")


class MethodMiddleware:
    """405 as a page: an address that takes forms only was typed, or opened from the history."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code != 405 or response.content:
            return response
        if above := page_above(request):
            return HttpResponseRedirect(above)
        text = "This address only takes forms. Nothing was changed. Go back to the page you were on."
        page = _page(request, 405, "Nothing to see at this address", text)
        page["Allow"] = response["Allow"]
        return page


def server_error(request: HttpRequest) -> HttpResponse:
    """500: a surprise. The id leads to the log line."""
    quote = uuid.uuid4().hex[:8]
    log.error("page failed", path=request.path, quote=quote)
    text = "The page could not be made. Nothing was changed by it. Try again; if it stays, quote the id."
    if request.method not in ("GET", "HEAD"):  # the backend may have done what was asked before it failed here
        text = (
            "What you sent was interrupted, and how far it came is not known. Look at what there is before you send it"
            " again; if it stays, quote the id."
        )
    try:
        return _page(request, 500, "Something broke", text, quote)
    except Exception:  # the frame itself needs the database, which may be what is missing
        return HttpResponse(f"{text} Id: {quote}", status=500, content_type="text/plain; charset=utf-8")
