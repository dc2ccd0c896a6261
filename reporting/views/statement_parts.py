"""What a statement's page shows beside the document itself: the mails that carried it."""

from __future__ import annotations

from typing import Any

from reporting.commission.mailing import addresses_of, why_not
from reporting.models import Statement
from users.requests import MemberRequest

MOST_MAILS_SHOWN = 10


def mailing_of(request: MemberRequest, document: Statement) -> dict[str, Any]:
    """What a document's page says of its mails: for staff only."""
    if not request.membership.is_staff_role:
        return {"mailed": [], "mail_problem": ""}
    mailed = document.mails.select_related("mail", "mail__queued_by").order_by("-pk")[:MOST_MAILS_SHOWN]
    client = addresses_of([document]).get(document.pk)
    return {"mailed": list(mailed), "client": client, "mail_problem": why_not(document, client)}
