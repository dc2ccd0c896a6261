"""One change of many objects: planned from what the portal knows, looked at as one, carried out row by row by a job.

A row keeps what the change replaces. The backend's document of the moment decides: where the same setting is another
one by then the row is left alone and says so, so nothing that somebody else did meanwhile is overwritten. Each row is
a change of its own (editing/saving.py), in the object's history and with its audit entry; a job that dies or is
cancelled goes on behind the rows that are done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count

from copying.client import Client, ClientError, NotFound
from editing.backend import NotDone
from editing.differences import differences
from editing.merging import writable
from editing.models import BulkEdit, BulkRow, Change, RowOutcome
from editing.patches import patched, problems_of_settings
from editing.proposals import proposal_of
from editing.saving import Busy, Conflict, save_change, settle
from editing.scopes import EditScope, scope_of
from editing.targets import Document, names_of, target_of
from users.models import Membership, User

Patches = dict[str, dict[str, Any]]  # by part: the settings to write, None takes one out
MOST_ROWS = 5_000
DRAFTS_LAST = timedelta(days=7)
GONE = "The backend does not have it any more."
BUSY = "Another change of it is not confirmed yet: make it again in two minutes."
CHANGED = "It is another one than when this was looked at; it was left as it is."


@dataclass(frozen=True)
class RowPlan:
    """What a bulk edit does to one object. refusal: why not; {} and "": it is like that already."""

    patches: Patches = field(default_factory=dict)
    refusal: str = ""


# --- Planning -------------------------------------------------------------------------------------------------------
@transaction.atomic
def choose(
    membership: Membership,
    scopes: Iterable[EditScope],
    *,
    by: User | None,
    request: dict[str, Any] | None = None,
    sums: list[list[str]] | None = None,
    origin: str = "",
    now: datetime,
) -> BulkEdit:
    """Keep which objects were chosen; what is not begun within a week is forgotten."""
    old = BulkEdit.objects.filter(workspace=membership.workspace, started_at=None, proposed_at__lt=now - DRAFTS_LAST)
    old.delete()
    bulk = BulkEdit.objects.create(
        workspace=membership.workspace,
        proposed_by=by,
        proposed_at=now,
        origin=origin[:500],
        request=request or {},
        sums=sums or [],
        service_role="" if membership.user_id else membership.role,
    )
    rows = [
        BulkRow(
            bulk=bulk,
            number=number,
            connection=scope.connection,
            kind=scope.kind,
            backend_id=scope.backend_id,
            name=scope.name[:200],
        )
        for number, scope in enumerate(scopes)
    ]
    BulkRow.objects.bulk_create(rows)
    return bulk


@transaction.atomic
def plan(
    bulk: BulkEdit, request: dict[str, Any], title: str, plans: Iterable[tuple[BulkRow, Document, RowPlan]]
) -> None:
    """Write down what the edit does to each object, and what is wrong with it there."""
    bulk.request, bulk.title = request, title[:200]
    bulk.save(update_fields=["request", "title"])
    rows = []
    for row, document, row_plan in plans:
        _plan_row(row, document, row_plan)
        rows.append(row)
    names = names_in(rows)
    for row in rows:
        row.words = words_of(row, row.before, row.after, names)
    BulkRow.objects.bulk_update(rows, ["before", "after", "words", "outcome", "text"], batch_size=500)


def _plan_row(row: BulkRow, document: Document, row_plan: RowPlan) -> None:
    row.before, row.after, row.words, row.text = {}, {}, "", row_plan.refusal
    row.outcome = RowOutcome.REFUSED if row_plan.refusal else RowOutcome.UNCHANGED
    if row_plan.refusal:
        return
    after = apply(scope_of(row), document, row_plan.patches)
    if writable(after) == writable(document):
        return
    row.before, row.after = values_in(row, document, row_plan.patches), row_plan.patches
    if problems := problems_of_settings(scope_of(row), document, after):
        row.outcome, row.text = RowOutcome.REFUSED, f"{problems[0]['parameter']}: {problems[0]['message']}"
        return
    row.outcome = RowOutcome.TO_DO


def names_in(rows: Iterable[BulkRow]) -> dict[str, str]:
    """Names of the strategies whose subscriptions or members are changed, by id."""
    ids: dict[int, set[str]] = {}
    for row in rows:
        ids.setdefault(row.connection_id, set()).update(part for part in row.after if part)
    return {id: name for connection_id, of_one in ids.items() for id, name in names_of(connection_id, of_one).items()}


def words_of(row: BulkRow, before: Patches, after: Patches, names: dict[str, str]) -> str:
    """What changes, a setting on a line."""
    rows = differences(row.kind, _only(row, before), _only(row, after), names)
    return "\n".join(difference.sentence for difference in rows)


def _only(row: BulkRow, values: Patches) -> Document:
    """A document that says these settings and nothing else."""
    parts = target_of(row.kind).parts
    document = dict(values.get("", {}))
    if parts is not None:
        document[parts.name] = [{"strategyId": part, **settings} for part, settings in values.items() if part]
    return document


def with_documents(bulk: BulkEdit) -> Iterator[tuple[BulkRow, Document | None]]:
    """Each row with the document that the portal knows of it; None: it is not mirrored."""
    rows = list(bulk.rows.select_related("connection", "bulk").defer("connection__token").order_by("number"))
    documents: dict[tuple[int, str, str], Document] = {}
    for connection_id, kind in {(row.connection_id, row.kind) for row in rows}:
        ids = [row.backend_id for row in rows if (row.connection_id, row.kind) == (connection_id, kind)]
        known = target_of(kind).documents(connection_id, ids)
        documents |= {(connection_id, kind, backend_id): document for backend_id, document in known.items()}
    for row in rows:
        yield row, documents.get((row.connection_id, row.kind, row.backend_id))


def apply(scope: EditScope, document: Document, patches: Patches) -> Document:
    """The document with the settings of each part laid over it; parts that are not there are left out."""
    for part, patch in patches.items():
        inner = part_scope(scope, part)
        settings = inner.settings_in(document)
        if settings is not None:
            document = inner.replace_part(document, patched(settings, patch))
    return document


def part_scope(scope: EditScope, part: str) -> EditScope:
    """Where one part of an object stands; "" the object itself."""
    return EditScope(scope.connection, scope.kind, scope.backend_id, scope.name, part)


def values_in(row: BulkRow, document: Document, patches: Patches) -> Patches:
    """What a document says where these patches would write."""
    values: Patches = {}
    for part, patch in patches.items():
        settings = part_scope(scope_of(row), part).settings_in(document) or {}
        values[part] = {name: settings.get(name) for name in patch}
    return values


def proposals_of(choices: Iterable[tuple[BulkRow, Document | None]], *, now: datetime) -> list[Change]:
    """What the rows that are to be done would save, to be looked at together."""
    return [
        proposal_of(scope_of(row), by=None, now=now, before=document, after=apply(scope_of(row), document, row.after))
        for row, document in choices
        if document is not None and row.outcome == RowOutcome.TO_DO
    ]


def counts_of(bulk: BulkEdit) -> dict[str, int]:
    """How many rows have each outcome; what is being saved or not known is asked of its change."""
    own = bulk.rows.exclude(outcome=RowOutcome.UNKNOWN).values_list("outcome").annotate(count=Count("pk"))
    counts = dict(own.order_by())
    for row in bulk.rows.filter(outcome=RowOutcome.UNKNOWN).select_related("change"):
        outcome = outcome_now(row)
        counts[outcome] = counts.get(outcome, 0) + 1
    return counts


def outcome_now(row: BulkRow) -> str:
    """What is known of a row by now: the change that it became goes on being settled after the job."""
    if row.outcome != RowOutcome.UNKNOWN or row.change is None or row.change.is_in_flight:
        return row.outcome
    return RowOutcome.DONE if row.change.saved_at is not None else RowOutcome.FAILED


# --- Undo -----------------------------------------------------------------------------------------------------------
@transaction.atomic
def propose_undo_of(bulk: BulkEdit, *, by: User | None, service_role: str = "", now: datetime) -> BulkEdit | None:
    """Put back what every row changed, as an edit of its own to look at; None: nothing of it was carried out."""
    done = [row for row in bulk.rows.select_related("connection", "change") if outcome_now(row) == RowOutcome.DONE]
    if not done:
        return None
    names = names_in(done)
    undo = BulkEdit.objects.create(
        workspace=bulk.workspace,
        title=f"Undo: {bulk.title}"[:200],
        request={"undo": bulk.pk},
        origin=bulk.origin,
        proposed_by=by,
        proposed_at=now,
        undoes=bulk,
        service_role=service_role,
    )
    BulkRow.objects.bulk_create(
        BulkRow(
            bulk=undo,
            number=row.number,
            connection=row.connection,
            kind=row.kind,
            backend_id=row.backend_id,
            name=row.name,
            before=row.after,
            after=row.before,
            words=words_of(row, row.after, row.before, names),
        )
        for row in done
    )
    return undo


# --- Carrying out -----------------------------------------------------------------------------------------------------
def carry_out(row: BulkRow, *, client: Client, by: User | None, now: datetime) -> None:
    """Save one row and write down what became of it. Raises the client's transient errors with the row left to do."""
    try:
        if row.change is not None and row.change.is_in_flight:  # a worker died on it
            settle(row.change, client=client, now=now)
        elif row.change is not None or _propose(row, client=client, by=by, now=now):
            _save(row, client=client, by=by, now=now)
    except NotFound:
        return _finish(row, RowOutcome.FAILED, GONE)
    except NotDone as error:
        return _finish(row, RowOutcome.FAILED, error.text)
    except ClientError as error:
        if error.transient:
            raise
        return _finish(row, RowOutcome.FAILED, error.text)
    if row.outcome == RowOutcome.TO_DO and row.change is not None:
        _finish_by_change(row)
    return None


