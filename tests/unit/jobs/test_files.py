"""Rows of a CSV are counted as it is written, in whatever pieces it comes."""

from __future__ import annotations

import pytest

from jobs import files

TEXT = b'a,b\n1,"two\nlines"\n2,"a ""quoted"" word"\n3,"x"\n'


@pytest.mark.parametrize("size", range(1, len(TEXT) + 1))
def test_lines_inside_quotes_are_part_of_a_cell(size):
    lines, is_quoted = 0, False
    for start in range(0, len(TEXT), size):
        more, is_quoted = files.count_lines(TEXT[start : start + size], is_quoted)
        lines += more
    assert (lines, is_quoted) == (4, False)


@pytest.mark.parametrize(
    "name",
    ["", "..", "../environment", "a.csv", "0" * 32, f"{'0' * 32}.csv/..", f"{'0' * 32}.csv\n", f"{'g' * 32}.csv"],
)
def test_only_names_of_ours_are_looked_up(name, settings, tmp_path):
    settings.VAR = tmp_path
    (tmp_path / "environment").write_text("x")
    assert files.path_of(name) is None
    assert files.remove(name) == 0
