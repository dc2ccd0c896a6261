"""Tables that people upload: read whole, or refused with the line; nothing in between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copying.backend.settings.uploads import UnreadableTable, read_table

HEAD = "time,currency,priority,breaking,title"
ROW = "2030-01-04T13:30:00Z,USD,high,,Payrolls"
OTHER = "2030-01-05T13:30:00Z,EUR,low,yes,Rates"


def read(content: str | bytes, charset: str = "") -> list[tuple[int, dict[str, str]]]:
    content = content if isinstance(content, bytes) else content.encode()
    return read_table(content, ("time", "currency", "priority"), ("breaking", "title"), charset=charset)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", "\r\r", "\n \n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_all_line_ends_are_read(end: str, mark: str) -> None:
    rows = read(mark + end.join([HEAD, ROW, OTHER, ""]))
    assert [row["title"] for _, row in rows] == ["Payrolls", "Rates"]
    assert [row["currency"] for _, row in rows] == ["USD", "EUR"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("hint", ["", "sep=x\r\n"])
def test_all_separators_are_read(separator: str, hint: str) -> None:
    text = hint.replace("x", separator) + "\r\n".join([HEAD, ROW]).replace(",", separator)
    [(line, row)] = read(text)
    assert (row["time"], row["title"]) == ("2030-01-04T13:30:00Z", "Payrolls")
    assert line == (3 if hint else 2)


@pytest.mark.parametrize(
    ("content", "charset"),
    [
        (f"{HEAD}\n{ROW}é".encode(), ""),
        (f"{HEAD}\n{ROW}é".encode(), "UTF-8"),
        (f"{HEAD}\n{ROW}é".encode("utf-16"), ""),
        (f"{HEAD}\n{ROW}é".encode("utf-16"), "utf-8"),
        (f"{HEAD}\n{ROW}é".encode("cp1252"), "windows-1252"),
        (f"{HEAD}\n{ROW}é".encode("latin-1"), "ISO-8859-1"),
    ],
)
def test_encodings_that_are_told_are_read(content: bytes, charset: str) -> None:
    assert read(content, charset)[0][1]["title"] == "Payrollsé"


def test_the_head_may_be_in_any_case_and_order_and_have_more_columns() -> None:
    [(_, row)] = read('Currency, Forecast ,TIME,"Priority"\nUSD,1.5,2030-01-04,high\n')
    assert row == {"time": "2030-01-04", "currency": "USD", "priority": "high", "breaking": "", "title": ""}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the first line must name time,currency,priority"),
        ("when,what\n1,2", "line 1: the first line must name"),
        ("\n\nwhen,what\n1,2", "line 3: the first line must name"),
        (f"{HEAD},title\n{ROW}", "line 1: the column title is named twice"),
        (f"{HEAD}\n{ROW}, and more\n", "line 2: it has 6 cells, the first line 5"),
        (f'{HEAD}\n{ROW}\n2030,USD,high,,"open\n{ROW}\n', "line 3: it cannot be read: a quote that opens"),
        (f'{HEAD}\n2030,USD,high,,"a"b"\n', "line 2: it cannot be read"),
        (f"{HEAD}\r{ROW}\r{ROW}{'x' * 140_000}\r", "line 3: it cannot be read"),
        (f"{HEAD}\n{ROW}{'x' * 10_000}", "line 2: a cell has more than 10,000 characters"),
        (f"{HEAD}\n{'x' * 300_000}", "line 2: it is too long"),
        (f"{HEAD}\r\n{ROW}\r\nx\0y", "line 3: it must not contain NUL"),
        (f"{HEAD}\n{ROW}\xe9".encode("latin-1"), "line 2: it is not written in UTF-8"),
        (b"\xff\xfe", "the first line must name"),
        (b"\xff\xfea", "line 1: it is not written in utf-16"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(content: str | bytes, words: str) -> None:
    with pytest.raises(UnreadableTable, match="^.*" + words.replace("(", r"\(")):
        read(content)


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(UnreadableTable, match="the encoding klingon is not known"):
        read(f"{HEAD}\n{ROW}", "klingon")


@given(
    st.one_of(
        st.binary(max_size=200), st.text(max_size=200).map(lambda text: f"{HEAD}\n{text}".encode("utf-8", "ignore"))
    )
)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        rows = read(content)
    except UnreadableTable:
        return
    text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    lines = [line for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip()]
    assert len(rows) <= len(lines) - 1
