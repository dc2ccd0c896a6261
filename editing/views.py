"""Looking before saving: the review of a proposed change, saving it, and what one can do with it afterwards."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from copying.client.patience import is_used_up
from editing.backend import NotDone, backend_of
from editing.dangers import is_sensitive
from editing.differences import Difference, differences
from editing.immediate import ImmediateEffects, document_effects, effects_of, unknown_effects
from editing.looking_back import ask_for, newest_job, summary_key
from editing.models import Action, Change, ChangeOutcome
from editing.proposals import differences_of, part_names, propose_undo, rebase
from editing.saving import Busy, Conflict, may_arrive, save_change, settle
from editing.secrets import holds_new_secret
from editing.targets import SUBSCRIBER, current_document, target_of
from editing.what_if import WhatIf, open_positions, simulate
from jobs.models import JobState
from jobs.services import TooMany
from users.confirming import confirmed_if
from users.once import once
from users.permissions import can_manage, may_change, member_only
from users.requests import MemberRequest

CACHED_S = 300
MOST_LISTED = 40
MOST_NAMES = 8
UNCHANGED = "Nothing was changed. "  # true of this attempt, and beside the point where an earlier one is in doubt


# --- One change -----------------------------------------------------------------------------------------------------
def visible_change(request: MemberRequest, pk: int) -> Change:
    """The change with whoever had to do with it, or 404."""
    people = ("proposed_by", "saved_by", "sent_by", "undoes")
    visible = Change.objects.visible_to(request.membership).select_related("connection", "workspace", *people)
    return still_theirs(request, get_object_or_404(visible.defer("connection__token"), pk=pk))


def own_change(request: MemberRequest, pk: int) -> Change:
    """A change that the person may save, with all it takes to ask the backend, or 404; 403 for whoever only reads."""
    visible = Change.objects.visible_to(request.membership).select_related("connection", "workspace")
    change = still_theirs(request, get_object_or_404(visible, pk=pk))
    if request.membership.is_staff_role and not target_of(change.kind).may_save(request.membership):
        raise PermissionDenied
    return change


def still_theirs(request: MemberRequest, change: Change) -> Change:
    """The change; 404 for a client whose account it is no more."""
    if not request.membership.is_staff_role and not target_of(change.kind).is_own(request.membership, change):
        raise Http404
    return change


def is_client(request: MemberRequest) -> bool:
    """Whether a client looks at a change that they made themselves."""
    return not request.membership.is_staff_role


def why_not(request: MemberRequest, change: Change) -> str:
    """Why the person may not save it: what a client does has bounds, which may be others than at the proposal."""
    return target_of(change.kind).why_not(change) if is_client(request) else ""


def effects_now(change: Change) -> ImmediateEffects:
    """What saving would do at once, as the backend measures it at this moment; why not, where it cannot be asked."""
    try:
        with backend_of(change.connection) as client:
            return effects_of(change, client=client)
    except NotDone as error:
        return unknown_effects(change, error.text)


def home_of(request: MemberRequest, change: Change) -> str:
    """The page of what the change is about, to its reader; its list when it is not mirrored (yet)."""
    target = target_of(change.kind)
    if is_client(request):
        return target.own_address(change.connection_id, change.backend_id)
    return target.address(change.connection_id, change.backend_id)


def form_of(change: Change) -> str:
    """The address of the form with what was typed; "" where there is none."""
    return f"{change.form_address}?{urlencode({'change': change.pk})}" if change.form_address else ""


def review(
    request: MemberRequest,
    change: Change,
    *,
    status: int = 200,
    problem: str = "",
    conflict: Conflict | None = None,
    theirs: list[Difference] | None = None,
    effects: ImmediateEffects | None = None,
) -> HttpResponse:
    """The page of a change, proposed or saved. conflict, theirs: what somebody else changed meanwhile."""
    target = target_of(change.kind)
    rows = differences_of(change) if change.action != Action.REMOVE else []
    is_open = change.saved_at is None and conflict is None and not change.is_in_flight
    bar = why_not(request, change) if is_open else ""
    context = {
        "change": change,
        "target": target,
        "differences": rows[:MOST_LISTED],
        "left_out": max(0, len(rows) - MOST_LISTED),
        "is_open": is_open,
        "bar": bar,
        "is_client": is_client(request),
        "reach": target.reach(change, most=MOST_NAMES) if change.saved_at is None else None,
        "effects": effects or (effects_now(change) if is_open else document_effects(change)),
        "home": home_of(request, change),
        "form_href": form_of(change),
        "may_manage": can_manage(request.membership) or is_client(request),
        "may_undo": change.saved_at is not None and may_undo(request, change),
        "is_account": change.kind == SUBSCRIBER,
        "conflict": conflict,
        "theirs": theirs or [],
        "problem": problem,
        "may_arrive": change.is_in_flight and may_arrive(change, timezone.now()),
        "undone_by": change.undone_by.saved().first() if change.saved_at else None,
    }
    return render(request, "editing/change.html", context, status=status)


def may_undo(request: MemberRequest, change: Change) -> bool:
    """Whether the person is offered to put it back: what a client ended, only the manager begins again."""
    return can_manage(request.membership) or (is_client(request) and change.action == Action.CHANGE)


@require_safe
@member_only
def change(request: MemberRequest, pk: int) -> HttpResponse:
    """What is about to be changed, or was; what is not saved only for those who may save it."""
    change = visible_change(request, pk)
    is_reader = request.membership.is_staff_role and not target_of(change.kind).may_save(request.membership)
    if change.saved_at is None and is_reader:
        raise PermissionDenied
    return review(request, change)


# --- Saving ---------------------------------------------------------------------------------------------------------
def needs_confirmation(request: MemberRequest, pk: int) -> bool:
    """Whether saving ends copying, touches money or tells a secret, so that who saves has to show who they are."""
    return is_sensitive(own_change(request, pk))


@require_POST
@may_change
@confirmed_if(needs_confirmation)
@once
def save(request: MemberRequest, pk: int) -> HttpResponse:
    """Do it, or say why not: refused, changed meanwhile, name not typed."""
    change = own_change(request, pk)
    if change.saved_at is not None:
        messages.info(request, "This was saved already.")
        return redirect(home_of(request, change))
    if bar := why_not(request, change):
        return review(request, change, status=422, problem=f"Nothing was changed. {bar}")
    if request.POST.get("typed", "").strip() != change.name.strip():
        effects = effects_now(change)  # again: prices have moved since the review
        if effects.is_dangerous:
            problem = f"Nothing was changed. Type the name, {change.name}, to say that you mean it."
            return review(request, change, status=422, problem=problem, effects=effects)
    try:
        with backend_of(change.connection) as client:
            answer = save_change(change, client=client, by=request.user, now=timezone.now())
    except NotDone as error:
        return say_not_done(request, change, error)
    if isinstance(answer, Conflict) and not change.is_in_flight:
        return conflict_page(request, change, answer)
    if isinstance(answer, Busy):
        return review(request, visible_change(request, pk), status=409, problem=busy_words(answer.rival))
    return say_outcome(request, change)


def say_not_done(request: MemberRequest, change: Change, error: NotDone) -> HttpResponse:
    """Why this attempt did nothing; an earlier one may still have been carried out."""
    if change.is_in_flight:
        messages.warning(request, f"Nothing was sent now. {error.text.removeprefix(UNCHANGED)}")
        return redirect("editing:change", change.pk)
    return review(request, visible_change(request, change.pk), status=503, problem=error.text)


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
        tags = f"undo:{change.pk}" if may_undo(request, change) else ""
        messages.success(request, f"{change.name} {words}.{later}", extra_tags=tags)
        return redirect(home_of(request, change))
    if change.is_in_flight:
        messages.warning(request, f"It is not known yet whether {change.name} was changed.")
    elif change.outcome == ChangeOutcome.NOT_DONE:
        messages.info(request, f"{change.name} was not changed: what was sent was not carried out.")
    return redirect("editing:change", change.pk)


@require_POST
@may_change
def look_again(request: MemberRequest, pk: int) -> HttpResponse:
    """Ask the backend what became of a change whose answer was lost."""
    change = own_change(request, pk)
    try:
        with backend_of(change.connection) as client:
            settle(change, client=client, now=timezone.now())
    except NotDone as error:
        messages.error(request, f"It is still not known. {error.text.removeprefix(UNCHANGED)}")
        return redirect("editing:change", pk)
    return say_outcome(request, change)


# --- Going on from a change -----------------------------------------------------------------------------------------
def conflict_page(request: MemberRequest, change: Change, conflict: Conflict) -> HttpResponse:
    """Both versions: what somebody else changed since, and what this change was about to do."""
    theirs = []
    if conflict.current is not None:
        theirs = differences(change.kind, change.before, conflict.current, part_names(change))
    return review(request, change, status=409, conflict=conflict, theirs=theirs)


@require_POST
@may_change
def go_on(request: MemberRequest, pk: int) -> HttpResponse:
    """After a conflict: the same edit on top of what the backend has now, for another look."""
    change = own_change(request, pk)
    if change.is_in_flight or change.saved_at is not None:
        return redirect("editing:change", pk)
    try:
        with backend_of(change.connection) as client:
            current = current_document(client, change)
    except NotDone as error:
        return review(request, visible_change(request, pk), status=503, problem=error.text)
    if current is None or change.action not in (Action.CHANGE, Action.CREATE):
        messages.error(request, f"{change.name} cannot be changed like that any more: look at what is there now.")
        return redirect(home_of(request, change))
    newer, _ = rebase(change, current, by=request.user, now=timezone.now())
    change.delete()
    return redirect("editing:change", newer.pk)


@require_POST
@may_change
def discard(request: MemberRequest, pk: int) -> HttpResponse:
    """Forget a proposal."""
    change = own_change(request, pk)
    home = home_of(request, change)
    if change.is_in_flight:
        messages.warning(request, "It was sent, so it cannot be discarded before it is known what became of it.")
        return redirect("editing:change", pk)
    if change.saved_at is None:
        change.delete()
        messages.info(request, "The change was discarded. Nothing was written.")
    return redirect(home)


@require_POST
@may_change
def undo(request: MemberRequest, pk: int) -> HttpResponse:
    """Put the former document back, by the same review."""
    change = own_change(request, pk)
    if change.saved_at is None or not may_undo(request, change):
        return redirect("editing:change", pk)
    if change.action == Action.CREATE:
        removal = target_of(change.kind).removal_address(change.connection_id, change.backend_id)
        return redirect(removal or home_of(request, change))
    try:
        with backend_of(change.connection) as client:
            reversal = propose_undo(
                change, client=client, by=request.user, now=timezone.now(), as_client=is_client(request)
            )
    except NotDone as error:
        messages.error(request, error.text)
        return redirect(home_of(request, change))
    if reversal is None:
        messages.info(request, "There is nothing to put back: it already is as it was, or it is being wound down.")
        return redirect(home_of(request, change))
    if holds_new_secret(change.before, reversal.after):
        messages.warning(request, "A token in it was typed for another address and is not put back: type it again.")
    return redirect("editing:change", reversal.pk)


# --- Parts of a review that the backend is asked for ----------------------------------------------------------------
@require_safe
@may_change
def what_if(request: MemberRequest, pk: int) -> HttpResponse:
    """What the change would have done to the last days' signals."""
    change = own_change(request, pk)
    key = summary_key(change.pk)
    summary = cache.get(key)
    if summary is not None:
        return show_part(request, "what_if", change, summary=summary)
    job = newest_job(change)
    if job is not None and (job.is_unfinished or job.state == JobState.FAILED):
        return show_part(request, "looking_back", change, job=job)
    try:
        with backend_of(change.connection) as client:
            summary = simulate(change, client=client, now=timezone.now())
        cache.set(key, summary, CACHED_S)
    except NotDone as error:
        if is_used_up() and not is_client(request):  # it answers, or may, but not within a page
            with suppress(TooMany):
                job = ask_for(change, request.membership, before=job)
                return show_part(request, "looking_back", change, job=job)
        summary = WhatIf(problem=error.text)
    return show_part(request, "what_if", change, summary=summary)


@require_safe
@may_change
def positions(request: MemberRequest, pk: int) -> HttpResponse:
    """How many copied positions a removal meets now."""
    change = own_change(request, pk)
    summary, problem = None, ""
    try:
        with backend_of(change.connection) as client:
            summary = open_positions(change, client=client)
    except NotDone as error:
        problem = error.text
    return show_part(request, "positions", change, open=summary, problem=problem)


def show_part(request: MemberRequest, name: str, change: Change, **context: Any) -> HttpResponse:
    """A part of the review, or a page of its own around it."""
    page = f"editing/_{name}.html" if request.partial else f"editing/{name}.html"
    known = {"change": change, "target": target_of(change.kind), "is_client": is_client(request)}
    return render(request, page, {**context, **known})
