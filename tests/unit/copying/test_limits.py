"""The token bucket: a burst, then an even rate; never more, whatever the order of events."""

from hypothesis import given
from hypothesis import strategies as st

from copying.backend.http.rate_limits import TokenBuckets


def test_a_full_bucket_is_spent_at_once_and_refills_evenly():
    buckets = TokenBuckets(60)
    assert [buckets.take("a", 0.0) for _ in range(60)] == [0.0] * 60
    assert buckets.take("a", 0.0) == 1.0
    assert buckets.take("a", 0.5) == 0.5
    assert buckets.take("a", 1.0) == 0.0
    assert buckets.take("a", 1.0) == 1.0


def test_one_token_does_not_pay_for_another():
    buckets = TokenBuckets(1)
    assert buckets.take("a", 0.0) == 0.0
    assert buckets.take("b", 0.0) == 0.0
    assert buckets.take("a", 0.0) == 60.0


def test_waiting_as_long_as_told_is_enough():
    buckets = TokenBuckets(7)
    now = 0.0
    for _ in range(50):
        if wait_s := buckets.take("a", now):
            now += wait_s + 1e-9
            assert buckets.take("a", now) == 0.0


def test_invented_keys_do_not_fill_the_memory():
    buckets = TokenBuckets(60, max_keys=100)
    for number in range(1000):
        buckets.take(str(number), 0.0)
    assert len(buckets._levels) == 100


@given(st.lists(st.floats(0, 5), max_size=300), st.integers(1, 100))
def test_never_more_than_the_bucket_and_its_refill(pauses, per_minute):
    buckets, now, taken = TokenBuckets(per_minute), 0.0, 0
    for pause in pauses:
        now += pause
        taken += buckets.take("a", now) == 0.0
    assert taken <= per_minute + now * per_minute / 60 + 1e-6
