"""Pages of people, workspaces and settings."""

from __future__ import annotations

from allauth.account.views import login as allauth_login
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.db import connection as database
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from users import services
from users.confirming import confirmed
from users.forms import EditConnectionForm, NewConnectionForm, SetupForm, TokenForm, WorkspaceForm
from users.leading import wanted_path
from users.middleware import MEMBERSHIP_KEY, WORKSPACE_KEY
from users.models import Connection, Role, User, Workspace
from users.once import once
from users.permissions import any_member, can_own, owner_only, staff_only
from users.requests import MemberRequest
from users.syncing import states_of

A_YEAR_S = 365 * 24 * 3600
SETUP_LOCK = 7_240_018


@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Light, dark, or the system's; for people who are not signed in, too."""
    theme = request.POST.get("theme", "")
    response = redirect(wanted_path(request))
    if theme not in ("light", "dark"):
        theme = ""
        response.delete_cookie("theme")
    else:
        response.set_cookie("theme", theme, max_age=A_YEAR_S, samesite="Lax", secure=request.is_secure())
    if request.user.is_authenticated:
        User.objects.filter(pk=request.user.pk).update(theme=theme)
    return response


@require_POST
@any_member
def switch(request: MemberRequest, pk: int) -> HttpResponse:
    """Look at another workspace that one is a member of; `as` says as what, for who is its staff and its client."""
    own = request.user.memberships.filter(workspace_id=pk, deactivated_at=None).order_by("id")
    is_client = request.POST.get("as") == Role.SUBSCRIBER
    membership = own.filter(role=Role.SUBSCRIBER).first() if is_client else own.first()
    if membership is None:
        raise Http404
    request.session[WORKSPACE_KEY], request.session[MEMBERSHIP_KEY] = membership.workspace_id, membership.pk
    return redirect(wanted_path(request))


# --- The first start ------------------------------------------------------------------------------------------------
def sign_in(request: HttpRequest) -> HttpResponse:
    """allauth's sign-in; in an empty installation there is nobody to sign in, so the first page is the set-up."""
    if not User.objects.exists():
        return redirect("users:setup")
    return allauth_login(request)


@require_http_methods(["GET", "POST"])
def setup(request: HttpRequest) -> HttpResponse:
    """Make the owner and the workspace, once: with anybody in the database this page does not exist."""
    if User.objects.exists():
        raise Http404
    form = SetupForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        status = 422 if form.errors else 200
        context = {"form": form, "backend_url": settings.BACKEND_URL}
        return render(request, "users/setup.html", context, status=status)
    membership = make_first_owner(form.cleaned_data)
    login(request, membership.user, backend="users.adapter.EmailBackend")
    messages.success(request, f"Welcome. {membership.workspace} is ready.")
    return redirect("/")


@transaction.atomic
def make_first_owner(fields: dict):
    """The workspace with the connection that the settings name, and its owner. Two at once: the second gets 404."""
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SETUP_LOCK])
    if User.objects.exists():
        raise Http404
    workspace = services.create_workspace_with_connection(
        name=fields["workspace"], base_url=settings.BACKEND_URL, token=settings.BACKEND_TOKEN
    )
    return services.create_owner(
        email=fields["email"], password=fields["password"], name=fields["name"], workspace=workspace
    )


# --- Settings -------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@staff_only
def workspace_settings(request: MemberRequest) -> HttpResponseBase:
    """Name, zone, currency and accent of the workspace; the owner may change them."""
    if request.method == "POST":
        return save_workspace(request)
    form = WorkspaceForm(instance=request.workspace)
    return render(request, "users/workspace.html", {"form": form, "may_own": can_own(request.membership)})


