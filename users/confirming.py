"""Before money, people, secrets and kill switches a person shows again who they are: with the password, or a code.

That counts for CONFIRMED_FOR_SECONDS. A sign-in counts as well. What was typed into a form meanwhile is not lost.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.utils import timezone

from users.session_store import CONFIRMED
from users.unsent import keep, page_of

NOT_SENT = (
    "Not sent: you had to confirm that it is you. What you typed stands in the form again; look at it and send it."
)
# names of addresses: of forms, and of the pages that only lead to one
SENSITIVE = frozenset(
    (
        # people
        "people:invite", "people:invite-clients", "people:change-role", "people:change-accounts", "people:remove",
        "people:deactivate", "people:activate", "people:transfer", "people:renew-invitation", "people:reset-factor",
        "users:security",
        # secrets
        "users:connection-new", "users:connection", "users:connection-token", "tokens:new", "strategies:create-webhook",
        "strategies:remove-webhook", "mfa_activate_totp", "mfa_deactivate_totp", "mfa_view_recovery_codes",
        "mfa_generate_recovery_codes",
        # money
        "reporting:new-payment", "reporting:undo-payment", "reporting:credit-note", "reporting:void-statement",
        "reporting:use-credit", "reporting:issue-statements", "reporting:close-period", "reporting:close-periods",
        # kill switches
        "subscribers:close-only", "subscribers:reset-stopout", "subscribers:remove", "strategies:remove",
    )
)  # fmt: skip


class ConfirmMiddleware:
    """Asks for the password or a code before a sensitive page; whoever may not see it gets its answer all the same.

    Nobody learns anything from being asked: it depends on the address's kind alone, not on what it names.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Callable, args: tuple, kwargs: dict) -> HttpResponse | None:
        match = request.resolver_match
        if match is None or match.view_name not in SENSITIVE or not request.user.is_authenticated:
            return None
        return None if is_confirmed(request) else ask(request)


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
