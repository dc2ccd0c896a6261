"""Parts of clients' fees for agents and the platform: worked out of issued statements, booked by adding lines.

What a receiver gets of a statement is owed less what was booked: a statement that is voided, credited, or whose shares
were agreed on later is corrected by the receiver's next statement. Fees are those without tax.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, localcontext
from typing import Any

from django.db import transaction
from django.db.models import Sum

from reporting.commission.accounts import lock_books
from reporting.commission.money import EXACT, money_text, round_money
from reporting.commission.periods import MOMENT
from reporting.commission.refusals import CannotBook
from reporting.models import (
    DocumentKind,
    FeeReceiver,
    Introduction,
    Payout,
    ReceiverKind,
    ReceiverStatement,
    ReceiverTerms,
    ShareLine,
    Statement,
    StatementItem,
)
from subscribers.models import Subscriber
from users.models import User, Workspace
from users.services import record_audit

ZERO = Decimal(0)
MOST_LEVELS = 5


# --- Who gets what of a client's fees ---------------------------------------------------------------------------------
@dataclass(slots=True)
class Agreements:
    """Terms of receivers and introductions of clients in a workspace, oldest first."""

    terms: dict[int, list[ReceiverTerms]] = field(default_factory=lambda: defaultdict(list))
    introductions: dict[tuple[int, str], list[Introduction]] = field(default_factory=lambda: defaultdict(list))
    platforms: list[int] = field(default_factory=list)

    def terms_at(self, receiver_id: int, moment: datetime) -> ReceiverTerms | None:
        """What holds at a moment: of terms from the same moment those that were set last."""
        begun = [terms for terms in self.terms.get(receiver_id, ()) if terms.valid_from <= moment]
        return begun[-1] if begun else None

    def agent_at(self, account: tuple[int, str], moment: datetime) -> int | None:
        """Whose client an account is."""
        begun = [row for row in self.introductions.get(account, ()) if row.valid_from <= moment]
        return begun[-1].receiver_id if begun else None

    def shares_at(self, account: tuple[int, str], moment: datetime) -> list[tuple[int, int, Decimal]]:
        """(receiver, level, fraction) of a client's fees at a moment, from its own agent upwards, then the platform."""
        shares: list[tuple[int, int, Decimal]] = []
        receiver_id, passed = self.agent_at(account, moment), set[int]()
        while receiver_id is not None and receiver_id not in passed and len(passed) < MOST_LEVELS:
            terms = self.terms_at(receiver_id, moment)
            level = len(passed)
            passed.add(receiver_id)
            if terms is not None and level < len(terms.shares):
                shares.append((receiver_id, level, Decimal(terms.shares[level])))
            receiver_id = terms.above_id if terms else None
        for platform_id in self.platforms:
            terms = self.terms_at(platform_id, moment)
            if terms is not None and terms.shares:
                shares.append((platform_id, 0, Decimal(terms.shares[0])))
        return [share for share in shares if share[2]]


def read_agreements(workspace_id: int) -> Agreements:
    """Everything that was agreed on with receivers."""
    agreements = Agreements()
    rows = ReceiverTerms.objects.filter(receiver__workspace_id=workspace_id)
    for terms in rows.order_by("valid_from", "pk"):
        agreements.terms[terms.receiver_id].append(terms)
    for row in Introduction.objects.filter(workspace_id=workspace_id).order_by("valid_from", "pk"):
        agreements.introductions[row.connection_id, row.subscriber_id].append(row)
    platforms = FeeReceiver.objects.filter(workspace_id=workspace_id, kind=ReceiverKind.PLATFORM)
    agreements.platforms = list(platforms.order_by("pk").values_list("pk", flat=True))
    return agreements


# --- What is owed -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class DraftShare:
    """A line that a receiver's next statement would have."""

    receiver_id: int
    statement: Statement
    inputs: dict[str, Any]
    amount: Decimal


def exact_share(inputs: Mapping[str, Any]) -> Decimal:
    """What a receiver gets of a statement: sum of fee x share, of the part of the statement that stands."""
    with localcontext(EXACT):
        parts = sum((Decimal(part["fee"]) * Decimal(part["share"]) for part in inputs["parts"]), ZERO)
        return parts * Decimal(inputs["standing"]) / Decimal(inputs["fees"])


def recompute_share(inputs: Mapping[str, Any], currency: str) -> Decimal:
    """The amount of a line, from the line alone."""
    return round_money(exact_share(inputs), currency) - Decimal(inputs["booked"])


