"""Proposing changes of objects at the backend: a form or an act becomes a `Change` that can be looked at before saving.

A proposal starts from what the backend says at that moment, never from the mirror. Saving is the subscribers app's,
because it also mirrors accounts. Nothing is written to a backend here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from copying.client import Client, ClientError, Forbidden, NotFound, Rejected
from copying.engine.model import Level
from strategies.editing.fields import value_at
from strategies.editing.forms import SettingsForm
from strategies.editing.merging import writable
from strategies.editing.widgets import Secret
from strategies.models import IN_FLIGHT, Action, Change, Target
from users.models import Connection, User

# a person waits for it: no long holding back
PATIENCE = {"timeout_s": 8, "extended_timeout_s": 30, "retries": 1, "wait_budget_s": 3}
DRAFTS_KEPT = timedelta(days=7)
TYPE_AGAIN = (
    "The address of {name} was changed since this was typed, and a stored token goes only where it was typed for: "
    "open the form and type it again."
)
PARTS = {Target.PORTFOLIO: "members", Target.SUBSCRIBER: "subscriptions"}


class NotDone(Exception):
    """The backend did not do it. text: a sentence; details: [{parameter, message}] where it says what is wrong."""

    def __init__(self, text: str, details: list[dict[str, Any]] | None = None):
        super().__init__(text)
        self.text = text
        self.details = details or []


class Unconfirmed(NotDone):
    """It was sent, and whether the backend carried it out is not known."""

    def __init__(self, reason: str):
        super().__init__(
            f"It was sent, but whether it was carried out is not known. {reason}"
            " Look at what there is now before you send it again."
        )


@contextmanager
def backend_of(connection: Connection) -> Iterator[Client]:
    """A client for one act of a person. Raises NotDone with a sentence for whatever goes wrong.

    Unconfirmed where any call of the act wrote, or may have: the failed one may be a read after it.
    """
    try:
        with connection.client(**PATIENCE) as client:
            try:
                yield client
            except ClientError as error:
                if client.may_have_written:
                    raise Unconfirmed(error.text) from error
                raise
    except Rejected as error:
        raise NotDone(f"The backend refuses it: {error.text}", error.details) from error
    except NotFound as error:
        raise NotDone("The backend does not have this any more. The page is brought up to date within a minute.") from (
            error
        )
    except Forbidden as error:
        raise NotDone("The backend does not allow it: the account or strategy belongs to somebody else.") from error
    except ClientError as error:
        raise NotDone(f"Nothing was changed. {error.text}") from error
    except ImproperlyConfigured as error:
        raise NotDone(f"Nothing was changed. {error}") from error


@dataclass(frozen=True)
class Spot:
    """Where a form stands: an object at the backend, and for members and subscriptions which part of it."""

    connection: Connection
    kind: str
    backend_id: str
    name: str
    level: Level
    part: str = ""

    def part_of(self, document: dict[str, Any]) -> dict[str, Any] | None:
        """The settings of this level; None when the part is not there."""
        if not self.part:
            return document
        return next((one for one in self._parts(document) if one.get("strategyId") == self.part), None)

    def put_back(self, document: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
        """The document with other settings at this level; a new part comes last."""
        if not self.part:
            return settings
        name = PARTS[Target(self.kind)]
        if self.part_of(document) is None:
            return document | {name: [*self._parts(document), settings]}
        return document | {
            name: [settings if one.get("strategyId") == self.part else one for one in self._parts(document)]
        }

    def path_in(self, document: dict[str, Any]) -> str:
        """The path of this level in the document, such as members.2; "" for the object itself."""
        for index, one in enumerate(self._parts(document) if self.part else ()):
            if one.get("strategyId") == self.part:
                return f"{PARTS[Target(self.kind)]}.{index}"
        return ""

    def _parts(self, document: dict[str, Any]) -> list[dict[str, Any]]:
        found = document.get(PARTS[Target(self.kind)])
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def read_document(client: Client, kind: str, backend_id: str) -> dict[str, Any]:
    """The document as the backend has it now. Raises the client's errors."""
    read = {Target.STRATEGY: client.strategy, Target.PORTFOLIO: client.portfolio, Target.SUBSCRIBER: client.subscriber}
    return read[Target(kind)](backend_id)


