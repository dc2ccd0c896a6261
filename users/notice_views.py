"""Pages of notifications: what a person is told and how, what was sent to them, and the firm's bot and list."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from users.confirming import confirmed
from users.events import new_secret
from users.listing import Choice, Column, DayRange, Listing, Option, Search
from users.models import Membership, Workspace
from users.notice_choices import choice_of, save_choice
from users.notice_forms import NoticeAddressForm, TelegramBotForm, choice_form, chosen_of
from users.notice_rules import KINDS, kinds_for
from users.notice_sending import remove_targets, send_test
from users.notices import (
    NoticeChannel,
    NoticeMessage,
    NoticeState,
    NoticeTarget,
    TelegramBot,
)
from users.permissions import member_only, owner_only
from users.requests import MemberRequest
from users.services import record_audit
from users.telegram import TelegramRefusal, bot_name, chat_that_sent
from users.throttle import may_act

CODE_WORKS = timedelta(minutes=30)
TESTS_PER_HOUR = 10
LOOKS_PER_HOUR = 60
TONES = {"sent": "good", "queued": "info", "refused": "bad", "given-up": "bad"}
FILTERS = (
    Choice(
        "channel",
        "By",
        placeholder="Any way",
        options=[Option(channel.value, channel.label) for channel in NoticeChannel],
    ),
    DayRange("period", "Period", field="queued_at"),
)
COLUMNS = (
    Column("kind", "About"),
    Column("channel", "By"),
    Column("outcome", "State"),
    Column("said"),
    Column("causes"),
    Column("is_test"),
)
WHEN = Column("queued_at", "When", is_sortable=True)
OWN_NOTICES = Listing(
    name="notifications",
    sort="-queued_at",
    columns=(WHEN, Column("subject", "What"), Column("text"), *COLUMNS),
    filters=(Search("q", "Search", placeholder="Search in notifications", fields=("subject", "text")), *FILTERS),
)
# without subjects and texts: they are the business of whom they were sent to
FIRM_NOTICES = Listing(
    name="all-notifications",
    sort="-queued_at",
    columns=(WHEN, Column("person", "To", source="membership__user__email"), *COLUMNS),
    filters=FILTERS,
)
WORDS: dict[str, Any] = {
    "kinds": {key: kind.words for key, kind in KINDS.items()},
    "channels": dict(NoticeChannel.choices),
    "states": dict(NoticeState.choices),
    "tones": TONES,
}


def note(request: MemberRequest, action: str, **details: Any) -> None:
    """The entry of the audit log."""
    record_audit(request.workspace, user=request.user, action=action, subject=request.user.email, details=details)


def own_targets(member: Membership) -> dict[str, NoticeTarget]:
    """The chat and the address of a member, by channel."""
    return {target.channel: target for target in NoticeTarget.objects.filter(membership=member)}


def bot_of(member: Membership) -> TelegramBot | None:
    """The bot of the workspace, without its token."""
    return TelegramBot.objects.filter(workspace_id=member.workspace_id).defer("token").first()


# --- What a person is told --------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@member_only
def notices(request: MemberRequest) -> HttpResponseBase:
    """What one is told, by what and when."""
    member = request.membership
    choice, targets = choice_of(member), own_targets(member)
    offered = {NoticeChannel.EMAIL.value} | {key for key, target in targets.items() if target.is_enabled}
    form = choice_form(member, choice, request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        context = {"form": form, "targets": targets, "offered": offered, "bot": bot_of(member)}
        context |= {"kinds": kinds_for(member.role), "channels": WORDS["channels"]}
        return render(request, "users/notices.html", context, status=422 if form.errors else 200)
    save_choice(choice, form.cleaned_data, chosen_of(form, offered), now=timezone.now())
    messages.success(request, "Saved. It holds for what happens from now on.")
    return redirect("users:notices")


@require_POST
@member_only
def test_notice(request: MemberRequest, channel: str) -> HttpResponse:
    """Send a test to oneself by one of the ways."""
    now = timezone.now()
    target = own_targets(request.membership).get(channel)
    if channel != NoticeChannel.EMAIL and (target is None or not target.is_enabled):
        messages.error(request, f"{NoticeChannel(channel).label} is not set up: do that first.")
    elif not may_act("notice-test", str(request.membership.pk), limit=TESTS_PER_HOUR, window_s=3600, now=now):
        messages.error(request, f"At most {TESTS_PER_HOUR} tests an hour: try again later.")
    else:
        message = send_test(request.membership, channel, now=now)
        if message.state == NoticeState.WITHDRAWN:
            messages.error(request, f"The test is not sent. {message.refusal}")
        else:
            messages.success(request, "A test is on its way: what becomes of it is in the list within seconds.")
    return redirect("users:notices-sent")


@require_safe
@member_only
def sent(request: MemberRequest) -> HttpResponseBase:
    """What was sent to oneself."""
    own = NoticeMessage.objects.visible_to(request.membership).filter(membership=request.membership)
    table = OWN_NOTICES.bind(request, own.with_outcome())
    if table.wants_csv:
        return table.csv()
    page = "users/_notices_sent.html" if request.partial else "users/notices_sent.html"
    return render(request, page, {"table": table, "is_own": True, **WORDS})


# --- Ways of one's own ------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@never_cache
@member_only
@confirmed
def telegram(request: MemberRequest) -> HttpResponseBase:
    """Link a chat: make a code, and say where to send it."""
    bot, now = bot_of(request.membership), timezone.now()
    target = own_targets(request.membership).get(NoticeChannel.TELEGRAM)
    if request.method == "POST" and bot is not None:
        code = {"secret": secrets.token_hex(8), "code_until": now + CODE_WORKS}
        NoticeTarget.objects.update_or_create(
            membership=request.membership, channel=NoticeChannel.TELEGRAM, defaults=code
        )
        return redirect("users:notices-telegram")
    is_waiting = target is not None and target.code_until is not None and target.code_until > now
    context = {"bot": bot, "target": target, "code": target.secret if target and is_waiting else ""}
    return render(request, "users/notices_telegram.html", context)


@require_POST
@member_only
@confirmed
def check_telegram(request: MemberRequest) -> HttpResponse:
    """Look whether the code was sent to the bot; the chat that it came from is the person's."""
    now, member = timezone.now(), request.membership
    target = own_targets(member).get(NoticeChannel.TELEGRAM)
    bot = TelegramBot.objects.filter(workspace_id=member.workspace_id).first()
    if bot is None or target is None or target.code_until is None or target.code_until <= now:
        messages.error(request, "The code has run out: make a new one.")
        return redirect("users:notices-telegram")
    if not may_act("notice-look", str(member.pk), limit=LOOKS_PER_HOUR, window_s=3600, now=now):
        messages.error(request, "Too many looks within an hour: try again later.")
        return redirect("users:notices-telegram")
    try:
        chat = chat_that_sent(bot.token, target.secret)
    except TelegramRefusal as refusal:
        messages.error(request, f"It could not be looked for. {refusal.text}")
        return redirect("users:notices-telegram")
    if chat is None:
        messages.error(request, "The bot has not got the code yet: send it, then look again.")
        return redirect("users:notices-telegram")
    with transaction.atomic():
        use_target(target, address=chat.number, name=chat.name, secret="", code_until=None)
        note(request, "notifications by Telegram linked", chat=chat.name)
    messages.success(request, "Linked. Tick below what you want to be told by Telegram.")
    return redirect("users:notices")


