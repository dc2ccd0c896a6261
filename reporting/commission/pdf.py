"""A statement or credit note as PDF: the same cents as on the page, read from the document and its lines alone.

The fonts that every PDF reader has know Western European letters only; others in names appear as a question mark, the
account's id stands beside them.
"""

from __future__ import annotations

from decimal import Decimal
from io import BytesIO
from itertools import islice
from typing import Any
from xml.sax.saxutils import escape

from django.db.models import QuerySet
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, LongTable, Paragraph, SimpleDocTemplate, Table

from editing.terms import SCHEMES
from reporting.books import Entry
from reporting.commission.explain import explain
from reporting.commission.money import minor_unit
from reporting.models import CommissionLine, DocumentKind, EntryKind, Statement

MOST_LINES = 2_000
INK, SOFT, RULE = colors.HexColor("#1a2230"), colors.HexColor("#566274"), colors.HexColor("#cdd2da")
TEXT = ParagraphStyle("text", fontName="Helvetica", fontSize=9, leading=12, textColor=INK)
SMALL = ParagraphStyle("small", parent=TEXT, fontSize=8, leading=10, textColor=SOFT)
HEAD = ParagraphStyle("head", parent=TEXT, fontName="Helvetica-Bold", fontSize=16, leading=20)
TITLE = ParagraphStyle("title", parent=TEXT, fontName="Helvetica-Bold", fontSize=10, leading=14, spaceBefore=10)
NUMBER = ParagraphStyle("number", parent=TEXT, alignment=2)
STRONG = ParagraphStyle("strong", parent=NUMBER, fontName="Helvetica-Bold")
LOOK = [
    ("LINEBELOW", (0, 0), (-1, 0), 0.6, INK),
    ("LINEBELOW", (0, 1), (-1, -1), 0.3, RULE),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("RIGHTPADDING", (0, 0), (-1, -1), 4),
]


def plain(value: object) -> str:
    """Text as the standard fonts can show it."""
    text = str(value).replace("\u202f", "\u00a0").replace("\u2212", "-").replace("\u2013", "-")
    return text.encode("cp1252", "replace").decode("cp1252")


def text(value: object, style: ParagraphStyle = TEXT) -> Paragraph:
    """A cell or paragraph; names cannot smuggle markup in."""
    return Paragraph(escape(plain(value)), style)


def money(amount: Decimal, currency: str) -> str:
    """An amount with all the digits of its currency."""
    return f"{amount.quantize(minor_unit(currency)):,f}".replace(",", "\u00a0")


