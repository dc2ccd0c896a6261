"""What clients may change themselves: the bounds that a manager sets for each strategy, every version kept.

The newest version of a strategy holds. A strategy without one allows nothing. What a client's change keeps to is
decided in subscribers/own_rules.py.
"""

from __future__ import annotations

from typing import Self

from django.db import models

from strategies.models import Strategy
from users.models import Membership, User, Workspace


class ClientBoundsQuerySet(models.QuerySet["ClientBounds"]):
    """Every read for a page of staff starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """All of the workspace for staff; a client is told only what holds for what they copy."""
        own = self.filter(workspace_id=membership.workspace_id)
        return own if membership.is_staff_role else own.none()

    def newest(self) -> Self:
        """The version of each strategy that holds."""
        return self.order_by("strategy_id", "-pk").distinct("strategy_id")


class ClientBounds(models.Model):
    """One version of what the clients of a strategy may change themselves.

    ranges: {setting: {"from": decimal text, "to": decimal text or null}}, by the keys of own_rules.SETTINGS; a setting
    that is not named may not be changed, and a limit with "to" null may also be taken out.
    closing: close instructions that a client may leave with; []: a client may not stop copying.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="client_bounds")
    strategy = models.ForeignKey(Strategy, on_delete=models.CASCADE, related_name="client_bounds")
    may_pause = models.BooleanField(default=False)
    may_close = models.BooleanField(default=False, help_text="Close everything that is open, at once.")
    ranges = models.JSONField(default=dict)
    closing = models.JSONField(default=list)
    set_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    set_at = models.DateTimeField()

    objects = ClientBoundsQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["strategy", "-id"], name="client_bounds_newest")]

    def __str__(self) -> str:
        return f"{self.strategy} since {self.set_at}"

    @property
    def content(self) -> dict:
        """What it says, as it is compared and audited."""
        return {
            "may_pause": self.may_pause,
            "may_close": self.may_close,
            "ranges": self.ranges,
            "closing": self.closing,
        }
