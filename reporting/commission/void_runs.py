"""Takes back a whole run of statements that was issued by mistake: a job, some statements a slice.

A statement on which money was received stays, as somebody has to say what becomes of the money first; so does one that
was voided before. Every voiding is the same as that of a single statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import DecimalField, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.urls import reverse

from jobs.kinds import JobKind, JobRefused, JobStep, Result, Work, register, staff
from reporting.commission.accounts import ZERO, lock_books
from reporting.commission.book_jobs import ISSUE
from reporting.commission.credit_notes import void_statement
from reporting.models import DocumentKind, Entry, EntryKind, Statement
from users.models import Membership
from users.permissions import can_bill

VOID = "void-run"
STATEMENTS_PER_SLICE = 50
MOST_NAMED = 10
MONEY = DecimalField(max_digits=24, decimal_places=4)


def run_of(membership: Membership, pk: int) -> QuerySet[Any]:
    """The statements that were issued together with the one of this id, with what was `received` on each.

    Credit of the account that paid one is not received money: it goes back to the account.
    """
    own = Statement.objects.visible_to(membership).filter(kind=DocumentKind.STATEMENT)
    moment = own.filter(pk=pk).values("issued_at")
    money = Entry.objects.filter(statement_id=OuterRef("pk"), kind__in=(EntryKind.PAYMENT, EntryKind.UNDO))
    received = money.order_by().values("statement_id").annotate(s=-Sum("amount")).values("s")
    together: QuerySet[Any] = own.filter(issued_at__in=moment)
    with_money: QuerySet[Any] = together.annotate(received=Coalesce(Subquery(received), ZERO, output_field=MONEY))
    return with_money


def void_slices(work: Work) -> Iterator[JobStep]:
    """Void what can be voided; counted in statements. What is void stays so where the job is cancelled."""
    run, reason, cursor = work.job.parameters["run"], work.job.parameters["reason"], work.job.cursor
    workspace, total = work.job.workspace, run_of(work.asker, run).count()
    if not total:
        raise JobRefused("There is no such run of statements.")
    after, done, voided, left = (cursor.get(key, start) for key, start in _START.items())
    while True:
        lock_books(workspace)  # nobody records a payment between the look and the voiding
        part = list(run_of(work.asker, run).filter(pk__gt=after).order_by("pk")[:STATEMENTS_PER_SLICE])
        if not part:
            break
        for statement in part:
            if statement.received:
                left = [*left, statement.label]
            elif not statement.is_void:
                void_statement(statement, reason=reason, by=work.job.asked_by, now=work.now)
                voided += 1
        after, done = part[-1].pk, done + len(part)
        cursor = {"after": after, "done": done, "voided": voided, "left": left}
        yield JobStep(cursor, done=done, total=total, message=void_words(voided, left))
    href = reverse("reporting:run", args=[run])
    details = {"number": voided, "left": left}
    yield JobStep(done=done, total=total, result=Result(void_words(voided, left), href=href, details=details))


_START: dict[str, Any] = {"after": 0, "done": 0, "voided": 0, "left": []}


def void_words(voided: int, left: list[str]) -> str:
    """What voiding a run did, with those that it left alone."""
    words = (
        "Nothing was voided." if not voided else f"{voided} {'statement is' if voided == 1 else 'statements are'} void."
    )
    if not left:
        return words
    named = ", ".join(left[:MOST_NAMED]) + (f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else "")
    return f"{words} Left as they are, because money was received on them: {named}."


VOIDING = register(
    JobKind(
        key=VOID,
        words="Voiding of a run of statements",
        unit="statements",
        slices=void_slices,
        may_see=staff,
        may_ask=can_bill,
        waits_for=(ISSUE, VOID),
    )
)
