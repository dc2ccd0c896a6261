"""What the person of the token is told, by what and when, and what was sent to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.base import Guard
from api.fields import MomentField, RowSerializer, flag, number, text
from api.lists import ListView, listing_for
from api.once import Reply, Sort
from api.problems import ApiProblem, escaped
from api.writes import WriteView, errors_of_form, write
from users.models import Membership
from users.notice_choices import choice_of, save_choice, ways_of
from users.notice_forms import NUMBERS, choice_form, chosen_of
from users.notice_rules import channels_for, kinds_for
from users.notice_views import OWN_NOTICES
from users.notices import NoticeChannel, NoticeMessage, NoticeState
from users.permissions import member_only

HOUR = {"required": False, "allow_null": True, "min_value": 0, "max_value": 23}
CHANNELS = [(channel.value, channel.label) for channel in NoticeChannel]


class KindRow(serializers.Serializer):
    """Something that one may be told of."""

    kind = text()
    words = text()
    help = text()
    channels = serializers.ListField(
        child=serializers.ChoiceField(CHANNELS), read_only=True, help_text="How it is told."
    )
    is_urgent = flag()
    is_always_mailed = flag()


class ChoiceRow(serializers.Serializer):
    """What the person of the token is told. Hours are of their zone."""

    kinds = KindRow(many=True)
    ways = serializers.ListField(
        child=serializers.ChoiceField(CHANNELS), read_only=True, help_text="The channels that are set up."
    )
    quiet_from = number(allow_null=True)
    quiet_until = number(allow_null=True)
    urgent_passes = flag(help_text="Whether what is urgent comes in quiet hours too.")
    digest_hour = number(allow_null=True, help_text="What is not urgent comes once a day then; null: at once.")
    timezone = text(help_text="Empty: that of the workspace.")


class ChoicePatch(serializers.Serializer):
    """What is changed; what is not named stays."""

    chosen = serializers.DictField(
        child=serializers.ListField(child=serializers.ChoiceField(CHANNELS), max_length=10),
        required=False,
        help_text="Channels by kind: {“stopout”: [“email”]}. Kinds that are not named stay.",
    )
    quiet_from = serializers.IntegerField(**HOUR)
    quiet_until = serializers.IntegerField(**HOUR)
    urgent_passes = serializers.BooleanField(required=False)
    digest_hour = serializers.IntegerField(**HOUR)
    timezone = serializers.CharField(required=False, allow_blank=True, max_length=64)


def choice_row(member: Membership) -> dict[str, Any]:
    """What a member is told."""
    choice = choice_of(member)
    kinds = [
        {
            "kind": kind.key,
            "words": kind.words,
            "help": kind.help,
            "channels": channels_for(member, kind, choice.chosen),
            "is_urgent": kind.is_urgent,
            "is_always_mailed": kind.is_always,
        }
        for kind in kinds_for(member.role)
    ]
    ways = [channel.value for channel in NoticeChannel if channel.value in ways_of(member)]
    hours = {name: getattr(choice, name) for name in (*NUMBERS, "urgent_passes")}
    return {"kinds": kinds, "ways": ways, **hours, "timezone": member.user.timezone}


def person_of(membership: Membership) -> Membership:
    """The membership of a token that belongs to a person. Raises Http404 for a service: it is told nothing."""
    if membership.pk is None:
        raise Http404
    return membership


class NoticeChoices(WriteView):
    """What the person of the token is told, by what and when."""

    tag, noun = "Notifications", "notifications"
    guards: ClassVar[Mapping[str, Guard]] = {"GET": member_only, "PATCH": member_only}
    answers: ClassVar = {"GET": ChoiceRow, "PATCH": ChoiceRow}
    bodies: ClassVar = {"PATCH": ChoicePatch}

    def get(self, request: Request) -> Response:
        """What the person of the token is told, by what and when."""
        return Response(choice_row(person_of(self.membership)))

    @write(Sort.STORED)
    def patch(self, request: Request) -> Reply:
        """Change what the person of the token is told, by ways that are set up, and when."""
        member = person_of(self.membership)
        choice, ways = choice_of(member), ways_of(member)
        chosen = self.body.get("chosen", {})
        known = {kind.key for kind in kinds_for(member.role)}
        for kind, channels in chosen.items():
            wrong = kind if kind not in known else next((way for way in channels if way not in ways), "")
            if wrong:
                why = "is nothing that this role is told of" if kind not in known else "is not set up for this person"
                error = {"pointer": f"/chosen/{escaped(kind[:60])}", "detail": f"“{wrong[:60]}” {why}."}
                raise ApiProblem("invalid", errors=[error])
        sent: dict[str, Any] = {name: getattr(choice, name) for name in (*NUMBERS, "urgent_passes")}
        sent |= {kind.key: channels_for(member, kind, choice.chosen) for kind in kinds_for(member.role)}
        sent |= {"timezone": member.user.timezone}
        sent |= {name: value for name, value in self.body.items() if name != "chosen"} | chosen
        form = choice_form(member, choice, {name: "" if value is None else value for name, value in sent.items()})
        if not form.is_valid():
            raise ApiProblem("invalid", errors=errors_of_form(form))
        save_choice(choice, form.cleaned_data, chosen_of(form, ways), now=timezone.now())
        return Reply(choice_row(member))


class NoticeRow(RowSerializer):
    """One message to the person of the token."""

    reads = ("queued_at", "subject", "text", "kind", "channel", "outcome", "said", "causes", "is_test")
    queued_at = MomentField()
    subject = text()
    kind = text(help_text="What it is about; empty: several, or a test.")
    channel = serializers.ChoiceField(CHANNELS, read_only=True)
    state = serializers.ChoiceField(NoticeState.choices, source="outcome", read_only=True)
    refusal = serializers.CharField(source="said", read_only=True, help_text="Why it was not taken, or not sent.")
    causes = number()
    is_test = flag()
    text = text()


class NoticesSent(ListView):
    """What was sent to the person of the token."""

    tag, noun, row = "Notifications", "notifications_sent", NoticeRow
    guards: ClassVar[Mapping[str, Guard]] = {"GET": member_only}
    listing = listing_for(OWN_NOTICES, NoticeRow)

    def rows(self, membership: Membership) -> QuerySet:
        own = NoticeMessage.objects.visible_to(person_of(membership)).filter(membership=membership)
        return own.with_outcome()
