"""What is told of refused posts to a webhook: one line a minute, with the number of those that went untold."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from copying.backend.http import webhooks
from copying.backend.state.commands import AddNote, PutWebhook
from copying.backend.state.errors import Refused
from tests.unit.copying.backend.desk import Desk


class Posting:
    """Refused posts to the webhook of S at chosen seconds; `notes` keeps what was told."""

    def __init__(self, desk: Desk, monkeypatch: Any) -> None:
        self.notes: list[AddNote] = []
        self.seconds = 0.0
        desk.strategy()
        desk.do(PutWebhook(tenant="t", strategy_id="S", webhook_id="hook", document={}))
        monkeypatch.setattr(webhooks, "time", SimpleNamespace(monotonic=lambda: self.seconds))
        core = SimpleNamespace(book=desk.book, clock=lambda: 1_000.0 + self.seconds, submit=self.submit)
        self.state = SimpleNamespace(service=SimpleNamespace(core=core))

    async def submit(self, note: AddNote) -> None:
        self.notes.append(note)

    def request(self, path: str) -> Any:
        return SimpleNamespace(app=SimpleNamespace(state=self.state), url=SimpleNamespace(path=path))

    def refuse(self, seconds: float, sentence: str = "No volume.", path: str = "/webhooks/hook") -> None:
        self.seconds = seconds
        asyncio.run(webhooks.note_refusal(self.request(path), sentence))


@pytest.fixture
def posting(desk: Desk, monkeypatch: Any) -> Posting:
    return Posting(desk, monkeypatch)


def test_a_refusal_is_told_to_the_owner_of_the_webhook(posting: Posting) -> None:
    posting.refuse(5.0)
    [note] = posting.notes
    assert (note.tenant, note.strategy_id, note.severity) == ("t", "S", 2)
    assert note.message == "A post to a webhook was refused: No volume."
    request = posting.request("/webhooks/hook")
    assert webhooks.times_of(request, "hook") == {"lastRefusedAt": "1970-01-01T00:16:45.000Z"}
    assert webhooks.times_of(request, "other") == {}


@pytest.mark.parametrize(("seconds", "count"), [(64.9, 1), (65.0, 2), (65.1, 2)])
def test_a_minute_passes_between_two_lines(posting: Posting, seconds: float, count: int) -> None:
    posting.refuse(5.0)
    posting.refuse(seconds)
    assert len(posting.notes) == count


@pytest.mark.parametrize(("others", "words"), [(0, ""), (1, " (1 more were refused since the"), (3, " (3 more")])
def test_a_line_says_how_many_went_untold(posting: Posting, others: int, words: str) -> None:
    posting.refuse(0.0)
    for number in range(others):
        posting.refuse(1.0 + number)
    posting.refuse(100.0)
    assert posting.notes[-1].message.startswith(f"A post to a webhook was refused: No volume.{words}")
    assert posting.notes[-1].message.endswith(")" if words else ".")
    posting.refuse(200.0)
    assert posting.notes[-1].message == "A post to a webhook was refused: No volume."


@pytest.mark.parametrize("path", ["/webhooks/unknown", "/webhooks/", "/webhooks/hook/more", "/other/hook"])
def test_a_post_to_no_webhook_is_told_to_nobody(posting: Posting, path: str) -> None:
    posting.refuse(5.0, path=path)
    assert posting.notes == []


def test_a_long_refusal_is_cut_and_has_no_zeros(posting: Posting) -> None:
    posting.refuse(5.0, "x\0" * 200)
    assert posting.notes[0].message == f"A post to a webhook was refused: {'x' * 150}."


@pytest.mark.parametrize("length", [199, 200, 201])
def test_a_placeholder_is_shown_to_200_characters(length: int) -> None:
    text = "{{" + "x" * (length - 2)
    with pytest.raises(Refused) as refused:
        webhooks.in_contract_words({"symbol": text})
    assert refused.value.details[0]["value"] == text[:200]


def test_of_too_many_webhooks_the_one_silent_for_longest_is_forgotten(posting: Posting, monkeypatch: Any) -> None:
    monkeypatch.setattr(webhooks, "MOST_KNOWN", 2)
    request = posting.request("/webhooks/hook")
    for name in ("a", "b", "a", "c"):
        webhooks.posts_of(request, name)
    assert list(posting.state.webhook_posts) == ["a", "c"]
