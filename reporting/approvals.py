"""Runs of closing and issuing that a second person has to approve: who asked for which, and who answered what.

A row is the request; only its answer is added to it, once. What is carried out then is a job like any other.
"""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q

from jobs.models import Job
from users.models import Membership, User, Workspace


class ApprovalState(models.TextChoices):
    """What became of a request."""

    WAITING = "waiting", "Waits for approval"
    APPROVED = "approved", "Approved"
    DECLINED = "declined", "Declined"
    WITHDRAWN = "withdrawn", "Withdrawn"


class RunRequestQuerySet(models.QuerySet["RunRequest"]):
    """Every read of requests begins with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """Staff only: clients see statements."""
        return self.filter(workspace_id=membership.workspace_id) if membership.is_staff_role else self.none()

    def waiting(self) -> Self:
        """Those that nobody has answered."""
        return self.filter(state=ApprovalState.WAITING)


class RunRequest(models.Model):
    """A run that somebody asks for. kind: of its job, with its parameters.

    scope: what of the books it is about; empty: everything. number, sums ({currency: amount}): what it would have done
    when it was asked for. note: what whoever answered it wrote.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, db_index=False)
    kind = models.CharField(max_length=40)
    scope = models.CharField(max_length=90, blank=True, default="")
    title = models.CharField(max_length=200)
    parameters = models.JSONField()
    origin = models.CharField(max_length=500)
    number = models.IntegerField()
    sums = models.JSONField()
    state = models.CharField(max_length=9, choices=ApprovalState.choices, default=ApprovalState.WAITING)
    requested_at = models.DateTimeField()
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    settled_at = models.DateTimeField(null=True)
    settled_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    note = models.CharField(max_length=400, blank=True)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")

    objects = RunRequestQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "kind", "scope"], condition=Q(state="waiting"), name="one_waiting_request_per_run"
            )
        ]
        indexes = [models.Index(fields=["workspace", "-requested_at", "-id"], name="run_request_by_time")]

    def __str__(self) -> str:
        return self.title
