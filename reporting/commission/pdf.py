"""A statement or credit note as PDF: the same cents as on the page, read from the document and its lines alone.

Firm, client, tax and terms are those that the document keeps of its day of issue.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from django.db.models import QuerySet

from reporting.commission.explain import explain
from reporting.commission.money import minor_unit
from reporting.commission.paper import BODY, HEAD, SMALL, STRONG, TITLE, WIDTH, Paper, PaperColumn, TextStyle
from reporting.commission.wording import CHARGES
from reporting.commission.zones import period_days
from reporting.identity import TaxKind
from reporting.models import CommissionLine, DocumentKind, Entry, EntryKind, Statement, StatementItem
from reporting.rates import rate_note
from users.models import Logo

MOST_LINES = 2_000
LOGO_WIDTH, LOGO_HEIGHT = 150, 45  # points
NO_TAX_WORDS = {
    TaxKind.REVERSE_CHARGE: "Reverse charge: the client owes the tax.",
    TaxKind.EXEMPT: "Exempt from tax.",
}


def money(amount: Decimal, currency: str) -> str:
    """An amount with all the digits of its currency."""
    return f"{amount.quantize(minor_unit(currency)):,f}".replace(",", "\u00a0")


def with_unit(amount: Decimal, currency: str) -> str:
    return f"{money(amount, currency)} {currency}"


class Unissued(NamedTuple):
    """A statement that is not issued: what it would list."""

    items: Sequence[StatementItem]


def statement_pdf(document: Statement, lines: QuerySet[CommissionLine], preview: Unissued | None = None) -> bytes:
    """The file. document: with its balance; lines: the lines it is the sum of, in order."""
    kind, label = document.get_kind_display(), "not issued" if preview else document.label
    firm = _firm(document)["name"]
    paper = Paper(title=f"{kind} {label}", author=firm, foot=f"{firm}, {kind.lower()} {label}")
    _write_heads(paper, document, kind, label)
    if preview:
        paper.write("PREVIEW: this statement is not issued, and nothing is owed by it.", TITLE)
        paper.gap(6)
        _write_statement(paper, document, lines, preview)
        return paper.finish()
    if document.kind == DocumentKind.CREDIT_NOTE:
        _write_credit_note(paper, document)
    else:
        _write_statement(paper, document, lines)
    return paper.finish()


def _firm(document: Statement) -> dict[str, str]:
    return document.parties.get("firm") or {"name": document.workspace_name, "address": "", "tax_number": ""}


def _client(document: Statement) -> dict[str, str]:
    return document.parties.get("client") or {"name": document.subscriber_name, "address": "", "tax_number": ""}


def _block(party: dict[str, str], *more: str) -> list[tuple[str, TextStyle]]:
    """Name, address and tax number, below each other."""
    lines = [(party["name"], STRONG)]
    lines += [(line, BODY) for line in party.get("address", "").splitlines()]
    lines += [(f"Tax number {party['tax_number']}", BODY)] if party.get("tax_number") else []
    return lines + [(line, SMALL) for line in more]


def _write_heads(paper: Paper, document: Statement, kind: str, label: str) -> None:
    """Who sends it, to whom, what it is and of when; and what makes it another thing than it seems."""
    _write_logo(paper, document)
    facts = [(f"Issued {document.issued_at:%Y-%m-%d}", BODY)]
    facts += [(f"Period {document.first_day} to {document.last_day}", BODY)]
    facts += [(f"To be paid by {document.due_on}", STRONG)] if document.due_on else []
    paper.side_by_side(_block(_firm(document)), [(kind, HEAD), (label, TITLE), *facts])
    paper.gap(14)
    paper.side_by_side([("For", SMALL), *_block(_client(document), f"Account {document.subscriber_id}")], [])
    paper.gap(10)
    if document.subscriber and document.subscriber.is_simulated:
        paper.write("Simulated account: prices and money are not real.", TITLE)
    if document.is_void:
        _write_voiding(paper, document)


def _write_logo(paper: Paper, document: Statement) -> None:
    """The logo that the firm had on the day of issue."""
    if digest := _firm(document).get("logo"):
        logo = Logo.objects.get(workspace=document.workspace_id, digest=digest)
        paper.picture(bytes(logo.png), width=LOGO_WIDTH, height=LOGO_HEIGHT)
        paper.gap(8)


def _write_voiding(paper: Paper, document: Statement) -> None:
    """The cancellation as the document that a client gets: when, and why."""
    if document.kind == DocumentKind.CREDIT_NOTE:
        entry = reversal_of(document)
    else:
        entry = document.entries.filter(kind=EntryKind.VOID).order_by("pk").first()
    paper.write(f"VOID: this document was taken back{f' on {entry.day}' if entry else ''}.", TITLE)
    if entry and entry.reason:
        paper.write(f"Reason: {entry.reason}")
    if document.kind == DocumentKind.CREDIT_NOTE:
        paper.write("It takes nothing off any more: the statement that it corrected is owed as it was before it.")
        return
    paper.write("Nothing is owed on it, and what was paid is credit. Its periods may stand on a later statement.")


def reversal_of(note: Statement) -> Entry | None:
    """The entry that took a credit note back."""
    own = Entry.objects.filter(statement=note.corrects_id, kind=EntryKind.REVERSAL, amount=-note.total)
    return own.filter(undoes__made_at=note.issued_at).order_by("pk").first()


def _write_credit_note(paper: Paper, document: Statement) -> None:
    corrected = document.corrects
    paper.write(f"Corrects {corrected.label}" if corrected else "Correction", TITLE)
    if corrected:
        paper.write(f"of {corrected.issued_at:%Y-%m-%d} over {with_unit(corrected.total, corrected.currency)}")
    paper.write(f"Reason: {document.reason}")
    paper.gap(8)
    _write_sums(paper, document)
    _write_ending(paper, document)


def _write_statement(
    paper: Paper, document: Statement, lines: QuerySet[CommissionLine], preview: Unissued | None = None
) -> None:
    if preview is None:
        listed = document.items.select_related("period").order_by("period__period_start", "strategy_name", "pk")
        _write_items(paper, document, list(listed))
    else:
        _write_items(paper, document, preview.items)
    _write_sums(paper, document)
    if preview is None:
        _write_entries(paper, document)
    _write_ending(paper, document)
    _write_lines(paper, document, lines)


def _columns(*columns: tuple[str, float]) -> list[PaperColumn]:
    """From (title, share of the width) each; a title that ends with a currency or “Lines” heads figures."""
    placed, left = [], 0.0
    for title, share in columns:
        is_number = title == "Lines" or title.startswith("Amount")
        placed.append(PaperColumn(title, left, share * WIDTH - 8 * (not is_number), is_number))
        left += share * WIDTH
    return placed


def _write_items(paper: Paper, document: Statement, items: Sequence[StatementItem]) -> None:
    amount = f"Amount, {document.currency}"
    columns = _columns(("Strategy", 0.33), ("Scheme", 0.2), ("Period", 0.24), ("Lines", 0.08), (amount, 0.15))
    days_of = period_days(document.workspace, [item.period for item in items])
    paper.heads(columns)
    for item in items:
        days = days_of(item.period)
        cells = [item.strategy_name, CHARGES.get(item.scheme, item.scheme), days, str(item.lines)]
        paper.row(columns, [*cells, money(item.amount, document.currency)])


def _write_sums(paper: Paper, document: Statement) -> None:
    """Net amount, tax, total, what is left of it, and the total in the firm's own currency."""
    tax = document.parties.get("tax") or {}
    paper.gap(6)
    if document.tax_rate:
        percent = f"{(document.tax_rate * 100).normalize():f}"
        paper.pair("Net", with_unit(document.amount, document.currency))
        paper.pair(f"{tax.get('name', 'Tax')} {percent} %", with_unit(document.tax, document.currency))
    paper.pair("Total", with_unit(document.total, document.currency), is_strong=True)
    if document.kind == DocumentKind.STATEMENT:
        paper.pair("Left to pay", with_unit(document.balance, document.currency), is_strong=True)
    if document.reporting_amount is not None and document.reporting_currency != document.currency:
        quote = document.reporting_currency
        name = f"{'Net' if document.tax_rate else 'Total'} in {quote}"
        is_old = document.rates_accepted_at is not None
        note = f" ({rate_note(document.rate_day, is_rate_old=is_old)})" if document.rate_day else ""
        paper.pair(name + note, with_unit(document.reporting_amount, quote))
    words = NO_TAX_WORDS.get(tax.get("kind", ""))
    if words:
        paper.gap(4)
        paper.write(f"{words} {tax.get('reason', '')}".strip())


