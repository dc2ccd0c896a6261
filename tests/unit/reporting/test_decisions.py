"""The chain of a decision and its plain sentence, as tables a trader can read."""

from __future__ import annotations

from decimal import Decimal

import pytest

from copying.engine.reasons import CODES, Reason
from reporting.decisions import chain, place_of, rule_of
from reporting.models import Decision
from reporting.plainly import BECAUSE, plain_sentence


def decided(**fields) -> Decision:
    """A resized buy of EURUSD unless something else is said."""
    steps = {"provider_lots": 1, "scaled_lots": "0.5", "multiplied_lots": "0.1", "limited_lots": "0.04"}
    steps |= {"rounded_lots": "0.04", "final_lots": "0.04", "limit_value": "0.04"}
    given = {name: fields.pop(name, value) for name, value in steps.items()}
    words = {
        "symbol": "EURUSD",
        "subscriber_symbol": "EURUSDm",
        "side": "buy",
        "outcome": "resized",
        "level": "subscriber",
    }
    numbers = {name: None if value is None else Decimal(value) for name, value in given.items()}
    return Decision(**{"reason": "max-trade-volume", "text": "In the backend's words.", **words, **numbers, **fields})


def test_the_chain_names_the_step_that_changed_the_volume():
    steps = chain(decided())
    assert [step.label for step in steps] == [
        "Source",
        "Filters",
        "Scaling",
        "Multiplier",
        "Limits",
        "Rounding",
        "Result",
    ]
    assert [step.lots for step in steps if step.has_lots] == [
        Decimal(n) for n in ("1", "0.5", "0.1", "0.04", "0.04", "0.04")
    ]
    (decisive,) = [step for step in steps if step.is_decisive]
    assert (decisive.label, decisive.note) == ("Limits", "Max trade volume of the subscriber: 0.04 lots")
    assert steps[2].note == "× 0.5"
    assert steps[3].note == "× 0.2"
    assert steps[-1].note == "Placed in EURUSDm"


def test_a_signal_that_a_filter_refused_has_no_volumes_between():
    steps = chain(decided(outcome="skipped", reason="side-not-allowed", final_lots=0, limit_value=None))
    assert [(step.label, step.is_decisive) for step in steps] == [
        ("Source", False),
        ("Filters", True),
        ("Result", False),
    ]
    assert steps[1].note == "Side not allowed of the subscriber"
    assert steps[2].note == "Nothing was placed"


def test_what_was_not_worked_out_is_not_called_zero():
    steps = chain(decided(outcome="failed", reason="no-money", scaled_lots=None, limit_value=-3))
    assert steps[2].lots is None
    assert steps[2].note == "No money of the subscriber: -3 in account currency"


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_step_and_its_plain_words(reason):
    place = place_of(decided(reason=CODES[reason]))
    assert (place == "") == (reason == Reason.COPIED)
    assert (BECAUSE[reason] == "") == (reason == Reason.COPIED)
    sentence = plain_sentence(decided(reason=CODES[reason], outcome="skipped"))
    assert sentence.endswith(".")
    assert "{" not in sentence
    assert "?" not in sentence


SENTENCES = [
    ({}, "EURUSDm was bought with 0.04 instead of 0.1 lots because the largest trade of your terms is 0.04 lots."),
    ({"outcome": "copied", "reason": "copied"}, "EURUSDm was bought with 0.04 lots."),
    (
        {"outcome": "resized", "reason": "max-trade-risk", "limit_value": "0.02", "side": "sell"},
        "EURUSDm was sold with 0.04 instead of 0.1 lots because one trade may not risk more than 2 % of the account.",
    ),
    (
        {"outcome": "skipped", "reason": "side-not-allowed", "side": "sell"},
        "EURUSDm was not sold because sell trades are not copied for you.",
    ),
    (
        {"outcome": "failed", "reason": "offline"},
        "EURUSDm could not be bought because the account was not connected to its broker.",
    ),
    (
        {"outcome": "delayed", "reason": "delayed", "limit_value": 30},
        "EURUSDm is to be bought a little later because your terms wait 30 seconds before they copy.",
    ),
    (
        {"outcome": "skipped", "reason": "circular"},
        "EURUSDm was not bought because the trade came from this account in the first place.",
    ),
    (
        {"outcome": "skipped", "reason": "orphan"},
        "EURUSDm was closed because the provider's trade had ended and only this copy was left.",
    ),
    ({"outcome": "skipped", "reason": "of-another-backend"}, "In the backend's words."),
]


@pytest.mark.parametrize(("fields", "sentence"), SENTENCES)
def test_a_client_reads_it_without_names_of_settings(fields, sentence):
    assert plain_sentence(decided(**fields)) == sentence


def test_a_reason_of_another_backend_is_named_as_it_is():
    assert rule_of(decided(reason="of-another-backend", level="", limit_value=3)) == "Of another backend"
