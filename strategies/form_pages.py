"""The one way every form of settings is answered: opened, given another row, refused with reasons, sent to review."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from strategies.changes import NotDone, Spot, backend_of, propose_form
from strategies.editing.forms import SettingsForm
from strategies.models import Change
from strategies.terms import Setting

Holds = dict[str, tuple[str, str]]


def holds_in(chains: Iterable[list[Setting]]) -> Holds:
    """label -> (what holds in the end, the level it comes from), over everything that the settings lead to."""
    found: dict[str, set[tuple[str, str]]] = {}
    limits: list[tuple[str, str]] = []
    for settings in chains:
        for one in settings:
            if one.label == "Risk limit":
                limits += [(one.value, one.source)]
            else:
                found.setdefault(one.label, set()).add((one.value, one.source))
    holds = {label: said.pop() if len(said) == 1 else ("Differs by strategy", "") for label, said in found.items()}
    if limits:
        unique = list(dict.fromkeys(limits))
        holds["Risk limit"] = "; ".join(value for value, _ in unique), ", ".join(dict.fromkeys(s for _, s in unique))
    return holds


def draft_of(request: HttpRequest, spot: Spot) -> Change | None:
    """The proposal that a form is opened from (`?change=`), if it is of the same object and not saved."""
    wanted = request.GET.get("change", "")
    drafts = Change.objects.visible_to(request.membership).filter(saved_at=None, connection_id=spot.connection.pk)
    return (
        drafts.filter(pk=int(wanted), kind=spot.kind, backend_id=spot.backend_id, part=spot.part).first()
        if wanted.isdigit() and len(wanted) < 18
        else None
    )


def answer_form(
    request: HttpRequest,
    spot: Spot,
    *,
    document: dict[str, Any],
    template: str,
    context: dict[str, Any],
    back: str,
    without: tuple[str, ...] = (),
) -> HttpResponse:
    """The page of a form over `document` (the mirror's), or the way to its review. back: where one came from."""
    draft = draft_of(request, spot)
    context = {**context, "back": back, "holds": context.get("holds", {}), "action": request.get_full_path()}
    settings = spot.part_of(document)
    if request.method != "POST":
        form = SettingsForm.of(spot.level, settings or {}, without=without)
        if draft is not None:
            sides = [spot.part_of(each) or {} for each in (draft.before, draft.after)]
            form = SettingsForm.of_draft(spot.level, *sides, without=without)
            form.place(draft.problems, path=spot.path_in(draft.after))
        return render(request, template, {**context, "form": form})
    form = SettingsForm.sent(spot.level, request.POST, without=without)
    if "add" in request.POST:
        return render(request, template, {**context, "form": form})
    if not form.changed_fields and draft is None and settings is not None:
        messages.info(request, "Nothing was changed.")
        return redirect(back)
    try:
        with backend_of(spot.connection) as client:
            change = propose_form(spot, form, client=client, by=request.user, draft=draft, address=request.path)
    except NotDone as error:
        form.place(error.details, path=spot.path_in(document))
        form.add_problem("", error.text)
        return render(request, template, {**context, "form": form}, status=503)
    if change is None:
        return render(request, template, {**context, "form": form}, status=422)
    return redirect(reverse("subscribers:change", args=[change.pk]))
