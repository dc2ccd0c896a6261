"""What people can be told of, whom it concerns, and when they hear of it. Pure: reads no rows and no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from users.models import STAFF_ROLES, Membership, Role
from users.notices import NoticeChannel
from users.permissions import BILLING_ROLES, MANAGING_ROLES


@dataclass(frozen=True)
class NoticeKind:
    """roles: whom it may be told. mailed: who is mailed of it unless they choose otherwise.

    ends: whether there is a second message; it is over when it was away for `stays_away`, so that a figure which swings
    around its limit is one cause. lasts: how long it has to be there before anybody is told. is_always: by e-mail it
    cannot be switched off.
    """

    key: str
    words: str
    help: str
    roles: Sequence[str]
    mailed: Sequence[str] = ()
    is_urgent: bool = False
    ends: bool = True
    stays_away: timedelta = timedelta(0)
    lasts: timedelta = timedelta(0)
    is_always: bool = False


EVERYBODY = tuple(Role)
CLIENTS_TOO = (*MANAGING_ROLES, Role.SUBSCRIBER)
KINDS = {
    kind.key: kind
    for kind in (
        NoticeKind(
            "stopout", "Stopout", "A risk limit fired: an account takes no new trades.", EVERYBODY, CLIENTS_TOO, True
        ),
        NoticeKind(
            "copies",
            "Failed copies",
            "Trades that an account should have copied and did not, for a fault.",
            EVERYBODY,
            MANAGING_ROLES,
            True,
        ),
        NoticeKind(
            "connection",
            "Backend or sync down",
            "Nothing is heard of a backend: what pages say may be old.",
            STAFF_ROLES,
            MANAGING_ROLES,
            True,
            stays_away=timedelta(minutes=2),
        ),
        NoticeKind(
            "account",
            "Trading account down",
            "A terminal is offline, or its broker does not answer.",
            STAFF_ROLES,
            is_urgent=True,
            stays_away=timedelta(minutes=5),
        ),
        NoticeKind(
            "limit",
            "Limit near",
            "Little is left of a risk limit of an account.",
            EVERYBODY,
            stays_away=timedelta(minutes=30),
        ),
        NoticeKind(
            "drift",
            "Copies differ",
            "An account lacks copies that it had, or has some that the provider has closed, for five minutes and more.",
            STAFF_ROLES,
            stays_away=timedelta(minutes=5),
            lasts=timedelta(minutes=5),
        ),
        NoticeKind("issued", "Statement issued", "A statement was issued for an account.", EVERYBODY, ends=False),
        NoticeKind(
            "overdue", "Statement overdue", "A statement was not paid by its day.", EVERYBODY, (Role.ACCOUNTANT,)
        ),
        NoticeKind(
            "period",
            "Period to close",
            "A billing period has ended and waits for somebody to close it.",
            BILLING_ROLES,
            (Role.ACCOUNTANT,),
        ),
        NoticeKind(
            "device",
            "Sign-in from a new device",
            "Somebody signed in as you on a device that was not used before.",
            EVERYBODY,
            EVERYBODY,
            True,
            ends=False,
            is_always=True,
        ),
    )
}


class NoticeHours(Protocol):
    """When a person wants to hear: a `NoticeChoice`, or what is usual."""

    @property
    def quiet_from(self) -> int | None: ...
    @property
    def quiet_until(self) -> int | None: ...
    @property
    def urgent_passes(self) -> bool: ...
    @property
    def digest_hour(self) -> int | None: ...


def kinds_for(role: str) -> list[NoticeKind]:
    """What a role may be told of, as pages list it."""
    return [kind for kind in KINDS.values() if role in kind.roles]


def channels_for(membership: Membership, kind: NoticeKind, chosen: Mapping[str, Sequence[str]]) -> list[str]:
    """By what a member wants to hear of a kind; whether it works is another question.

    A demo's market is simulated, so there nobody is told anything that they did not ask for.
    """
    if membership.role not in kind.roles:
        return []
    if kind.key in chosen:
        wanted = [channel for channel in NoticeChannel.values if channel in chosen[kind.key]]
    else:
        is_usual = membership.role in kind.mailed and not membership.workspace.is_demo
        wanted = [NoticeChannel.EMAIL.value] if is_usual else []
    always = [NoticeChannel.EMAIL.value] if kind.is_always and NoticeChannel.EMAIL.value not in wanted else []
    return always + wanted


def zone_of(membership: Membership) -> ZoneInfo:
    """The person's zone; who has chosen none is in the firm's."""
    return ZoneInfo(membership.user.timezone or membership.workspace.timezone)


def is_quiet(hour: int, begins: int | None, ends: int | None) -> bool:
    """Whether an hour of the day is within quiet hours, which may go over midnight. From 7 to 7 is none."""
    if begins is None or ends is None or begins == ends:
        return False
    return begins <= hour < ends if begins < ends else hour >= begins or hour < ends


def next_hour(now: datetime, hour: int, zone: ZoneInfo) -> datetime:
    """The next moment after `now` at which a clock of the zone shows this hour sharp."""
    today = now.astimezone(zone).replace(hour=hour, minute=0, second=0, microsecond=0, fold=0)
    # on the day when the clock leaves the hour out it is the moment of the change
    moments = (today + timedelta(days=days) for days in range(-1, 3))  # days of the wall clock
    return next(utc for moment in moments if (utc := moment.astimezone(ZoneInfo("UTC"))) > now)


def due_moment(kind: NoticeKind, hours: NoticeHours, zone: ZoneInfo, now: datetime) -> datetime:
    """When a person is told of something that happens now."""
    if not kind.is_urgent and hours.digest_hour is not None:
        return next_hour(now, hours.digest_hour, zone)
    return after_quiet(kind, hours, zone, now)


def after_quiet(kind: NoticeKind, hours: NoticeHours, zone: ZoneInfo, moment: datetime) -> datetime:
    """The moment, or the end of the quiet hours that it is within. Who wants a digest in quiet hours gets it then."""

    def is_quiet_at(hour: int) -> bool:
        return is_quiet(hour, hours.quiet_from, hours.quiet_until)

    if not is_quiet_at(moment.astimezone(zone).hour) or (kind.is_urgent and hours.urgent_passes):
        return moment
    if not kind.is_urgent and hours.digest_hour is not None and is_quiet_at(hours.digest_hour):
        return moment
    assert hours.quiet_until is not None
    return next_hour(moment, hours.quiet_until, zone)