def draft_shares(workspace: Workspace) -> Iterator[DraftShare]:
    """What is owed to receivers and not booked yet, by statement of a client."""
    agreements = read_agreements(workspace.pk)
    if not agreements.terms:
        return
    issued = Statement.objects.filter(workspace=workspace, kind=DocumentKind.STATEMENT).exclude(amount=0)
    notes = Statement.objects.filter(workspace=workspace, kind=DocumentKind.CREDIT_NOTE, is_void=False)
    credited: dict[int | None, Decimal] = defaultdict(Decimal)
    for corrects_id, amount in notes.values_list("corrects_id", "amount"):
        credited[corrects_id] += amount
    booked: dict[tuple[int, int], Decimal] = {
        (receiver_id, statement_id): total
        for receiver_id, statement_id, total in ShareLine.objects.filter(receiver__workspace=workspace)
        .order_by()
        .values_list("receiver_id", "statement_id")
        .annotate(total=Sum("amount"))
    }
    receivers_of: dict[int, set[int]] = defaultdict(set)
    for receiver_id, statement_id in booked:
        receivers_of[statement_id].add(receiver_id)
    items: dict[int, list[StatementItem]] = defaultdict(list)
    rows = StatementItem.objects.filter(statement__in=issued).select_related("period")
    for item in rows.order_by("statement_id", "pk").iterator(chunk_size=2_000):
        items[item.statement_id].append(item)
    for statement in issued.order_by("pk"):
        parts = _parts_of(agreements, statement, items[statement.pk])
        standing = ZERO if statement.is_void else statement.amount + credited[statement.pk]
        for receiver_id in sorted({*parts, *receivers_of[statement.pk]}):
            inputs = {
                "parts": parts.get(receiver_id, []),
                "fees": str(statement.amount),
                "standing": str(standing),
                "booked": str(booked.get((receiver_id, statement.pk), ZERO)),
            }
            if amount := recompute_share(inputs, statement.currency):
                yield DraftShare(receiver_id, statement, inputs, amount)


def _parts_of(
    agreements: Agreements, statement: Statement, items: Iterable[StatementItem]
) -> dict[int, list[dict[str, Any]]]:
    """By receiver its part of each billing period on a statement, by what holds at the period's end."""
    parts: dict[int, list[dict[str, Any]]] = defaultdict(list)
    account = statement.connection_id, statement.subscriber_id
    for item in items:
        until = item.period.period_end - MOMENT
        for receiver_id, level, share in agreements.shares_at(account, until):
            part = {"strategy": item.strategy_name, "until": until.isoformat(), "fee": str(item.amount)}
            parts[receiver_id].append(part | {"level": level, "share": f"{share.normalize():f}"})
    return parts


@dataclass(slots=True)
class DraftDocument:
    """A statement of a receiver as it would be made now; one below zero waits."""

    receiver: FeeReceiver
    currency: str
    lines: list[DraftShare] = field(default_factory=list)

    @property
    def amount(self) -> Decimal:
        return sum((line.amount for line in self.lines), ZERO)

    @property
    def waits(self) -> bool:
        return self.amount <= 0


def draft_documents(workspace: Workspace) -> list[DraftDocument]:
    """By receiver and currency, what its next statement has."""
    receivers = {receiver.pk: receiver for receiver in FeeReceiver.objects.filter(workspace=workspace)}
    drafts: dict[tuple[int, str], DraftDocument] = {}
    for share in draft_shares(workspace):
        key = share.receiver_id, share.statement.currency
        draft = drafts.setdefault(key, DraftDocument(receivers[share.receiver_id], share.statement.currency))
        draft.lines.append(share)
    return sorted(drafts.values(), key=lambda draft: (draft.receiver.name.lower(), draft.receiver.pk, draft.currency))


# --- Booking ----------------------------------------------------------------------------------------------------------
@transaction.atomic
def make_statements(workspace: Workspace, *, by: User | None, now: datetime) -> list[ReceiverStatement]:
    """A statement for every receiver and currency with something to get."""
    books = lock_books(workspace)
    documents = []
    for draft in draft_documents(workspace):
        if draft.waits:
            continue
        books.receiver_statements += 1
        document = ReceiverStatement.objects.create(
            workspace=workspace,
            receiver=draft.receiver,
            number=books.receiver_statements,
            currency=draft.currency,
            amount=draft.amount,
            issued_at=now,
            issued_by=by,
        )
        ShareLine.objects.bulk_create(
            ShareLine(
                document=document,
                receiver_id=line.receiver_id,
                statement=line.statement,
                inputs=line.inputs,
                amount=line.amount,
            )
            for line in draft.lines
        )
        documents.append(document)
    books.save(update_fields=["receiver_statements"])
    if documents:
        labels = [document.label for document in documents]
        details = {"statements": labels}
        record_audit(workspace, user=by, action="receiver statements made", subject=labels[0], details=details)
    return documents


@transaction.atomic
def record_payout(
    document: ReceiverStatement, *, is_paid: bool, paid_on: date | None, note: str, by: User | None, now: datetime
) -> Payout:
    """Note that a receiver's statement was paid, or that it is not after all."""
    lock_books(document.workspace)
    newest = document.payouts.order_by("-pk").first()
    if (newest is not None and newest.is_paid) == is_paid:
        raise CannotBook(f"{document.label} is {'paid' if is_paid else 'not paid'} already.")
    payout = Payout.objects.create(
        workspace_id=document.workspace_id,
        document=document,
        currency=document.currency,
        amount=document.amount,
        is_paid=is_paid,
        paid_on=paid_on,
        note=note,
        recorded_at=now,
        recorded_by=by,
    )
    record_audit(
        document.workspace,
        user=by,
        action="receiver paid" if is_paid else "receiver payment taken back",
        subject=document.label,
        details={"amount": money_text(document.amount, document.currency), "note": note, "paid_on": str(paid_on or "")},
    )
    return payout