def _write_entries(paper: Paper, document: Statement) -> None:
    entries = list(document.entries.exclude(kind=EntryKind.STATEMENT).order_by("day", "pk"))
    if not entries:
        return
    columns = _columns(("Day", 0.15), ("What", 0.65), (f"Amount, {document.currency}", 0.2))
    paper.gap(8)
    paper.write("Payments and corrections", TITLE)
    paper.heads(columns)
    for entry in entries:
        what = f"{entry.get_kind_display()}{': ' + entry.reason if entry.reason else ''}"
        paper.row(columns, [str(entry.day), what, money(entry.amount, document.currency)])


def _write_ending(paper: Paper, document: Statement) -> None:
    """Where to pay, and the firm's own words."""
    for title, key in (("Bank details", "bank_details"), ("", "terms")):
        text = document.parties.get(key, "")
        if text:
            paper.gap(8)
            paper.write(title, TITLE) if title else None
            paper.write(text)


def _write_lines(paper: Paper, document: Statement, lines: QuerySet[CommissionLine]) -> None:
    shown: Sequence[CommissionLine] = list(islice(lines.iterator(chunk_size=500), MOST_LINES + 1))
    paper.gap(10)
    paper.write("Lines", TITLE)
    if len(shown) > MOST_LINES:
        paper.write(f"More than {MOST_LINES} lines: they are in the CSV file of this statement.", SMALL)
        return
    columns = _columns(
        ("Day", 0.13), ("What it is for, and how it was computed", 0.69), (f"Amount, {document.currency}", 0.18)
    )
    paper.heads(columns)
    for line in shown:
        why = explain(line)
        day = f"{line.occurred_at:%Y-%m-%d}"
        paper.row(columns, [day, why.title, money(line.amount, line.currency)], notes=[why.formula])
