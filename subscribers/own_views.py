"""What clients change themselves on their own accounts, and the manager's page of what they may.

Every act becomes a proposal that is looked at in the review of `editing`, like a manager's; the bounds are asked here
and again when it is saved. Only the client's own accounts exist for them: any other is a 404.
"""

from __future__ import annotations

from typing import get_args

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from copying.contract.settings import CloseOnly
from editing.backend import NotDone, backend_of
from editing.form_pages import draft_of
from editing.listing import answer_changes
from editing.merging import writable
from editing.models import Action, Change
from editing.problems import in_words, problems_of
from editing.proposals import proposal_of
from editing.scopes import EditScope, scope_of
from editing.targets import SUBSCRIBER, Document, names_of
from strategies.models import Strategy
from strategies.pages import page_of as strategy_page
from strategies.pages import visible_strategy
from subscribers.bounds import ClientBounds
from subscribers.models import Subscriber
from subscribers.own import acts_of, newest_bounds, set_bounds, why_not_saved, words_of
from subscribers.own_forms import BoundsForm, OwnLeaveForm, OwnTermsForm
from subscribers.own_rules import with_value
from subscribers.pages import own_page, visible_subscriber
from users.confirming import confirmed
from users.once import once
from users.permissions import can_manage, may_manage, staff_only, subscriber_only
from users.requests import MemberRequest

MOST_VERSIONS = 50
GONE = "It is not copied any more."
SAME = "It is like that already."


# --- The manager's page -----------------------------------------------------------------------------------------------
def bounds_page(request: MemberRequest, strategy: Strategy, form: BoundsForm, *, status: int = 200) -> HttpResponse:
    """The form over what holds, and every version before."""
    versions = ClientBounds.objects.visible_to(request.membership).filter(strategy=strategy).select_related("set_by")
    listed = [(row, words_of(row.content)) for row in versions.order_by("-pk")[:MOST_VERSIONS]]
    context = strategy_page(strategy, "settings", form=form, versions=listed, may_set=can_manage(request.membership))
    return render(request, "subscribers/client_bounds.html", context, status=status)


@require_safe
@staff_only
def client_bounds(request: MemberRequest, pk: int) -> HttpResponseBase:
    """What the clients of a strategy may change themselves."""
    strategy = visible_strategy(request, pk)
    newest = newest_bounds(strategy)
    return bounds_page(request, strategy, BoundsForm(content=newest.content if newest else None))


@require_POST
@may_manage
@confirmed
@once
def set_client_bounds(request: MemberRequest, pk: int) -> HttpResponseBase:
    """Say what they may; it holds for what clients save from now on."""
    strategy = visible_strategy(request, pk)
    form = BoundsForm(request.POST)
    if not form.is_valid():
        return bounds_page(request, strategy, form, status=422)
    row = set_bounds(strategy, form.content, by=request.user, now=timezone.now())
    messages.info(request, "Nothing was changed.") if row is None else messages.success(
        request, "Saved. It holds for what clients change from now on; what they changed before stays."
    )
    return redirect("subscribers:client-bounds", pk)


# --- The client's own accounts ----------------------------------------------------------------------------------------
def own_account(request: MemberRequest, pk: int) -> Subscriber:
    """The client's account while it copies, with its connection, or 404."""
    account = visible_subscriber(request, pk)
    if account.is_removed:
        raise Http404
    return account


def own_scope(account: Subscriber, strategy_id: str) -> EditScope:
    """The account, or a subscription that it copies; 404 for another."""
    scope = scope_of(account, strategy_id)
    if (scope.settings_in(account.document) or {"removed": True}).get("removed"):
        raise Http404
    return scope


def name_of(account: Subscriber, strategy_id: str) -> str:
    """What is copied, or the account."""
    return names_of(account.connection_id, [strategy_id]).get(strategy_id, strategy_id) or account.name


def to_own_review(request: MemberRequest, scope: EditScope, current: Document, **fields) -> tuple[Change, str]:
    """The proposal, kept where it keeps to the bounds; else why not."""
    form_address = "" if request.path.endswith("/close-only/") else request.path
    change = proposal_of(
        scope, by=request.user, now=timezone.now(), before=current, as_client=True, form_address=form_address, **fields
    )
    problem = why_not_saved(change)
    if not problem:
        change.save()
    return change, problem


