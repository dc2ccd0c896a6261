"""Exactly one beat works, whatever is started; the next takes over when it ends."""

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from copyportal import heartbeats
from copyportal.beat import STANDBY_SECONDS, OneBeat
from copyportal.celery import app


@pytest.fixture
def beats(settings):
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.delete(f"{settings.CACHES['default']['KEY_PREFIX']}:beat", heartbeats._key())
    made = [OneBeat(app, lazy=True) for _ in range(2)]
    for beat in made:
        beat.data.clear()
    yield made
    for beat in made:
        beat.close()


def test_the_second_waits_until_the_first_ends(beats):
    first, second = beats
    first.tick()
    assert first.is_working
    assert second.tick() == STANDBY_SECONDS
    assert not second.is_working
    assert heartbeats.age_seconds("beat") < 5
    first.close()
    second.tick()
    assert second.is_working


def test_without_redis_it_waits_and_goes_on(beats):
    first, _ = beats
    working, first.redis = first.redis, redis.Redis(port=9, retry=Retry(NoBackoff(), 0))
    assert first.tick() == STANDBY_SECONDS
    first.redis = working
    first.tick()
    assert first.is_working


def test_each_says_at_its_start_whether_it_works_or_waits(beats, caplog):
    first, second = beats
    with caplog.at_level("INFO", "copyportal.beat"):
        for _ in range(2):
            first.tick()
            second.tick()
    assert [record.getMessage() for record in caplog.records if record.name == "copyportal.beat"] == [
        "beat is working",
        "another beat is working, this one waits",
    ]
