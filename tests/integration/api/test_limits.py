"""How often a token may call: counted per token and minute, told in every answer."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 12, 1, 9, 30, 15, tzinfo=UTC)


def test_the_limit_holds_to_the_request_and_to_the_minute(program, alice, settings):
    settings.API_REQUESTS_PER_MINUTE = 3
    with time_machine.travel(NOW, tick=False) as clock:
        first, second = program(alice), program(alice)
        answers = [first.get("token/") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer["RateLimit"] for answer in answers] == [f'"minute";r={left};t=45' for left in (2, 1, 0, 0)]
        assert {answer["RateLimit-Policy"] for answer in answers} == {'"minute";q=3;w=60'}
        assert answers[3]["Retry-After"] == "45"
        assert answers[3].json()["type"] == "/api/v1/problems/too-many-requests/"
        assert second.get("token/").status_code == 200, "another token has its own minute"
        clock.move_to(NOW.replace(second=59), tick=False)
        assert first.get("token/").status_code == 429
        clock.move_to(NOW.replace(minute=31, second=0), tick=False)
        assert first.get("token/").status_code == 200


def test_what_is_refused_counts_too_and_what_needs_no_token_does_not(program, alice, settings, client):
    settings.API_REQUESTS_PER_MINUTE = 2
    caller = program(alice)
    with time_machine.travel(NOW, tick=False):
        assert caller.get("strategies/0/").status_code == 404
        assert caller.get("strategies/", {"stat": "x"}).status_code == 400
        assert caller.get("token/").status_code == 429
    assert "RateLimit" not in client.get("/api/v1/")


def test_a_write_that_a_token_may_not_make_counts_and_says_what_is_left(program, alice, settings):
    settings.API_REQUESTS_PER_MINUTE = 2
    caller = program(alice, "read")
    with time_machine.travel(NOW, tick=False):
        answers = [caller.call("post", "strategies/", {}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [403, 403, 429]
    assert [answer["RateLimit"] for answer in answers] == [f'"minute";r={left};t=45' for left in (1, 0, 0)]


def test_writes_have_a_limit_of_their_own_and_reads_go_on(program, alice, settings):
    settings.API_REQUESTS_PER_MINUTE, settings.API_WRITES_PER_MINUTE = 100, 2
    caller = program(alice)
    with time_machine.travel(NOW, tick=False):
        answers = [caller.write("post", "subscribers/bulk/", {}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [422, 422, 429]
        left = [answer["RateLimit"].partition(", ")[2] for answer in answers]
        assert left == [f'"writes";r={count};t=45' for count in (1, 0, 0)]
        assert answers[0]["RateLimit-Policy"] == '"minute";q=100;w=60, "writes";q=2;w=60'
        assert answers[2]["Retry-After"] == "45"
        assert caller.get("token/").status_code == 200
