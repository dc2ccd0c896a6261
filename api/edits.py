"""Edits of objects at a backend by programs: the same proposals, reviews and saves as on the pages (editing/)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.utils import timezone

from api.models import ApiWrite, WriteState
from api.once import Reply
from api.problems import ApiProblem, escaped
from api.reviews import change_row, review_of
from copying.client import Client, ClientError
from editing.backend import NotDone, Unconfirmed, backend_of
from editing.differences import differences
from editing.immediate import ImmediateEffects, effects_of
from editing.models import Change, ChangeOutcome
from editing.saving import Busy, Conflict, save_change, settle
from editing.scopes import EditScope, scope_of
from editing.targets import Document
from editing.versions import version_of
from users.models import Connection, User

RETRY_S = 30


@contextmanager
def at_backend(connection: Connection, *, pointer: str = "/settings") -> Iterator[Client]:
    """A client for one request. Raises ApiProblem for whatever goes wrong; pointer: of what a backend refuses."""
    try:
        with backend_of(connection) as client:
            yield client
    except Unconfirmed as error:
        raise ApiProblem("outcome-unknown", error.text) from error
    except NotDone as error:
        raise problem_of_backend(error, pointer) from error


def problem_of_backend(error: NotDone, pointer: str) -> ApiProblem:
    """What a backend that did nothing means to the caller."""
    if error.details or error.is_refusal:
        return ApiProblem("refused", error.text, errors=errors_of(error.details, pointer))
    return ApiProblem("backend-unavailable", error.text, headers={"Retry-After": str(RETRY_S)})


def errors_of(problems: list[dict[str, Any]], pointer: str) -> list[dict[str, str]]:
    """Problems with dotted paths as problem details have them."""
    return [
        {
            "pointer": pointer
            + "".join(f"/{escaped(name)}" for name in str(problem.get("parameter") or "").split(".") if name),
            "detail": str(problem.get("message") or "is not accepted"),
        }
        for problem in problems
    ]


def etag_of(settings: Document) -> str:
    """The version of settings as a header spells it."""
    return f'"{version_of(settings)}"'


def check_version(scope: EditScope, settings: Document, mirrored: Document, tags: list[str]) -> None:
    """Raises ApiProblem where the caller has read another version; what differs is said where that one is known."""
    if "*" in tags or etag_of(settings) in tags:
        return
    theirs: dict[str, Any] = {}
    if etag_of(mirrored) in tags:
        theirs = {"differences": _differences(scope, mirrored, settings)}
    raise ApiProblem("changed-meanwhile", headers={"ETag": etag_of(settings)}, **theirs)


def _differences(scope: EditScope, before: Document, after: Document) -> list[dict[str, str]]:
    """What somebody else changed at this level."""
    if (parts := scope.target.parts) and scope.part:
        before, after = {parts.name: [before]}, {parts.name: [after]}
    rows = differences(scope.kind, before, after)
    return [{"setting": row.label, "before": row.before, "after": row.after} for row in rows]


# --- Saving ---------------------------------------------------------------------------------------------------------
def answer_dry_run(change: Change, *, client: Client) -> Reply:
    """The review with what it would have done, and nothing else."""
    review = review_of(change, effects_of(change, client=client), client=client, now=timezone.now())
    return Reply({"outcome": "proposed", "change": None, "review": review})


def save(change: Change, row: ApiWrite | None, *, client: Client, confirm: str, by: User | None) -> Reply:
    """Keep the proposal, save it, and say how far that came. change: not kept yet. Raises ApiProblem."""
    effects = effects_of(change, client=client)
    check_confirmed(change, effects, confirm)
    with transaction.atomic():  # the request knows its change before anything is sent
        change.save()
        if row is not None:
            row.change = change
            row.save(update_fields=["change"])
    try:
        result = save_change(change, client=client, by=by, now=timezone.now())
    except (ClientError, NotDone):
        _drop(change, row)
        raise
    if isinstance(result, Conflict) and not change.is_in_flight:
        _drop(change, row)
        current = scope_of(change, change.part).settings_in(result.current or {}) or {}
        raise ApiProblem("changed-meanwhile", headers={"ETag": etag_of(current)} if current else {})
    if isinstance(result, Busy):
        _drop(change, row)
        raise ApiProblem("busy", headers={"Retry-After": str(RETRY_S)})
    return answer_of(change)


def _drop(change: Change, row: ApiWrite | None) -> None:
    """Forget a proposal that nothing came of: no page leads back to it."""
    if change.saved_at is not None or change.is_in_flight:
        return
    if row is not None:
        row.change = None
    change.delete()


def check_confirmed(change: Change, effects: ImmediateEffects, confirm: str) -> None:
    """Raises ApiProblem where positions or copying end at once, or may, and the name was not sent."""
    if not effects.is_dangerous or confirm.strip() == change.name.strip():
        return
    raise ApiProblem(
        "confirmation-needed",
        errors=[{"pointer": "/confirm", "detail": f"Send “{change.name}” to say that you mean it."}],
        review=review_of(change, effects),
    )


def answer_of(change: Change) -> Reply:
    """How far a change came. Raises ApiProblem where it was not carried out."""
    if change.saved_at is not None:
        settings = scope_of(change, change.part).settings_in(change.after) or {}
        headers = {"ETag": etag_of(settings)} if settings else {}
        return Reply({"outcome": "done", "change": change_row(change), "review": None}, headers=headers, change=change)
    if change.is_in_flight:
        body = {"outcome": "unknown", "change": change_row(change), "review": None}
        return Reply(body, 202, state=WriteState.UNKNOWN, change=change)
    raise ApiProblem("not-carried-out", change=change_row(change))


def recover(change: Change) -> Reply | None:
    """What became of the change of a request that was not answered; None: it was not sent. Raises ApiProblem."""
    change = Change.objects.select_related("connection", "workspace", "sent_by").get(pk=change.pk)
    if change.saved_at is None and change.outcome in (ChangeOutcome.PROPOSED, ChangeOutcome.REFUSED):
        change.delete()
        return None
    if change.is_in_flight:
        with at_backend(change.connection) as client:
            settle(change, client=client, now=timezone.now())
    return answer_of(change)


def unchanged(settings: Mapping[str, Any]) -> Reply:
    """It is like that already."""
    return Reply({"outcome": "unchanged", "change": None, "review": None}, headers={"ETag": etag_of(dict(settings))})
