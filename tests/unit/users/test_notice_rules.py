"""When a person hears of something, by their own clock, and what a role is told unless it chooses otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from users.models import Membership, Role, User, Workspace
from users.notice_rules import KINDS, after_quiet, channels_for, due_moment, is_quiet, kinds_for, next_hour, zone_of
from users.notices import NoticeChoice

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
STOPOUT, LIMIT = KINDS["stopout"], KINDS["limit"]


def member(role: str, *, zone: str = "", is_demo: bool = False) -> Membership:
    workspace = Workspace(name="Alpine", timezone="Europe/Berlin", is_demo=is_demo)
    return Membership(workspace=workspace, user=User(email="a@example.com", timezone=zone), role=role)


@pytest.mark.parametrize(
    ("hour", "begins", "ends", "quiet"),
    [
        (21, 22, 7, False),
        (22, 22, 7, True),
        (0, 22, 7, True),
        (6, 22, 7, True),
        (7, 22, 7, False),
        (11, 12, 14, False),
        (12, 12, 14, True),
        (13, 12, 14, True),
        (14, 12, 14, False),
        (7, 7, 7, False),
        (3, None, 7, False),
        (3, 1, None, False),
    ],
)
def test_quiet_hours_begin_and_end_with_the_hour(hour, begins, ends, quiet):
    assert is_quiet(hour, begins, ends) is quiet


@pytest.mark.parametrize(
    ("now", "hour", "zone", "expected"),
    [
        (datetime(2026, 6, 1, 5, 59, tzinfo=UTC), 8, BERLIN, datetime(2026, 6, 1, 6, tzinfo=UTC)),
        (datetime(2026, 6, 1, 6, 0, tzinfo=UTC), 8, BERLIN, datetime(2026, 6, 2, 6, tzinfo=UTC)),
        (datetime(2026, 6, 1, 6, 1, tzinfo=UTC), 8, BERLIN, datetime(2026, 6, 2, 6, tzinfo=UTC)),
        # the nights when the clock is put forward and back
        (datetime(2026, 3, 28, 12, tzinfo=UTC), 8, BERLIN, datetime(2026, 3, 29, 6, tzinfo=UTC)),
        (datetime(2026, 10, 24, 12, tzinfo=UTC), 8, BERLIN, datetime(2026, 10, 25, 7, tzinfo=UTC)),
        (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), 2, BERLIN, datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ],
)
def test_an_hour_is_that_of_the_zone(now, hour, zone, expected):
    assert next_hour(now, hour, zone) == expected


@pytest.mark.parametrize(
    ("kind", "choice", "expected"),
    [
        (STOPOUT, {}, 0),
        (LIMIT, {}, 0),
        (STOPOUT, {"digest_hour": 8}, 0),
        (LIMIT, {"digest_hour": 8}, 9),
        (LIMIT, {"quiet_from": 22, "quiet_until": 7}, 8),
        (STOPOUT, {"quiet_from": 22, "quiet_until": 7}, 0),
        (STOPOUT, {"quiet_from": 22, "quiet_until": 7, "urgent_passes": False}, 8),
        (LIMIT, {"quiet_from": 0, "quiet_until": 7}, 0),
    ],
)
def test_what_is_not_urgent_waits_for_the_morning(kind, choice, expected):
    """At 23:00 of a night in UTC; `expected` in hours."""
    now = datetime(2026, 6, 1, 23, tzinfo=UTC)
    assert (due_moment(kind, NoticeChoice(**choice), UTC_ZONE, now) - now).total_seconds() == expected * 3600


@pytest.mark.parametrize(
    ("kind", "choice", "minutes", "expected"),
    [
        (LIMIT, {"quiet_from": 0, "quiet_until": 7}, 59, 59),  # a minute before
        (LIMIT, {"quiet_from": 0, "quiet_until": 7}, 60, 8 * 60),
        (LIMIT, {"quiet_from": 0, "quiet_until": 7}, 61, 8 * 60),
        (LIMIT, {"quiet_from": 0, "quiet_until": 7}, 8 * 60, 8 * 60),
        (LIMIT, {}, 60, 60),
        (STOPOUT, {"quiet_from": 0, "quiet_until": 7}, 60, 60),
        (STOPOUT, {"quiet_from": 0, "quiet_until": 7, "urgent_passes": False}, 60, 8 * 60),
        (LIMIT, {"quiet_from": 0, "quiet_until": 7, "digest_hour": 23}, 60, 8 * 60),
        (LIMIT, {"quiet_from": 0, "quiet_until": 7, "digest_hour": 3}, 60, 60),  # who asks for it gets it then
    ],
)
def test_what_is_delayed_into_quiet_hours_waits_for_their_end(kind, choice, minutes, expected):
    """From 23:00 of a night in UTC, in minutes."""
    night = datetime(2026, 6, 1, 23, tzinfo=UTC)
    moment = after_quiet(kind, NoticeChoice(**choice), UTC_ZONE, night + timedelta(minutes=minutes))
    assert moment - night == timedelta(minutes=expected)


@pytest.mark.parametrize(
    ("role", "mailed"),
    [
        (Role.OWNER, {"stopout", "copies", "connection", "device"}),
        (Role.MANAGER, {"stopout", "copies", "connection", "device"}),
        (Role.ACCOUNTANT, {"overdue", "period", "device"}),
        (Role.VIEWER, {"device"}),
        (Role.SUBSCRIBER, {"stopout", "device"}),
    ],
)
def test_a_role_is_mailed_what_is_its_business(role, mailed):
    assert {kind.key for kind in KINDS.values() if channels_for(member(role), kind, {})} == mailed


def test_clients_cannot_ask_for_what_is_the_firms():
    assert {kind.key for kind in kinds_for(Role.SUBSCRIBER)}.isdisjoint({"connection", "account", "period"})
    assert channels_for(member(Role.SUBSCRIBER), KINDS["connection"], {"connection": ["email"]}) == []
    assert channels_for(member(Role.VIEWER), KINDS["period"], {"period": ["email"]}) == []


def test_a_choice_counts_and_a_demo_is_silent_but_for_sign_ins():
    assert channels_for(member(Role.OWNER), STOPOUT, {"stopout": []}) == []
    assert channels_for(member(Role.OWNER), STOPOUT, {"stopout": ["webhook", "telegram"]}) == ["telegram", "webhook"]
    assert channels_for(member(Role.OWNER), KINDS["device"], {"device": []}) == ["email"]
    assert channels_for(member(Role.OWNER, is_demo=True), STOPOUT, {}) == []
    assert channels_for(member(Role.OWNER, is_demo=True), STOPOUT, {"stopout": ["email"]}) == ["email"]


def test_who_chose_no_zone_is_in_the_firms():
    assert zone_of(member(Role.OWNER)).key == "Europe/Berlin"
    assert zone_of(member(Role.OWNER, zone="Asia/Tokyo")).key == "Asia/Tokyo"
