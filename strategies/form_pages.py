"""The one way every form of settings is answered: opened, given another row, refused with reasons, sent to review."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from copying.client import ClientError
from copying.engine.model import Level
from strategies.changes import NotDone, Spot, backend_of, propose_form
from strategies.editing.fields import Field
from strategies.editing.forms import Problem, SettingsForm, problems_of
from strategies.editing.merging import writable
from strategies.models import Action, Change, Strategy
from strategies.terms import Setting
from users.models import Connection
from users.parsing import row_id
from users.requests import MemberRequest

Holds = dict[str, tuple[str, str]]
MOST_OPTIONS = 1_000
OFFERS_KEPT_S = 60


@dataclass
class Extra:
    """An input beside the settings: which account, which strategy. options: (value, label); none: a text."""

    name: str
    label: str
    help: str = ""
    value: str = ""
    options: list[tuple[str, str]] | None = None
    is_required: bool = True
    problem: str = ""
    placeholder: str = ""

    def check(self) -> str:
        """What is wrong with the value; "" when nothing is."""
        if not self.value:
            return "This is needed." if self.is_required else ""
        if self.options is not None and self.value not in dict(self.options):
            return "Choose one of the list."
        return ""


def strategy_options(connection: Connection, *, without: Iterable[str] = ()) -> list[tuple[str, str]]:
    """What may be copied: the workspace's own strategies and portfolios by name, then what others offer to it."""
    offered = Strategy.objects.filter(connection=connection, is_removed=False).exclude(backend_id__in=list(without))
    found = offered.order_by("name", "id").values_list("backend_id", "name", "kind")[:MOST_OPTIONS]
    own = [(backend_id, f"{name} (portfolio)" if kind == "portfolio" else name) for backend_id, name, kind in found]
    return own + [option for option in offered_by_others(connection) if option[0] not in set(without)]


def offered_by_others(connection: Connection) -> list[tuple[str, str]]:
    """Strategies of others that may be copied, asked for at most once a minute; none where the backend knows no offers.

    A backend that does not answer offers nothing for that minute: a form must open all the same.
    """

    def read() -> list[tuple[str, str]]:
        try:
            with connection.client(timeout_s=3, retries=0, wait_budget_s=0) as client:
                offered = client.offered_strategies()
        except (ClientError, ImproperlyConfigured):
            return []
        return [(one.strategy_id, f"{one.name} (offered by {one.provider.name or one.provider.id})") for one in offered]

    return cache.get_or_set(f"offered-strategies:{connection.pk}", read, OFFERS_KEPT_S) or []


def connection_extra(request: MemberRequest) -> Extra:
    """At which backend; no question where there is only one."""
    found = Connection.objects.filter(workspace=request.workspace, is_enabled=True).order_by("id")
    options = [(str(pk), name) for pk, name in found.values_list("pk", "name")]
    return Extra("connection", "Connection", "The copying backend that it is made at.", options=options,
                 value=options[0][0] if options else "")  # fmt: skip


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


def draft_of(request: MemberRequest, spot: Spot) -> Change | None:
    """The proposal that a form is opened from (`?change=`), if it is of the same object and not saved."""
    drafts = Change.objects.visible_to(request.membership).filter(saved_at=None, connection_id=spot.connection.pk)
    wanted = row_id(request.GET.get("change", "")) or 0  # no row has it
    return drafts.filter(pk=wanted, kind=spot.kind, backend_id=spot.backend_id, part=spot.part).first()


def answer_form(
    request: MemberRequest,
    spot: Spot,
    *,
    document: dict[str, Any],
    template: str,
    context: dict[str, Any],
    back: str,
) -> HttpResponse:
    """The page of a form over `document` (the mirror's), or the way to its review. back: where one came from."""
    draft = draft_of(request, spot)
    context = page_context(request, context, back)
    settings = spot.part_of(document)
    if request.method != "POST":
        form = SettingsForm.of(spot.level, settings or {})
        if draft is not None:
            before, after = (spot.part_of(each) or {} for each in (draft.before, draft.after))
            form = SettingsForm.of_draft(spot.level, before, after)
            form.place(draft.problems, path=spot.path_in(draft.after))
        elif settings is not None:
            form.place(stored_problems(spot, document), path=spot.path_in(document))
            context["needs_correction"] = bool(form.problems)
        return render(request, template, {**context, "form": form})
    form = SettingsForm.sent(spot.level, request.POST)
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


def stored_problems(spot: Spot, document: dict[str, Any]) -> list[dict[str, Any]]:
    """What is wrong with the settings as they are stored, from before a rule of today; of a part only its own."""
    found, path = problems_of(spot.kind, writable(document)) if document else [], spot.path_in(document)
    return [one for one in found if not path or one["parameter"].startswith(f"{path}.")]


def page_context(request: MemberRequest, context: dict[str, Any], back: str) -> dict[str, Any]:
    """What every page of a form needs."""
    return {
        "holds": {},
        "extras": [],
        "needs_correction": False,
        **context,
        "back": back,
        "action": request.get_full_path(),
    }


def answer_new(
    request: MemberRequest,
    *,
    level: Level,
    extras: list[Extra],
    make: Callable[[SettingsForm, dict[str, str]], Change | None],
    template: str,
    context: dict[str, Any],
    back: str,
    draft: Change | None = None,
    drafted: dict[str, Any] | None = None,
    path: str = "",
    more: tuple[Field, ...] = (),
) -> HttpResponse:
    """The page of a form for something that is not there yet, or the way to its review.

    make: proposes the change from the form and the values of the extras, or puts problems into the form; NotDone is
    told on the page. draft, drafted, path: the proposal that one comes back from, its settings and where they stand in
    it. more: fields beside the table's.
    """
    context = page_context(request, {**context, "extras": extras}, back)
    if request.method != "POST":
        form = SettingsForm.of_draft(level, {}, drafted or {}, more=more)
        if draft is not None:
            form.place(draft.problems, path=path)
        return render(request, template, {**context, "form": form})
    form = SettingsForm.sent(level, request.POST, more=more)
    for extra in extras:
        extra.value = request.POST.get(extra.name, "").strip()
    if "add" in request.POST:
        return render(request, template, {**context, "form": form})
    for extra in extras:
        extra.problem = extra.check()
        if extra.problem:
            form.problems.append(Problem(extra.name, extra.label, extra.problem))
    if form.problems:
        return render(request, template, {**context, "form": form}, status=422)
    try:
        change = make(form, {extra.name: extra.value for extra in extras})
    except NotDone as error:
        form.place(error.details, path=path)
        form.add_problem("", error.text)
        return render(request, template, {**context, "form": form}, status=503)
    if change is None:
        return render(request, template, {**context, "form": form}, status=422)
    return redirect(reverse("subscribers:change", args=[change.pk]))


def part_draft(request: MemberRequest, spot: Spot) -> Change | None:
    """The new member or subscription that one comes back from (`?change=`)."""
    wanted = row_id(request.GET.get("change", "")) or 0  # no row has it
    drafts = Change.objects.visible_to(request.membership).filter(saved_at=None, connection_id=spot.connection.pk)
    return drafts.filter(pk=wanted, kind=spot.kind, backend_id=spot.backend_id).exclude(part="").first()


def draft_to_create(request: MemberRequest, kind: str) -> Change | None:
    """The creation that one comes back from (`?change=`)."""
    wanted = row_id(request.GET.get("change", "")) or 0  # no row has it
    drafts = Change.objects.visible_to(request.membership).filter(saved_at=None, action=Action.CREATE, kind=kind)
    return drafts.filter(pk=wanted).first()
