"""The table of what accounts owe: on statements, overdue by its age, in dispute, and their credit."""

from __future__ import annotations

from datetime import date, timedelta

from django.db.models import DecimalField, Min, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from reporting.models import DocumentKind, Entry, Statement
from users.listing import Choice, Column, Listing, Option, Search
from users.models import Workspace

MONEY = DecimalField(max_digits=24, decimal_places=4)
# rows of the backend and the currency that the outer query is at
SAME_BOOKS = Q(connection=OuterRef("connection"), currency=OuterRef("currency"))
AGES: tuple[tuple[str, tuple[int, int | None]], ...] = (
    ("overdue_30", (1, 30)),
    ("overdue_60", (31, 60)),
    ("overdue_90", (61, 90)),
    ("overdue_older", (91, None)),
)
FILTERS = (
    Search("q", "Search", placeholder="Search by name or id", fields=("name", "backend_id")),
    Choice(
        "state",
        "State",
        placeholder="Any balance",
        options=(
            Option("owes", "Owes something", Q(owed__gt=0)),
            Option("overdue", "Overdue", Q(overdue__gt=0)),
            Option("credit", "Has credit", Q(credit__gt=0)),
            Option("even", "Even", Q(net=0)),
        ),
    ),
)


def overdue_by(today: date, days: tuple[int, int | None]) -> Q:
    """Statements that have been overdue for so many days, first and last included; None: longer."""
    least, most = days
    latest = Q(due_on__lte=today - timedelta(days=least))
    return latest if most is None else latest & Q(due_on__gte=today - timedelta(days=most))


def debt_listing(workspace: Workspace, today: date) -> Listing:
    """Accounts with what they owe, what of it is overdue, and their credit, each in its currency."""
    entries = Entry.objects.filter(SAME_BOOKS, workspace=workspace, subscriber_id=OuterRef("backend_id")).order_by()
    unpaid = unpaid_statements(workspace)
    on_statements, credit = entries.exclude(statement=None), entries.filter(statement=None)
    due_since = Subquery(unpaid.values("subscriber_id").annotate(d=Min("due_on")).values("d"))
    ages = ((key, left_of(unpaid.filter(overdue_by(today, days)), "payable")) for key, days in AGES)
    return Listing(
        name="debt",
        sort="name",
        columns=(
            Column("name", "Subscriber", is_sortable=True, csv_name="subscriber"),
            Column("backend_id", csv_name="subscriber_id"),
            Column("owed", "Owed on statements", is_number=True, source=total_of(on_statements)),
            Column("overdue", "Overdue", is_number=True, source=left_of(unpaid.filter(due_on__lt=today), "payable")),
            *(Column(key, in_table=False, source=source) for key, source in ages),
            Column("disputed", "In dispute", is_number=True, source=left_of(unpaid.filter(disputed__gt=0), "disputed")),
            Column("credit", "Credit", is_number=True, source=total_of(credit, sign=-1)),
            Column("net", "Balance", is_number=True, source=total_of(entries), csv_name="balance"),
            Column("currency", "Currency"),
            Column("oldest_due", "Due since", source=due_since),
        ),
        filters=FILTERS,
    )


def unpaid_statements(workspace: Workspace) -> QuerySet:
    """Statements of the outer query's account that something is left of."""
    statements = Statement.objects.filter(SAME_BOOKS, workspace=workspace, subscriber_id=OuterRef("backend_id"))
    return statements.filter(kind=DocumentKind.STATEMENT).with_balance().filter(balance__gt=0).order_by()


def total_of(entries: QuerySet, sign: int = 1) -> Coalesce:
    """What entries of an account come to."""
    sums = entries.values("subscriber_id").annotate(t=sign * Sum("amount")).values("t")
    return Coalesce(Subquery(sums, output_field=MONEY), Value(0), output_field=MONEY)


def left_of(statements: QuerySet, name: str) -> Coalesce:
    """What is left of statements with a balance, as `payable` or `disputed`."""
    sums = statements.values("subscriber_id").annotate(t=Sum(name)).values("t")
    return Coalesce(Subquery(sums, output_field=MONEY), Value(0), output_field=MONEY)
