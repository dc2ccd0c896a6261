"""What a calendar of news may say of an event that breaks."""

from __future__ import annotations

import pytest

from copying.backend.settings.news import read_csv
from copying.backend.state.errors import Refused

HEAD = "time,currency,priority,breaking\n2026-03-02T12:00:00Z,USD,high,"
YES, NO = ("1", "true", "yes", "y", "YES", "True"), ("", "0", "false", "no", "n", "No")


@pytest.mark.parametrize(("word", "is_breaking"), [*((word, True) for word in YES), *((word, False) for word in NO)])
def test_a_known_word_says_whether_it_breaks(word: str, is_breaking: bool) -> None:
    assert [event["breaking"] for event in read_csv(HEAD + word)] == [is_breaking]


@pytest.mark.parametrize("word", ["2", "maybe", "-1", "ja"])
def test_another_word_is_refused_with_its_line(word: str) -> None:
    with pytest.raises(Refused) as refused:
        read_csv(HEAD + word)
    assert "line 2" in refused.value.details[0]["message"]
