"""Double-entry bookings made of the entries of the books: what each moved, from which account to which. Writes nothing.

An entry moves what a client owes (it has a statement) or has as credit (it has none); its kind says what stands on the
other side. The parts of every booking come to zero. The first part is that against which all others stand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby

from django.db.models import Q, Sum

from reporting.bookkeeping import JournalExport
from reporting.commission.accounts import ZERO
from reporting.commission.fee_terms import COMBINED, ExtraFee
from reporting.commission.money import money_text
from reporting.commission.periods import Calendar
from reporting.models import BillingPeriod, CommissionLine, DocumentKind, Entry, EntryKind, Statement, StatementItem
from strategies.models import Kind, Strategy


@dataclass(frozen=True, slots=True)
class BookingPart:
    """What is debited (positive) or credited (negative) to the account of a role (reporting/bookkeeping.py).

    paid: (amount, currency) that was received, where it was another currency than the one it is counted in.
    """

    role: str
    amount: Decimal
    currency: str
    paid: tuple[Decimal, str] | None = None


@dataclass(frozen=True, slots=True)
class Booking:
    """One step of the journal. key: what it was made of, as `E12` or `P7-M1-USD`; document: a statement's label.

    own_day: of what was booked later, as its own day had been exported by then.
    """

    key: str
    order: int
    day: date
    own_day: date
    party: str
    text: str
    document: str
    parts: tuple[BookingPart, ...]


@dataclass(slots=True)
class _Documents:
    """What entries are made of. fees: by statement and scheme; notes: by statement, moment and what they take off.

    notes_of: of a statement, those that stand; reversed: like notes, those that were taken back.
    """

    fees: dict[int, dict[str, Decimal]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Decimal)))
    notes: dict[tuple[int, datetime, Decimal], list[Statement]] = field(default_factory=lambda: defaultdict(list))
    notes_of: dict[int, list[Statement]] = field(default_factory=lambda: defaultdict(list))
    reversed: dict[tuple[int, datetime, Decimal], list[Statement]] = field(default_factory=lambda: defaultdict(list))


def read_bookings(export: JournalExport) -> list[Booking]:
    """The journal of an export (of one that is only looked at, too), by day and in the order in which it came about."""
    own = Entry.objects.filter(export.new_entries(), workspace_id=export.workspace_id)
    entries = list(own.select_related("statement", "payment", "undoes").order_by("pk"))
    documents = _read_documents(entries)
    bookings = [_booking(export, group, documents) for group in _groups(entries)]
    bookings += _provider_bookings(export)
    bookings.sort(key=lambda booking: (booking.day, booking.order, booking.key))
    return [*_opening(export), *bookings]


def _groups(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Entries that were made by one act: a payment with all that it paid, credit with where it went, else single."""
    for (kind, payment_id), run in groupby(entries, key=lambda entry: (entry.kind, entry.payment_id)):
        if payment_id is not None:
            yield list(run)
        elif kind == EntryKind.CREDIT:
            yield from _pairs(list(run))
        else:
            yield from ([entry] for entry in run)


