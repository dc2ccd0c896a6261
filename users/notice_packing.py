"""Makes messages of what people are to hear: one for each cause, or one for many of them.

Whoever packs holds the rows it packs, and others pass over them. What a person may not see any more, or does not want
any more, is dropped here, and looked at once more right before a message leaves (`why_unwanted`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.urls import reverse

from users.leading import has_several, path_as
from users.links import portal_link
from users.models import Mail, Membership
from users.notice_rules import KINDS, after_quiet, channels_for, zone_of
from users.notice_telling import USUAL, choices_of, may_hear, recalled, sees, working_targets
from users.notices import Notice, NoticeChannel, NoticeMessage, NoticePart, NoticeState
from users.sending import CannotMail, MailKind, queue_mail, register_kind

log = structlog.get_logger(__name__)

MOST_APART = 3  # causes at the same time that get a message each
MOST_AN_HOUR = 12  # messages to one person by one channel: what comes beyond waits, and is one message then
MOST_PACKED = 2_000
MOST_NAMED = 20
HOUR = timedelta(hours=1)
KEPT = timedelta(days=90)
NO_ACCESS = "It is not to be seen by this person any more."
SWITCHED_OFF = "The person does not want it this way any more."
TAKEN_BACK = "It was taken back meanwhile."


def why_unwanted(message: NoticeMessage) -> str:
    """Why a message is not to be sent any more; "": it is. Rights may have been taken since it was written.

    What else it tells of is then packed anew: one account that is not to be seen any more withdraws no other.
    """
    parts = list(NoticePart.objects.filter(message=message).select_related("notice"))
    member = Membership.objects.select_related("user", "workspace").get(pk=message.membership_id)
    if member.deactivated_at is not None or not member.user.is_active:
        return NO_ACCESS
    seen = sees([member], {part.notice.account for part in parts if part.notice.account is not None})
    barred = [part.pk for part in parts if not may_hear(member, part.notice, seen)]
    withdrawn = recalled(part.notice for part in parts)
    gone = [part.pk for part in parts if part.notice_id in withdrawn]
    if barred or gone:
        NoticePart.objects.filter(message=message).exclude(pk__in=[*barred, *gone]).update(message=None)
    return NO_ACCESS if barred else TAKEN_BACK if gone else ""


def why_not_mailed(mail: Mail) -> str:
    """The same for the outbox."""
    message = NoticeMessage.objects.filter(mail=mail).first()
    return why_unwanted(message) if message else NO_ACCESS


FOOTER = "What you are told, and how, you choose in the portal under Notifications"
NOTICE_MAIL = register_kind(MailKind("notice", "Notification", unwanted=why_not_mailed))


# --- Packing ----------------------------------------------------------------------------------------------------------
def pack_due(now: datetime) -> int:
    """Make messages of everything whose time has come; returns how many."""
    waiting = NoticePart.objects.filter(message=None, dropped="", due_at__lte=now)
    pairs = waiting.order_by("membership_id", "channel").values_list("membership_id", "channel").distinct()
    number = 0
    for membership_id, channel in list(pairs):
        try:
            number += pack(membership_id, channel, now=now)
        except Exception:  # whatever is wrong with rows of one person: the others hear of theirs
            log.exception("notifications were not packed", membership=membership_id, channel=channel)
    return number


@transaction.atomic
def pack(membership_id: int, channel: str, *, now: datetime) -> int:
    """Make the messages of one person and channel that are due."""
    locked = Membership.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
    member = locked.select_related("user", "workspace").filter(pk=membership_id).first()
    if member is None:
        return 0  # somebody else is at it
    own = NoticePart.objects.filter(membership=member, channel=channel, message=None, dropped="", due_at__lte=now)
    numbers = list(own.select_for_update(skip_locked=True).order_by("pk").values_list("pk", flat=True)[:MOST_PACKED])
    # read after they are held: whether a cause is over does not change any more
    parts = list(NoticePart.objects.filter(pk__in=numbers).select_related("notice").order_by("notice__began_at", "pk"))
    parts = still_wanted(member, channel, parts)
    parts = put_off(member, parts, now=now)
    alone = [part for part in parts if KINDS[part.notice.kind].is_always]
    for part in alone:  # a sign-in is told at once and in full, whatever else there is to tell
        write(member, channel, [part], now=now)
    parts = [part for part in parts if part not in alone]
    if not parts:
        return len(alone)
    written = NoticeMessage.objects.filter(membership=member, channel=channel, is_test=False, queued_at__gt=now - HOUR)
    recent = list(written.order_by("-queued_at").values_list("queued_at", flat=True)[:MOST_AN_HOUR])
    if len(recent) >= MOST_AN_HOUR:
        put_off(member, parts, now=recent[-1] + HOUR, is_full=True)
        return len(alone)
    apart = min(MOST_APART, MOST_AN_HOUR - len(recent))
    groups = [[part] for part in parts] if len(parts) <= apart else [parts]
    for group in groups:
        write(member, channel, group, now=now)
    return len(alone) + len(groups)


def put_off(
    member: Membership, parts: Sequence[NoticePart], *, now: datetime, is_full: bool = False
) -> list[NoticePart]:
    """Those that may be told now; the others wait until the person's quiet hours are over. A sign-in never waits.

    Quiet hours may have begun since it was known when to tell. is_full: nothing can be told before `now`.
    """
    hours, zone, left, late = choices_of([member.pk]).get(member.pk, USUAL), zone_of(member), [], []
    for part in parts:
        kind = KINDS[part.notice.kind]
        moment = now if kind.is_always else after_quiet(kind, hours, zone, now)
        if moment > now or is_full:
            part.due_at = moment
            late.append(part)
        else:
            left.append(part)
    NoticePart.objects.bulk_update(late, ["due_at"])
    return left


def still_wanted(member: Membership, channel: str, parts: Sequence[NoticePart]) -> list[NoticePart]:
    """Those that the person may see and wants; the others are dropped, with the reason."""
    seen = sees([member], {part.notice.account for part in parts if part.notice.account is not None})
    chosen = choices_of([member.pk]).get(member.pk, USUAL).chosen
    is_there = channel == NoticeChannel.EMAIL or (member.pk, channel) in working_targets([member.pk])
    withdrawn = recalled(part.notice for part in parts)
    left = []
    for part in parts:
        if not may_hear(member, part.notice, seen):
            part.dropped = NO_ACCESS
        elif part.notice_id in withdrawn:
            part.dropped = TAKEN_BACK
        elif not is_there or channel not in channels_for(member, KINDS[part.notice.kind], chosen):
            part.dropped = SWITCHED_OFF
        else:
            left.append(part)
    NoticePart.objects.bulk_update([part for part in parts if part.dropped], ["dropped"])
    return left


def write(member: Membership, channel: str, parts: Sequence[NoticePart], *, now: datetime) -> NoticeMessage:
    """Put one message about these causes into the queue of its channel."""
    subject, text = words_of(parts, zone_of(member), member)
    message = queue(
        member,
        channel,
        kind=parts[0].notice.kind if len({part.notice.kind for part in parts}) == 1 else "",
        causes=len(parts),
        subject=subject,
        text=text,
        now=now,
    )
    NoticePart.objects.filter(pk__in=[part.pk for part in parts]).update(message=message)
    return message


def queue(
    member: Membership,
    channel: str,
    *,
    subject: str,
    text: str,
    now: datetime,
    kind: str = "",
    causes: int = 1,
    is_test: bool = False,
) -> NoticeMessage:
    """Put a message into the queue, e-mail into the outbox; without a mail server it says why it is not sent."""
    message = NoticeMessage(
        membership=member,
        channel=channel,
        kind=kind,
        causes=causes,
        is_test=is_test,
        subject=subject[:250],
        text=text,
        queued_at=now,
        due_at=now,
    )
    if channel == NoticeChannel.EMAIL:
        (page,) = _addresses(member, [reverse("users:notices")])
        try:
            message.mail = queue_mail(
                member.workspace,
                kind=NOTICE_MAIL,
                recipient=member.user.email,
                recipient_name=str(member.user),
                sender_name=member.workspace.sender,
                subject=message.subject,
                text=f"{text}\n\n{FOOTER}{f': {page}' if page else '.'}\n",
                now=now,
            )
        except CannotMail as error:
            message.state, message.refusal, message.settled_at = NoticeState.WITHDRAWN, error.text, now
    message.save()
    return message


# --- Words ------------------------------------------------------------------------------------------------------------
def words_of(parts: Sequence[NoticePart], zone: ZoneInfo, member: Membership) -> tuple[str, str]:
    """Subject and text of a message about these causes, in the person's zone, with a link to each page about them."""
    firm, links = member.workspace.name, addresses_of(parts[:MOST_NAMED], member)
    if len(parts) == 1:
        (part,) = parts
        title = title_of(part)
        lines = [f"{title}.", part.notice.text, when_of(part, zone), *links]
        return f"{title} – {firm}", "\n\n".join(filter(None, lines))
    numbers = Counter(part.notice.kind for part in parts)
    counts = ", ".join(f"{number:,} × {within(KINDS[kind].words)}" for kind, number in numbers.most_common())
    lines = []
    for part, link in zip(parts[:MOST_NAMED], links, strict=True):
        is_new = link and not any(link in line.split() for line in lines)
        lines.append(f"{title_of(part)} ({within(when_of(part, zone)[:-1])})" + (f"\n  {link}" if is_new else ""))
    if len(parts) > MOST_NAMED:
        lines.append(f"and {len(parts) - MOST_NAMED:,} more, which the portal shows")
    return f"{len(parts):,} notifications – {firm}", "\n".join([f"{counts}:", "", *(f"- {line}" for line in lines)])


