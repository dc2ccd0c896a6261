"""Pages of a PDF, drawn row by row: text in any script that a font can show, columns, running heads, page x of y.

Rows are drawn on the canvas itself: a thousand rows of paragraphs take seconds, a thousand drawn ones a tenth of one.
The fonts are DejaVu Sans, embedded as far as they are used (reporting/fonts/LICENSE.txt): Latin, Greek, Cyrillic, more.
What they lack of Chinese, Japanese and Korean is left to the fonts that PDF readers have for it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

FONTS = Path(__file__).resolve().parent.parent / "fonts"
REGULAR, BOLD = "DejaVuSans", "DejaVuSans-Bold"
CHINESE, JAPANESE, KOREAN = "STSong-Light", "HeiseiMin-W3", "HYSMyeongJo-Medium"
INK, SOFT, RULE = HexColor("#1a2230"), HexColor("#566274"), HexColor("#cdd2da")
LEFT, RIGHT, TOP, BOTTOM = 18 * mm, A4[0] - 18 * mm, A4[1] - 18 * mm, 20 * mm
WIDTH = RIGHT - LEFT
NO_GLYPH = "\ufffd"
FIRST_RTL = "\u0590"  # Hebrew; what is before it is written from left to right


@dataclass(frozen=True, slots=True)
class TextStyle:
    """How text looks. size, leading: points."""

    font: str = REGULAR
    size: float = 8
    leading: float = 11
    is_soft: bool = False


BODY, STRONG = TextStyle(), TextStyle(BOLD)
SMALL = TextStyle(size=7, leading=9.5, is_soft=True)
TITLE, HEAD = TextStyle(BOLD, 9.5, 14), TextStyle(BOLD, 15, 20)


@dataclass(frozen=True, slots=True)
class PaperColumn:
    """A column of a table. left, width: points from the left margin; numbers stand on their last digit."""

    title: str
    left: float
    width: float
    is_number: bool = False


@cache
def load_fonts() -> None:
    """Make the fonts known to reportlab, once a process."""
    for name in (REGULAR, BOLD):
        pdfmetrics.registerFont(TTFont(name, str(FONTS / f"{name}.ttf")))
    for name in (CHINESE, JAPANESE, KOREAN):
        pdfmetrics.registerFont(UnicodeCIDFont(name))


# --- Text -------------------------------------------------------------------------------------------------------------


def printable(value: object) -> str:
    """Text without what has no width or breaks lines; narrow blanks as ones that every font has."""
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    text = unicodedata.normalize("NFC", text).replace("\u202f", "\u00a0").replace("\u2009", "\u00a0")
    return "".join(
        " " if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") else character for character in text
    )


@lru_cache(maxsize=4_096)
def font_of(character: str, font: str) -> str:
    """The font that shows a character; empty: none does."""
    if ord(character) in pdfmetrics.getFont(font).face.charToGlyph:
        return font
    name = unicodedata.name(character, "")
    if "HANGUL" in name:
        return KOREAN
    if "HIRAGANA" in name or "KATAKANA" in name:
        return JAPANESE
    return CHINESE if name.startswith("CJK ") or unicodedata.east_asian_width(character) in "WF" else ""


class TextRun(NamedTuple):
    """A piece of text in one font. width: at a size of one point."""

    font: str
    text: str
    width: float


@lru_cache(maxsize=8_192)
def runs_of(text: str, font: str) -> tuple[TextRun, ...]:
    """The pieces of a text in the order in which they are drawn, from left to right."""
    shown = printable(text)
    if shown.isascii():
        return (TextRun(font, shown, pdfmetrics.stringWidth(shown, font, 1)),)
    placed = [
        (font_of(character, font) or font, character if font_of(character, font) else NO_GLYPH)
        for character in _in_drawn_order(shown)
    ]
    pieces = [
        (name, "".join(character for _, character in run)) for name, run in groupby(placed, key=lambda pair: pair[0])
    ]
    return tuple(TextRun(name, piece, pdfmetrics.stringWidth(piece, name, 1)) for name, piece in pieces)


def _in_drawn_order(text: str) -> str:
    """Words of scripts that are written from right to left, the other way round; Arabic letters are not joined."""
    if max(text) < FIRST_RTL:
        return text
    is_rtl = [unicodedata.bidirectional(character) in ("R", "AL", "NSM") for character in text]
    if not any(is_rtl):
        return text
    first, last = is_rtl.index(True), len(text) - is_rtl[::-1].index(True)
    inner = text[first:last]
    if any(unicodedata.bidirectional(character) == "L" for character in inner):  # two directions in one: word by word
        return " ".join(_in_drawn_order(word) if len(text.split()) > 1 else word for word in text.split(" "))
    return text[:first] + inner[::-1] + text[last:]


def width_of(text: str, style: TextStyle) -> float:
    """How wide text is. units: points"""
    return style.size * sum(run.width for run in runs_of(text, style.font))


def wrapped(value: object, style: TextStyle, width: float) -> list[str]:
    """Lines of text that fit a width; words that are too long are broken."""
    lines: list[str] = []
    for paragraph in str(value).splitlines() or [""]:
        if width_of(paragraph, style) <= width:
            lines.append(paragraph)
        else:
            lines += _broken(printable(paragraph), style, width)
    return lines


def _broken(text: str, style: TextStyle, width: float) -> list[str]:
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if width_of(longer, style) <= width:
            line = longer
            continue
        lines += [line] if line else []
        line = word
        while width_of(line, style) > width and len(line) > 1:
            fits = max(1, int(len(line) * width / width_of(line, style)) - 1)
            lines.append(line[:fits])
            line = line[fits:]
    return [*lines, line]


# --- Pages ------------------------------------------------------------------------------------------------------------


class NumberedCanvas(Canvas):  # type: ignore[misc]  # reportlab has no types
    """Keeps its pages until it is saved: only then it is known how many there are."""

    def __init__(self, out: BytesIO, *, foot: str) -> None:
        super().__init__(out, pagesize=A4)
        self.foot = foot
        self.kept: list[dict[str, Any]] = []

    def showPage(self) -> None:  # the name that reportlab calls
        self.kept.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        for number, page in enumerate(self.kept, start=1):
            self.__dict__.update(page)
            draw_text(self, LEFT, 10 * mm, self.foot, SMALL)
            draw_text(self, RIGHT, 10 * mm, f"Page {number} of {len(self.kept)}", SMALL, is_right=True)
            super().showPage()
        super().save()


def draw_text(
    canvas: Canvas, x: float, y: float, text: str, style: TextStyle = BODY, *, is_right: bool = False
) -> None:
    """One line of text at a place; is_right: that ends there."""
    if is_right:
        x -= width_of(text, style)
    canvas.setFillColor(SOFT if style.is_soft else INK)
    for run in runs_of(text, style.font):
        canvas.setFont(run.font, style.size)
        canvas.drawString(x, y, run.text)
        x += run.width * style.size


class Paper:
    """A document that is written from top to bottom, page after page."""

    def __init__(self, *, title: str, author: str, foot: str) -> None:
        load_fonts()
        self.out = BytesIO()
        self.canvas = NumberedCanvas(self.out, foot=foot)
        self.canvas.setTitle(printable(title))
        self.canvas.setAuthor(printable(author))
        self.y = TOP

    def finish(self) -> bytes:
        """The file."""
        self.canvas.showPage()
        self.canvas.save()
        return self.out.getvalue()

    def has_room(self, height: float) -> bool:
        return bool(self.y - height >= BOTTOM)

    def new_page(self) -> None:
        self.canvas.showPage()
        self.y = TOP

    def gap(self, height: float) -> None:
        self.y -= height

    def write(
        self, value: object, style: TextStyle = BODY, *, left: float = 0, width: float = WIDTH, is_right: bool = False
    ) -> None:
        """Lines of text below what is there; left, width: points from the left margin."""
        for line in wrapped(value, style, width):
            if not self.has_room(style.leading):
                self.new_page()
            self.y -= style.leading
            draw_text(self.canvas, LEFT + left + (width if is_right else 0), self.y, line, style, is_right=is_right)

    def side_by_side(self, left: Sequence[tuple[str, TextStyle]], right: Sequence[tuple[str, TextStyle]]) -> None:
        """Two blocks, the second one on the right side of the page."""
        top, lowest = self.y, self.y
        for block, place, width in ((left, 0.0, 0.55 * WIDTH), (right, 0.6 * WIDTH, 0.4 * WIDTH)):
            self.y = top
            for text, style in block:
                self.write(text, style, left=place, width=width)
            lowest = min(lowest, self.y)
        self.y = lowest

    def picture(self, png: bytes, *, width: float, height: float) -> None:
        """A picture at the left margin, as large as fits into so many points."""
        image = ImageReader(BytesIO(png))
        across, down = image.getSize()
        scale = min(width / across, height / down)
        self.y -= down * scale
        self.canvas.drawImage(image, LEFT, self.y, across * scale, down * scale, mask="auto")

    def rule(self, *, is_strong: bool = False) -> None:
        self.canvas.setStrokeColor(INK if is_strong else RULE)
        self.canvas.setLineWidth(0.6 if is_strong else 0.3)
        self.canvas.line(LEFT, self.y - 3, RIGHT, self.y - 3)
        self.y -= 4

    def pair(self, name: str, value: str, *, is_strong: bool = False) -> None:
        """A figure at the right margin with its name before it."""
        style = STRONG if is_strong else BODY
        if not self.has_room(style.leading):
            self.new_page()
        self.y -= style.leading
        draw_text(self.canvas, RIGHT, self.y, value, style, is_right=True)
        draw_text(self.canvas, LEFT + 0.62 * WIDTH, self.y, name, style, is_right=True)

    def heads(self, columns: Sequence[PaperColumn]) -> None:
        """The titles of a table's columns, each above its figures."""
        self.y -= SMALL.leading
        for column in columns:
            x = LEFT + column.left + (column.width if column.is_number else 0)
            draw_text(self.canvas, x, self.y, column.title, SMALL, is_right=column.is_number)
        self.rule(is_strong=True)

    def row(self, columns: Sequence[PaperColumn], cells: Sequence[str], *, notes: Sequence[str] = ()) -> None:
        """A row of a table; where it does not fit, a page begins with the titles again. notes: small, in column 2."""
        texts = [wrapped(cell, BODY, column.width) for cell, column in zip(cells, columns, strict=True)]
        small = [line for note in notes for line in wrapped(note, SMALL, columns[1].width)]
        height = max(map(len, texts)) * BODY.leading + len(small) * SMALL.leading + 4
        if not self.has_room(height):
            self.new_page()
            self.heads(columns)
        top = self.y
        for column, lines in zip(columns, texts, strict=True):
            x = LEFT + column.left + (column.width if column.is_number else 0)
            for number, line in enumerate(lines, start=1):
                draw_text(self.canvas, x, top - number * BODY.leading, line, is_right=column.is_number)
        self.y = top - max(map(len, texts)) * BODY.leading
        for line in small:
            self.y -= SMALL.leading
            draw_text(self.canvas, LEFT + columns[1].left, self.y, line, SMALL)
        self.rule()