@require_http_methods(["GET", "POST"])
@never_cache
@member_only
@confirmed
def webhook(request: MemberRequest) -> HttpResponseBase:
    """Enter an address of one's own; the answer shows its secret, once."""
    target = own_targets(request.membership).get(NoticeChannel.WEBHOOK)
    form = NoticeAddressForm(request.POST or None, initial={"url": target.address if target else ""})
    if request.method != "POST" or not form.is_valid():
        context = {"form": form, "target": target}
        return render(request, "users/notices_webhook.html", context, status=422 if form.errors else 200)
    secret = new_secret()
    with transaction.atomic():
        target = target or NoticeTarget(membership=request.membership, channel=NoticeChannel.WEBHOOK)
        use_target(target, address=form.cleaned_data["url"], secret=secret)
        note(request, "notifications by webhook set", address=urlsplit(target.address).hostname)
    return render(request, "users/notices_secret.html", {"secret": secret}, status=201)


def use_target(target: NoticeTarget, **fields: Any) -> None:
    """Tell a chat or an address from now on."""
    for name, value in fields.items():
        setattr(target, name, value)
    target.is_enabled, target.problem = True, ""
    target.failing_since = target.paused_until = target.disabled_at = None
    target.save()


@require_POST
@member_only
def remove_target(request: MemberRequest, channel: str) -> HttpResponse:
    """Tell a chat or an address nothing more."""
    target = own_targets(request.membership).get(channel)
    if target is not None:
        with transaction.atomic():
            note(request, f"notifications by {NoticeChannel(channel).label} removed", target=target.name)
            remove_targets(NoticeTarget.objects.filter(pk=target.pk), now=timezone.now())
        messages.success(request, f"Nothing more is sent by {NoticeChannel(channel).label}.")
    return redirect("users:notices")