def _propose(row: BulkRow, *, client: Client, by: User | None, now: datetime) -> bool:
    """Make the change of a row from what the backend has now; False: there is none to make, and why is written."""
    scope = scope_of(row)
    current = target_of(row.kind).read(client, row.backend_id)
    values = values_in(row, current, row.after)
    if not _same(values, row.before):
        outcome = RowOutcome.UNCHANGED if _same(values, row.after) else RowOutcome.CONFLICT
        _finish(row, outcome, CHANGED if outcome == RowOutcome.CONFLICT else "")
        return False
    parts = list(row.after)
    change_scope = part_scope(scope, parts[0] if len(parts) == 1 else "")
    with transaction.atomic():  # the row knows its change before anything is sent
        after = apply(scope, current, row.after)
        row.change = proposal_of(change_scope, by=by, now=now, before=current, after=after)
        row.change.save()
        row.save(update_fields=["change"])
    return True


def _same(values: Patches, others: Patches) -> bool:
    """Whether two sets of settings say the same; none and an empty one do."""
    return _plain(values) == _plain(others)


def _plain(values: Patches) -> dict[tuple[str, str], Any]:
    """What is set. Compared as values: the database keeps names in another order than a backend sends them."""
    return {
        (part, name): value
        for part, settings in values.items()
        for name, value in settings.items()
        if value not in (None, "", [], {})
    }


