"""Takes causes up and says who is to hear of them, and of their end. Sends nothing.

What finds causes looks again and again; what is there already is not told again. Only what is above these rows knows
which accounts a client sees, and registers it here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.urls import reverse

from users.models import Membership, Role, User, Workspace
from users.notice_rules import KINDS, NoticeKind, channels_for, due_moment, zone_of
from users.notices import (
    Notice,
    NoticeChannel,
    NoticeChoice,
    NoticePart,
    NoticePhase,
    NoticeStart,
    NoticeTarget,
)

# (numbers of memberships, of accounts) -> the pairs of them where the client sees the account
Sight = Callable[[Collection[int], Collection[int]], set[tuple[int, int]]]
_sights: list[Sight] = []
USUAL = NoticeChoice()


def register_sight(sight: Sight) -> None:
    """Make known which accounts clients see."""
    _sights[:] = [sight]


@dataclass(frozen=True)
class NoticeCause:
    """Something that is so. key: of this cause; account: of `subscribers`, by number; None: it is about the firm.

    path: of the page about it; own_path: of a client's page.
    """

    key: str
    title: str
    began_at: datetime
    text: str = ""
    account: int | None = None
    path: str = ""
    own_path: str = ""


# Keys of causes of a kind -> those of them that were taken back: nobody is told of these any more
Recall = Callable[[Collection[str]], Collection[str]]
_recalls: dict[str, Recall] = {}


def register_recall(kind: str, recall: Recall) -> None:
    """Make known which causes of a kind, which has no end, were taken back after they were noted."""
    _recalls[kind] = recall


def recalled(notices: Iterable[Notice]) -> set[int]:
    """Which of these causes were taken back, by number."""
    by_kind: dict[str, dict[str, int]] = defaultdict(dict)
    for notice in notices:
        if notice.kind in _recalls:
            by_kind[notice.kind][notice.key] = notice.pk
    return {keys[key] for kind, keys in by_kind.items() for key in _recalls[kind](list(keys))}


# --- Causes -----------------------------------------------------------------------------------------------------------
def has_begun(workspace: Workspace) -> bool:
    """Whether people of a workspace are told: what is there at the first look is no news."""
    return NoticeStart.objects.filter(workspace=workspace).exists()


def begin_workspace(workspace: Workspace, *, now: datetime) -> bool:
    """Take what comes from now on as news, after the first look; whether it was not so before."""
    return NoticeStart.objects.get_or_create(workspace=workspace, defaults={"began_at": now})[1]


@transaction.atomic
def take_up(
    workspace: Workspace,
    kind: NoticeKind,
    causes: Iterable[NoticeCause],
    *,
    now: datetime,
    uncertain: Collection[str] = (),
    is_whole: bool = True,
    is_silent: bool = False,
) -> int:
    """Note what there is of a kind, and what is over; returns how many causes are new. One at a time does it.

    uncertain: keys of what may be there: it is neither begun nor over thereby. is_whole: False where there were more
    causes than were looked at: what is missing may be among the others, and is not over either.
    """
    Workspace.objects.select_for_update(of=("self",), no_key=True).get(pk=workspace.pk)
    there = {cause.key: cause for cause in causes}
    open_ones = Notice.objects.filter(workspace=workspace, kind=kind.key, ended_at=None)
    if not kind.ends:  # those of months are open
        open_ones = open_ones.filter(key__in=there)
    known = {notice.key: notice for notice in open_ones}
    new = [
        Notice(
            workspace=workspace,
            kind=kind.key,
            key=key[:160],
            title=cause.title[:250],
            text=cause.text[:600],
            account=cause.account,
            path=cause.path,
            own_path=cause.own_path,
            began_at=cause.began_at,
            waits_until=now + kind.lasts if kind.lasts else None,
            is_silent=is_silent,
        )
        for key, cause in there.items()
        if key not in known
    ]
    Notice.objects.bulk_create(new)
    lasting = [notice for key, notice in known.items() if key in there and has_lasted(notice, now)]
    Notice.objects.filter(pk__in=[notice.pk for notice in lasting]).update(waits_until=None)
    news = lasting if kind.lasts else new
    plan(workspace, kind, [notice for notice in news if not notice.is_silent], now=now)
    if kind.ends:
        there_or_not = there.keys() | set(uncertain)
        returned = [notice.pk for key, notice in known.items() if key in there_or_not and notice.missing_since]
        Notice.objects.filter(pk__in=returned).update(missing_since=None)
        if is_whole:
            end([notice for key, notice in known.items() if key not in there_or_not], kind, now=now)
    return len(new)


def has_lasted(notice: Notice, now: datetime) -> bool:
    """Whether a cause that had to last before anybody is told has done so."""
    return notice.waits_until is not None and notice.waits_until <= now


def end(missing: Iterable[Notice], kind: NoticeKind, *, now: datetime) -> None:
    """Note what is over: at once, or after it stayed away for long enough. What was too short to tell is forgotten."""
    over, away = [], []
    missing = list(missing)
    Notice.objects.filter(pk__in=[notice.pk for notice in missing if notice.waits_until is not None]).delete()
    for notice in (notice for notice in missing if notice.waits_until is None):
        since = notice.missing_since or now
        if now - since >= kind.stays_away:
            notice.ended_at = since
            over.append(notice)
        elif notice.missing_since is None:
            notice.missing_since = now
            away.append(notice)
    Notice.objects.bulk_update(away, ["missing_since"])
    if not over:
        return
    # whoever packs holds these: either the first message says that it is over, or it is sent and a second one does
    begun = NoticePart.objects.filter(notice__in=over, phase=NoticePhase.BEGAN, dropped="").select_for_update()
    sent = [part for part in begun.order_by("pk") if part.message_id is not None]
    Notice.objects.bulk_update(over, ["ended_at"])
    choices = choices_of({part.membership_id for part in sent})
    members = Membership.objects.select_related("user", "workspace").in_bulk({part.membership_id for part in sent})
    NoticePart.objects.bulk_create(
        [
            NoticePart(
                notice_id=part.notice_id,
                membership_id=part.membership_id,
                channel=part.channel,
                phase=NoticePhase.ENDED,
                due_at=due_moment(
                    kind, choices.get(part.membership_id, USUAL), zone_of(members[part.membership_id]), now
                ),
            )
            for part in sent
        ],
        ignore_conflicts=True,
    )


# --- Who hears of them ------------------------------------------------------------------------------------------------
def choices_of(memberships: Collection[int]) -> dict[int, NoticeChoice]:
    """What members chose, of those that did."""
    return {choice.membership_id: choice for choice in NoticeChoice.objects.filter(membership__in=list(memberships))}


def working_targets(memberships: Collection[int]) -> set[tuple[int, str]]:
    """The chats and addresses that are told: (membership, channel)."""
    working = NoticeTarget.objects.filter(membership__in=list(memberships), is_enabled=True)
    return set(working.values_list("membership_id", "channel"))


def sees(members: Iterable[Membership], accounts: Collection[int]) -> set[tuple[int, int]]:
    """Which clients among the members see which of these accounts; staff see all of their firm's."""
    clients = [member.pk for member in members if member.role == Role.SUBSCRIBER]
    return set().union(*(sight(clients, accounts) for sight in _sights)) if clients and accounts else set()


