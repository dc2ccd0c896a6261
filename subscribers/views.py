"""Who copies what: lists of subscribers and stopouts, one subscriber's overview and terms, and resuming."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from copying.client import ClientError
from editing.backend import Unconfirmed
from editing.limits import reason_words
from editing.listing import answer_changes
from strategies.pages import page_of as strategy_page
from strategies.pages import visible_strategy
from subscribers.causes import cause_of, describe, figures_of, is_endless, short_cause
from subscribers.effective import effective_terms, strategies_of
from subscribers.headroom import standings_of, why_none
from subscribers.listings import STOPOUTS, STRATEGY_SUBSCRIBERS, SUBSCRIBERS
from subscribers.models import Stopout, Subscriber
from subscribers.pages import page_of, visible_subscriber
from subscribers.services import reset_stopout
from users.confirming import confirmed
from users.leading import wanted_path
from users.once import once
from users.permissions import can_manage, may_manage, staff_only
from users.requests import MemberRequest

MOST_SUBSCRIPTIONS = 50
# a person waits for it: no long holding back
CLIENT_OPTIONS = {"timeout_s": 8, "extended_timeout_s": 10, "retries": 1, "wait_budget_s": 3}


@require_safe
@staff_only
def subscribers(request: MemberRequest) -> HttpResponseBase:
    """Every account that copies."""
    table = SUBSCRIBERS.bind(request, Subscriber.objects.visible_to(request.membership))
    if table.wants_csv:
        return table.csv()
    page = "subscribers/_list.html" if request.partial else "subscribers/list.html"
    return render(request, page, {"table": table, "of_strategy": False, "limits": limit_names(table.rows)})


def limit_names(rows) -> dict[str, str]:
    """The nearest limits of these accounts in words, by their code."""
    return {row.limit_reason: reason_words(row.limit_reason) for row in rows if row.limit_reason}


def limits_part(subscriber: Subscriber) -> dict:
    """What the part of an account's risk limits shows."""
    standings = standings_of(subscriber, now=timezone.now())
    return {"standings": standings, "why_none": "" if standings else why_none(subscriber)}


@require_safe
@staff_only
def strategy_subscribers(request: MemberRequest, pk: int) -> HttpResponseBase:
    """The accounts that copy one strategy, with their ratio."""
    strategy = visible_strategy(request, pk)
    own = Subscriber.objects.visible_to(request.membership).filter(
        connection_id=strategy.connection_id,
        subscriptions__strategy_backend_id=strategy.backend_id,
        subscriptions__is_removed=False,
    )
    table = STRATEGY_SUBSCRIBERS.bind(request, own)
    if table.wants_csv:
        return table.csv()
    page = "subscribers/_list.html" if request.partial else "subscribers/of_strategy.html"
    context = strategy_page(strategy, "subscribers", table=table, of_strategy=True, limits=limit_names(table.rows))
    return render(request, page, context)


def active_stopouts(subscriber: Subscriber) -> list[Stopout]:
    """What keeps the account from copying at this moment, each with its cause in words."""
    active = Stopout.objects.filter(subscriber=subscriber).active(timezone.now()).select_related("strategy")
    stopouts = list(active.order_by("-stopped_at", "-id")[:20])
    for stopout in stopouts:
        stopout.cause, stopout.is_endless = cause_of(stopout.reason), is_endless(stopout.stopped_till)
    return stopouts


@require_safe
@staff_only
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    """What the account is and copies; how it did comes from the reporting app."""
    subscriber = visible_subscriber(request, pk)
    copied = subscriber.current_subscriptions()
    limits = limits_part(subscriber)
    context = page_of(request, subscriber, "overview", stopouts=active_stopouts(subscriber), **limits)
    return render(request, "subscribers/detail.html", {**context, "copied": copied[:MOST_SUBSCRIPTIONS]})


@require_safe
@staff_only
def limits(request: MemberRequest, pk: int) -> HttpResponse:
    """What is left of every risk limit of one account, as a page or as the part of its overview."""
    subscriber = visible_subscriber(request, pk)
    context = page_of(request, subscriber, "overview", **limits_part(subscriber))
    return render(request, "subscribers/_limits.html" if request.partial else "subscribers/limits.html", context)


