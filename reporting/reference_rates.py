"""Rows of exchange rates: the ECB's that were fetched, a firm's own for other currencies, and how fetching goes."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models

from users.models import Membership, User, Workspace


class ReferenceRate(models.Model):
    """Units of a currency per euro on a day, as the European Central Bank published them. Added, never changed."""

    currency = models.CharField(max_length=3)
    day = models.DateField()
    per_euro = models.DecimalField(max_digits=24, decimal_places=10)
    source = models.CharField(max_length=16, default="ECB")
    stored_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["currency", "day"], name="one_reference_rate_per_day")]


class OwnRateQuerySet(models.QuerySet["OwnRate"]):
    """Every read of a firm's own rates starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """Staff only."""
        return self.filter(workspace_id=membership.workspace_id) if membership.is_staff_role else self.none()


class OwnRate(models.Model):
    """A rate that a firm entered for a currency without ECB rate: one unit of `currency` is `value` of `against`.

    What was converted with it keeps value, source and day, so it may be replaced or removed.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    currency = models.CharField(max_length=3)
    day = models.DateField()
    against = models.CharField(max_length=3)
    value = models.DecimalField(max_digits=24, decimal_places=10)
    source = models.CharField(max_length=60)
    entered_at = models.DateTimeField()
    entered_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    objects = OwnRateQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "currency", "day"], name="one_own_rate_per_day")]


class RateFetch(models.Model):
    """How fetching the ECB's rates goes: one row for the installation. due_at: the row is the alarm, not the clock.

    is_on: somebody asked for it in Settings; an address in the environment counts before it.
    """

    is_on = models.BooleanField(default=False)
    switched_at = models.DateTimeField(null=True)
    switched_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    due_at = models.DateTimeField(null=True, help_text="Null: as soon as there is an address.")
    attempted_at = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    newest_day = models.DateField(null=True, help_text="Of the last file that was taken.")
    problem = models.TextField(blank=True, help_text="What was wrong with the last attempt, as sentences.")

    @classmethod
    def only(cls) -> RateFetch:
        """The one row."""
        return cls.objects.get_or_create(pk=1)[0]

    @classmethod
    def claim(cls, now: datetime, until: datetime) -> bool:
        """Whether an attempt is due and is the caller's to make; nobody else makes it before `until`."""
        cls.only()
        due = cls.objects.filter(models.Q(due_at=None) | models.Q(due_at__lte=now), pk=1)
        return bool(due.update(due_at=until, attempted_at=now))