def may_hear(member: Membership, notice: Notice, seen: set[tuple[int, int]]) -> bool:
    """Whether a cause is a member's business, as things are now."""
    if member.deactivated_at is not None or not member.user.is_active or member.role not in KINDS[notice.kind].roles:
        return False
    if notice.workspace_id != member.workspace_id:
        return False
    if notice.person_id is not None:
        return notice.person_id == member.user_id
    return member.is_staff_role or (notice.account is not None and (member.pk, notice.account) in seen)


def plan(workspace: Workspace, kind: NoticeKind, notices: Collection[Notice], *, now: datetime) -> int:
    """Write down who hears of these causes, by what and when; returns how many are to."""
    if not notices:
        return 0
    active = Membership.objects.filter(workspace=workspace, role__in=kind.roles, deactivated_at=None)
    members = list(active.filter(user__is_active=True).select_related("user", "workspace").order_by("pk"))
    numbers = [member.pk for member in members]
    choices, working = choices_of(numbers), working_targets(numbers)
    seen = sees(members, {notice.account for notice in notices if notice.account is not None})
    by_account: dict[int | None, list[Notice]] = defaultdict(list)
    for notice in notices:
        by_account[notice.account].append(notice)
    of_client: dict[int, list[Notice]] = defaultdict(list)  # a firm may have as many clients as causes
    for number, account in sorted(seen):  # the order in which a person hears of them
        of_client[number] += by_account[account]
    parts = []
    for member in members:
        hours = choices.get(member.pk, USUAL)
        wanted = [
            channel
            for channel in channels_for(member, kind, hours.chosen)
            if channel == NoticeChannel.EMAIL or (member.pk, channel) in working
        ]
        due_at = due_moment(kind, hours, zone_of(member), now)
        parts += [
            NoticePart(notice=notice, membership=member, channel=channel, phase=NoticePhase.BEGAN, due_at=due_at)
            for channel in wanted
            for notice in (notices if member.is_staff_role else of_client[member.pk])
            if may_hear(member, notice, seen)
        ]
    NoticePart.objects.bulk_create(parts, ignore_conflicts=True, batch_size=2_000)
    return len(parts)


# --- What concerns one person -----------------------------------------------------------------------------------------
@transaction.atomic
def tell_of_device(user: User, *, device: str, source: str, at: datetime, key: str, now: datetime) -> bool:
    """Tell a person of a sign-in by the channels of their first membership; False: they are no active member."""
    own = Membership.objects.filter(user=user, deactivated_at=None).select_related("workspace", "user")
    member = own.order_by("pk").first()
    if member is None or not user.is_active:
        return False
    kind = KINDS["device"]
    notice, _ = Notice.objects.get_or_create(
        workspace=member.workspace,
        kind=kind.key,
        key=key[:160],
        ended_at=None,
        defaults={
            "title": "New sign-in to your account",
            "text": f"Somebody signed in to your account on a device that was not used for it before: {device},"
            f" address {source}. Was it you? Then there is nothing to do. Was it not you? Choose a new password now,"
            " on the sign-in page under “Forgot the password?”. That ends every session, theirs included.",
            "began_at": at,
            "person": user,
            "path": reverse("account_sessions"),
            "own_path": reverse("account_sessions"),
        },
    )
    choice = choices_of([member.pk]).get(member.pk, USUAL)
    working = working_targets([member.pk])
    NoticePart.objects.bulk_create(
        [
            NoticePart(
                notice=notice,
                membership=member,
                channel=channel,
                phase=NoticePhase.BEGAN,
                due_at=now if channel == NoticeChannel.EMAIL else due_moment(kind, choice, zone_of(member), now),
            )
            for channel in channels_for(member, kind, choice.chosen)
            if channel == NoticeChannel.EMAIL or (member.pk, channel) in working
        ],
        ignore_conflicts=True,
    )
    return True
