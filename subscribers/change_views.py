"""Looking before saving, and what was saved: the review of a proposed change, undo, and who changed what when."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from strategies.changes import NotDone, backend_of
from strategies.editing.differences import differences
from strategies.editing.secrets import holds_new_secret
from strategies.models import Action, Change, Outcome, Strategy, Target
from strategies.terms import commission_text
from subscribers.changes import (
    Conflict,
    current_document,
    differences_of,
    names_of,
    propose_undo,
    reach_of,
    rebase,
)
from subscribers.immediate import Effects, document_effects, effects_of, unknown_effects
from subscribers.listings import CHANGES
from subscribers.models import Subscriber
from subscribers.saving import Busy, may_arrive, save_change, settle
from subscribers.views import page_of, visible_subscriber
from subscribers.whatif import WhatIf, open_positions, simulate
from users.once import once
from users.permissions import can_manage, may_manage, staff_only
from users.requests import MemberRequest

KEPT_S = 300
MOST_LISTED = 40
MOST_WAITING = 10
UNCHANGED = "Nothing was changed. "  # true of this attempt, and beside the point where an earlier one is in doubt


# --- One change -----------------------------------------------------------------------------------------------------
def visible_change(request: MemberRequest, pk: int) -> Change:
    """The change, or 404."""
    found = Change.objects.visible_to(request.membership).select_related("connection", "workspace", "proposed_by",
                                                                       "saved_by", "sent_by", "undoes")  # fmt: skip
    return get_object_or_404(found.defer("connection__token"), pk=pk)


def draft(request: MemberRequest, pk: int) -> Change:
    """A change with all it takes to ask the backend, or 404."""
    found = Change.objects.visible_to(request.membership).select_related("connection", "workspace")
    return get_object_or_404(found, pk=pk)


def effects_now(change: Change) -> Effects:
    """What saving would do at once, as the backend measures it at this moment; why not, where it cannot be asked."""
    try:
        with backend_of(change.connection) as client:
            return effects_of(change, client=client)
    except NotDone as error:
        return unknown_effects(change, error.text)


def home_of(change: Change) -> str:
    """The page of what the change is about; its list when it is not mirrored (yet)."""
    model, list_name, detail = (
        (Subscriber, "subscribers:list", "subscribers:subscriptions")
        if change.kind == Target.SUBSCRIBER
        else (Strategy, "strategies:list", "strategies:settings")
    )
    found = model.objects.filter(connection_id=change.connection_id, backend_id=change.backend_id).values_list("pk")
    pk = found.first()
    return reverse(detail, args=pk) if pk else reverse(list_name)


def form_of(change: Change) -> str:
    """The address of the form with what was typed; "" where there is none."""
    return f"{change.form_address}?{urlencode({'change': change.pk})}" if change.form_address else ""


def review(request: MemberRequest, change: Change, *, status: int = 200, **more) -> HttpResponse:
    """The page of a change: proposed or saved."""
    found = differences_of(change) if change.action != Action.REMOVE else []
    is_open = change.saved_at is None and more.get("conflict") is None and not change.is_in_flight
    effects = more.pop("effects", None) or (effects_now(change) if is_open else document_effects(change))
    context = {
        "change": change,
        "differences": found[:MOST_LISTED],
        "left_out": max(0, len(found) - MOST_LISTED),
        "is_open": is_open,
        "reach": reach_of(change) if change.saved_at is None else None,
        "effects": effects,
        "home": home_of(change),
        "form_href": form_of(change),
        "may_manage": can_manage(request.membership),
        "is_account": change.kind == Target.SUBSCRIBER,
        "conflict": None,
        "problem": "",
        "may_arrive": change.is_in_flight and may_arrive(change, timezone.now()),
        "undone_by": change.undone_by.saved().first() if change.saved_at else None,
    }
    return render(request, "subscribers/change.html", {**context, **more}, status=status)


@require_safe
@staff_only
def change(request: MemberRequest, pk: int) -> HttpResponse:
    """What is about to be changed, or was; what is not saved only for those who may save it."""
    found = visible_change(request, pk)
    if found.saved_at is None and not can_manage(request.membership):
        raise PermissionDenied
    return review(request, found)


@require_POST
@may_manage
@once
def save(request: MemberRequest, pk: int) -> HttpResponse:
    """Do it, or say why not: refused, changed meanwhile, name not typed."""
    found = draft(request, pk)
    if found.saved_at is not None:
        messages.info(request, "This was saved already.")
        return redirect(home_of(found))
    if request.POST.get("typed", "").strip() != found.name.strip():
        effects = effects_now(found)  # again: prices have moved since the review
        if effects.is_dangerous:
            problem = f"Nothing was changed. Type the name, {found.name}, to say that you mean it."
            return review(request, found, status=422, problem=problem, effects=effects)
    try:
        with backend_of(found.connection) as client:
            answer = save_change(found, client=client, by=request.user, now=timezone.now())
    except NotDone as error:
        if found.is_in_flight:  # an earlier attempt may still have been carried out
            messages.warning(request, f"Nothing was sent now. {error.text.removeprefix(UNCHANGED)}")
            return redirect("subscribers:change", pk)
        return review(request, visible_change(request, pk), status=503, problem=error.text)
    if isinstance(answer, Conflict) and not found.is_in_flight:
        return conflict_page(request, found, answer)
    if isinstance(answer, Busy):
        return review(request, visible_change(request, pk), status=409, problem=busy_words(answer.rival))
    return say_outcome(request, found)


def busy_words(rival: Change) -> str:
    """Why it has to wait: somebody else's save of the same object."""
    who = rival.sent_by or "somebody who is gone"
    return (
        f"Nothing was sent: a change of {rival.name} that {who} saved is not confirmed yet."
        " It is settled within two minutes; save again then."
    )


