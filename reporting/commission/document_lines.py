"""The lines that a statement is the sum of, and the document on paper: for pages, files and mails alike."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, QuerySet

from reporting.commission.pdf import statement_pdf
from reporting.models import CommissionLine, Statement, StatementItem


def lines_of(document: Statement) -> QuerySet[CommissionLine]:
    """The lines that a statement is the sum of."""
    listed = StatementItem.objects.filter(
        statement=document,
        period__connection_id=OuterRef("connection_id"),
        period__strategy_id=OuterRef("strategy_id"),
        period__period_start=OuterRef("period_start"),
        period__period_end=OuterRef("period_end"),
        currency=OuterRef("currency"),
    )
    own = CommissionLine.objects.filter(
        workspace_id=document.workspace_id,
        connection_id=document.connection_id,
        subscriber_id=document.subscriber_id,
        member_id="",
    )
    return own.filter(Exists(listed))


def pdf_of(document: Statement) -> bytes:
    """A document, read with its balance, as a PDF file."""
    return statement_pdf(document, lines_of(document).order_by("period_start", "occurred_at", "pk"))
