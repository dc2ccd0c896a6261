"""A job: what somebody asked for that takes longer than a page may, or what repeats by itself, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from django.db import models

from users.models import Membership, User, Workspace


class JobState(models.TextChoices):
    """Where a job is. Running stays between two turns; what a page says is derived in states.py."""

    QUEUED = "queued", "Waiting"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


UNFINISHED = (JobState.QUEUED, JobState.RUNNING)
MAY_SEE: dict[str, Callable[[Membership], bool]] = {}
"""By kind: who sees its jobs. Each app says so with its kinds (`kinds.register`), which are above the rows."""


class JobQuerySet(models.QuerySet["Job"]):
    """Every read of jobs begins with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """What the kinds let this member see; nothing for clients."""
        if not membership.is_staff_role:
            return self.none()
        kinds = [kind for kind, may_see in MAY_SEE.items() if may_see(membership)]
        return self.filter(workspace_id=membership.workspace_id, kind__in=kinds)

    def unfinished(self) -> Self:
        return self.filter(state__in=UNFINISHED)


class Job(models.Model):
    """One piece of long work (docs/decisions.md, "Jobs"). The row is the queue: workers claim it with a lease.

    key: asking twice with the same one makes one job; empty: every asking makes its own. parameters: what was asked,
    without secrets. cursor: where the next slice goes on; it is stored with what the slice did. is_standing: repeats by
    itself and is never finished. attempts: how often it was begun since a slice was stored the last time.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=32)
    title = models.CharField(max_length=200, help_text="What it is about, in words.")
    asked_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    origin = models.CharField(max_length=500, blank=True, default="", help_text="The page that it was asked for on.")
    key = models.CharField(max_length=120, blank=True, default="")
    parameters = models.JSONField(default=dict)
    cursor = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=JobState.choices, default=JobState.QUEUED)
    is_standing = models.BooleanField(default=False)
    done = models.BigIntegerField(default=0, help_text="How far, in the kind's unit.")
    total = models.BigIntegerField(null=True, help_text="Of how many; null: not known.")
    message = models.TextField(blank=True, default="", help_text="What is going on, what came of it, or what is wrong.")
    result = models.JSONField(null=True)
    file = models.CharField(max_length=80, blank=True, default="", help_text="Name of the result below VAR/jobs.")
    attempts = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    due_at = models.DateTimeField()
    turn_at = models.DateTimeField(null=True, help_text="When a worker took it the last time.")
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True, help_text="When the page that asked for it said itself how it ended.")
    cancel_asked_at = models.DateTimeField(null=True)
    cancel_asked_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    objects = JobQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "key"], condition=~models.Q(key=""), name="one_job_per_key"),
        ]
        indexes = [
            models.Index(fields=["workspace", "-created_at", "-id"], name="job_by_age"),
            models.Index(fields=["workspace", "-turn_at"], name="job_by_turn"),
            models.Index(
                fields=["due_at"], condition=models.Q(state__in=["queued", "running"]), name="job_by_due_time"
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_unfinished(self) -> bool:
        return self.state in UNFINISHED