@require_http_methods(["GET", "POST"])
@subscriber_only
def own_terms(request: MemberRequest, pk: int, strategy_id: str) -> HttpResponseBase:
    """The ratio and the limits of a subscription, within the manager's bounds."""
    account = own_account(request, pk)
    scope = own_scope(account, strategy_id)
    bounds, draft = acts_of(account)[strategy_id].bounds, draft_of(request, scope)
    terms = scope.settings_in(account.document) or {}
    wanted = (scope.settings_in(draft.after) if draft else None) or terms
    form = OwnTermsForm(request.POST or None, bounds=bounds, terms=terms if request.method == "POST" else wanted)
    context = {"account": account, "name": name_of(account, strategy_id), "form": form, "back": own_page(account.pk)}
    if request.method != "POST" or not form.is_valid():
        return render(request, "subscribers/own_terms.html", context, status=422 if form.errors else 200)
    if not form.values:
        messages.info(request, "Nothing was changed.")
        return redirect(own_page(account.pk))
    try:
        with backend_of(account.connection) as client:
            current = scope.target.read(client, scope.backend_id)
    except NotDone as error:
        form.add_error(None, error.text)
        return render(request, "subscribers/own_terms.html", context, status=503)
    change, problems = propose_terms(request, scope, current, form)
    if change is not None and not problems:
        return redirect("editing:change", change.pk)
    for problem in problems:
        form.add_error(None, problem)
    return render(request, "subscribers/own_terms.html", context, status=422)


def propose_terms(
    request: MemberRequest, scope: EditScope, current: Document, form: OwnTermsForm
) -> tuple[Change | None, list[str]]:
    """The typed values on top of what the backend has now, or what speaks against them."""
    settings = scope.settings_in(current)
    if settings is None or settings.get("removed"):
        return None, [GONE]
    for setting, value in form.values:
        settings = with_value(setting, settings, value)
    after = scope.replace_part(current, settings)
    if after == current:
        return None, [SAME]
    # what was wrong before is the manager's to correct, and no reason to refuse this
    old = [problem["message"] for problem in problems_of(SUBSCRIBER, writable(current))]
    wrong = [problem["message"] for problem in problems_of(SUBSCRIBER, writable(after))]
    if new := [in_words(message, None) for message in wrong if message not in old]:
        return None, new
    change, problem = to_own_review(request, scope, current, after=after)
    return change, [problem] if problem else []


@require_POST
@subscriber_only
def own_close_only(request: MemberRequest, pk: int) -> HttpResponseBase:
    """Pause an account or one subscription, let it go on, or close everything: proposed for the review."""
    account = own_account(request, pk)
    strategy_id, mode = request.POST.get("strategy", ""), request.POST.get("mode", "")
    scope = own_scope(account, strategy_id)
    if mode and mode not in get_args(CloseOnly):
        return redirect(own_page(account.pk))
    try:
        with backend_of(account.connection) as client:
            current = scope.target.read(client, scope.backend_id)
    except NotDone as error:
        messages.error(request, error.text)
        return redirect(own_page(account.pk))
    settings = scope.settings_in(current)
    if settings is None or settings.get("removed") or (settings.get("closeOnly") or "") == mode:
        messages.info(request, GONE if settings is None or settings.get("removed") else SAME)
        return redirect(own_page(account.pk))
    others = {name: value for name, value in settings.items() if name != "closeOnly"}
    after = scope.replace_part(current, others | ({"closeOnly": mode} if mode else {}))
    change, problem = to_own_review(request, scope, current, after=after)
    if problem:
        messages.error(request, f"Nothing was changed. {problem}")
        return redirect(own_page(account.pk))
    return redirect("editing:change", change.pk)


@require_http_methods(["GET", "POST"])
@subscriber_only
def own_leave(request: MemberRequest, pk: int, strategy_id: str = "") -> HttpResponseBase:
    """Stop copying one strategy, or everything with this account: what becomes of positions, then the review."""
    account = own_account(request, pk)
    scope = own_scope(account, strategy_id)
    form = OwnLeaveForm(request.POST or None, closing=acts_of(account)[strategy_id].bounds.closing)
    context = {
        "account": account,
        "name": name_of(account, strategy_id),
        "is_whole": not strategy_id,
        "form": form,
        "back": own_page(account.pk),
        "problem": "",
    }
    if request.method != "POST" or not form.is_valid():
        return render(request, "subscribers/own_leave.html", context, status=422 if form.errors else 200)
    try:
        with backend_of(account.connection) as client:
            current = scope.target.read(client, scope.backend_id)
    except NotDone as error:
        return render(request, "subscribers/own_leave.html", {**context, "problem": error.text}, status=503)
    after = scope.without_part(current) if strategy_id else {}
    action = Action.TAKE_OUT if strategy_id else Action.REMOVE
    instructions = {"mode": form.cleaned_data["mode"]}
    change, problem = to_own_review(request, scope, current, after=after, action=action, instructions=instructions)
    if problem:
        return render(request, "subscribers/own_leave.html", {**context, "problem": problem}, status=422)
    return redirect("editing:change", change.pk)


@require_safe
@subscriber_only
def own_changes(request: MemberRequest, pk: int) -> HttpResponseBase:
    """What the client changed on the account."""
    account = visible_subscriber(request, pk)
    context = {"account": account, "back": own_page(account.pk), "layout": "subscribers/_own_page.html"}
    return answer_changes(request, account, context)
