"""Reading a CSV of currencies: every bad row is named with its line."""

from __future__ import annotations

import pytest

from reporting import entering
from reporting.entering import read_entries
from users.table_files import BadRows


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("account\na", {1: "names the columns"}),
        ("account;currency;phone\na;USD;1", {1: "names the columns"}),
        ("account;currency\n", {0: "No row of the file"}),
        ("account;currency\na;\nb;", {0: "No row of the file"}),
        ("account;currency\na;USD;1", {2: "It has 3 cells"}),
        ("account;currency\na;UDS\nb;usd\nc;US", {2: "“UDS” is no currency", 4: "“US” is no currency"}),
        ("account;currency;balance\na;;5", {2: "a balance but no currency"}),
        ("account;currency\n;USD", {2: "names no account"}),
        ("account;currency;balance\na;USD;x\nb;USD;1,234", {2: "must be a number", 3: "can be 1234 or 1.234"}),
        ("account;currency;balance\na;USD;1e400", {2: "Balance"}),
        ("account;currency\na;USD\n\na;EUR", {4: "a stands in line 2 already"}),
    ],
)
def test_every_bad_row_is_named(text, expected):
    with pytest.raises(BadRows) as caught:
        read_entries(text.encode())
    assert {row.line for row in caught.value.rows} == set(expected)
    for row in caught.value.rows:
        assert expected[row.line] in row.text


@pytest.mark.parametrize(("number", "works"), [(entering.MOST_ROWS, True), (entering.MOST_ROWS + 1, False)])
def test_a_file_has_a_length(number, works):
    text = "account,currency\n" + "".join(f"a{n},USD\n" for n in range(number))
    if works:
        assert len(read_entries(text.encode())[0]) == number
    else:
        with pytest.raises(BadRows):
            read_entries(text.encode())
