"""Sends messages by Telegram and to addresses of people's own: any number of workers, safe to lose and to repeat.

E-mail goes by the outbox. A message is claimed with a lease, sent outside of any transaction, and its answer noted. One
whose worker died in between is sent again after the lease and marked: hearing of a stopout twice does less harm than
not at all. A way that fails for days, or is closed by the person, is switched off, and they are mailed that it is.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from celery import current_app
from django.db import connection as database
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerDown

from copying.client.reach import PrivateReach
from users.audit import record_audit
from users.event_sending import GONE, post_signed
from users.notice_packing import links_of, pack_due, queue, why_unwanted
from users.notices import NoticeChannel, NoticeMessage, NoticeState, NoticeTarget, TelegramBot
from users.sending import CannotMail, MailKind, queue_mail, register_kind
from users.telegram import ANSWER_S, TelegramRefusal, send_text

log = structlog.get_logger(__name__)

TURN_S = 50.0
LEASE_S = 60
WOKEN_EXPIRES_S = 60
SEND_NOTICES = "users.tasks.send_notices"  # by name: tasks know the services, not the other way round
# after the first attempt, the second...: most of a day, then what it says is old
DELAYS = tuple(timedelta(seconds=seconds) for seconds in (10, 60, 300, 1800, 7200, 21_600, 43_200))
MOST_ATTEMPTS = len(DELAYS) + 1
PAUSE = timedelta(seconds=30)  # of a way after a failure
SWITCHED_OFF_AFTER = timedelta(days=3)
REMOVED = "This way was removed."
OFF_MAIL = register_kind(MailKind("notice-off", "Notifications switched off"))


@dataclass(frozen=True)
class NoticeAnswer:
    """What an attempt came to. problem: a sentence, "": it was taken. pause_s: what the other side asked for.

    ends_target: it will never take one. of_bot: nobody is written to by this bot. may_be_double: nobody knows.
    """

    problem: str = ""
    pause_s: int = 0
    ends_target: bool = False
    of_bot: bool = False
    may_be_double: bool = False


_CLAIM = """
UPDATE users_noticemessage SET lease_token = %(token)s, attempts = attempts + 1,
  may_be_double = may_be_double OR lease_token IS NOT NULL,
  lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE id = (
  SELECT m.id FROM users_noticemessage m
  JOIN users_noticetarget t ON t.membership_id = m.membership_id AND t.channel = m.channel AND t.is_enabled
    AND (t.paused_until IS NULL OR t.paused_until <= clock_timestamp())
  JOIN users_membership s ON s.id = m.membership_id
  LEFT JOIN users_telegrambot b ON b.workspace_id = s.workspace_id
  WHERE m.state = 'queued' AND m.channel <> 'email' AND m.due_at <= clock_timestamp()
    AND (m.lease_until IS NULL OR m.lease_until < clock_timestamp())
    AND (m.channel <> 'telegram' OR b.paused_until IS NULL OR b.paused_until <= clock_timestamp())
  ORDER BY t.failing_since NULLS FIRST, m.due_at, m.id LIMIT 1 FOR UPDATE OF m SKIP LOCKED)
