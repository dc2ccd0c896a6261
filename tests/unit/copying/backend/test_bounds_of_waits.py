"""When a refused request may be repeated: never earlier than there is enough, in whole seconds."""

from __future__ import annotations

import asyncio

import pytest

from copying.backend.http.credits import PER_ACCOUNT
from copying.backend.http.terminal_access import TooManyCredits, on_too_many_credits


@pytest.mark.parametrize(
    ("seconds", "header"), [(0.0, "1"), (0.001, "1"), (1.0, "1"), (1.001, "2"), (2.0, "2"), (9.5, "10")]
)
def test_credits_come_back_after_whole_seconds(seconds: float, header: str) -> None:
    response = asyncio.run(on_too_many_credits(None, TooManyCredits(50.0, seconds, PER_ACCOUNT[0])))
    assert (response.status_code, response.headers["retry-after"]) == (429, header)


def test_another_error_is_not_taken_for_a_lack_of_credits() -> None:
    with pytest.raises(KeyError):
        asyncio.run(on_too_many_credits(None, KeyError("x")))
