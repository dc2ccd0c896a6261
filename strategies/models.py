"""What is offered for copying, mirrored from the backend, which owns it (docs/decisions.md, "The backend owns").

`document` is the backend's own document with every field it sent; columns beside it exist to be searched and sorted.
"""

from __future__ import annotations

from typing import Self

from django.db import models

from strategies.versions import ConfigurationLook, DocumentVersion
from users.models import Connection, Membership, Workspace

__all__ = ["ConfigurationLook", "DocumentVersion"]  # the others are written here


class Kind(models.TextChoices):
    """A strategy follows one provider account or external signals; a portfolio combines strategies."""

    SINGLE = "single", "Strategy"
    PORTFOLIO = "portfolio", "Portfolio"


class StrategyQuerySet(models.QuerySet["Strategy"]):
    """Every read of strategies starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """Strategies that a member of staff may see; nothing for anybody else."""
        if not membership.is_staff_role:
            return self.none()
        return self.filter(workspace_id=membership.workspace_id)


class Strategy(models.Model):
    """A strategy or portfolio strategy at the backend."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="strategies")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="strategies")
    backend_id = models.CharField(max_length=64)
    kind = models.CharField(max_length=9, choices=Kind.choices, default=Kind.SINGLE)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    account_id = models.CharField(max_length=64, blank=True)
    scheme = models.CharField(max_length=16, blank=True, help_text="Commission scheme type; empty: none.")
    document = models.JSONField(default=dict)
    revision = models.CharField(max_length=64, help_text="Digest of the document, for edits that start from it.")
    is_removed = models.BooleanField(default=False)
    first_seen_at = models.DateTimeField()
    traded_since = models.DateField(null=True, help_text="UTC day of its first transaction; null: none is known.")
    synced_at = models.DateTimeField()

    objects = StrategyQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "backend_id"], name="one_strategy_per_id")]
        indexes = [models.Index(fields=["workspace", "name", "id"], name="strategy_by_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def document_kind(self) -> str:
        """Which of the contract's documents describes it."""
        return "portfolio" if self.kind == Kind.PORTFOLIO else "strategy"

    @property
    def state(self) -> str:
        """offered; ending: no new trades, but the backend still manages what was copied; removed: it is gone."""
        if not self.is_removed:
            return "offered"
        return "ending" if self.document.get("closeOnRemovalMode") else "removed"
