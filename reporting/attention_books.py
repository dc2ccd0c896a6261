"""What a manager should look at in the books beyond what is owed: disputes, documents that did not arrive."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import F, Min, OuterRef, Subquery
from django.urls import reverse

from reporting.attention_lines import MOST_COUNTED, AttentionLine, address, counted
from reporting.models import Dispute, RunRequest, StatementMail
from users.models import Mail, Membership
from users.outbox import NOT_DELIVERED
from users.permissions import can_bill

REFUSALS_SHOWN_FOR = timedelta(days=30)
MOST_REFUSALS = MOST_REQUESTS = 3
MOST_READ = 1_000


def open_disputes(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """Lines of statements that clients do not accept, until they are answered."""
    waiting = Dispute.objects.visible_to(membership).open()
    number = waiting[: MOST_COUNTED + 1].count()
    if number:
        since = waiting.aggregate(oldest=Min("opened_at"))["oldest"]
        words = "waits for an answer" if number == 1 else "wait for an answer"
        href = address("reporting:disputes", state="open")
        yield AttentionLine("warn", "receipt-2", counted(number, "dispute"), words, href, "Not due until then", since)


def runs_to_approve(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """Runs that somebody else asked for, for those who may approve them, while runs need it."""
    if not (can_bill(membership) and membership.workspace.asks_approval):
        return
    waiting = RunRequest.objects.visible_to(membership).waiting().exclude(requested_by=membership.user_id)
    rows = list(waiting.select_related("requested_by").order_by("requested_at", "pk")[: MOST_REQUESTS + 1])
    for row in rows[:MOST_REQUESTS]:
        href = reverse("reporting:approval", args=[row.pk])
        note = f"{row.requested_by} asked for it"
        yield AttentionLine("warn", "receipt-2", row.title, "waits for your approval", href, note, row.requested_at)
    if len(rows) > MOST_REQUESTS:
        yield AttentionLine("warn", "dots", "More runs", "wait", address("reporting:approvals", state="waiting"))


def documents_on_their_way(membership: Membership, now: datetime) -> Iterator[AttentionLine]:
    """Documents whose newest mail no server took, for a month: sending it again, or voiding it, ends the line."""
    visible = Mail.objects.visible_to(membership)
    failed = visible.filter(state__in=NOT_DELIVERED, settled_at__gt=now - REFUSALS_SHOWN_FOR)
    newest = StatementMail.objects.filter(statement=OuterRef("statement")).order_by("-pk").values("pk")[:1]
    last = StatementMail.objects.filter(mail__in=failed, statement__is_void=False).annotate(newest=Subquery(newest))
    rows = list(last.filter(pk=F("newest")).select_related("statement", "mail").order_by("-pk")[: MOST_READ + 1])
    for row in rows[:MOST_REFUSALS]:
        href = f"{reverse('reporting:statement', args=[row.statement_id])}#mails"
        title = f"Mail with {row.statement.label}"
        yield AttentionLine(
            "warn",
            "receipt-2",
            title,
            f"did not reach {row.mail.recipient}",
            href,
            row.mail.refusal,
            row.mail.settled_at,
        )
    if len(rows) > MOST_REFUSALS:
        left = counted(len(rows) - MOST_REFUSALS, "more mail")
        yield AttentionLine("warn", "dots", left, "that no mail server took", address("reporting:mails"))