def _save(row: BulkRow, *, client: Client, by: User | None, now: datetime) -> None:
    change = row.change
    if change is None:
        return
    try:
        result = save_change(change, client=client, by=by, now=now)
    except (ClientError, NotDone) as error:
        if getattr(error, "transient", False):
            raise
        _drop_change(row)
        raise
    if isinstance(result, Busy):
        _drop_change(row)
        _finish(row, RowOutcome.FAILED, BUSY)
    elif isinstance(result, Conflict) and not change.is_in_flight:
        _drop_change(row)
        _finish(row, RowOutcome.CONFLICT, CHANGED)


def _drop_change(row: BulkRow) -> None:
    """Forget a proposal that nothing came of."""
    change, row.change = row.change, None
    if change is not None and change.saved_at is None and not change.is_in_flight:
        change.delete()


def _finish_by_change(row: BulkRow) -> None:
    change = row.change
    if change is None or change.saved_at is not None:
        _finish(row, RowOutcome.DONE)
    elif change.is_in_flight:
        _finish(row, RowOutcome.UNKNOWN, "It was sent, and is not confirmed yet.")
    else:
        _finish(row, RowOutcome.FAILED, "It was not carried out.")


def _finish(row: BulkRow, outcome: RowOutcome, text: str = "") -> None:
    row.outcome, row.text = outcome, text
    row.save(update_fields=["outcome", "text", "change"])