RETURNING id
"""


def wake() -> None:
    """Have a worker look now. Without the broker beat does, within seconds."""
    with contextlib.suppress(BrokerDown):
        current_app.send_task(SEND_NOTICES, expires=WOKEN_EXPIRES_S, retry=False)


def claim() -> NoticeMessage | None:
    """Take the message that is due for longest, or None."""
    with database.cursor() as cursor:
        cursor.execute(_CLAIM, {"token": uuid.uuid4(), "lease": LEASE_S})
        row = cursor.fetchone()
    if row is None:
        return None
    return NoticeMessage.objects.select_related("membership__workspace", "membership__user").get(pk=row[0])


def send_due(*, turn_s: float = TURN_S, seconds: float = ANSWER_S) -> int:
    """Pack what is due and send until nothing is left or the time is up; returns how many were taken."""
    pack_due(timezone.now())
    taken, stop_at = 0, time.monotonic() + turn_s
    while time.monotonic() < stop_at and (message := claim()) is not None:
        try:
            taken += attempt(message, seconds=seconds)
        except Exception:  # one that cannot be sent at all is tried again after its lease; the others go on
            log.exception("a notification was not sent", message=message.pk)
    return taken


def attempt(message: NoticeMessage, *, seconds: float = ANSWER_S) -> bool:
    """Send a claimed message and note the answer; whether it was taken."""
    own = NoticeMessage.objects.filter(pk=message.pk, lease_token=message.lease_token)
    if reason := why_unwanted(message):
        settle(own, NoticeState.WITHDRAWN, timezone.now(), refusal=reason)
        return False
    target = NoticeTarget.objects.filter(membership_id=message.membership_id, channel=message.channel).first()
    if target is None:
        settle(own, NoticeState.WITHDRAWN, timezone.now(), refusal=REMOVED)
        return False
    if message.attempts > MOST_ATTEMPTS:  # its workers died
        settle(own, NoticeState.GIVEN_UP, timezone.now())
        return False
    send = send_by_telegram if message.channel == NoticeChannel.TELEGRAM else send_by_webhook
    answer = send(message, target, seconds=seconds)
    note_answer(message, answer, now=timezone.now())
    return not answer.problem


def send_by_telegram(message: NoticeMessage, target: NoticeTarget, *, seconds: float) -> NoticeAnswer:
    """Write to the person's chat."""
    bot = TelegramBot.objects.filter(workspace_id=message.membership.workspace_id).first()
    if bot is None:
        return NoticeAnswer("The workspace has no bot any more.", ends_target=True)
    try:
        send_text(bot.token, target.address, f"{message.subject}\n\n{message.text}", seconds=seconds)
    except TelegramRefusal as refusal:
        return NoticeAnswer(
            refusal.text, refusal.retry_after_s, refusal.is_of_chat, refusal.is_of_bot, refusal.may_be_done
        )
    return NoticeAnswer()


def send_by_webhook(message: NoticeMessage, target: NoticeTarget, *, seconds: float) -> NoticeAnswer:
    """Post to the person's address, signed; the id is the same at every attempt, so a receiver sees a repetition."""
    values = {
        "kind": message.kind or ("test" if message.is_test else "several"),
        "subject": message.subject,
        "text": message.text,
        "workspace": message.membership.workspace.name,
        "links": links_of(message),
    }
    body = {"type": "notification", "timestamp": message.queued_at.isoformat(), "data": values}
    answer = post_signed(
        target.address,
        target.secret,
        f"notice-{message.pk}",
        json.dumps(body, ensure_ascii=False),
        now=timezone.now(),
        seconds=seconds,
        # private addresses are opened for the firm's programs, not for its clients'
        reach=None if message.membership.is_staff_role else PrivateReach(),
    )
    return NoticeAnswer(answer.problem, ends_target=answer.status == GONE)


# --- What became of it ------------------------------------------------------------------------------------------------
def settle(own: Any, state: str, now: datetime, **values: Any) -> int:
    """The end of a message, as its holder."""
    return own.update(state=state, settled_at=now, lease_token=None, lease_until=None, **values)


@transaction.atomic
def note_answer(message: NoticeMessage, answer: NoticeAnswer, *, now: datetime) -> None:
    """Write down what became of an attempt, unless another worker has the message by now."""
    targets = NoticeTarget.objects.select_for_update()
    target = targets.filter(membership_id=message.membership_id, channel=message.channel).first()
    own = NoticeMessage.objects.filter(pk=message.pk, lease_token=message.lease_token)
    if target is None:  # removed while it was asked
        settle(own, NoticeState.WITHDRAWN if answer.problem else NoticeState.SENT, now, refusal=answer.problem[:400])
        return
    bots = TelegramBot.objects.filter(workspace_id=message.membership.workspace_id)
    if not answer.problem:
        done = settle(own, NoticeState.SENT, now, refusal="")
        target.succeeded_at, target.failing_since, target.paused_until, target.problem = now, None, None, ""
        if message.channel == NoticeChannel.TELEGRAM:
            bots.update(problem="", paused_until=None)
    else:
        done = note_problem(message, own, answer, now=now)
        if answer.pause_s and message.channel == NoticeChannel.TELEGRAM:
            bots.update(paused_until=now + timedelta(seconds=answer.pause_s))
        elif answer.of_bot:
            bots.update(problem=answer.problem, paused_until=now + 10 * PAUSE)
        if not answer.pause_s and not answer.of_bot:  # a pause is no fault, and the bot's is not the person's
            target.failing_since = target.failing_since or now
            target.paused_until, target.problem = now + PAUSE, answer.problem[:200]
    if not done:
        log.warning("a notification was taken over before its answer was noted", message=message.pk)
        return
    target.save(update_fields=["succeeded_at", "failing_since", "paused_until", "problem"])
    is_hopeless = target.failing_since is not None and now - target.failing_since >= SWITCHED_OFF_AFTER
    if target.is_enabled and (answer.ends_target or is_hopeless):
        switch_off(message, target, answer.problem, now=now)