def statement_pdf(document: Statement, lines: QuerySet[CommissionLine]) -> bytes:
    """The file. document: with its balance; lines: the lines it is the sum of, in order."""
    out = BytesIO()
    kind = document.get_kind_display()
    page = SimpleDocTemplate(
        out, pagesize=A4, leftMargin=18 * mm, rightMargin=18 * mm, topMargin=18 * mm, bottomMargin=18 * mm,
        title=plain(f"{kind} {document.label}"), author=plain(document.workspace_name),
    )  # fmt: skip
    story = [text(document.workspace_name, SMALL), text(f"{kind} {document.label}", HEAD), _facts(document)]
    if document.subscriber and document.subscriber.is_simulated:
        story.append(text("Simulated account: prices and money are not real.", TITLE))
    if document.is_void:
        story.append(text("VOID: this document was taken back.", TITLE))
    if document.kind == DocumentKind.CREDIT_NOTE:
        corrects = document.corrects.label if document.corrects else ""
        story += [text(f"Corrects {corrects}: {document.reason}", TITLE), _sums(document)]
    else:
        story += [_items(document), _sums(document)]
        entries = list(document.entries.exclude(kind=EntryKind.STATEMENT).order_by("day", "pk"))
        story += [text("Payments and corrections", TITLE), _entries(document, entries)] if entries else []
        story += _lines(document, lines)
    label = plain(f"{document.workspace_name}, {kind.lower()} {document.label}")

    def foot(canvas: Canvas, template: BaseDocTemplate) -> None:
        canvas.setFont("Helvetica", 8)
        canvas.setFillColor(SOFT)
        canvas.drawString(18 * mm, 10 * mm, label)
        canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, f"Page {canvas.getPageNumber()}")

    page.build(story, onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


def _facts(document: Statement) -> Table:
    rows = [
        ("For", f"{document.subscriber_name} ({document.subscriber_id})"),
        ("Period", f"{document.first_day} to {document.last_day}"),
        ("Issued", f"{document.issued_at:%Y-%m-%d}"),
    ]
    if document.due_on:
        rows.append(("To be paid by", str(document.due_on)))
    table = Table([[text(name, SMALL), text(value)] for name, value in rows], colWidths=[30 * mm, 144 * mm])
    table.setStyle([("LEFTPADDING", (0, 0), (-1, -1), 0), ("BOTTOMPADDING", (0, 0), (-1, -1), 1)])
    table.spaceBefore = table.spaceAfter = 8
    return table


def _items(document: Statement) -> Table:
    rows = [[text("Strategy", SMALL), text("Scheme", SMALL), text("Lines", SMALL),
             text(f"Amount, {document.currency}", SMALL)]]  # fmt: skip
    for item in document.items.order_by("period__period_start", "strategy_name", "pk"):
        rows.append([text(item.strategy_name), text(SCHEMES.get(item.scheme, item.scheme)), text(item.lines, NUMBER),
                     text(money(item.amount, document.currency), NUMBER)])  # fmt: skip
    table = Table(rows, colWidths=[72 * mm, 50 * mm, 16 * mm, 36 * mm], repeatRows=1)
    table.setStyle(LOOK)
    return table


def _sums(document: Statement) -> Table:
    rows = [("Total", f"{money(document.amount, document.currency)} {document.currency}")]
    if document.kind == DocumentKind.STATEMENT:
        rows.append(("Left to pay", f"{money(document.balance, document.currency)} {document.currency}"))
    if document.reporting_amount is not None and document.reporting_currency != document.currency:
        quote = document.reporting_currency
        rows.append((f"Total in {quote}", f"{money(document.reporting_amount, quote)} {quote}"))
    cells = [[text(name, STRONG), text(value, STRONG)] for name, value in rows]
    table = Table(cells, colWidths=[126 * mm, 48 * mm])
    table.setStyle([("RIGHTPADDING", (0, 0), (-1, -1), 4)])
    return table


def _entries(document: Statement, entries: list[Entry]) -> Table:
    rows = [[text("Day", SMALL), text("What", SMALL), text(f"Amount, {document.currency}", SMALL)]]
    for entry in entries:
        what = f"{entry.get_kind_display()}{': ' + entry.reason if entry.reason else ''}"
        rows.append([text(entry.day), text(what), text(money(entry.amount, document.currency), NUMBER)])
    table = Table(rows, colWidths=[26 * mm, 112 * mm, 36 * mm], repeatRows=1)
    table.setStyle(LOOK)
    return table


def _lines(document: Statement, lines: QuerySet[CommissionLine]) -> list[Any]:
    shown = list(islice(lines.iterator(chunk_size=500), MOST_LINES + 1))
    if len(shown) > MOST_LINES:
        said = f"More than {MOST_LINES} lines: they are in the CSV file of this statement."
        return [text("Lines", TITLE), text(said, SMALL)]
    rows = [[text("Day", SMALL), text("What it is for, and how it was computed", SMALL),
             text(f"Amount, {document.currency}", SMALL)]]  # fmt: skip
    for line in shown:
        why = explain(line)
        what = Paragraph(f"{escape(plain(why.title))}<br/><font size='7.5' color='#566274'>"
                         f"{escape(plain(why.formula))}</font>", TEXT)  # fmt: skip
        rows.append([text(f"{line.occurred_at:%Y-%m-%d}"), what, text(money(line.amount, line.currency), NUMBER)])
    table = LongTable(rows, colWidths=[22 * mm, 120 * mm, 32 * mm], repeatRows=1)
    table.setStyle(LOOK)
    return [text("Lines", TITLE), table]
