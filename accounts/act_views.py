"""What may be done with a trading account: start, stop, restart, remove, roles and features, a link for its owner."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.acts import ask_for
from accounts.adding import mirror_account
from accounts.forms import AccountRolesForm
from accounts.links import make_link
from accounts.models import BrokerAccount
from accounts.pages import page_of, visible_account
from accounts.states import ROLE_WORDS
from accounts.uses import uses_of
from copying.contract.provisioning import AccountFeatures, CopyFactoryApi
from editing.backend import NotDone, backend_of
from jobs.services import TooMany
from users.confirming import confirmed
from users.models import Connection
from users.once import FIELD, once
from users.permissions import may_manage
from users.requests import MemberRequest
from users.services import record_audit

TYPE_THE_NAME = "Type the name of the account as it stands above: then it is removed."
STILL_USED = "It is still used: {uses}. Remove that first."


def existing_account(request: MemberRequest, pk: int) -> BrokerAccount:
    """The account, or 404, also where the backend does not have it any more: nothing can be done with it."""
    account = visible_account(request, pk)
    if account.is_removed:
        raise Http404
    return account


def begin(request: MemberRequest, name: str, account: BrokerAccount) -> HttpResponse:
    """Ask for an act as a job, and go to the account, whose page follows it."""
    try:
        ask_for(name, account, request.membership, now=timezone.now(), key=request.POST.get(FIELD, ""))
    except TooMany as error:
        messages.error(request, error.text)
    else:
        messages.success(request, f"{account}: asked for. It takes a minute or more; you can leave this page.")
    return redirect("accounts:detail", account.pk)


def answer_act(request: MemberRequest, pk: int, name: str) -> HttpResponse:
    """Start, stop or restart, where the state allows it."""
    account = existing_account(request, pk)
    if name not in page_of(request, account)["acts"]:
        messages.info(request, f"{account} is {account.pill.words.lower()}: there is nothing to do.")
        return redirect("accounts:detail", account.pk)
    return begin(request, name, account)


@require_POST
@may_manage
@confirmed
@once
def deploy(request: MemberRequest, pk: int) -> HttpResponse:
    """Start the account."""
    return answer_act(request, pk, "deploy")


@require_POST
@may_manage
@confirmed
@once
def undeploy(request: MemberRequest, pk: int) -> HttpResponse:
    """Stop it: nothing is copied from it or to it until it is started."""
    return answer_act(request, pk, "undeploy")


@require_POST
@may_manage
@confirmed
@once
def redeploy(request: MemberRequest, pk: int) -> HttpResponse:
    """Restart it."""
    return answer_act(request, pk, "redeploy")


@require_http_methods(["GET", "POST"])
@may_manage
@confirmed
@once
def remove(request: MemberRequest, pk: int) -> HttpResponse:
    """Remove the account from the backend for good, after its name was typed; not while anything hangs on it."""
    account = existing_account(request, pk)
    uses, problem = uses_of(account), ""
    if request.method == "POST":
        if uses:
            problem = STILL_USED.format(uses="; ".join(f"{use.words.lower()} {use.name}" for use in uses))
        elif request.POST.get("typed", "").strip() != account.name:
            problem = TYPE_THE_NAME
        else:
            return begin(request, "remove", account)
    context = page_of(request, account, uses=uses, problem=problem)
    return render(request, "accounts/remove.html", context, status=422 if problem else 200)


@require_POST
@may_manage
@confirmed
@once
def link(request: MemberRequest, pk: int) -> HttpResponse:
    """Make a link by which the owner enters the login or another password; it is shown in this answer only."""
    account = existing_account(request, pk)
    try:
        return make_link(request, account)
    except NotDone as error:
        messages.error(request, f"The link was not made. {error.text}")
        return redirect("accounts:detail", account.pk)


@require_http_methods(["GET", "POST"])
@may_manage
@confirmed
@once
def roles(request: MemberRequest, pk: int) -> HttpResponse:
    """Roles and features, changed in one call: each change stops the account for a moment."""
    account = existing_account(request, pk)
    before = present(account)
    form = AccountRolesForm(request.POST if request.method == "POST" else None, initial=before)
    if request.method == "POST" and form.is_valid() and not (problem := problem_with_roles(account, form)):
        return save_roles(request, account, form, before)
    if request.method == "POST" and form.is_valid():
        form.add_error(None, problem)
    context = page_of(request, account, form=form, uses=uses_of(account))
    return render(request, "accounts/roles.html", context, status=422 if form.errors else 200)


def present(account: BrokerAccount) -> dict[str, Any]:
    """What the form opens with; None for a feature of which the backend does not tell whether it is on."""
    return {
        "provider": account.is_provider,
        "subscriber": account.is_subscriber,
        "slots": account.document.get("copyFactoryResourceSlots") or 1,
        "metastats": account.document.get("metastatsApiEnabled"),
        "risk": account.document.get("riskManagementApiEnabled"),
    }


def problem_with_roles(account: BrokerAccount, form: AccountRolesForm) -> str:
    """Why these roles cannot be taken; "": they can."""
    missing = [use for use in uses_of(account) if use.role not in form.roles]
    if missing:
        return STILL_USED.format(uses="; ".join(f"{use.words.lower()} {use.name}" for use in missing))
    return ""


def save_roles(
    request: MemberRequest, account: BrokerAccount, form: AccountRolesForm, before: dict[str, Any]
) -> HttpResponse:
    """Send what differs, and nothing where nothing does."""
    after = form.cleaned_data
    differs = {name: (before[name], after[name]) for name in after if bool(before[name]) != bool(after[name])}
    if int(before["slots"]) != after["slots"]:
        differs["slots"] = (before["slots"], after["slots"])
    if not differs:
        messages.info(request, "Nothing was changed.")
        return redirect("accounts:detail", account.pk)
    try:
        with backend_of(Connection.objects.get(pk=account.connection_id)) as client:
            client.enable_features(account.backend_id, features_of(form, differs))
            mirror_account(account.connection, account.backend_id, client=client, now=timezone.now())
    except NotDone as error:
        form.add_error(None, error.text)
        context = page_of(request, account, form=form, uses=uses_of(account))
        return render(request, "accounts/roles.html", context, status=503)
    record_audit(
        account.workspace,
        user=request.user,
        action="trading account roles",
        subject=account.name,
        details={
            "id": account.backend_id,
            "before": {name: old for name, (old, _) in differs.items()},
            "after": {name: new for name, (_, new) in differs.items()},
        },
        now=timezone.now(),
    )
    messages.success(request, f"{account}: {ROLE_WORDS[tuple(form.roles)]}. The change may stop it for a moment.")
    return redirect("accounts:detail", account.pk)


def features_of(form: AccountRolesForm, differs: dict[str, Any]) -> AccountFeatures:
    """The call's body: roles only where they or their slots differ, features only where they do."""
    after = form.cleaned_data
    copying = None
    if differs.keys() & {"provider", "subscriber", "slots"}:
        roles: Any = form.roles
        copying = CopyFactoryApi(copy_factory_roles=roles, copy_factory_resource_slots=after["slots"])
    return AccountFeatures(
        copy_factory_api=copying,
        metastats_api_enabled=after["metastats"] if "metastats" in differs else None,
        risk_management_api_enabled=after["risk"] if "risk" in differs else None,
    )
