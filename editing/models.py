"""Edits of objects at a backend: what is proposed, how far saving it came, and what was saved.

What the edited objects are, other apps know and register (editing/targets.py): here they are a kind and an id.
"""

from __future__ import annotations

from typing import Self

from django.db import models

from jobs.models import Job
from users.models import Connection, Membership, User, Workspace
from users.secrets import EncryptedJSONField


class Action(models.TextChoices):
    """What a change does. REMOVE: the whole object; TAKE_OUT: one member or subscription, with close instructions."""

    CREATE = "create", "Created"
    CHANGE = "change", "Changed"
    REMOVE = "remove", "Removed"
    TAKE_OUT = "take-out", "Taken out"


class ChangeOutcome(models.TextChoices):
    """How far the last attempt to save a change came; `saved_at` alone says that it was carried out.

    SENDING is written before anything is sent and UNKNOWN when the answer is lost. Both are in flight: nothing else of
    the object is saved until the backend's document has settled them (editing/saving.py).
    """

    PROPOSED = "", "Not sent"
    SENDING = "sending", "Being saved"
    UNKNOWN = "unknown", "Not known"
    REFUSED = "refused", "Refused"
    NOT_DONE = "not-done", "Not carried out"
    OVERTAKEN = "overtaken", "Changed by somebody else"
    DONE = "done", "Carried out"


IN_FLIGHT = (ChangeOutcome.SENDING, ChangeOutcome.UNKNOWN)


class ChangeQuerySet(models.QuerySet["Change"]):
    """Every read of changes starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """All of the workspace for staff; for a client those that they made themselves as a client.

        Whether the account of such a change is still theirs, its target says (`Target.is_own`): views ask it too.
        """
        of_workspace = self.filter(workspace_id=membership.workspace_id)
        if membership.is_staff_role:
            return of_workspace
        return of_workspace.filter(as_client=True, proposed_by_id=membership.user_id)

    def saved(self) -> Self:
        """Those that were written to the backend."""
        return self.filter(saved_at__isnull=False)

    def in_flight(self) -> ChangeQuerySet:
        """Those that were, or may have been, sent, and of which nobody knows yet whether they were carried out."""
        return self.filter(saved_at=None, outcome__in=IN_FLIGHT)


class Change(models.Model):
    """An edit of an object at the backend: proposed, looked at, then saved or forgotten. Saved ones are kept.

    `before` is the backend's document the edit starts from, `after` what is or was written; empty: there is none.
    Encrypted, because undoing needs the secrets in them.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="changes")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="changes")
    # of the target (editing/targets.py); with backend_id it names the object, which another app keeps
    kind = models.CharField(max_length=10)
    backend_id = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    action = models.CharField(max_length=8, choices=Action.choices, default=Action.CHANGE)
    part = models.CharField(max_length=64, blank=True, help_text="Strategy id of the member or subscription.")
    destination = models.CharField(
        max_length=520,
        default="",
        db_default="",
        help_text="Where the connection led when it was proposed; secrets in it go to no other.",
    )
    instructions = models.JSONField(default=dict, help_text="Close instructions of a removal.")
    before = EncryptedJSONField(default=dict)
    after = EncryptedJSONField(default=dict)
    notes = models.JSONField(default=list, help_text="What others changed while the form was open.")
    problems = models.JSONField(default=list, help_text="What the backend refused at the last attempt.")
    form_address = models.CharField(max_length=300, blank=True, help_text="The page of the form, to go back to.")
    summary = models.TextField(blank=True)
    proposed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    proposed_at = models.DateTimeField()
    saved_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    saved_at = models.DateTimeField(null=True)
    # of the last attempt to save it; a change of an earlier version has none
    outcome = models.CharField(max_length=10, choices=ChangeOutcome.choices, default="", db_default="", blank=True)
    sent_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    sent_at = models.DateTimeField(null=True)
    sent_with = models.CharField(
        max_length=80, default="", db_default="", blank=True, help_text="Name of the access token; empty: from a page."
    )
    as_client = models.BooleanField(
        default=False, db_default=False, help_text="Made by a client on their own page, within the manager's bounds."
    )
    terms_from = models.CharField(
        max_length=10,
        default="",
        db_default="",
        blank=True,
        help_text="From when another commission holds: now, next (period), or a day; empty: nobody chose.",
    )
    looked_at = models.DateTimeField(null=True, help_text="When the backend was last asked what became of it.")
    undoes = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="undone_by")

    objects = ChangeQuerySet.as_manager()
    is_mirrored = False  # not kept: whether the save that this object comes from could read what the backend has now

    class Meta:
        db_table = "strategies_change"  # where it was made: docs/decisions.md, "Changes kept their table"
        indexes = [
            models.Index(
                fields=["connection", "kind", "backend_id", "-saved_at", "-id"],
                condition=models.Q(saved_at__isnull=False),
                name="saved_change_by_object",
            ),
            models.Index(
                fields=["workspace", "proposed_at"], condition=models.Q(saved_at=None), name="change_not_saved"
            ),
        ]
        constraints = [
            # saves of one object follow each other, whatever process dies in between
            models.UniqueConstraint(
                fields=["connection", "kind", "backend_id"],
                condition=models.Q(saved_at=None, outcome__in=["sending", "unknown"]),
                name="one_change_in_flight",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()}: {self.name}"

    @property
    def is_of_destination(self) -> bool:
        """Whether the connection still leads where it led when this was proposed."""
        return self.destination == self.connection.destination

    @property
    def is_in_flight(self) -> bool:
        """Whether it may have been carried out, and nobody knows yet."""
        return self.saved_at is None and self.outcome in IN_FLIGHT

    @property
    def document_kind(self) -> str:
        """Which kind of object it is about, as `scope_of` asks."""
        return self.kind


# --- One change of many objects ---------------------------------------------------------------------------------------
class BulkQuerySet(models.QuerySet["BulkEdit"]):
    """Every read of bulk edits starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """Those that a member of staff may see; nothing for anybody else."""
        if not membership.is_staff_role:
            return self.none()
        return self.filter(workspace_id=membership.workspace_id)


class BulkEdit(models.Model):
    """One change of many objects: chosen, looked at, then carried out row by row by a job (editing/bulk.py).

    request: what is changed, as its app reads it; {}: the objects are chosen and nothing else. service_role: of the
    service that asked for it in the place of a person.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="bulk_edits")
    title = models.CharField(max_length=200, blank=True)
    request = models.JSONField(default=dict)
    sums = models.JSONField(default=list, help_text="What the objects are worth together: [currency, amount as text].")
    origin = models.CharField(max_length=500, blank=True, help_text="The list that the objects were chosen on.")
    form_address = models.CharField(max_length=300, blank=True, help_text="The page on which the act is chosen.")
    proposed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    proposed_at = models.DateTimeField()
    started_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    started_at = models.DateTimeField(null=True)
    sent_with = models.CharField(max_length=80, blank=True, help_text="Name of the access token; empty: from a page.")
    service_role = models.CharField(max_length=12, blank=True)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    undoes = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="undone_by")

    objects = BulkQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["workspace", "-proposed_at"], name="bulk_edit_by_age")]

    def __str__(self) -> str:
        return self.title or "Change of several"