@owner_only
def save_workspace(request: MemberRequest) -> HttpResponse:
    """Store the form, or show what is wrong with it."""
    form = WorkspaceForm(request.POST, instance=request.workspace)
    if not form.is_valid():
        request.workspace.refresh_from_db()
        return render(request, "users/workspace.html", {"form": form, "may_own": True}, status=422)
    with transaction.atomic():
        changed = {"accent" if name == "own_colour" else name for name in form.changed_data}
        before = Workspace.objects.values(*sorted(changed)).get(pk=request.workspace.pk) if changed else {}
        workspace = form.save()
        after = {name: form.cleaned_data[name] for name in before}
        action, details = services.WORKSPACE_CHANGED, {**form.cleaned_data, "before": before, "after": after}
        services.record_audit(workspace, user=request.user, action=action, subject=workspace.name, details=details)
    messages.success(request, "Saved.")
    return redirect("users:settings")


@require_safe
@staff_only
def connections(request: MemberRequest) -> HttpResponse:
    """The copying backends of the workspace."""
    backends = list(request.workspace.connections.defer("token").order_by("id"))
    context = {"connections": backends, "states": states_of(backends), "may_own": can_own(request.membership)}
    return render(request, "users/connections.html", context)


@require_http_methods(["GET", "POST"])
@owner_only
@confirmed
@once
def new_connection(request: MemberRequest) -> HttpResponse:
    """Connect another backend."""
    form = NewConnectionForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        status = 422 if form.errors else 200
        return render(request, "users/connection_new.html", {"form": form}, status=status)
    values = {key: form.cleaned_data[key] for key in ("name", "base_url", "domain", "token")}
    try:
        added = services.add_connection(request.workspace, **values, by=request.user)
    except services.AlreadyConnected as error:
        form.add_error("token", error.text)
        return render(request, "users/connection_new.html", {"form": form}, status=422)
    messages.success(request, f"{added.name} is connected. Its first sync starts within seconds.")
    return redirect("users:connection", added.pk)


@require_http_methods(["GET", "POST"])
@owner_only
@confirmed
def edit_connection(request: MemberRequest, pk: int) -> HttpResponse:
    """Address and name of a backend, its token (write-only) and the test."""
    backend = get_object_or_404(Connection.objects.defer("token"), pk=pk, workspace=request.workspace)
    form = EditConnectionForm(request.POST or None, instance=backend)
    if request.method == "POST" and form.is_valid():
        values = {key: form.cleaned_data[key] for key in ("name", "base_url", "domain", "is_enabled", "token")}
        try:
            services.change_connection(backend, **values, by=request.user)
        except services.AlreadyConnected as error:
            form.add_error("token", error.text)
        else:
            messages.success(request, "Saved.")
            return redirect("users:connection", pk)
    context = {"form": form, "token_form": TokenForm(auto_id="replace_%s"), "connection": backend}
    return render(request, "users/connection.html", context, status=422 if form.errors else 200)


@require_POST
@owner_only
@confirmed
def replace_connection_token(request: MemberRequest, pk: int) -> HttpResponse:
    """Put a new token in the place of the old one."""
    backend = get_object_or_404(Connection.objects.defer("token"), pk=pk, workspace=request.workspace)
    form = TokenForm(request.POST, auto_id="replace_%s")
    if form.is_valid():
        try:
            services.replace_token(backend, token=form.cleaned_data["token"], by=request.user)
        except services.AlreadyConnected as error:
            form.add_error("token", error.text)
        else:
            messages.success(request, "The new token is in use.")
            return redirect("users:connection", pk)
    context = {"form": EditConnectionForm(instance=backend), "token_form": form, "connection": backend}
    return render(request, "users/connection.html", context, status=422)


@require_POST
@owner_only
def test_connection(request: MemberRequest, pk: int) -> HttpResponse:
    """Ask the backend now, and say in one sentence what it answered."""
    backend = get_object_or_404(Connection, pk=pk, workspace=request.workspace)
    checked = services.check_connection(backend)
    if request.partial:
        return render(request, "users/_connection_test.html", {"checked": checked})
    (messages.success if checked.is_ok else messages.error)(request, checked.text)
    return redirect("users:connection", pk)