def say_outcome(request: MemberRequest, change: Change) -> HttpResponse:
    """Say what is known of a change that was sent: on its object's page once it is done, else on its own."""
    if change.saved_at is not None:
        words = {Action.CREATE: "is created", Action.REMOVE: "is being removed"}.get(Action(change.action), "is saved")
        later = "" if change.is_mirrored else " The pages show it within a minute."
        messages.success(request, f"{change.name} {words}.{later}", extra_tags=f"undo:{change.pk}")
        return redirect(home_of(change))
    if change.is_in_flight:
        messages.warning(request, f"It is not known yet whether {change.name} was changed.")
    elif change.outcome == Outcome.NOT_DONE:
        messages.info(request, f"{change.name} was not changed: what was sent was not carried out.")
    return redirect("subscribers:change", change.pk)


@require_POST
@may_manage
def look_again(request: MemberRequest, pk: int) -> HttpResponse:
    """Ask the backend what became of a change whose answer was lost."""
    found = draft(request, pk)
    try:
        with backend_of(found.connection) as client:
            settle(found, client=client, now=timezone.now())
    except NotDone as error:
        messages.error(request, f"It is still not known. {error.text.removeprefix(UNCHANGED)}")
        return redirect("subscribers:change", pk)
    return say_outcome(request, found)


def conflict_page(request: MemberRequest, found: Change, conflict: Conflict) -> HttpResponse:
    """Both versions: what somebody else changed since, and what this change was about to do."""
    theirs = []
    if conflict.current is not None:
        theirs = differences(found.kind, found.before, conflict.current, names_of(found))
    return review(request, found, status=409, conflict=conflict, theirs=theirs)


@require_POST
@may_manage
def go_on(request: MemberRequest, pk: int) -> HttpResponse:
    """After a conflict: the same edit on top of what the backend has now, for another look."""
    found = draft(request, pk)
    if found.is_in_flight or found.saved_at is not None:
        return redirect("subscribers:change", pk)
    try:
        with backend_of(found.connection) as client:
            current = current_document(client, found)
    except NotDone as error:
        return review(request, visible_change(request, pk), status=503, problem=error.text)
    if current is None or found.action not in (Action.CHANGE, Action.CREATE):
        messages.error(request, f"{found.name} cannot be changed like that any more: look at what is there now.")
        return redirect(home_of(found))
    newer, _ = rebase(found, current, by=request.user, now=timezone.now())
    found.delete()
    return redirect("subscribers:change", newer.pk)


@require_POST
@may_manage
def discard(request: MemberRequest, pk: int) -> HttpResponse:
    """Forget a proposal."""
    found = draft(request, pk)
    home = home_of(found)
    if found.is_in_flight:
        messages.warning(request, "It was sent, so it cannot be discarded before it is known what became of it.")
        return redirect("subscribers:change", pk)
    if found.saved_at is None:
        found.delete()
        messages.info(request, "The change was discarded. Nothing was written.")
    return redirect(home)


