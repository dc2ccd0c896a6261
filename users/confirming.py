"""Before money, people, secrets and kill switches a person shows again who they are: with the password, or a code.

That counts for CONFIRMED_FOR_SECONDS. A sign-in counts as well. What was typed into a form meanwhile is not lost.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.utils import timezone

from users.requests import MemberRequest
from users.session_store import CONFIRMED
from users.unsent import keep, page_of

NOT_SENT = (
    "Not sent: you had to confirm that it is you. What you typed stands in the form again; look at it and send it."
)
P = ParamSpec("P")
View = Callable[Concatenate[MemberRequest, P], HttpResponseBase]


def confirmed(view: View[P]) -> View[P]:
    """Asks for the password or a code before the page, if the last time was long ago.

    Inside the decorators that check who may, so that strangers get their 404, and outside `once`. A test asks of every
    address that takes forms whether it has this, or why not (tests/integration/users/test_confirming.py).
    """
    return confirmed_if(lambda request, *args, **kwargs: True)(view)


def confirmed_if(is_sensitive: Callable[Concatenate[MemberRequest, P], bool]) -> Callable[[View[P]], View[P]]:
    """The same where it depends on the row; `is_sensitive` takes what the view takes, and may raise Http404."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: MemberRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if is_confirmed(request) or not is_sensitive(request, *args, **kwargs):
                return view(request, *args, **kwargs)
            return ask(request)

        guarded.asks_who = True  # type: ignore[attr-defined]  # looked for by the test of all forms
        return guarded

    return decorate


def is_confirmed(request: HttpRequest) -> bool:
    """Whether the person has shown lately who they are."""
    age = timezone.now().timestamp() - request.session.get(CONFIRMED, 0)
    return age < settings.CONFIRMED_FOR_SECONDS


def confirm(request: HttpRequest) -> None:
    """They have."""
    request.session.cycle_key()
    request.session[CONFIRMED] = timezone.now().timestamp()


def ask(request: HttpRequest) -> HttpResponse:
    """The page that asks; it leads back to the one the person is on."""
    page = page_of(request)
    if request.method == "POST" and page:
        keep(request, page, NOT_SENT)
    address = f"{resolve_url('account_confirm_identity')}?{urlencode({'next': page or '/'}, safe='/')}"
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)
