"""The job behind a bulk edit: begun once, row by row, cancelled and gone on with like any other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from copying.client import ClientError, RateLimited
from editing.backend import PATIENCE
from editing.bulk import carry_out, counts_of
from editing.models import BulkEdit, BulkRow, RowOutcome
from editing.saving import token_in_use
from jobs.kinds import JobKind, JobRefused, JobStep, Result, Work, register
from jobs.models import Job
from jobs.services import ask
from users import acting
from users.models import Membership, User
from users.permissions import can_manage
from users.services import record_audit


@transaction.atomic
def start(bulk: BulkEdit, membership: Membership, *, by: User | None, now: datetime) -> Job | None:
    """Begin to carry it out; a second time gives the job of the first. Raises TooMany."""
    locked = BulkEdit.objects.select_for_update().get(pk=bulk.pk)
    if locked.started_at is None:
        locked.job = ask(
            BULK.key,
            membership,
            title=locked.title,
            parameters={"bulk": locked.pk},
            origin=locked.origin,
            key=f"bulk-{locked.pk}",
            now=now,
        )
        locked.started_by, locked.started_at, locked.sent_with = by, now, token_in_use()
        locked.save(update_fields=["job", "started_by", "started_at", "sent_with"])
        details = {"bulk": locked.pk, "objects": locked.rows.filter(outcome=RowOutcome.TO_DO).count()}
        record_audit(locked.workspace, user=by, action="bulk change started", subject=locked.title, details=details)
    bulk.job, bulk.started_at = locked.job, locked.started_at
    return locked.job


MOST_STUCK = 3  # one after another: then it is not the accounts


def slices(work: Work) -> Iterator[JobStep]:
    """One row at a time; rows that are done are not done again.

    A row that cannot be done now waits until the others are: they go first when the job is tried again.
    """
    own = BulkEdit.objects.filter(workspace=work.job.workspace, pk=work.job.parameters["bulk"])
    bulk = own.select_related("workspace").first()
    if bulk is None:
        raise JobRefused("What was to be changed is not known any more.")
    rows = list(
        bulk.rows.filter(outcome=RowOutcome.TO_DO)
        .select_related("connection", "change")
        .order_by("connection_id", "text", "number")
    )
    total = bulk.rows.exclude(outcome__in=(RowOutcome.REFUSED,)).count()
    done = total - len(rows)
    origin = acting.Origin("token", bulk.sent_with) if bulk.sent_with else acting.current()
    stuck: list[ClientError] = []
    for connection, group in groupby(rows, key=lambda row: row.connection):
        try:
            client_of = connection.client(**PATIENCE)
        except ImproperlyConfigured as error:
            raise JobRefused(str(error)) from error
        with client_of as client:
            in_a_row = 0
            for row in group:
                try:
                    with acting.acting(origin):
                        carry_out(row, client=client, by=work.job.asked_by, now=timezone.now())
                except ClientError as error:
                    _put_last(row, error)
                    in_a_row += 1
                    if isinstance(error, RateLimited) or in_a_row == MOST_STUCK:
                        raise
                    stuck.append(error)
                    continue
                in_a_row = 0
                done += 1
                yield JobStep(done=done, total=total, message=row.name)
    if stuck:
        raise stuck[0]
    yield JobStep(done=total, total=total, result=Result(in_short(bulk), href=reverse("editing:bulk", args=[bulk.pk])))


def _put_last(row: BulkRow, error: ClientError) -> None:
    """Note why a row is still to do."""
    row.text = error.text
    row.save(update_fields=["text"])


def in_short(bulk: BulkEdit) -> str:
    """What came of it, in a sentence."""
    counts = counts_of(bulk)
    parts = [f"{counts.pop(RowOutcome.DONE, 0)} changed"]
    words = {
        RowOutcome.UNCHANGED: "like that already",
        RowOutcome.REFUSED: "not possible",
        RowOutcome.CONFLICT: "changed by somebody else",
        RowOutcome.FAILED: "not carried out",
        RowOutcome.UNKNOWN: "not known yet",
        RowOutcome.TO_DO: "not done",
    }
    parts += [f"{counts[outcome]} {text}" for outcome, text in words.items() if counts.get(outcome)]
    return f"{', '.join(parts)}."


def member_of(job: Job) -> Membership | None:
    """A service that asked by its token acts with the role that it had then; None: it is a person's."""
    bulk = BulkEdit.objects.filter(pk=job.parameters.get("bulk"), workspace_id=job.workspace_id).first()
    if bulk is None or not bulk.service_role:
        return None
    return Membership(workspace=job.workspace, role=bulk.service_role)


BULK = register(
    JobKind(
        key="bulk-edit",
        words="Change of several accounts",
        unit="accounts",
        slices=slices,
        may_see=can_manage,
        may_ask=can_manage,
        is_stored_by_slice=False,
        member_of=member_of,
    )
)
