"""Pages of the second factor: setting it up, using it, recovery codes; and showing again who one is."""

from __future__ import annotations

from allauth.mfa.base import views as mfa_views
from allauth.mfa.recovery_codes import views as recovery_views
from allauth.mfa.totp import views as totp_views
from allauth.mfa.webauthn.internal import auth
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from users import factors, second_factor
from users.account_views import braked
from users.confirming import confirm, confirmed
from users.factor_forms import ConfirmForm, RolesForm
from users.models import FactorReset
from users.passkey_views import can_have_passkeys
from users.permissions import owner_only
from users.requests import MemberRequest, SignedInRequest

authenticate = braked(mfa_views.authenticate)
activate = never_cache(braked(login_required(confirmed(totp_views.activate_totp))))
deactivate = never_cache(braked(login_required(confirmed(totp_views.deactivate_totp))))
recovery_codes = never_cache(login_required(confirmed(recovery_views.view_recovery_codes)))
new_recovery_codes = never_cache(braked(login_required(confirmed(recovery_views.generate_recovery_codes))))


@require_safe
@never_cache
@login_required
def overview(request: SignedInRequest) -> HttpResponse:
    """Whether one has a second factor, and what one can do about it."""
    has_app, passkeys, is_required = (
        ask(request.user) for ask in (factors.has_app, factors.passkeys_of, factors.is_required_of)
    )
    context = {
        "has_app": has_app,
        "passkeys": passkeys,
        "may_remove_app": has_app and (passkeys or not is_required),
        "can_have_passkeys": can_have_passkeys(request),
        "is_required": is_required,
        "is_shown": factors.has_shown_factor(request),
        "reset": FactorReset.objects.filter(user=request.user).first(),
    }
    return render(request, "mfa/overview.html", context)


@require_POST
@login_required
def keep_factor(request: SignedInRequest) -> HttpResponse:
    """Object to a reset that somebody asked for."""
    second_factor.withdraw_reset(request.user, by=request.user)
    messages.success(request, "Your second factor stays.")
    return redirect("mfa_index")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@braked
def confirm_identity(request: SignedInRequest) -> HttpResponse:
    """Asked before money, people, secrets and kill switches."""
    wanted = request.POST.get("next", request.GET.get("next", ""))
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    wanted = wanted if is_ours else "/"
    form = ConfirmForm(request.POST or None, user=request.user, takes_code=factors.has_factor(request.user))
    if request.method == "POST" and form.is_valid():
        confirm(request)
        return redirect(wanted)
    options = auth.begin_authentication(request.user) if factors.passkeys_of(request.user) else None
    context = {"form": form, "next": wanted, "options": options}
    return render(request, "account/confirm_identity.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@owner_only
@confirmed
def security(request: MemberRequest) -> HttpResponse:
    """Of which roles the workspace asks a second factor."""
    form = RolesForm(
        request.POST if request.method == "POST" else None, initial={"roles": request.workspace.factor_roles}
    )
    if request.method == "POST" and form.is_valid():
        second_factor.require_of(request.workspace, form.cleaned_data["roles"], by=request.user)
        messages.success(request, "Saved. It holds from the next page that somebody opens.")
        return redirect("users:security")
    return render(request, "users/security.html", {"form": form}, status=422 if form.errors else 200)
