"""The audit log of a workspace, for its owner."""

from __future__ import annotations

from django.db.models import F, Q, TextField, Value
from django.db.models.functions import Cast, Coalesce, NullIf
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from reporting.views.history import render_list
from users.audit import details_text
from users.listing import Choice, Column, DayRange, Listing, Option, Search
from users.models import AuditEntry
from users.permissions import owner_only
from users.requests import MemberRequest

SIGN_INS = (
    "signed in",
    "signed out",
    "sign-in failed",
    "session ended",
    "other sessions ended",
    "password changed",
    "password reset",
    "e-mail change requested",
    "e-mail changed",
    "second factor added",
    "second factor removed",
    "second factor failed",
    "second factor reset",
    "second factor reset asked for",
    "second factor reset withdrawn",
    "recovery codes made",
)
PEOPLE = (
    "invitation sent",
    "invitation sent again",
    "invitation revoked",
    "invitation accepted",
    "role changed",
    "member removed",
    "member left",
    "member deactivated",
    "member activated",
    "ownership transferred",
    "member added",
    "owner created",
    "accounts linked",
)
MONEY = Q(action__contains="payment") | Q(action__contains="statement") | Q(action__contains="period")
MONEY |= Q(action__contains="credit")
SECRETS = Q(action__contains="token") | Q(action__contains="webhook") | Q(action__startswith="connection")
OTHER = ~(Q(action__in=SIGN_INS + PEOPLE) | MONEY | SECRETS)

# entries of before this log named addresses have the person only
WHO = Coalesce(NullIf(F("actor"), Value("")), F("user__email"), Value(""), output_field=TextField())

AUDIT = Listing(
    name="audit",
    sort="-occurred_at",
    columns=(
        Column("occurred_at", "When", is_sortable=True),
        Column("who", "Who", source=WHO),
        Column("via", "By"),
        Column("address", "From"),
        Column("action", "What"),
        Column("subject", "Of"),
        Column("details", "Before and after", in_csv=False),
        Column("details_text", in_table=False, csv_name="details", source=Cast("details", TextField())),
    ),
    filters=(
        Search("q", "Search", placeholder="Person, object or action", fields=("actor", "subject", "action", "address")),
        Choice(
            "kind",
            "Kind",
            placeholder="Everything",
            options=(
                Option("sign-ins", "Sign-ins", Q(action__in=SIGN_INS)),
                Option("people", "People", Q(action__in=PEOPLE)),
                Option("money", "Money", MONEY),
                Option("secrets", "Connections and secrets", SECRETS),
                Option("other", "Trading and settings", OTHER),
            ),
        ),
        Choice(
            "via",
            "By",
            placeholder="Pages and programs",
            options=(
                Option("page", "A person on a page"),
                Option("token", "A program with a token"),
                Option("task", "The portal itself"),
                Option("command", "The operator"),
            ),
        ),
        DayRange("occurred_at", "When"),
    ),
)


@require_safe
@owner_only
def audit(request: MemberRequest) -> HttpResponseBase:
    """Who did what, when, from where; as a file too."""
    table = AUDIT.bind(request, AuditEntry.objects.filter(workspace=request.workspace))
    if table.wants_csv:
        return table.csv()
    return render_list(request, "reporting/audit.html", "reporting/_audit.html", table, details_text=details_text)