def note_problem(message: NoticeMessage, own: Any, answer: NoticeAnswer, *, now: datetime) -> int:
    """When to try again, or that nobody does."""
    values = {"refusal": answer.problem[:400], "may_be_double": message.may_be_double or answer.may_be_double}
    if answer.ends_target:
        return settle(own, NoticeState.REFUSED, now, **values)
    if answer.pause_s:  # an attempt that was not let in is none
        due_at = now + timedelta(seconds=answer.pause_s)
        return own.update(due_at=due_at, attempts=message.attempts - 1, lease_token=None, lease_until=None, **values)
    if message.attempts >= MOST_ATTEMPTS:
        return settle(own, NoticeState.GIVEN_UP, now, **values)
    return own.update(due_at=now + DELAYS[message.attempts - 1], lease_token=None, lease_until=None, **values)


def switch_off(message: NoticeMessage, target: NoticeTarget, problem: str, *, now: datetime) -> None:
    """Send nothing more this way, and mail the person that it is so."""
    target.is_enabled, target.disabled_at, target.problem = False, now, problem[:200]
    target.save(update_fields=["is_enabled", "disabled_at", "problem"])
    waiting = NoticeMessage.objects.filter(
        membership_id=target.membership_id, channel=target.channel, state=NoticeState.QUEUED
    )
    waiting.update(state=NoticeState.WITHDRAWN, settled_at=now, refusal="This way was switched off.")
    member, words = message.membership, NoticeChannel(target.channel).label
    record_audit(
        member.workspace,
        user=None,
        action="notifications switched off",
        subject=member.user.email,
        now=now,
        details={"channel": target.channel, "reason": problem},
    )
    with contextlib.suppress(CannotMail):  # without a mail server the page says it
        queue_mail(
            member.workspace,
            kind=OFF_MAIL,
            recipient=member.user.email,
            subject=f"{words} is switched off for your notifications",
            text=f"Your notifications of {member.workspace.name} are not sent by {words} any more. {problem}\n\n"
            "Set it up again in the portal under Notifications when it works.\n",
            now=now,
        )


def remove_targets(targets: QuerySet[NoticeTarget], *, now: datetime) -> None:
    """Forget chats or addresses, with what waits for them: it must not go to those that come after."""
    for membership_id, channel in targets.values_list("membership_id", "channel"):
        waiting = NoticeMessage.objects.filter(membership_id=membership_id, channel=channel, state=NoticeState.QUEUED)
        waiting.update(state=NoticeState.WITHDRAWN, settled_at=now, refusal=REMOVED)
    targets.delete()


# --- Acts of people ---------------------------------------------------------------------------------------------------
@transaction.atomic
def send_test(member: Any, channel: str, *, now: datetime) -> NoticeMessage:
    """Send a person a test; what becomes of it is in their list."""
    NoticeTarget.objects.filter(membership=member, channel=channel).update(paused_until=None)
    words = NoticeChannel(channel).label
    message = queue(
        member,
        channel,
        subject=f"A test from {member.workspace.name}",
        text=f"This is what a notification by {words} looks like. You asked for it; nothing has happened.",
        is_test=True,
        now=now,
    )
    transaction.on_commit(wake)
    return message