@require_safe
@staff_only
def subscriptions(request: MemberRequest, pk: int) -> HttpResponse:
    """The terms of every subscription: what it sets itself, what holds, and where that comes from."""
    subscriber = visible_subscriber(request, pk)
    copied = subscriber.subscriptions.select_related("strategy").order_by("is_removed", "strategy__name", "id")
    strategies = strategies_of(subscriber.connection_id)
    terms = [effective_terms(subscription, subscriber, strategies) for subscription in copied[:MOST_SUBSCRIPTIONS]]
    return render(request, "subscribers/subscriptions.html", page_of(request, subscriber, "subscriptions", terms=terms))


@require_safe
@staff_only
def changes(request: MemberRequest, pk: int) -> HttpResponseBase:
    """Who changed the account and its subscriptions."""
    subscriber = visible_subscriber(request, pk)
    context = page_of(request, subscriber, "changes", layout="subscribers/_page.html")
    return answer_changes(request, subscriber, context)


# --- Stopouts ---------------------------------------------------------------------------------------------------------
def _answer_stopouts(request: MemberRequest, table, page: str, **context) -> HttpResponse:
    """The list; a poll that would show what is shown already is answered with nothing."""
    rows = table.rows
    now = timezone.now()
    shown = [(row, row.ended_at is None and row.stopped_till > now, is_endless(row.stopped_till)) for row in rows]
    seen = hashlib.sha256(repr([(row, is_active) for row, is_active, _ in shown]).encode()).hexdigest()[:16]
    if request.partial and request.headers.get("X-Seen") == seen:
        return HttpResponse(status=204)
    context |= {
        "table": table,
        "shown": shown,
        "seen": seen,
        "causes": {row.reason: cause_of(row.reason) for row in rows},
        "short": {row.reason: short_cause(row.reason) for row in rows},
        "figures": {row.id: figures_of(row.description) for row in rows},
        "told": {row.id: describe(row.description, row.reason) for row in rows},
    }
    context["may_manage"] = can_manage(request.membership)
    return render(request, "subscribers/_stopouts.html" if request.partial else page, context)


@require_safe
@staff_only
def stopouts(request: MemberRequest) -> HttpResponseBase:
    """Every stopout, those that are active and those that were."""
    table = STOPOUTS.bind(request, Stopout.objects.visible_to(request.membership))
    if table.wants_csv:
        return table.csv()
    return _answer_stopouts(request, table, "subscribers/stopouts.html", of_subscriber=False)


@require_safe
@staff_only
def subscriber_stopouts(request: MemberRequest, pk: int) -> HttpResponseBase:
    """The stopouts of one account."""
    subscriber = visible_subscriber(request, pk)
    listing = replace(STOPOUTS, filters=STOPOUTS.filters[1:])
    own = Stopout.objects.visible_to(request.membership).filter(subscriber=subscriber)
    table = listing.bind(request, own)
    if table.wants_csv:
        return table.csv()
    context = page_of(request, subscriber, "stopouts", of_subscriber=True)
    return _answer_stopouts(request, table, "subscribers/subscriber_stopouts.html", **context)


@require_POST
@may_manage
@confirmed
@once
def reset(request: MemberRequest, pk: int) -> HttpResponse:
    """Let the account trade again: begin its limit anew and end the stopout, or say why that did not work."""
    visible = Stopout.objects.visible_to(request.membership).select_related("subscriber", "connection", "strategy")
    stopout = get_object_or_404(visible, pk=pk)
    name, answer = stopout.subscriber.name, redirect(wanted_path(request, reverse("subscribers:stopouts")))
    if stopout.ended_at is not None or stopout.stopped_till <= timezone.now():
        messages.info(request, f"{name} was not stopped any more.")
        return answer
    try:
        with stopout.connection.client(**CLIENT_OPTIONS) as client:
            reset_stopout(stopout, client=client, by=request.user, now=timezone.now())
    except Unconfirmed as error:
        messages.warning(request, f"{name}: {limit_words(stopout)}{error.text} The next sync shows it here.")
    except (ClientError, ImproperlyConfigured) as error:
        text = getattr(error, "text", str(error))
        messages.error(request, f"{name} is still stopped. {limit_words(stopout)}{text}")
    else:
        messages.success(request, f"{name} copies again. {limit_words(stopout) or NO_LIMIT}")
    return answer


BEGUN_ANEW = "The limit has begun anew: it is measured from now on. "
NO_LIMIT = "No limit behind it was found in the settings: one that is still exceeded stops the account again."


def limit_words(stopout: Stopout) -> str:
    """What the backend has done about the limit that fired, also where what came after it failed."""
    return BEGUN_ANEW if stopout.limit_begun_anew else ""
