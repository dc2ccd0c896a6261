"""Which mails carried which documents, and the reminders among them: the mails themselves are rows of the outbox."""

from __future__ import annotations

from django.db import models

from reporting.books import Statement
from users.models import Mail


class StatementMail(models.Model):
    """A mail with a statement or credit note. reminder_days: the step of the schedule; null: the document itself.

    A step is used once for a statement, also where its mail was refused or withdrawn.
    """

    statement = models.ForeignKey(Statement, on_delete=models.PROTECT, related_name="mails", db_index=False)
    mail = models.OneToOneField(Mail, on_delete=models.CASCADE, related_name="+")
    reminder_days = models.PositiveSmallIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["statement", "reminder_days"], name="one_reminder_per_step"),
        ]
        indexes = [models.Index(fields=["statement", "-id"], name="mail_of_statement")]
