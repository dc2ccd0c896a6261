"""What an invitation's link opens: joining as a new person, or with the account one has.

The token moves from the address into the session at once, so that it stands in no log, history or referrer. Nothing
here tells whether the invited address has an account: the page is the same, and a wrong password and a new one are
answered alike.
"""

from __future__ import annotations

from typing import cast

from allauth.account.adapter import get_adapter
from allauth.account.utils import perform_login
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from subscribers import access
from subscribers.people_forms import JoinForm
from users import members
from users.account_views import braked
from users.members import Refusal
from users.middleware import MEMBERSHIP_KEY, WORKSPACE_KEY
from users.models import Invitation, Membership, User
from users.requests import SignedInRequest

TOKEN_KEY = "invitation"
VOID = {
    "accepted": "It was accepted already. Sign in to go on.",
    "revoked": "It was revoked. Ask whoever invited you for a new one.",
    "expired": "It is too old. Ask whoever invited you to send it again.",
    "unknown": "It is not complete, or a newer one was sent to you since. Use the newest, and the whole link.",
}


@require_safe
@never_cache
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """Keep the token in the session and go to the page without it."""
    invitation = members.invitation_of(token)
    if invitation is None or invitation.state(timezone.now()) != "open":
        return void_page(request, invitation)
    request.session[TOKEN_KEY] = token
    return redirect("people:join")


def void_page(request: HttpRequest, invitation: Invitation | None, text: str = "") -> HttpResponse:
    """410: why the link does not work, and what to do."""
    state = invitation.state(timezone.now()) if invitation else "unknown"
    context = {"text": text or VOID.get(state, VOID["unknown"])}
    return render(request, "people/invitation_void.html", context, status=410)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@braked
def join(request: HttpRequest) -> HttpResponse:
    """Accept the invitation of the session."""
    token = request.session.get(TOKEN_KEY, "")
    invitation = members.invitation_of(token)
    if invitation is None or invitation.state(timezone.now()) != "open":
        return void_page(request, invitation)
    if request.user.is_authenticated:
        return join_signed_in(cast(SignedInRequest, request), invitation, token)
    form = JoinForm(request.POST or None, invitation=invitation)
    if request.method == "POST" and form.is_valid():
        response = join_with_password(request, invitation, form)
        if response is not None:
            return response
    status = 422 if form.errors else 200
    return render(request, "people/join.html", {"invitation": invitation, "form": form}, status=status)


def join_signed_in(request: SignedInRequest, invitation: Invitation, token: str) -> HttpResponse:
    """One click for the invited person; for anybody else, who they are and how to change that."""
    is_invited = request.user.email == invitation.email
    if request.method == "POST" and is_invited:
        membership = access.accept(invitation, request.user, now=timezone.now())
        return joined(request, invitation, membership)
    context = {"invitation": invitation, "is_invited": is_invited, "token": token}
    return render(request, "people/join_signed_in.html", context, status=200 if is_invited else 409)


def join_with_password(request: HttpRequest, invitation: Invitation, form: JoinForm) -> HttpResponse | None:
    """Join with the account of the address, or a new one. None: the form says what is wrong."""
    password = form.cleaned_data["password"]
    try:
        person = get_adapter(request).authenticate(request, email=invitation.email, password=password)
    except ValidationError as error:  # too many tries
        form.add_error("password", error)
        return None
    if person is not None and person.is_active:
        membership = access.accept(invitation, person, now=timezone.now())
    elif User.objects.filter(email=invitation.email).exists():
        form.add_error("password", "With this password you cannot join. If you have an account, it has another one.")
        return None
    else:
        try:
            person, membership = access.accept_as_new_person(
                invitation, name=form.cleaned_data["name"], password=password, now=timezone.now()
            )
        except IntegrityError:  # the same form at the same time
            return redirect("people:join")
    if isinstance(membership, Refusal):
        return void_page(request, invitation, membership.text)
    response = perform_login(request, person, email_verification="none")
    if not request.user.is_authenticated:  # the second factor is still to come; then they are in
        return response
    return joined(request, invitation, membership)


def joined(request: HttpRequest, invitation: Invitation, membership: Membership | Refusal) -> HttpResponse:
    """To the first page of the workspace."""
    request.session.pop(TOKEN_KEY, None)
    if isinstance(membership, Refusal):
        return void_page(request, invitation, membership.text)
    request.session[WORKSPACE_KEY], request.session[MEMBERSHIP_KEY] = membership.workspace_id, membership.pk
    messages.success(request, f"Welcome to {invitation.workspace}.")
    return redirect("/")
