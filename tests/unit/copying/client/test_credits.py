"""Credits: no window's limit is passed whoever asks, everybody has an even part, what is not used flows to others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copying.client.credits import (
    ASKS_STILL_S,
    DOCUMENTED,
    READY_SHARE,
    STATE_READ,
    CreditLimits,
    Pool,
    limits_of,
    period_s,
    told_limits,
)
from copying.contract.terminal import CreditLimit, CreditUsage

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


# ------------------------------------------------------------------------------------------------------------ limits


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("10s", 10), ("1m", 60), ("1 min", 60), ("6h", 21_600), ("1d", 86_400), ("", 0), ("soon", 0), ("s", 0)],
)
def test_a_period_is_seconds(text, seconds):
    assert period_s(text) == seconds


def test_limits_leave_room_for_others_and_keep_the_tightest_window():
    assert limits_of([(60, 18_000), (1, 2_000)]) == DOCUMENTED
    assert DOCUMENTED.per_second == pytest.approx(270)
    assert DOCUMENTED.burst == pytest.approx(1_730)
    tight = limits_of([(60, 18_000), (1, 2_000), (21_600, 432_000)])
    assert tight.per_second == pytest.approx(18)


@pytest.mark.parametrize("totals", [[], [(0, 5)], [(60, 0)], [(60, -1)]])
def test_what_tells_no_limit_leaves_those_documented(totals):
    assert limits_of(totals) == DOCUMENTED


def test_a_backend_tells_the_limits_of_its_token_and_of_the_server():
    def row(period, total):
        return CreditLimit(period=period, total=total, available=0)

    usage = CreditUsage(
        per_user=[row("1m", 6_000)], per_server=[row("1s", 2_000)], per_account=[row("10s", 50), row("?", 1)]
    )
    assert told_limits(usage) == limits_of([(60, 6_000), (1, 2_000)])
    assert told_limits(CreditUsage()) == DOCUMENTED


# ---------------------------------------------------------------------------------------------------------- sharing


@given(
    asked=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.floats(0, 30, allow_nan=False)), max_size=60
    ),
    windows=st.sampled_from([((60, 18_000), (1, 2_000)), ((10, 600),), ((60, 3_000), (1, 200), (3600, 9_000))]),
)
def test_no_window_is_passed_whoever_asks_for_what(asked, windows):
    pool, elapsed, sent = Pool(limits_of(windows)), 0.0, []
    for name, wanted, pause_s in asked:
        elapsed += pause_s
        count = pool.grant(name, wanted, now=at(elapsed))
        assert 0 <= count <= wanted
        sent.append((elapsed, count * STATE_READ))
    for seconds, total in windows:
        for start, _ in sent:
            used = sum(credits for moment, credits in sent if start <= moment < start + seconds)
            assert used <= total + STATE_READ  # one that costs more than a pool holds leaves a debt


@given(st.floats(0.1, 40), st.integers(1, 40))
def test_waiting_as_long_as_said_is_enough(pause_s, wanted):
    pool = Pool()
    pool.grant("a", 1_000, now=NOW)
    now = at(pause_s)
    wait_s = pool.wait_s("a", wanted, now=NOW)
    wanted = min(wanted, int(READY_SHARE * DOCUMENTED.burst / STATE_READ))
    assert pool.grant("a", wanted, now=max(now, at(wait_s + 0.001))) == wanted


def sweeps(pool: Pool, wishes: dict[str, int], *, minutes: int) -> dict[str, int]:
    """What each is granted when all ask for their wish every second."""
    granted = dict.fromkeys(wishes, 0)
    for second in range(minutes * 60):
        for name, wanted in wishes.items():
            granted[name] += pool.grant(name, wanted, now=at(second))
    return granted


def test_two_who_want_everything_get_the_same():
    granted = sweeps(Pool(), {"a": 1_000, "b": 1_000}, minutes=10)
    assert sum(granted.values()) * STATE_READ == pytest.approx(10 * 60 * DOCUMENTED.per_second, rel=0.02)
    assert abs(granted["a"] - granted["b"]) <= 35  # what the first one took at once


def test_ten_accounts_never_wait_for_ten_thousand_and_leave_them_the_rest():
    granted = sweeps(Pool(CreditLimits(270, 1_730)), {"large": 10_000, "small": 1}, minutes=10)
    assert granted["small"] == pytest.approx(600, rel=0.02)
    assert sum(granted.values()) * STATE_READ == pytest.approx(600 * 270, rel=0.02)


def test_a_part_of_who_asks_no_more_flows_to_the_others():
    pool = Pool()
    sweeps(pool, {"a": 1_000, "b": 1_000}, minutes=1)
    later = ASKS_STILL_S + 60
    alone = [pool.grant("a", 1_000, now=at(later + second)) for second in range(60)]
    assert sum(alone[10:]) * STATE_READ == pytest.approx(50 * 270, rel=0.05)


def test_what_a_person_does_is_never_refused_and_the_sweeps_have_so_much_less():
    """In any window what both send together is what the sweeps alone would, and the tenth that they leave."""
    elapsed, sent, drawn = 0.0, 0, 0
    pool = Pool()
    for _ in range(1200):
        sent += sum(pool.grant(name, 40, now=at(elapsed)) for name in ("accounts", "positions")) * STATE_READ
        if 60 <= elapsed < 120:
            pool.draw(100, now=at(elapsed))
            drawn += 100
        elapsed += 0.25
    alone = DOCUMENTED.per_second * 300 + DOCUMENTED.burst
    assert drawn == 24_000
    assert alone - 2 * STATE_READ - 1 <= sent + drawn + pool_rest(pool) <= alone + 1
    assert all(share.level > 0 for share in pool.shares.values()), "they go on as ever"


def pool_rest(pool: Pool) -> float:
    return (pool.common or 0.0) + sum(share.level for share in pool.shares.values())


def test_where_nobody_sweeps_acts_of_persons_leave_a_debt_that_is_paid_back():
    pool = Pool()
    pool.draw(DOCUMENTED.burst + 500, now=NOW)
    assert pool.common == pytest.approx(-500)
    assert pool.grant("accounts", 40, now=NOW) == 0
    pool.draw(0, now=at(60))
    assert (pool.common or 0) + pool.shares["accounts"].level == pytest.approx(DOCUMENTED.burst)


def test_after_a_refusal_nothing_is_sent_until_the_time_that_was_named_and_nothing_was_saved_meanwhile():
    pool = Pool()
    pool.grant("a", 1, now=NOW)
    pool.hold(at(3600))
    assert pool.wait_s("a", 1, now=NOW) >= 3600
    assert [pool.grant("a", 40, now=at(second)) for second in (0, 3599.9)] == [0, 0]
    assert pool.grant("a", 40, now=at(3600)) == 0
    assert pool.grant("a", 40, now=at(3601)) == 5
    pool.hold(at(10))
    assert pool.held_until == at(10)


def test_the_longer_of_two_refusals_counts():
    pool = Pool()
    pool.hold(at(100))
    pool.hold(at(50))
    assert pool.held_until == at(100)


@pytest.mark.parametrize("back_s", [1, 3600])
def test_a_clock_that_is_put_back_gives_nothing_for_it_and_stops_nobody(back_s):
    pool = Pool()
    assert pool.grant("a", 1_000, now=NOW) == 34
    assert pool.grant("a", 1_000, now=at(-back_s)) == 0
    assert pool.grant("a", 10, now=at(-back_s + 60)) == 10


def test_a_request_that_costs_more_than_a_pool_holds_is_sent_at_last():
    pool = Pool(CreditLimits(per_second=1, burst=10))
    assert [pool.grant("a", 3, now=at(second)) for second in range(0, 121, 20)] == [1, 0, 0, 1, 0, 0, 1]


def test_other_limits_hold_at_once():
    pool = Pool()
    pool.grant("a", 0, now=NOW)
    pool.follow(CreditLimits(per_second=10, burst=100))
    assert pool.grant("a", 40, now=NOW) == 2


def test_a_pool_is_the_same_after_it_was_stored():
    pool = Pool()
    assert Pool.restored({}) == pool
    pool.grant("a", 3, now=NOW)
    pool.grant("b", 90, now=at(2))
    pool.hold(at(5))
    pool.grant("b", 90, now=at(9))
    assert Pool.restored(pool.stored()) == pool
