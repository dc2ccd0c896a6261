"""The one way every form of settings is answered: opened, given another row, refused with reasons, sent to review."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from copying.engine.model import Level
from editing.backend import NotDone, backend_of
from editing.fields import Field
from editing.forms import SettingsForm
from editing.merging import writable
from editing.models import Action, Change
from editing.problems import InputProblem, problems_of
from editing.proposals import propose, propose_form
from editing.removal import RemovalForm
from editing.scopes import EditScope
from editing.targets import SUBSCRIBER
from editing.terms import Chain, Setting, UnreadableTerms, chain_settings
from users.models import Connection
from users.parsing import row_id
from users.requests import MemberRequest

InForce = dict[str, tuple[str, str]]
MOST_CHAINS = 20  # a portfolio of more is not folded for a form


@dataclass
class Extra:
    """An input beside the settings: which account, which strategy. options: (value, label); none: a text.

    source: the address that answers a list of suggestions for what is typed; "": there is none.
    """

    name: str
    label: str
    help: str = ""
    value: str = ""
    options: list[tuple[str, str]] | None = None
    is_required: bool = True
    problem: str = ""
    placeholder: str = ""
    source: str = ""

    def check(self) -> str:
        """What is wrong with the value; "" when nothing is."""
        if not self.value:
            return "This is needed." if self.is_required else ""
        if self.options is not None and self.value not in dict(self.options):
            return "Choose one of the list."
        return ""


# --- What a form shows beside its inputs ----------------------------------------------------------------------------
def connection_extra(request: MemberRequest) -> Extra:
    """At which backend; no question where there is only one."""
    enabled = Connection.objects.filter(workspace=request.workspace, is_enabled=True).order_by("id")
    options = [(str(pk), name) for pk, name in enabled.values_list("pk", "name")]
    first = options[0][0] if options else ""
    return Extra("connection", "Connection", "The copying backend that it is made at.", options=options, value=first)


def chosen_connection(request: MemberRequest) -> Connection | None:
    """The backend that a form names, of this workspace; else the first."""
    wanted = row_id(request.POST.get("connection", ""))
    enabled = Connection.objects.filter(workspace=request.workspace, is_enabled=True).order_by("id")
    return enabled.filter(pk=wanted).first() if wanted else enabled.first()


def in_force(chains: list[Chain]) -> InForce:
    """label -> (what holds at the end of these chains, the level it comes from); {}: a document cannot be read."""
    try:
        return _in_force([chain_settings(chain) for chain in chains[:MOST_CHAINS]])
    except UnreadableTerms:
        return {}


def _in_force(chains: Iterable[list[Setting]]) -> InForce:
    values: dict[str, set[tuple[str, str]]] = {}
    limits: list[tuple[str, str]] = []
    for settings in chains:
        for setting in settings:
            if setting.label == "Risk limit":
                limits.append((setting.value, setting.source))
            else:
                values.setdefault(setting.label, set()).add((setting.value, setting.source))
    result = {label: said.pop() if len(said) == 1 else ("Differs by strategy", "") for label, said in values.items()}
    if limits:
        unique = list(dict.fromkeys(limits))
        sources = dict.fromkeys(source for _, source in unique)
        result["Risk limit"] = "; ".join(value for value, _ in unique), ", ".join(sources)
    return result


def page_context(request: MemberRequest, context: dict[str, Any], came_from: str) -> dict[str, Any]:
    """What every page of a form needs. back: where one came from; sources: input -> address of its suggestions."""
    defaults = {"holds": {}, "extras": [], "needs_correction": False, "sources": {}}
    return {**defaults, **context, "back": came_from, "action": request.get_full_path()}


# --- Coming back from a review --------------------------------------------------------------------------------------
def drafts(request: MemberRequest, **same: Any) -> Change | None:
    """The proposal that a form is opened from (`?change=`), not saved yet and of the same object."""
    unsaved = Change.objects.visible_to(request.membership).filter(saved_at=None, **same)
    return unsaved.filter(pk=row_id(request.GET.get("change", "")) or 0).first()  # no row has the id 0


def draft_of(request: MemberRequest, scope: EditScope) -> Change | None:
    """The edit of this object or part that one comes back from."""
    same = {"connection_id": scope.connection.pk, "kind": scope.kind, "backend_id": scope.backend_id}
    return drafts(request, part=scope.part, **same)


def part_draft(request: MemberRequest, scope: EditScope) -> Change | None:
    """The new member or subscription that one comes back from."""
    draft = drafts(request, connection_id=scope.connection.pk, kind=scope.kind, backend_id=scope.backend_id)
    return draft if draft is not None and draft.part else None


def draft_to_create(request: MemberRequest, kind: str) -> Change | None:
    """The creation that one comes back from."""
    return drafts(request, action=Action.CREATE, kind=kind)


# --- Answers --------------------------------------------------------------------------------------------------------
def answer_form(
    request: MemberRequest,
    scope: EditScope,
    *,
    document: dict[str, Any],
    context: dict[str, Any],
    came_from: str,
    check: Callable[[SettingsForm], InputProblem | None] = lambda form: None,
) -> HttpResponse:
    """The page of a form over `document` (the mirror's), or the way to its review. check: of what was typed."""
    draft = draft_of(request, scope)
    context = page_context(request, context, came_from)
    is_new = scope.settings_in(document) is None
    if request.method != "POST":
        form, is_faulty = opened(scope, document, draft)
        return show_form(request, form, {**context, "needs_correction": is_faulty})
    form = SettingsForm.sent(scope.level, request.POST)
    if "add" in request.POST:
        return show_form(request, form, context)
    if not form.changed_fields and draft is None and not is_new:
        messages.info(request, "Nothing was changed.")
        return redirect(came_from)

    def make() -> Change | None:
        if problem := check(form):
            form.problems.append(problem)
            return None
        with backend_of(scope.connection) as client:
            return propose_form(scope, form, client=client, by=request.user, draft=draft, address=request.path)

    return to_review(request, form, make, context, path=scope.path_in(document))


def opened(scope: EditScope, document: dict[str, Any], draft: Change | None) -> tuple[SettingsForm, bool]:
    """The form as a page opens it, and whether what is stored needs a correction."""
    if draft is not None:
        before, after = (scope.settings_in(version) or {} for version in (draft.before, draft.after))
        form = SettingsForm.of_draft(scope.level, before, after)
        form.attach(draft.problems, path=scope.path_in(draft.after))
        return form, False
    settings = scope.settings_in(document)
    form = SettingsForm.of(scope.level, settings or {})
    if settings is not None:
        form.attach(stored_problems(scope, document), path=scope.path_in(document))
    return form, bool(form.problems)


def stored_problems(scope: EditScope, document: dict[str, Any]) -> list[dict[str, Any]]:
    """What is wrong with the settings as they are stored, from before a rule of today; of a part only its own."""
    problems, path = problems_of(scope.kind, writable(document)) if document else [], scope.path_in(document)
    return [problem for problem in problems if not path or problem["parameter"].startswith(f"{path}.")]


def show_form(
    request: MemberRequest, form: SettingsForm, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """The page; `context` says which template, and for an existing object which layout around it."""
    return render(request, context.get("template", "editing/edit.html"), {**context, "form": form}, status=status)


def to_review(
    request: MemberRequest,
    form: SettingsForm,
    make: Callable[[], Change | None],
    context: dict[str, Any],
    *,
    path: str,
) -> HttpResponse:
    """The way to the review of what `make` proposes, or the form with what is wrong. path: of the form's level."""
    try:
        change = make()
    except NotDone as error:
        form.attach(error.details, path=path)
        form.add_problem("", error.text)
        return show_form(request, form, context, status=503)
    if change is None:
        return show_form(request, form, context, status=422)
    return redirect("editing:change", change.pk)


@dataclass(frozen=True)
class NewSettings:
    """A form for something that is not there yet.

    make: proposes the change from the form and the values of the extras, or puts problems into the form; NotDone is
    shown on the page. draft, settings, path: the proposal that one comes back from, its settings and where they stand
    in it. more: fields beside the table's.
    """

    level: Level
    extras: list[Extra]
    make: Callable[[SettingsForm, dict[str, str]], Change | None]
    draft: Change | None = None
    settings: dict[str, Any] | None = None
    path: str = ""
    more: tuple[Field, ...] = ()


def answer_new(request: MemberRequest, new: NewSettings, *, context: dict[str, Any], came_from: str) -> HttpResponse:
    """The page of a form for something that is not there yet, or the way to its review."""
    context = page_context(request, {**context, "extras": new.extras}, came_from)
    if request.method != "POST":
        form = SettingsForm.of_draft(new.level, {}, new.settings or {}, more=new.more)
        if new.draft is not None:
            form.attach(new.draft.problems, path=new.path)
        return show_form(request, form, context)
    form = SettingsForm.sent(new.level, request.POST, more=new.more)
    for extra in new.extras:
        extra.value = request.POST.get(extra.name, "").strip()
    if "add" in request.POST:
        return show_form(request, form, context)
    for extra in new.extras:
        extra.problem = extra.check()
        if extra.problem:
            form.problems.append(InputProblem(extra.name, extra.label, extra.problem))
    if form.problems:
        return show_form(request, form, context, status=422)
    values = {extra.name: extra.value for extra in new.extras}
    return to_review(request, form, lambda: new.make(form, values), context, path=new.path)


def answer_new_part(
    request: MemberRequest,
    whole: EditScope,
    *,
    extra: Extra,
    context: dict[str, Any],
    came_from: str,
) -> HttpResponse:
    """The form of one more member or subscription of an object. extra: which strategy, with those that are offered."""
    parts = whole.target.parts
    if parts is None:
        raise ValueError(f"A {whole.kind} has no parts.")
    draft = part_draft(request, whole)
    extra.value = draft.part if draft else request.GET.get("strategy", "")

    def make(form: SettingsForm, values: dict[str, str]) -> Change | None:
        scope = part_scope(whole, values[extra.name])
        with backend_of(whole.connection) as client:
            return propose_form(scope, form, client=client, by=request.user, address=request.path)

    new = NewSettings(parts.level, [extra], make)
    if draft is not None:
        scope = part_scope(whole, draft.part)
        settings, path = scope.settings_in(draft.after), scope.path_in(draft.after)
        new = NewSettings(parts.level, [extra], make, draft, settings, path)
    return answer_new(request, new, context=context, came_from=came_from)


def part_scope(whole: EditScope, strategy_id: str) -> EditScope:
    """Where the settings of one part of an object stand."""
    return EditScope(whole.connection, whole.kind, whole.backend_id, whole.name, strategy_id)


def answer_removal(
    request: MemberRequest, scope: EditScope, action: str, context: dict[str, Any], *, came_from: str
) -> HttpResponse:
    """Ask what becomes of open positions, then go to the review."""
    now = timezone.now()
    # the contract takes no last day where one subscription ends
    has_end = not (action == Action.TAKE_OUT and scope.kind == SUBSCRIBER)
    form = RemovalForm(request.POST or None, now=now, has_end=has_end, initial={"mode": "close-gracefully-by-position"})
    context = {**context, "form": form, "back": came_from, "problem": ""}
    if request.method != "POST" or not form.is_valid():
        return render(request, "editing/remove.html", context, status=422 if form.errors else 200)
    try:
        with backend_of(scope.connection) as client:
            current = scope.target.read(client, scope.backend_id)
    except NotDone as error:
        return render(request, "editing/remove.html", {**context, "problem": error.text}, status=503)
    after = scope.without_part(current) if action == Action.TAKE_OUT else {}
    change = propose(
        scope, by=request.user, now=now, action=action, before=current, after=after, instructions=form.instructions
    )
    return redirect("editing:change", change.pk)
