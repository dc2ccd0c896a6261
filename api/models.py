"""Access tokens: what a program shows in the place of a person's sign-in."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models

from editing.models import Change
from users.factors import lacks_factor
from users.models import STAFF_ROLES, Membership, Role, User, Workspace
from users.permissions import can_own
from users.secrets import EncryptedJSONField


class ApiScope(models.TextChoices):
    """What a token may do, at most: its member's role bounds it as well."""

    READ = "read", "Read"
    WRITE = "write", "Read and change"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Every read of tokens for a page starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """The owner's view is all tokens of the workspace, everybody else's their own."""
        own = self.filter(workspace_id=membership.workspace_id)
        return own if can_own(membership) else own.filter(membership=membership)


class ApiToken(models.Model):
    """A token for `/api/v1/`. Only its digest is stored.

    With `membership` it is a person's: it may do what that member may do at the moment it is used, and goes with the
    membership. Without, it is a service's: it has a `role` of its own and outlives whoever made it.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="api_tokens")
    membership = models.ForeignKey(Membership, null=True, on_delete=models.CASCADE, related_name="api_tokens")
    role = models.CharField(max_length=12, blank=True, choices=[(role.value, role.label) for role in STAFF_ROLES])
    name = models.CharField(max_length=80)
    scope = models.CharField(max_length=5, choices=ApiScope.choices, default=ApiScope.READ)
    digest = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=4, help_text="Last characters of the token, for recognition.")
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, help_text="To the minute.")
    revoked_at = models.DateTimeField(null=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["workspace", "-created_at"], name="api_token_by_age")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(membership=None) ^ models.Q(role=""), name="api_token_of_member_or_service"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_service(self) -> bool:
        """Whether it belongs to no person."""
        return self.membership_id is None

    @property
    def role_words(self) -> str:
        """The role it acts with now."""
        return Role(self.membership.role if self.membership else self.role).label

    def state(self, now: datetime) -> str:
        """revoked, expired, paused (its person is shut out for now), factor (or lacks a second factor) or active."""
        if self.revoked_at:
            return "revoked"
        if now >= self.expires_at:
            return "expired"
        person = self.membership
        if person is None:
            return "active"
        if not person.user.is_active or person.deactivated_at:
            return "paused"
        return "factor" if lacks_factor(person) else "active"


class WriteState(models.TextChoices):
    """How far a write came. SENDING is stored before anything is done; UNKNOWN where what became of it is not known."""

    SENDING = "sending", "Being carried out"
    DONE = "done", "Done"
    REFUSED = "refused", "Refused"
    UNKNOWN = "unknown", "Not known"


class ApiWrite(models.Model):
    """A write with its Idempotency-Key and what was answered (api/once.py), kept for a day.

    fingerprint: digest of the request; change: the edit that it became, whose own state says how far that came.
    """

    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="writes")
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    state = models.CharField(max_length=8, choices=WriteState.choices, default=WriteState.SENDING)
    change = models.ForeignKey(Change, null=True, on_delete=models.SET_NULL, related_name="+")
    status = models.PositiveSmallIntegerField(null=True)
    answer = EncryptedJSONField(default=dict)
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(help_text="When it was last begun; another one may take over when it is over.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "key"], name="one_write_per_key")]
        indexes = [models.Index(fields=["created_at"], name="api_write_by_age")]

    def __str__(self) -> str:
        return self.key
