"""Asking accounts one by one within the credits of a backend: what may be asked now, and who is left in peace.

A pool per token, shared by the sweeps that use it, and one per server of the vendor, shared by the connections to it
(copying/client/credits.py). An account that fails is asked less and less often, so that it costs the others nothing.
"""

from __future__ import annotations

from django.db import models

from users.models import Connection


class CreditPool(models.Model):
    """The credits of a token or of a server, and who asked for some lately. scope: "connection:7", "server:host"."""

    scope = models.CharField(max_length=300, unique=True)
    state = models.JSONField(default=dict, help_text="As copying.client.credits.Pool stores itself.")
    told_at = models.DateTimeField(null=True, help_text="When the backend told its limits; null: those documented.")

    def __str__(self) -> str:
        return self.scope


class AccountPause(models.Model):
    """An account that did not answer, and until when it is not asked. Gone as soon as it answers."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    kind = models.CharField(max_length=16, help_text="The sync whose turn it was.")
    backend_id = models.CharField(max_length=64)
    failures = models.PositiveIntegerField(default=1)
    since = models.DateTimeField()
    next_at = models.DateTimeField()
    problem = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "kind", "backend_id"], name="one_pause_per_account_and_kind")
        ]

    def __str__(self) -> str:
        return self.backend_id
