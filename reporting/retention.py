"""How long records that no money rests on are kept: a choice per workspace and kind, carried out by a standing job.

Deals, equity, deposits, terms, the ledger and its documents are never removed: fees are worked out and proved from
them. Counts of decisions per day stay too. What is removed is said wherever it would be looked for (`kept_from`).
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from django.db import models, transaction

from users.audit import record_audit
from users.models import User, Workspace

GRACE = timedelta(days=1)  # between a shorter choice and the first removal: as long it can simply be taken back
CHOICES = (30, 60, 90, 180, 365, 730, 1_825)  # days


class RecordKind(models.TextChoices):
    """What may be removed when it is old."""

    DECISIONS = "decisions", "Decisions"
    LOG = "log", "Log lines"


class Retention(models.Model):
    """How long one kind of record of a workspace is kept. No row: for ever, nothing was removed.

    days: null is for ever. next_days, next_at: a shorter choice that waits (`next_at` null: none does). kept_from: what
    is older was removed or is about to be; the sync does not bring it back. removed: rows so far.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="retentions")
    kind = models.CharField(max_length=16, choices=RecordKind.choices)
    days = models.PositiveIntegerField(null=True)
    next_days = models.PositiveIntegerField(null=True)
    next_at = models.DateTimeField(null=True)
    kept_from = models.DateTimeField(null=True)
    removed = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "kind"], name="one_retention_per_kind")]

    def settle(self, now: datetime) -> None:
        """Let a choice that waited hold."""
        if self.next_at is not None and self.next_at <= now:
            self.days, self.next_days, self.next_at = self.next_days, None, None

    def cutoff(self, now: datetime) -> datetime | None:
        """Start of the oldest UTC day that is kept at `now`; None: everything is. A cutoff never goes back."""
        if self.days is None:
            return self.kept_from
        day = now.astimezone(UTC).date() - timedelta(days=self.days)
        moment = datetime.combine(day, time.min, UTC)
        return moment if self.kept_from is None else max(moment, self.kept_from)


def retention_of(workspace: Workspace, kind: str) -> Retention:
    """The choice that holds; unsaved where none was made."""
    return Retention.objects.filter(workspace=workspace, kind=kind).first() or Retention(workspace=workspace, kind=kind)


def kept_from(workspace_id: int, kind: str) -> datetime | None:
    """Since when the records of a kind are complete; None: since the first. What is older is not taken in again."""
    own = Retention.objects.filter(workspace_id=workspace_id, kind=kind)
    return own.values_list("kept_from", flat=True).first()


def choose(workspace: Workspace, kind: str, days: int | None, *, by: User, now: datetime) -> Retention:
    """Keep records of a kind so long from now on (days; None: for ever). A shorter choice waits for GRACE.

    Raises ValueError for a number of days that is no choice.
    """
    if days is not None and days not in CHOICES:
        raise ValueError(f"{days} days is none of {CHOICES}.")
    with transaction.atomic():
        Retention.objects.get_or_create(workspace=workspace, kind=kind)
        row = Retention.objects.select_for_update().get(workspace=workspace, kind=kind)
        row.settle(now)
        before = row.next_days if row.next_at is not None else row.days
        is_shorter = days is not None and (row.days is None or days < row.days)
        if not is_shorter:
            row.days, row.next_days, row.next_at = days, None, None
        elif row.next_at is None or row.next_days != days:
            row.next_days, row.next_at = days, now + GRACE
        row.save()
        if before != days:
            change = {"before": _words(before), "after": _words(days)}
            subject = RecordKind(kind).label
            record_audit(workspace, user=by, action="retention changed", subject=subject, details=change, now=now)
    return row


def _words(days: int | None) -> str:
    return "for ever" if days is None else f"{days} days"
