"""Forms of what a person is told, when, and by which ways of their own."""

from __future__ import annotations

from typing import Any

from django import forms

from users.event_forms import EndpointForm
from users.forms import zone_choices
from users.models import Membership
from users.notice_rules import KINDS, channels_for, kinds_for
from users.notices import NoticeChannel, NoticeChoice

HOURS = [(str(hour), f"{hour:02}:00") for hour in range(24)]
NUMBERS = ("quiet_from", "quiet_until", "digest_hour")


class NoticeChoiceForm(forms.Form):
    """A row of channels for each kind that the role may hear of, and the hours. Made by `choice_form`."""

    quiet_from = forms.TypedChoiceField(
        label="Quiet from", required=False, coerce=int, empty_value=None, choices=[("", "No quiet hours"), *HOURS]
    )
    quiet_until = forms.TypedChoiceField(
        label="Quiet until", required=False, coerce=int, empty_value=None, choices=[("", "No quiet hours"), *HOURS]
    )
    urgent_passes = forms.BooleanField(label="What is urgent comes in quiet hours too", required=False)
    digest_hour = forms.TypedChoiceField(
        label="What is not urgent",
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", "Comes at once"), *((hour, f"Comes once a day, at {words}") for hour, words in HOURS)],
    )
    timezone = forms.ChoiceField(
        label="Your time zone", required=False, help_text="Hours here, and times on pages and in messages, are of it."
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        begins, ends = cleaned.get("quiet_from"), cleaned.get("quiet_until")
        if (begins is None) != (ends is None):
            missing = "quiet_from" if begins is None else "quiet_until"
            self.add_error(missing, "Quiet hours need a beginning and an end: choose both, or neither.")
        elif begins is not None and begins == ends:
            self.add_error("quiet_until", "They would end when they begin: choose another hour.")
        return cleaned


def choice_form(member: Membership, choice: NoticeChoice, posted: Any = None) -> NoticeChoiceForm:
    """The form of a member, with what they are told now."""
    initial: dict[str, Any] = {name: getattr(choice, name) for name in (*NUMBERS, "urgent_passes")}
    kinds = kinds_for(member.role)
    for kind in kinds:
        initial[kind.key] = channels_for(member, kind, choice.chosen)
    form = NoticeChoiceForm(posted, initial=initial | {"timezone": member.user.timezone})
    zone = form.fields["timezone"]
    assert isinstance(zone, forms.ChoiceField)
    zone.choices = [("", f"The firm's, {member.workspace.timezone}"), *zone_choices()]
    for kind in kinds:
        form.fields[kind.key] = forms.MultipleChoiceField(
            label=kind.words, required=False, choices=NoticeChannel.choices
        )
    return form


def chosen_of(form: NoticeChoiceForm, offered: set[str]) -> dict[str, list[str]]:
    """What was ticked; of ways that could not be ticked what was chosen before."""
    chosen = {}
    for key in (key for key in form.fields if key in KINDS):
        before = [channel for channel in form.initial[key] if channel not in offered]
        ticked = [channel for channel in form.cleaned_data[key] if channel in offered]
        chosen[key] = [channel for channel in NoticeChannel.values if channel in (*before, *ticked)]
    return chosen


class NoticeAddressForm(forms.Form):
    """An address of a person's own program."""

    url = forms.CharField(
        label="Address",
        max_length=500,
        help_text="The https:// address of a program of yours; each message is sent to it as a POST request. "
        "Private networks are refused.",
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off"}),
    )
    clean_url = EndpointForm.clean_url


class TelegramBotForm(forms.Form):
    """The token of a bot."""

    token = forms.RegexField(
        r"^\d{1,20}:[A-Za-z0-9_-]{10,100}\Z",
        label="Token of the bot",
        strip=True,
        help_text="In Telegram, @BotFather makes a bot and tells its token. It is stored encrypted and never shown.",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        error_messages={"invalid": "This is no token: it looks like 123456789:AbCd…"},
    )
