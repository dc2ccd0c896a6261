"""What every view knows about its request: the current workspace and role, and whether only a part is wanted.

`request.memberships` are the signed-in person's, `request.membership` the one in the current workspace or None,
`request.workspace` its workspace or None, `request.partial` whether to answer with a part of a page. No permission is
checked here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import structlog
from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django_structlog.middlewares import RequestMiddleware

from copying.client.patience import patience
from users import downloads, sessions
from users.acting import Origin, acting
from users.leading import is_led, lead
from users.listing.parameters import BadParameter
from users.models import Membership
from users.parsing import is_readable
from users.requests import PortalRequest
from users.sources import client_address

Next = Callable[[HttpRequest], HttpResponseBase]
WORKSPACE_KEY = "workspace"
MEMBERSHIP_KEY = "membership"  # for whoever is staff and client of one workspace
_KEY_IN_PATH = re.compile(r"(/invitation/|/confirm-email/|/reset/key/[0-9A-Za-z]+-)(?!set-password)[^/?]+")
FEATURES = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "usb",
    "xr-spatial-tracking",
)
PERMISSIONS_POLICY = ", ".join(f"{feature}=()" for feature in FEATURES)
_HIDDEN = r"\1…"


def memberships_of(request: PortalRequest) -> list[Membership]:
    """Everything the signed-in person may switch to, the oldest first; not where they are deactivated."""
    if not request.user.is_authenticated:
        return []
    own = Membership.objects.filter(user=request.user, deactivated_at=None)
    return list(own.select_related("workspace").order_by("id"))


def current_membership(request: PortalRequest) -> Membership | None:
    """The membership that the session names, else the person's oldest one of that workspace, or of any, else None."""
    request.memberships = memberships_of(request)
    if not request.memberships:
        return None
    wanted, pk = request.session.get(WORKSPACE_KEY), request.session.get(MEMBERSHIP_KEY)
    named = [membership for membership in request.memberships if membership.workspace_id == wanted]
    chosen = [membership for membership in named if membership.pk == pk]
    return next(iter(chosen or named or request.memberships))


class OriginMiddleware:
    """What is done while a request is answered is done from its address (users/acting.py)."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with acting(Origin("page", address=client_address(request))):
            return self.get_response(request)


class SessionLimitMiddleware:
    """Signs out who was signed in for too long, or was away for too long; follows the authentication middleware."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: PortalRequest) -> HttpResponseBase:
        if request.user.is_authenticated:
            now = timezone.now()
            if sessions.is_over(request.session, now):
                logout(request)
            else:
                sessions.note_use(request, now)
        return self.get_response(request)


class FeatureMiddleware:
    """Tells browsers that no page needs camera, microphone, place and the like."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        return response


class WorkspaceMiddleware:
    """Sets `membership` and `workspace`; must follow the authentication middleware."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: PortalRequest) -> HttpResponseBase:
        request.membership = current_membership(request)
        request.workspace = request.membership.workspace if request.membership else None
        return self.get_response(request)


class LeadingMiddleware:
    """Asks whoever opens a link of another workspace of theirs (users/leading.py). Follows WorkspaceMiddleware."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: PortalRequest) -> HttpResponseBase:
        return lead(request) if is_led(request) else self.get_response(request)


class PartialMiddleware:
    """Sets `partial`: asked by htmx, not boosted, not a restored page. Follows HtmxMiddleware.

    Answers differ by these headers, and every answer says so (Vary).
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: PortalRequest) -> HttpResponseBase:
        htmx = request.htmx
        request.partial = bool(htmx) and not htmx.boosted and not htmx.history_restore_request
        response = self.get_response(request)
        patch_vary_headers(response, ["HX-Request", "HX-Boosted", "HX-History-Restore-Request"])
        return response


class LogMiddleware(RequestMiddleware):
    """Gives every log line of a request its id, person and address; the package would believe any X-Forwarded-For."""

    @classmethod
    def bind_ip(cls, request: HttpRequest) -> None:
        structlog.contextvars.bind_contextvars(ip=client_address(request))

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """Method and address, without the keys that links in mails carry."""
        return f"{request.method} {_KEY_IN_PATH.sub(_HIDDEN, request.get_full_path())}"


class PatienceMiddleware:
    """A page waits for backends so many seconds in all, then shows what the mirror has."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: PortalRequest) -> HttpResponseBase:
        with patience(settings.PAGE_BACKEND_SECONDS):
            return self.get_response(request)


class ReadableMiddleware:
    """400 with a sentence for addresses and forms with NUL or halves of characters, before a view looks at them."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: PortalRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: PortalRequest, view: Callable, args: tuple, kwargs: dict) -> None:
        texts = [request.path]
        for parameters in (request.GET, request.POST):
            for key in parameters:
                texts += [key, *parameters.getlist(key)]
        if not is_readable(texts):
            raise BadParameter(
                "The address or the form holds a character that cannot be stored. Remove it, then send it."
            )


class DownloadMiddleware:
    """Two downloads at a time per person and workspace: a third is answered with 429 and a sentence.

    A file is worked out and read over seconds to minutes; without the limit one person slows everybody's pages.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: PortalRequest) -> HttpResponseBase:
        response = self.get_response(request)
        is_download = response.get("Content-Disposition", "").startswith("attachment")
        if not is_download or response.status_code != 200 or not request.user.is_authenticated:
            return response
        closers = response._resource_closers  # type: ignore[attr-defined]  # Django's own list, without a public name
        slot = downloads.take_slot(request.user.pk, request.workspace.pk if request.workspace else 0)
        if slot is None:
            for close in closers:  # not response.close(): that would end the request for Django
                close()
            return _too_many_downloads(request)
        if delivery := request.META.get("copyportal.delivery"):
            # the web process sends the file after this request's thread has gone on: it says when the client has it
            delivery.renew.append(slot.renew)
            delivery.release.append(slot.release)
        else:
            closers.append(slot.release)
        return response


def _too_many_downloads(request: PortalRequest) -> HttpResponse:
    text = "Two files of yours are being downloaded already. Wait until one of them is complete, then try again."
    context = {"error_title": "Two downloads at a time", "error_text": text, "quote": ""}
    response = render(request, "error.html", context, status=429)
    response["Retry-After"] = "10"
    return response


class PrivateMiddleware:
    """Answers to somebody who is signed in are not kept by browsers or proxies, unless a view says otherwise.

    What a browser loads ahead of a click would be thrown away, and what a page tells once (a message, a form that was
    not sent) with it: that is refused before a view runs, as browsers understand it.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: PortalRequest) -> HttpResponseBase:
        if request.user.is_authenticated and "prefetch" in request.headers.get("Sec-Purpose", ""):
            return HttpResponse(status=503, headers={"Cache-Control": "no-store"})
        response = self.get_response(request)
        if request.user.is_authenticated and not response.has_header("Cache-Control"):
            add_never_cache_headers(response)
        return response
