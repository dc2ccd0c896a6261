"""Passkeys: making one, removing one, and signing in with one (django-allauth's webauthn part, with our pages)."""

from __future__ import annotations

from ipaddress import ip_address

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn import views as webauthn_views
from allauth.mfa.webauthn.internal import auth, flows
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from users import factors
from users.account_views import braked
from users.confirming import confirmed
from users.passkey_forms import PasskeyNameForm
from users.requests import SignedInRequest


def can_have_passkeys(request: HttpRequest) -> bool:
    """Whether browsers make passkeys for this address: they need a name, and HTTPS except on one's own machine."""
    name = request.get_host().rpartition(":")[0] or request.get_host()
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return request.is_secure() or name == "localhost"
    return False


class AddPasskeyView(webauthn_views.AddWebAuthnView):
    """Makes a passkey that can stand for the password, too: the device asks for a finger, a face or a PIN."""

    form_class = PasskeyNameForm
    template_name = "mfa/passkeys/add.html"

    def get_form_class(self):
        return PasskeyNameForm

    def get_context_data(self, **kwargs) -> dict:
        context = super().get_context_data(**kwargs)
        options = auth.begin_registration(self.request.user, passwordless=True)
        return {**context, "options": options}


add_passkey = never_cache(braked(login_required(confirmed(AddPasskeyView.as_view()))))
sign_in_with_passkey = never_cache(braked(webauthn_views.login_webauthn))


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@confirmed
def remove_passkey(request: SignedInRequest, pk: int) -> HttpResponse:
    """Take a passkey away, unless it is the last second factor and a workspace asks for one."""
    own = Authenticator.objects.filter(user=request.user, type=Authenticator.Type.WEBAUTHN)
    passkey = get_object_or_404(own, pk=pk)
    must_stay = factors.is_last(passkey) and factors.is_required_of(request.user)
    if request.method == "POST" and not must_stay:
        flows.remove_authenticator(request, passkey)
        messages.success(request, "The passkey is removed here. Remove it on your device, too.")
        return redirect("mfa_index")
    context = {"passkey": passkey, "must_stay": must_stay, "is_last": factors.is_last(passkey)}
    return render(request, "mfa/passkeys/remove.html", context, status=409 if request.method == "POST" else 200)
