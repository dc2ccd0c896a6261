"""Pages of a person's own account under /accounts/: those of allauth that are meant, and the e-mail address."""

from __future__ import annotations

from functools import wraps

from allauth.account import views as allauth_views
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from users import addresses, sessions, throttle
from users.account_forms import EmailChangeForm
from users.adapter import own_network
from users.audit import record_personal
from users.links import link_for
from users.models import EmailChange, SignInSession
from users.requests import SignedInRequest
from users.session_store import end_session

POSTS_PER_MINUTE = 20


def braked(view):
    """At most POSTS_PER_MINUTE forms a minute from one network; none where everybody has the proxy's address."""

    @wraps(view)
    def limited(request: HttpRequest, *args, **kwargs) -> HttpResponse:
        network = own_network(request)
        if request.method == "POST" and network:
            match = request.resolver_match
            name, now = (match.url_name if match else None) or request.path, timezone.now()
            if not throttle.may_act(name, network, limit=POSTS_PER_MINUTE, window_s=60, now=now):
                return too_many_requests(request)
        return view(request, *args, **kwargs)

    return limited


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """429: wait a minute."""
    text = "Too many tries came from your network in the last minute. Wait a minute, then try again."
    context = {"error_title": "Slow down", "error_text": text, "quote": ""}
    response = render(request, "error.html", context, status=429)
    response.headers["Retry-After"] = "60"
    return response


@require_safe
def registration_closed(request: HttpRequest) -> HttpResponse:
    """There is no open registration: whoever belongs to a workspace is invited."""
    return render(request, "account/signup_closed.html")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@braked
def reset_password(request: HttpRequest) -> HttpResponse:
    """Ask for a link; without a mail server the page says that there is none."""
    if not settings.MAIL_IS_SET_UP:
        return render(request, "account/password_reset_without_mail.html")
    return allauth_views.password_reset(request)


reset_password_from_key = braked(allauth_views.password_reset_from_key)


@login_required
@braked
def change_password(request: SignedInRequest) -> HttpResponse:
    """A new password; somebody who has none yet gets the link by mail."""
    if not request.user.has_usable_password():
        return redirect("account_reset_password")
    return allauth_views.password_change(request)


def sign_out(request: HttpRequest) -> HttpResponse:
    """allauth's page; what the browser kept of ours goes too."""
    was_signed_in = request.user.is_authenticated
    response = allauth_views.logout(request)
    if was_signed_in and not request.user.is_authenticated:
        response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


# --- Sessions ---------------------------------------------------------------------------------------------------------
@require_safe
@never_cache
@login_required
def session_list(request: SignedInRequest) -> HttpResponse:
    """Where one is signed in."""
    context = {"sessions": sessions.sessions_of(request.user), "own": sessions.own_digest(request)}
    return render(request, "account/sessions.html", context)


@require_POST
@login_required
def end_one_session(request: SignedInRequest, digest: str) -> HttpResponse:
    """Sign out on one device."""
    session = get_object_or_404(SignInSession, pk=digest, user=request.user)
    if session.pk == sessions.own_digest(request):
        return redirect("account_logout")
    end_session(session.pk)
    record_personal(request.user, "session ended", by=request.user, details={"device": session.device})
    messages.success(request, f"Signed out on {session.device or 'that device'}.")
    return redirect("account_sessions")


@require_POST
@login_required
def end_other_sessions(request: SignedInRequest) -> HttpResponse:
    """Sign out everywhere else."""
    number = sessions.end_others(request.user, but=sessions.own_digest(request))
    if number:
        record_personal(request.user, "other sessions ended", by=request.user, details={"number": number})
    messages.success(request, "You are signed in here only.")
    return redirect("account_sessions")


# --- The address ------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@braked
def email(request: SignedInRequest) -> HttpResponse:
    """The address one signs in with, and another one in its place."""
    form = EmailChangeForm(request.POST or None, user=request.user)
    if request.method == "POST" and settings.MAIL_IS_SET_UP and form.is_valid():
        origin = link_for(request, "/")
        addresses.request_change(request.user, form.cleaned_data["email"], origin=origin, now=timezone.now())
        messages.success(request, "Open the link in the mail to the new address. Until then nothing changes.")
        return redirect("account_email")
    change = EmailChange.objects.filter(user=request.user).first()
    if change:
        change.works_until = change.requested_at + addresses.CONFIRM_WITHIN
    context = {"form": form, "change": change, "may_mail": settings.MAIL_IS_SET_UP}
    return render(request, "account/email.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def withdraw_email_change(request: SignedInRequest) -> HttpResponse:
    """Forget the wanted address; its link no longer works."""
    EmailChange.objects.filter(user=request.user).delete()
    messages.success(request, "The address stays as it is.")
    return redirect("account_email")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@braked
def confirm_email(request: HttpRequest, key: str) -> HttpResponse:
    """What the link in the mail opens: a button, because programs that read mail open links too."""
    if request.method != "POST":
        change = addresses.change_of(key, now=timezone.now())
        status = 200 if change else 410
        return render(request, "account/email_confirm.html", {"change": change}, status=status)
    confirmed = addresses.confirm_change(key, now=timezone.now())
    if confirmed is None:
        return render(request, "account/email_confirm.html", {"change": None}, status=410)
    messages.success(request, f"From now on you sign in with {confirmed.user.email}.")
    return redirect("account_email" if request.user.is_authenticated else "account_login")