def propose(spot: Spot, *, by: User | None, now: datetime, **given: Any) -> Change:
    """Keep a change to look at; proposals that nobody saved for a week are forgotten, unless they may be in force."""
    workspace_id = spot.connection.workspace_id
    old = Change.objects.filter(workspace_id=workspace_id, saved_at=None, proposed_at__lt=now - DRAFTS_KEPT)
    old.exclude(outcome__in=IN_FLIGHT).delete()
    return Change.objects.create(
        workspace_id=workspace_id,
        connection=spot.connection,
        destination=spot.connection.destination,
        kind=spot.kind,
        backend_id=spot.backend_id,
        name=spot.name[:200],
        part=spot.part,
        proposed_by=by,
        proposed_at=now,
        **given,
    )


def propose_form(
    spot: Spot, form: SettingsForm, *, client: Client, by: User | None, draft: Change | None = None, address: str = ""
) -> Change | None:
    """The change that a form asks for, laid over what the backend has now; None: the form says what is wrong.

    draft: the proposal the form was opened from, whose new secrets hold unless others were typed. A part that is not
    there yet is added. Raises the client's errors.
    """
    keep_secrets(spot, form, draft)
    current = read_document(client, spot.kind, spot.backend_id)
    settings = spot.part_of(current)
    laid = form.lay_over({"strategyId": spot.part} if settings is None else settings, everything=settings is None)
    after = spot.put_back(current, laid)
    if not form.problems:
        form.judge(spot.kind, writable(after), path=spot.path_in(after), before=writable(current))
    if form.problems:
        return None
    notes = [
        {"label": field.label, "theirs": field.words(value_at(settings, field.key)) or "not set",
         "yours": field.words(value_at(laid, field.key)) or "not set", "is_yours": field in form.changed_fields}
        for field in (form.changed_elsewhere(settings) if settings is not None else ())
    ]  # fmt: skip
    return propose(spot, by=by, now=timezone.now(), before=current, after=after, notes=notes, form_address=address)


def propose_creation(
    spot: Spot, form: SettingsForm, *, by: User | None, draft: Change | None = None, address: str = ""
) -> Change | None:
    """A new object of what a form says; None: the form says what is wrong. draft: the proposal it was opened from."""
    keep_secrets(spot, form, draft)
    after = form.lay_over({}, everything=True)
    if spot.kind in PARTS:
        after.setdefault(PARTS[Target(spot.kind)], [])
    if not form.problems:
        form.judge(spot.kind, after)
    if form.problems:
        return None
    return propose(spot, by=by, now=timezone.now(), action=Action.CREATE, after=after, form_address=address)


def keep_secrets(spot: Spot, form: SettingsForm, draft: Change | None) -> None:
    """Secrets typed before the review hold when one comes back to the form, which never shows them.

    Not where the connection leads elsewhere by now: there they are asked for again.
    """
    if draft is None:
        return
    before, after = spot.part_of(draft.before) or {}, spot.part_of(draft.after) or {}
    for field in form.fields:
        for part in field.parts:
            path = f"{field.key}.{part.name}"
            kept = value_at(after, path)
            is_new = isinstance(part.widget, Secret) and kept and kept != value_at(before, path)
            is_wanted = any(form.texts.get(f"{field.key}.{other.name}") for other in field.parts)
            if not is_new or form.texts.get(path) or not is_wanted:
                continue
            if (draft.connection_id, draft.destination) == (spot.connection.pk, spot.connection.destination):
                form.texts[path] = str(kept)
            else:
                form.add_problem(path, TYPE_AGAIN.format(name=spot.connection.name))
