"""Statements and payments as programs are told of them (users/events.py): ids, names, and money as decimal text."""

from __future__ import annotations

from typing import Any

from reporting.models import Payment, Statement


def statement_data(statement: Statement) -> dict[str, Any]:
    """A statement as events name it."""
    return {
        "statement": statement.pk,
        "number": statement.label,
        "subscriber_backend_id": statement.subscriber_id,
        "subscriber_name": statement.subscriber_name,
        "currency": statement.currency,
        "total": f"{statement.total:f}",
        "first_day": statement.first_day.isoformat(),
        "last_day": statement.last_day.isoformat(),
        "due_on": statement.due_on.isoformat() if statement.due_on else None,
    }


def payment_data(payment: Payment) -> dict[str, Any]:
    """A payment as events name it."""
    return {
        "payment": payment.pk,
        "subscriber_backend_id": payment.subscriber_id,
        "amount": f"{payment.amount:f}",
        "currency": payment.currency,
        "received_on": payment.received_on.isoformat(),
        "reference": payment.reference,
    }
