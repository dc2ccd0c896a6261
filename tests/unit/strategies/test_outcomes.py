"""What is said of a sent signal: green only when every account has its copy."""

from __future__ import annotations

import itertools

import pytest

from strategies.outcomes import outcome_of


@pytest.mark.parametrize(
    ("decisions", "reached", "tone", "words"),
    [
        ([], 3, "quiet", "Waiting"),
        ([], 0, "warn", "Nobody copies it"),
        ([("copied", "copied")], 1, "good", "1 copied"),
        ([("copied", "copied"), ("resized", "max-trade-volume")], 2, "good", "1 copied, 1 resized"),
        ([("copied", "copied")], 2, "info", "1 copied"),
        ([("failed", "unknown-symbol")], 1, "bad", "1 failed: unknown symbol"),
        ([("copied", "copied"), ("failed", "no-price")], 2, "bad", "1 copied, 1 failed: no price"),
        ([("skipped", "close-only")], 1, "warn", "1 skipped: close only"),
        ([("copied", "copied"), ("skipped", "close-only")], 2, "info", "1 copied, 1 skipped: close only"),
        ([("delayed", "delayed")], 1, "info", "1 delayed"),
        (
            [("failed", "a-b"), ("failed", "c"), ("failed", "a-b"), ("skipped", "d")],
            4,
            "bad",
            "1 skipped, 3 failed: a b, c and 1 more",
        ),
    ],
)
def test_words_and_tone(decisions, reached, tone, words):
    state = outcome_of(decisions).state(reached)
    assert (state.tone, state.words) == (tone, words)


def test_a_failure_is_never_green():
    outcomes = ("copied", "resized", "delayed", "skipped", "failed")
    for length in range(1, 4):
        for some in itertools.product(outcomes, repeat=length):
            state = outcome_of((one, "reason") for one in some).state(length)
            assert ("failed" in some) is (state.tone == "bad")
            assert (state.tone == "good") is (set(some) <= {"copied", "resized"})
