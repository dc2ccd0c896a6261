"""A form that was sent when nobody was signed in any more: not done, said so, and given back as it was typed.

The person signs in and is back on the page where they were; what they typed stands in its form again (static/unsent.js)
and nothing has been sent. The texts wait in the session, for a quarter of an hour, without passwords and tokens, and
only for a form that came from one of our own pages.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.urls import is_valid_path
from django.utils.http import url_has_allowed_host_and_scheme

from users.requests import PortalRequest

KEY = "unsent"
KEPT_S = 900
LARGEST = 100_000  # characters of one form
SECRET = re.compile(r"pass|token|secret|csrf|api.?key", re.IGNORECASE)
NOT_TYPED = ("once", "confirmed", "edit")  # of the form itself and of its buttons
SIGNED_OUT = "Not sent: you were signed out. What you typed stands in the form again; look at it and send it."
STALE = "Not sent: you signed in again after this page was opened. What you typed stands in the form; send it again."


@dataclass(frozen=True)
class Unsent:
    """What was not sent. path: where to; fields: names and texts in their order; text: the sentence to show."""

    path: str
    fields: list[list[str]]
    text: str


def page_of(request: HttpRequest) -> str:
    """The page that the person is on, as a path of ours with its query: for a form, the page it stands on."""
    if request.method in ("GET", "HEAD") and not request.headers.get("HX-Request"):
        return request.get_full_path()
    shown = request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")
    if not _is_ours(request, shown):
        return ""
    parts = urlsplit(shown)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def keep(request: HttpRequest, page: str, text: str) -> None:
    """Remember a form for when its page is shown again."""
    typed = [name for name in request.POST if not SECRET.search(name) and name not in NOT_TYPED]
    fields = [[name, value] for name in typed for value in request.POST.getlist(name)]
    if sum(len(name) + len(value) for name, value in fields) > LARGEST:
        fields, text = [], text.partition(":")[0] + ": what you typed was too long to be kept."
    request.session[KEY] = {
        "page": urlsplit(page).path,
        "path": request.path,
        "fields": fields,
        "text": text,
        "at": time.time(),
    }


def take(request: HttpRequest) -> Unsent | None:
    """The form that was not sent from the page which is shown, once."""
    unsent = request.session.get(KEY) if hasattr(request, "session") else None
    if not unsent or request.method != "GET" or unsent["page"] != request.path:
        return None
    del request.session[KEY]
    return Unsent(unsent["path"], unsent["fields"], unsent["text"]) if time.time() - unsent["at"] < KEPT_S else None


def page_above(request: HttpRequest) -> str:
    """Where to go on from an address that only takes forms, if one comes back to it after signing in; else "".

    Some pages are the answer to a form, such as the one that asks before a signal is sent: they cannot be opened again.
    The nearest page above has the form; what was kept goes there with the person.
    """
    unsent: dict[str, Any] = (request.session.get(KEY) if hasattr(request, "session") else None) or {}
    is_kept_for = unsent.get("page") == request.path
    came_from = request.headers.get("Referer", "")
    signed_in = _is_ours(request, came_from) and urlsplit(came_from).path == resolve_url("account_login")
    if request.method != "GET" or not (is_kept_for or signed_in):
        return ""
    above = _nearest_above(request.path)
    if is_kept_for:
        request.session[KEY] = {**unsent, "page": above}
    return above


def _nearest_above(path: str) -> str:
    parts = path.strip("/").split("/")
    for length in range(len(parts) - 1, 0, -1):
        above = f"/{'/'.join(parts[:length])}/"
        if is_valid_path(above):
            return above
    return "/"


def ask_to_sign_in(request: HttpRequest, *, is_part: bool) -> HttpResponse:
    """The sign-in page, which leads back to the page one was on. A part: 401 with HX-Redirect, as htmx wants it."""
    page = page_of(request)
    if request.method == "POST" and page:
        keep(request, page, SIGNED_OUT)
    address = resolve_url("account_login") + (f"?{urlencode({'next': page}, safe='/')}" if page else "")
    if is_part:
        return HttpResponse(status=401, headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without the token of now. From one of our pages it is an old page: back to it, with what was typed."""
    is_signed_in = get_user(request).is_authenticated
    if is_signed_in and request.path == resolve_url("account_login"):
        wanted = request.POST.get("next", "")
        return HttpResponseRedirect(wanted if wanted.startswith("/") and _is_ours(request, wanted) else "/")
    page = page_of(request) if _is_from_us(request) else ""
    is_part = bool(request.headers.get("HX-Request"))
    if page and not is_signed_in and request.path != resolve_url("account_login"):
        return ask_to_sign_in(request, is_part=is_part)
    if page and is_signed_in:
        keep(request, page, STALE)
        return HttpResponse(status=200, headers={"HX-Redirect": page}) if is_part else HttpResponseRedirect(page)
    text = "Nothing was done: the form came from another site, or from a page that is too old. Open the page again."
    if settings.CSRF_COOKIE_NAME not in request.COOKIES:
        text = "Nothing was done: your browser sends no cookies, which signing in and every form need. Allow them."
    context = {"error_title": "The form was not taken", "error_text": text, "quote": ""}
    request = cast(PortalRequest, request)
    request.membership = request.workspace = None
    return render(request, "_error.html" if is_part else "error.html", context, status=403)


def _is_ours(request: HttpRequest, address: str) -> bool:
    return url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure())


def _is_from_us(request: HttpRequest) -> bool:
    """Whether the browser says that the form stood on one of our pages; no header, no trust."""
    origin = request.headers.get("Origin") or request.headers.get("Referer", "")
    return origin not in ("", "null") and _is_ours(request, origin)
