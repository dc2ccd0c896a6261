"""What is kept of requests with a key: how long, how many, for whom, through replays and snapshots."""

from __future__ import annotations

import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core import idempotency
from copying.backend.core.apply import apply
from copying.backend.core.idempotency import KEPT_SECONDS, answer_before
from copying.backend.core.journal import decode_entry, encode_entries
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import (
    Command,
    CommandEntry,
    Deposit,
    Once,
    Trade,
)
from copying.backend.state.effects import Effects
from copying.backend.state.errors import Refused
from tests.unit.copying.backend.desk import Desk


def asked(key: str = "k", caller: str = "t", digest: bytes = b"d", **told: object) -> Once:
    return Once(caller=caller, key=key, digest=digest, **told)


def do(desk: Desk, command: Command, once: Once, seconds: float = 1) -> Effects:
    """Carry out what came with a key, as the core does when the key is new."""
    desk.now += seconds
    entry = CommandEntry(time=desk.now, rules=desk.book.rules, quotes=desk.pending, command=command, once=once)
    desk.pending = {}
    desk.entries.append(entry)
    return apply(desk.book, entry, desk.book.sequence + 1)


@pytest.fixture
def account(desk: Desk) -> Desk:
    desk.account("a")
    return desk


DEPOSIT = Deposit(tenant="t", account_id="a", amount=5)


def test_what_a_command_answers_itself_is_kept(account: Desk) -> None:
    buy = Trade(tenant="t", account_id="a", action_type="ORDER_TYPE_BUY", symbol="EURUSD", volume_lots=0.1)
    answer = do(account, buy, asked(status=200)).answer
    kept = answer_before(account.book, asked())
    assert (kept.answer, kept.status) == (answer, 200)
    assert answer["positionId"]


def test_what_the_request_says_is_kept_where_the_command_answers_nothing(account: Desk) -> None:
    assert do(account, DEPOSIT, asked(status=201, answer={"id": "x"})).answer == {"id": "x"}
    kept = answer_before(account.book, asked())
    assert (kept.answer, kept.status) == ({"id": "x"}, 201)


@pytest.mark.parametrize("other", [asked("K"), asked("k "), asked(caller="u"), asked(caller="/webhooks/t")])
def test_another_key_or_caller_is_another_request(account: Desk, other: Once) -> None:
    do(account, DEPOSIT, asked())
    assert answer_before(account.book, other) is None


def test_a_key_with_another_request_is_refused(account: Desk) -> None:
    do(account, DEPOSIT, asked())
    with pytest.raises(Refused) as refused:
        answer_before(account.book, asked(digest=b"e"))
    assert refused.value.status == 422


@pytest.mark.parametrize(("age", "is_kept"), [(-1, True), (0, False), (1, False)])
def test_a_key_is_kept_for_a_day(account: Desk, age: float, is_kept: bool) -> None:
    do(account, DEPOSIT, asked())
    account.book.time += KEPT_SECONDS + age
    assert (answer_before(account.book, asked()) is not None) is is_kept


def test_a_key_may_be_another_requests_after_its_day_and_counts_anew(account: Desk) -> None:
    do(account, DEPOSIT, asked())
    do(account, DEPOSIT, asked(digest=b"e"), KEPT_SECONDS)
    account.book.time += KEPT_SECONDS - 1
    assert answer_before(account.book, asked(digest=b"e")) is not None


def test_the_oldest_of_a_caller_is_forgotten_for_the_next(account: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MOST_KEPT", 3)
    do(account, DEPOSIT, asked("mine", caller="u"))
    for number in range(5):
        do(account, DEPOSIT, asked(f"k{number}"))
    assert list(account.book.kept["t"]) == ["k2", "k3", "k4"]
    assert list(account.book.kept["u"]) == ["mine"]


def test_nothing_is_held_for_callers_who_do_not_come_back(account: Desk) -> None:
    for caller in ("t", "u", "v"):
        do(account, DEPOSIT, asked(caller=caller))
    do(account, DEPOSIT, asked("second", caller="t"), KEPT_SECONDS - 1)
    assert set(account.book.kept) == {"t", "v"}  # of u a day has passed, of v a second less
    assert list(account.book.kept["t"]) == ["second"]


def test_a_refusal_is_not_kept(account: Desk) -> None:
    lost = Deposit(tenant="t", account_id="nobody", amount=5)
    assert do(account, lost, asked()).refused is not None
    assert answer_before(account.book, asked()) is None


def test_a_replay_and_a_snapshot_know_the_keys(account: Desk) -> None:
    do(account, DEPOSIT, asked(answer={"id": "x"}))
    rows = encode_entries(1, account.entries)
    replayed = Book(PaperBroker(), slippage_spreads=0)
    for number, _, payload in rows:
        apply(replayed, decode_entry(payload), number)
    for book in (replayed, snapshot.unpack(snapshot.pack(account.book), PaperBroker())):
        assert book.kept == account.book.kept
        assert answer_before(book, asked()).answer == {"id": "x"}


def test_an_entry_without_a_key_is_written_as_before(account: Desk) -> None:
    account.do(DEPOSIT)
    assert b"once" not in encode_entries(1, account.entries)[-1][2]
    assert account.book.kept == {}