# --- Agreeing ---------------------------------------------------------------------------------------------------------
@transaction.atomic
def add_receiver(
    workspace: Workspace, *, name: str, kind: str, note: str, by: User | None, now: datetime
) -> FeeReceiver:
    """Somebody who gets a part of the fees; what, its terms say."""
    lock_books(workspace)
    if FeeReceiver.objects.filter(workspace=workspace, name__iexact=name).exists():
        raise CannotBook("There is somebody of that name already.")
    receiver = FeeReceiver.objects.create(
        workspace=workspace, name=name, kind=kind, note=note, added_at=now, added_by=by
    )
    record_audit(workspace, user=by, action="receiver added", subject=name, details={"kind": kind, "note": note})
    return receiver


@transaction.atomic
def set_shares(
    receiver: FeeReceiver,
    *,
    shares: Sequence[Decimal],
    above: FeeReceiver | None,
    valid_from: datetime,
    by: User | None,
    now: datetime,
) -> ReceiverTerms:
    """What a receiver gets from a moment on. Raises CannotBook where somebody would be above itself, or more than all
    of a fee would be given away."""
    lock_books(receiver.workspace)
    terms = ReceiverTerms.objects.create(
        receiver=receiver,
        valid_from=valid_from,
        shares=[f"{share.normalize():f}" for share in shares],
        above=above,
        set_at=now,
        set_by=by,
    )
    _check_chains(receiver.workspace_id, valid_from)
    details = {"shares": terms.shares, "above": above.name if above else "", "from": str(valid_from)}
    record_audit(receiver.workspace, user=by, action="receiver terms set", subject=receiver.name, details=details)
    return terms


def _check_chains(workspace_id: int, since: datetime) -> None:
    """At no moment from `since` on anybody is above itself, or all of a fee or more is given away."""
    agreements = read_agreements(workspace_id)
    moments = {since, *(terms.valid_from for rows in agreements.terms.values() for terms in rows)}
    for moment in sorted(moment for moment in moments if moment >= since):
        of_platforms = [agreements.terms_at(platform_id, moment) for platform_id in agreements.platforms]
        platform = sum((Decimal(terms.shares[0]) for terms in of_platforms if terms and terms.shares), ZERO)
        _check_total(platform)  # of clients that nobody introduced
        for receiver_id in sorted(set(agreements.terms) - set(agreements.platforms)):
            total, passed = platform, list[int]()
            current: int | None = receiver_id
            while current is not None:
                if current in passed:
                    raise CannotBook("Nobody can be above itself, also not by way of others.")
                terms = agreements.terms_at(current, moment)
                if terms is not None and len(passed) < len(terms.shares):
                    total += Decimal(terms.shares[len(passed)])
                passed.append(current)
                current = terms.above_id if terms else None
            _check_total(total)


def _check_total(total: Decimal) -> None:
    if total > 1:
        raise CannotBook(f"Together {(total * 100).normalize():f} % of a fee would be given away.")


@transaction.atomic
def introduce(
    workspace: Workspace,
    accounts: Sequence[Subscriber],
    receiver: FeeReceiver | None,
    *,
    valid_from: datetime,
    by: User | None,
    now: datetime,
) -> int:
    """Note whose clients accounts are from a moment on (None: nobody's); how many."""
    lock_books(workspace)
    Introduction.objects.bulk_create(
        Introduction(
            workspace=workspace,
            connection_id=account.connection_id,
            subscriber_id=account.backend_id,
            receiver=receiver,
            valid_from=valid_from,
            set_at=now,
            set_by=by,
        )
        for account in accounts
    )
    if accounts:
        record_audit(
            workspace,
            user=by,
            action="clients introduced",
            subject=receiver.name if receiver else "nobody",
            details={"accounts": [account.backend_id for account in accounts], "from": str(valid_from)},
        )
    return len(accounts)


def clients_of_receiver(receiver: FeeReceiver, moment: datetime) -> list[tuple[Subscriber, datetime]]:
    """Accounts that are a receiver's clients at a moment, each with since when."""
    newest: dict[tuple[int, str], Introduction] = {}
    rows = Introduction.objects.filter(workspace_id=receiver.workspace_id, valid_from__lte=moment)
    own = rows.filter(receiver=receiver).values("subscriber_id")
    for row in rows.filter(subscriber_id__in=own).order_by("valid_from", "pk"):
        newest[row.connection_id, row.subscriber_id] = row
    since = {account: row.valid_from for account, row in newest.items() if row.receiver_id == receiver.pk}
    accounts = Subscriber.objects.filter(
        connection__workspace_id=receiver.workspace_id, backend_id__in=sorted({backend_id for _, backend_id in since})
    )
    return [
        (account, since[account.connection_id, account.backend_id])
        for account in accounts.order_by("name", "pk")
        if (account.connection_id, account.backend_id) in since
    ]