# --- The firm's -------------------------------------------------------------------------------------------------------
@require_safe
@owner_only
def all_notices(request: MemberRequest) -> HttpResponseBase:
    """What was sent to everybody, without its words, and the bot."""
    whole = NoticeMessage.objects.visible_to(request.membership).with_outcome()
    table = FIRM_NOTICES.bind(request, whole)
    if table.wants_csv:
        return table.csv()
    page = "users/_notices_sent.html" if request.partial else "users/all_notices.html"
    context = {"tab": "notices", "table": table, "is_own": False, "bot": bot_of(request.membership), **WORDS}
    return render(request, page, context)


@require_http_methods(["GET", "POST"])
@never_cache
@owner_only
@confirmed
def set_bot(request: MemberRequest) -> HttpResponseBase:
    """Let a bot write to the workspace's people; Telegram is asked who it is."""
    form = TelegramBotForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            name = bot_name(form.cleaned_data["token"])
        except TelegramRefusal as refusal:
            form.add_error("token", f"{refusal.text} Nothing was changed.")
        else:
            with transaction.atomic():
                values = {"token": form.cleaned_data["token"], "username": name, "problem": "", "paused_until": None}
                values |= {"set_by": request.user, "set_at": timezone.now()}
                bot = bot_of(request.membership)
                if bot is not None and bot.token.partition(":")[0] != values["token"].partition(":")[0]:
                    remove_targets(chats_of(request.workspace), now=timezone.now())  # another bot knows none of them
                TelegramBot.objects.update_or_create(workspace=request.workspace, defaults=values)
                note(request, "Telegram bot set", bot=name)
            messages.success(request, f"@{name} writes to your people. Each of them links a chat under Notifications.")
            return redirect("users:all-notices")
    context = {"tab": "notices", "form": form}
    return render(request, "users/notices_bot.html", context, status=422 if form.errors else 200)


def chats_of(workspace: Workspace) -> QuerySet[NoticeTarget]:
    """Everybody's chats, which belong to the bot that they were linked with."""
    return NoticeTarget.objects.filter(membership__workspace=workspace, channel=NoticeChannel.TELEGRAM)


@require_POST
@owner_only
@confirmed
def remove_bot(request: MemberRequest) -> HttpResponse:
    """Let it write no more. Chats of another bot would be others, so they are forgotten too."""
    bot = bot_of(request.membership)
    if bot is not None:
        with transaction.atomic():
            note(request, "Telegram bot removed", bot=bot.username)
            remove_targets(chats_of(request.workspace), now=timezone.now())
            bot.delete()
        messages.success(request, f"@{bot.username} writes to nobody here any more.")
    return redirect("users:all-notices")
