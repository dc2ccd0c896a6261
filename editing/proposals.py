"""Proposing changes of objects at the backend: a form or an act becomes a `Change` that can be looked at before saving.

A proposal starts from what the backend says at that moment, never from the mirror. Nothing is written to a backend
here: saving is editing/saving.py.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from copying.client import Client
from editing.differences import Difference, differences
from editing.fields import value_at
from editing.forms import SettingsForm
from editing.merging import merged, writable
from editing.models import IN_FLIGHT, Action, Change
from editing.scopes import EditScope, scope_of
from editing.secrets import without_new_secrets
from editing.targets import Document, current_document, names_of, parts_in
from editing.widgets import Secret
from users.models import User

DRAFTS_LAST = timedelta(days=7)
TYPE_AGAIN = (
    "The address of {name} was changed since this was typed, and a stored token goes only where it was typed for: "
    "open the form and type it again."
)


def propose(scope: EditScope, *, by: User | None, now: datetime, **fields: Any) -> Change:
    """Keep a change to look at; proposals that nobody saved for a week are forgotten, unless they may be in force."""
    workspace_id = scope.connection.workspace_id
    old = Change.objects.filter(workspace_id=workspace_id, saved_at=None, proposed_at__lt=now - DRAFTS_LAST)
    old.exclude(outcome__in=IN_FLIGHT).delete()
    change = proposal_of(scope, by=by, now=now, **fields)
    change.save()
    return change


def proposal_of(scope: EditScope, *, by: User | None, now: datetime, **fields: Any) -> Change:
    """A change that is looked at and not kept, as for a dry run."""
    return Change(
        workspace_id=scope.connection.workspace_id,
        connection=scope.connection,
        destination=scope.connection.destination,
        kind=scope.kind,
        backend_id=scope.backend_id,
        name=scope.name[:200],
        part=scope.part,
        proposed_by=by,
        proposed_at=now,
        **fields,
    )


# --- From a form ----------------------------------------------------------------------------------------------------
def propose_form(
    scope: EditScope,
    form: SettingsForm,
    *,
    client: Client,
    by: User | None,
    draft: Change | None = None,
    address: str = "",
) -> Change | None:
    """The change that a form asks for, on top of what the backend has now; None: the form says what is wrong.

    draft: the proposal the form was opened from, whose new secrets hold unless others were typed. A part that is not
    there yet is added. Raises the client's errors.
    """
    keep_secrets(scope, form, draft)
    current = scope.target.read(client, scope.backend_id)
    settings = scope.settings_in(current)
    edited = form.apply_to({"strategyId": scope.part} if settings is None else settings, everything=settings is None)
    after = scope.replace_part(current, edited)
    if not form.problems:
        form.validate(scope.kind, writable(after), path=scope.path_in(after), before=writable(current))
    if form.problems:
        return None
    notes = changes_of_others(form, settings, edited) if settings is not None else []
    return propose(scope, by=by, now=timezone.now(), before=current, after=after, notes=notes, form_address=address)


def changes_of_others(form: SettingsForm, current: Document, edited: Document) -> list[dict[str, Any]]:
    """What others changed while the form was open: their value of each setting, and whether this edit replaces it."""
    return [
        {
            "label": field.label,
            "theirs": field.words(value_at(current, field.key)) or "not set",
            "yours": field.words(value_at(edited, field.key)) or "not set",
            "is_yours": field in form.changed_fields,
        }
        for field in form.changed_elsewhere(current)
    ]


def propose_creation(
    scope: EditScope, form: SettingsForm, *, by: User | None, draft: Change | None = None, address: str = ""
) -> Change | None:
    """A new object of what a form says; None: the form says what is wrong. draft: the proposal it was opened from."""
    keep_secrets(scope, form, draft)
    after = form.apply_to({}, everything=True)
    if scope.target.parts:
        after.setdefault(scope.target.parts.name, [])
    if not form.problems:
        form.validate(scope.kind, after)
    if form.problems:
        return None
    return propose(scope, by=by, now=timezone.now(), action=Action.CREATE, after=after, form_address=address)


def keep_secrets(scope: EditScope, form: SettingsForm, draft: Change | None) -> None:
    """Secrets typed before the review hold when one comes back to the form, which never shows them.

    Not where the connection leads elsewhere by now: there they are asked for again.
    """
    if draft is None:
        return
    before, after = scope.settings_in(draft.before) or {}, scope.settings_in(draft.after) or {}
    for field in form.fields:
        for part in field.parts:
            path = f"{field.key}.{part.name}"
            secret = value_at(after, path)
            is_new = isinstance(part.widget, Secret) and secret and secret != value_at(before, path)
            is_wanted = any(form.texts.get(f"{field.key}.{other.name}") for other in field.parts)
            if not is_new or form.texts.get(path) or not is_wanted:
                continue
            if (draft.connection_id, draft.destination) == (scope.connection.pk, scope.connection.destination):
                form.texts[path] = str(secret)
            else:
                form.add_problem(path, TYPE_AGAIN.format(name=scope.connection.name))


# --- From another change --------------------------------------------------------------------------------------------
def rebase(change: Change, current: Document, *, by: User | None, now: datetime) -> tuple[Change, list[str]]:
    """The same edit on top of what the backend has now, and the settings where both differ: there the edit stands."""
    after, conflicts = merged(change.before, change.after, current)
    after = after if change.is_of_destination else without_new_secrets(after, current)
    more = {"action": Action.CHANGE, "form_address": change.form_address, "as_client": change.as_client}
    return propose(scope_of(change, change.part), by=by, now=now, before=current, after=after, **more), conflicts


def propose_undo(
    change: Change, *, client: Client, by: User | None, now: datetime, is_kept: bool = True, as_client: bool = False
) -> Change | None:
    """Put back what the change changed, and nothing that was changed since; None: there is nothing to put back.

    What was created is not put back: it is removed, with close instructions. Settings with a secret stay as they are
    where the connection leads elsewhere by now. is_kept: False for a proposal that is only looked at so far.
    """
    make = propose if is_kept else proposal_of
    scope = scope_of(change, change.part)
    current = current_document(client, change)
    if change.action == Action.REMOVE:
        if current is not None:
            return None
        after = writable(change.before)
        after = after if change.is_of_destination else without_new_secrets(after, {})
        return make(scope, by=by, now=now, action=Action.CREATE, after=after, undoes=change)
    if current is None or change.action == Action.CREATE:
        return None
    after, _ = merged(change.after, change.before, current)
    after = after if change.is_of_destination else without_new_secrets(after, current)
    if writable(after) == writable(current):
        return None
    return make(scope, by=by, now=now, before=current, after=after, undoes=change, as_client=as_client)


# --- In words -------------------------------------------------------------------------------------------------------
def part_names(change: Change) -> dict[str, str]:
    """Names of the strategies that the documents mention as members or subscriptions, by id."""
    parts = [*parts_in(change.kind, change.before), *parts_in(change.kind, change.after)]
    ids = {part["strategyId"] for part in parts if part.get("strategyId")}
    return names_of(change.connection_id, ids) if ids else {}


def differences_of(change: Change) -> list[Difference]:
    """What the change does, setting by setting."""
    after = {} if change.action == Action.REMOVE else change.after
    return differences(change.kind, change.before, after, part_names(change))


def summary_of(change: Change) -> str:
    """One text for the list of changes and the file: every difference on a line."""
    if change.action == Action.REMOVE:
        return f"Removed: {change.instructions.get('mode') or 'close-immediately'}"
    return "\n".join(difference.sentence for difference in differences_of(change)) or "Nothing"
