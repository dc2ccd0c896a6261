"""What a member chooses to be told, and when: reading it, and storing it with an entry of the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from users.audit import record_audit
from users.models import Membership, User
from users.notice_forms import NUMBERS
from users.notices import NoticeChannel, NoticeChoice, NoticeTarget


def choice_of(member: Membership) -> NoticeChoice:
    """What a member chose; not stored for one who chose nothing."""
    return NoticeChoice.objects.filter(membership=member).first() or NoticeChoice(membership=member)


def ways_of(member: Membership) -> set[str]:
    """The channels that reach a member."""
    working = NoticeTarget.objects.filter(membership=member, is_enabled=True)
    return {NoticeChannel.EMAIL.value, *working.values_list("channel", flat=True)}


@transaction.atomic
def save_choice(choice: NoticeChoice, fields: dict[str, Any], chosen: dict[str, list[str]], *, now: datetime) -> None:
    """Store what a person chose, and note what is different. fields: of the form; chosen: channels by kind."""
    person = choice.membership.user
    names = (*NUMBERS, "urgent_passes")
    before = {name: getattr(choice, name) for name in names} | choice.chosen | {"timezone": person.timezone}
    for name in names:
        setattr(choice, name, fields[name])
    choice.chosen = chosen
    choice.save()
    User.objects.filter(pk=person.pk).update(timezone=fields["timezone"])
    person.timezone = fields["timezone"]
    after = {name: fields[name] for name in (*names, "timezone")} | chosen
    if after != before:
        record_audit(
            choice.membership.workspace,
            user=person,
            action="notifications changed",
            subject=person.email,
            details={"before": before, "after": after},
            now=now,
        )