class RowOutcome(models.TextChoices):
    """What became of one object of a bulk edit. REFUSED: known before anything was sent; CONFLICT: it was changed."""

    TO_DO = "", "Not done yet"
    DONE = "done", "Changed"
    UNCHANGED = "unchanged", "Like that already"
    REFUSED = "refused", "Not possible"
    CONFLICT = "conflict", "Changed by somebody else"
    FAILED = "failed", "Not carried out"
    UNKNOWN = "unknown", "Not known yet"


class BulkRow(models.Model):
    """One object of a bulk edit. before, after: the settings that are changed, {part: {name: value}}, None: not set.

    part: strategy id of a subscription or member, "" the object itself. change: what was saved of it.
    """

    bulk = models.ForeignKey(BulkEdit, on_delete=models.CASCADE, related_name="rows")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=10)
    backend_id = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    words = models.TextField(blank=True, help_text="What is changed, a setting on a line.")
    outcome = models.CharField(max_length=10, choices=RowOutcome.choices, default=RowOutcome.TO_DO, blank=True)
    text = models.TextField(blank=True, help_text="Why it was not changed.")
    change = models.ForeignKey(Change, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["bulk", "number"], name="one_bulk_row_per_number"),
            models.UniqueConstraint(
                fields=["bulk", "connection", "kind", "backend_id"], name="one_bulk_row_per_object"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def document_kind(self) -> str:
        """Which kind of object it is, as `scope_of` asks."""
        return self.kind
