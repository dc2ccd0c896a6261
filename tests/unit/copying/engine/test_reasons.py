"""The closed list of reasons: every one has a code, sentences, a unit, and the codes never change by accident."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from copying.engine.model import Level, Outcome
from copying.engine.reasons import BY_CODE, CODES, REASONS, Reason, sentence


def test_every_reason_is_described() -> None:
    assert set(REASONS) == set(Reason)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) and len(code) <= 40 for code in CODES.values())
    assert BY_CODE["max-trade-volume"] is Reason.MAX_TRADE_VOLUME
    assert Reason.COPIED.code == "copied"


def test_every_reason_is_documented_with_its_unit_and_setting() -> None:
    text = (Path(__file__).parents[4] / "docs" / "copying.md").read_text()
    table = text.partition("\n## Reasons\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| `")]
    told = {code.strip("`"): (unit, setting.strip("`")) for code, _, unit, setting, _ in rows}
    assert told == {CODES[reason]: (about.unit, about.setting) for reason, about in REASONS.items()}


@pytest.mark.parametrize("reason", Reason)
def test_sentences_fill_in_every_number(reason: Reason) -> None:
    for outcome in Outcome:
        text = sentence(reason, outcome, Level.SUBSCRIPTION, [1, 1, 0.3, 0.2, 0.2, 0.2], 0.2, "EURUSDm", "EURUSD")
        assert text.endswith(".")
        assert "{" not in text


def test_numbers_are_written_as_people_write_them() -> None:
    text = sentence(Reason.MAX_TRADE_VOLUME, Outcome.RESIZED, Level.SUBSCRIPTION, [1, 1, 0.1 + 0.2, 0.2, 0.2, 0.2], 0.2)
    assert text == "Volume cut from 0.3 to 0.2 lots: the largest trade of the subscription."
    steps = [1, 1, 12.3456789, 0.2, 0.2, 0.2]
    text = sentence(Reason.MAX_TRADE_RISK, Outcome.RESIZED, Level.STRATEGY, steps, 0.1 + 0.2)
    assert text == "Volume cut from 12.35 to 0.2 lots: the strategy risks at most 30 % per trade."


@pytest.mark.parametrize(
    ("minutes", "told"), [(1, "1 minute after"), (2, "2 minutes after"), (0.5, "0.5 minutes after")]
)
def test_one_is_told_in_the_singular(minutes: float, told: str) -> None:
    assert told in sentence(Reason.TOO_LATE, Outcome.SKIPPED, Level.STRATEGY, [0] * 6, minutes)


def test_no_sentence_shows_the_name_of_a_field() -> None:
    told = [text for about in REASONS.values() for text in (about.refused, about.changed)]
    assert [text for text in told if re.search(r"[a-z][A-Z]", text)] == []
    assert all(re.fullmatch(r"([a-z]+([A-Z][a-z]+)*)?", about.setting) for about in REASONS.values())
