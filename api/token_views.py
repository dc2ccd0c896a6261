"""Pages of access tokens: one's own, for the owner everybody's; making one, which is shown once; ending one."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from api.models import ApiToken
from api.reference import chapters
from api.token_forms import ApiTokenForm
from api.tokens import issue_token, revoke_token
from users.account_views import braked
from users.confirming import confirmed
from users.permissions import can_own, member_only
from users.requests import MemberRequest

MOST_TOKENS = 500


@require_safe
@member_only
def token_list(request: MemberRequest) -> HttpResponse:
    """The tokens that work or worked, the newest first."""
    now = timezone.now()
    own = ApiToken.objects.visible_to(request.membership).select_related("membership__user", "created_by")
    rows = [(token, token.state(now)) for token in own.order_by("-created_at", "-id")[:MOST_TOKENS]]
    return render(request, "api/tokens.html", {"rows": rows, "may_own": can_own(request.membership)})


@require_safe
@member_only
def reference(request: MemberRequest) -> HttpResponse:
    """What programs can ask for."""
    address = request.build_absolute_uri("/api/v1/token/")
    return render(request, "api/reference.html", {"chapters": chapters(), "address": address})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@braked
@member_only
@confirmed
def new_token(request: MemberRequest) -> HttpResponse:
    """What it may do; the answer shows it, once."""
    form = ApiTokenForm(request.POST or None, membership=request.membership)
    if request.method != "POST" or not form.is_valid():
        return render(request, "api/token_new.html", {"form": form}, status=422 if form.errors else 200)
    issued = issue_token(
        request.membership,
        name=form.cleaned_data["name"],
        scope=form.scope,
        lasts=form.lasts,
        now=timezone.now(),
        service_role=form.service_role,
    )
    address = request.build_absolute_uri("/api/v1/token/")
    context = {"token": issued.token, "text": issued.text, "address": address}
    return render(request, "api/token_made.html", context, status=201)


@require_POST
@member_only
def revoke(request: MemberRequest, pk: int) -> HttpResponse:
    """Let it open nothing from now on."""
    token = get_object_or_404(ApiToken.objects.visible_to(request.membership).select_related("workspace"), pk=pk)
    revoke_token(token, by=request.user, now=timezone.now())
    messages.success(request, f"{token.name} is revoked: it opens nothing any more.")
    return redirect("tokens:list")
