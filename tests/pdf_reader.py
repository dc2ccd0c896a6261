"""Reads the text of a PDF as a person would copy it: through the tables that each embedded font carries for that."""

from __future__ import annotations

import base64
import re
import zlib


def _streams(content: bytes) -> dict[int, bytes]:
    """Unpacked streams by the number of their object."""
    streams = {}
    for match in re.finditer(rb"(\d+) 0 obj\s*<<([^>]*?)/Length (\d+)([^>]*)>>\s*stream\r?\n", content):
        filters, raw = match[2] + match[4], content[match.end() : match.end() + int(match[3])]
        if b"ASCII85Decode" in filters:
            raw = base64.a85decode(b"<~" + raw.strip(), adobe=True)
        streams[int(match[1])] = zlib.decompress(raw) if b"FlateDecode" in filters else raw
    return streams


def _letters_of_fonts(content: bytes, streams: dict[int, bytes]) -> dict[str, dict[int, str]]:
    """By name of a font in the pages, what its codes mean."""
    fonts = {}
    names = dict(re.findall(rb"/(F\d+\+\d+) (\d+) 0 R", content))
    for name, number in names.items():
        body = re.search(rb"\n%s 0 obj(.*?)endobj" % number, content, re.DOTALL)[1]
        table = re.search(rb"/ToUnicode (\d+) 0 R", body)
        if not table:
            continue
        letters = {}
        for first, _, values in re.findall(rb"<(\w+)>\s*<(\w+)>\s*\[(.*?)\]", streams[int(table[1])], re.DOTALL):
            for step, value in enumerate(re.findall(rb"<(\w+)>", values)):
                letters[int(first, 16) + step] = bytes.fromhex(value.decode()).decode("utf-16-be")
        for code, value in re.findall(rb"^<(\w+)>\s*<(\w{4,})>\s*$", streams[int(table[1])], re.MULTILINE):
            letters[int(code, 16)] = bytes.fromhex(value.decode()).decode("utf-16-be")
        fonts[name.decode()] = letters
    return fonts


def _unescaped(text: bytes) -> bytes:
    """A string of a page without its escapes."""
    plain = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
    return re.sub(
        rb"\\([0-7]{1,3}|.)",
        lambda m: bytes([int(m[1], 8)]) if m[1].isdigit() else plain.get(m[1], m[1]),
        text,
        flags=re.DOTALL,
    )


def pdf_pages(content: bytes) -> list[list[tuple[float, float, str]]]:
    """The pieces of text of each page as (x, y, text), in the order in which they are drawn."""
    streams = _streams(content)
    fonts = _letters_of_fonts(content, streams)
    pages = []
    for number in sorted(streams):
        pieces = []
        for block in re.findall(rb"BT (.*?) ET", streams[number], re.DOTALL):
            place = re.search(rb"1 0 0 1 ([\d.-]+) ([\d.-]+) Tm", block)
            text, font = "", ""
            for name, shown in re.findall(rb"/(F\d+(?:\+\d+)?) [\d.]+ Tf|\(((?:\\.|[^\\)])*)\) Tj", block, re.DOTALL):
                font = name.decode() or font
                codes = _unescaped(shown) if not name else b""
                letters = fonts.get(font)
                text += (
                    "".join(letters.get(code, "") for code in codes)
                    if letters
                    else codes.decode("utf-16-be", "replace")
                )
            if place and text:
                pieces.append((float(place[1]), float(place[2]), text))
        if pieces:
            pages.append(pieces)
    return pages


def pdf_text(content: bytes) -> str:
    """All text, a line for each piece."""
    return "\n".join(text for page in pdf_pages(content) for _, _, text in page)