def _pairs(moves: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Credit is moved by two entries, one after the other, that come to nothing."""
    for start in range(0, len(moves), 2):
        pair = list(moves[start : start + 2])
        if sum(entry.amount for entry in pair):
            raise ValueError(f"Entry {pair[0].pk} moves credit from or to nowhere")
        yield pair


def _read_documents(entries: Iterable[Entry]) -> _Documents:
    charged = {entry.statement_id for entry in entries if entry.kind in (EntryKind.STATEMENT, EntryKind.VOID)}
    correcting = (EntryKind.CREDIT_NOTE, EntryKind.VOID, EntryKind.REVERSAL)
    corrected = {entry.statement_id for entry in entries if entry.kind in correcting}
    documents = _Documents()
    items = StatementItem.objects.filter(statement__in=charged - {None})
    for statement_id, scheme, total in items.values_list("statement", "scheme").annotate(t=Sum("amount")):
        documents.fees[statement_id][role_of(scheme)] += total
    for statement_id, fees in _sums_of_combined(documents.fees).items():
        del documents.fees[statement_id][COMBINED]
        for scheme, total in fees.items():
            documents.fees[statement_id][role_of(scheme)] += total
    own = Statement.objects.filter(kind=DocumentKind.CREDIT_NOTE, corrects__in=corrected - {None}).order_by("pk")
    for note in own:
        assert note.corrects_id is not None
        documents.notes[note.corrects_id, note.issued_at, note.total].append(note)
        if note.is_void:
            documents.reversed[note.corrects_id, note.issued_at, note.total].append(note)
        else:
            documents.notes_of[note.corrects_id].append(note)
    return documents


def role_of(scheme: str) -> str:
    """The account that fees of a scheme are booked on: a cap takes off where a minimum adds."""
    return str(ExtraFee.MINIMUM) if scheme == ExtraFee.CAP else scheme


def _sums_of_combined(statement_ids: Iterable[int]) -> dict[int, dict[str, Decimal]]:
    """By statement and scheme, the lines of periods in which several kinds of fees are summed up."""
    sums: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    items = StatementItem.objects.filter(statement__in=statement_ids, scheme=COMBINED).select_related("period")
    for item in items.order_by("pk"):
        period = item.period
        lines = CommissionLine.objects.filter(
            workspace_id=period.workspace_id,
            connection_id=period.connection_id,
            strategy_id=period.strategy_id,
            period_start=period.period_start,
            period_end=period.period_end,
            subscriber_id=item.subscriber_id,
            currency=item.currency,
            member_id="",
        )
        for row in lines.totals("scheme"):
            sums[item.statement_id][row["scheme"]] += row["total"]
    return sums


def _booking(export: JournalExport, group: Sequence[Entry], documents: _Documents) -> Booking:
    """One act of the books as a booking."""
    entry = group[0]
    statement = next((move.statement for move in group if move.statement is not None), None)
    if entry.payment is not None:
        parts, text = _payment_parts(group), _payment_text(entry)
    elif entry.kind == EntryKind.CREDIT:
        parts, text = tuple(map(_client_part, group)), "Credit moved"
    elif entry.kind == EntryKind.REFUND:
        parts = (_client_part(entry), BookingPart("cash", -entry.amount, entry.currency))
        text = f"Credit paid back: {entry.reason}"
    elif entry.kind == EntryKind.WRITE_OFF:
        parts = (_client_part(entry), BookingPart("write-offs", -entry.amount, entry.currency))
        text = f"{'Written off' if entry.amount < 0 else 'Written off before, owed again'}: {entry.reason}"
    else:
        parts, text = _document_parts(entry, documents)
    return Booking(
        key=f"E{entry.pk}",
        order=entry.pk,
        day=export.day_for(entry.day),
        own_day=entry.day,
        party=statement.subscriber_name if statement is not None else entry.subscriber_id,
        text=text,
        document=statement.label if statement is not None else "",
        parts=parts,
    )


def _client_part(entry: Entry) -> BookingPart:
    """The client's side of an entry: what it owes on statements, or what it has as credit."""
    role = "receivables" if entry.statement_id is not None else "credit"
    return BookingPart(role, entry.amount, entry.currency)


def _payment_parts(group: Sequence[Entry]) -> tuple[BookingPart, ...]:
    """Money against what it paid, or the reverse where it was taken back."""
    payment = group[0].payment
    assert payment is not None
    total = -sum((entry.amount for entry in group), ZERO)
    is_other = payment.currency != payment.settled_currency
    paid = (payment.amount if total > 0 else -payment.amount, payment.currency) if is_other else None
    cash = BookingPart("cash", total, payment.settled_currency, paid)
    return (cash, *map(_client_part, group))


def _payment_text(entry: Entry) -> str:
    assert entry.payment is not None
    reference = f", {entry.payment.reference}" if entry.payment.reference else ""
    if entry.kind == EntryKind.UNDO:
        return f"Payment taken back{reference}: {entry.reason}"
    return f"Payment{reference}"


def _document_parts(entry: Entry, documents: _Documents) -> tuple[tuple[BookingPart, ...], str]:
    """A statement, a credit note or a voiding: what is owed against fees and tax; and its words."""
    statement, currency = entry.statement, entry.currency
    assert statement is not None
    if entry.kind == EntryKind.STATEMENT:
        sums, text = _sums_of(statement, documents), f"Statement {statement.label}"
    elif entry.kind == EntryKind.CREDIT_NOTE:
        note = documents.notes[statement.pk, entry.made_at, entry.amount].pop(0)
        sums, text = _sums_of_notes([note]), f"{note.label} for {statement.label}: {entry.reason}"
    elif entry.kind == EntryKind.REVERSAL:
        made_at = entry.undoes.made_at if entry.undoes is not None else entry.made_at
        note = documents.reversed[statement.pk, made_at, -entry.amount].pop(0)
        sums = {role: -amount for role, amount in _sums_of_notes([note]).items()}
        text = f"{note.label} for {statement.label} taken back: {entry.reason}"
    elif entry.kind == EntryKind.VOID:
        charged = _sums_of(statement, documents) | _sums_of_notes(documents.notes_of[statement.pk], statement.tax)
        sums = {role: -amount for role, amount in charged.items()}
        text = f"{statement.label} voided: {entry.reason}"
    else:
        raise ValueError(f"Entry {entry.pk} is of an unknown kind: {entry.kind}")
    others = [BookingPart(role, -amount, currency) for role, amount in sums.items() if amount]
    return (_client_part(entry), *others), text


def _sums_of(statement: Statement, documents: _Documents) -> dict[str, Decimal]:
    """What a statement charged, by role."""
    return {**dict(sorted(documents.fees[statement.pk].items())), "tax": statement.tax}


def _sums_of_notes(notes: Sequence[Statement], tax: Decimal = ZERO) -> dict[str, Decimal]:
    """What credit notes took off, below zero. tax: of their statement, which is added."""
    return {
        "credited": sum((note.amount for note in notes), ZERO),
        "tax": tax + sum((note.tax for note in notes), ZERO),
    }


# --- What is not an entry ---------------------------------------------------------------------------------------------
def _opening(export: JournalExport) -> list[Booking]:
    """Of a first export: what was owed, and what there was as credit, before its first day."""
    if export.previous is not None:
        return []
    before = (
        Entry.objects.filter(workspace_id=export.workspace_id, pk__lte=export.last_entry, day__lt=export.first_day)
        .order_by("currency")
        .values("currency")
        .annotate(owed=Sum("amount", filter=Q(statement__isnull=False)), credit=Sum("amount", filter=Q(statement=None)))
    )
    bookings = []
    for row in before:
        currency, sums = row["currency"], {"receivables": row["owed"] or ZERO, "credit": row["credit"] or ZERO}
        parts = [BookingPart(role, amount, currency) for role, amount in sums.items() if amount]
        if parts:
            against = BookingPart("opening", -sum((part.amount for part in parts), ZERO), currency)
            day = export.first_day
            text = "Balances brought forward"
            bookings.append(Booking(f"B-{currency}", 0, day, day, "", text, "", (against, *parts)))
    return bookings


Place = tuple[int, str, datetime, datetime]


def _provider_sums(workspace_id: int) -> dict[Place, list[tuple[str, str, Decimal]]]:
    """By billing period what a portfolio's owner owes: (member, currency, sum). Open periods are among them."""
    portfolios = Strategy.objects.filter(workspace_id=workspace_id, kind=Kind.PORTFOLIO)  # nobody else owes
    lines = CommissionLine.objects.filter(workspace_id=workspace_id, strategy_id__in=portfolios.values("backend_id"))
    by = ("connection_id", "strategy_id", "period_start", "period_end")
    sums: dict[Place, list[tuple[str, str, Decimal]]] = defaultdict(list)
    for row in lines.exclude(member_id="").totals(*by, "member_id"):
        if row["total"]:
            place = (row["connection_id"], row["strategy_id"], row["period_start"], row["period_end"])
            sums[place].append((row["member_id"], row["currency"], row["total"]))
    return sums


def _place_of(period: BillingPeriod) -> Place:
    return period.connection_id, period.strategy_id, period.period_start, period.period_end


def closed_with_providers(workspace_id: int) -> list[tuple[int, datetime]]:
    """(id, when it was closed) of billing periods in which a portfolio's owner owes something to providers."""
    places = _provider_sums(workspace_id)
    closed = BillingPeriod.objects.filter(
        workspace_id=workspace_id, closed_at__isnull=False, strategy_id__in={place[1] for place in places}
    )
    return [
        (period.pk, period.closed_at)
        for period in closed.order_by("pk")
        if period.closed_at is not None and _place_of(period) in places
    ]


def _provider_bookings(export: JournalExport) -> Iterator[Booking]:
    """What owners of portfolios owe to the providers of members, by closed period, member and currency."""
    if not export.periods:
        return
    calendar, sums = Calendar(export.zone), _provider_sums(export.workspace_id)
    for period in BillingPeriod.objects.filter(pk__in=export.periods).order_by("pk"):
        assert period.closed_at is not None
        day, until = calendar.day_of(period.closed_at), calendar.last_day_before(period.period_end)
        for member, currency, total in sums[_place_of(period)]:
            parts = (BookingPart("provider-fees", total, currency), BookingPart("providers", -total, currency))
            text = f"Fees to the provider of {member}, portfolio {period.strategy_id}, until {until}"
            key = f"P{period.pk}-{member}-{currency}"
            yield Booking(key, 0, export.day_for(day), day, member, text, "", parts)


# --- Sums -------------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Movement:
    """What a journal moves on one account in one currency."""

    role: str
    currency: str
    debit: Decimal = ZERO
    credit: Decimal = ZERO

    @property
    def balance(self) -> Decimal:
        return self.debit - self.credit


def movements_of(bookings: Iterable[Booking]) -> list[Movement]:
    """By currency and account; currencies are never added up. Money is in the currency it was counted in."""
    sums: dict[tuple[str, str], Movement] = {}
    for booking in bookings:
        for part in booking.parts:
            movement = sums.setdefault((part.currency, part.role), Movement(part.role, part.currency))
            if part.amount > 0:
                movement.debit += part.amount
            else:
                movement.credit -= part.amount
    return [sums[key] for key in sorted(sums)]


def paid_text(part: BookingPart) -> str:
    """The money of a part that came in another currency, for people."""
    return money_text(*part.paid) if part.paid else ""