@require_POST
@may_manage
def undo(request: MemberRequest, pk: int) -> HttpResponse:
    """Put the former document back, by the same review."""
    found = draft(request, pk)
    if found.saved_at is None:
        return redirect("subscribers:change", pk)
    if found.action == Action.CREATE:
        return redirect(removal_of(found))
    try:
        with backend_of(found.connection) as client:
            back = propose_undo(found, client=client, by=request.user, now=timezone.now())
    except NotDone as error:
        messages.error(request, error.text)
        return redirect(home_of(found))
    if back is None:
        messages.info(request, "There is nothing to put back: it already is as it was, or it is being wound down.")
        return redirect(home_of(found))
    if holds_new_secret(found.before, back.after):
        messages.warning(request, "A token in it was typed for another address and is not put back: type it again.")
    return redirect("subscribers:change", back.pk)


def removal_of(change: Change) -> str:
    """The page on which what was created can be removed."""
    model, name = (
        (Subscriber, "subscribers:remove") if change.kind == Target.SUBSCRIBER else (Strategy, "strategies:remove")
    )
    found = model.objects.filter(connection_id=change.connection_id, backend_id=change.backend_id).first()
    return reverse(name, args=[found.pk]) if found else home_of(change)


# --- Parts of a review that the backend is asked for ----------------------------------------------------------------
@require_safe
@may_manage
def what_if(request: MemberRequest, pk: int) -> HttpResponse:
    """What the change would have done to the last days' signals."""
    found = draft(request, pk)
    key = f"what-if:{found.pk}"
    told = cache.get(key)
    if told is None:
        try:
            with backend_of(found.connection) as client:
                told = simulate(found, client=client, now=timezone.now())
            cache.set(key, told, KEPT_S)
        except NotDone as error:
            told = WhatIf(problem=error.text)
    page = "subscribers/_what_if.html" if request.partial else "subscribers/what_if.html"
    return render(request, page, {"told": told, "change": found})


@require_safe
@may_manage
def positions(request: MemberRequest, pk: int) -> HttpResponse:
    """How many copied positions a removal meets now."""
    found = draft(request, pk)
    try:
        with backend_of(found.connection) as client:
            context = {"open": open_positions(found, client=client), "problem": ""}
    except NotDone as error:
        context = {"open": None, "problem": error.text}
    page = "subscribers/_positions.html" if request.partial else "subscribers/positions.html"
    return render(request, page, {**context, "change": found})


# --- Who changed what when ------------------------------------------------------------------------------------------
def answer_changes(
    request: MemberRequest, kinds: tuple[str, ...], one: Strategy | Subscriber, template: str, context: dict[str, Any]
) -> HttpResponseBase:
    """The list of one object's saved changes."""
    own = Change.objects.visible_to(request.membership)
    own = own.filter(connection_id=one.connection_id, backend_id=one.backend_id, kind__in=kinds)
    table = CHANGES.bind(request, own.saved())
    if table.wants_csv:
        return table.csv()
    waiting = own.filter(saved_at=None).select_related("proposed_by").defer("before", "after").order_by("-id")
    context["waiting"] = waiting[:MOST_WAITING] if can_manage(request.membership) else []
    return render(request, "subscribers/_changes.html" if request.partial else template, {**context, "table": table})


@require_safe
@staff_only
def strategy_changes(request: MemberRequest, pk: int) -> HttpResponseBase:
    """Who changed a strategy."""
    strategy = get_object_or_404(Strategy.objects.visible_to(request.membership), pk=pk)
    context = {"strategy": strategy, "tab": "changes", "commission": commission_text(strategy.document)}
    kinds = (Target.STRATEGY, Target.PORTFOLIO)
    return answer_changes(request, kinds, strategy, "subscribers/strategy_changes.html", context)


@require_safe
@staff_only
def subscriber_changes(request: MemberRequest, pk: int) -> HttpResponseBase:
    """Who changed a subscriber and its subscriptions."""
    subscriber = visible_subscriber(request, pk)
    context = page_of(request, subscriber, "changes")
    return answer_changes(request, (Target.SUBSCRIBER,), subscriber, "subscribers/subscriber_changes.html", context)