def within(words: str) -> str:
    """A sentence within another one: only its first letter changes, names of firms and zones stay as they are."""
    return words[:1].lower() + words[1:]


def addresses_of(parts: Sequence[NoticePart], member: Membership) -> list[str]:
    """The address of the page about each cause; empty: there is none, or the portal does not know its own address.

    Who belongs to several workspaces is led to the one that it is about (users/leading.py).
    """
    return _addresses(member, [part.notice.path if member.is_staff_role else part.notice.own_path for part in parts])


def _addresses(member: Membership, paths: list[str]) -> list[str]:
    if any(paths) and settings.PORTAL_URL and has_several(member):
        paths = [path and path_as(member, path) for path in paths]
    return [path and portal_link(path) for path in paths]


def links_of(message: NoticeMessage) -> list[str]:
    """The addresses of the pages about what a message tells, for programs."""
    parts = NoticePart.objects.filter(message=message).select_related("notice").order_by("notice__began_at", "pk")
    return list(dict.fromkeys(filter(None, addresses_of(list(parts[:MOST_NAMED]), message.membership))))


def title_of(part: NoticePart) -> str:
    """What a line says first: an end must not read like a beginning."""
    return f"Over: {part.notice.title}" if part.notice.ended_at else part.notice.title


def when_of(part: NoticePart, zone: ZoneInfo) -> str:
    """Since when, until when, as a sentence."""

    def moment(value: datetime) -> str:
        return f"{value.astimezone(zone):%d %B %Y, %H:%M}"

    if part.notice.ended_at:
        return f"From {moment(part.notice.began_at)} until {moment(part.notice.ended_at)} ({zone.key})."
    word = "Since" if KINDS[part.notice.kind].ends else "On"
    return f"{word} {moment(part.notice.began_at)} ({zone.key})."


def forget_old(now: datetime) -> int:
    """Messages are kept for 90 days, causes as long after they are over; those that have no end, after they began."""
    old = now - KEPT
    lasting = [kind.key for kind in KINDS.values() if kind.ends]
    Notice.objects.filter(ended_at__lt=old).delete()
    Notice.objects.filter(began_at__lt=old).exclude(kind__in=lasting).delete()
    # one that told of what still lasts stays: without it that would be told again
    number = NoticeMessage.objects.filter(queued_at__lt=old, parts=None).delete()[0]
    messages = NoticeMessage.objects.filter(mail=OuterRef("pk"))
    Mail.objects.filter(~Exists(messages), kind=NOTICE_MAIL.key, queued_at__lt=old).delete()
    return number
