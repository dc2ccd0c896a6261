"""Shown ids: each its own, the way back known, nothing to be counted, the same after a replay."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.core.render import Renderer, Rows
from copying.backend.settings.rules import NEWEST
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import SetRules
from copying.backend.state.effects import Deals
from copying.backend.state.numbers import FIRST, counts_of, record_id, scrambled

SECRET = b"0123456789abcdef"
BITS = (1 << 64) - 1


def test_every_count_has_an_id_of_its_own_and_the_way_back():
    counts = np.concatenate([np.arange(20_000), 2**40 - np.arange(1, 100)])
    ids = scrambled(counts, SECRET)
    assert len(np.unique(ids)) == len(ids)
    assert ids.min() >= FIRST
    assert (counts_of(ids, SECRET) == counts).all()


def test_plain_ids_stay_and_mix_with_the_others():
    ids = np.array([7, FIRST - 1, *scrambled(np.array([9]), SECRET)])
    assert counts_of(ids, SECRET).tolist() == [7, FIRST - 1, 9]
    assert counts_of(np.array([5]), b"").tolist() == [5]


def test_neighbours_and_other_secrets_tell_nothing():
    ids = scrambled(np.arange(1_000), SECRET)
    steps = np.diff(ids)
    assert len(np.unique(steps)) > 990
    assert 400 < (steps > 0).sum() < 600
    assert not set(ids.tolist()) & set(scrambled(np.arange(1_000), b"another").tolist())
    assert record_id(7, 3, b"") == "7-3"
    assert record_id(7, 3, SECRET) not in (record_id(7, 4, SECRET), record_id(8, 3, SECRET), record_id(7, 3, b"x"))


def decision_ids(desk, effects) -> list[str]:
    rows = Rows()
    for _ in Renderer(desk.book).render(effects, rows):
        pass
    return [row[1].split('"id":"')[1].split('"')[0] for row in rows.decisions]


def test_a_journal_goes_on_with_secret_ids_and_replays_to_the_same(desk):
    desk.strategy()
    desk.subscriber()
    first = desk.signal("before01")
    old = desk.book.positions.id.tolist()
    desk.do(SetRules(tenant="", version=NEWEST, secret=SECRET))
    second = desk.signal("after001", symbol="GBPUSD")
    assert old == desk.book.positions.id.tolist()[:1]
    assert max(old) < FIRST <= desk.book.positions.id[1]
    assert desk.told(Deals)[-1].number[0] >= FIRST
    assert decision_ids(desk, first) == [f"{first.sequence}-0"]
    assert "-" not in decision_ids(desk, second)[0]
    again = Book(PaperBroker(), slippage_spreads=0.0)
    for sequence, entry in enumerate(desk.entries, 1):
        apply(again, entry, sequence)
    assert snapshot.pack(again) == snapshot.pack(desk.book)


def test_chains_and_trades_by_hand_work_with_secret_ids(desk):
    desk.do(SetRules(tenant="", version=NEWEST, secret=SECRET))
    desk.strategy("S")
    desk.subscriber("relay", "S")
    desk.strategy("T", account_id="relay")
    desk.subscriber("x", "T")
    opened = desk.trade("ORDER_TYPE_BUY")
    assert len(desk.held("relay")) == len(desk.held("x")) == 1
    desk.trade("POSITION_CLOSE_ID", position_id=opened["positionId"])
    assert desk.held("relay") == desk.held("x") == []


def reference_id(count: int, secret: bytes) -> int:
    """The same place of the secret order, by whole numbers of Python."""
    stream = blake2b(secret, digest_size=48).digest()
    keys = [int.from_bytes(stream[start : start + 8], "little") for start in range(0, 48, 8)]
    left, right = count >> 20, count & 0xFFFFF
    for key in keys:
        mixed = right + key & BITS
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ mixed >> shift) * factor & BITS
        left, right = right, left ^ (mixed ^ mixed >> 31) & 0xFFFFF
    return FIRST + (left << 20 | right)


@pytest.mark.parametrize("secret", [SECRET, b"x", b"0" * 64])
@pytest.mark.parametrize("count", [0, 1, 2, 1_000, 2**20 - 1, 2**20, 2**40 - 1])
def test_an_id_is_the_same_in_every_version(count: int, secret: bytes):
    assert scrambled(np.array([count]), secret).tolist() == [reference_id(count, secret)]
